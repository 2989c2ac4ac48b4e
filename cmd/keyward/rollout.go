package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
)

func newRolloutCmd(c *cli) *cobra.Command {
	return c.command(command{use: "rollout", short: text{"Deliver secrets to nodes, wave by wave", "按批次将凭据分发到节点"}},
		newRolloutCreateCmd(c), newRolloutListCmd(c), newRolloutShowCmd(c), newRolloutUpdateCmd(c), newRolloutPublishCmd(c), newRolloutCoverageCmd(c), newRolloutRemoveCmd(c))
}

// A planning is what the flags of rollout create and rollout update say.
type planning struct {
	*cli
	members, waves []string
	level          string
}

func (p *planning) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&p.members, "label", nil, p.t("deliver to nodes with this label, `KEY=VALUE`; may be repeated; by default to all nodes", "分发到带有此标签 `KEY=VALUE` 的节点；可重复；默认所有节点"))
	f.StringArrayVar(&p.waves, "wave", nil, p.t("a wave, `NAME[:KEY=VALUE,...][:N%]`; may be repeated, in order; the last one takes the rest; by default one wave of all",
		"批次 `NAME[:KEY=VALUE,...][:N%]`；可重复，按顺序；最后一个批次接收其余节点；默认一个批次"))
	f.StringVar(&p.level, "level", "used", p.t("`LEVEL` that counts as having a version: used, or applied where nothing can tell of use", "视为已生效的级别 `LEVEL`：used，或在无法得知使用情况时用 applied"))
}

// parseWaves reads waves as the flag has them.
func (p *planning) parseWaves() ([]api.RolloutWave, error) {
	var out []api.RolloutWave
	for _, spec := range p.waves {
		parts := strings.Split(spec, ":")
		w := api.RolloutWave{Name: parts[0]}
		for _, part := range parts[1:] {
			percent, isPercent := strings.CutSuffix(part, "%")
			if !isPercent {
				labels, err := p.tags(strings.Split(part, ","))
				if err != nil || w.Labels != nil {
					return nil, p.badWave(spec)
				}
				w.Labels = labels
				continue
			}
			n, err := strconv.Atoi(percent)
			if err != nil || n < 1 || n > 99 || w.Percent != 0 {
				return nil, p.badWave(spec)
			}
			w.Percent = n
		}
		out = append(out, w)
	}
	return out, nil
}

func (p *planning) badWave(spec string) error {
	return &problem{message: fmt.Sprintf(p.t("the wave %q must look like canary:tier=web,region=cn-1:10%%", "批次 %q 的格式应为 canary:tier=web,region=cn-1:10%%"), spec)}
}

func newRolloutCreateCmd(c *cli) *cobra.Command {
	p := &planning{cli: c}
	var in api.CreateRolloutRequest
	cmd := c.command(command{
		use:   "create NAME SECRET",
		short: text{"Deliver a secret to nodes, its current version at once", "将凭据分发到节点，立即发布当前版本"},
		long: text{
			`Deliver a secret to nodes. The current version is published to all waves at once. A node
belongs to the first wave that takes it.`,
			"将凭据分发到节点。当前版本立即发布到所有批次。节点属于第一个接收它的批次。",
		},
		example: "  keyward rollout create pay payment_api_key --label app=shop --wave canary:tier=canary --wave tenth:10% --wave rest",
		run: func(ctx context.Context, args []string) (err error) {
			in.Name, in.Secret, in.Level = args[0], args[1], p.level
			if in.Members, err = c.tags(p.members); err != nil {
				return err
			}
			if in.Waves, err = p.parseWaves(); err != nil {
				return err
			}
			server, err := c.connect()
			if err != nil {
				return err
			}
			r, err := server.CreateRollout(ctx, in)
			if err != nil {
				return err
			}
			c.say("%s delivers %s; keyward rollout coverage %s tells who has it", "%s 已开始分发 %s；用 keyward rollout coverage %s 查看覆盖情况", r.Name, r.Secret, r.Name)
			return c.jsonOnly(r)
		},
	})
	p.flags(cmd)
	return cmd
}

