package secretcmd

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

func newSinkCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "sink", Short: c.T("Copy secrets to another keeper of secrets, such as a Vault", "将凭据复制到其他凭据管理系统，例如 Vault")},
		c.Command(cli.Command{Use: "add", Short: c.T("Add a sink", "添加同步目标")}, newSinkAddVaultCmd(c)),
		newSinkUpdateCmd(c), newSinkListCmd(c), newSinkShowCmd(c), newSinkSyncCmd(c), newSinkRemoveCmd(c))
}

// An addingVault is one call of sink add vault.
type addingVault struct {
	*cli.Run
	api.AddSinkRequest
	settings                map[string]*string
	tokenFile, secretIDFile string
	roleID, caFile          string
}

func newSinkAddVaultCmd(c *cli.Run) *cobra.Command {
	a := &addingVault{Run: c, settings: map[string]*string{}}
	a.Kind, a.Settings, a.Credential = "vault", map[string]string{}, map[string]api.SecretText{}
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "vault NAME",
		Short: c.T("Copy secrets into a KV version 2 mount of a Vault or an OpenBao", "将凭据复制到 Vault 或 OpenBao 的 KV v2 挂载点"),
		Long: c.T(
			`Copy secrets into a KV version 2 mount of a HashiCorp Vault or an OpenBao, now and whenever
they change. What somebody changes there is told as drifted, and not overwritten.

The credential is a token or an AppRole. It comes from files, never from the command line.`,
			`将凭据复制到 HashiCorp Vault 或 OpenBao 的 KV v2 挂载点，现在以及每次变更时。
如果有人在那里做了修改，会显示为“已偏离”，不会被覆盖。

凭证可以是令牌或 AppRole，从文件读取，绝不来自命令行。`,
		),
		Example: "  keyward sink add vault ours --address https://vault.example.com:8200 --token-file token --name 'payment/*'",
		Secrets: true,
		Run: func(ctx context.Context, args []string) error {
			if len(a.Secrets)+len(a.TagKeys) == 0 {
				return c.Usage(cmd, "--name or --tag-key is missing: say which secrets are copied", "缺少 --name 或 --tag-key：请说明复制哪些凭据")
			}
			a.Name = args[0]
			return a.run(ctx)
		},
	})
	a.flags(cmd)
	return cmd
}

func (a *addingVault) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	for _, s := range []struct {
		flag, setting string
		usage         string
	}{
		{"address", "address", a.T("`URL` of the server", "服务器的 `URL`")},
		{"mount", "mount", a.T("KV version 2 `MOUNT`; by default secret", "KV v2 挂载点 `MOUNT`；默认 secret")},
		{"path", "path", a.T("`PATH` below the mount, to which names are added", "挂载点下的路径 `PATH`，凭据名称接在其后")},
		{"namespace", "namespace", a.T("`NAMESPACE`, if the server has some", "命名空间 `NAMESPACE`（如有）")},
		{"auth-mount", "auth_mount", a.T("where AppRole is mounted: `MOUNT`; by default approle", "AppRole 的挂载点 `MOUNT`；默认 approle")},
	} {
		a.settings[s.setting] = f.String(s.flag, "", s.usage)
	}
	f.StringVar(&a.caFile, "ca-file", "", a.T("`FILE` with the certificates, in PEM, of the authority that the server's comes from; by default those that the keyward server trusts", "签发服务器证书的 CA 证书文件（PEM）`FILE`；默认为 keyward 服务器信任的 CA"))
	f.StringVar(&a.tokenFile, "token-file", "", a.T("`FILE` with the token", "存有令牌的文件 `FILE`"))
	f.StringVar(&a.roleID, "role-id", "", a.T("role `ID` of an AppRole", "AppRole 的角色 `ID`"))
	f.StringVar(&a.secretIDFile, "secret-id-file", "", a.T("`FILE` with the secret id of the AppRole", "存有 AppRole secret id 的文件 `FILE`"))
	f.StringSliceVar(&a.Secrets, "name", nil, a.T("copy the secret with this `NAME`; one that ends in * stands for all that begin so; may be repeated", "复制此名称 `NAME` 的凭据；以 * 结尾表示所有以此开头的；可重复"))
	f.StringSliceVar(&a.TagKeys, "tag-key", nil, a.T("copy secrets with the tag `KEY`; may be repeated", "复制带有标签键 `KEY` 的凭据；可重复"))
}

