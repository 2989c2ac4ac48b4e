package main

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
	"github.com/keyward/keyward/internal/rotation/phrase"
)

// watchPause is how long rotation status --watch waits between two looks.
const watchPause = 2 * time.Second

func newRotationStatusCmd(c *cli) *cobra.Command {
	var watch bool
	cmd := c.command(command{
		use:   "status PLAN",
		short: text{"Show how the last rotation of a plan stands, and what to do", "显示某计划最近一次轮换的状态与下一步操作"},
		long: text{
			`Show how the last rotation of a plan stands, or the one with an id: where it is on its way,
what it waits for, what to do, and whether it can still be rolled back.

With --watch it is shown until it ends, on a terminal as it changes, elsewhere a line for each
change. The exit status is 0 if it is done, and not if it was rolled back or has halted.`,
			`显示某计划最近一次（或指定 ID 的）轮换的状态：进行到哪一步、在等待什么、该做什么、是否还能回滚。

使用 --watch 持续显示直到结束：在终端上实时刷新，否则每次变化输出一行。
完成时退出码为 0；回滚或停止时不为 0。`,
		},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			if watch {
				return c.watchRotation(ctx, server, args[0])
			}
			r, err := server.DescribeRotation(ctx, args[0])
			if err != nil {
				return err
			}
			return c.showRotation(r)
		},
	})
	cmd.Flags().BoolVar(&watch, "watch", false, c.t("show it until it ends", "持续显示直到结束"))
	return cmd
}

// watchRotation shows a rotation until it ends or halts.
func (c *cli) watchRotation(ctx context.Context, server *client.Client, name string) error {
	v := view{cli: c}
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
			return &problem{message: fmt.Sprintf(c.t("the rotation was rolled back: %s", "轮换已回滚：%s"), cmp.Or(c.word(phrase.Back(r.Back)), "-"))}
		case r.Halt != "":
			return &problem{message: fmt.Sprintf(c.t("the rotation has halted: %s", "轮换已停止：%s"), c.word(phrase.Reason(r.Halt))), next: c.nextCommand(r)}
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
	*cli
	lines int    // that stand on the terminal
	last  string // what was shown
}

func (v *view) show(r api.RotationRun) error {
	var b strings.Builder
	if v.outTerminal && v.output == "table" {
		t := v.rotationTable(r)
		if err := t.write(&b); err != nil {
			return err
		}
		text := b.String()
		if text == v.last {
			return nil
		}
		if v.lines > 0 {
			fmt.Fprintf(v.out, "\x1b[%dA\x1b[J", v.lines)
		}
		v.last, v.lines = text, strings.Count(text, "\n")
		_, err := io.WriteString(v.out, text)
		return err
	}
	line := v.line(r)
	if line == v.last {
		return nil
	}
	v.last = line
	if v.output == "json" {
		return writeJSON(v.out, r)
	}
	_, err := fmt.Fprintln(v.out, when(r.ChangedAt)+" "+printable(line))
	return err
}

// line answers what a change is told by.
func (v *view) line(r api.RotationRun) string {
	parts := []string{v.word(phrase.Step(r.Step))}
	for _, w := range r.Waves {
		if r.Step == "rolling" && !w.PublishedAt.IsZero() {
			parts = append(parts, w.Name+" "+v.waveState(w))
		}
	}
	if why := v.waitsFor(r); why != "" {
		parts = append(parts, why)
	}
	if r.Late {
		parts = append(parts, v.t("late", "已迟"))
	}
	return strings.Join(parts, "; ")
}

// showRotation writes how a rotation stands.
func (c *cli) showRotation(r api.RotationRun) error {
	return c.show(r, func(t *table) { *t = c.rotationTable(r) })
}

