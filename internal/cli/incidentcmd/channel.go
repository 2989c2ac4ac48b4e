package incidentcmd

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

func newChannelCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "channel", Short: c.T("Say over what people are told", "管理通知渠道")},
		newChannelKindsCmd(c), newChannelAddCmd(c), newChannelListCmd(c), newChannelShowCmd(c), newChannelUpdateCmd(c), newChannelRemoveCmd(c),
		newChannelTestCmd(c), newChannelConfirmCmd(c))
}

func newChannelKindsCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "kinds [KIND]",
		Short: c.T("List the kinds of channels, or what one needs", "列出通知渠道的类型，或某一类型所需的内容"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			all, err := server.ListChannelKinds(ctx)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return c.Show(all, func(t *cli.Table) {
					t.Add(c.T("KIND", "类型"), c.T("TITLE", "名称"), c.T("FAMILY", "类别"), c.T("SETTINGS", "设置项"), c.T("CREDENTIAL", "凭证"))
					for _, k := range all.Kinds {
						t.Add(k.Name, c.T(k.Title.English, k.Title.Chinese), k.Family, remote.FieldNames(k.Settings), remote.FieldNames(k.Parts))
					}
				})
			}
			kind, err := channelKind(c, all, args[0])
			if err != nil {
				return err
			}
			return c.Show(kind, func(t *cli.Table) {
				t.Add(c.T("Kind", "类型"), kind.Name)
				t.Add(c.T("Title", "名称"), c.T(kind.Title.English, kind.Title.Chinese))
				t.Add(c.T("Family", "类别"), kind.Family)
				t.Add(c.T("Reaches a group", "面向群组"), c.YesNo(kind.Group))
				remote.AddFields(c, t, kind.Settings, false)
				remote.AddFields(c, t, kind.Parts, true)
			})
		}),
	})
}

func channelKind(c *cli.Run, all api.ChannelKindList, name string) (api.ChannelKind, error) {
	for _, k := range all.Kinds {
		if k.Name == name {
			return k, nil
		}
	}
	return api.ChannelKind{}, &cli.Problem{
		Message: fmt.Sprintf(c.T("there is no kind of channel %q", "没有通知渠道类型 %q"), name),
		Next:    c.T("list them with: keyward channel kinds", "请用 keyward channel kinds 查看"),
	}
}

func newChannelAddCmd(c *cli.Run) *cobra.Command {
	fill := &remote.Filling{Run: c}
	var in api.AddChannelRequest
	var heartbeat time.Duration
	cmd := c.Command(cli.Command{
		Use:   "add KIND NAME",
		Short: c.T("Add a channel", "添加通知渠道"),
		Long: c.T(
			`Add a channel. With --heartbeat it carries nothing but signs of life: for a watchdog
elsewhere that raises the alarm when keyward itself is silent.`,
			`添加通知渠道。使用 --heartbeat 时，该渠道只发送心跳：
供外部监控在 keyward 自身失联时告警。`,
		),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			all, err := server.ListChannelKinds(ctx)
			if err != nil {
				return err
			}
			kind, err := channelKind(c, all, args[0])
			if err != nil {
				return err
			}
			in.Kind, in.Name, in.Heartbeat = args[0], args[1], api.FormatDuration(heartbeat)
			if in.Connection, err = fill.Connection(ctx, kind.Settings, kind.Parts, nil); err != nil {
				return err
			}
			ch, err := server.AddChannel(ctx, in)
			if err != nil {
				return err
			}
			c.Say("Try it: keyward channel test %s", "请测试：keyward channel test %s", ch.Name)
			return showChannel(c, ch)
		}),
	})
	fill.Flags(cmd)
	cmd.Flags().Var(cli.Days(&heartbeat), "heartbeat", c.T("give a sign of life every `PERIOD`", "每隔 `PERIOD` 发送一次心跳"))
	return cmd
}

func showChannel(c *cli.Run, ch api.Channel) error {
	return c.Show(ch, func(t *cli.Table) {
		t.Add(c.T("Channel", "渠道"), ch.Name)
		t.Add(c.T("Kind", "类型"), ch.Kind)
		for _, name := range slices.Sorted(maps.Keys(ch.Settings)) {
			t.Add("  "+name, ch.Settings[name])
		}
		t.Add(c.T("Signs of life", "心跳"), cli.OrDash(ch.Heartbeat))
		t.Add(c.T("Paused", "已暂停"), c.YesNo(ch.Paused))
		t.Add(c.T("Created", "创建时间"), cli.When(ch.CreatedAt))
		h := ch.Health
		t.Add(c.T("Last message", "最近发送"), cli.When(h.SentAt))
		t.Add(c.T("Last failure", "最近失败"), cli.When(h.FailedAt))
		t.Add(c.T("Failures in a row", "连续失败"), strconv.Itoa(h.Failures))
		if h.Error != "" {
			t.Add(c.T("Error", "错误"), c.Told(h.Error, h.ErrorZh))
		}
		t.Add(c.T("Tested", "最近测试"), cli.When(h.TestedAt))
		t.Add(c.T("Confirmed", "最近确认"), cli.When(h.ConfirmedAt))
	})
}

func newChannelListCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "list",
		Short: c.T("List channels and how they do", "列出通知渠道及其状态"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all, err := server.ListChannels(ctx)
			if err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("CHANNEL", "渠道"), c.T("KIND", "类型"), c.T("LAST MESSAGE", "最近发送"), c.T("FAILURES", "失败"), c.T("CONFIRMED", "最近确认"),
					c.T("SIGNS OF LIFE", "心跳"), c.T("PAUSED", "已暂停"))
				for _, ch := range all.Channels {
					t.Add(ch.Name, ch.Kind, cli.When(ch.Health.SentAt), strconv.Itoa(ch.Health.Failures), cli.When(ch.Health.ConfirmedAt), cli.OrDash(ch.Heartbeat), c.YesNo(ch.Paused))
				}
			})
		}),
	})
}

func newChannelShowCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "show NAME",
		Short: c.T("Show a channel and how it does", "显示通知渠道及其状态"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			ch, err := channel(ctx, c, server, args[0])
			if err != nil {
				return err
			}
			return showChannel(c, ch)
		}),
	})
}

func channel(ctx context.Context, c *cli.Run, server *client.Client, name string) (api.Channel, error) {
	all, err := server.ListChannels(ctx)
	if err != nil {
		return api.Channel{}, err
	}
	for _, ch := range all.Channels {
		if ch.Name == name {
			return ch, nil
		}
	}
	return api.Channel{}, &cli.Problem{
		Message: fmt.Sprintf(c.T("there is no channel %q", "没有通知渠道 %q"), name),
		Next:    c.T("list them with: keyward channel list", "请用 keyward channel list 查看"),
	}
}

func newChannelUpdateCmd(c *cli.Run) *cobra.Command {
	fill := &remote.Filling{Run: c}
	var in api.UpdateChannelRequest
	var heartbeat time.Duration
	var pause, resume bool
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "update NAME",
		Short: c.T("Change a channel, or give it a new credential", "修改通知渠道，或更换其凭证"),
		Run: func(ctx context.Context, args []string) error {
			if pause && resume {
				return c.Usage(cmd, "these flags exclude each other", "这些选项不能同时使用")
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			if heartbeat != 0 {
				in.Heartbeat = new(api.FormatDuration(heartbeat))
			}
			if pause || resume {
				in.Paused = &pause
			}
			if fill.Given() {
				have, err := channel(ctx, c, server, args[0])
				if err != nil {
					return err
				}
				all, err := server.ListChannelKinds(ctx)
				if err != nil {
					return err
				}
				kind, err := channelKind(c, all, have.Kind)
				if err != nil {
					return err
				}
				connection, err := fill.Connection(ctx, kind.Settings, kind.Parts, have.Settings)
				if err != nil {
					return err
				}
				in.Connection = &connection
			}
			ch, err := server.UpdateChannel(ctx, args[0], in)
			if err != nil {
				return err
			}
			c.Say("%s is changed", "%s 已修改", ch.Name)
			return c.ShowJSON(ch)
		},
	})
	fill.Flags(cmd)
	f := cmd.Flags()
	f.Var(cli.Days(&heartbeat), "heartbeat", c.T("give a sign of life every `PERIOD`", "每隔 `PERIOD` 发送一次心跳"))
	f.BoolVar(&pause, "pause", false, c.T("send nothing over it", "暂停发送"))
	f.BoolVar(&resume, "resume", false, c.T("send over it again", "恢复发送"))
	return cmd
}

func newChannelRemoveCmd(c *cli.Run) *cobra.Command {
	return remote.OnServer(c, "remove NAME", c.T("Forget a channel and what waits for it", "移除通知渠道及其待发消息"), c.T("%s is removed", "%s 已移除"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			if err := c.Confirm(ctx, args[0], c.T("Nobody is told over it any more.", "将不再通过它发送通知。")); err != nil {
				return nil, err
			}
			return nil, server.RemoveChannel(ctx, args[0])
		})
}

func newChannelTestCmd(c *cli.Run) *cobra.Command {
	var in api.TestChannelRequest
	cmd := remote.OnServer(c, "test NAME", c.T("Send a test message over a channel", "通过通知渠道发送测试消息"),
		c.T("%s took the test message; who reads it confirms it on the page that it links to, or with: keyward channel confirm", "%s 已接受测试消息；收到后请在消息链接的页面确认，或执行：keyward channel confirm"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return server.TestChannel(ctx, args[0], in)
		})
	cmd.Flags().StringVar(&in.Person, "person", "", c.T("`NAME` of who gets it, where a channel needs a person", "接收人 `NAME`（渠道面向个人时）"))
	return cmd
}

func newChannelConfirmCmd(c *cli.Run) *cobra.Command {
	var in api.ConfirmChannelRequest
	cmd := remote.OnServer(c, "confirm NAME", c.T("Confirm that a test message was read", "确认已看到测试消息"), c.T("%s is confirmed", "%s 已确认"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return nil, server.ConfirmChannel(ctx, args[0], in)
		})
	cmd.Flags().StringVar(&in.By, "by", "", c.T("`NAME` of who read it", "看到消息的人 `NAME`"))
	return cmd
}
