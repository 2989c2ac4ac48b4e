package rules

import "github.com/keyward/keyward/internal/leak"

// provider answers a provider whose credentials are exchanged at one place.
func provider(id, en, zh, place string, hints ...string) *leak.Provider {
	return &leak.Provider{ID: id, Name: title(en, zh), Hints: hints, Advice: title(
		"make a new one at "+place+", bring it to all who use it, then disable the old one; removing it from the text is not enough",
		"在 "+place+" 创建新密钥，更新所有使用方，然后停用旧密钥；仅从文本中删除是不够的")}
}

// Who issues what. A provider's hints are long enough to stand nowhere else.
var (
	tencent     = provider("tencent", "Tencent Cloud", "腾讯云", "console.cloud.tencent.com/cam/capi", "tencent", "qcloud", "myqcloud", "cos.ap-", "=cos", "=qc", "=tc", "腾讯云", "tc3-hmac")
	alibaba     = provider("alibaba", "Alibaba Cloud", "阿里云", "ram.console.aliyun.com", "aliyun", "alibaba", "alicloud", "oss-cn", "=oss", "=ali", "阿里云")
	aws         = provider("aws", "AWS", "AWS", "console.aws.amazon.com/iam", "aws", "amazon", "=s3", "boto")
	huawei      = provider("huawei", "Huawei Cloud", "华为云", "console.huaweicloud.com/iam", "huawei", "hwcloud", "obs.cn-", "=hw", "=obs", "华为云")
	volcengine  = provider("volcengine", "Volcengine", "火山引擎", "console.volcengine.com/iam", "volc", "火山", "bytedance", "byteplus")
	kingsoft    = provider("kingsoft", "Kingsoft Cloud", "金山云", "uc.console.ksyun.com", "ksyun", "kingsoft", "金山云", "=ks3")
	baidu       = provider("baidu", "Baidu AI Cloud", "百度智能云", "console.bce.baidu.com/iam", "baidu", "bcebos", "qianfan", "百度", "=bce")
	jd          = provider("jdcloud", "JD Cloud", "京东云", "uc.jdcloud.com/account/accesskey", "jdcloud", "jcloud", "京东云")
	qiniu       = provider("qiniu", "Qiniu", "七牛云", "portal.qiniu.com/user/key", "qiniu", "七牛")
	ucloud      = provider("ucloud", "UCloud", "优刻得 UCloud", "console.ucloud.cn/uapi/apikey", "ucloud")
	qingcloud   = provider("qingcloud", "QingCloud", "青云", "console.qingcloud.com/access_keys", "qingcloud", "=qy", "青云")
	azure       = provider("azure", "Microsoft Azure", "Microsoft Azure", "portal.azure.com", "azure", "core.windows.net", "accountname=")
	google      = provider("google", "Google", "Google", "console.cloud.google.com/apis/credentials", "google", "gcp", "firebase")
	cloudflare  = provider("cloudflare", "Cloudflare", "Cloudflare", "dash.cloudflare.com/profile/api-tokens", "cloudflare", "=cf")
	wechat      = provider("wechat", "WeChat", "微信", "mp.weixin.qq.com", "wechat", "weixin", "=wx", "wx.", "wxapp", "微信", "小程序", "公众号", "jscode2session", "miniprogram")
	wechatPay   = provider("wechatpay", "WeChat Pay", "微信支付", "pay.weixin.qq.com", "wxpay", "wechatpay", "wx_pay", "wechat_pay", "weixinpay", "微信支付", "mchid", "mch_id", "mch-id", "apiv3")
	wecom       = provider("wecom", "WeCom", "企业微信", "work.weixin.qq.com", "wecom", "corpid", "corp_id", "qyapi", "wxwork", "企业微信", "wework", "agentid")
	dingtalk    = provider("dingtalk", "DingTalk", "钉钉", "open-dev.dingtalk.com", "dingtalk", "dingding", "钉钉")
	feishu      = provider("feishu", "Feishu", "飞书", "open.feishu.cn/app", "feishu", "lark", "飞书")
	alipay      = provider("alipay", "Alipay", "支付宝", "open.alipay.com", "alipay", "支付宝", "antpay")
	unionpay    = provider("unionpay", "UnionPay", "银联", "merchant.unionpay.com", "unionpay", "acpsdk", "银联", "chinapay", "upop")
	stripe      = provider("stripe", "Stripe", "Stripe", "dashboard.stripe.com/apikeys", "stripe")
	paypal      = provider("paypal", "PayPal", "PayPal", "developer.paypal.com/dashboard", "paypal", "braintree")
	adyen       = provider("adyen", "Adyen", "Adyen", "ca-live.adyen.com", "adyen")
	square      = provider("square", "Square", "Square", "developer.squareup.com/apps", "square")
	github      = provider("github", "GitHub", "GitHub", "github.com/settings/tokens", "github")
	gitlab      = provider("gitlab", "GitLab", "GitLab", "gitlab.com/-/user_settings/personal_access_tokens", "gitlab")
	gitee       = provider("gitee", "Gitee", "码云 Gitee", "gitee.com/profile/personal_access_tokens", "gitee")
	coding      = provider("coding", "CODING", "CODING", "coding.net/user/account/setting/tokens", "coding.net", "=coding")
	yuque       = provider("yuque", "Yuque", "语雀", "yuque.com/settings/tokens", "yuque", "语雀")
	npm         = provider("npm", "npm", "npm", "npmjs.com/settings", "npm", "npmjs")
	slack       = provider("slack", "Slack", "Slack", "api.slack.com/apps", "slack")
	discord     = provider("discord", "Discord", "Discord", "discord.com/developers", "discord")
	telegram    = provider("telegram", "Telegram", "Telegram", "t.me/BotFather", "telegram", "=tg")
	openai      = provider("openai", "OpenAI", "OpenAI", "platform.openai.com/api-keys", "openai", "chatgpt")
	anthropic   = provider("anthropic", "Anthropic", "Anthropic", "console.anthropic.com/settings/keys", "anthropic", "claude")
	deepseek    = provider("deepseek", "DeepSeek", "DeepSeek 深度求索", "platform.deepseek.com/api_keys", "deepseek", "深度求索")
	dashscope   = provider("dashscope", "Alibaba Cloud Model Studio", "阿里云百炼", "bailian.console.aliyun.com", "dashscope", "bailian", "qwen", "tongyi", "百炼", "通义")
	moonshot    = provider("moonshot", "Moonshot AI", "月之暗面", "platform.moonshot.cn/console/api-keys", "moonshot", "kimi", "月之暗面")
	siliconflow = provider("siliconflow", "SiliconFlow", "硅基流动", "cloud.siliconflow.cn/account/ak", "siliconflow", "硅基流动", "=silicon")
	zhipu       = provider("zhipu", "Zhipu AI", "智谱", "open.bigmodel.cn/usercenter/apikeys", "zhipu", "bigmodel", "chatglm", "glm-", "智谱")
	ark         = provider("ark", "Volcengine Ark", "火山方舟", "console.volcengine.com/ark", "=ark", "ark.cn", "volces", "方舟", "doubao", "豆包", "volcengineruntime")
	amap        = provider("amap", "Amap", "高德地图", "console.amap.com/dev/key", "amap", "高德", "autonavi")
	jpush       = provider("jpush", "JPush", "极光推送", "jiguang.cn/dev2", "jpush", "jiguang", "极光")
	getui       = provider("getui", "Getui", "个推", "dev.getui.com", "getui", "个推", "gtpush")
	umeng       = provider("umeng", "Umeng", "友盟", "umeng.com", "umeng", "友盟")
	twilio      = provider("twilio", "Twilio", "Twilio", "console.twilio.com", "twilio")
	keyward     = &leak.Provider{ID: "keyward", Name: title("keyward", "keyward"), Hints: []string{"keyward"}, Advice: title(
		"make a new one with keyward user accesskey create, bring it to all who use it, then disable the old one; removing it from the text is not enough",
		"用 keyward user accesskey create 创建新密钥，更新所有使用方，然后停用旧密钥；仅从文本中删除是不够的")}
	anybody = &leak.Provider{ID: "generic", Name: title("unknown", "未知"), Advice: title(
		"replace it at the system that it opens, bring the new one to all who use it, and keep that one out of the text; removing the old one from the text is not enough",
		"在使用该凭证的系统中更换它，更新所有使用方，不要再写入文本；仅从文本中删除旧值是不够的")}
)

// service answers a provider whose tokens have a form of their own, so that it needs no
// hints but its name.
func service(id, name, place string) *leak.Provider { return provider(id, name, name, place, id) }