// fill reads settings and credential from the flags and the files that they name.
func (a *addingVault) fill(ctx context.Context) error {
	for name, value := range a.settings {
		if *value != "" {
			a.Settings[name] = *value
		}
	}
	if a.caFile != "" {
		ca, err := a.ReadText(ctx, a.caFile)
		if err != nil {
			return err
		}
		a.Settings["ca"] = ca
	}
	for name, file := range map[string]string{"token": a.tokenFile, "secret_id": a.secretIDFile} {
		if file == "" {
			continue
		}
		content, err := a.ReadText(ctx, file)
		if err != nil {
			return err
		}
		a.Credential[name] = api.SecretText(content)
	}
	if a.roleID != "" {
		a.Credential["role_id"] = api.SecretText(a.roleID)
	}
	return nil
}

func (a *addingVault) run(ctx context.Context) error {
	if err := a.fill(ctx); err != nil {
		return err
	}
	server, err := remote.Connect(a.Run)
	if err != nil {
		return err
	}
	sink, err := server.AddSink(ctx, a.AddSinkRequest)
	if err != nil {
		return err
	}
	a.Say("%s is added; keyward sink show %s tells how the copies stand", "%s 已添加；用 keyward sink show %s 查看复制状态", sink.Name, sink.Name)
	return a.ShowJSON(sink)
}

func newSinkUpdateCmd(c *cli.Run) *cobra.Command {
	a := &addingVault{Run: c, settings: map[string]*string{}}
	a.Settings, a.Credential = map[string]string{}, map[string]api.SecretText{}
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "update NAME",
		Short: c.T("Change what a sink copies, or where to and with which credential", "修改同步目标复制的内容，或其位置和凭证"),
		Long: c.T(
			`Change what a sink copies, or where to and with which credential. What no flag names stays as it is, but
a connection takes the credential anew: it is never sent where it was not entered for.`,
			`修改同步目标复制的内容，或其位置和凭证。未用参数指定的保持不变；但更改位置时须重新提供凭证：
凭证绝不会被发送到录入时未指定的地方。`,
		),
		Example: "  keyward sink update ours --token-file token\n  keyward sink update ours --name 'payment/*' --name 'ledger/*'",
		Secrets: true,
		Run:     func(ctx context.Context, args []string) error { return a.update(ctx, cmd, args[0]) },
	})
	a.flags(cmd)
	return cmd
}

// update changes what the flags name. Settings that they do not name are read from the
// server first, for settings are stored all anew.
func (a *addingVault) update(ctx context.Context, cmd *cobra.Command, name string) error {
	server, err := remote.Connect(a.Run)
	if err != nil {
		return err
	}
	if err := a.fill(ctx); err != nil {
		return err
	}
	var in api.UpdateSinkRequest
	if cmd.Flags().Changed("name") {
		in.Secrets = &a.Secrets
	}
	if cmd.Flags().Changed("tag-key") {
		in.TagKeys = &a.TagKeys
	}
	if len(a.Settings)+len(a.Credential) > 0 {
		if len(a.Credential) == 0 {
			return a.Usage(cmd, "the credential is missing: another place takes it anew, with --token-file, or --role-id and --secret-id-file",
				"缺少凭证：更改位置时须用 --token-file，或 --role-id 和 --secret-id-file 重新提供")
		}
		have, err := server.DescribeSink(ctx, name, api.PageRequest{Limit: 1})
		if err != nil {
			return err
		}
		settings := maps.Clone(have.Sink.Settings)
		maps.Copy(settings, a.Settings)
		in.Connection = &api.SinkConnection{Settings: settings, Credential: a.Credential}
	}
	if in.Connection == nil && in.Secrets == nil && in.TagKeys == nil {
		return a.Usage(cmd, "nothing is to be changed: name what with a flag", "没有要修改的内容：请用参数指定")
	}
	sink, err := server.UpdateSink(ctx, name, in)
	if err != nil {
		return err
	}
	a.Say("%s is changed; keyward sink show %s tells how the copies stand", "%s 已修改；用 keyward sink show %s 查看复制状态", sink.Name, sink.Name)
	return a.ShowJSON(sink)
}

func newSinkListCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "list",
		Short: c.T("List sinks", "列出同步目标"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all, err := server.ListSinks(ctx)
			if err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("SINK", "同步目标"), c.T("KIND", "类型"), c.T("ADDRESS", "地址"), c.T("SECRETS", "凭据"))
				for _, s := range all.Sinks {
					t.Add(s.Name, s.Kind, s.Settings["address"], strings.Join(append(s.Secrets, s.TagKeys...), ", "))
				}
			})
		}),
	})
}

func newSinkShowCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "show NAME",
		Short: c.T("Show a sink and how its copies stand", "显示同步目标及其复制状态"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			all := api.SinkStatus{Copies: []api.SecretCopy{}}
			if err := remote.Pages(func(cursor string) (string, error) {
				page, err := server.DescribeSink(ctx, args[0], api.PageRequest{Cursor: cursor})
				all.Sink, all.Copies, all.Total = page.Sink, append(all.Copies, page.Copies...), page.Total
				return page.Next, err
			}); err != nil {
				return err
			}
			return showSink(c, all)
		}),
	})
}

// showSink writes a sink and then its copies, whose columns line up among themselves.
func showSink(c *cli.Run, s api.SinkStatus) error {
	if err := c.Show(s, func(t *cli.Table) {
		t.Add(c.T("Sink", "同步目标"), s.Sink.Name+" ("+s.Sink.Kind+")")
		for _, name := range slices.Sorted(maps.Keys(s.Sink.Settings)) {
			value, rest, more := strings.Cut(s.Sink.Settings[name], "\n")
			if more { // certificates: only their beginning is for a table
				value = fmt.Sprintf(c.T("%s … (%d bytes)", "%s …（%d 字节）"), value, len(value)+1+len(rest))
			}
			t.Add(name, value)
		}
		t.Add(c.T("Secrets", "凭据"), cli.OrDash(strings.Join(s.Sink.Secrets, ", ")))
		t.Add(c.T("Tags", "标签"), cli.OrDash(strings.Join(s.Sink.TagKeys, ", ")))
	}); err != nil || c.Output == "json" || len(s.Copies) == 0 {
		return err
	}
	var t cli.Table
	t.Add()
	t.Add(c.T("SECRET", "凭据"), c.T("STATUS", "状态"), c.T("VERSION THERE", "目标版本"), c.T("SINCE", "时间"), c.T("ERROR", "错误"))
	for _, copied := range s.Copies {
		t.Add(copied.Secret, copyStatus(c, copied.Status), strconv.Itoa(copied.Remote), cli.When(copied.At), c.Told(copied.Error, copied.ErrorZh))
	}
	return t.Write(c.Out)
}

// copyStatus writes the status of a copy in the user's language.
func copyStatus(c *cli.Run, status string) string {
	switch status {
	case "synced":
		return c.T(status, "已同步")
	case "pending":
		return c.T(status, "等待中")
	case "failed":
		return c.T(status, "失败")
	case "drifted":
		return c.T(status, "已偏离")
	}
	return status
}

func newSinkSyncCmd(c *cli.Run) *cobra.Command {
	var in api.SyncSinkRequest
	cmd := c.Command(cli.Command{
		Use:   "sync NAME",
		Short: c.T("Have a sink looked at now, instead of within a minute", "立即同步，而不是等待一分钟内的下一次"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			if in.Overwrite {
				if err := c.Confirm(ctx, args[0], c.T(
					fmt.Sprintf("What somebody changed at %s is overwritten with what is here.", args[0]),
					fmt.Sprintf("他人在 %s 所做的修改将被这里的内容覆盖。", args[0]),
				)); err != nil {
					return err
				}
			}
			if err := server.SyncSink(ctx, args[0], in); err != nil {
				return err
			}
			c.Say("%s is being looked at; keyward sink show tells what came of it", "%s 正在同步；用 keyward sink show 查看结果", args[0])
			return c.ShowJSON(map[string]any{"name": args[0], "overwrite": in.Overwrite})
		}),
	})
	cmd.Flags().BoolVar(&in.Overwrite, "overwrite", false, c.T("also overwrite what somebody changed there", "同时覆盖他人在目标所做的修改"))
	return cmd
}

func newSinkRemoveCmd(c *cli.Run) *cobra.Command {
	return remote.OnServer(c, "remove NAME", c.T("Forget a sink; what was copied stays where it is", "移除同步目标；已复制的内容保留在原处"), c.T("%s is removed; what was copied stays where it is", "%s 已移除；已复制的内容保留在原处"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return nil, server.RemoveSink(ctx, args[0])
		})
}
