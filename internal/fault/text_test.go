package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/fault"
)

func TestTextsAreSaidInBothLanguages(t *testing.T) {
	told := fault.KeyPendingImport.Wrap(errors.New("cause"), "the digest has %d bytes; it must have %d", 3, 32)
	for _, c := range []struct {
		name             string
		text             fault.Text
		english, chinese string
	}{
		{"a sentence", fault.Say("the new password is the old one"), "the new password is the old one", "新密码与旧密码相同"},
		{"arguments", told.Text, "the digest has 3 bytes; it must have 32", "摘要有 3 字节；须为 32 字节"},
		{"arguments in another order", fault.Say("decrypting version %s of secret %s", "v2", "pay"), "decrypting version v2 of secret pay", "解密凭据 pay 的版本 v2"},
		{"a text in a text", fault.Say("the %s is longer than %d characters", fault.Say("remark"), 9), "the remark is longer than 9 characters", "备注超过 9 个字符"},
		{"what others said", fault.Say("the base URL: %v", errors.New("no route")), "the base URL: no route", "基础 URL：no route"},
		{"a word that only looks like a text", fault.Say("the user %q has no password", "remark"), `the user "remark" has no password`, `用户 "remark" 没有密码`},
		{"both", fault.Both("one", "一"), "one", "一"},
		{"one language", fault.Both("one", ""), "one", "one"},
		{"what nobody translated", fault.Say("xyzzy %d", 7), "xyzzy 7", "xyzzy 7"},
		{"no words", fault.Say("%s: %s", "a", fault.Say("remark")), "a: remark", "a: 备注"},
		{"nothing", fault.Text{}, "", ""},
		{"a fault in another error", fault.TextOf(fmt.Errorf("doing: %w", told)), "the digest has 3 bytes; it must have 32", "摘要有 3 字节；须为 32 字节"},
		{"no fault", fault.TextOf(errors.New("cause")), "an internal error occurred; the server's log has the details under this request id", "发生内部错误；服务器日志在此请求 ID 下有详情"},
		{"an internal fault", fault.TextOf(fault.Internal.New("remark")), "an internal error occurred; the server's log has the details under this request id", "发生内部错误；服务器日志在此请求 ID 下有详情"},
	} {
		if diff := cmp.Diff([]string{c.english, c.english, c.chinese}, []string{c.text.String(), c.text.Error(), c.text.Chinese()}); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
	if diff := cmp.Diff("KeyPendingImport: the digest has 3 bytes; it must have 32: cause", told.Error()); diff != "" {
		t.Error(diff)
	}
}
