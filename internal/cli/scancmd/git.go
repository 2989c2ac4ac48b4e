package scancmd

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/leak/history"
	"github.com/keyward/keyward/internal/leak/search"
)

func newScanGitCmd(c *cli.Run) *cobra.Command {
	s := &scan{Run: c}
	var staged, all, fresh bool
	var revisions string
	cmd := c.Command(cli.Command{
		Use:   "git [DIR]",
		Short: c.T("Find keys and passwords in a git repository's changes or history", "在 git 仓库的改动或历史中查找密钥和密码"),
		Long: c.T(
			`Look for credentials in what is staged (--staged), in what the commits of a range brought
(--range), or in everything that the repository keeps, with stashes, notes and commits that
no branch leads to any more (--all, the default). What was found, and what was clean, is
remembered under .git and not read again until the rules change (--afresh reads it).`,
			`在暂存的改动（--staged）、一段提交引入的内容（--range）或仓库保存的全部内容（--all，默认；包括 stash、notes
和已不属于任何分支的提交）中查找密钥和密码。每个对象的结果会记录在 .git 目录中，在规则变化之前不再读取（--afresh 会重新读取）。`,
		),
		Example: "  keyward scan git --staged\n  keyward scan git --range origin/main..HEAD\n  keyward scan git --all --format json /srv/git/shop.git",
		Run: func(ctx context.Context, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			if staged && revisions != "" || all && (staged || revisions != "") {
				return c.Usage(s.cmd, "--staged, --range and --all exclude each other", "--staged、--range 和 --all 不能同时使用")
			}
			if s.cmd.Flags().Changed("range") && (revisions == "" || strings.HasPrefix(revisions, "..")) { // as of an empty variable: neither everything nor, as git has it, nothing is meant
				return c.Usage(s.cmd, "--range has no beginning; name the commits, such as origin/main..HEAD, or take --all", "--range 缺少起点；请指定提交范围，例如 origin/main..HEAD，或使用 --all")
			}
			return s.search(ctx, dir, func(ctx context.Context, run *search.Search) error {
				r, err := history.Open(ctx, dir, run)
				if err != nil {
					return err
				}
				switch {
				case staged:
					return r.Staged(ctx)
				case revisions != "":
					return r.Range(ctx, revisions)
				}
				m := r.Remember(s.rulesVersion)
				if fresh {
					m = r.Forget(s.rulesVersion)
				}
				if err := r.All(ctx, m); err != nil {
					return err
				}
				if err := r.Save(m); err != nil { // a repository that may only be read
					c.Say("Warning: the next scan reads everything again: %v", "警告：下次扫描将重新读取全部内容：%v", err)
				}
				return nil
			})
		},
	})
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&staged, "staged", false, c.T("what is about to be committed", "即将提交的内容"))
	f.StringVar(&revisions, "range", "", c.T("what the commits of `A..B` brought", "`A..B` 之间的提交引入的内容"))
	f.BoolVar(&all, "all", false, c.T("everything that the repository keeps", "仓库保存的全部内容"))
	f.BoolVar(&fresh, "afresh", false, c.T("read what is remembered, too", "已记录结果的对象也重新读取"))
	s.flags(cmd)
	return cmd
}
