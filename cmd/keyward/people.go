package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/rotation/phrase"
)

func newPersonCmd(c *cli) *cobra.Command {
	return c.command(command{use: "person", short: text{"Say how people can be told", "管理接收通知的人员"}},
		newPersonSetCmd(c), newPersonListCmd(c),
		c.onServer("remove NAME", text{"Forget a person", "移除人员"}, text{"%s is removed", "%s 已移除"},
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.RemovePerson(ctx, args[0])
			}))
}

func newPersonSetCmd(c *cli) *cobra.Command {
	var in api.SetPersonRequest
	var ids []string
	cmd := c.onServer("set NAME", text{"Store how a person can be told", "保存人员的联系方式"}, text{"%s is stored", "%s 已保存"},
		func(ctx context.Context, server *client.Client, args []string) (_ any, err error) {
			if in.IDs, err = c.tags(ids); err != nil {
				return nil, err
			}
			return server.SetPerson(ctx, args[0], in)
		})
	f := cmd.Flags()
	f.StringVar(&in.Email, "email", "", c.t("e-mail `ADDRESS`", "电子邮件地址 `ADDRESS`"))
	f.StringVar(&in.Mobile, "mobile", "", c.t("mobile `NUMBER`: +8613800000000", "手机号 `NUMBER`：+8613800000000"))
	f.StringArrayVar(&ids, "id", nil, c.t("id at a kind of channel, `KIND=ID`; may be repeated", "在某类渠道中的标识 `KIND=ID`；可重复"))
	f.StringVar(&in.Language, "language", "", c.t("`LANGUAGE` of messages: en or zh", "消息语言 `LANGUAGE`：en 或 zh"))
	complete(cmd, "language", "en", "zh")
	return cmd
}

func newPersonListCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "list",
		short: text{"List people", "列出人员"},
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all, err := server.ListPeople(ctx)
			if err != nil {
				return err
			}
			return c.show(all, func(t *table) {
				t.add(c.t("PERSON", "人员"), c.t("E-MAIL", "电子邮件"), c.t("MOBILE", "手机号"), c.t("IDS", "渠道标识"), c.t("LANGUAGE", "语言"))
				for _, p := range all.People {
					t.add(p.Name, orDash(p.Email), orDash(p.Mobile), orDash(pairsText(p.IDs)), orDash(p.Language))
				}
			})
		},
	})
}

func newRotaCmd(c *cli) *cobra.Command {
	return c.command(command{use: "rota", short: text{"Say who is on call when", "管理值班表"}},
		newRotaSetCmd(c), newRotaListCmd(c),
		c.onServer("remove NAME", text{"Forget a rota", "移除值班表"}, text{"%s is removed", "%s 已移除"},
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.RemoveRota(ctx, args[0])
			}))
}

func newRotaSetCmd(c *cli) *cobra.Command {
	var in api.SetRotaRequest
	var start, zone string
	turn := 7 * day
	var cmd *cobra.Command
	cmd = c.onServer("set NAME PERSON...", text{"Store who takes turns, in this order", "保存轮值人员及顺序"}, text{"%s is stored", "%s 已保存"},
		func(ctx context.Context, server *client.Client, args []string) (_ any, err error) {
			if start == "" {
				return nil, c.usage(cmd, "say with --start when the first turn begins", "请用 --start 指定第一轮的开始时间")
			}
			if in.Start, err = c.instant(cmd, start, zone); err != nil {
				return nil, err
			}
			in.People, in.Turn = args[1:], api.FormatDuration(turn)
			return server.SetRota(ctx, args[0], in)
		})
	cmd.Example = "  keyward rota set night ann bo --start 2026-01-05T09:00 --zone Asia/Shanghai --turn 7d"
	f := cmd.Flags()
	f.StringVar(&start, "start", "", c.t("`TIME` at which the first turn of the first person begins", "第一人第一轮开始的时间 `TIME`"))
	f.StringVar(&zone, "zone", "", c.t("the `ZONE` of that time: Asia/Shanghai, UTC", "该时间所在时区 `ZONE`：Asia/Shanghai、UTC"))
	f.Var(days{&turn}, "turn", c.t("`PERIOD` of a turn, in whole hours", "每轮时长 `PERIOD`（整小时）"))
	return cmd
}

func newRotaListCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "list",
		short: text{"List rotas and who is on call", "列出值班表及当前值班人"},
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all, err := server.ListRotas(ctx)
			if err != nil {
				return err
			}
			return c.show(all, func(t *table) {
				t.add(c.t("ROTA", "值班表"), c.t("ON CALL", "当前值班"), c.t("PEOPLE", "人员"), c.t("TURN", "每轮"), c.t("START", "开始时间"))
				for _, r := range all.Rotas {
					t.add(r.Name, r.OnCall, strings.Join(r.People, ", "), r.Turn, when(r.Start))
				}
			})
		},
	})
}

func newEscalationCmd(c *cli) *cobra.Command {
	return c.command(command{use: "escalation", short: text{"Say when people are told, and who comes next", "管理告警阶梯与升级策略"}},
		newEscalationShowCmd(c),
		c.command(command{
			use:   "set FILE",
			short: text{"Set the escalation from a JSON file, - for standard input", "从 JSON 文件设置升级策略，- 表示标准输入"},
			long: text{
				`Set the escalation from a JSON file, - for standard input. Begin with what
"keyward escalation show -o json" prints.`,
				`从 JSON 文件设置升级策略，- 表示标准输入。可从
"keyward escalation show -o json" 的输出开始修改。`,
			},
			run: c.setEscalation,
		}))
}

func (c *cli) setEscalation(ctx context.Context, args []string) error {
	content, err := c.readDocument(ctx, args[0])
	if err != nil {
		return err
	}
	var in api.Escalation
	d := json.NewDecoder(strings.NewReader(content))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return &problem{message: c.t("the file is no escalation", "该文件不是升级策略"), cause: err, next: c.t("begin with: keyward escalation show -o json", "可从此输出开始：keyward escalation show -o json")}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return &problem{message: c.t("the file goes on after its JSON object", "文件在 JSON 对象之后还有内容")}
	}
	server, err := c.connect()
	if err != nil {
		return err
	}
	out, err := server.SetEscalation(ctx, in)
	if err != nil {
		return err
	}
	return c.showEscalation(ctx, server, out)
}

func newEscalationShowCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "show",
		short: text{"Show when people are told, over what, and who comes next", "显示告警阶梯与升级策略"},
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			p, err := server.GetEscalation(ctx)
			if err != nil {
				return err
			}
			return c.showEscalation(ctx, server, p)
		},
	})
}

func (c *cli) showEscalation(ctx context.Context, server *client.Client, p api.Escalation) error {
	carriers, known := carriers(ctx, server)
	if known && len(carriers) == 0 {
		c.say("No channel is set up: alarms reach nobody. Add one: keyward channel add", "尚未配置任何渠道：告警无人收到。请添加：keyward channel add")
	}
	return c.show(p, func(t *table) {
		t.add(c.t("LEFT", "剩余"), c.t("SEVERITY", "级别"), c.t("OVER", "渠道类别"), c.t("CHANNELS", "渠道"), c.t("ANSWER WITHIN", "响应时限"), c.t("TELLS", "通知对象"))
		for _, r := range p.Rungs {
			left, tells := r.Left, c.t("level by level", "逐级")
			if left == "" {
				left = c.t("expired", "已过期")
			}
			if r.Everybody {
				tells = c.t("everybody", "所有人")
			}
			var over []string
			for _, family := range r.Families {
				over = append(over, carriers[family]...)
			}
			channels := strings.Join(over, ", ")
			if channels == "" && len(carriers) > 0 {
				channels = c.t("none of these: all there are", "均未配置：改用全部渠道")
			}
			t.add(left, c.severity(r.Severity), strings.Join(r.Families, ", "), orDash(channels), orDash(r.Wait), tells)
		}
		for i, level := range p.Levels {
			t.add(fmt.Sprintf(c.t("Level %d", "第 %d 级"), i+1), strings.Join(level, ", "))
		}
		if p.Quiet.From != "" {
			t.add(c.t("Quiet hours", "免打扰时段"), p.Quiet.From+"–"+p.Quiet.To+" "+p.Quiet.Zone)
		}
		t.add(c.t("Language", "语言"), p.Language)
	})
}

