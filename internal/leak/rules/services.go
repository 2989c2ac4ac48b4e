package rules

import (
	"bytes"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/judge"
)

// crc62 is the judge of tokens whose last characters are a checksum of what follows the
// prefix.
func crc62(prefix int) func([]byte) (bool, bool) {
	return proof(func(v []byte) bool { return judge.CRC62(v, prefix) })
}

// platforms are where code lives.
func platforms() []leak.Rule {
	return []leak.Rule{
		{ID: "github-token", Provider: github, Title: title("GitHub token", "GitHub 令牌"), Severity: leak.Critical,
			Tokens: tokens(of(alnum, 36), "ghp_", "gho_", "ghu_", "ghs_", "ghr_"), Judge: crc62(4)},
		{ID: "github-fine-grained-token", Provider: github, Title: title("GitHub fine-grained token", "GitHub 细粒度令牌"), Severity: leak.Critical,
			Tokens: token("github_pat_", of(leak.NewSet("0-9A-Za-z_"), 82)), Judge: randomTail(11)},
		{ID: "gitlab-token", Provider: gitlab, Title: title("GitLab token", "GitLab 令牌"), Severity: leak.Critical,
			Tokens: tokens(from(dotted, 20, 300), "glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "glsoat-", "glft-", "glimt-", "glagent-"), Judge: func(v []byte) (bool, bool) {
				_, tail, _ := bytes.Cut(v, []byte("-"))
				return random(tail)
			}},
		{ID: "gitee-token", Provider: gitee, Title: title("Gitee token", "Gitee 私人令牌"), Severity: leak.High,
			Named: named(of(hex, 32), "token", "accesstoken", "secret", "clientsecret", "key"), Judge: digest},
		{ID: "coding-token", Provider: coding, Title: title("CODING token", "CODING 令牌"), Severity: leak.High,
			Named: named(of(hex, 40), "token", "accesstoken", "password"), Judge: digest},
		{ID: "yuque-token", Provider: yuque, Title: title("Yuque token", "语雀 Token"), Severity: leak.High,
			Named: named(of(alnum, 40), "token", "authtoken"), Judge: mixed},
		{ID: "npm-token", Provider: npm, Title: title("npm token", "npm 令牌"), Severity: leak.Critical,
			Tokens: token("npm_", of(alnum, 36)), Judge: crc62(4)},
		{ID: "pypi-token", Provider: service("pypi", "PyPI", "pypi.org/manage/account"), Title: title("PyPI token", "PyPI 令牌"), Severity: leak.Critical,
			Tokens: token("pypi-"+"AgEIcHlwaS5vcmc", from(url64, 50, 1000))},
		{ID: "rubygems-token", Provider: service("rubygems", "RubyGems", "rubygems.org/settings"), Title: title("RubyGems token", "RubyGems 令牌"), Severity: leak.Critical,
			Tokens: token("rubygems_", of(hex, 48)), Judge: randomTail(9)},
		{ID: "docker-token", Provider: service("docker", "Docker Hub", "app.docker.com/settings/personal-access-tokens"), Title: title("Docker Hub token", "Docker Hub 令牌"), Severity: leak.High,
			Tokens: tokens(of(url64, 27), "dckr_pat_"), Judge: randomTail(9)},
	}
}

// simple is a rule of a service whose tokens have a prefix and nothing to prove.
func simple(p *leak.Provider, kind leak.Text, s leak.Shape, prefixes ...string) leak.Rule {
	return leak.Rule{ID: p.ID + "-token", Provider: p, Title: kind, Severity: leak.High, Tokens: tokens(s, prefixes...), Judge: func(v []byte) (bool, bool) {
		body := v // without the prefix: "AGE-SECRET-KEY-1" looks like a placeholder
		for _, p := range prefixes {
			if rest, is := bytes.CutPrefix(v, []byte(p)); is {
				body = rest
			}
		}
		return false, !judge.Placeholder(body) && judge.MixOf(v).Distinct >= 10
	}}
}

