package rotationcmd

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
	"github.com/keyward/keyward/internal/rotation/phrase"
)

func newRotationPlanCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "plan", Short: c.T("Say how keys are replaced", "制定密钥的轮换计划")},
		newRotationPlanCreateCmd(c), newRotationPlanUpdateCmd(c), newRotationPlanShowCmd(c), newRotationPlanListCmd(c), newRotationPlanDeleteCmd(c))
}

// A caring is what the flags of rotation plan create and update say.
type caring struct {
	*cli.Run
	cmd                                   *cobra.Command
	rollout, key                          string
	every, confirm, grace, quiet, observe string
	call                                  string
	bakes, approved, allow, deny          []string
	approve, auto, onLeak                 bool
	maxRefused, maxFallbacks              int
	zone, unless                          string
}

func (a *caring) flags(cmd *cobra.Command) {
	a.cmd = cmd
	f := cmd.Flags()
	for _, s := range []struct {
		into  *string
		flag  string
		usage string
	}{
		{&a.rollout, "rollout", a.T("`NAME` of the rollout that delivers the secret to nodes", "将凭据分发到节点的分发名称 `NAME`")},
		{&a.key, "key", a.T("`ID` of the key that is in use now; by default the one whose id stands in the secret", "当前使用的密钥 `ID`；默认取凭据中所含的 ID")},
		{&a.every, "every", a.T("the `AGE` that a key may reach, such as 90d; 0 for any", "密钥的最长使用期限 `AGE`，例如 90d；0 表示不限")},
		{&a.call, "call", a.T("the longest `TIME` that a call to the provider may take, 1s to 5m; an answer that is lost is waited out for twice as long; by default 30s", "一次平台调用的最长时间 `TIME`，1s 至 5m；应答丢失时等待两倍的时间；默认 30s")},
		{&a.confirm, "confirm", a.T("`TIME` in which every node of a wave should use the new key; by default 30m", "一个批次的所有节点应在此时间 `TIME` 内用上新密钥；默认 30m")},
		{&a.grace, "grace", a.T("`TIME` for which both keys work after the last node uses the new one; by default 24h", "最后一个节点换用后新旧密钥都有效的时间 `TIME`；默认 24h")},
		{&a.quiet, "quiet", a.T("`TIME` for which the old key was not used before it is touched; by default 1h", "处理旧密钥前其未被使用的时间 `TIME`；默认 1h")},
		{&a.observe, "observe", a.T("`TIME` for which the old key is off before it is deleted; by default 24h", "旧密钥停用后到删除前的观察时间 `TIME`；默认 24h")},
		{&a.zone, "zone", a.T("time `ZONE` of the spans, such as Asia/Shanghai; by default UTC", "时间段所在时区 `ZONE`，例如 Asia/Shanghai；默认 UTC")},
		{&a.unless, "unless", a.T("spans do not matter when less than this `TIME` is left until the key expires; by default 72h", "距密钥到期不足此时间 `TIME` 时不受时间段限制；默认 72h")},
	} {
		f.StringVar(s.into, s.flag, "", s.usage)
	}
	f.StringArrayVar(&a.bakes, "bake", nil, a.T("how long a wave is watched before the next, `WAVE=TIME`; may be repeated; by default 10m", "批次的观察时间 `WAVE=TIME`，之后才进行下一批次；可重复；默认 10m"))
	f.StringSliceVar(&a.approved, "approve-wave", nil, a.T("somebody approves this `WAVE`; may be repeated", "此批次 `WAVE` 需要审批；可重复"))
	f.BoolVar(&a.approve, "approve", false, a.T("somebody approves the start", "开始前需要审批"))
	f.IntVar(&a.maxRefused, "max-refused", 0, a.T("roll back when nodes report more than `N` refusals of the new key; by default 3", "节点上报新密钥被拒绝超过 `N` 次时回滚；默认 3"))
	f.IntVar(&a.maxFallbacks, "max-fallbacks", 0, a.T("roll back when nodes report more than `N` uses of the old key in its place; by default 3", "节点上报改用旧密钥超过 `N` 次时回滚；默认 3"))
	f.StringArrayVar(&a.allow, "allow", nil, a.T("only in this `SPAN`, such as 'Mon-Thu 02:00-05:00'; may be repeated", "只在此时间段 `SPAN` 内进行，例如 'Mon-Thu 02:00-05:00'；可重复"))
	f.StringArrayVar(&a.deny, "deny", nil, a.T("never in this `SPAN`, such as 'Sat,Sun' or 11-11; may be repeated", "不在此时间段 `SPAN` 内进行，例如 'Sat,Sun' 或 11-11；可重复"))
	f.BoolVar(&a.onLeak, "on-leak", false, a.T("an emergency rotation begins by itself when the key in use was found in the open", "当前使用的密钥被发现泄露时自动开始紧急轮换"))
	f.BoolVar(&a.auto, "auto", false, a.T("rotations begin by themselves when they are due", "到期时自动开始轮换"))
}

