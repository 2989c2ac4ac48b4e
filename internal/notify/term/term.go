// Package term has the words for the facts that incidents tell, for people, in both languages.
//
// Who may call: whatever shows an incident. It stores nothing.
package term

import (
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/rotation/phrase"
)

// Name answers the name of a fact; one that is not known stays as it is.
func Name(name string) form.Text {
	if t, ok := names[name]; ok {
		return t
	}
	return form.Text{English: name, Chinese: name}
}

// Text answers the value of a fact. A word of keyward's says what it means; a sentence that was
// stored with its Chinese is said in it, and anything else stays as it is.
func Text(name, value, chinese string) form.Text {
	if chinese != "" {
		return form.Text{English: value, Chinese: chinese}
	}
	if t, ok := values[name][value]; ok {
		return t
	}
	return phrase.Fact(name, value)
}

// names are the names of facts, for people.
var names = map[string]form.Text{
	"key": {English: "Key", Chinese: "密钥"}, "provider": {English: "Provider", Chinese: "来源"}, "owner": {English: "Owner", Chinese: "负责人"},
	"purpose": {English: "Purpose", Chinese: "用途"}, "system": {English: "System", Chinese: "系统"}, "expires": {English: "Expires", Chinese: "到期时间"},
	"basis": {English: "Says", Chinese: "依据"}, "reason": {English: "Reason", Chinese: "原因"}, "since": {English: "Since", Chinese: "起始时间"},
	"seen": {English: "Looked at", Chinese: "已扫描"}, "check": {English: "Check", Chinese: "检查项"}, "advice": {English: "To do", Chinese: "处理方法"}, "fix": {English: "Next", Chinese: "下一步"},
	"step": {English: "Step", Chinese: "步骤"}, "detail": {English: "Detail", Chinese: "详情"},
	"user": {English: "User", Chinese: "用户"}, "secret": {English: "Secret", Chinese: "凭据"}, "match": {English: "Match", Chinese: "匹配方式"}, "origin": {English: "Found in", Chinese: "发现于"}, "what": {English: "What", Chinese: "类型"},
	"requester": {English: "Requested by", Chinese: "请求者"}, "resource": {English: "Resource", Chinese: "资源"}, "approvers": {English: "Approvers", Chinese: "审批人"},
	"until": {English: "Until", Chinese: "截止时间"}, "able": {English: "Could approve / needed", Chinese: "可审批人数 / 需要人数"},
	"over":      {English: "Over because", Chinese: "解除原因"},
	"consumers": {English: "Used by", Chinese: "使用方"}, "rollout": {English: "Rollout", Chinese: "分发"},
}

// values are those of facts that are words of keyward's, for people, by the fact's name.
var values = map[string]map[string]form.Text{
	"basis": {
		"provider":    {English: "the provider's date", Chinese: "平台给出的日期"},
		"certificate": {English: "the certificate's date", Chinese: "证书有效期"},
		"declared":    {English: "a person's date", Chinese: "人工登记的日期"},
		"policy":      {English: "the age limit of this provider's keys", Chinese: "该来源设定的密钥最长使用期限"},
	},
	"over": {
		"key-gone":  {English: "the provider does not list the key any more", Chinese: "来源不再列出该密钥"},
		"unwatched": {English: "its provider was removed from keyward and is not watched any more; nothing says that anything was put right", Chinese: "其来源已从 keyward 移除，不再监控；并不表示问题已解决"},
	},
	"match": {
		"value": {English: "a value that keyward keeps", Chinese: "与 keyward 管理的值一致"},
		"pair":  {English: "a known id with an unknown secret", Chinese: "已知 ID 与未知密钥成对出现"},
		"id":    {English: "an id alone", Chinese: "仅有 ID"},
	},
}
