package check

import (
	"strconv"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/notify"
)

// A check is a rule with what looks for it: one of the three, or none.
type check struct {
	finding.Rule
	key       func(*Exam, *accesskey.AccessKey) verdict
	principal func(*Exam, *holder) verdict
	account   func(*Exam) verdict
	limits    func(Thresholds) []notify.Fact
}

// Rules answers the table of all checks with the thresholds in force.
func Rules(t Thresholds) []finding.Rule {
	out := make([]finding.Rule, len(table))
	for i, c := range table {
		out[i] = c.Rule
		out[i].Source = Source
		if c.limits != nil {
			out[i].Limits = c.limits(t)
		}
	}
	return out
}

// limit tells a threshold by its name in the server's configuration.
func limit(name string, of func(Thresholds) time.Duration) func(Thresholds) []notify.Fact {
	return func(t Thresholds) []notify.Fact { return []notify.Fact{days(name, of(t))} }
}

func both(a, b func(Thresholds) []notify.Fact) func(Thresholds) []notify.Fact {
	return func(t Thresholds) []notify.Fact { return append(a(t), b(t)...) }
}

func number(name string, of func(Thresholds) int) func(Thresholds) []notify.Fact {
	return func(t Thresholds) []notify.Fact { return []notify.Fact{fact(name, strconv.Itoa(of(t)))} }
}

func words(english, chinese string) form.Text { return form.Text{English: english, Chinese: chinese} }

// console is a fix at the provider's console or API.
func console(english, chinese string) finding.Fix { return finding.Fix{Text: words(english, chinese)} }

func command(platform, command string, text form.Text) finding.Fix {
	return finding.Fix{Platform: platform, Command: command, Text: text}
}

// switchOff switches a key off, which can be undone; whoever misses it speaks up.
func switchOff() []finding.Fix {
	text := words("Switch the key off; if nobody misses it, delete it later.", "先停用该密钥；确认无人使用后再删除。")
	return []finding.Fix{
		command("tencent", "tccli cam UpdateAccessKey --AccessKeyId {key} --Status Inactive --TargetUin {user-id}", text),
		command("alibaba", "aliyun ims UpdateAccessKey --UserPrincipalName {user} --UserAccessKeyId {key} --Status Inactive", text),
		command("aws", "aws iam update-access-key --user-name {user} --access-key-id {key} --status Inactive", text),
		console("Switch the key off at the provider; if nobody misses it, delete it later.", "在平台停用该密钥；确认无人使用后再删除。"),
	}
}

// deleteKey deletes a key that is switched off.
func deleteKey() []finding.Fix {
	forGood := words("Delete the key. This cannot be undone.", "删除该密钥。删除后无法恢复。")
	return []finding.Fix{
		command("tencent", "tccli cam DeleteAccessKey --AccessKeyId {key} --TargetUin {user-id}", forGood),
		command("alibaba", "aliyun ims DeleteAccessKey --UserPrincipalName {user} --UserAccessKeyId {key}",
			words("Delete the key. It stays in the recycle bin for a while.", "删除该密钥。删除后会在回收站保留一段时间。")),
		command("aws", "aws iam delete-access-key --user-name {user} --access-key-id {key}", forGood),
		console("Delete the key at the provider.", "在平台删除该密钥。"),
	}
}

// replace makes a second key before the first one is switched off.
func replace() []finding.Fix {
	text := words("Make a second key, hand it to every program that uses the first, then switch the first off.",
		"先新建第二个密钥并分发给所有使用方，再停用旧密钥。")
	return []finding.Fix{
		command("tencent", "tccli cam CreateAccessKey --TargetUin {user-id}", text),
		command("alibaba", "aliyun ims CreateAccessKey --UserPrincipalName {user}", text),
		command("aws", "aws iam create-access-key --user-name {user}", text),
		{Text: text},
	}
}

// fewerRights takes rights from a principal.
func fewerRights() []finding.Fix {
	text := words("Give the user a policy with the actions that it uses, then take this one away.", "先授予只包含实际所需操作的策略，再移除该策略。")
	return []finding.Fix{
		command(own, "keyward user show {user}", text),
		command("tencent", "tccli cam ListAttachedUserAllPolicies --TargetUin {user-id} --Rp 200 --Page 1 --AttachType 0", text),
		command("alibaba", "aliyun ims GetUser --UserPrincipalName {user}", text),
		command("aws", "aws iam list-attached-user-policies --user-name {user}", text),
		{Text: text},
	}
}

// oneUseEach parts the person from the program.
func oneUseEach() []finding.Fix {
	return []finding.Fix{
		command("aws", "aws iam delete-login-profile --user-name {user}", words("Take the password from a user that is a program's, or the keys from one that is a person's.", "程序使用的用户应取消控制台登录；个人使用的用户应删除访问密钥。")),
		console("Take the password from a user that is a program's, or the keys from one that is a person's.", "程序使用的用户应取消控制台登录；个人使用的用户应删除访问密钥。"),
	}
}
