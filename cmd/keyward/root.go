package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newRoot builds the whole command tree.
func newRoot(c *cli) *cobra.Command {
	root := c.command(command{
		use:   "keyward",
		short: text{"Keep the keys of a company, through their whole life", "管理企业的密钥，贯穿其整个生命周期"},
		long: text{
			`keyward keeps the keys of a company, through their whole life: it creates them, uses
them without ever showing them, rotates and deletes them, and records every act.

Start with "keyward dev", which runs the whole product from one directory.`,
			`keyward 管理企业的密钥，贯穿其整个生命周期：创建密钥、使用但从不泄露密钥、轮转并删除密钥，并记录每一次操作。

从 "keyward dev" 开始：它在一个目录里运行完整的产品。`,
		},
	},
		newDevCmd(c), newDemoCmd(c), newServerCmd(c), newAgentCmd(c),
		newEncryptCmd(c), newDecryptCmd(c), newBatchCmd(c), newKeyCmd(c), newDataKeyCmd(c), newMACCmd(c), newRandomCmd(c), newSecretCmd(c), newSinkCmd(c), newNodeCmd(c), newRolloutCmd(c), newRotationCmd(c), newXKSCmd(c), newInstanceCmd(c),
		newProviderCmd(c), newAccessKeyCmd(c), newFindingCmd(c),
		newChannelCmd(c), newPersonCmd(c), newRotaCmd(c), newEscalationCmd(c), newIncidentCmd(c),
		newLoginCmd(c), newLogoutCmd(c), newSSOCmd(c), newUserCmd(c), newPolicyCmd(c), newRoleCmd(c), newAssumeRoleCmd(c), newFederateCmd(c), newWhoamiCmd(c), newApprovalCmd(c),
		newScanCmd(c), newRepositoryCmd(c), newAuditCmd(c), newWitnessCmd(c), newOperatorCmd(c),
		newProfileCmd(c), newVersionCmd(c), newCompletionCmd(c),
	)
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true // ours speaks both languages
	root.SetHelpCommand(newHelpCmd(c, root))
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { c.help(cmd) })
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return c.flagError(cmd, err) })
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if lang := cmd.Flags().Lookup("lang"); lang.Changed {
			if err := c.oneOf(cmd, "lang", lang.Value.String(), string(english), string(chinese)); err != nil {
				return err
			}
		} else if env := c.getenv("KEYWARD_LANG"); env != "" && env != string(english) && env != string(chinese) {
			return c.usage(cmd, "KEYWARD_LANG must be one of en, zh", "KEYWARD_LANG 只能取 en, zh 之一")
		}
		return c.oneOf(cmd, "output", c.output, "table", "json", "csv")
	}
	c.globalFlags(root)
	return root
}

// globalFlags adds the flags of every command.
func (c *cli) globalFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.SortFlags = false
	f.StringVar(&c.endpoint, "endpoint", "", c.t("`URL` of the server (KEYWARD_ENDPOINT)", "服务器的 `URL`（KEYWARD_ENDPOINT）"))
	f.StringVar(&c.profile, "profile", "", c.t("`NAME` of a profile in profiles.toml (KEYWARD_PROFILE)", "profiles.toml 中配置的名称 `NAME`（KEYWARD_PROFILE）"))
	f.StringVar(&c.caCert, "ca-cert", "", c.t("`FILE` with the certificates of authorities to trust (KEYWARD_CACERT)", "受信任 CA 证书的文件 `FILE`（KEYWARD_CACERT）"))
	f.StringVarP(&c.output, "output", "o", c.output, c.t("`FORMAT` of results: table, json or csv (KEYWARD_OUTPUT)", "结果的格式 `FORMAT`：table、json 或 csv（KEYWARD_OUTPUT）"))
	f.String("lang", string(c.lang), c.t("`LANGUAGE` of texts: en or zh (KEYWARD_LANG)", "文字的语言 `LANGUAGE`：en 或 zh（KEYWARD_LANG）")) // read by prepare
	f.BoolVarP(&c.yes, "yes", "y", false, c.t("confirm what is asked", "对所有确认提问回答“是”"))
	f.BoolVar(&c.noInput, "no-input", false, c.t("ask nothing", "不提出任何问题"))
	f.BoolVar(&c.untilApproved, "until-approved", false, c.t("wait for others' approval where it is needed", "需要他人审批时一直等待"))
	f.BoolP("help", "h", false, c.t("show help", "显示帮助"))
	complete(root, "output", "table", "json", "csv")
	complete(root, "lang", string(english), string(chinese))
}

