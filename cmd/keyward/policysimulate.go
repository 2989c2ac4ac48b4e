package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/authz"
)

func newPolicySimulateCmd(c *cli) *cobra.Command {
	var in api.SimulatePolicyRequest
	var at string
	var attributes []string
	cmd := c.command(command{
		use:   "simulate USER ACTION RESOURCE",
		short: text{"Explain what a user may do, statement by statement", "逐条解释用户是否被允许执行某操作"},
		long: text{`Explain what a user may do: the decision, and what every statement of the user's policies
and of the key's policy makes of it. RESOURCE is an ARN, or a key's id or alias. Nothing is done.`,
			`解释用户是否被允许执行某操作：给出结论，以及用户策略和密钥策略中每条语句的判断。
RESOURCE 是 ARN，或者密钥的 ID 或别名。不会真正执行任何操作。`},
		example: "  keyward policy simulate app kms:Encrypt alias/reports\n  keyward policy simulate app kms:Decrypt alias/reports --source 203.0.113.7 --attribute kms:EncryptionContext:team=pay",
		run: func(ctx context.Context, args []string) error {
			in.User, in.Action, in.Resource = args[0], args[1], args[2]
			var err error
			if in.Attributes, err = c.tags(attributes); err != nil {
				return err
			}
			if at != "" {
				if in.Time, err = time.Parse(time.RFC3339, at); err != nil {
					return &problem{message: c.t("--at must be a time with its zone, such as 2026-01-02T15:04:05+08:00", "--at 必须是带时区的时间，例如 2026-01-02T15:04:05+08:00")}
				}
			}
			return c.simulate(ctx, in)
		},
	})
	f := cmd.Flags()
	f.StringVar(&in.Source, "source", "", c.t("as if it came from the address `IP`", "假定请求来自地址 `IP`"))
	f.StringVar(&at, "at", "", c.t("as if it came at `TIME` (RFC 3339); by default now", "假定请求时间为 `TIME`（RFC 3339）；默认为当前时间"))
	f.BoolVar(&in.Insecure, "plain-http", false, c.t("as if it came without TLS", "假定请求未使用 TLS"))
	f.StringArrayVar(&attributes, "attribute", nil, c.t("a further condition key, `KEY=VALUE`; may be repeated", "其他条件键 `KEY=VALUE`；可重复"))
	return cmd
}

func (c *cli) simulate(ctx context.Context, in api.SimulatePolicyRequest) error {
	server, err := c.connect()
	if err != nil {
		return err
	}
	if !strings.HasPrefix(in.Resource, "acs:") {
		key, err := server.DescribeKey(ctx, in.Resource)
		if err != nil {
			return err
		}
		in.Resource = key.ARN
	}
	out, err := server.SimulatePolicy(ctx, in)
	if err != nil {
		return err
	}
	if c.output == "json" {
		return writeJSON(c.out, out)
	}
	if _, err := fmt.Fprintln(c.out, c.simulatedDecision(in, out)); err != nil || len(out.Statements) == 0 {
		return err
	}
	var t table
	t.add(c.t("POLICY", "策略"), c.t("STATEMENT", "语句"), c.t("EFFECT", "效果"), c.t("WHAT IT MAKES OF IT", "判断"))
	for _, s := range out.Statements {
		t.add(c.simulatedPolicy(s.Policy), s.Statement, s.Effect, c.simulatedMiss(s))
	}
	return t.write(c.out)
}

// simulatedDecision says in a line what would be decided.
func (c *cli) simulatedDecision(in api.SimulatePolicyRequest, out api.Simulation) string {
	by := fmt.Sprintf(c.t("statement %s of %s", "%[2]s的语句 %[1]s"), out.Statement, c.simulatedPolicy(out.Policy))
	switch {
	case out.Allowed && out.Statement == "":
		return fmt.Sprintf(c.t("allowed: %s is root, which no policy binds", "允许：%s 是 root，不受任何策略约束"), in.User)
	case out.Allowed:
		return fmt.Sprintf(c.t("allowed: %s allows it and none denies it", "允许：%s允许，且没有语句拒绝"), by)
	case out.Statement != "":
		return fmt.Sprintf(c.t("denied: %s denies it, which wins over whatever allows it", "拒绝：%s明确拒绝，优先于任何允许"), by)
	case out.Reason == string(authz.ByDefault):
		return c.t("denied: no statement allows it", "拒绝：没有语句允许")
	}
	return fmt.Sprintf(c.t("denied: %s", "拒绝：%s"), out.Reason)
}

// simulatedPolicy names a policy for a person.
func (c *cli) simulatedPolicy(name string) string {
	if name == authz.OfResource {
		return c.t("the key's policy", "密钥策略")
	}
	return name
}

// simulatedMiss says why a statement does not apply, or that it does.
func (c *cli) simulatedMiss(s api.SimulatedStatement) string {
	if s.Applies {
		return c.t("applies", "适用")
	}
	said := map[authz.Miss]text{
		authz.MissPrincipal: {"names others", "主体不匹配"},
		authz.MissDelegated: {"leaves it to the account's identity policies", "交由账号的身份策略决定"},
		authz.MissAction:    {"names other actions", "操作不匹配"},
		authz.MissReserved:  {"NotAction never gives this action away", "NotAction 不会授予此操作"},
		authz.MissResource:  {"names other resources", "资源不匹配"},
		authz.MissAccount:   {"does not write out the account that has the resource", "未写明资源所属账号"},
		authz.MissCondition: {"the condition does not hold: ", "条件不成立："},
	}
	return said[authz.Miss(s.Miss)].in(c.lang) + s.Condition
}