func newRolloutUpdateCmd(c *cli) *cobra.Command {
	p := &planning{cli: c}
	var cmd *cobra.Command
	cmd = c.command(command{
		use:   "update NAME",
		short: text{"Change who gets a secret, and in which waves", "修改分发的对象与批次"},
		long: text{
			`Change who gets a secret, and in which waves. What no flag names stays. A wave keeps what
it has by its name; a new one begins with what the last one has.`,
			"修改分发的对象与批次。未指定的保持不变。同名批次保留其内容；新批次从最后一个批次的内容开始。",
		},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			r, err := server.GetRollout(ctx, args[0])
			if err != nil {
				return err
			}
			in := api.UpdateRolloutRequest{Members: r.Members, Waves: r.Waves, Level: r.Level}
			for i := range in.Waves {
				in.Waves[i].Now = nil // only in answers
			}
			if cmd.Flags().Changed("label") {
				if in.Members, err = c.tags(p.members); err != nil {
					return err
				}
			}
			if cmd.Flags().Changed("wave") {
				if in.Waves, err = p.parseWaves(); err != nil {
					return err
				}
			}
			if cmd.Flags().Changed("level") {
				in.Level = p.level
			}
			if r, err = server.UpdateRollout(ctx, args[0], in); err != nil {
				return err
			}
			return c.showRollout(r)
		},
	})
	p.flags(cmd)
	return cmd
}

func newRolloutListCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "list",
		short: text{"List rollouts", "列出分发"},
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all, err := server.ListRollouts(ctx)
			if err != nil {
				return err
			}
			return c.show(all, func(t *table) {
				t.add(c.t("ROLLOUT", "分发"), c.t("SECRET", "凭据"), c.t("LABELS", "标签"), c.t("WAVES", "批次"), c.t("ROTATION", "轮换"))
				for _, r := range all.Rollouts {
					t.add(r.Name, r.Secret, orDash(pairsOf(r.Members)), strconv.Itoa(len(r.Waves)), orDash(r.Owner))
				}
			})
		},
	})
}

func newRolloutShowCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "show NAME",
		short: text{"Show a rollout and what each wave is to have", "显示分发及每个批次应持有的版本"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			r, err := server.GetRollout(ctx, args[0])
			if err != nil {
				return err
			}
			return c.showRollout(r)
		},
	})
}

// showRollout writes a rollout and then its waves, whose columns line up among themselves.
func (c *cli) showRollout(r api.Rollout) error {
	if err := c.show(r, func(t *table) {
		t.add(c.t("Rollout", "分发"), r.Name)
		t.add(c.t("Secret", "凭据"), r.Secret)
		t.add(c.t("Labels", "标签"), orDash(pairsOf(r.Members)))
		t.add(c.t("Counts at", "生效级别"), c.level(r.Level))
		t.add(c.t("Rotation", "轮换"), orDash(r.Owner))
	}); err != nil || c.output == "json" {
		return err
	}
	var t table
	t.add()
	t.add(c.t("WAVE", "批次"), c.t("TAKES", "接收"), c.t("GENERATION", "代次"), c.t("PRIMARY", "主版本"), c.t("FALLBACK", "备用版本"))
	for _, w := range r.Waves {
		takes := pairsOf(w.Labels)
		if w.Percent > 0 {
			takes = strings.TrimPrefix(takes+" "+strconv.Itoa(w.Percent)+"%", " ")
		}
		now := api.Generation{}
		if w.Now != nil {
			now = *w.Now
		}
		t.add(w.Name, orAll(c, takes), strconv.FormatInt(now.Number, 10), orDash(now.Primary), orDash(now.Fallback))
	}
	return t.write(c.out)
}

func orAll(c *cli, takes string) string {
	if takes == "" {
		return c.t("all others", "其余全部")
	}
	return takes
}

// level writes a level in the user's language.
func (c *cli) level(level string) string {
	switch level {
	case "received":
		return c.t(level, "已接收")
	case "applied":
		return c.t(level, "已应用")
	case "used":
		return c.t(level, "已使用")
	}
	return orDash(level)
}

