package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
)

func newOperatorStatusCmd(o *operation) *cobra.Command {
	return o.command(command{
		use:   "status",
		short: text{"Show how the server stands", "显示服务器的状态"},
		long: text{
			"Show how the server stands. Keep the public key and, from time to time, the checkpoint at another place: audit verify compares with them.",
			"显示服务器的状态。请将公钥以及不时更新的检查点保存到别处，供 audit verify 比较。",
		},
		run: func(ctx context.Context, _ []string) error {
			server, err := o.connect()
			if err != nil {
				return err
			}
			s, err := server.Status(ctx)
			if err != nil {
				return err
			}
			if err := o.show(s, func(t *table) {
				t.add(o.t("Initialised", "已初始化"), o.yesNo(s.Initialized))
				t.add(o.t("Sealed", "已封存"), o.yesNo(s.Sealed))
				t.add(o.t("Version", "版本"), s.Version)
				t.add(o.t("Node", "节点"), s.Node)
				t.add(o.t("Audit public key", "审计公钥"), orDash(s.PublicKey))
				o.addKeys(t, s)
				for _, w := range s.Witnesses {
					t.add(o.t("Witness", "见证者")+" "+w.Name, o.witnessStanding(w))
				}
				t.add(o.t("Clock", "时钟"), o.clock(s.Clock))
				t.add(o.t("Last scrub", "最近一次巡检"), when(s.ScrubbedAt))
				if s.Findings > 0 {
					t.add(o.t("Findings", "巡检发现"), fmt.Sprintf(o.t("%d: the database was changed behind keyward's back; run: keyward operator scrub", "%d：数据库被绕过 keyward 修改；请执行：keyward operator scrub"), s.Findings))
				}
			}); err != nil {
				return err
			}
			o.warnOfRecovery(s)
			return nil
		},
	})
}

// addKeys adds the root envelopes and the epoch to the table.
func (o *operation) addKeys(t *table, s api.OperatorStatus) {
	if s.Epoch > 0 {
		state := o.t("everything is wrapped under it", "全部内容已由其保护")
		if s.Rewrapping {
			state = o.t("wrapping anew", "正在重新保护")
		}
		t.add(o.t("Epoch", "纪元"), fmt.Sprintf(o.t("%d, %s", "%d，%s"), s.Epoch, state))
	}
	for _, e := range s.RootEnvelopes {
		kind := o.t("passphrase", "口令")
		if e.Shares > 0 {
			kind = fmt.Sprintf(o.t("%d of %d shares", "%d/%d 份额"), e.Threshold, e.Shares)
		}
		if e.Kind == "pkcs11" {
			kind = o.t("hardware token", "硬件令牌")
		}
		if e.Recovery {
			kind += o.t(", for recovery", "，用于恢复")
		}
		tested := o.t("never tested", "从未检验")
		switch {
		case s.Sealed:
			tested = o.t("tests are shown when unsealed", "解封后显示检验时间")
		case e.TestedAt != nil:
			tested = o.t("tested ", "检验于 ") + when(*e.TestedAt)
		}
		t.add(o.t("Root envelope", "根密钥信封"), fmt.Sprintf(o.t("%s (%s), created %s, %s", "%s（%s），创建于 %s，%s"), e.Name, kind, when(e.CreatedAt), tested))
	}
}

// warnOfRecovery says so, loudly, while nothing is known to help on the day when the
// daily way of unsealing is lost.
func (o *operation) warnOfRecovery(s api.OperatorStatus) {
	if !s.Initialized || s.Sealed || s.RecoveryTested {
		return
	}
	o.say("WARNING: no recovery envelope was ever tested. If what unseals this server is lost, EVERY KEY IS LOST.\nadd one and test it: keyward operator rekey --add NAME --recovery …; keyward operator test",
		"警告：从未检验过任何恢复信封。一旦丢失解封手段，所有密钥将永久丢失！\n请添加并检验：keyward operator rekey --add NAME --recovery …；keyward operator test")
}