// carriers answers the names of the channels that carry alarms, by family, if the caller may see them.
func carriers(ctx context.Context, server *client.Client) (names map[string][]string, known bool) {
	channels, err := server.ListChannels(ctx)
	if err != nil {
		return nil, false
	}
	kinds, err := server.ListChannelKinds(ctx)
	if err != nil {
		return nil, false
	}
	names = map[string][]string{}
	for _, ch := range channels.Channels {
		for _, k := range kinds.Kinds {
			if k.Name == ch.Kind && !ch.Paused && ch.Heartbeat == "" {
				names[k.Family] = append(names[k.Family], ch.Name)
			}
		}
	}
	return names, true
}

func newIncidentCmd(c *cli) *cobra.Command {
	return c.command(command{use: "incident", short: text{"See what somebody has to see to, and take it on", "查看并确认告警事件"}},
		newIncidentListCmd(c), newIncidentShowCmd(c), newIncidentAckCmd(c), newIncidentSnoozeCmd(c))
}

func newIncidentListCmd(c *cli) *cobra.Command {
	var in api.ListIncidentsRequest
	cmd := c.command(command{
		use:   "list",
		short: text{"List open incidents", "列出未解除的事件"},
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all, err := server.ListIncidents(ctx, in)
			if err != nil {
				return err
			}
			return c.show(all, func(t *table) {
				t.add(c.t("INCIDENT", "事件"), c.t("SEVERITY", "级别"), c.t("WHAT", "内容"), c.t("OWNER", "负责人"), c.t("DEADLINE", "截止时间"),
					c.t("ACKNOWLEDGED BY", "确认人"), c.t("UNTIL", "有效至"), c.t("ALARMS", "告警次数"))
				for _, i := range all.Incidents {
					t.add(i.ID, c.severity(i.Severity), c.t(i.Title.English, i.Title.Chinese), orDash(i.Owner), when(i.Deadline), orDash(i.AckBy), when(i.AckUntil), c.alarms(i))
				}
			})
		},
	})
	cmd.Flags().BoolVar(&in.Ended, "ended", false, c.t("those that are over, the newest first", "列出已解除的，最新的在前"))
	return cmd
}

// alarms tells how often people were told, and if nobody was.
func (c *cli) alarms(i api.Incident) string {
	if i.Unheard {
		return c.t("nobody reached: add channels and people", "无人收到：请添加渠道和人员")
	}
	return strconv.Itoa(i.Alarms)
}

func newIncidentShowCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "show ID",
		short: text{"Show an incident and who was told", "显示事件及通知记录"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			f, err := server.GetIncident(ctx, args[0])
			if err != nil {
				return err
			}
			return c.show(f, func(t *table) {
				c.addIncident(t, f.Incident)
				if len(f.Deliveries) > 0 {
					t.add(c.t("SENT AT", "发送时间"), c.t("CHANNEL", "渠道"), c.t("TO", "接收人"), c.t("WHY", "原因"), c.t("STATE", "状态"), c.t("ERROR", "错误"))
				}
				for _, d := range f.Deliveries {
					t.add(when(d.At), d.Channel, orDash(d.Person), orDash(d.Why), d.Progress, orDash(d.Error))
				}
			})
		},
	})
}

