package instancecmd

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

func newInstanceCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "instance", Short: c.T("Manage instances: places for keys", "管理实例：存放密钥的位置")},
		newInstanceCreateCmd(c), newInstanceListCmd(c), newInstanceShowCmd(c), newInstanceConnectCmd(c), newInstanceShareCmd(c), newInstanceUnshareCmd(c), newInstanceDeleteCmd(c))
}

// A proxyConnection is the connection to an external key manager on the command line.
type proxyConnection struct {
	proxyFiles
	endpoint string
}

func (p *proxyConnection) flags(c *cli.Run, cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.endpoint, "proxy", "", c.T("`URL` of the proxy of the external key manager, without a path", "外部密钥管理系统代理的 `URL`，不含路径"))
	p.proxyFiles.flags(c, cmd.Flags())
}

// connection answers what was given, nil for nothing.
func (p *proxyConnection) connection(c *cli.Run) (*api.Connection, error) {
	if *p == (proxyConnection{}) {
		return nil, nil //nolint:nilnil // it is left out
	}
	c.Harden()
	content, err := p.read()
	if err != nil {
		return nil, err
	}
	out := api.Connection{Settings: map[string]string{}, Credential: map[string]api.SecretBytes{}}
	for name, value := range map[string]string{"endpoint": p.endpoint, "fingerprint": p.fingerprint, "authorities": string(content.authorities), "certificate": string(content.certificate)} {
		if value != "" {
			out.Settings[name] = value
		}
	}
	for name, value := range map[string][]byte{"configuration": content.configuration, "certificate_key": content.key} {
		if value != nil {
			out.Credential[name] = value
		}
	}
	return &out, nil
}

func newInstanceCreateCmd(c *cli.Run) *cobra.Command {
	var in api.CreateInstanceRequest
	var proxy proxyConnection
	cmd := c.Command(cli.Command{
		Use:   "create NAME",
		Short: c.T("Make an instance, whose class says where the material of its keys lives", "创建实例，其类型决定密钥材料存放的位置"),
		Long: c.T(
			`Make an instance. Keys of the class software are kept in the database, those of the class
hardware in the server's hardware token, and those of the class external at an external key
manager, which is reached over the XKS Proxy API and must answer now.`,
			`创建实例。software 类的密钥保存在数据库中，hardware 类保存在服务器的硬件令牌中，
external 类保存在外部密钥管理系统中：通过 XKS Proxy API 访问，创建时即须能够应答。`,
		),
		Example: "  keyward instance create payments --class software\n  keyward instance create bank --class external --proxy https://xks.example.com --configuration bank.json",
		Run: func(ctx context.Context, args []string) error {
			in.Name = args[0]
			var err error
			if in.Connection, err = proxy.connection(c); err != nil {
				return err
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			i, err := server.CreateInstance(ctx, in)
			if err != nil {
				return err
			}
			return c.Show(i, func(t *cli.Table) { addInstance(c, t, i) })
		},
	})
	cmd.Flags().StringVar(&in.Class, "class", "software", c.T("`CLASS`: software, hardware or external", "类型 `CLASS`：software、hardware 或 external"))
	cli.Complete(cmd, "class", "software", "hardware", "external")
	proxy.flags(c, cmd)
	return cmd
}

func newInstanceListCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "list",
		Short: c.T("List instances", "列出实例"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all, err := server.ListInstances(ctx)
			if err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("INSTANCE", "实例"), c.T("NAME", "名称"), c.T("CLASS", "类型"), c.T("CREATED", "创建时间"))
				for _, i := range all.Instances {
					t.Add(i.ID, i.Name, instanceClass(c, i.Class), cli.When(i.CreatedAt))
				}
			})
		}),
	})
}

func newInstanceShowCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "show INSTANCE",
		Short: c.T("Show an instance and whether its keys can be used now", "显示实例及其密钥当前是否可用"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			now, err := server.GetInstance(ctx, args[0])
			if err != nil {
				return err
			}
			return c.Show(now, func(t *cli.Table) {
				addInstance(c, t, now.Instance)
				t.Add(c.T("Keys", "密钥数"), fmt.Sprint(now.Keys))
				state := c.T("ready", "正常")
				if now.Trouble != "" {
					state = c.T("its keys cannot be used: ", "密钥不可用：") + now.Trouble
				}
				t.Add(c.T("State", "状态"), state)
				if now.Quota > 0 {
					t.Add(c.T("Other accounts", "其他账号"), fmt.Sprintf(c.T("%d of %d", "%d / %d"), now.Guests, now.Quota))
				}
			})
		}),
	})
}

func addInstance(c *cli.Run, t *cli.Table, i api.Instance) {
	t.Add(c.T("Instance", "实例"), i.ID)
	t.Add("ARN", i.ARN)
	t.Add(c.T("Name", "名称"), i.Name)
	t.Add(c.T("Class", "类型"), instanceClass(c, i.Class))
	for _, name := range slices.Sorted(maps.Keys(i.Settings)) {
		first, _, more := strings.Cut(i.Settings[name], "\n")
		if more {
			first += " …"
		}
		t.Add("  "+name, first)
	}
	t.Add(c.T("Account", "账号"), i.Account)
	if len(i.SharedWith) > 0 {
		t.Add(c.T("Shared with", "共享给"), strings.Join(i.SharedWith, ", "))
	}
	t.Add(c.T("Created", "创建时间"), cli.When(i.CreatedAt))
}

// instanceClass writes a class in the user's language.
func instanceClass(c *cli.Run, class string) string {
	switch class {
	case "software":
		return c.T(class, "软件")
	case "hardware":
		return c.T(class, "硬件")
	case "external":
		return c.T(class, "外部")
	}
	return class
}

func newInstanceConnectCmd(c *cli.Run) *cobra.Command {
	var proxy proxyConnection
	var cmd *cobra.Command
	cmd = remote.OnServer(c, "connect INSTANCE", c.T("Give an external instance another connection, if that one works", "更换外部实例的连接；新连接须可用"), c.T("%s is connected anew", "%s 已更换连接"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			connection, err := proxy.connection(c)
			if err != nil {
				return nil, err
			}
			if connection == nil {
				return nil, c.Usage(cmd, "--proxy and --configuration are missing", "缺少 --proxy 和 --configuration")
			}
			return server.ConnectInstance(ctx, args[0], api.ConnectInstanceRequest{Connection: *connection})
		})
	proxy.flags(c, cmd)
	return cmd
}

func newInstanceShareCmd(c *cli.Run) *cobra.Command {
	return remote.OnServer(c, "share INSTANCE ACCOUNT", c.T("Let another account make keys in an instance; you may use and manage them, too", "与其他账号共享实例：该账号可在其中创建密钥，您也可使用和管理这些密钥"), c.T("%s is shared", "%s 已共享"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return server.ShareInstance(ctx, args[0], args[1])
		})
}

func newInstanceUnshareCmd(c *cli.Run) *cobra.Command {
	return remote.OnServer(c, "unshare INSTANCE ACCOUNT", c.T("Let an account make no more keys in an instance; those that it made stay", "不再与某账号共享实例；其已创建的密钥保留"), c.T("%s is not shared with it any more", "%s 已取消共享"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return server.UnshareInstance(ctx, args[0], args[1])
		})
}

func newInstanceDeleteCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "delete INSTANCE",
		Short: c.T("Remove an instance that has no keys", "删除没有密钥的实例"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			if err := server.DeleteInstance(ctx, args[0]); err != nil {
				return err
			}
			c.Say("%s is removed", "%s 已删除", args[0])
			return c.ShowJSON(map[string]any{"name": args[0]})
		}),
	})
}
