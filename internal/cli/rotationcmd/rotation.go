package rotationcmd

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
	"github.com/keyward/keyward/internal/rotation/phrase"
)

func newRotationCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "rotation", Short: c.T("Replace keys at providers without an outage", "不中断业务地轮换各平台的访问密钥")},
		newRotationPlanCmd(c), newRotationStartCmd(c), newRotationStatusCmd(c), newRotationListCmd(c), newRotationHistoryCmd(c),
		newRotationOrderCmd(c, "approve PLAN", c.T("Let a rotation go on where it waits for an approval", "审批，让等待审批的轮换继续"), (*client.Client).ApproveRotation),
		newRotationOrderCmd(c, "pause PLAN", c.T("Keep a rotation where it is", "暂停轮换"), (*client.Client).PauseRotation),
		newRotationOrderCmd(c, "resume PLAN", c.T("Let a rotation go on after a pause, or after it has halted", "恢复已暂停或已停止的轮换"), (*client.Client).ResumeRotation),
		newRotationOrderCmd(c, "confirm PLAN", c.T("Say that you have done at the provider's console what a rotation waits for", "确认已在平台控制台完成轮换所等待的操作"), (*client.Client).ConfirmRotation),
		newRotationRollBackCmd(c), newRotationEnterCmd(c))
}

func newRotationStartCmd(c *cli.Run) *cobra.Command {
	var in api.StartRotationRequest
	var emergency bool
	cmd := c.Command(cli.Command{
		Use:   "start PLAN",
		Short: c.T("Begin a rotation now", "立即开始轮换"),
		Long: c.T(
			`Begin a rotation now. A planned one keeps to the plan's windows, approvals and times; an
emergency one, for a key that leaked, waits for none of them: its waves bake for a minute, and
the old key is disabled after at most 15 minutes.`,
			`立即开始轮换。计划内轮换遵守计划的时间窗口、审批与时长；紧急轮换用于密钥泄露，不等待这些：
每个批次只观察一分钟，旧密钥最多 15 分钟后停用。`,
		),
		Example: "  keyward rotation start payments\n  keyward rotation start payments --emergency --cause 'the key was in a public repository'",
		Run: func(ctx context.Context, args []string) error {
			if emergency {
				in.Profile = "emergency"
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			r, err := server.StartRotation(ctx, args[0], in)
			if err != nil {
				return err
			}
			return showRotation(c, r)
		},
	})
	f := cmd.Flags()
	f.BoolVar(&emergency, "emergency", false, c.T("minutes instead of days, without windows and approvals", "以分钟而非天计，不受时间窗口与审批限制"))
	f.StringVar(&in.Cause, "cause", "", c.T("`TEXT`: why", "原因 `TEXT`"))
	f.BoolVar(&in.Late, "late", false, c.T("although it cannot end before the old key expires", "即使无法在旧密钥到期前完成也开始"))
	return cmd
}

func newRotationListCmd(c *cli.Run) *cobra.Command {
	var in api.ListRotationsRequest
	cmd := c.Command(cli.Command{
		Use:   "list",
		Short: c.T("List rotations, the newest first", "列出轮换，最新的在前"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all, err := server.ListRotations(ctx, in)
			if err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("ROTATION", "轮换"), c.T("PLAN", "计划"), c.T("BEGAN", "开始"), c.T("ENDED", "结束"), c.T("STEP", "步骤"), c.T("OLD KEY", "旧密钥"), c.T("NEW KEY", "新密钥"), c.T("WAITS FOR", "等待"))
				for _, r := range all.Rotations {
					t.Add(r.ID, r.Plan, cli.When(r.CreatedAt), cli.When(r.EndedAt), c.Word(phrase.Name(r.Step)), r.OldKey, cli.OrDash(r.NewKey), cli.OrDash(waitsFor(c, r)))
				}
			})
		}),
	})
	cmd.Flags().StringVar(&in.Plan, "plan", "", c.T("only of this `PLAN`", "只列出此计划 `PLAN` 的"))
	cmd.Flags().IntVar(&in.Limit, "limit", 0, c.T("at most `N`, by default 100", "最多 `N` 个，默认 100"))
	return cmd
}

func newRotationHistoryCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "history PLAN",
		Short: c.T("Show what happened in the last rotation of a plan, or in the one with an id", "显示某计划最近一次轮换（或指定 ID 的轮换）的经过"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			r, err := server.DescribeRotation(ctx, args[0])
			if err != nil {
				return err
			}
			return c.Show(r, func(t *cli.Table) {
				t.Add(c.T("TIME", "时间"), c.T("STEP", "步骤"), c.T("WHAT", "内容"), c.T("BY", "操作者"))
				for _, e := range r.Events {
					t.Add(cli.When(e.At), c.Word(phrase.Name(e.Step)), c.Word(phrase.Event(e.Text)), cli.OrDash(e.Actor))
				}
			})
		}),
	})
}

// newRotationOrderCmd builds a command that gives an order about the rotation of a plan.
func newRotationOrderCmd(c *cli.Run, use string, short string, order func(*client.Client, context.Context, string) (api.RotationRun, error)) *cobra.Command {
	return c.Command(cli.Command{
		Use: use, Short: short,
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			r, err := order(server, ctx, args[0])
			if err != nil {
				return err
			}
			return showRotation(c, r)
		}),
	})
}

func newRotationRollBackCmd(c *cli.Run) *cobra.Command {
	var in api.RollBackRotationRequest
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "rollback PLAN",
		Short: c.T("Undo a rotation, as long as the old key can come back", "回滚轮换（旧密钥仍可恢复时）"),
		Long: c.T(
			`Undo a rotation. The nodes go back to the old key, at once and in all waves; an old key that
is disabled is enabled and tried before any node returns to it; the new key is ended at last.`,
			`回滚轮换。所有批次的节点立即切回旧密钥；已停用的旧密钥会先启用并验证，然后节点才切回；最后撤销新密钥。`,
		),
		Example: "  keyward rotation rollback payments --reason 'refunds fail in cn-east-1'",
		Run: func(ctx context.Context, args []string) error {
			if in.Reason == "" {
				return c.Usage(cmd, "--reason is missing: it is told to others", "缺少 --reason：原因会告知其他人")
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			r, err := server.DescribeRotation(ctx, args[0])
			if err != nil {
				return err
			}
			if !r.CanRollBack {
				return &cli.Problem{Message: canRollBack(c, r), Next: nextCommand(r)}
			}
			if err := c.Confirm(ctx, args[0], afterRollback(c, r)); err != nil {
				return err
			}
			if r, err = server.RollBackRotation(ctx, args[0], in); err != nil {
				return err
			}
			return showRotation(c, r)
		},
	})
	cmd.Flags().StringVar(&in.Reason, "reason", "", c.T("`TEXT`: why it is undone", "回滚原因 `TEXT`"))
	return cmd
}

// afterRollback says what a rollback will do, from where the rotation stands.
func afterRollback(c *cli.Run, r api.RotationRun) string {
	out := fmt.Sprintf(c.T("The rotation %s of plan %s stands at %q and will be undone:", "计划 %[2]s 的轮换 %[1]s 处于“%[3]s”，将被回滚："), r.ID, r.Plan, c.Word(phrase.Step(r.Step)))
	add := func(en, zh string, args ...any) {
		out += "\n- " + fmt.Sprintf(c.T(en, zh), args...)
	}
	switch r.Step {
	case "disabling", "observing", "dropping", "deleting":
		add("the old key %s is enabled again, if it is off, and tried", "如果旧密钥 %s 已停用，则重新启用并验证", r.OldKey)
	}
	for _, w := range r.Waves {
		if !w.PublishedAt.IsZero() {
			add("the nodes of wave %s go back to %s", "批次 %s 的节点切回 %s", w.Name, r.OldKey)
		}
	}
	if r.NewKey == "" {
		add("there is no new key yet; what an attempt may have left is looked for and ended", "尚无新密钥；会查找并清理创建过程可能遗留的密钥")
	} else {
		add("the new key %s is ended; whoever took it elsewhere loses it", "撤销新密钥 %s；在别处使用它的程序将失效", r.NewKey)
	}
	return out
}

