package nodecmd

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

func newRolloutCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "rollout", Short: c.T("Deliver secrets to nodes, wave by wave", "按批次将凭据分发到节点")},
		newRolloutCreateCmd(c), newRolloutListCmd(c), newRolloutShowCmd(c), newRolloutUpdateCmd(c), newRolloutPublishCmd(c), newRolloutCoverageCmd(c), newRolloutRemoveCmd(c))
}

// A planning is what the flags of rollout create and rollout update say.
type planning struct {
	*cli.Run
	members, waves []string
	level          string
}

func (p *planning) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&p.members, "label", nil, p.T("deliver to nodes with this label, `KEY=VALUE`; may be repeated; by default to all nodes", "分发到带有此标签 `KEY=VALUE` 的节点；可重复；默认所有节点"))
	f.StringArrayVar(&p.waves, "wave", nil, p.T("a wave, `NAME[:KEY=VALUE,...][:N%]`; may be repeated, in order; the last one takes the rest; by default one wave of all",
		"批次 `NAME[:KEY=VALUE,...][:N%]`；可重复，按顺序；最后一个批次接收其余节点；默认一个批次"))
	f.StringVar(&p.level, "level", "used", p.T("`LEVEL` that counts as having a version: used, or applied where nothing can tell of use", "视为已生效的级别 `LEVEL`：used，或在无法得知使用情况时用 applied"))
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
				labels, err := p.ReadTags(strings.Split(part, ","))
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
	return &cli.Problem{Message: fmt.Sprintf(p.T("the wave %q must look like canary:tier=web,region=cn-1:10%%", "批次 %q 的格式应为 canary:tier=web,region=cn-1:10%%"), spec)}
}

func newRolloutCreateCmd(c *cli.Run) *cobra.Command {
	p := &planning{Run: c}
	var in api.CreateRolloutRequest
	cmd := c.Command(cli.Command{
		Use:   "create NAME SECRET",
		Short: c.T("Deliver a secret to nodes, its current version at once", "将凭据分发到节点，立即发布当前版本"),
		Long: c.T(
			`Deliver a secret to nodes. The current version is published to all waves at once. A node
belongs to the first wave that takes it.`,
			"将凭据分发到节点。当前版本立即发布到所有批次。节点属于第一个接收它的批次。",
		),
		Example: "  keyward rollout create pay payment_api_key --label app=shop --wave canary:tier=canary --wave tenth:10% --wave rest",
		Run: func(ctx context.Context, args []string) (err error) {
			in.Name, in.Secret, in.Level = args[0], args[1], p.level
			if in.Members, err = c.ReadTags(p.members); err != nil {
				return err
			}
			if in.Waves, err = p.parseWaves(); err != nil {
				return err
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			r, err := server.CreateRollout(ctx, in)
			if err != nil {
				return err
			}
			c.Say("%s delivers %s; keyward rollout coverage %s tells who has it", "%s 已开始分发 %s；用 keyward rollout coverage %s 查看覆盖情况", r.Name, r.Secret, r.Name)
			return c.ShowJSON(r)
		},
	})
	p.flags(cmd)
	return cmd
}

func newRolloutUpdateCmd(c *cli.Run) *cobra.Command {
	p := &planning{Run: c}
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "update NAME",
		Short: c.T("Change who gets a secret, and in which waves", "修改分发的对象与批次"),
		Long: c.T(
			`Change who gets a secret, and in which waves. What no flag names stays. A wave keeps what
it has by its name; a new one begins with what the last one has.`,
			"修改分发的对象与批次。未指定的保持不变。同名批次保留其内容；新批次从最后一个批次的内容开始。",
		),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			r, err := server.GetRollout(ctx, args[0])
			if err != nil {
				return err
			}
			in := api.UpdateRolloutRequest{Members: r.Members, Waves: r.Waves, Level: r.Level}
			for i := range in.Waves {
				in.Waves[i].Now = nil // only in answers
			}
			if cmd.Flags().Changed("label") {
				if in.Members, err = c.ReadTags(p.members); err != nil {
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
			return showRollout(c, r)
		}),
	})
	p.flags(cmd)
	return cmd
}

func newRolloutListCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "list",
		Short: c.T("List rollouts", "列出分发"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all, err := server.ListRollouts(ctx)
			if err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("ROLLOUT", "分发"), c.T("SECRET", "凭据"), c.T("LABELS", "标签"), c.T("WAVES", "批次"), c.T("ROTATION", "轮换"))
				for _, r := range all.Rollouts {
					t.Add(r.Name, r.Secret, cli.OrDash(pairsOf(r.Members)), strconv.Itoa(len(r.Waves)), cli.OrDash(r.Owner))
				}
			})
		}),
	})
}

func newRolloutShowCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "show NAME",
		Short: c.T("Show a rollout and what each wave is to have", "显示分发及每个批次应持有的版本"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			r, err := server.GetRollout(ctx, args[0])
			if err != nil {
				return err
			}
			return showRollout(c, r)
		}),
	})
}

// showRollout writes a rollout and then its waves, whose columns line up among themselves.
func showRollout(c *cli.Run, r api.Rollout) error {
	if err := c.Show(r, func(t *cli.Table) {
		t.Add(c.T("Rollout", "分发"), r.Name)
		t.Add(c.T("Secret", "凭据"), r.Secret)
		t.Add(c.T("Labels", "标签"), cli.OrDash(pairsOf(r.Members)))
		t.Add(c.T("Counts at", "生效级别"), level(c, r.Level))
		t.Add(c.T("Rotation", "轮换"), cli.OrDash(r.Owner))
	}); err != nil || c.Output == "json" {
		return err
	}
	var t cli.Table
	t.Add()
	t.Add(c.T("WAVE", "批次"), c.T("TAKES", "接收"), c.T("GENERATION", "代次"), c.T("PRIMARY", "主版本"), c.T("FALLBACK", "备用版本"))
	for _, w := range r.Waves {
		takes := pairsOf(w.Labels)
		if w.Percent > 0 {
			takes = strings.TrimPrefix(takes+" "+strconv.Itoa(w.Percent)+"%", " ")
		}
		now := api.Generation{}
		if w.Now != nil {
			now = *w.Now
		}
		t.Add(w.Name, orAll(c, takes), strconv.FormatInt(now.Number, 10), cli.OrDash(now.Primary), cli.OrDash(now.Fallback))
	}
	return t.Write(c.Out)
}

