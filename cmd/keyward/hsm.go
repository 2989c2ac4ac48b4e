package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"
)

func newOperatorHSMCmd(o *operation) *cobra.Command {
	return o.command(command{
		use:   "hsm",
		short: text{"Show how the hardware token stands", "显示硬件令牌的状态"},
		long: text{
			`Show how the hardware token stands and which keys it makes, and why it does not make
others. docs/hardware.md tells how to give the server one.`,
			`显示硬件令牌的状态、可生成的密钥规格，以及不支持其他规格的原因。
如何为服务器配置硬件令牌，见 docs/hardware.md。`,
		},
		run: func(ctx context.Context, _ []string) error {
			server, err := o.connect()
			if err != nil {
				return err
			}
			s, err := server.HSM(ctx)
			if err != nil {
				return err
			}
			return o.show(s, func(t *table) {
				t.add(o.t("State", "状态"), o.tokenState(s.State))
				if s.Detail != "" {
					t.add(o.t("Detail", "详情"), printable(s.Detail))
				}
				if s.Since != nil {
					t.add(o.t("Since", "自"), when(*s.Since))
				}
				t.add(o.t("Token", "令牌"), orDash(printable(s.Label)))
				t.add(o.t("Serial number", "序列号"), orDash(printable(s.Serial)))
				t.add(o.t("Maker", "制造商"), orDash(printable(s.Maker)))
				t.add(o.t("Sessions", "会话"), strconv.Itoa(s.Sessions))
				t.add(o.t("Lost", "丢失次数"), strconv.Itoa(s.Lost))
				for _, offer := range s.Offers {
					made := o.t("made", "可生成")
					if offer.Reason != "" {
						made = o.t("not made: ", "不可生成：") + printable(offer.Reason)
					}
					t.add(offer.Spec, made)
				}
			})
		},
	})
}

func (o *operation) tokenState(state string) string {
	switch state {
	case "ready":
		return o.t("ready", "就绪")
	case "searching":
		return o.t("searching: the token is not there", "查找中：令牌不在")
	case "refused":
		return o.t("refused: the token does not let keyward in", "被拒绝：令牌不允许登录")
	}
	return o.t("away: its helper cannot be reached", "不可达：无法连接辅助进程")
}
