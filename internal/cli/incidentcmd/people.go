package incidentcmd

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
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
	"github.com/keyward/keyward/internal/notify/term"
)

func newPersonCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "person", Short: c.T("Say how people can be told", "管理接收通知的人员")},
		newPersonSetCmd(c), newPersonListCmd(c),
		remote.OnServer(c, "remove NAME", c.T("Forget a person", "移除人员"), c.T("%s is removed", "%s 已移除"),
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.RemovePerson(ctx, args[0])
			}))
}

func newPersonSetCmd(c *cli.Run) *cobra.Command {
	var in api.SetPersonRequest
	var ids []string
	cmd := remote.OnServer(c, "set NAME", c.T("Store how a person can be told", "保存人员的联系方式"), c.T("%s is stored", "%s 已保存"),
		func(ctx context.Context, server *client.Client, args []string) (_ any, err error) {
			if in.IDs, err = c.ReadTags(ids); err != nil {
				return nil, err
			}
			return server.SetPerson(ctx, args[0], in)
		})
	f := cmd.Flags()
	f.StringVar(&in.Email, "email", "", c.T("e-mail `ADDRESS`", "电子邮件地址 `ADDRESS`"))
	f.StringVar(&in.Mobile, "mobile", "", c.T("mobile `NUMBER`: +8613800000000", "手机号 `NUMBER`：+8613800000000"))
	f.StringArrayVar(&ids, "id", nil, c.T("id at a kind of channel, `KIND=ID`; may be repeated", "在某类渠道中的标识 `KIND=ID`；可重复"))
	f.StringVar(&in.Language, "language", "", c.T("`LANGUAGE` of messages: en or zh", "消息语言 `LANGUAGE`：en 或 zh"))
	cli.Complete(cmd, "language", "en", "zh")
	return cmd
}

func newPersonListCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "list",
		Short: c.T("List people", "列出人员"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all, err := server.ListPeople(ctx)
			if err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("PERSON", "人员"), c.T("E-MAIL", "电子邮件"), c.T("MOBILE", "手机号"), c.T("IDS", "渠道标识"), c.T("LANGUAGE", "语言"))
				for _, p := range all.People {
					t.Add(p.Name, cli.OrDash(p.Email), cli.OrDash(p.Mobile), cli.OrDash(cli.Pairs(p.IDs)), cli.OrDash(p.Language))
				}
			})
		}),
	})
}

func newRotaCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "rota", Short: c.T("Say who is on call when", "管理值班表")},
		newRotaSetCmd(c), newRotaListCmd(c),
		remote.OnServer(c, "remove NAME", c.T("Forget a rota", "移除值班表"), c.T("%s is removed", "%s 已移除"),
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.RemoveRota(ctx, args[0])
			}))
}

func newRotaSetCmd(c *cli.Run) *cobra.Command {
	var in api.SetRotaRequest
	var start, zone string
	turn := 7 * cli.Day
	var cmd *cobra.Command
	cmd = remote.OnServer(c, "set NAME PERSON...", c.T("Store who takes turns, in this order", "保存轮值人员及顺序"), c.T("%s is stored", "%s 已保存"),
		func(ctx context.Context, server *client.Client, args []string) (_ any, err error) {
			if start == "" {
				return nil, c.Usage(cmd, "say with --start when the first turn begins", "请用 --start 指定第一轮的开始时间")
			}
			if in.Start, err = c.Instant(cmd, start, zone); err != nil {
				return nil, err
			}
			in.People, in.Turn = args[1:], api.FormatDuration(turn)
			return server.SetRota(ctx, args[0], in)
		})
	cmd.Example = "  keyward rota set night ann bo --start 2026-01-05T09:00 --zone Asia/Shanghai --turn 7d"
	f := cmd.Flags()
	f.StringVar(&start, "start", "", c.T("`TIME` at which the first turn of the first person begins", "第一人第一轮开始的时间 `TIME`"))
	f.StringVar(&zone, "zone", "", c.T("the `ZONE` of that time: Asia/Shanghai, UTC", "该时间所在时区 `ZONE`：Asia/Shanghai、UTC"))
	f.Var(cli.Days(&turn), "turn", c.T("`PERIOD` of a turn, in whole hours", "每轮时长 `PERIOD`（整小时）"))
	return cmd
}

func newRotaListCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "list",
		Short: c.T("List rotas and who is on call", "列出值班表及当前值班人"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all, err := server.ListRotas(ctx)
			if err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("ROTA", "值班表"), c.T("ON CALL", "当前值班"), c.T("PEOPLE", "人员"), c.T("TURN", "每轮"), c.T("START", "开始时间"))
				for _, r := range all.Rotas {
					t.Add(r.Name, r.OnCall, strings.Join(r.People, ", "), r.Turn, cli.When(r.Start))
				}
			})
		}),
	})
}

func newEscalationCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "escalation", Short: c.T("Say when people are told, and who comes next", "管理告警阶梯与升级策略")},
		newEscalationShowCmd(c),
		c.Command(cli.Command{
			Use:   "set FILE",
			Short: c.T("Set the escalation from a JSON file, - for standard input", "从 JSON 文件设置升级策略，- 表示标准输入"),
			Long: c.T(
				`Set the escalation from a JSON file, - for standard input. Begin with what
"keyward escalation show -o json" prints.`,
				`从 JSON 文件设置升级策略，- 表示标准输入。可从
"keyward escalation show -o json" 的输出开始修改。`,
			),
			Run: func(ctx context.Context, args []string) error { return setEscalation(ctx, c, args) },
		}))
}

func setEscalation(ctx context.Context, c *cli.Run, args []string) error {
	content, err := c.ReadDocument(ctx, args[0])
	if err != nil {
		return err
	}
	var in api.Escalation
	d := json.NewDecoder(strings.NewReader(content))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return &cli.Problem{Message: c.T("the file is no escalation", "该文件不是升级策略"), Cause: err, Next: c.T("begin with: keyward escalation show -o json", "可从此输出开始：keyward escalation show -o json")}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return &cli.Problem{Message: c.T("the file goes on after its JSON object", "文件在 JSON 对象之后还有内容")}
	}
	server, err := remote.Connect(c)
	if err != nil {
		return err
	}
	out, err := server.SetEscalation(ctx, in)
	if err != nil {
		return err
	}
	return showEscalation(ctx, c, server, out)
}

func newEscalationShowCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "show",
		Short: c.T("Show when people are told, over what, and who comes next", "显示告警阶梯与升级策略"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			p, err := server.GetEscalation(ctx)
			if err != nil {
				return err
			}
			return showEscalation(ctx, c, server, p)
		}),
	})
}

func showEscalation(ctx context.Context, c *cli.Run, server *client.Client, p api.Escalation) error {
	carriers, known := carriers(ctx, server)
	if known && len(carriers) == 0 {
		c.Say("No channel is set up: alarms reach nobody. Add one: keyward channel add", "尚未配置任何渠道：告警无人收到。请添加：keyward channel add")
	}
	return c.Show(p, func(t *cli.Table) {
		t.Add(c.T("LEFT", "剩余"), c.T("SEVERITY", "级别"), c.T("OVER", "渠道类别"), c.T("CHANNELS", "渠道"), c.T("ANSWER WITHIN", "响应时限"), c.T("TELLS", "通知对象"))
		for _, r := range p.Rungs {
			left, tells := r.Left, c.T("level by level", "逐级")
			if left == "" {
				left = c.T("expired", "已过期")
			}
			if r.Everybody {
				tells = c.T("everybody", "所有人")
			}
			var over []string
			for _, family := range r.Families {
				over = append(over, carriers[family]...)
			}
			channels := strings.Join(over, ", ")
			if channels == "" && len(carriers) > 0 {
				channels = c.T("none of these: all there are", "均未配置：改用全部渠道")
			}
			t.Add(left, c.SeverityText(r.Severity), strings.Join(r.Families, ", "), cli.OrDash(channels), cli.OrDash(r.Wait), tells)
		}
		for i, level := range p.Levels {
			t.Add(fmt.Sprintf(c.T("Level %d", "第 %d 级"), i+1), strings.Join(level, ", "))
		}
		if p.Quiet.From != "" {
			t.Add(c.T("Quiet hours", "免打扰时段"), p.Quiet.From+"–"+p.Quiet.To+" "+p.Quiet.Zone)
		}
		t.Add(c.T("Language", "语言"), p.Language)
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

func newIncidentCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "incident", Short: c.T("See what somebody has to see to, and take it on", "查看并确认告警事件")},
		newIncidentListCmd(c), newIncidentShowCmd(c), newIncidentAckCmd(c), newIncidentSnoozeCmd(c))
}

func newIncidentListCmd(c *cli.Run) *cobra.Command {
	var in api.ListIncidentsRequest
	cmd := c.Command(cli.Command{
		Use:   "list",
		Short: c.T("List open incidents", "列出未解除的事件"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all, err := server.ListIncidents(ctx, in)
			if err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("INCIDENT", "事件"), c.T("SEVERITY", "级别"), c.T("WHAT", "内容"), c.T("OWNER", "负责人"), c.T("DEADLINE", "截止时间"),
					c.T("ACKNOWLEDGED BY", "确认人"), c.T("UNTIL", "有效至"), c.T("ALARMS", "告警次数"))
				for _, i := range all.Incidents {
					t.Add(i.ID, c.SeverityText(i.Severity), c.T(i.Title.English, i.Title.Chinese), cli.OrDash(i.Owner), cli.When(i.Deadline), cli.OrDash(i.AckBy), cli.When(i.AckUntil), alarms(c, i))
				}
			})
		}),
	})
	cmd.Flags().BoolVar(&in.Ended, "ended", false, c.T("those that are over, the newest first", "列出已解除的，最新的在前"))
	return cmd
}

// alarms tells how often people were told, and if nobody was.
func alarms(c *cli.Run, i api.Incident) string {
	if i.Unheard {
		return c.T("nobody reached: add channels and people", "无人收到：请添加渠道和人员")
	}
	return strconv.Itoa(i.Alarms)
}

func newIncidentShowCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "show ID",
		Short: c.T("Show an incident and who was told", "显示事件及通知记录"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			f, err := server.GetIncident(ctx, args[0])
			if err != nil {
				return err
			}
			return c.ShowParts(f, func(t *cli.Table) { addIncident(c, t, f.Incident) }, func(t *cli.Table) {
				if len(f.Deliveries) > 0 {
					t.Add(c.T("SENT AT", "发送时间"), c.T("CHANNEL", "渠道"), c.T("TO", "接收人"), c.T("WHY", "原因"), c.T("STATE", "状态"), c.T("ERROR", "错误"))
				}
				for _, d := range f.Deliveries {
					t.Add(cli.When(d.At), d.Channel, cli.OrDash(d.Person), cli.OrDash(d.Why), d.Progress, cli.OrDash(c.Told(d.Error, d.ErrorZh)))
				}
			})
		}),
	})
}

func addIncident(c *cli.Run, t *cli.Table, i api.Incident) {
	t.Add(c.T("Incident", "事件"), i.ID)
	t.Add(c.T("What", "内容"), c.T(i.Title.English, i.Title.Chinese))
	t.Add(c.T("Severity", "级别"), c.SeverityText(i.Severity))
	t.Add(c.T("Owner", "负责人"), cli.OrDash(i.Owner))
	for _, f := range i.Facts {
		t.Add("  "+c.Word(term.Name(f.Name)), c.Word(term.Text(f.Name, f.Value, f.Chinese)))
	}
	t.Add(c.T("Deadline", "截止时间"), cli.When(i.Deadline))
	t.Add(c.T("Opened", "开始时间"), cli.When(i.OpenedAt))
	t.Add(c.T("Ended", "解除时间"), cli.When(i.EndedAt))
	t.Add(c.T("Acknowledged by", "确认人"), cli.OrDash(i.AckBy))
	t.Add(c.T("Until", "有效至"), cli.When(i.AckUntil))
	t.Add(c.T("Note", "备注"), cli.OrDash(i.AckNote))
	t.Add(c.T("Alarms", "告警次数"), alarms(c, i))
	t.Add(c.T("Told again", "下次通知"), cli.When(i.NextAt))
}

func newIncidentAckCmd(c *cli.Run) *cobra.Command {
	var in api.AcknowledgeRequest
	var hold time.Duration
	cmd := c.Command(cli.Command{
		Use:   "ack ID",
		Short: c.T("Take an incident on; it comes again if it lasts", "确认事件并负责处理；未解除时会再次提醒"),
		Long: c.T(
			`Take an incident on. Nobody else is told while the acknowledgement lasts: a day at most, or
a quarter of the time that is left. The incident ends when its condition does, not before.`,
			`确认事件并负责处理。确认有效期内不再通知他人：最长一天，且不超过剩余时间的四分之一。
事件只在其条件消失时解除。`,
		),
		Run: func(ctx context.Context, args []string) error {
			in.Hold = api.FormatDuration(hold)
			return acknowledge(ctx, c, args[0], in)
		},
	})
	f := cmd.Flags()
	f.StringVar(&in.By, "by", "", c.T("`NAME` of who takes it on, of any person; the caller otherwise", "负责处理的人 `NAME`，可以是任何人；默认为调用者"))
	f.StringVar(&in.Note, "note", "", c.T("a note, as `TEXT`", "备注 `TEXT`"))
	f.Var(cli.Days(&hold), "hold", c.T("hold it for `PERIOD`, instead of as long as possible", "有效期 `PERIOD`，默认取最长"))
	return cmd
}

func newIncidentSnoozeCmd(c *cli.Run) *cobra.Command {
	var in api.AcknowledgeRequest
	cmd := c.Command(cli.Command{
		Use:   "snooze ID PERIOD",
		Short: c.T("Be told again after a period", "推迟一段时间后再提醒"),
		Run: func(ctx context.Context, args []string) error {
			hold, err := cli.ParsePeriod(args[1])
			if err != nil {
				return err
			}
			in.Hold = api.FormatDuration(hold)
			return acknowledge(ctx, c, args[0], in)
		},
	})
	cmd.Flags().StringVar(&in.By, "by", "", c.T("`NAME` of who takes it on, of any person; the caller otherwise", "负责处理的人 `NAME`，可以是任何人；默认为调用者"))
	cmd.Flags().StringVar(&in.Note, "note", "", c.T("a note, as `TEXT`", "备注 `TEXT`"))
	return cmd
}

func acknowledge(ctx context.Context, c *cli.Run, id string, in api.AcknowledgeRequest) error {
	server, err := remote.Connect(c)
	if err != nil {
		return err
	}
	i, err := server.AcknowledgeIncident(ctx, strings.ToUpper(id), in)
	if err != nil {
		return err
	}
	c.Say("%s has %s until %s; if it lasts, people are told again", "%s 已确认 %s，有效至 %s；届时未解除会再次通知", i.AckBy, i.ID, cli.When(i.AckUntil))
	return c.ShowJSON(i)
}
