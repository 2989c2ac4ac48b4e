package inventorycmd

import (
	"fmt"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/cli"
)

// undoable says in a word or two what can be taken back of ending a key.
func undoable(c *cli.Run, k api.InventoryKey) string {
	u := k.Undo
	switch {
	case k.Status == "gone":
		return "-"
	case k.Status == "deleted" && !k.UndoUntil.IsZero():
		return fmt.Sprintf(c.T("until %s", "%s 前"), cli.When(k.UndoUntil))
	case u == nil:
		return c.T("not told", "未提供")
	case u.Disable && u.Restore != "":
		return fmt.Sprintf(c.T("disabling; deletion for %s", "禁用；删除 %s 内"), u.Restore)
	case u.Disable:
		return c.T("disabling", "禁用")
	case u.Restore != "":
		return fmt.Sprintf(c.T("deletion for %s", "删除 %s 内"), u.Restore)
	case u.Overlap != "":
		return fmt.Sprintf(c.T("replacement for %s", "更换 %s 内"), u.Overlap)
	}
	return c.T("nothing", "不可撤销")
}

type meaning struct{ what, means string }

// undoing says what it means to disable, to delete and to replace a key.
func undoing(c *cli.Run, k api.InventoryKey) []meaning {
	disable, remove, replace := c.T("If disabled", "禁用后"), c.T("If deleted", "删除后"), c.T("If replaced", "更换后")
	u := k.Undo
	switch {
	case k.Status == "gone":
		return nil
	case k.Status == "deleted":
		return []meaning{{c.T("Can be restored until", "可恢复至"), cli.When(k.UndoUntil)}}
	case u == nil:
		return []meaning{{disable, c.T("not told; its console says", "未提供，请查看平台控制台")}, {remove, c.T("not told; its console says", "未提供，请查看平台控制台")}}
	}
	out := []meaning{{disable, c.T("cannot be disabled", "不支持禁用")}, {remove, c.T("gone for good", "无法恢复")}}
	if u.Disable {
		out[0].means = c.T("can be enabled again", "可重新启用")
	}
	if u.Restore != "" {
		out[1].means = fmt.Sprintf(c.T("can be restored for %s", "%s 内可恢复"), u.Restore)
	}
	if u.OffFirst {
		out[1].means += c.T("; must be disabled first", "；须先禁用")
	}
	if u.Overlap != "" {
		out = append(out, meaning{replace, fmt.Sprintf(c.T("works on for %s", "旧密钥在 %s 内仍可使用"), u.Overlap)})
	}
	return out
}
