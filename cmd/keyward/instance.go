package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

func newInstanceCmd(c *cli) *cobra.Command {
	return c.command(command{use: "instance", short: text{"Manage instances: places for keys", "管理实例：存放密钥的位置"}},
		newInstanceCreateCmd(c), newInstanceListCmd(c), newInstanceShowCmd(c), newInstanceConnectCmd(c), newInstanceShareCmd(c), newInstanceUnshareCmd(c), newInstanceDeleteCmd(c))
}

// A proxyConnection is the connection to an external key manager on the command line.
type proxyConnection struct {
	proxyFiles
	endpoint string
}

func (p *proxyConnection) flags(c *cli, cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.endpoint, "proxy", "", c.t("`URL` of the proxy of the external key manager, without a path", "外部密钥管理系统代理的 `URL`，不含路径"))
	p.proxyFiles.flags(c, cmd.Flags())
}

// connection answers what was given, nil for nothing.
func (p *proxyConnection) connection(c *cli) (*api.Connection, error) {
	if *p == (proxyConnection{}) {
		return nil, nil //nolint:nilnil // it is left out
	}
	c.harden()
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

func newInstanceCreateCmd(c *cli) *cobra.Command {
	var in api.CreateInstanceRequest
	var proxy proxyConnection
	cmd := c.command(command{
		use:   "create NAME",
		short: text{"Make an instance, whose class says where the material of its keys lives", "创建实例，其类型决定密钥材料存放的位置"},
		long: text{
			`Make an instance. Keys of the class software are kept in the database, those of the class
hardware in the server's hardware token, and those of the class external at an external key
manager, which is reached over the XKS Proxy API and must answer now.`,
			`创建实例。software 类的密钥保存在数据库中，hardware 类保存在服务器的硬件令牌中，
external 类保存在外部密钥管理系统中：通过 XKS Proxy API 访问，创建时即须能够应答。`,
		},
		example: "  keyward instance create payments --class software\n  keyward instance create bank --class external --proxy https://xks.example.com --configuration bank.json",
		run: func(ctx context.Context, args []string) error {
			in.Name = args[0]
			var err error
			if in.Connection, err = proxy.connection(c); err != nil {
				return err
			}
			server, err := c.connect()
			if err != nil {
				return err
			}
			i, err := server.CreateInstance(ctx, in)
			if err != nil {
				return err
			}
			return c.show(i, func(t *table) { c.addInstance(t, i) })
		},
	})
	cmd.Flags().StringVar(&in.Class, "class", "software", c.t("`CLASS`: software, hardware or external", "类型 `CLASS`：software、hardware 或 external"))
	complete(cmd, "class", "software", "hardware", "external")
	proxy.flags(c, cmd)
	return cmd
}

func newInstanceListCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "list",
		short: text{"List instances", "列出实例"},
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all, err := server.ListInstances(ctx)
			if err != nil {
				return err
			}
			return c.show(all, func(t *table) {
				t.add(c.t("INSTANCE", "实例"), c.t("NAME", "名称"), c.t("CLASS", "类型"), c.t("CREATED", "创建时间"))
				for _, i := range all.Instances {
					t.add(i.ID, i.Name, c.instanceClass(i.Class), when(i.CreatedAt))
				}
			})
		},
	})
}

func newInstanceShowCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "show INSTANCE",
		short: text{"Show an instance and whether its keys can be used now", "显示实例及其密钥当前是否可用"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			now, err := server.GetInstance(ctx, args[0])
			if err != nil {
				return err
			}
			return c.show(now, func(t *table) {
				c.addInstance(t, now.Instance)
				t.add(c.t("Keys", "密钥数"), fmt.Sprint(now.Keys))
				state := c.t("ready", "正常")
				if now.Trouble != "" {
					state = c.t("its keys cannot be used: ", "密钥不可用：") + now.Trouble
				}
				t.add(c.t("State", "状态"), state)
				if now.Quota > 0 {
					t.add(c.t("Other accounts", "其他账号"), fmt.Sprintf(c.t("%d of %d", "%d / %d"), now.Guests, now.Quota))
				}
			})
		},
	})
}

func (c *cli) addInstance(t *table, i api.Instance) {
	t.add(c.t("Instance", "实例"), i.ID)
	t.add("ARN", i.ARN)
	t.add(c.t("Name", "名称"), i.Name)
	t.add(c.t("Class", "类型"), c.instanceClass(i.Class))
	for _, name := range slices.Sorted(maps.Keys(i.Settings)) {
		first, _, more := strings.Cut(i.Settings[name], "\n")
		if more {
			first += " …"
		}
		t.add("  "+name, first)
	}
	t.add(c.t("Account", "账号"), i.Account)
	if len(i.SharedWith) > 0 {
		t.add(c.t("Shared with", "共享给"), strings.Join(i.SharedWith, ", "))
	}
	t.add(c.t("Created", "创建时间"), when(i.CreatedAt))
}

// instanceClass writes a class in the user's language.
func (c *cli) instanceClass(class string) string {
	switch class {
	case "software":
		return c.t(class, "软件")
	case "hardware":
		return c.t(class, "硬件")
	case "external":
		return c.t(class, "外部")
	}
	return class
}

func newInstanceConnectCmd(c *cli) *cobra.Command {
	var proxy proxyConnection
	var cmd *cobra.Command
	cmd = c.onServer("connect INSTANCE", text{"Give an external instance another connection, if that one works", "更换外部实例的连接；新连接须可用"}, text{"%s is connected anew", "%s 已更换连接"},
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			connection, err := proxy.connection(c)
			if err != nil {
				return nil, err
			}
			if connection == nil {
				return nil, c.usage(cmd, "--proxy and --configuration are missing", "缺少 --proxy 和 --configuration")
			}
			return server.ConnectInstance(ctx, args[0], api.ConnectInstanceRequest{Connection: *connection})
		})
	proxy.flags(c, cmd)
	return cmd
}

func newInstanceShareCmd(c *cli) *cobra.Command {
	return c.onServer("share INSTANCE ACCOUNT", text{"Let another account make keys in an instance; you may use and manage them, too", "与其他账号共享实例：该账号可在其中创建密钥，您也可使用和管理这些密钥"}, text{"%s is shared", "%s 已共享"},
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return server.ShareInstance(ctx, args[0], args[1])
		})
}

func newInstanceUnshareCmd(c *cli) *cobra.Command {
	return c.onServer("unshare INSTANCE ACCOUNT", text{"Let an account make no more keys in an instance; those that it made stay", "不再与某账号共享实例；其已创建的密钥保留"}, text{"%s is not shared with it any more", "%s 已取消共享"},
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return server.UnshareInstance(ctx, args[0], args[1])
		})
}

func newInstanceDeleteCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "delete INSTANCE",
		short: text{"Remove an instance that has no keys", "删除没有密钥的实例"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			if err := server.DeleteInstance(ctx, args[0]); err != nil {
				return err
			}
			c.say("%s is removed", "%s 已删除", args[0])
			return c.jsonOnly(map[string]any{"name": args[0]})
		},
	})
}
