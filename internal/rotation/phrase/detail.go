package phrase

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/keyward/keyward/internal/form"
)

// Detail answers the detail of a halt or a trouble, which rotations keep in English. What
// others said, such as a provider or a program, is quoted as it is.
func Detail(text string) form.Text {
	out := form.Text{English: text, Chinese: text}
	for _, d := range details {
		said := pattern(d.English).FindStringSubmatch(text)
		if said == nil {
			continue
		}
		words := make([]any, len(said)-1)
		for n, word := range said[1:] {
			words[n] = chinese(word)
		}
		out.Chinese = fmt.Sprintf(d.Chinese, words...)
		break
	}
	return out
}

// Back answers why a rotation goes back: a reason with its detail, or what a person said.
func Back(text string) form.Text {
	word, rest, _ := strings.Cut(text, ": ")
	if why, ok := reasons[word]; ok {
		d := Detail(rest)
		return form.Text{English: why.English + " (" + d.English + ")", Chinese: why.Chinese + "（" + d.Chinese + "）"}
	}
	if word == "ordered" {
		return form.Text{English: text, Chinese: "人工下令：" + rest}
	}
	return form.Text{English: text, Chinese: text}
}

// Fact answers the value of a fact that an incident tells about a rotation, or about a key that
// one is to replace; of any other it is as it is.
func Fact(name, value string) form.Text {
	switch name {
	case "step":
		return Step(value)
	case "reason":
		return Reason(value)
	case "advice":
		if t, ok := plans[value]; ok {
			return t
		}
		return of(remedies, value)
	case "detail":
		return Detail(value)
	}
	return form.Text{English: value, Chinese: value}
}

// pattern matches what a format makes.
func pattern(format string) *regexp.Regexp {
	quoted := regexp.QuoteMeta(strings.NewReplacer("%s", "\x00", "%d", "\x00").Replace(format))
	return regexp.MustCompile(`(?s)^` + strings.ReplaceAll(quoted, "\x00", `(.*)`) + `$`)
}

// chinese says the words of a detail that are keyward's.
func chinese(word string) string {
	if zh, ok := verdicts[word]; ok {
		return zh
	}
	return strings.NewReplacer("(made at an unknown time)", "（创建时间未知）", "(made ", "（创建于 ", "Z)", "Z）").Replace(word)
}

var verdicts = map[string]string{"accepted": "有效", "refused": "被拒绝", "stranger": "属于其他主体"}

