package scancmd

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/history"
	"github.com/keyward/keyward/internal/leak/report"
	"github.com/keyward/keyward/internal/leak/search"
)

// bypassOption is the push option with which somebody says why a push is right.
const bypassOption = "keyward.bypass="

func newScanPushCmd(c *cli.Run) *cobra.Command {
	s := &scan{Run: c}
	var bypass bool
	cmd := c.Command(cli.Command{
		Use:   "pre-receive",
		Short: c.T("Refuse pushes that bring keys and passwords: git's pre-receive hook", "拒绝包含密钥和密码的推送：git 的 pre-receive 钩子"),
		Long: c.T(
			`Look for credentials in what a push brings and the repository does not have yet: files of
its commits, messages of commits and tags. It is called by the hook "pre-receive" of a
repository on a server, with what git gives to it.

Exit status: 0 the push is taken, 1 it is refused, 2 an error, for which it is refused, too.
What cannot be looked at, such as a broken archive, is told and does not refuse a push.

With --report the server is told of pushes that are refused, and asked whether somebody
accepts them until a date (keyward finding suppress). With --allow-bypass, too, whoever pushes
may say why it is right: git push -o keyward.bypass="a test key"; the reason is recorded.`,
			`在推送带来的、仓库中尚不存在的内容（提交中的文件、提交说明和标签说明）中查找密钥和密码。
由服务器上仓库的 pre-receive 钩子调用，输入即 git 提供给钩子的内容。

退出码：0 接受推送；1 拒绝；2 出错，同样拒绝。无法检查的内容（例如损坏的归档）会给出提示，但不会拒绝推送。

指定 --report 时，被拒绝的推送会上报服务器，并查询是否已有人在限期内接受（keyward finding suppress）。
同时指定 --allow-bypass 时，推送者可以说明原因后放行：git push -o keyward.bypass="测试密钥"；原因会被记录。`,
		),
		Example: "  keyward scan pre-receive\n  keyward scan pre-receive --report --origin git.example.com/shop --allow-bypass",
		Run: func(ctx context.Context, _ []string) error {
			if bypass && !s.report {
				return c.Usage(s.cmd, "--allow-bypass needs --report: a bypass is recorded", "--allow-bypass 需要 --report：放行必须留下记录")
			}
			return s.push(ctx, bypass)
		},
	})
	cmd.Flags().BoolVar(&bypass, "allow-bypass", false, c.T("take a push that says why it is right (git push -o keyward.bypass=REASON)", "推送者说明原因后放行（git push -o keyward.bypass=原因）"))
	s.flags(cmd)
	for _, flag := range []string{"accept", "owner", "reason", "until"} {
		_ = cmd.Flags().MarkHidden(flag) // nobody writes ignores from a hook
	}
	return cmd
}

// push decides about a push.
func (s *scan) push(ctx context.Context, bypass bool) error {
	threshold, err := s.check()
	if err != nil {
		return err
	}
	tips, err := history.ReadTips(s.In)
	if err != nil {
		return &cli.Problem{Message: s.T("the hook did not get what git gives to it", "钩子没有收到 git 提供的输入"), Cause: err, Status: cli.ExitPartial}
	}
	look := func(ctx context.Context, run *search.Search) error {
		r, err := history.Open(ctx, ".", run)
		if err != nil {
			return err
		}
		return r.Received(ctx, tips)
	}
	weak := func(f leak.Finding) bool { return f.Severity < threshold }
	first := *s // which remembers the files that it reads
	r, err := first.gather(ctx, ".", nil, look)
	if err != nil {
		return err
	}
	for _, p := range r.Coverage.Problems {
		s.Say("not looked at: %s: %s", "未能检查：%s：%s", cli.Printable(p.Path), cli.Printable(s.T(p.What, p.Chinese)))
	}
	if r.Findings = slices.DeleteFunc(r.Findings, weak); len(r.Findings) == 0 {
		return nil
	}
	if !s.report {
		return s.refuse(r, "")
	}
	// The server is asked only now: pushes without findings do not need it.
	told, err := s.reporter(ctx, ".")
	if err != nil {
		return s.refuse(r, s.unasked(err))
	}
	if r, err = s.gather(ctx, ".", told, look); err != nil {
		return err
	}
	r.Findings = slices.DeleteFunc(r.Findings, weak)
	left, err := told.accepted(ctx, r.Findings)
	if err != nil {
		return s.refuse(r, s.unasked(err))
	}
	if told.reason = s.pushOption(); !bypass {
		told.reason = ""
	}
	if len(left) == 0 || told.reason != "" { // from here on it stands in the repository
		told.reason = cmp.Or(told.reason, "accepted by a person")
		if _, err := told.send(ctx, r.Findings); err != nil {
			return s.refuse(r, fmt.Sprintf(s.T("that it is let through cannot be recorded: %v", "无法记录放行：%v"), err))
		}
		s.Say("keyward: let through, %s: %s", "keyward：放行 %s：%s", findings(s.Run, len(r.Findings)), cli.Printable(told.reason))
		return nil
	}
	r.Findings, told.stopped = left, true
	if _, err := told.send(ctx, left); err != nil {
		return s.refuse(r, fmt.Sprintf(s.T("nobody could be told of it: %v", "未能上报：%v"), err))
	}
	return s.refuse(r, s.waysThrough(bypass))
}

// waysThrough says what somebody does whose push is right all the same.
func (s *scan) waysThrough(bypass bool) string {
	ways := s.T(`if it is right, ask a reviewer to accept it until a date: it is listed by "keyward finding list --rule LK04"`, `如果确有必要，请审批人在限期内接受：见 keyward finding list --rule LK04`)
	if bypass {
		ways += s.T(`; or say why, which is recorded: git push -o keyward.bypass="REASON"`, `；或说明原因后推送（会被记录）：git push -o keyward.bypass="原因"`)
	}
	return ways
}

// unasked says what somebody does whose push nobody could be asked about.
func (s *scan) unasked(err error) string {
	return fmt.Sprintf(s.T("the server cannot be asked whether somebody accepts it (%v): tell whoever runs this Git server, and push again when that is mended", "无法向服务器查询是否已被接受（%v）：请联系此 Git 服务器的管理员处理后再推送"), err)
}

// pushOption answers why whoever pushes says that it is right, "" if nothing is said.
func (s *scan) pushOption() string {
	n, err := strconv.Atoi(s.Getenv("GIT_PUSH_OPTION_COUNT"))
	for i := 0; err == nil && i < min(n, 100); i++ {
		if reason, ok := strings.CutPrefix(s.Getenv(fmt.Sprint("GIT_PUSH_OPTION_", i)), bypassOption); ok {
			return strings.TrimSpace(reason)
		}
	}
	return ""
}

// refuse tells whoever pushes what was found and what to do.
func (s *scan) refuse(r report.Report, also string) error {
	if err := report.Human(s.Out, r, report.Style{Chinese: s.Lang == cli.Chinese, Places: 10}); err != nil {
		return &cli.Problem{Message: err.Error(), Status: cli.ExitPartial}
	}
	next := s.T("take it out of the commits that brought it (git rebase -i), revoke it if others have seen it, and push again", "请从引入它的提交中移除（git rebase -i），如已被他人看到则先吊销，然后重新推送")
	if also != "" {
		next += s.T("; ", "；") + also
	}
	return &cli.Problem{Message: fmt.Sprintf(s.T("the push is refused: %s", "推送被拒绝：发现 %s"), findings(s.Run, len(r.Findings))), Next: next, Status: cli.ExitFindings}
}
