// Package leaktest makes labelled cases for tests of the scanner: every kind of credential,
// in every context in which people leave it, and things that look like credentials and are
// none.
//
// All values are made at run time from a seed: the repository holds no string that a
// scanner would take for a token, so that nobody's push is blocked by our tests, and none
// of them was ever issued.
package leaktest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"strings"

	"github.com/keyward/keyward/internal/leak/judge"
)

// A Kind is a kind of credential, with fresh values.
type Kind struct {
	Rule   string // that must find it
	Name   string // of the variable that holds the secret
	Secret string
	IDName string // of the identifier's; "" if there is none
	ID     string
	// Form says that the secret has a form of its own, so that it must be found without a name.
	Form bool
}

// A Maker makes kinds and cases. It is for one goroutine.
type Maker struct{ r *rand.Rand }

// New answers a maker whose values depend on the seed alone.
func New(seed uint64) *Maker { return &Maker{rand.New(rand.NewPCG(seed, 7))} }

const (
	digits   = "0123456789"
	lower    = "abcdefghijklmnopqrstuvwxyz"
	upper    = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	alnum    = digits + upper + lower
	hexLower = "0123456789abcdef"
	url64    = alnum + "_-"
	std64    = alnum + "+/"
	base32   = upper + "234567"
)

// of answers n random characters of a set, of which the first and the last are letters or
// digits, and among which there are several kinds where the set has them.
func (m *Maker) of(set string, n int) string {
	for {
		b := make([]byte, n)
		for i := range b {
			b[i] = set[m.r.IntN(len(set))]
		}
		first, last := strings.IndexByte(alnum, b[0]) >= 0, strings.IndexByte(alnum, b[n-1]) >= 0
		if v := judge.MixOf(b); first && last && (n < 12 || v.Distinct >= 6) && (set != alnum && set != url64 && set != std64 || v.Digit > 0 && v.Lower > 0 && v.Upper > 0 || n < 8) {
			return string(b)
		}
	}
}

func (m *Maker) uuid() string {
	h := m.of(hexLower, 32)
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:]
}

// Kinds answers one of every kind.
func (m *Maker) Kinds() []Kind {
	kinds := append(m.clouds(), m.others()...)
	return append(kinds, m.structures()...)
}