// details are the formats of details with their Chinese; tests hold them against the source
// of the rotations and of their engine.
var details = []form.Text{
	{English: "the start", Chinese: "开始轮换"},
	{English: "wave %s", Chinese: "批次 %s"},
	{English: "%d of %d nodes are there; waiting for %s", Chinese: "%[2]s 个节点中已就绪 %[1]s 个；等待 %[3]s"},
	{English: "make the new key at the provider's console and enter it", Chinese: "在平台控制台创建新密钥并录入"},
	{English: "make the new key by the steps of the guide %s and enter it", Chinese: "按指引 %s 的步骤创建新密钥并录入"},
	{English: "the provider ends %s by itself at %s; nothing proves that programs use the new key: make sure of it before, and confirm it", Chinese: "平台将于 %[2]s 自动终止 %[1]s；没有任何证据表明业务程序已在使用新密钥：请在此之前自行确认，然后执行 confirm"},
	{English: "change the key at the provider's console from %s to the one that was entered, and confirm it; it takes effect at once, and nothing proves that programs have the new key: make sure of it first", Chinese: "在平台控制台将 %s 更换为已录入的新密钥，然后执行 confirm；更换立即生效，而没有任何证据表明业务程序已持有新密钥：请先自行确认"},
	{English: "change the key at the provider's console from %s to the one that was entered, and confirm it; it takes effect at once", Chinese: "在平台控制台将 %s 更换为已录入的新密钥（立即生效），然后执行 confirm"},
	{English: "disable %s at the provider's console, and confirm it; nothing proves that programs use the new key: make sure of it first, for those that do not will fail", Chinese: "在平台控制台停用 %s，然后执行 confirm；没有任何证据表明业务程序已在使用新密钥：请先自行确认，否则仍用旧密钥的程序将失败"},
	{English: "enter the old key %s at the provider's console again, and confirm it", Chinese: "在平台控制台重新改回旧密钥 %s，然后执行 confirm"},
	{English: "undo the change at the provider's console if it was made there, for it ends %s, and confirm it", Chinese: "如果已在平台控制台做了变更，请撤销（否则旧密钥 %s 将失效），然后执行 confirm"},
	{English: "undo the change at the provider's console, which ends %s, and confirm it", Chinese: "在平台控制台撤销变更（新密钥 %s 随之失效），然后执行 confirm"},
	{English: "disable %s at the provider's console, and confirm it", Chinese: "在平台控制台停用 %s，然后执行 confirm"},
	{English: "enable %s at the provider's console, and confirm it", Chinese: "在平台控制台重新启用 %s，然后执行 confirm"},
	{English: "delete %s at the provider's console, and confirm it", Chinese: "在平台控制台删除 %s，然后执行 confirm"},
	{English: "%s was used at %s, when no node had it first any more (service %s, region %s, address %s)", Chinese: "%s 于 %s 仍被使用，而所有节点都已不再优先使用它（服务 %s，地域 %s，地址 %s）"},
	{English: "since the old key was disabled not every node has told of a use of the new one; approve to go on all the same", Chinese: "旧密钥停用后，尚有节点未报告使用新密钥；如仍要继续请执行 approve"},
	{English: "a key may have been created, and the provider cannot be asked: look there, delete it if it is there, and let the rotation go on", Chinese: "可能已创建了一个密钥，而平台无法查询：请到平台查看，若存在则删除，然后执行 resume"},
	{English: "a key may have been created, and the provider cannot be asked: look there and delete it, and let the rotation go on", Chinese: "可能已创建了一个密钥，而平台无法查询：请到平台查看并删除，然后执行 resume"},
	{English: "%s was created and its secret is lost; to create another may end the old key at once: delete it and let the rotation go on, or roll it back", Chinese: "%s 已创建但其凭证已丢失；再创建一个可能使旧密钥立即失效：删除它后执行 resume，或回滚"},
	{English: "one of these keys may be ours, tried at %s: %s; delete the one that nobody uses, and let the rotation go on", Chinese: "以下密钥之一可能是本次轮换（于 %s）创建的：%s；删除无人使用的那个，然后执行 resume"},
	{English: "secret %s is deleted or about to be, and no key is ended meanwhile: keyward secret restore %s, and let the rotation go on; or roll it back", Chinese: "凭据 %s 已删除或即将删除，在此期间不会停用或删除任何密钥：执行 keyward secret restore %s 后再执行 resume；或回滚"},
	{English: "somebody has made version %s of secret %s the current one, where the rotation needs %s, and no key is ended meanwhile: keyward secret rollback %s %s, and let the rotation go on; or roll it back", Chinese: "有人将版本 %s 设为凭据 %s 的当前版本，而轮换需要的是 %s，在此期间不会停用或删除任何密钥：执行 keyward secret rollback %s %s 后再执行 resume；或回滚"},
	{English: "there are %d keys already and %d are allowed: %s; delete one that nobody uses, and let the rotation go on", Chinese: "已有 %s 个密钥，上限为 %s 个：%s；删除一个无人使用的，然后执行 resume"},
	{English: "the provider answers that the new key is %s", Chinese: "平台的验证结果：新密钥%s"},
	{English: "the provider answers that the old key is %s", Chinese: "平台的验证结果：旧密钥%s"},
	{English: "nodes report that the new key was refused %d times and that the old one was used in its place %d times", Chinese: "节点报告新密钥被拒绝 %s 次，改用旧密钥 %s 次"},
	{English: "the new key may be the first one already, and the provider cannot be asked: look there, promote it if it is not, and confirm it", Chinese: "新密钥可能已是主密钥，而平台无法查询：请到平台查看，若不是则提升它，然后执行 confirm"},
	{English: "the new key %s is not at the provider any more", Chinese: "新密钥 %s 在平台已不存在"},
	{English: "%s is not at the provider any more", Chinese: "%s 在平台已不存在"},
	{English: "%s has expired", Chinese: "%s 已到期失效"},
	{English: "it is not known whether it happened", Chinese: "无法确定操作是否已生效"},
	{English: "this version of keyward does not know the step %s", Chinese: "此版本的 keyward 不认识步骤 %s"},
	{English: "no node is in wave %s of rollout %s: change its labels, or have nodes join", Chinese: "分发 %[2]s 的批次 %[1]s 中没有节点：修改其标签，或让节点加入"},
	{English: "wave %s: %d of %d nodes have not what they should have before a new key comes (%s): mend or drain them, and let the rotation go on", Chinese: "批次 %[1]s：%[3]s 个节点中有 %[2]s 个未处于轮换前应有的状态（%[4]s）：修复或排空它们，然后执行 resume"},
	{English: "key %s is not active at the provider: correct the plan's key, or begin an emergency rotation", Chinese: "密钥 %s 在平台不是启用状态：更正计划中的密钥，或启动紧急轮换"},
	{English: "the provider answers that the credential in secret %s is %s: put the one of key %s there", Chinese: "平台的验证结果：凭据 %s 中的密钥凭证%s；请将密钥 %s 的凭证存入"},
	{English: "the provider accepts a wrong credential, too, so that trying the new key would prove nothing: correct what verifies keys", Chinese: "平台连错误的凭证也接受，验证新密钥将毫无意义：请更正验证密钥的定义"},
}
