package rules

import (
	"bytes"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/judge"
)

// clouds are Tencent Cloud, Alibaba Cloud and the clouds of other countries.
func clouds() []leak.Rule {
	return []leak.Rule{
		// Tencent Cloud: AKID is of the Chinese site, IKID of the international one. Ids of
		// temporary credentials go on after 32 characters; Token takes the longest run.
		{ID: "tencent-secret-id", Provider: tencent, Title: title("Tencent Cloud SecretId", "腾讯云 SecretId"), Severity: leak.Low, Class: leak.Identifier,
			Tokens: tokens(of(alnum, 32), "AKID", "IKID"), Judge: randomTail(4)},
		{ID: "tencent-secret-key", Provider: tencent, Title: title("Tencent Cloud SecretKey", "腾讯云 SecretKey"), Severity: leak.Critical,
			Pairs: []leak.Pair{{With: "tencent-secret-id", Shape: of(alnum, 32)}},
			Named: named(of(alnum, 32), "secretkey", "secret", "=sk", "key", "密钥"), Judge: mixed},
		{ID: "tencent-temporary-id", Provider: tencent, Title: title("Tencent Cloud temporary SecretId", "腾讯云临时 SecretId"), Severity: leak.Low, Class: leak.Identifier,
			Tokens: tokens(of(url64, 64), "AKID", "IKID"), Judge: randomTail(4)},
		{ID: "tencent-temporary-key", Provider: tencent, Title: title("Tencent Cloud temporary SecretKey", "腾讯云临时 SecretKey"), Severity: leak.High,
			Pairs: []leak.Pair{{With: "tencent-temporary-id", Shape: padded(base64, 43, 1)}},
			Named: named(padded(base64, 43, 1), "tmpsecretkey"), Judge: random},
		{ID: "tencent-token", Provider: tencent, Title: title("Tencent Cloud session token", "腾讯云临时凭证 Token"), Severity: leak.Medium,
			Named: named(from(url64, 150, 1000), "token"), Judge: random},

		// Alibaba Cloud: ids of 16 characters are old and still work, those of 24 are usual.
		{ID: "alibaba-access-key-id", Provider: alibaba, Title: title("Alibaba Cloud AccessKey ID", "阿里云 AccessKey ID"), Severity: leak.Low, Class: leak.Identifier,
			Tokens: []leak.Token{{Prefix: "LTAI", Shape: of(alnum, 12)}, {Prefix: "LTAI", Shape: from(alnum, 16, 26)}}, Judge: randomTail(4)},
		{ID: "alibaba-access-key-secret", Provider: alibaba, Title: title("Alibaba Cloud AccessKey Secret", "阿里云 AccessKey Secret"), Severity: leak.Critical,
			Pairs: []leak.Pair{{With: "alibaba-access-key-id", Shape: of(alnum, 30)}},
			Named: named(of(alnum, 30), "secret", "secretkey", "=sk", "accesskey", "密钥"), Judge: mixed},
		{ID: "alibaba-sts-id", Provider: alibaba, Title: title("Alibaba Cloud STS AccessKey ID", "阿里云 STS AccessKey ID"), Severity: leak.Low, Class: leak.Identifier,
			Tokens: tokens(from(alnum, 16, 64), "STS."), Judge: randomTail(4)},
		{ID: "alibaba-sts-secret", Provider: alibaba, Title: title("Alibaba Cloud STS AccessKey Secret", "阿里云 STS AccessKey Secret"), Severity: leak.High,
			Pairs: []leak.Pair{{With: "alibaba-sts-id", Shape: from(alnum, 30, 64)}}, Judge: mixed},
		{ID: "alibaba-sts-token", Provider: alibaba, Title: title("Alibaba Cloud STS security token", "阿里云 STS SecurityToken"), Severity: leak.Medium,
			Tokens: token("CAIS", leak.Shape{Set: mixed64, Min: 100, Max: 2000, Pad: 2})},

		{ID: "aws-access-key-id", Provider: aws, Title: title("AWS access key id", "AWS 访问密钥 ID"), Severity: leak.Low, Class: leak.Identifier,
			Tokens: tokens(of(base32, 16), "AKIA", "ASIA", "ABIA", "ACCA"), Judge: randomTail(4)},
		{ID: "aws-secret-access-key", Provider: aws, Title: title("AWS secret access key", "AWS 访问密钥"), Severity: leak.Critical,
			Pairs: []leak.Pair{{With: "aws-access-key-id", Shape: of(base64, 40)}},
			Named: named(of(base64, 40), "secretaccesskey", "secretkey", "secret", "accesskey", "=sk"), Judge: mixed},
		{ID: "aws-session-token", Provider: aws, Title: title("AWS session token", "AWS 会话令牌"), Severity: leak.Medium,
			Named: named(leak.Shape{Set: mixed64, Min: 200, Max: 2000, Pad: 2}, "sessiontoken", "securitytoken"), Judge: random},

		{ID: "azure-storage-key", Provider: azure, Title: title("Azure storage account key", "Azure 存储帐户密钥"), Severity: leak.Critical,
			Named: []leak.Named{{Names: []string{"accountkey"}, Shape: padded(base64, 86, 2), Alone: true}, {Names: []string{"storagekey", "accesskey", "sharedaccesskey", "key"}, Shape: padded(base64, 86, 2)}}, Judge: random},
		{ID: "azure-client-secret", Provider: azure, Title: title("Microsoft Entra client secret", "Microsoft Entra 客户端密码"), Severity: leak.High,
			Tokens: []leak.Token{{Prefix: "8Q~", Lead: &leak.Shape{Set: dotted, Min: 3, Max: 3}, Shape: from(leak.NewSet("0-9A-Za-z_.~-"), 31, 34)}, {Prefix: "7Q~", Lead: &leak.Shape{Set: dotted, Min: 3, Max: 3}, Shape: from(leak.NewSet("0-9A-Za-z_.~-"), 31, 34)}}, Judge: random},
		{ID: "google-api-key", Provider: google, Title: title("Google API key", "Google API 密钥"), Severity: leak.Medium,
			Tokens: token("AIza", of(url64, 35)), Judge: randomTail(4)},
		{ID: "google-oauth-secret", Provider: google, Title: title("Google OAuth client secret", "Google OAuth 客户端密钥"), Severity: leak.High,
			Tokens: token("GOCSPX-", of(url64, 28)), Judge: randomTail(7)},
		{ID: "google-oauth-token", Provider: google, Title: title("Google OAuth access token", "Google OAuth 访问令牌"), Severity: leak.Medium,
			Tokens: token("ya29.", from(url64, 60, 600)), Judge: randomTail(5)},
		{ID: "cloudflare-api-token", Provider: cloudflare, Title: title("Cloudflare API token", "Cloudflare API 令牌"), Severity: leak.High,
			Named: []leak.Named{{Names: []string{"token", "key"}, Shape: of(url64, 40)}, {Names: []string{"apikey", "globalapikey"}, Shape: of(hex, 37)}}, Judge: random},
		{ID: "digitalocean-token", Provider: service("digitalocean", "DigitalOcean", "cloud.digitalocean.com/account/api"), Title: title("DigitalOcean token", "DigitalOcean 令牌"), Severity: leak.High,
			Tokens: tokens(of(hex, 64), "dop_v1_", "doo_v1_", "dor_v1_"), Judge: randomTail(7)},
	}
}

