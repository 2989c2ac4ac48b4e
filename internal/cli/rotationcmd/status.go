package rotationcmd

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
	"github.com/keyward/keyward/internal/rotation/phrase"
)

// watchPause is how long rotation status --watch waits between two looks.
const watchPause = 2 * time.Second

func newRotationStatusCmd(c *cli.Run) *cobra.Command {
	var watch bool
	cmd := c.Command(cli.Command{
		Use:   "status PLAN",
		Short: c.T("Show how the last rotation of a plan stands, and what to do", "显示某计划最近一次轮换的状态与下一步操作"),
		Long: c.T(
			`Show how the last rotation of a plan stands, or the one with an id: where it is on its way,
what it waits for, what to do, and whether it can still be rolled back.

With --watch it is shown until it ends, on a terminal as it changes, elsewhere a line for each
change. The exit status is 0 if it is done, and not if it was rolled back or has halted.`,
			`显示某计划最近一次（或指定 ID 的）轮换的状态：进行到哪一步、在等待什么、该做什么、是否还能回滚。

使用 --watch 持续显示直到结束：在终端上实时刷新，否则每次变化输出一行。
完成时退出码为 0；回滚或停止时不为 0。`,
		),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			if watch {
				return watchRotation(ctx, c, server, args[0])
			}
			r, err := server.DescribeRotation(ctx, args[0])
			if err != nil {
				return err
			}
			return showRotation(c, r)
		}),
	})
	cmd.Flags().BoolVar(&watch, "watch", false, c.T("show it until it ends", "持续显示直到结束"))
	return cmd
}

// watchRotation shows a rotation until it ends or halts.
func watchRotation(ctx context.Context, c *cli.Run, server *client.Client, name string) error {
	v := view{Run: c}
	for {
		r, err := server.DescribeRotation(ctx, name)
		if err != nil {
			return err
		}
		name = r.ID // not the one that follows it
		if err := v.show(r); err != nil {
			return err
		}
		switch {
		case r.Step == "done":
			return nil
		case r.Step == "aborted":
			return &cli.Problem{Message: fmt.Sprintf(c.T("the rotation was rolled back: %s", "轮换已回滚：%s"), cmp.Or(c.Word(phrase.Back(r.Back)), "-"))}
		case r.Halt != "":
			return &cli.Problem{Message: fmt.Sprintf(c.T("the rotation has halted: %s", "轮换已停止：%s"), c.Word(phrase.Reason(r.Halt))), Next: nextCommand(r)}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(watchPause):
		}
	}
}

// A view shows a rotation again and again: on a terminal in place, elsewhere a line per
// change.
type view struct {
	*cli.Run
	rows int    // that stand on the terminal
	last string // what was shown
}

func (v *view) show(r api.RotationRun) error {
	var b strings.Builder
	if v.OutTerminal && v.Output == "table" {
		t := rotationTable(v.Run, r)
		if err := t.Write(&b); err != nil {
			return err
		}
		text := b.String()
		if text == v.last {
			return nil
		}
		if v.rows > 0 {
			fmt.Fprintf(v.Out, "\x1b[%dA\x1b[J", v.rows)
		}
		v.last, v.rows = text, cli.Rows(text, v.Width())
		_, err := io.WriteString(v.Out, text)
		return err
	}
	line := v.line(r)
	if line == v.last {
		return nil
	}
	v.last = line
	if v.Output == "json" {
		return cli.WriteJSON(v.Out, r)
	}
	_, err := fmt.Fprintln(v.Out, cli.When(r.ChangedAt)+" "+cli.Printable(line))
	return err
}

// line answers what a change is told by.
func (v *view) line(r api.RotationRun) string {
	parts := []string{v.Word(phrase.Step(r.Step))}
	for _, w := range r.Waves {
		if r.Step == "rolling" && !w.PublishedAt.IsZero() {
			parts = append(parts, w.Name+" "+waveState(v.Run, w))
		}
	}
	if why := waitsFor(v.Run, r); why != "" {
		parts = append(parts, why)
	}
	if r.Late {
		parts = append(parts, v.T("late", "已迟"))
	}
	return strings.Join(parts, "; ")
}

// showRotation writes how a rotation stands.
func showRotation(c *cli.Run, r api.RotationRun) error {
	return c.Show(r, func(t *cli.Table) { *t = rotationTable(c, r) })
}