func newRolloutPublishCmd(c *cli) *cobra.Command {
	var in api.PublishRolloutRequest
	cmd := c.command(command{
		use:   "publish NAME",
		short: text{"Give all waves a version of the secret at once", "立即向所有批次发布凭据的某个版本"},
		long: text{
			`Give all waves a version of the secret at once, also an older one: the generation grows
anyway. What they have now stays with them as the fallback.`,
			"立即向所有批次发布凭据的某个版本，也可以是旧版本：代次总是递增。当前版本保留为备用版本。",
		},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			r, err := server.PublishRollout(ctx, args[0], in)
			if err != nil {
				return err
			}
			return c.showRollout(r)
		},
	})
	cmd.Flags().StringVar(&in.Version, "version", "", c.t("`ID` of the version; by default the current one", "版本 `ID`；默认当前版本"))
	return cmd
}

func newRolloutCoverageCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "coverage NAME",
		short: text{"Show which node has what, and when it last used it", "显示每个节点持有什么以及最近使用时间"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all := api.RolloutCoverage{Members: []api.RolloutMember{}}
			if err := pages(func(cursor string) (string, error) {
				page, err := server.GetRolloutCoverage(ctx, args[0], api.PageRequest{Cursor: cursor})
				members := append(all.Members, page.Members...)
				all = page
				all.Members, all.Next = members, ""
				return page.Next, err
			}); err != nil {
				return err
			}
			return c.showCoverage(all)
		},
	})
}

// showCoverage writes the waves and then the matrix of their members.
func (c *cli) showCoverage(all api.RolloutCoverage) error {
	members := func(t *table) {
		c.addMembers(t, c.t("NODE", "节点"), all.Members, func(m api.RolloutMember) string { return m.Node })
	}
	if c.output == "csv" { // which is one table
		return c.show(all, members)
	}
	if err := c.show(all, func(t *table) {
		t.add(c.t("WAVE", "批次"), c.t("NODES", "节点"), c.t("THERE", "已生效"), c.t("LOST", "失联"), c.t("LAST CAME", "最近生效"), c.t("OLD KEY USED", "旧版本最近使用"),
			c.t("OLD USES", "旧版本使用次数"), c.t("REFUSED", "被拒次数"), c.t("BEHIND", "未生效"))
		for _, w := range all.Waves {
			t.add(w.Wave, strconv.Itoa(w.Members), strconv.Itoa(w.There), strconv.Itoa(w.Lost), when(w.LastAck), when(w.OldUseAt),
				strconv.Itoa(w.Fallbacks), strconv.Itoa(w.Refused), orDash(strings.Join(w.Behind, ", ")))
		}
	}); err != nil || c.output == "json" || len(all.Members) == 0 {
		return err
	}
	var t table
	t.add()
	members(&t)
	return t.write(c.out)
}

// addMembers adds what nodes have of rollouts; title and name are of the first column.
func (c *cli) addMembers(t *table, title string, members []api.RolloutMember, name func(api.RolloutMember) string) {
	t.add(title, c.t("STATE", "状态"), c.t("WAVE", "批次"), c.t("TO HAVE", "应有代次"), c.t("HAS", "已有代次"), c.t("LEVEL", "级别"), c.t("THERE", "已生效"),
		c.t("LAST USED", "最近使用"), c.t("OLD KEY USED", "旧版本最近使用"), c.t("ERROR", "错误"))
	for _, m := range members {
		t.add(name(m), c.nodeState(m.State), m.Wave, strconv.FormatInt(m.Target, 10), strconv.FormatInt(m.Acknowledged, 10), c.level(m.Level), c.yesNo(m.There),
			when(m.UsedAt), when(m.FallbackAt), orDash(m.Error))
	}
}

func newRolloutRemoveCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "remove NAME",
		short: text{"End a rollout: its nodes keep nothing of the secret", "结束分发：其节点不再保留该凭据"},
		run: func(ctx context.Context, args []string) error {
			if err := c.confirm(ctx, args[0], text{
				fmt.Sprintf("All nodes of %s stop delivering its secret; what uses it there stops working.", args[0]),
				fmt.Sprintf("%s 的所有节点将停止提供该凭据；使用它的程序将无法工作。", args[0]),
			}); err != nil {
				return err
			}
			server, err := c.connect()
			if err != nil {
				return err
			}
			if err := server.RemoveRollout(ctx, args[0]); err != nil {
				return err
			}
			c.say("%s is removed", "%s 已移除", args[0])
			return nil
		},
	})
}