func newRotationEnterCmd(c *cli.Run) *cobra.Command {
	f := remote.Filling{Run: c}
	var id string
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "enter PLAN",
		Short: c.T("Enter the key that you have made at the provider's console", "录入您在平台控制台创建的密钥"),
		Long: c.T(
			`Enter the key that you have made at the provider's console, for a rotation that waits for it.
The credential is what programs find in the secret: a JSON object of texts with the same names
as before, or lines NAME=VALUE, or NAME@=PATH for the content of a file. It comes from a file or
from standard input, never from the command line. A key whose predecessor was entered by a
guide is checked by that guide, which also tells its id; the settings are those of the
predecessor unless --set says otherwise.`,
			`为等待新密钥的轮换录入您在平台控制台创建的密钥。凭证即程序从凭据中读到的内容：与之前名称相同的
文本 JSON 对象，或每行 NAME=VALUE，或用 NAME@=PATH 读取文件内容。从文件或标准输入读取，绝不来自命令行。
若旧密钥是按指引录入的，新密钥按同一指引校验，其 ID 由指引得出；设置项沿用旧密钥的，除非用 --set 另行指定。`,
		),
		Example: "  keyward rotation enter payments --id AK2 --file new.json\n  keyward rotation enter wechat --file cert.txt",
		Secrets: true,
		Run: func(ctx context.Context, args []string) error {
			if f.File == "" {
				return c.Usage(cmd, "--file is missing: the file with the credential, - for standard input", "缺少 --file：凭证文件，- 表示标准输入")
			}
			in, err := rotationKey(ctx, &f)
			if err != nil {
				return err
			}
			in.ID = id
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			r, err := server.EnterRotationKey(ctx, args[0], in)
			if err != nil {
				return err
			}
			for _, w := range r.Warnings {
				c.Say("Look at this: %s", "请注意：%s", c.Of(w))
			}
			return showRotation(c, r)
		},
	})
	f.Cmd = cmd
	cmd.Flags().StringVar(&id, "id", "", c.T("`ID` of the new key at the provider; left out where a guide tells it", "新密钥在平台的 `ID`；可由指引得出时不必给出"))
	cmd.Flags().StringArrayVar(&f.Settings, "set", nil, c.T("a setting of the guide, `NAME=VALUE`, that is another than of the old key; may be repeated", "与旧密钥不同的指引设置项 `NAME=VALUE`；可重复"))
	cmd.Flags().StringVar(&f.File, "file", "", c.T("`FILE` with its credential, - for standard input", "存有凭证的文件 `FILE`，- 表示标准输入"))
	return cmd
}

// rotationKey reads the credential of a new key, and the settings that are given with it.
func rotationKey(ctx context.Context, f *remote.Filling) (api.EnterRotationKeyRequest, error) {
	in := api.EnterRotationKeyRequest{Settings: map[string]string{}, Credential: map[string]api.SecretText{}}
	content, err := f.ReadCredential(ctx)
	if err != nil {
		return in, err
	}
	defer clear(content)
	parts, err := f.Parse(content)
	if err != nil {
		return in, err
	}
	for name, part := range parts {
		if in.Credential[name] = api.SecretText(part); !utf8.Valid(part) { // a file, such as a .pfx
			in.Credential[name] = api.SecretText(base64.StdEncoding.EncodeToString(part))
		}
		clear(part)
	}
	for _, pair := range f.Settings {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return in, f.Usage(f.Cmd, "--set must look like NAME=VALUE", "--set 应形如 NAME=VALUE")
		}
		in.Settings[name] = value
	}
	return in, nil
}

// waitsFor answers why a rotation does not go on, "" if it does.
func waitsFor(c *cli.Run, r api.RotationRun) string {
	switch {
	case r.Halt != "":
		return c.T("halted: ", "已停止：") + c.Word(phrase.Reason(r.Halt))
	case r.Paused != "":
		return fmt.Sprintf(c.T("paused by %s", "已被 %s 暂停"), r.Paused)
	case r.Trouble != "":
		return c.Word(phrase.Reason(r.Trouble))
	case !r.WindowOpensAt.IsZero():
		return fmt.Sprintf(c.T("a maintenance window, which opens at %s", "等待维护窗口，将于 %s 开启"), cli.When(r.WindowOpensAt))
	}
	return ""
}

// nextCommand answers what a person would run next; "" for nothing.
func nextCommand(r api.RotationRun) string {
	if strings.HasPrefix(r.Next, "keyward rotation enter ") {
		if r.Guide != "" {
			return r.Next + " --file FILE"
		}
		return r.Next + " --id ID --file FILE"
	}
	return r.Next
}
