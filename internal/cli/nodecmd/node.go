package nodecmd

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

func newNodeCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "node", Short: c.T("Manage the nodes to which secrets are delivered", "管理接收凭据的节点")},
		c.Command(cli.Command{Use: "token", Short: c.T("Manage the tokens with which machines join", "管理机器加入时使用的令牌")},
			newNodeTokenCreateCmd(c), newNodeTokenListCmd(c),
			remote.OnServer(c, "revoke ID", c.T("Make a token useless; nodes that joined with it stay", "吊销令牌；已用它加入的节点保留"), c.T("%s is revoked", "%s 已吊销"),
				func(ctx context.Context, server *client.Client, args []string) (any, error) {
					return nil, server.RevokeNodeToken(ctx, args[0])
				})),
		newNodeListCmd(c), newNodeShowCmd(c), newNodeLabelCmd(c), newNodeDrainCmd(c),
		remote.OnServer(c, "undrain NAME", c.T("Put a node back into the rollouts that its labels are for", "让节点重新接收其标签对应的分发"), c.T("%s is not drained any more", "%s 已恢复"),
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return server.UndrainNode(ctx, args[0])
			}),
		newNodeRemoveCmd(c), newTargetCmd(c))
}

func newNodeTokenCreateCmd(c *cli.Run) *cobra.Command {
	var in api.CreateNodeTokenRequest
	var labels []string
	cmd := c.Command(cli.Command{
		Use:   "create",
		Short: c.T("Make a token with which a machine joins", "创建供机器加入的令牌"),
		Long: c.T(
			`Make a token with which a machine joins. It is written to the output, once, and kept
nowhere: redirect it into a file on its way to the machine.

Whoever has the token gets whatever is delivered to nodes with its labels.`,
			`创建供机器加入的令牌。令牌只输出一次，不会保存在任何地方：请重定向到文件再传给机器。

持有令牌者可获得分发给带有这些标签的节点的所有内容。`,
		),
		Example: "  keyward node token create --name web-1 --label region=cn-1 > join-token",
		Secrets: true,
		Run: func(ctx context.Context, _ []string) (err error) {
			if in.Labels, err = c.ReadTags(labels); err != nil {
				return err
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			out, err := server.CreateNodeToken(ctx, in)
			if err != nil {
				return err
			}
			c.Say("token %s can be used %d times until %s", "令牌 %s 可使用 %d 次，有效期至 %s", out.Info.ID, out.Info.Uses, cli.When(out.Info.ExpiresAt))
			if c.Output == "json" {
				return c.ShowJSON(out)
			}
			_, err = fmt.Fprintln(c.Out, string(out.Token))
			return err
		},
	})
	f := cmd.Flags()
	f.StringVar(&in.Node, "name", "", c.T("`NAME` that the node gets, and whose keys it may replace; by default each node chooses its own", "节点得到的名称 `NAME`，并可替换同名节点的密钥；默认由节点自行选择"))
	f.StringArrayVar(&labels, "label", nil, c.T("a label that the nodes get, `KEY=VALUE`; may be repeated", "节点得到的标签 `KEY=VALUE`；可重复"))
	f.IntVar(&in.Uses, "uses", 1, c.T("how `MANY` machines may join with it", "可供多少台机器 `MANY` 加入"))
	f.StringVar(&in.Life, "expires", "1h", c.T("refuse it after `TIME`, 7d at most", "超过 `TIME` 后拒绝，最长 7d"))
	return cmd
}

func newNodeTokenListCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "list",
		Short: c.T("List the tokens that can still be used", "列出仍可使用的令牌"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all, err := server.ListNodeTokens(ctx)
			if err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("TOKEN", "令牌"), c.T("NODE", "节点"), c.T("LABELS", "标签"), c.T("USES LEFT", "剩余次数"), c.T("EXPIRES", "过期时间"))
				for _, k := range all.Tokens {
					t.Add(k.ID, cli.OrDash(k.Node), cli.OrDash(pairsOf(k.Labels)), strconv.Itoa(k.Uses), cli.When(k.ExpiresAt))
				}
			})
		}),
	})
}

// pairsOf writes labels, by name.
func pairsOf(labels map[string]string) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		out = append(out, name+"="+labels[name])
	}
	return strings.Join(out, ",")
}

func newNodeListCmd(c *cli.Run) *cobra.Command {
	var in api.ListNodesRequest
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:     "list",
		Short:   c.T("List nodes", "列出节点"),
		Example: "  keyward node list --state lost --label region=cn-1",
		Run: func(ctx context.Context, _ []string) error {
			if err := c.OneOf(cmd, "state", in.State, "", "live", "lost", "drained"); err != nil {
				return err
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			all := api.NodeList{Nodes: []api.Node{}}
			if err := remote.Pages(func(cursor string) (string, error) {
				in.Cursor = cursor
				page, err := server.ListNodes(ctx, in)
				all.Nodes, all.Total = append(all.Nodes, page.Nodes...), page.Total
				return page.Next, err
			}); err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("NODE", "节点"), c.T("STATE", "状态"), c.T("LABELS", "标签"), c.T("LAST SEEN", "最近上报"), c.T("AGENT", "代理版本"), c.T("TROUBLE", "问题"))
				for _, n := range all.Nodes {
					t.Add(n.Name, nodeState(c, n.State), cli.OrDash(pairsOf(n.Labels)), cli.When(n.SeenAt), cli.OrDash(n.Agent), cli.OrDash(n.Trouble))
				}
			})
		},
	})
	cmd.Flags().StringVar(&in.State, "state", "", c.T("only with this `STATE`: live, lost or drained", "只列出此状态 `STATE` 的：live、lost 或 drained"))
	cmd.Flags().StringArrayVar(&in.Labels, "label", nil, c.T("only with this label, `KEY` or KEY=VALUE; may be repeated", "只列出带有此标签的，`KEY` 或 KEY=VALUE；可重复"))
	return cmd
}

