package exposure

import (
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/form"
)

// Source is the finding.Finding.Source of what this package finds.
const Source = "leaks"

// The rules, for ever.
const (
	leakedKey         = "AK25"
	leakedSecret      = "LK01"
	exposedID         = "LK02"
	unknownCredential = "LK03"
	stoppedPush       = "LK04"
)

func words(english, chinese string) form.Text { return form.Text{English: english, Chinese: chinese} }

// Rules answers what this package finds.
func Rules() []finding.Rule {
	return []finding.Rule{
		{
			ID: leakedKey, Source: Source, Severity: finding.Critical, Title: words("An active key leaked", "启用中的访问密钥已泄露"),
			Why: words("Whoever has seen it can act as its owner, now. Match value: keyward holds the same secret. Match pair: the id stood with a secret that keyward does not hold and cannot compare.",
				"看到它的人现在就能以其身份操作。match 为 value：与 keyward 保存的值相同；match 为 pair：ID 与一个 keyward 未保存、无法比对的密钥同时出现。"),
			Fixes: []finding.Fix{
				{Command: "keyward rotation plan list", Text: words("Rotate it with the profile emergency, then look at what it did since it was first seen. If no plan rotates the key, make a new one, change over and switch this one off.",
					"使用 emergency 方式紧急轮换，并核查首次出现以来的操作；没有轮换计划时，新建密钥、切换后停用此密钥。")},
			},
		},
		{
			ID: leakedSecret, Source: Source, Severity: finding.Critical, Title: words("A secret's value leaked", "凭据的值已泄露"),
			Why: words("Whoever has seen it can use what it opens. The finding ends when none of the secret's stages stands on the value any more.",
				"看到它的人可以使用它保护的资源。凭据的任何阶段都不再指向该值后，此问题自动解决。"),
			Fixes: []finding.Fix{{Command: "keyward secret versions {secret}", Text: words("Change it where it is used, put the new value, and take the old version's stages away.", "在使用处更换后写入新值，并移除旧版本的阶段标签。")}},
		},
		{
			ID: exposedID, Source: Source, Severity: finding.Medium, Told: true, Title: words("A key's id stands in the open", "访问密钥的 ID 已公开"),
			Why: words("Nobody can do anything with an id alone, which stands in every signed URL. Its secret may stand near it in a form that no search knows.",
				"仅凭 ID 无法操作，签名 URL 中都包含它；但对应的密钥可能就在附近，只是形式未被识别。"),
			Fixes: []finding.Fix{{Command: "keyward accesskey show {provider} {key}", Text: words("Look at the place. If no secret is there, say that it is resolved: it opens again when the id is seen somewhere else.",
				"查看出现的位置；若没有密钥，可标记为已解决，在新的位置再次出现时会重新打开。")}},
		},
		{
			ID: unknownCredential, Source: Source, Severity: finding.High, Title: words("A credential that keyward does not keep was found", "发现 keyward 未管理的密钥"),
			Why: words("It works for whoever has seen it until somebody revokes it, and nobody here will be told when it is used.", "在吊销之前，看到它的人都可以使用，且不会有人得到通知。"),
			Fixes: []finding.Fix{{Command: "keyward secret put --help", Text: words("Revoke it at whoever issued it, keep the next one in a secret, then say that it is resolved: it opens again when it is seen in a new place.",
				"在签发方吊销，将新的密钥存入凭据，然后标记为已解决；在新的位置再次出现时会重新打开。")}},
		},
		{
			ID: stoppedPush, Source: Source, Severity: finding.Medium, Title: words("A push with a credential was refused", "含有密钥的推送已被拒绝"),
			Why: words("It stands in somebody's commits, and nowhere else yet. While the finding is suppressed the push is let through. The finding ends when the credential came into the repository: then another one says so, and why it was let through.", "它只存在于某人的提交中，尚未进入仓库。此问题被抑制期间，推送会被放行。密钥进入仓库后，此问题自动解决，由另一个问题说明密钥所在位置及放行原因。"),
			Fixes: []finding.Fix{{Text: words("Whoever pushes it takes it out of the commits. To let it through for some days: keyward finding suppress, with a date.",
				"由推送者从提交中移除；如需在数日内放行，请用 keyward finding suppress 并指定日期。")}},
		},
	}
}