func (m *Maker) clouds() []Kind {
	volc := func(prefix string) string {
		return prefix + base64.RawStdEncoding.EncodeToString([]byte(m.of(hexLower, 32)))
	}
	return []Kind{
		{Rule: "tencent-secret-key", Name: "TENCENTCLOUD_SECRET_KEY", Secret: m.of(alnum, 32), IDName: "TENCENTCLOUD_SECRET_ID", ID: "AK" + "ID" + m.of(alnum, 32)},
		{Rule: "tencent-secret-key", Name: "secretKey", Secret: m.of(alnum, 32), IDName: "secretId", ID: "IK" + "ID" + m.of(alnum, 32)},
		{Rule: "tencent-secret-key", Name: "cos_secret_key", Secret: m.of(alnum, 32)},
		{Rule: "tencent-temporary-key", Name: "tmpSecretKey", Secret: base64.StdEncoding.EncodeToString([]byte(m.of(alnum, 32))), IDName: "tmpSecretId", ID: "AK" + "ID" + m.of(url64, 64)},
		{Rule: "alibaba-access-key-secret", Name: "ALIBABA_CLOUD_ACCESS_KEY_SECRET", Secret: m.of(alnum, 30), IDName: "ALIBABA_CLOUD_ACCESS_KEY_ID", ID: "LT" + "AI" + m.of(alnum, 20)},
		{Rule: "alibaba-access-key-secret", Name: "accessKeySecret", Secret: m.of(alnum, 30), IDName: "accessKeyId", ID: "LT" + "AI" + m.of(alnum, 12)},
		{Rule: "alibaba-sts-secret", Name: "AccessKeySecret", Secret: m.of(alnum, 44), IDName: "AccessKeyId", ID: "ST" + "S." + m.of(alnum, 25)},
		{Rule: "alibaba-sts-token", Name: "SecurityToken", Secret: "CA" + "IS" + m.of(alnum, 300), Form: true},
		{Rule: "aws-secret-access-key", Name: "AWS_SECRET_ACCESS_KEY", Secret: m.of(std64, 40), IDName: "AWS_ACCESS_KEY_ID", ID: "AK" + "IA" + m.of(base32, 16)},
		{Rule: "huawei-secret-access-key", Name: "HUAWEICLOUD_SDK_SK", Secret: m.of(alnum, 40), IDName: "HUAWEICLOUD_SDK_AK", ID: m.of(upper+digits, 20)},
		{Rule: "huawei-secret-access-key", Name: "secretKey", Secret: m.of(alnum, 40), IDName: "accessKey", ID: "HP" + "UA" + m.of(upper+digits, 16)},
		{Rule: "volcengine-secret-access-key", Name: "VOLC_SECRETKEY", Secret: base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(m.of(hexLower, 32))))), IDName: "VOLC_ACCESSKEY", ID: volc("AK" + "LT")},
		{Rule: "kingsoft-secret-access-key", Name: "secretAccessKey", Secret: m.of(std64, 44), IDName: "accessKeyId", ID: "AK" + "LT" + m.of(url64, 20)},
		{Rule: "baidu-secret-access-key", Name: "secretAccessKey", Secret: m.of(hexLower, 32), IDName: "accessKeyId", ID: "AL" + "TAK" + m.of(alnum, 21)},
		{Rule: "baidu-qianfan-key", Name: "QIANFAN_TOKEN", Secret: "bce-v3/AL" + "TAK-" + m.of(alnum, 21) + "/" + m.of(hexLower, 40), Form: true},
		{Rule: "jdcloud-secret-access-key", Name: "secretAccessKey", Secret: m.of("0123456789ABCDEF", 32), IDName: "accessKeyId", ID: "JD" + "C_" + m.of("0123456789ABCDEF", 28)},
		{Rule: "qiniu-key", Name: "QINIU_SECRET_KEY", Secret: m.of(url64, 40)},
		{Rule: "ucloud-private-key", Name: "UCLOUD_PRIVATE_KEY", Secret: m.of(alnum, 44)},
		{Rule: "qingcloud-secret-key", Name: "QINGCLOUD_SECRET_ACCESS_KEY", Secret: m.of(alnum, 40)},
		{Rule: "azure-storage-key", Name: "AZURE_STORAGE_KEY", Secret: m.of(std64, 86) + "=="},
		{Rule: "google-api-key", Name: "GOOGLE_API_KEY", Secret: "AI" + "za" + m.of(url64, 35), Form: true},
		{Rule: "cloudflare-api-token", Name: "CLOUDFLARE_API_TOKEN", Secret: m.of(url64, 40)},
		{Rule: "digitalocean-token", Name: "token", Secret: "dop" + "_v1_" + m.of(hexLower, 64), Form: true},
	}
}

// crc answers a token with GitHub's checksum.
func (m *Maker) crc(prefix string) string { return judge.WithCRC62(prefix, m.of(alnum, 30)) }

// keyward answers a secret of keyward's own.
func (m *Maker) keyward() string {
	body := "kw" + "sk_" + m.of(alnum, 43)
	sum, out := crc32.ChecksumIEEE([]byte(body)), make([]byte, 6)
	for i := 5; i >= 0; i-- {
		out[i] = alnum[sum%62]
		sum /= 62
	}
	return body + string(out)
}

func (m *Maker) jwt() string {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	return part(`{"alg":"HS256","typ":"JWT"}`) + "." + part(`{"sub":"`+m.of(digits, 10)+`","exp":1700000000}`) + "." + m.of(url64, 43)
}