// services are what programs talk to.
func services() []leak.Rule {
	kind := func(name string) leak.Text { return title(name+" token", name+" 令牌") }
	return []leak.Rule{
		simple(service("sendgrid", "SendGrid", "app.sendgrid.com/settings/api_keys"), kind("SendGrid"), of(dotted, 66), "SG."),
		simple(service("shopify", "Shopify", "partners.shopify.com"), kind("Shopify"), of(anyHex, 32), "shpat_", "shpss_", "shpca_", "shppa_"),
		simple(service("databricks", "Databricks", "accounts.cloud.databricks.com"), kind("Databricks"), of(hex, 32), "dapi"),
		simple(service("vault", "HashiCorp Vault", "the Vault"), kind("Vault"), from(url64, 24, 300), "hvs.", "hvb."),
		simple(service("doppler", "Doppler", "dashboard.doppler.com"), kind("Doppler"), from(dotted, 40, 64), "dp.pt.", "dp.st.", "dp.ct.", "dp.sa.", "dp.scim.", "dp.audit."),
		simple(service("linear", "Linear", "linear.app/settings/api"), kind("Linear"), of(alnum, 40), "lin_api_"),
		simple(service("postman", "Postman", "postman.com/settings/me/api-keys"), kind("Postman"), of(leak.NewSet("0-9a-f-"), 59), "PMAK-"),
		simple(service("newrelic", "New Relic", "one.newrelic.com/api-keys"), kind("New Relic"), of(upper, 27), "NRAK-"),
		simple(service("grafana", "Grafana", "grafana.com"), kind("Grafana"), leak.Shape{Set: leak.NewSet("0-9A-Za-z_+/"), Min: 38, Max: 400, Pad: 2}, "glsa_", "glc_"),
		simple(service("figma", "Figma", "figma.com/settings"), kind("Figma"), of(url64, 40), "figd_"),
		simple(service("notion", "Notion", "notion.so/my-integrations"), kind("Notion"), of(alnum, 46), "ntn_"),
		simple(service("atlassian", "Atlassian", "id.atlassian.com/manage-profile/security/api-tokens"), kind("Atlassian"), leak.Shape{Set: url64, Min: 180, Max: 220, Pad: 1}, "ATATT3"),
		simple(service("planetscale", "PlanetScale", "app.planetscale.com"), kind("PlanetScale"), from(leak.NewSet("0-9A-Za-z_=.-"), 32, 64), "pscale_tkn_", "pscale_pw_", "pscale_oauth_"),
		simple(service("flyio", "Fly.io", "fly.io/dashboard"), kind("Fly.io"), leak.Shape{Set: mixed64, Min: 43, Max: 2000, Pad: 3}, "fo1_", "fm1a_", "fm1r_", "fm2_"),
		simple(service("posthog", "PostHog", "app.posthog.com/settings/user-api-keys"), kind("PostHog"), from(url64, 41, 49), "phx_"),
		simple(service("typeform", "Typeform", "admin.typeform.com/user/tokens"), kind("Typeform"), of(leak.NewSet("0-9A-Za-z_=.-"), 59), "tfp_"),
		simple(service("frameio", "Frame.io", "developer.frame.io/app/tokens"), kind("Frame.io"), of(leak.NewSet("0-9A-Za-z_=-"), 64), "fio-u-"),
		simple(service("duffel", "Duffel", "app.duffel.com"), kind("Duffel"), of(leak.NewSet("0-9A-Za-z_=-"), 43), "duffel_live_", "duffel_test_"),
		simple(service("definednetworking", "Defined Networking", "admin.defined.net"), kind("Defined Networking"), of(leak.NewSet("0-9A-Za-z_=-"), 79), "dnkey-"),
		simple(service("harness", "Harness", "app.harness.io"), kind("Harness"), of(dotted, 68), "pat.", "sat."),
		simple(service("adafruit", "Adafruit IO", "io.adafruit.com"), kind("Adafruit IO"), of(alnum, 28), "aio_"),
		simple(service("artifactory", "JFrog Artifactory", "the Artifactory server"), kind("JFrog Artifactory"), of(alnum, 69), "AKCp"),
		simple(service("dynatrace", "Dynatrace", "the Dynatrace environment"), kind("Dynatrace"), of(leak.NewSet("0-9A-Z."), 89), "dt0c01.", "dt0s16."),
		simple(service("nuget", "NuGet", "nuget.org/account/apikeys"), kind("NuGet"), of(leak.NewSet("0-9a-z"), 43), "oy2"),
		{ID: "azure-devops-token", Provider: azure, Title: title("Azure DevOps personal access token", "Azure DevOps 个人访问令牌"), Severity: leak.High,
			Tokens: []leak.Token{{Prefix: "AZDO", Lead: &leak.Shape{Set: alnum, Min: 76, Max: 76}, Shape: of(alnum, 4)}}, Judge: mixed},
		{ID: "terraform-token", Provider: service("terraform", "HCP Terraform", "app.terraform.io/app/settings/tokens"), Title: kind("HCP Terraform"), Severity: leak.High,
			Tokens: []leak.Token{{Prefix: ".atlasv1.", Lead: &leak.Shape{Set: alnum, Min: 14, Max: 14}, Shape: from(url64, 60, 70)}}, Judge: mixed},
		simple(service("sonarqube", "SonarQube", "the SonarQube server"), kind("SonarQube"), of(hex, 40), "squ_", "sqp_", "sqa_"),
		simple(service("bedrock", "Amazon Bedrock", "console.aws.amazon.com/bedrock"), kind("Amazon Bedrock"), leak.Shape{Set: base64, Min: 109, Max: 269, Pad: 2}, "ABSK"),
		simple(service("supabase", "Supabase", "supabase.com/dashboard/account/tokens"), kind("Supabase"), of(hex, 40), "sbp_"),
		simple(service("sentry", "Sentry", "sentry.io/settings/auth-tokens"), kind("Sentry"), leak.Shape{Set: mixed64, Min: 60, Max: 400, Pad: 2}, "sntrys_", "sntryu_"),
		simple(service("age", "age", "age-keygen"), title("age secret key", "age 私钥"), of(leak.NewSet("0-9A-Z"), 58), "AGE-SECRET-KEY-1"),
		{ID: "twilio-auth-token", Provider: twilio, Title: title("Twilio auth token", "Twilio Auth Token"), Severity: leak.High,
			Named: named(of(hex, 32), "authtoken", "token", "secret"), Judge: digest},
		{ID: "mailgun-key", Provider: provider("mailgun", "Mailgun", "Mailgun", "app.mailgun.com/settings/api_security", "mailgun"), Title: title("Mailgun API key", "Mailgun API 密钥"), Severity: leak.High,
			Tokens: token("key-", of(hex, 32)), Judge: func(v []byte) (bool, bool) { return digest(v[4:]) }},
		{ID: "amap-key", Provider: amap, Title: title("Amap key", "高德地图 Key"), Severity: leak.Low,
			Named: named(of(hex, 32), "key", "apikey", "secret", "securityjskey", "amapkey"), Judge: digest},
		{ID: "tencent-map-key", Provider: provider("tencentmap", "Tencent Location", "腾讯位置服务", "lbs.qq.com/dev/console", "=lbs", "qqmap", "map.qq"), Title: title("Tencent map key", "腾讯地图 Key"), Severity: leak.Low,
			Named: []leak.Named{{Names: []string{"key"}, Shape: of(leak.NewSet("0-9A-Z-"), 35), Alone: true}}, Judge: mapKey},
		{ID: "jpush-master-secret", Provider: jpush, Title: title("JPush master secret", "极光推送 MasterSecret"), Severity: leak.High,
			Named: []leak.Named{{Names: []string{"mastersecret"}, Shape: of(hex, 24), Alone: true}, {Names: []string{"secret"}, Shape: of(hex, 24)}}, Judge: digest},
		{ID: "getui-master-secret", Provider: getui, Title: title("Getui master secret", "个推 MasterSecret"), Severity: leak.High,
			Named: named(of(alnum, 22), "mastersecret", "secret", "appsecret"), Judge: mixed},
		{ID: "umeng-master-secret", Provider: umeng, Title: title("Umeng app master secret", "友盟 App Master Secret"), Severity: leak.High,
			Named: named(of(leak.NewSet("0-9a-z"), 32), "mastersecret", "secret", "messagesecret"), Judge: digest},
		{ID: "keyward-access-key-id", Provider: keyward, Title: title("keyward access key id", "keyward 访问密钥 ID"), Severity: leak.Low, Class: leak.Identifier,
			Tokens: token("KWAK", of(base32, 24)), Judge: proof(judge.KeywardID)},
		{ID: "keyward-access-key-secret", Provider: keyward, Title: title("keyward access key secret", "keyward 访问密钥"), Severity: leak.Critical,
			Pairs: []leak.Pair{{With: "keyward-access-key-id", Shape: of(leak.NewSet("0-9A-Za-z_"), 54)}}, Tokens: token("kwsk_", of(alnum, 49)), Judge: proof(judge.KeywardSecret)},
	}
}

