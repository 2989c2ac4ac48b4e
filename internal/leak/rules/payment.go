package rules

import (
	"bytes"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/judge"
)

// payment are the platforms that move money. Their signing keys are private keys, which
// structures finds in every form.
func payment() []leak.Rule {
	return []leak.Rule{
		{ID: "wechatpay-api-key", Provider: wechatPay, Title: title("WeChat Pay API key", "微信支付 API 密钥"), Severity: leak.Critical,
			Named: []leak.Named{{Names: []string{"apiv3key", "apikeyv3", "apiv3secret", "mchkey", "mchapikey", "mchsecret", "wxpaykey", "wechatpaykey", "apiv2key", "wxpayapikey"}, Shape: of(alnum, 32), Alone: true},
				{Names: []string{"apikey", "paykey", "partnerkey", "signkey", "v3key", "merchantkey", "secret", "=key"}, Shape: of(alnum, 32)}}, Judge: random},
		{ID: "alipay-aes-key", Provider: alipay, Title: title("Alipay content encryption key", "支付宝接口内容加密密钥"), Severity: leak.High,
			Named: named(leak.Shape{Set: base64, Min: 22, Max: 22, Pad: 2}, "aeskey", "encryptkey", "encryptionkey", "decryptkey"), Judge: random},
		{ID: "unionpay-certificate-password", Provider: unionpay, Title: title("UnionPay signing certificate's password", "银联签名证书密码"), Severity: leak.High,
			Named: []leak.Named{{Names: []string{"signcertpwd", "signcertpassword"}, Shape: from(anything, 6, 64), Alone: true}, {Names: []string{"certpwd", "certpassword", "pfxpwd", "pfxpassword"}, Shape: from(anything, 6, 64)}}, Judge: pin},
		{ID: "hex-private-key", Provider: anybody, Title: title("private key in hexadecimal (SM2 or another curve)", "十六进制私钥（SM2 等椭圆曲线）"), Severity: leak.Critical,
			Named: []leak.Named{{Names: []string{"privatekey", "prikey", "privkey", "prvkey", "私钥", "secretkey"}, Shape: of(anyHex, 64), Alone: true}}, Judge: digest},

		{ID: "stripe-secret-key", Provider: stripe, Title: title("Stripe secret key", "Stripe 密钥"), Severity: leak.Critical,
			Tokens: tokens(from(alnum, 24, 247), "sk_live_", "rk_live_"), Judge: randomTail(8)},
		{ID: "stripe-test-key", Provider: stripe, Title: title("Stripe test key", "Stripe 测试密钥"), Severity: leak.Low,
			Tokens: tokens(from(alnum, 24, 247), "sk_test_", "rk_test_"), Judge: randomTail(8)},
		{ID: "stripe-webhook-secret", Provider: stripe, Title: title("Stripe webhook signing secret", "Stripe Webhook 签名密钥"), Severity: leak.High,
			Tokens: token("whsec_", from(base64, 32, 64)), Judge: randomTail(6)},
		{ID: "paypal-client-secret", Provider: paypal, Title: title("PayPal client secret", "PayPal Client Secret"), Severity: leak.Critical,
			Named: named(of(url64, 80), "secret", "clientsecret", "secretkey"), Judge: mixed},
		{ID: "adyen-api-key", Provider: adyen, Title: title("Adyen API key", "Adyen API 密钥"), Severity: leak.Critical,
			Named: named(leak.Shape{Set: leak.NewSet("0-9A-Za-z+/=-"), Min: 60, Max: 400}, "apikey", "key", "token"), Judge: func(v []byte) (bool, bool) {
				return false, bytes.HasPrefix(v, []byte("AQE")) && judge.Random(v)
			}},
		{ID: "adyen-hmac-key", Provider: adyen, Title: title("Adyen HMAC key", "Adyen HMAC 密钥"), Severity: leak.High,
			Named: named(of(upperHex, 64), "hmackey", "hmacsecret", "key"), Judge: digest},
		{ID: "square-access-token", Provider: square, Title: title("Square access token", "Square 访问令牌"), Severity: leak.Critical,
			Tokens: []leak.Token{{Prefix: "EAAA", Shape: of(url64, 60)}, {Prefix: "sq0atp-", Shape: of(url64, 22)}, {Prefix: "sq0csp-", Shape: of(url64, 43)}}, Judge: randomTail(4)},
	}
}

// pin takes short passwords of certificates, which often are digits alone.
func pin(value []byte) (proven, ok bool) {
	m := judge.MixOf(value)
	return false, !judge.Placeholder(value) && !judge.CodeLike(value) && !judge.Common(value) && (m.Digit > 0 || m.Other > 0)
}