func orAll(c *cli.Run, takes string) string {
	if takes == "" {
		return c.T("all others", "其余全部")
	}
	return takes
}

// level writes a level in the user's language.
func level(c *cli.Run, level string) string {
	switch level {
	case "received":
		return c.T(level, "已接收")
	case "applied":
		return c.T(level, "已应用")
	case "used":
		return c.T(level, "已使用")
	}
	return cli.OrDash(level)
}

func newRolloutPublishCmd(c *cli.Run) *cobra.Command {
	var in api.PublishRolloutRequest
	cmd := c.Command(cli.Command{
		Use:   "publish NAME",
		Short: c.T("Give all waves a version of the secret at once", "立即向所有批次发布凭据的某个版本"),
		Long: c.T(
			`Give all waves a version of the secret at once, also an older one: the generation grows
anyway. What they have now stays with them as the fallback.`,
			"立即向所有批次发布凭据的某个版本，也可以是旧版本：代次总是递增。当前版本保留为备用版本。",
		),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			r, err := server.PublishRollout(ctx, args[0], in)
			if err != nil {
				return err
			}
			return showRollout(c, r)
		}),
	})
	cmd.Flags().StringVar(&in.Version, "version", "", c.T("`ID` of the version; by default the current one", "版本 `ID`；默认当前版本"))
	return cmd
}

func newRolloutCoverageCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "coverage NAME",
		Short: c.T("Show which node has what, and when it last used it", "显示每个节点持有什么以及最近使用时间"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			all := api.RolloutCoverage{Members: []api.RolloutMember{}}
			if err := remote.Pages(func(cursor string) (string, error) {
				page, err := server.GetRolloutCoverage(ctx, args[0], api.PageRequest{Cursor: cursor})
				members := append(all.Members, page.Members...)
				all = page
				all.Members, all.Next = members, ""
				return page.Next, err
			}); err != nil {
				return err
			}
			return showCoverage(c, all)
		}),
	})
}

// showCoverage writes the waves and then the matrix of their members.
func showCoverage(c *cli.Run, all api.RolloutCoverage) error {
	members := func(t *cli.Table) {
		addMembers(c, t, c.T("NODE", "节点"), all.Members, func(m api.RolloutMember) string { return m.Node })
	}
	if c.Output == "csv" { // which is one table
		return c.Show(all, members)
	}
	if err := c.Show(all, func(t *cli.Table) {
		t.Add(c.T("WAVE", "批次"), c.T("NODES", "节点"), c.T("THERE", "已生效"), c.T("LOST", "失联"), c.T("LAST CAME", "最近生效"), c.T("OLD KEY USED", "旧版本最近使用"),
			c.T("OLD USES", "旧版本使用次数"), c.T("REFUSED", "被拒次数"), c.T("BEHIND", "未生效"))
		for _, w := range all.Waves {
			t.Add(w.Wave, strconv.Itoa(w.Members), strconv.Itoa(w.There), strconv.Itoa(w.Lost), cli.When(w.LastAck), cli.When(w.OldUseAt),
				strconv.Itoa(w.Fallbacks), strconv.Itoa(w.Refused), cli.OrDash(strings.Join(w.Behind, ", ")))
		}
	}); err != nil || c.Output == "json" || len(all.Members) == 0 {
		return err
	}
	var t cli.Table
	t.Add()
	members(&t)
	return t.Write(c.Out)
}

// addMembers adds what nodes have of rollouts; title and name are of the first column.
func addMembers(c *cli.Run, t *cli.Table, title string, members []api.RolloutMember, name func(api.RolloutMember) string) {
	t.Add(title, c.T("STATE", "状态"), c.T("WAVE", "批次"), c.T("TO HAVE", "应有代次"), c.T("HAS", "已有代次"), c.T("LEVEL", "级别"), c.T("THERE", "已生效"),
		c.T("LAST USED", "最近使用"), c.T("OLD KEY USED", "旧版本最近使用"), c.T("ERROR", "错误"))
	for _, m := range members {
		t.Add(name(m), nodeState(c, m.State), m.Wave, strconv.FormatInt(m.Target, 10), strconv.FormatInt(m.Acknowledged, 10), level(c, m.Level), c.YesNo(m.There),
			cli.When(m.UsedAt), cli.When(m.FallbackAt), cli.OrDash(m.Error))
	}
}

func newRolloutRemoveCmd(c *cli.Run) *cobra.Command {
	return remote.OnServer(c, "remove NAME", c.T("End a rollout: its nodes keep nothing of the secret", "结束分发：其节点不再保留该凭据"), c.T("%s is removed", "%s 已移除"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			if err := c.Confirm(ctx, args[0], c.T(
				fmt.Sprintf("All nodes of %s stop delivering its secret; what uses it there stops working.", args[0]),
				fmt.Sprintf("%s 的所有节点将停止提供该凭据；使用它的程序将无法工作。", args[0]),
			)); err != nil {
				return nil, err
			}
			return nil, server.RemoveRollout(ctx, args[0])
		})
}