// mapKey takes six groups of five, joined by hyphens.
func mapKey(value []byte) (proven, ok bool) {
	for i, c := range value {
		if (c == '-') != (i%6 == 5) {
			return false, false
		}
	}
	return false, judge.MixOf(value).Distinct >= 10 && !judge.Placeholder(value)
}

// models are services of language models. Several have the same form; a hint decides.
func models() []leak.Rule {
	return []leak.Rule{
		{ID: "openai-key", Provider: openai, Title: title("OpenAI API key", "OpenAI API 密钥"), Severity: leak.High,
			Tokens: token("sk-", from(url64, 45, 250)), Judge: proof(func(v []byte) bool { return bytes.Contains(v, []byte("T3BlbkFJ")) })},
		{ID: "anthropic-key", Provider: anthropic, Title: title("Anthropic API key", "Anthropic API 密钥"), Severity: leak.High,
			Tokens: tokens(of(url64, 95), "sk-ant-api03-", "sk-ant-admin01-"), Judge: func(v []byte) (bool, bool) {
				ok := bytes.HasSuffix(v, []byte("AA")) && !judge.Placeholder(v)
				return ok, ok
			}},
		{ID: "deepseek-key", Provider: deepseek, Title: title("DeepSeek API key", "DeepSeek API 密钥"), Severity: leak.High,
			Tokens: shared(of(hex, 32)), Judge: func(v []byte) (bool, bool) { return digest(v[3:]) }},
		{ID: "dashscope-key", Provider: dashscope, Title: title("Alibaba Cloud Model Studio API key", "阿里云百炼 API 密钥"), Severity: leak.High,
			Tokens: shared(of(hex, 32)), Judge: func(v []byte) (bool, bool) { return digest(v[3:]) }},
		{ID: "moonshot-key", Provider: moonshot, Title: title("Moonshot AI API key", "月之暗面 API 密钥"), Severity: leak.High,
			Tokens: shared(of(alnum, 48)), Judge: func(v []byte) (bool, bool) {
				if bytes.Contains(v, []byte("T3BlbkFJ")) { // OpenAI's
					return false, false
				}
				return mixed(v[3:])
			}},
		{ID: "siliconflow-key", Provider: siliconflow, Title: title("SiliconFlow API key", "硅基流动 API 密钥"), Severity: leak.High,
			Tokens: shared(of(letters, 48)), Judge: randomTail(3)},
		{ID: "zhipu-key", Provider: zhipu, Title: title("Zhipu AI API key", "智谱 API 密钥"), Severity: leak.High,
			Named: []leak.Named{{Names: []string{"key", "token", "secret"}, Shape: of(leak.NewSet("0-9A-Za-z."), 49), Alone: true}}, Judge: func(v []byte) (bool, bool) {
				return false, v[32] == '.' && judge.Hex(v[:32]) && judge.Random(v[:32]) && bytes.IndexByte(v[33:], '.') < 0
			}},
		{ID: "ark-key", Provider: ark, Title: title("Volcengine Ark API key", "火山方舟 API 密钥"), Severity: leak.High,
			Named: named(of(uuidSet, 36), "key", "token", "apikey"), Judge: uuid},
		simple(service("groq", "Groq", "console.groq.com/keys"), title("Groq API key", "Groq API 密钥"), of(alnum, 52), "gsk_"),
		simple(service("huggingface", "Hugging Face", "huggingface.co/settings/tokens"), title("Hugging Face token", "Hugging Face 令牌"), of(alnum, 34), "hf_", "api_org_"),
		simple(service("xai", "xAI", "console.x.ai"), title("xAI API key", "xAI API 密钥"), of(alnum, 80), "xai-"),
		simple(service("replicate", "Replicate", "replicate.com/account/api-tokens"), title("Replicate token", "Replicate 令牌"), of(alnum, 37), "r8_"),
		simple(service("perplexity", "Perplexity", "perplexity.ai/settings/api"), title("Perplexity API key", "Perplexity API 密钥"), of(alnum, 48), "pplx-"),
		simple(service("openrouter", "OpenRouter", "openrouter.ai/keys"), title("OpenRouter API key", "OpenRouter API 密钥"), of(hex, 64), "sk-or-v1-"),
	}
}

// shared answers a token that begins with "sk-", as those of several providers do.
func shared(s leak.Shape) []leak.Token {
	return []leak.Token{{Prefix: "sk-", Shape: s, Shared: true}}
}