func (c *cli) rotationTable(r api.RotationRun) table {
	var t table
	t.add(c.t("Rotation", "轮换"), r.ID+" ("+c.profileName(r.Profile)+")")
	t.add(c.t("Plan", "计划"), r.Plan)
	if r.Cause != "" {
		t.add(c.t("Cause", "原因"), r.Cause)
	}
	t.add(c.t("Key", "密钥"), r.OldKey+" → "+cmp.Or(r.NewKey, "…"))
	t.add(c.t("Steps", "步骤"), c.way(r))
	t.add(c.t("Now", "当前"), fmt.Sprintf(c.t("%s, since %s", "%s，自 %s 起"), c.word(phrase.Step(r.Step)), when(r.Since)))
	for _, w := range r.Waves {
		t.add(c.t("Wave ", "批次 ")+w.Name, c.waveState(w))
	}
	if why := c.waitsFor(r); why != "" {
		t.add(c.t("Waits", "等待"), why)
		if r.Detail != "" {
			t.add(c.t("Detail", "详情"), c.word(phrase.Detail(r.Detail)))
		}
		if remedy := phrase.Remedy(cmp.Or(r.Halt, r.Trouble)); remedy.English != "" {
			t.add(c.t("To do", "处理方法"), c.word(remedy))
		}
		for i, step := range r.Steps {
			if r.Trouble == "needs-key" || r.Trouble == "needs-hand" {
				t.add(fmt.Sprintf(c.t("Step %d", "操作 %d"), i+1), c.of(step))
			}
		}
	}
	if r.Tries > 0 {
		t.add(c.t("Tries", "重试"), fmt.Sprintf(c.t("failed %d times, again at %s", "已失败 %d 次，下次 %s"), r.Tries, when(r.NextTry)))
	}
	if r.Back != "" {
		t.add(c.t("Goes back", "回滚原因"), c.word(phrase.Back(r.Back)))
	}
	t.add(c.t("Old key expires", "旧密钥到期"), c.deadline(r))
	t.add(c.t("Rollback", "回滚"), c.canRollBack(r))
	if r.Next != "" && !strings.HasPrefix(r.Next, "keyward rotation status ") {
		t.add(c.t("Next", "下一步"), c.nextCommand(r))
	}
	return t
}

func (c *cli) profileName(profile string) string {
	if profile == "emergency" {
		return c.t(profile, "紧急")
	}
	return c.t(profile, "计划内")
}

// way answers the steps of a rotation in a line, with the one where it stands in brackets.
func (c *cli) way(r api.RotationRun) string {
	var names []string
	for _, step := range r.Route {
		name := c.word(phrase.Name(step))
		if step == r.Step {
			name = "[" + name + "]"
		}
		names = append(names, name)
	}
	return strings.Join(names, " › ")
}

func (c *cli) waveState(w api.RotationProgress) string {
	switch {
	case w.PublishedAt.IsZero() && w.Approve:
		return c.t("not yet; somebody approves it", "未开始；需要审批")
	case w.PublishedAt.IsZero():
		return c.t("not yet", "未开始")
	case w.ConfirmedAt.IsZero():
		return fmt.Sprintf(c.t("given to its nodes at %s", "已于 %s 分发到节点"), when(w.PublishedAt))
	}
	state := fmt.Sprintf(c.t("used by all its nodes since %s", "自 %s 起所有节点都在使用"), when(w.ConfirmedAt))
	if w.Bake != "" {
		state += fmt.Sprintf(c.t(", bakes for %s", "，观察 %s"), w.Bake)
	}
	return state
}

func (c *cli) deadline(r api.RotationRun) string {
	if r.FinishBy.IsZero() {
		return c.t("not known to", "未知到期时间")
	}
	if r.Late {
		return fmt.Sprintf(c.t("%s: the rotation cannot end in time any more", "%s：轮换已无法按时完成"), when(r.FinishBy))
	}
	return when(r.FinishBy)
}

// canRollBack says whether a rotation can be undone, and until when.
func (c *cli) canRollBack(r api.RotationRun) string {
	switch {
	case r.CanRollBack:
		return c.word(phrase.Until(r.PointOfNoReturn)) + c.t(": keyward rotation rollback ", "：keyward rotation rollback ") + r.Plan + " --reason TEXT"
	case r.Step == "done":
		return c.t("it cannot be rolled back any more: the old key is gone; start another rotation to replace the new one", "已无法回滚：旧密钥已失效；如需更换新密钥请再启动一次轮换")
	case r.Step == "aborted":
		return c.t("it was rolled back", "已经回滚")
	case r.Back != "" || slices.Contains(r.Route, "aborted"):
		return c.t("it is being rolled back", "正在回滚")
	}
	return c.t("it cannot be rolled back any more: the point of no return is behind it", "已无法回滚：已越过不可回滚点")
}