// care answers what the flags that were given say; waves has the waves as they are now.
func (a *caring) care(waves []api.RotationWave) (api.RotationCareRequest, error) {
	var in api.RotationCareRequest
	for _, d := range []struct {
		flag string
		from *string
		into **string
	}{
		{"every", &a.every, &in.Every}, {"call", &a.call, &in.Call}, {"confirm", &a.confirm, &in.Confirm}, {"grace", &a.grace, &in.Grace}, {"quiet", &a.quiet, &in.Quiet},
		{"observe", &a.observe, &in.Observe}, {"unless", &a.unless, &in.Unless},
	} {
		if set(a, d.flag, d.from, d.into); *d.into == nil {
			continue
		}
		if _, err := api.ParseDuration(*d.from); err != nil {
			return in, a.Usage(a.cmd, "--%s must look like 30d, 12h or 90s", "--%s 应形如 30d、12h 或 90s", d.flag)
		}
	}
	set(a, "zone", &a.zone, &in.Zone)
	set(a, "allow", &a.allow, &in.Allow)
	set(a, "deny", &a.deny, &in.Deny)
	set(a, "approve", &a.approve, &in.Approve)
	set(a, "on-leak", &a.onLeak, &in.OnLeak)
	set(a, "max-refused", &a.maxRefused, &in.MaxRefused)
	set(a, "max-fallbacks", &a.maxFallbacks, &in.MaxFallbacks)
	return in, a.waves(waves, &in)
}

// set passes a flag on if it was given.
func set[T any](a *caring, flag string, from *T, into **T) {
	if a.cmd.Flags().Changed(flag) {
		*into = from
	}
}

// waves sets what the flags say of waves, over what these are now.
func (a *caring) waves(now []api.RotationWave, in *api.RotationCareRequest) error {
	if len(a.bakes)+len(a.approved) == 0 {
		return nil
	}
	out := make([]api.RotationWaveRequest, 0, len(now))
	for _, w := range now {
		out = append(out, api.RotationWaveRequest{Name: w.Name, Bake: &w.Bake, Approve: w.Approve})
	}
	wave := func(name string) *api.RotationWaveRequest {
		i := slices.IndexFunc(out, func(w api.RotationWaveRequest) bool { return w.Name == name })
		if i < 0 {
			i, out = len(out), append(out, api.RotationWaveRequest{Name: name})
		}
		return &out[i]
	}
	for _, pair := range a.bakes {
		name, bake, ok := strings.Cut(pair, "=")
		if _, err := api.ParseDuration(bake); err != nil || !ok || name == "" {
			return a.Usage(a.cmd, "--bake must look like canary=30m", "--bake 应形如 canary=30m")
		}
		wave(name).Bake = &bake
	}
	if a.cmd.Flags().Changed("approve-wave") {
		for i := range out {
			out[i].Approve = false
		}
	}
	for _, name := range a.approved {
		wave(name).Approve = true
	}
	in.Waves = &out
	return nil
}