func rotationTable(c *cli.Run, r api.RotationRun) cli.Table {
	var t cli.Table
	t.Add(c.T("Rotation", "轮换"), r.ID+" ("+profileName(c, r.Profile)+")")
	t.Add(c.T("Plan", "计划"), r.Plan)
	if r.Cause != "" {
		t.Add(c.T("Cause", "原因"), r.Cause)
	}
	t.Add(c.T("Key", "密钥"), r.OldKey+" → "+cmp.Or(r.NewKey, "…"))
	t.Add(c.T("Steps", "步骤"), way(c, r))
	t.Add(c.T("Now", "当前"), fmt.Sprintf(c.T("%s, since %s", "%s，自 %s 起"), c.Word(phrase.Step(r.Step)), cli.When(r.Since)))
	for _, w := range r.Waves {
		t.Add(c.T("Wave ", "批次 ")+w.Name, waveState(c, w))
	}
	if why := waitsFor(c, r); why != "" {
		t.Add(c.T("Waits", "等待"), why)
		if r.Detail != "" {
			t.Add(c.T("Detail", "详情"), c.Word(phrase.Detail(r.Detail)))
		}
		if remedy := phrase.Remedy(cmp.Or(r.Halt, r.Trouble)); remedy.English != "" {
			t.Add(c.T("To do", "处理方法"), c.Word(remedy))
		}
		for i, step := range r.Steps {
			if r.Trouble == "needs-key" || r.Trouble == "needs-hand" {
				t.Add(fmt.Sprintf(c.T("Step %d", "操作 %d"), i+1), c.Of(step))
			}
		}
	}
	if r.Tries > 0 {
		t.Add(c.T("Tries", "重试"), fmt.Sprintf(c.T("failed %d times, again at %s", "已失败 %d 次，下次 %s"), r.Tries, cli.When(r.NextTry)))
	}
	if r.Back != "" {
		t.Add(c.T("Goes back", "回滚原因"), c.Word(phrase.Back(r.Back)))
	}
	t.Add(c.T("Old key expires", "旧密钥到期"), deadline(c, r))
	t.Add(c.T("Rollback", "回滚"), canRollBack(c, r))
	if r.Next != "" && !strings.HasPrefix(r.Next, "keyward rotation status ") {
		t.Add(c.T("Next", "下一步"), nextCommand(r))
	}
	return t
}

func profileName(c *cli.Run, profile string) string {
	if profile == "emergency" {
		return c.T(profile, "紧急")
	}
	return c.T(profile, "计划内")
}

// way answers the steps of a rotation in a line, with the one where it stands in brackets.
func way(c *cli.Run, r api.RotationRun) string {
	var names []string
	for _, step := range r.Route {
		name := c.Word(phrase.Name(step))
		if step == r.Step {
			name = "[" + name + "]"
		}
		names = append(names, name)
	}
	return strings.Join(names, " › ")
}

func waveState(c *cli.Run, w api.RotationProgress) string {
	switch {
	case w.PublishedAt.IsZero() && w.Approve:
		return c.T("not yet; somebody approves it", "未开始；需要审批")
	case w.PublishedAt.IsZero():
		return c.T("not yet", "未开始")
	case w.ConfirmedAt.IsZero():
		return fmt.Sprintf(c.T("given to its nodes at %s", "已于 %s 分发到节点"), cli.When(w.PublishedAt))
	}
	state := fmt.Sprintf(c.T("used by all its nodes since %s", "自 %s 起所有节点都在使用"), cli.When(w.ConfirmedAt))
	if w.Bake != "" {
		state += fmt.Sprintf(c.T(", bakes for %s", "，观察 %s"), w.Bake)
	}
	return state
}

func deadline(c *cli.Run, r api.RotationRun) string {
	if r.FinishBy.IsZero() {
		return c.T("not known", "未知到期时间")
	}
	if r.Late {
		return fmt.Sprintf(c.T("%s: the rotation cannot end in time any more", "%s：轮换已无法按时完成"), cli.When(r.FinishBy))
	}
	return cli.When(r.FinishBy)
}

// canRollBack says whether a rotation can be undone, and until when.
func canRollBack(c *cli.Run, r api.RotationRun) string {
	switch {
	case r.CanRollBack:
		return c.Word(phrase.Until(r.PointOfNoReturn)) + c.T(": keyward rotation rollback ", "：keyward rotation rollback ") + r.Plan + " --reason TEXT"
	case r.Step == "done":
		return c.T("it cannot be rolled back any more: the old key is gone; start another rotation to replace the new one", "已无法回滚：旧密钥已失效；如需更换新密钥请再启动一次轮换")
	case r.Step == "aborted":
		return c.T("it was rolled back", "已经回滚")
	case r.Back != "" || slices.Contains(r.Route, "aborted"):
		return c.T("it is being rolled back", "正在回滚")
	}
	return c.T("it cannot be rolled back any more: the point of no return is behind it", "已无法回滚：已越过不可回滚点")
}
