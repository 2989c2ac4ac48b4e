package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/cli"
)

func newVersionCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "version",
		Short: c.T("Show the version of this program", "显示本程序的版本"),
		Run: func(context.Context, []string) error {
			b := cli.ThisBuild()
			return c.Show(b, func(t *cli.Table) {
				t.Add(c.T("Version", "版本"), b.Version)
				t.Add(c.T("Revision", "修订"), cli.OrDash(b.Revision))
				t.Add("Go", b.Go)
				t.Add(c.T("Platform", "平台"), b.Platform)
			})
		},
	})
}

func newCompletionCmd(c *cli.Run) *cobra.Command {
	shells := []struct {
		name, example string
		write         func(*cobra.Command) error
	}{
		{"bash", "  source <(keyward completion bash)", func(r *cobra.Command) error { return r.GenBashCompletionV2(c.Out, true) }},
		{"zsh", `  keyward completion zsh > "${fpath[1]}/_keyward"`, func(r *cobra.Command) error { return r.GenZshCompletion(c.Out) }},
		{"fish", "  keyward completion fish > ~/.config/fish/completions/keyward.fish", func(r *cobra.Command) error { return r.GenFishCompletion(c.Out, true) }},
		{"powershell", "  keyward completion powershell | Out-String | Invoke-Expression", func(r *cobra.Command) error { return r.GenPowerShellCompletionWithDesc(c.Out) }},
	}
	group := c.Command(cli.Command{Use: "completion", Short: c.T("Write a script that completes commands in a shell", "生成 shell 命令补全脚本")})
	for _, shell := range shells {
		group.AddCommand(c.Command(cli.Command{
			Use:     shell.name,
			Short:   c.T("Write the completion script for "+shell.name, "生成 "+shell.name+" 的补全脚本"),
			Example: shell.example,
			Run:     func(context.Context, []string) error { return shell.write(group.Root()) },
		}))
	}
	return group
}