func newRotationPlanCreateCmd(c *cli.Run) *cobra.Command {
	a := &caring{Run: c}
	var in api.CreateRotationPlanRequest
	cmd := c.Command(cli.Command{
		Use:   "create NAME",
		Short: c.T("Plan how one key is replaced, after everything was tried", "为一个密钥制定轮换计划（会先试运行）"),
		Long: c.T(
			`Plan how one key is replaced, whenever it has to be. The provider, the secret and the rollout
are tried first; nothing is changed there. The secret holds the key as one JSON object of
texts, such as {"access_key_id":"…","access_key_secret":"…"}.`,
			`为一个密钥制定轮换计划。会先试运行平台、凭据与分发，不做任何更改。
凭据中以文本 JSON 对象保存密钥，例如 {"access_key_id":"…","access_key_secret":"…"}。`,
		),
		Example: "  keyward rotation plan create payments --provider tencent --principal 100012345678 --secret payment/api_key --rollout pay --every 90d --auto\n" +
			"  keyward rotation plan create wechat --provider hand --principal 1900000001 --secret pay/wechat --key 7132D72A --deny Sat,Sun --zone Asia/Shanghai",
		Run: func(ctx context.Context, args []string) (err error) {
			for _, f := range []struct{ name, value string }{{"provider", in.Provider}, {"principal", in.Principal}, {"secret", in.Secret}} {
				if f.value == "" {
					return c.Usage(a.cmd, "--%s is missing", "缺少 --%s", f.name)
				}
			}
			in.Name, in.Key, in.Rollout, in.Auto = args[0], a.key, a.rollout, a.auto
			if in.Care, err = a.care(nil); err != nil {
				return err
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			plan, err := server.CreateRotationPlan(ctx, in)
			if err != nil {
				return err
			}
			return showPlan(c, plan)
		},
	})
	f := cmd.Flags()
	f.StringVar(&in.Provider, "provider", "", c.T("`NAME` of the provider", "密钥来源名称 `NAME`"))
	f.StringVar(&in.Principal, "principal", "", c.T("`ID` of the user or account whose key it is, at the provider", "密钥所属用户或账号在平台的 `ID`"))
	f.StringVar(&in.Secret, "secret", "", c.T("`NAME` of the secret that holds the key", "保存该密钥的凭据名称 `NAME`"))
	a.flags(cmd)
	return cmd
}

func newRotationPlanUpdateCmd(c *cli.Run) *cobra.Command {
	a := &caring{Run: c}
	cmd := c.Command(cli.Command{
		Use:     "update NAME",
		Short:   c.T("Change a plan of which no rotation is under way", "修改没有轮换在进行的计划"),
		Long:    c.T("Change a plan of which no rotation is under way. What no flag names stays.", "修改没有轮换在进行的计划。未指定的保持不变。"),
		Example: "  keyward rotation plan update payments --grace 12h --auto=false",
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			var waves []api.RotationWave
			if len(a.bakes)+len(a.approved) > 0 && a.rollout == "" {
				now, err := server.DescribeRotationPlan(ctx, args[0])
				if err != nil {
					return err
				}
				waves = now.Plan.Care.Waves
			}
			care, err := a.care(waves)
			if err != nil {
				return err
			}
			in := api.UpdateRotationPlanRequest{Care: care}
			set(a, "key", &a.key, &in.Key)
			set(a, "rollout", &a.rollout, &in.Rollout)
			set(a, "auto", &a.auto, &in.Auto)
			plan, err := server.UpdateRotationPlan(ctx, args[0], in)
			if err != nil {
				return err
			}
			return showPlan(c, plan)
		}),
	})
	a.flags(cmd)
	return cmd
}

func newRotationPlanShowCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "show NAME",
		Short: c.T("Show a plan and what it comes to", "显示轮换计划及其推算的时间"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			plan, err := server.DescribeRotationPlan(ctx, args[0])
			if err != nil {
				return err
			}
			return showPlan(c, plan)
		}),
	})
}