// nodeState writes the state of a node in the user's language.
func nodeState(c *cli.Run, state string) string {
	switch state {
	case "live":
		return c.T(state, "在线")
	case "lost":
		return c.T(state, "失联")
	case "drained":
		return c.T(state, "已排空")
	}
	return state
}

func newNodeShowCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "show NAME",
		Short: c.T("Show a node and what it has", "显示节点及其持有的内容"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			n, err := server.GetNode(ctx, args[0])
			if err != nil {
				return err
			}
			if err := c.Show(n, func(t *cli.Table) {
				t.Add(c.T("Node", "节点"), n.Node.Name+" ("+nodeState(c, n.Node.State)+")")
				t.Add(c.T("Labels", "标签"), cli.OrDash(pairsOf(n.Node.Labels)))
				t.Add(c.T("Joined", "加入时间"), cli.When(n.Node.JoinedAt))
				t.Add(c.T("Last seen", "最近上报"), cli.When(n.Node.SeenAt))
				t.Add(c.T("Agent", "代理版本"), cli.OrDash(n.Node.Agent))
				t.Add(c.T("Clock ahead by", "时钟偏差"), cli.OrDash(n.Node.Skew))
				t.Add(c.T("Trouble", "问题"), cli.OrDash(n.Node.Trouble))
			}); err != nil || c.Output == "json" || len(n.Rollouts) == 0 {
				return err
			}
			var t cli.Table
			t.Add()
			addMembers(c, &t, c.T("ROLLOUT", "分发"), n.Rollouts, func(m api.RolloutMember) string { return m.Rollout })
			return t.Write(c.Out)
		}),
	})
}

func newNodeLabelCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "label NAME LABEL...",
		Short: c.T("Set labels of a node, or take them away, and so change what is delivered to it", "设置或移除节点的标签，从而改变分发给它的内容"),
		Long: c.T(
			"Set labels of a node, KEY=VALUE, or take them away, KEY-. Labels that are not named stay.",
			"设置节点的标签 KEY=VALUE，或用 KEY- 移除。未提到的标签保持不变。",
		),
		Example: "  keyward node label web-1 region=cn-2 canary-",
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			n, err := server.GetNode(ctx, args[0])
			if err != nil {
				return err
			}
			labels := maps.Clone(n.Node.Labels)
			if labels == nil {
				labels = map[string]string{}
			}
			for _, arg := range args[1:] {
				key, value, set := strings.Cut(arg, "=")
				gone, remove := strings.CutSuffix(arg, "-")
				switch {
				case set:
					labels[key] = value
				case remove:
					delete(labels, gone)
				default:
					return &cli.Problem{Message: fmt.Sprintf(c.T("the label %q must be KEY=VALUE, or KEY- to take it away", "标签 %q 必须是 KEY=VALUE，或用 KEY- 移除"), arg)}
				}
			}
			changed, err := server.LabelNode(ctx, args[0], api.LabelNodeRequest{Labels: labels})
			if err != nil {
				return err
			}
			c.Say("%s has the labels %s", "%s 的标签为 %s", changed.Name, cli.OrDash(pairsOf(changed.Labels)))
			return c.ShowJSON(changed)
		}),
	})
}

func newNodeDrainCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "drain NAME",
		Short: c.T("Take a node out of all rollouts: it holds nothing any more, and nobody waits for it", "将节点移出所有分发：它不再持有任何内容，也不再等待它"),
		Run: func(ctx context.Context, args []string) error {
			if err := c.Confirm(ctx, args[0], c.T(
				fmt.Sprintf("%s stops delivering every secret that it holds; what uses them there stops working.", args[0]),
				fmt.Sprintf("%s 将停止提供其持有的所有凭据；使用它们的程序将无法工作。", args[0]),
			)); err != nil {
				return err
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			n, err := server.DrainNode(ctx, args[0])
			if err != nil {
				return err
			}
			c.Say("%s is drained; keyward node undrain %s takes it back", "%s 已排空；用 keyward node undrain %s 恢复", n.Name, n.Name)
			return c.ShowJSON(n)
		},
	})
}

func newNodeRemoveCmd(c *cli.Run) *cobra.Command {
	return remote.OnServer(c, "remove NAME", c.T("Forget a node: nothing that it says is believed from then on", "移除节点：此后不再相信它的任何上报"), c.T("%s is removed", "%s 已移除"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			if err := c.Confirm(ctx, args[0], c.T(
				fmt.Sprintf("%s gets nothing any more. What it holds it may keep: if it was stolen, rotate what was delivered to it.", args[0]),
				fmt.Sprintf("%s 将不再得到任何内容。它已持有的仍在：如果机器被盗，请轮换已分发给它的凭据。", args[0]),
			)); err != nil {
				return nil, err
			}
			return nil, server.RemoveNode(ctx, args[0])
		})
}