// chineseClouds are the other clouds of China.
func chineseClouds() []leak.Rule {
	return []leak.Rule{
		{ID: "huawei-access-key-id", Provider: huawei, Title: title("Huawei Cloud access key id", "华为云 AK"), Severity: leak.Low, Class: leak.Identifier,
			Tokens: tokens(of(upper, 16), "HPUA", "HSTA"), Named: named(of(upper, 20), "accesskey", "accesskeyid", "=ak", "hwak", "sdkak"), Judge: upperRandom},
		{ID: "huawei-secret-access-key", Provider: huawei, Title: title("Huawei Cloud secret access key", "华为云 SK"), Severity: leak.Critical,
			Pairs: []leak.Pair{{With: "huawei-access-key-id", Shape: of(alnum, 40)}},
			Named: named(of(alnum, 40), "secretkey", "secretaccesskey", "secret", "=sk", "hwsk", "sdksk"), Judge: mixed},

		// Volcengine's ids are base64 of 32 hexadecimal digits, which proves them; Kingsoft's
		// have the same prefix.
		{ID: "volcengine-access-key-id", Provider: volcengine, Title: title("Volcengine access key id", "火山引擎 Access Key ID"), Severity: leak.Low, Class: leak.Identifier,
			Tokens: tokens(of(alnum, 43), "AKLT", "AKTP"), Judge: proof(judge.Volcengine)},
		{ID: "volcengine-secret-access-key", Provider: volcengine, Title: title("Volcengine secret access key", "火山引擎 Secret Access Key"), Severity: leak.Critical,
			Pairs: []leak.Pair{{With: "volcengine-access-key-id", Shape: leak.Shape{Set: base64, Min: 58, Max: 60, Pad: 2}}, {With: "volcengine-access-key-id", Shape: of(base64, 64), Assigned: true}},
			Named: named(leak.Shape{Set: base64, Min: 58, Max: 60, Pad: 2}, "secretaccesskey", "secretkey", "accesskeysecret", "=sk", "secret"), Judge: random},
		{ID: "volcengine-session-token", Provider: volcengine, Title: title("Volcengine session token", "火山引擎临时凭证 Token"), Severity: leak.Medium,
			Tokens: tokens(from(mixed64, 60, 3000), "STS2eyJ")},
		{ID: "kingsoft-access-key-id", Provider: kingsoft, Title: title("Kingsoft Cloud access key id", "金山云 AccessKey ID"), Severity: leak.Low, Class: leak.Identifier,
			Tokens: tokens(from(url64, 16, 28), "AKLT"), Judge: randomTail(4)},
		{ID: "kingsoft-secret-access-key", Provider: kingsoft, Title: title("Kingsoft Cloud secret access key", "金山云 Secret AccessKey"), Severity: leak.Critical,
			Pairs: []leak.Pair{{With: "kingsoft-access-key-id", Shape: leak.Shape{Set: mixed64, Min: 40, Max: 64, Pad: 2}}}, Judge: mixed},

		{ID: "baidu-access-key-id", Provider: baidu, Title: title("Baidu AI Cloud access key id", "百度智能云 Access Key"), Severity: leak.Low, Class: leak.Identifier,
			Tokens: tokens(from(alnum, 21, 22), "ALTAK"), Judge: randomTail(5)},
		{ID: "baidu-secret-access-key", Provider: baidu, Title: title("Baidu AI Cloud secret access key", "百度智能云 Secret Key"), Severity: leak.Critical,
			Pairs: []leak.Pair{{With: "baidu-access-key-id", Shape: of(hex, 32)}},
			Named: named(of(hex, 32), "secretkey", "secretaccesskey", "secret", "=sk"), Judge: digest},
		{ID: "baidu-qianfan-key", Provider: baidu, Title: title("Baidu Qianfan API key", "百度千帆 API Key"), Severity: leak.High,
			Tokens: []leak.Token{{Prefix: "bce-v3/ALTAK-", Shape: from(leak.NewSet("0-9A-Za-z/"), 60, 64)}}, Judge: func(value []byte) (bool, bool) {
				_, secret, found := bytes.Cut(value[13:], []byte("/"))
				return found && len(secret) == 40 && judge.Hex(secret), found && len(secret) == 40 && judge.Hex(secret) && judge.Random(secret)
			}},
		{ID: "baidu-ai-secret", Provider: baidu, Title: title("Baidu AI or map key", "百度 AI 或地图密钥"), Severity: leak.Medium,
			Named: named(of(alnum, 32), "secretkey", "secret", "apikey", "=ak", "=sk", "key", "mapak", "baiduak"), Judge: mixed},

		{ID: "jdcloud-access-key-id", Provider: jd, Title: title("JD Cloud access key id", "京东云 AccessKey ID"), Severity: leak.Low, Class: leak.Identifier,
			Tokens: tokens(of(upperHex, 28), "JDC_"), Judge: randomTail(4)},
		{ID: "jdcloud-secret-access-key", Provider: jd, Title: title("JD Cloud secret access key", "京东云 AccessKey Secret"), Severity: leak.Critical,
			Pairs: []leak.Pair{{With: "jdcloud-access-key-id", Shape: of(upperHex, 32)}},
			Named: named(of(upperHex, 32), "secretkey", "secretaccesskey", "secret", "accesskeysecret", "=sk"), Judge: digest},
		{ID: "qiniu-key", Provider: qiniu, Title: title("Qiniu secret key", "七牛云 SecretKey"), Severity: leak.Critical,
			Named: named(of(url64, 40), "secretkey", "secret", "=sk", "qiniusk"), Judge: mixed},
		{ID: "ucloud-private-key", Provider: ucloud, Title: title("UCloud API private key", "UCloud API 私钥"), Severity: leak.Critical,
			Named: named(leak.Shape{Set: mixed64, Min: 40, Max: 64, Pad: 2}, "privatekey", "secretkey", "secret"), Judge: random},
		{ID: "qingcloud-secret-key", Provider: qingcloud, Title: title("QingCloud secret access key", "青云 Secret Access Key"), Severity: leak.Critical,
			Named: named(of(alnum, 40), "secretaccesskey", "secretkey", "secret", "=sk"), Judge: mixed},
	}
}

// upperRandom takes ids of capitals and digits, with or without a prefix.
func upperRandom(value []byte) (proven, ok bool) {
	m := judge.MixOf(value)
	return false, m.Digit > 0 && m.Upper > 0 && m.Distinct >= 7 && judge.Random(value) && !judge.Placeholder(value)
}
