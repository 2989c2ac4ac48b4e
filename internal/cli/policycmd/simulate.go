package policycmd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

func newPolicySimulateCmd(c *cli.Run) *cobra.Command {
	var in api.SimulatePolicyRequest
	var at string
	var attributes []string
	cmd := c.Command(cli.Command{
		Use:   "simulate USER ACTION RESOURCE",
		Short: c.T("Explain what a user may do, statement by statement", "逐条解释用户是否被允许执行某操作"),
		Long: c.T(`Explain what a user may do: the decision, and what every statement of the user's policies
and of the key's policy makes of it. RESOURCE is an ARN, or a key's id or alias. Nothing is done.`,
			`解释用户是否被允许执行某操作：给出结论，以及用户策略和密钥策略中每条语句的判断。
RESOURCE 是 ARN，或者密钥的 ID 或别名。不会真正执行任何操作。`),
		Example: "  keyward policy simulate app kms:Encrypt alias/reports\n  keyward policy simulate app kms:Decrypt alias/reports --source 203.0.113.7 --attribute kms:EncryptionContext:team=pay",
		Run: func(ctx context.Context, args []string) error {
			in.User, in.Action, in.Resource = args[0], args[1], args[2]
			var err error
			if in.Attributes, err = c.ReadTags(attributes); err != nil {
				return err
			}
			if at != "" {
				if in.Time, err = time.Parse(time.RFC3339, at); err != nil {
					return &cli.Problem{Message: c.T("--at must be a time with its zone, such as 2026-01-02T15:04:05+08:00", "--at 必须是带时区的时间，例如 2026-01-02T15:04:05+08:00")}
				}
			}
			return simulate(ctx, c, in)
		},
	})
	f := cmd.Flags()
	f.StringVar(&in.Source, "source", "", c.T("as if it came from the address `IP`", "假定请求来自地址 `IP`"))
	f.StringVar(&at, "at", "", c.T("as if it came at `TIME` (RFC 3339); by default now", "假定请求时间为 `TIME`（RFC 3339）；默认为当前时间"))
	f.BoolVar(&in.Insecure, "plain-http", false, c.T("as if it came without TLS", "假定请求未使用 TLS"))
	f.StringArrayVar(&attributes, "attribute", nil, c.T("a further condition key, `KEY=VALUE`; may be repeated", "其他条件键 `KEY=VALUE`；可重复"))
	return cmd
}

func simulate(ctx context.Context, c *cli.Run, in api.SimulatePolicyRequest) error {
	server, err := remote.Connect(c)
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
	if c.Output == "json" {
		return cli.WriteJSON(c.Out, out)
	}
	if _, err := fmt.Fprintln(c.Out, simulatedDecision(c, in, out)); err != nil || len(out.Statements) == 0 {
		return err
	}
	var t cli.Table
	t.Add(c.T("POLICY", "策略"), c.T("STATEMENT", "语句"), c.T("EFFECT", "效果"), c.T("WHAT IT MAKES OF IT", "判断"))
	for _, s := range out.Statements {
		t.Add(simulatedPolicy(c, s.Policy), s.Statement, s.Effect, simulatedMiss(c, s))
	}
	return t.Write(c.Out)
}

// simulatedDecision says in a line what would be decided.
func simulatedDecision(c *cli.Run, in api.SimulatePolicyRequest, out api.Simulation) string {
	by := fmt.Sprintf(c.T("statement %s of %s", "%[2]s的语句 %[1]s"), out.Statement, simulatedPolicy(c, out.Policy))
	switch {
	case out.Allowed && out.Statement == "":
		return fmt.Sprintf(c.T("allowed: %s is root, which no policy binds", "允许：%s 是 root，不受任何策略约束"), in.User)
	case out.Allowed:
		return fmt.Sprintf(c.T("allowed: %s allows it and none denies it", "允许：%s允许，且没有语句拒绝"), by)
	case out.Statement != "":
		return fmt.Sprintf(c.T("denied: %s denies it, which wins over whatever allows it", "拒绝：%s明确拒绝，优先于任何允许"), by)
	case out.Reason == string(authz.ByDefault):
		return c.T("denied: no statement allows it", "拒绝：没有语句允许")
	}
	return fmt.Sprintf(c.T("denied: %s", "拒绝：%s"), out.Reason)
}

// simulatedPolicy names a policy for a person.
func simulatedPolicy(c *cli.Run, name string) string {
	if name == authz.OfResource {
		return c.T("the key's policy", "密钥策略")
	}
	return name
}

// simulatedMiss says why a statement does not apply, or that it does.
func simulatedMiss(c *cli.Run, s api.SimulatedStatement) string {
	if s.Applies {
		return c.T("applies", "适用")
	}
	said := map[authz.Miss]string{
		authz.MissPrincipal: c.T("names others", "主体不匹配"),
		authz.MissDelegated: c.T("leaves it to the account's identity policies", "交由账号的身份策略决定"),
		authz.MissAction:    c.T("names other actions", "操作不匹配"),
		authz.MissReserved:  c.T("NotAction never gives this action away", "NotAction 不会授予此操作"),
		authz.MissResource:  c.T("names other resources", "资源不匹配"),
		authz.MissAccount:   c.T("does not write out the account that has the resource", "未写明资源所属账号"),
		authz.MissCondition: c.T("the condition does not hold: ", "条件不成立："),
	}
	return said[authz.Miss(s.Miss)] + s.Condition
}
