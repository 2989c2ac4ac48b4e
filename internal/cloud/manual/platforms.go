package manual

import (
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/form"
)

// alipayOverlap is how long Alipay takes the old key or certificate after a change.
const alipayOverlap = 7 * 24 * time.Hour

func step(english, chinese string) form.Text { return form.Text{English: english, Chinese: chinese} }

func required(name, english, chinese string) form.Field {
	return form.Field{Name: name, Required: true, Help: form.Text{English: english, Chinese: chinese}}
}

func optional(name, english, chinese string) form.Field {
	return form.Field{Name: name, Help: form.Text{English: english, Chinese: chinese}}
}

func wechatPayCertificate() guide {
	return guide{
		Name:  "wechatpay-merchant-certificate",
		Title: form.Text{English: "WeChat Pay: merchant API certificate", Chinese: "微信支付:商户 API 证书"},
		Steps: []form.Text{
			step("As super administrator open pay.weixin.qq.com: Account Center, API security, merchant API certificate, Apply. At most three are valid at once, and a new one does not touch the others: revoke none yet.",
				"超级管理员登录商户平台 pay.weixin.qq.com:账户中心 → API安全 → 商户API证书 → 申请证书。最多 3 张同时有效,申请新证书不影响旧证书,先不要作废旧证书。"),
			step("Download the certificate tool from that page, enter the merchant id and name, and copy the request into the page.",
				"在该页面下载证书工具,填写商户号与商户名称,复制证书请求串并粘贴到商户平台。"),
			step("Confirm with the operation password and the SMS code, and copy the certificate back into the tool, which writes apiclient_cert.pem and apiclient_key.pem.",
				"输入操作密码与短信验证码,将证书串复制回证书工具,生成 apiclient_cert.pem 与 apiclient_key.pem。"),
			step("Enter both files here. Erase them where the tool wrote them.",
				"在此录入这两个文件,然后删除证书工具所在机器上的副本。"),
			step("When all programs sign with the new one and the console shows no use of the old one since yesterday: Manage certificates, Revoke. A revoked one can be restored for seven days.",
				"所有程序改用新证书、且“管理证书”中旧证书昨日使用量为 0 后,再作废旧证书;作废后 7 日内可恢复。"),
		},
		Form: form.Form{
			Settings: []form.Field{{Name: "mchid", Required: true, Help: form.Text{English: "merchant id", Chinese: "商户号"}, Example: "1900000001"}},
			Credential: []form.Field{
				required("certificate", "the whole of apiclient_cert.pem", "apiclient_cert.pem 的全部内容(商户 API 证书)"),
				required("private_key", "the whole of apiclient_key.pem", "apiclient_key.pem 的全部内容(商户 API 私钥)"),
			},
		},
		Capabilities: accesskey.Capabilities{MaxKeys: 3, Undo: 7 * 24 * time.Hour, Expiry: true, Manual: true},
		check:        checkWechatPayCertificate,
	}
}

func wechatPayKey() guide {
	return guide{
		Name:  "wechatpay-apiv3-key",
		Title: form.Text{English: "WeChat Pay: APIv3 key", Chinese: "微信支付:APIv3 密钥"},
		Steps: []form.Text{
			step("Let all programs decrypt callbacks with two keys first, the new one and then the old one: from the change on, WeChat Pay uses the new one at once.",
				"先让所有程序支持用新、旧两个密钥依次尝试解密回调:更换后微信支付立即使用新密钥。"),
			step("Make 32 random letters and digits, for example: openssl rand -hex 16",
				"生成 32 个随机字母或数字,例如:openssl rand -hex 16"),
			step("Enter them here before you change anything at the console, and deliver them to all programs.",
				"先在此录入并下发到所有程序,再去控制台更换。"),
			step("As super administrator open pay.weixin.qq.com: Account Center, API security, APIv3 key, Change; enter the key, the operation password and the SMS code. The console never shows the key again.",
				"超级管理员登录商户平台:账户中心 → API安全 → APIv3密钥 → 修改;输入新密钥、操作密码与短信验证码。此后控制台不再显示该密钥。"),
		},
		Form: form.Form{
			Settings:   []form.Field{{Name: "mchid", Required: true, Help: form.Text{English: "merchant id", Chinese: "商户号"}, Example: "1900000001"}},
			Credential: []form.Field{required("api_v3_key", "the APIv3 key: 32 letters and digits", "APIv3 密钥:32 个字母或数字")},
		},
		Capabilities: accesskey.Capabilities{MaxKeys: 1, Manual: true},
		check:        checkWechatPayKey,
	}
}