func (c *cli) addIncident(t *table, i api.Incident) {
	t.add(c.t("Incident", "事件"), i.ID)
	t.add(c.t("What", "内容"), c.t(i.Title.English, i.Title.Chinese))
	t.add(c.t("Severity", "级别"), c.severity(i.Severity))
	t.add(c.t("Owner", "负责人"), orDash(i.Owner))
	for _, f := range i.Facts {
		t.add("  "+f.Name, c.word(phrase.Fact(f.Name, f.Value)))
	}
	t.add(c.t("Deadline", "截止时间"), when(i.Deadline))
	t.add(c.t("Opened", "开始时间"), when(i.OpenedAt))
	t.add(c.t("Ended", "解除时间"), when(i.EndedAt))
	t.add(c.t("Acknowledged by", "确认人"), orDash(i.AckBy))
	t.add(c.t("Until", "有效至"), when(i.AckUntil))
	t.add(c.t("Note", "备注"), orDash(i.AckNote))
	t.add(c.t("Alarms", "告警次数"), c.alarms(i))
	t.add(c.t("Told again", "下次通知"), when(i.NextAt))
}

func newIncidentAckCmd(c *cli) *cobra.Command {
	var in api.AcknowledgeRequest
	var hold time.Duration
	cmd := c.command(command{
		use:   "ack ID",
		short: text{"Take an incident on; it comes again if it lasts", "确认事件并负责处理；未解除时会再次提醒"},
		long: text{
			`Take an incident on. Nobody else is told while the acknowledgement lasts: a day at most, or
a quarter of the time that is left. The incident ends when its condition does, not before.`,
			`确认事件并负责处理。确认有效期内不再通知他人：最长一天，且不超过剩余时间的四分之一。
事件只在其条件消失时解除。`,
		},
		run: func(ctx context.Context, args []string) error {
			in.Hold = api.FormatDuration(hold)
			return c.acknowledge(ctx, args[0], in)
		},
	})
	f := cmd.Flags()
	f.StringVar(&in.By, "by", "", c.t("`NAME` of who takes it on; the caller otherwise", "负责处理的人 `NAME`，默认为调用者"))
	f.StringVar(&in.Note, "note", "", c.t("a note, as `TEXT`", "备注 `TEXT`"))
	f.Var(days{&hold}, "hold", c.t("hold it for `PERIOD`, instead of as long as possible", "有效期 `PERIOD`，默认取最长"))
	return cmd
}

func newIncidentSnoozeCmd(c *cli) *cobra.Command {
	var in api.AcknowledgeRequest
	cmd := c.command(command{
		use:   "snooze ID PERIOD",
		short: text{"Be told again after a period", "推迟一段时间后再提醒"},
		run: func(ctx context.Context, args []string) error {
			hold, err := parsePeriod(args[1])
			if err != nil {
				return err
			}
			in.Hold = api.FormatDuration(hold)
			return c.acknowledge(ctx, args[0], in)
		},
	})
	cmd.Flags().StringVar(&in.By, "by", "", c.t("`NAME` of who takes it on; the caller otherwise", "负责处理的人 `NAME`，默认为调用者"))
	cmd.Flags().StringVar(&in.Note, "note", "", c.t("a note, as `TEXT`", "备注 `TEXT`"))
	return cmd
}

func (c *cli) acknowledge(ctx context.Context, id string, in api.AcknowledgeRequest) error {
	server, err := c.connect()
	if err != nil {
		return err
	}
	i, err := server.AcknowledgeIncident(ctx, strings.ToUpper(id), in)
	if err != nil {
		return err
	}
	c.say("%s has %s until %s; if it lasts, people are told again", "%s 已确认 %s，有效至 %s；届时未解除会再次通知", i.AckBy, i.ID, when(i.AckUntil))
	return c.jsonOnly(i)
}