func (m *Maker) others() []Kind {
	return []Kind{
		{Rule: "wechat-app-secret", Name: "appSecret", Secret: m.of(hexLower, 32), IDName: "appId", ID: "w" + "x" + m.of(hexLower, 16)},
		{Rule: "wechat-app-secret", Name: "WECHAT_SECRET", Secret: m.of(hexLower, 32)},
		{Rule: "wechat-aes-key", Name: "EncodingAESKey", Secret: m.of(alnum, 43)},
		{Rule: "wechatpay-api-key", Name: "wxpay.apiV3Key", Secret: m.of(alnum, 32)},
		{Rule: "wechatpay-api-key", Name: "mch_key", Secret: m.of(alnum, 32)},
		{Rule: "wecom-corp-secret", Name: "corpsecret", Secret: m.of(url64, 43), IDName: "corpid", ID: "w" + "w" + m.of(hexLower, 16)},
		{Rule: "wecom-webhook", Name: "webhook", Secret: m.uuid(), Form: true},
		{Rule: "dingtalk-webhook", Name: "webhook", Secret: m.of(hexLower, 64), Form: true},
		{Rule: "dingtalk-robot-secret", Name: "secret", Secret: "SE" + "C" + m.of(hexLower, 64), Form: true},
		{Rule: "dingtalk-app-secret", Name: "appSecret", Secret: m.of(url64, 64), IDName: "appKey", ID: "di" + "ng" + m.of(lower+digits, 15) + "7"},
		{Rule: "feishu-app-secret", Name: "app_secret", Secret: m.of(alnum, 32), IDName: "app_id", ID: "cl" + "i_" + m.of(lower+digits, 15) + "4"},
		{Rule: "feishu-webhook", Name: "webhook", Secret: m.uuid(), Form: true},
		{Rule: "alipay-aes-key", Name: "alipay_aes_key", Secret: m.of(std64, 22) + "=="},
		{Rule: "unionpay-certificate-password", Name: "acpsdk.signCert.pwd", Secret: m.of(digits, 5) + "8"},
		{Rule: "hex-private-key", Name: "sm2PrivateKey", Secret: m.of(hexLower, 64)},
		{Rule: "stripe-secret-key", Name: "STRIPE_KEY", Secret: "sk" + "_live_" + m.of(alnum, 24), Form: true},
		{Rule: "stripe-webhook-secret", Name: "endpoint_secret", Secret: "wh" + "sec_" + m.of(alnum, 32), Form: true},
		{Rule: "paypal-client-secret", Name: "PAYPAL_CLIENT_SECRET", Secret: "E" + m.of(url64, 79)},
		{Rule: "adyen-hmac-key", Name: "ADYEN_HMAC_KEY", Secret: m.of("0123456789ABCDEF", 64)},
		{Rule: "github-token", Name: "GITHUB_TOKEN", Secret: m.crc("gh" + "p_"), Form: true},
		{Rule: "github-fine-grained-token", Name: "token", Secret: "github" + "_pat_" + m.of(alnum, 22) + "_" + m.of(alnum, 59), Form: true},
		{Rule: "npm-token", Name: "//registry.npmjs.org/:_authToken", Secret: m.crc("np" + "m_"), Form: true},
		{Rule: "gitlab-token", Name: "GITLAB_TOKEN", Secret: "gl" + "pat-" + m.of(alnum, 20), Form: true},
		{Rule: "gitee-token", Name: "GITEE_ACCESS_TOKEN", Secret: m.of(hexLower, 32)},
		{Rule: "slack-token", Name: "SLACK_TOKEN", Secret: "xo" + "xb-" + m.of(digits, 12) + "-" + m.of(digits, 12) + "-" + m.of(alnum, 24), Form: true},
		{Rule: "openai-key", Name: "OPENAI_API_KEY", Secret: "s" + "k-" + m.of(alnum, 20) + "T3Blbk" + "FJ" + m.of(alnum, 20), Form: true},
		{Rule: "anthropic-key", Name: "ANTHROPIC_API_KEY", Secret: "sk-" + "ant-api03-" + m.of(url64, 93) + "AA", Form: true},
		{Rule: "deepseek-key", Name: "DEEPSEEK_API_KEY", Secret: "s" + "k-" + m.of(hexLower, 32)},
		{Rule: "dashscope-key", Name: "DASHSCOPE_API_KEY", Secret: "s" + "k-" + m.of(hexLower, 32)},
		{Rule: "moonshot-key", Name: "MOONSHOT_API_KEY", Secret: "s" + "k-" + m.of(alnum, 48), Form: true},
		{Rule: "siliconflow-key", Name: "SILICONFLOW_API_KEY", Secret: "s" + "k-" + m.of(lower, 48), Form: true},
		{Rule: "zhipu-key", Name: "ZHIPUAI_API_KEY", Secret: m.of(hexLower, 32) + "." + m.of(alnum, 16)},
		{Rule: "ark-key", Name: "ARK_API_KEY", Secret: m.uuid()},
		{Rule: "jpush-master-secret", Name: "jpush.masterSecret", Secret: m.of(hexLower, 24)},
		{Rule: "sendgrid-token", Name: "SENDGRID", Secret: "S" + "G." + m.of(alnum, 22) + "." + m.of(alnum, 43), Form: true},
		{Rule: "telegram-bot-token", Name: "BOT", Secret: "7" + m.of(digits, 9) + ":A" + "A" + m.of(alnum, 33), Form: true},
		{Rule: "keyward-access-key-secret", Name: "KEYWARD_ACCESS_KEY_SECRET", Secret: m.keyward(), Form: true},
		{Rule: "jwt", Name: "session", Secret: m.jwt(), Form: true},
		{Rule: "generic-password", Name: "DB_PASSWORD", Secret: "Zx" + m.of(digits, 1) + "#k" + m.of(alnum, 6) + "!"},
		{Rule: "generic-password", Name: "spring.datasource.password", Secret: m.of(lower, 5) + "@" + m.of(digits, 4)},
		{Rule: "generic-secret", Name: "jwt.secret", Secret: m.of(alnum, 32)},
		{Rule: "generic-secret", Name: "encryptionKey", Secret: m.of(alnum, 24)},
	}
}