func alipayKey() guide {
	return guide{
		Name:  "alipay-signing-key",
		Title: form.Text{English: "Alipay: signing key of an application (public key mode)", Chinese: "支付宝:应用私钥(接口加签方式:密钥)"},
		Steps: []form.Text{
			step("Make a key pair with Alipay's key tool (RSA2; SM2 where your application has it), and enter both keys here.",
				"用支付宝密钥工具生成密钥对(RSA2;已开通国密的应用可选 SM2),并在此录入应用私钥与应用公钥。"),
			step("At open.alipay.com open the application: Development settings, Interface signing mode, Change; paste the application's public key.",
				"登录 open.alipay.com,进入应用:开发设置 → 接口加签方式 → 变更,粘贴应用公钥。"),
			step("From then on both keys sign, the old one for seven days. Plan the change of all programs within half of that. Until then “Undo change” goes back; do not press “Void now”.",
				"变更立即生效,旧密钥 7 天后失效;请在 3 天半内完成所有程序的切换。期间可“撤销变更”;不要点击“立即作废”。"),
			step("Copy the Alipay public key that the page shows then, and enter it here, too.",
				"复制页面随后显示的支付宝公钥,一并在此录入。"),
		},
		Form: form.Form{
			Settings: []form.Field{{Name: "app_id", Required: true, Help: form.Text{English: "application id (APPID)", Chinese: "应用 APPID"}, Example: "2021000000000000"}},
			Credential: []form.Field{
				required("private_key", "the application's private key, one line of Base64 or PEM", "应用私钥(一行 Base64 或 PEM)"),
				required("public_key", "the application's public key, as it is pasted into the console", "应用公钥(粘贴到控制台的那一个)"),
				optional("alipay_public_key", "Alipay's public key, which the console shows", "支付宝公钥(控制台显示的那一个)"),
			},
		},
		Capabilities: accesskey.Capabilities{MaxKeys: 2, Undo: alipayOverlap, Manual: true, OwnClock: true},
		check:        checkAlipayKey,
	}
}

func alipayCertificates() guide {
	return guide{
		Name:  "alipay-certificates",
		Title: form.Text{English: "Alipay: certificates of an application (certificate mode)", Chinese: "支付宝:应用公钥证书(接口加签方式:证书)"},
		Steps: []form.Text{
			step("Make a request (CSR) with Alipay's key tool; it keeps the application's private key.",
				"用支付宝密钥工具生成 CSR 文件,同时得到应用私钥。"),
			step("At open.alipay.com open the application: Development settings, Interface signing mode, Change, Certificate; upload the CSR.",
				"登录 open.alipay.com,进入应用:开发设置 → 接口加签方式 → 变更 → 证书,上传 CSR 文件。"),
			step("Download the three certificates and enter them here with the private key. The programs need them all: they send the serial numbers of two of them.",
				"下载应用公钥证书、支付宝公钥证书、支付宝根证书三个文件,连同应用私钥在此录入。程序三个都需要。"),
			step("The old certificate works for seven days. Plan the change of all programs within half of that. Until then “Undo change” goes back; do not press “Void now”.",
				"旧证书 7 天后失效;请在 3 天半内完成所有程序的切换。期间可“撤销变更”;不要点击“立即作废”。"),
		},
		Form: form.Form{
			Settings: []form.Field{{Name: "app_id", Required: true, Help: form.Text{English: "application id (APPID)", Chinese: "应用 APPID"}, Example: "2021000000000000"}},
			Credential: []form.Field{
				required("app_certificate", "the application's certificate, appCertPublicKey_….crt", "应用公钥证书 appCertPublicKey_….crt"),
				required("alipay_certificate", "Alipay's certificate, alipayCertPublicKey_RSA2.crt", "支付宝公钥证书 alipayCertPublicKey_RSA2.crt"),
				required("alipay_root", "Alipay's root certificates, alipayRootCert.crt", "支付宝根证书 alipayRootCert.crt"),
				required("private_key", "the application's private key, one line of Base64 or PEM", "应用私钥(一行 Base64 或 PEM)"),
			},
		},
		Capabilities: accesskey.Capabilities{MaxKeys: 2, Undo: alipayOverlap, Expiry: true, Manual: true, OwnClock: true},
		check:        checkAlipayCertificates,
	}
}