func showPlan(c *cli.Run, f api.RotationForecast) error {
	p, care := f.Plan, f.Plan.Care
	return c.Show(f, func(t *cli.Table) {
		t.Add(c.T("Plan", "计划"), p.Name)
		t.Add(c.T("Provider", "来源"), p.Provider+" ("+c.Word(phrase.Archetype(f.Archetype))+")")
		t.Add(c.T("Principal", "所属主体"), p.Principal)
		t.Add(c.T("Key", "密钥"), p.Key)
		t.Add(c.T("Secret", "凭据"), p.Secret)
		t.Add(c.T("Rollout", "分发"), cli.OrDash(p.Rollout))
		t.Add(c.T("Replaced every", "轮换周期"), cli.OrDash(care.Every))
		t.Add(c.T("Call", "调用时限"), cmp.Or(care.Call, "30s"))
		t.Add(c.T("Confirm", "确认时限"), cmp.Or(care.Confirm, "0"))
		t.Add(c.T("Grace", "宽限期"), cmp.Or(care.Grace, "0"))
		t.Add(c.T("Quiet", "静默期"), cmp.Or(care.Quiet, "0"))
		t.Add(c.T("Observe", "观察期"), cmp.Or(care.Observe, "0"))
		for _, w := range care.Waves {
			terms := c.T("bakes for ", "观察 ") + cmp.Or(w.Bake, "0")
			if w.Approve {
				terms += c.T(", after an approval", "，需要审批")
			}
			t.Add(c.T("Wave ", "批次 ")+w.Name, terms)
		}
		t.Add(c.T("Rolls back at", "回滚阈值"), c.T("more refusals than ", "被拒绝超过 ")+strconv.Itoa(care.MaxRefused)+c.T(", more fallbacks than ", "，改用旧密钥超过 ")+strconv.Itoa(care.MaxFallbacks))
		t.Add(c.T("Start is approved", "开始需审批"), c.YesNo(care.Approve))
		t.Add(c.T("Only in", "允许时间段"), cli.OrDash(strings.Join(care.Windows.Allow, "; ")))
		t.Add(c.T("Never in", "禁止时间段"), cli.OrDash(strings.Join(care.Windows.Deny, "; ")))
		t.Add(c.T("Time zone", "时区"), cmp.Or(care.Windows.Zone, "UTC"))
		t.Add(c.T("Begins by itself", "自动开始"), c.YesNo(p.Auto))
		t.Add(c.T("Emergency rotation when it leaks", "泄露时紧急轮换"), c.YesNo(care.OnLeak))
		t.Add(c.T("Last replaced", "上次轮换"), cli.When(p.LastAt))
		t.Add(c.T("Key expires", "密钥到期"), cli.When(f.Expires))
		t.Add(c.T("Next rotation", "下次轮换"), cli.When(f.Due))
		t.Add(c.T("Latest safe start", "最晚安全开始"), latest(c, f))
		t.Add(c.T("Under way", "进行中"), cli.OrDash(f.UnderWay))
		t.Add(c.T("Rollback", "回滚"), c.Word(phrase.Until(f.PointOfNoReturn)))
	})
}

// latest answers the latest safe start, and whether a rotation can only be begun with less care.
func latest(c *cli.Run, f api.RotationForecast) string {
	if f.Latest.IsZero() || f.UnderWay != "" || c.Now().Before(f.Latest) {
		return cli.When(f.Latest)
	}
	return cli.When(f.Latest) + c.T(", which has passed: begin now, little time is left if something goes wrong", "，已错过：请立即开始，出现问题时留给处理的时间很少")
}

func newRotationPlanListCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "list",
		Short: c.T("List plans", "列出轮换计划"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all, err := server.ListRotationPlans(ctx)
			if err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("PLAN", "计划"), c.T("PROVIDER", "来源"), c.T("PRINCIPAL", "所属主体"), c.T("KEY", "密钥"), c.T("SECRET", "凭据"), c.T("ROLLOUT", "分发"), c.T("EVERY", "周期"), c.T("BY ITSELF", "自动"), c.T("LAST", "上次"))
				for _, p := range all.Plans {
					t.Add(p.Name, p.Provider, p.Principal, p.Key, p.Secret, cli.OrDash(p.Rollout), cli.OrDash(p.Care.Every), c.YesNo(p.Auto), cli.When(p.LastAt))
				}
			})
		}),
	})
}

func newRotationPlanDeleteCmd(c *cli.Run) *cobra.Command {
	return remote.OnServer(c, "delete NAME", c.T("Forget a plan; the key stays as it is", "删除轮换计划；密钥保持不变"), c.T("plan %s is deleted; its key stays as it is", "计划 %s 已删除；其密钥保持不变"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return nil, server.DeleteRotationPlan(ctx, args[0])
		})
}