// A source of randomness for keys, which are made anew and never used.
type source struct{ r *rand.Rand }

func (s source) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(s.r.Uint32())
	}
	return len(b), nil
}

var _ io.Reader = source{}

func (m *Maker) structures() []Kind {
	key, err := rsa.GenerateKey(source{m.r}, 2048)
	if err != nil {
		panic(err) // a test cannot go on
	}
	pkcs1 := x509.MarshalPKCS1PrivateKey(key)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), source{m.r})
	if err != nil {
		panic(err)
	}
	ec, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		panic(err)
	}
	file := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return []Kind{
		{Rule: "private-key", Name: "key", Secret: file("RSA PRIV"+"ATE KEY", pkcs1), Form: true},
		{Rule: "private-key", Name: "key", Secret: file("PRIV"+"ATE KEY", pkcs8), Form: true},
		{Rule: "private-key-bare", Name: "alipay.privateKey", Secret: base64.StdEncoding.EncodeToString(pkcs8), Form: true},
		{Rule: "private-key-bare", Name: "rsa", Secret: base64.StdEncoding.EncodeToString(pkcs1), Form: true},
		{Rule: "private-key-bare", Name: "ec", Secret: base64.StdEncoding.EncodeToString(ec), Form: true},
		{Rule: "private-key-bare", Name: "sm2", Secret: base64.StdEncoding.EncodeToString(m.sm2()), Form: true},
		{Rule: "url-password", Name: "DATABASE_URL", Secret: m.of(alnum, 14), Form: true},
	}
}

// sm2 answers a PKCS#8 key with the curve's object identifier, GM/T 0006.
func (m *Maker) sm2() []byte {
	head, err := hex.DecodeString("308187020100301306072a8648ce3d020106082a811ccf5501822d046d306b0201010420")
	if err != nil {
		panic(err)
	}
	der := append(head, m.of(alnum, 32)...)
	der = append(der, 0xa1, 0x44, 0x03, 0x42, 0x00, 0x04)
	return append(der, m.of(alnum, 64)...)
}

// Carry answers how a secret stands in text: as it is, or within the structure that makes
// it one.
func (k Kind) Carry() string {
	switch k.Rule {
	case "wecom-webhook":
		return "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=" + k.Secret
	case "dingtalk-webhook":
		return "https://oapi.dingtalk.com/robot/send?access_token=" + k.Secret
	case "feishu-webhook":
		return "https://open.feishu.cn/open-apis/bot/v2/hook/" + k.Secret
	case "url-password":
		return "mysql://app:" + k.Secret + "@10.3.0.7:3306/orders"
	}
	return k.Secret
}

// encoded answers the kind as base64 has it.
func (k Kind) encoded() Kind {
	k.Secret = base64.StdEncoding.EncodeToString([]byte(k.Carry()))
	k.ID = base64.StdEncoding.EncodeToString([]byte(k.ID))
	k.Rule = ""
	return k
}

// String answers the rule and the name.
func (k Kind) String() string { return fmt.Sprintf("%s/%s", k.Rule, k.Name) }
