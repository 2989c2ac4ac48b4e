package operatorcmd

import (
	"cmp"
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/cli"
)

func newOperatorHSMCmd(o *operation) *cobra.Command {
	return o.Command(cli.Command{
		Use:   "hsm",
		Short: o.T("Show how the hardware token stands", "显示硬件令牌的状态"),
		Long: o.T(
			`Show how the hardware token stands and which keys it makes, and why it does not make
others. docs/hardware.md tells how to give the server one.`,
			`显示硬件令牌的状态、可生成的密钥规格，以及不支持其他规格的原因。
如何为服务器配置硬件令牌，见 docs/hardware.md。`,
		),
		Run: func(ctx context.Context, _ []string) error {
			server, err := o.connect()
			if err != nil {
				return err
			}
			s, err := server.HSM(ctx)
			if err != nil {
				return err
			}
			return o.Show(s, func(t *cli.Table) {
				t.Add(o.T("State", "状态"), o.tokenState(s.State))
				if s.Detail != "" {
					t.Add(o.T("Detail", "详情"), o.T(s.Detail, cmp.Or(s.DetailZh, s.Detail)))
				}
				if s.Since != nil {
					t.Add(o.T("Since", "自"), cli.When(*s.Since))
				}
				t.Add(o.T("Token", "令牌"), cli.OrDash(s.Label))
				t.Add(o.T("Serial number", "序列号"), cli.OrDash(s.Serial))
				t.Add(o.T("Maker", "制造商"), cli.OrDash(s.Maker))
				t.Add(o.T("Sessions", "会话"), strconv.Itoa(s.Sessions))
				t.Add(o.T("Lost", "丢失次数"), strconv.Itoa(s.Lost))
				for _, offer := range s.Offers {
					made := o.T("made", "可生成")
					if offer.Reason != "" {
						made = o.T("not made: ", "不可生成：") + o.T(offer.Reason, cmp.Or(offer.ReasonZh, offer.Reason))
					}
					t.Add(offer.Spec, made)
				}
			})
		},
	})
}

func (o *operation) tokenState(state string) string {
	switch state {
	case "ready":
		return o.T("ready", "就绪")
	case "searching":
		return o.T("searching: the token is not there", "查找中：令牌不在")
	case "refused":
		return o.T("refused: the token does not let keyward in", "被拒绝：令牌不允许登录")
	}
	return o.T("away: its helper cannot be reached", "不可达：无法连接辅助进程")
}
