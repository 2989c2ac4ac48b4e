package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/auditcmd"
	"github.com/keyward/keyward/internal/cli/datacmd"
	"github.com/keyward/keyward/internal/cli/incidentcmd"
	"github.com/keyward/keyward/internal/cli/instancecmd"
	"github.com/keyward/keyward/internal/cli/inventorycmd"
	"github.com/keyward/keyward/internal/cli/keycmd"
	"github.com/keyward/keyward/internal/cli/nodecmd"
	"github.com/keyward/keyward/internal/cli/operatorcmd"
	"github.com/keyward/keyward/internal/cli/policycmd"
	"github.com/keyward/keyward/internal/cli/rotationcmd"
	"github.com/keyward/keyward/internal/cli/scancmd"
	"github.com/keyward/keyward/internal/cli/secretcmd"
	"github.com/keyward/keyward/internal/cli/servecmd"
	"github.com/keyward/keyward/internal/cli/usercmd"
)

// groups are the packages of commands, with the names of theirs.
var groups = []struct {
	names    string
	commands func(*cli.Run) []*cobra.Command
}{
	{"dev demo server", servecmd.Commands},
	{"agent node rollout", nodecmd.Commands},
	{"rotation", rotationcmd.Commands},
	{"key mac random", keycmd.Commands},
	{"encrypt decrypt batch data-key", datacmd.Commands},
	{"xks instance", instancecmd.Commands},
	{"secret sink", secretcmd.Commands},
	{"provider accesskey finding", inventorycmd.Commands},
	{"channel person rota escalation incident", incidentcmd.Commands},
	{"login logout sso user whoami profile", usercmd.Commands},
	{"policy role assume-role federate approval", policycmd.Commands},
	{"scan repository", scancmd.Commands},
	{"audit witness", auditcmd.Commands},
	{"operator", operatorcmd.Commands},
}

// commandsFor answers the commands among which that of a command line is. All of them, with all
// their flags, take longer to make than a hook takes to look at a file; so it is one package's if
// the line begins with a name of its.
func commandsFor(c *cli.Run, args []string) (commands []*cobra.Command) {
	for _, g := range groups {
		if len(args) > 0 && slices.Contains(strings.Fields(g.names), args[0]) {
			return g.commands(c)
		}
	}
	for _, g := range groups {
		commands = append(commands, g.commands(c)...)
	}
	return commands
}

// newRoot builds the whole command tree.
func newRoot(c *cli.Run) *cobra.Command { return rootFor(c, nil) }

// rootFor builds what a command line needs of the command tree.
func rootFor(c *cli.Run, args []string) *cobra.Command {
	root := c.Command(cli.Command{
		Use:   "keyward",
		Short: c.T("Keep the keys of a company, through their whole life", "管理企业的密钥，贯穿其整个生命周期"),
		Long: c.T(
			`keyward keeps the keys of a company, through their whole life: it creates them, uses
them without ever showing them, rotates and deletes them, and records every act.

Start with "keyward dev", which runs the whole product from one directory.`,
			`keyward 管理企业的密钥，贯穿其整个生命周期：创建密钥、使用但从不泄露密钥、轮转并删除密钥，并记录每一次操作。

从 "keyward dev" 开始：它在一个目录里运行完整的产品。`,
		),
	},
		append(commandsFor(c, args), newVersionCmd(c), newCompletionCmd(c))...,
	)
	root.SetIn(c.In)
	root.SetOut(c.Out)
	root.SetErr(c.Err)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true // ours speaks both languages
	root.SetHelpCommand(newHelpCmd(c, root))
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { help(c, cmd) })
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return c.FlagError(cmd, err) })
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if lang := cmd.Flags().Lookup("lang"); lang.Changed {
			if err := c.OneOf(cmd, "lang", lang.Value.String(), string(cli.English), string(cli.Chinese)); err != nil {
				return err
			}
		} else if env := c.Getenv("KEYWARD_LANG"); env != "" && env != string(cli.English) && env != string(cli.Chinese) {
			return c.Usage(cmd, "KEYWARD_LANG must be one of en, zh", "KEYWARD_LANG 只能取 en, zh 之一")
		}
		return c.OneOf(cmd, "output", c.Output, "table", "json", "csv")
	}
	globalFlags(c, root)
	return root
}

// globalFlags adds the flags of every command.
func globalFlags(c *cli.Run, root *cobra.Command) {
	f := root.PersistentFlags()
	f.SortFlags = false
	f.StringVar(&c.Endpoint, "endpoint", "", c.T("`URL` of the server (KEYWARD_ENDPOINT)", "服务器的 `URL`（KEYWARD_ENDPOINT）"))
	f.StringVar(&c.Profile, "profile", "", c.T("`NAME` of a profile in profiles.toml (KEYWARD_PROFILE)", "profiles.toml 中配置的名称 `NAME`（KEYWARD_PROFILE）"))
	f.StringVar(&c.CACert, "ca-cert", "", c.T("`FILE` with the certificates of authorities to trust (KEYWARD_CACERT)", "受信任 CA 证书的文件 `FILE`（KEYWARD_CACERT）"))
	f.StringVarP(&c.Output, "output", "o", c.Output, c.T("`FORMAT` of results: table, json or csv (KEYWARD_OUTPUT)", "结果的格式 `FORMAT`：table、json 或 csv（KEYWARD_OUTPUT）"))
	f.String("lang", string(c.Lang), c.T("`LANGUAGE` of texts: en or zh (KEYWARD_LANG)", "文字的语言 `LANGUAGE`：en 或 zh（KEYWARD_LANG）")) // read by Prepare
	f.BoolVarP(&c.Yes, "yes", "y", false, c.T("confirm what is asked", "对所有确认提问回答“是”"))
	f.BoolVar(&c.NoInput, "no-input", false, c.T("ask nothing", "不提出任何问题"))
	f.StringVar(&c.Reason, "reason", "", c.T("`TEXT` for those who must approve: why you want it", "向审批人说明原因的文字 `TEXT`"))
	f.BoolVar(&c.UntilApproved, "until-approved", false, c.T("wait for others' approval where it is needed", "需要他人审批时一直等待"))
	f.BoolP("help", "h", false, c.T("show help", "显示帮助"))
	cli.Complete(root, "output", "table", "json", "csv")
	cli.Complete(root, "lang", string(cli.English), string(cli.Chinese))
}

func newHelpCmd(c *cli.Run, root *cobra.Command) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "help [COMMAND...]",
		Short: c.T("Show help for a command", "显示命令的帮助"),
		Run: func(_ context.Context, args []string) error {
			cmd, rest, _ := root.Find(args) // as far as it is known; its error is in English only
			if len(rest) > 0 {
				return c.UnknownCommand(cmd, rest[0])
			}
			help(c, cmd)
			return nil
		},
	})
}