// help writes what a command does and takes.
func (c *cli) help(cmd *cobra.Command) {
	w := cmd.OutOrStdout()
	about := cmd.Long
	if about == "" {
		about = cmd.Short
	}
	fmt.Fprintf(w, "%s\n\n%s\n  %s\n", about, c.t("Usage:", "用法："), c.useLine(cmd))
	if children := available(cmd); len(children) > 0 {
		fmt.Fprintf(w, "\n%s\n", c.t("Commands:", "命令："))
		rows := table{indent: "  "}
		for _, child := range children {
			rows.add(child.Name(), child.Short)
		}
		_ = rows.write(w) // help that nobody can read needs no error
	}
	if cmd.Example != "" {
		fmt.Fprintf(w, "\n%s\n%s\n", c.t("Examples:", "示例："), cmd.Example)
	}
	c.flagHelp(w, c.t("Flags:", "选项："), ownFlags(cmd))
	c.flagHelp(w, c.t("Flags of every command:", "所有命令通用的选项："), cmd.Root().PersistentFlags())
}

// useLine answers how a command is called.
func (c *cli) useLine(cmd *cobra.Command) string {
	name, arguments, _ := strings.Cut(cmd.Use, " ")
	if parent := cmd.Parent(); parent != nil {
		name = parent.CommandPath() + " " + name
	}
	if len(available(cmd)) > 0 && arguments == "" {
		return name + " " + c.t("COMMAND", "命令")
	}
	return strings.TrimSpace(name + " " + c.t("[FLAGS]", "[选项]") + " " + arguments)
}

// ownFlags answers the flags of a command that not every command has.
func ownFlags(cmd *cobra.Command) *pflag.FlagSet {
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	add := func(f *pflag.Flag) {
		if cmd.Root().PersistentFlags().Lookup(f.Name) == nil {
			own.AddFlag(f)
		}
	}
	cmd.LocalFlags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)
	return own
}

// available answers the subcommands that people are told of.
func available(cmd *cobra.Command) []*cobra.Command {
	var out []*cobra.Command
	for _, child := range cmd.Commands() {
		if !child.Hidden && child.Name() != "help" {
			out = append(out, child)
		}
	}
	return out
}

// flagHelp writes a table of flags; pflag's own is in English only.
func (c *cli) flagHelp(w io.Writer, title string, flags *pflag.FlagSet) {
	rows := table{indent: "  "}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		name := "    --" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", --" + f.Name
		}
		if kind != "" {
			name += " " + kind
		}
		switch f.DefValue {
		case "", "false", "0", "0s", "[]":
		default:
			usage += fmt.Sprintf(c.t(" (default %s)", "（默认 %s）"), f.DefValue)
		}
		rows.add(name, usage)
	})
	if len(rows.rows) > 0 {
		fmt.Fprintf(w, "\n%s\n", title)
		_ = rows.write(w) // help that nobody can read needs no error
	}
}

func newHelpCmd(c *cli, root *cobra.Command) *cobra.Command {
	return c.command(command{
		use:   "help [COMMAND...]",
		short: text{"Show help for a command", "显示命令的帮助"},
		run: func(_ context.Context, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return c.unknownCommand(root, args[len(args)-1])
			}
			c.help(cmd)
			return nil
		},
	})
}

// A build says what this binary is.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// thisBuild answers what this binary is.
func thisBuild() build {
	b := build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.Version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Revision = s.Value
			}
		}
	}
	return b
}

func newVersionCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "version",
		short: text{"Show the version of this program", "显示本程序的版本"},
		run: func(context.Context, []string) error {
			b := thisBuild()
			return c.show(b, func(t *table) {
				t.add(c.t("Version", "版本"), b.Version)
				t.add(c.t("Revision", "修订"), orDash(b.Revision))
				t.add("Go", b.Go)
				t.add(c.t("Platform", "平台"), b.Platform)
			})
		},
	})
}

func newCompletionCmd(c *cli) *cobra.Command {
	shells := []struct {
		name, example string
		write         func(*cobra.Command) error
	}{
		{"bash", "  source <(keyward completion bash)", func(r *cobra.Command) error { return r.GenBashCompletionV2(c.out, true) }},
		{"zsh", `  keyward completion zsh > "${fpath[1]}/_keyward"`, func(r *cobra.Command) error { return r.GenZshCompletion(c.out) }},
		{"fish", "  keyward completion fish > ~/.config/fish/completions/keyward.fish", func(r *cobra.Command) error { return r.GenFishCompletion(c.out, true) }},
		{"powershell", "  keyward completion powershell | Out-String | Invoke-Expression", func(r *cobra.Command) error { return r.GenPowerShellCompletionWithDesc(c.out) }},
	}
	group := c.command(command{use: "completion", short: text{"Write a script that completes commands in a shell", "生成 shell 命令补全脚本"}})
	for _, shell := range shells {
		group.AddCommand(c.command(command{
			use:     shell.name,
			short:   text{"Write the completion script for " + shell.name, "生成 " + shell.name + " 的补全脚本"},
			example: shell.example,
			run:     func(context.Context, []string) error { return shell.write(group.Root()) },
		}))
	}
	return group
}
