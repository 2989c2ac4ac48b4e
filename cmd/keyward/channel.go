package main

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
)

func newChannelCmd(c *cli) *cobra.Command {
	return c.command(command{use: "channel", short: text{"Say over what people are told", "管理通知渠道"}},
		newChannelKindsCmd(c), newChannelAddCmd(c), newChannelListCmd(c), newChannelShowCmd(c), newChannelUpdateCmd(c), newChannelRemoveCmd(c),
		newChannelTestCmd(c), newChannelConfirmCmd(c))
}

func newChannelKindsCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "kinds [KIND]",
		short: text{"List the kinds of channels, or what one needs", "列出通知渠道的类型，或某一类型所需的内容"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all, err := server.ListChannelKinds(ctx)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return c.show(all, func(t *table) {
					t.add(c.t("KIND", "类型"), c.t("TITLE", "名称"), c.t("FAMILY", "类别"), c.t("SETTINGS", "设置项"), c.t("CREDENTIAL", "凭证"))
					for _, k := range all.Kinds {
						t.add(k.Name, c.t(k.Title.English, k.Title.Chinese), k.Family, fieldNames(k.Settings), fieldNames(k.Parts))
					}
				})
			}
			kind, err := c.channelKind(all, args[0])
			if err != nil {
				return err
			}
			return c.show(kind, func(t *table) {
				t.add(c.t("Kind", "类型"), kind.Name)
				t.add(c.t("Title", "名称"), c.t(kind.Title.English, kind.Title.Chinese))
				t.add(c.t("Family", "类别"), kind.Family)
				t.add(c.t("Reaches a group", "面向群组"), c.yesNo(kind.Group))
				c.addFields(t, kind.Settings, false)
				c.addFields(t, kind.Parts, true)
			})
		},
	})
}

func (c *cli) channelKind(all api.ChannelKindList, name string) (api.ChannelKind, error) {
	for _, k := range all.Kinds {
		if k.Name == name {
			return k, nil
		}
	}
	return api.ChannelKind{}, &problem{
		message: fmt.Sprintf(c.t("there is no kind of channel %q", "没有通知渠道类型 %q"), name),
		next:    c.t("list them with: keyward channel kinds", "请用 keyward channel kinds 查看"),
	}
}

func newChannelAddCmd(c *cli) *cobra.Command {
	fill := &filling{cli: c}
	var in api.AddChannelRequest
	var heartbeat time.Duration
	cmd := c.command(command{
		use:   "add KIND NAME",
		short: text{"Add a channel", "添加通知渠道"},
		long: text{
			`Add a channel. With --heartbeat it carries nothing but signs of life: for a watchdog
elsewhere that raises the alarm when keyward itself is silent.`,
			`添加通知渠道。使用 --heartbeat 时，该渠道只发送心跳：
供外部监控在 keyward 自身失联时告警。`,
		},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all, err := server.ListChannelKinds(ctx)
			if err != nil {
				return err
			}
			kind, err := c.channelKind(all, args[0])
			if err != nil {
				return err
			}
			in.Kind, in.Name, in.Heartbeat = args[0], args[1], api.FormatDuration(heartbeat)
			if in.Connection, err = fill.connection(ctx, kind.Settings, kind.Parts, nil); err != nil {
				return err
			}
			ch, err := server.AddChannel(ctx, in)
			if err != nil {
				return err
			}
			c.say("Try it: keyward channel test %s", "请测试：keyward channel test %s", ch.Name)
			return c.showChannel(ch)
		},
	})
	fill.flags(cmd)
	cmd.Flags().Var(days{&heartbeat}, "heartbeat", c.t("give a sign of life every `PERIOD`", "每隔 `PERIOD` 发送一次心跳"))
	return cmd
}

func (c *cli) showChannel(ch api.Channel) error {
	return c.show(ch, func(t *table) {
		t.add(c.t("Channel", "渠道"), ch.Name)
		t.add(c.t("Kind", "类型"), ch.Kind)
		for _, name := range slices.Sorted(maps.Keys(ch.Settings)) {
			t.add("  "+name, ch.Settings[name])
		}
		t.add(c.t("Signs of life", "心跳"), orDash(ch.Heartbeat))
		t.add(c.t("Paused", "已暂停"), c.yesNo(ch.Paused))
		t.add(c.t("Created", "创建时间"), when(ch.CreatedAt))
		h := ch.Health
		t.add(c.t("Last message", "最近发送"), when(h.SentAt))
		t.add(c.t("Last failure", "最近失败"), when(h.FailedAt))
		t.add(c.t("Failures in a row", "连续失败"), strconv.Itoa(h.Failures))
		if h.Error != "" {
			t.add(c.t("Error", "错误"), h.Error)
		}
		t.add(c.t("Tested", "最近测试"), when(h.TestedAt))
		t.add(c.t("Confirmed", "最近确认"), when(h.ConfirmedAt))
	})
}

func newChannelListCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "list",
		short: text{"List channels and how they do", "列出通知渠道及其状态"},
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all, err := server.ListChannels(ctx)
			if err != nil {
				return err
			}
			return c.show(all, func(t *table) {
				t.add(c.t("CHANNEL", "渠道"), c.t("KIND", "类型"), c.t("LAST MESSAGE", "最近发送"), c.t("FAILURES", "失败"), c.t("CONFIRMED", "最近确认"),
					c.t("SIGNS OF LIFE", "心跳"), c.t("PAUSED", "已暂停"))
				for _, ch := range all.Channels {
					t.add(ch.Name, ch.Kind, when(ch.Health.SentAt), strconv.Itoa(ch.Health.Failures), when(ch.Health.ConfirmedAt), orDash(ch.Heartbeat), c.yesNo(ch.Paused))
				}
			})
		},
	})
}

func newChannelShowCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "show NAME",
		short: text{"Show a channel and how it does", "显示通知渠道及其状态"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			ch, err := c.channel(ctx, server, args[0])
			if err != nil {
				return err
			}
			return c.showChannel(ch)
		},
	})
}

func (c *cli) channel(ctx context.Context, server *client.Client, name string) (api.Channel, error) {
	all, err := server.ListChannels(ctx)
	if err != nil {
		return api.Channel{}, err
	}
	for _, ch := range all.Channels {
		if ch.Name == name {
			return ch, nil
		}
	}
	return api.Channel{}, &problem{
		message: fmt.Sprintf(c.t("there is no channel %q", "没有通知渠道 %q"), name),
		next:    c.t("list them with: keyward channel list", "请用 keyward channel list 查看"),
	}
}

func newChannelUpdateCmd(c *cli) *cobra.Command {
	fill := &filling{cli: c}
	var in api.UpdateChannelRequest
	var heartbeat time.Duration
	var pause, resume bool
	var cmd *cobra.Command
	cmd = c.command(command{
		use:   "update NAME",
		short: text{"Change a channel, or give it a new credential", "修改通知渠道，或更换其凭证"},
		run: func(ctx context.Context, args []string) error {
			if pause && resume {
				return c.usage(cmd, "these flags exclude each other", "这些选项不能同时使用")
			}
			server, err := c.connect()
			if err != nil {
				return err
			}
			if heartbeat != 0 {
				in.Heartbeat = ptr(api.FormatDuration(heartbeat))
			}
			if pause || resume {
				in.Paused = &pause
			}
			if fill.given() {
				have, err := c.channel(ctx, server, args[0])
				if err != nil {
					return err
				}
				all, err := server.ListChannelKinds(ctx)
				if err != nil {
					return err
				}
				kind, err := c.channelKind(all, have.Kind)
				if err != nil {
					return err
				}
				connection, err := fill.connection(ctx, kind.Settings, kind.Parts, have.Settings)
				if err != nil {
					return err
				}
				in.Connection = &connection
			}
			ch, err := server.UpdateChannel(ctx, args[0], in)
			if err != nil {
				return err
			}
			c.say("%s is changed", "%s 已修改", ch.Name)
			return c.jsonOnly(ch)
		},
	})
	fill.flags(cmd)
	f := cmd.Flags()
	f.Var(days{&heartbeat}, "heartbeat", c.t("give a sign of life every `PERIOD`", "每隔 `PERIOD` 发送一次心跳"))
	f.BoolVar(&pause, "pause", false, c.t("send nothing over it", "暂停发送"))
	f.BoolVar(&resume, "resume", false, c.t("send over it again", "恢复发送"))
	return cmd
}

func newChannelRemoveCmd(c *cli) *cobra.Command {
	return c.onServer("remove NAME", text{"Forget a channel and what waits for it", "移除通知渠道及其待发消息"}, text{"%s is removed", "%s 已移除"},
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			if err := c.confirm(ctx, args[0], text{"Nobody is told over it any more.", "将不再通过它发送通知。"}); err != nil {
				return nil, err
			}
			return nil, server.RemoveChannel(ctx, args[0])
		})
}

func newChannelTestCmd(c *cli) *cobra.Command {
	var in api.TestChannelRequest
	cmd := c.onServer("test NAME", text{"Send a test message over a channel", "通过通知渠道发送测试消息"},
		text{"%s took the test message; who reads it confirms it on the page that it links to, or with: keyward channel confirm", "%s 已接受测试消息；收到后请在消息链接的页面确认，或执行：keyward channel confirm"},
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return server.TestChannel(ctx, args[0], in)
		})
	cmd.Flags().StringVar(&in.Person, "person", "", c.t("`NAME` of who gets it, where a channel needs a person", "接收人 `NAME`（渠道面向个人时）"))
	return cmd
}

func newChannelConfirmCmd(c *cli) *cobra.Command {
	var in api.ConfirmChannelRequest
	cmd := c.onServer("confirm NAME", text{"Confirm that a test message was read", "确认已看到测试消息"}, text{"%s is confirmed", "%s 已确认"},
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return nil, server.ConfirmChannel(ctx, args[0], in)
		})
	cmd.Flags().StringVar(&in.By, "by", "", c.t("`NAME` of who read it", "看到消息的人 `NAME`"))
	return cmd
}