func unionPayCertificate() guide {
	return guide{
		Name:  "unionpay-merchant-certificate",
		Title: form.Text{English: "UnionPay: merchant signing certificate", Chinese: "银联:商户私钥证书(.pfx)"},
		Steps: []form.Text{
			step("Get the new certificate at the merchant service site as you got the first one: the mail about your admission names the site, and the authority's two codes.",
				"按商户入网时的方式,在商户服务平台下载新的商户私钥证书(见商户入网通知邮件,含 CFCA 两码)。"),
			step("Export it from the browser or the tool with its private key as .pfx, under a password. Check that it is of production, not of the test environment.",
				"连同私钥导出为 .pfx 文件并设置密码。确认是生产证书而非测试证书。"),
			step("Enter the file and its password here.", "在此录入该文件及其密码。"),
			step("Let the programs verify UnionPay's answers with its old and its new certificate, too: an answer that does not verify must never be paid twice.",
				"程序验签时应同时支持银联新、旧公钥证书:验签失败的应答不得重复出款。"),
		},
		Form: form.Form{
			Settings: []form.Field{{Name: "mer_id", Required: true, Help: form.Text{English: "merchant number (merId)", Chinese: "商户号 merId"}, Example: "777290000000001"}},
			Credential: []form.Field{
				required("pfx", "the .pfx file, or its Base64", ".pfx 文件,或其 Base64"),
				required("password", "the password of the file", "该文件的密码"),
			},
		},
		Capabilities: accesskey.Capabilities{Expiry: true, Manual: true},
		check:        checkUnionPayCertificate,
	}
}

func payPalSecret() guide {
	return guide{
		Name:  "paypal-rest-secret",
		Title: form.Text{English: "PayPal: secret of a REST application", Chinese: "PayPal:REST 应用密钥(secret)"},
		Steps: []form.Text{
			step("At developer.paypal.com open Apps & Credentials, Live, and the application.",
				"登录 developer.paypal.com:Apps & Credentials → Live → 选择应用。"),
			step("Add a second secret. An application has at most two: if there are two, delete the disabled one first.",
				"新增第二个 secret。每个应用最多两个;若已有两个,先删除已停用的那个。"),
			step("Copy it at once and enter it here.", "立即复制并在此录入。"),
			step("When all programs use the new one, disable the old one. It can be enabled again until it is deleted.",
				"所有程序改用新 secret 后,停用(Disable)旧 secret;删除之前可重新启用。"),
		},
		Form: form.Form{
			Settings:   []form.Field{{Name: "client_id", Required: true, Help: form.Text{English: "client id of the application", Chinese: "应用的 Client ID"}}},
			Credential: []form.Field{required("secret", "the new secret", "新的 secret")},
		},
		Capabilities: accesskey.Capabilities{MaxKeys: 2, Disable: true, Manual: true},
		check:        checkPayPalSecret,
	}
}

func anyKey() guide {
	return guide{
		Name:  "other",
		Title: form.Text{English: "any other key", Chinese: "其他密钥"},
		Steps: []form.Text{
			step("Make a new key at its console. Leave the old one valid if the console lets you.",
				"在对应控制台创建新密钥;如控制台允许,先保留旧密钥。"),
			step("Enter it here, with the day on which it ends if you know it.", "在此录入;如已知失效时间请一并填写。"),
			step("When all programs use the new one, switch the old one off and watch for a day before you delete it.",
				"所有程序改用新密钥后,停用旧密钥,观察一天后再删除。"),
		},
		Form: form.Form{
			Settings: []form.Field{
				{Name: "name", Required: true, Help: form.Text{English: "what the key is known by at its console, never the key itself", Chinese: "密钥在控制台中的名称或编号(不是密钥本身)"}, Example: "acquirer-east/api-key-2"},
				{Name: "expires_at", Help: form.Text{English: "when it ends, with the zone (RFC 3339)", Chinese: "失效时间,须带时区(RFC 3339)"}, Example: "2027-03-31T23:59:59+08:00"},
			},
			Credential: []form.Field{required("value", "the key", "密钥")},
		},
		Capabilities: accesskey.Capabilities{Manual: true},
		check:        checkAnyKey,
	}
}
