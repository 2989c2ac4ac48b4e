package operatorcmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/cli"
)

func newOperatorStatusCmd(o *operation) *cobra.Command {
	return o.Command(cli.Command{
		Use:   "status",
		Short: o.T("Show how the server stands", "显示服务器的状态"),
		Long: o.T(
			"Show how the server stands. Keep the public key and, from time to time, the checkpoint at another place: audit verify compares with them.",
			"显示服务器的状态。请将公钥以及不时更新的检查点保存到别处，供 audit verify 比较。",
		),
		Run: func(ctx context.Context, _ []string) error {
			server, err := o.connect()
			if err != nil {
				return err
			}
			s, err := server.Status(ctx)
			if err != nil {
				return err
			}
			if err := o.Show(s, func(t *cli.Table) {
				t.Add(o.T("Initialised", "已初始化"), o.YesNo(s.Initialized))
				t.Add(o.T("Sealed", "已封存"), o.YesNo(s.Sealed))
				t.Add(o.T("Version", "版本"), s.Version)
				t.Add(o.T("Node", "节点"), s.Node)
				t.Add(o.T("Audit public key", "审计公钥"), cli.OrDash(s.PublicKey))
				o.addKeys(t, s)
				for _, w := range s.Witnesses {
					t.Add(o.T("Witness", "见证者")+" "+w.Name, witnessStanding(o.Run, w))
				}
				t.Add(o.T("Clock", "时钟"), o.clock(s.Clock))
				t.Add(o.T("Last scrub", "最近一次巡检"), cli.When(s.ScrubbedAt))
				if s.Findings > 0 {
					t.Add(o.T("Findings", "巡检发现"), fmt.Sprintf(o.T("%d: the database was changed behind keyward's back; run: keyward operator scrub", "%d：数据库被绕过 keyward 修改；请执行：keyward operator scrub"), s.Findings))
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
func (o *operation) addKeys(t *cli.Table, s api.OperatorStatus) {
	if s.Epoch > 0 {
		state := o.T("everything is wrapped under it", "全部内容已由其保护")
		if s.Rewrapping {
			state = o.T("wrapping anew", "正在重新保护")
		}
		t.Add(o.T("Epoch", "纪元"), fmt.Sprintf(o.T("%d, %s", "%d，%s"), s.Epoch, state))
	}
	for _, e := range s.RootEnvelopes {
		kind := o.T("passphrase", "口令")
		if e.Shares > 0 {
			kind = fmt.Sprintf(o.T("%d of %d shares", "%d/%d 份额"), e.Threshold, e.Shares)
		}
		if e.Kind == "pkcs11" {
			kind = o.T("hardware token", "硬件令牌")
		}
		if e.Recovery {
			kind += o.T(", for recovery", "，用于恢复")
		}
		tested := o.T("never tested", "从未检验")
		switch {
		case s.Sealed:
			tested = o.T("tests are shown when unsealed", "解封后显示检验时间")
		case e.TestedAt != nil:
			tested = o.T("tested ", "检验于 ") + cli.When(*e.TestedAt)
		}
		t.Add(o.T("Root envelope", "根密钥信封"), fmt.Sprintf(o.T("%s (%s), created %s, %s", "%s（%s），创建于 %s，%s"), e.Name, kind, cli.When(e.CreatedAt), tested))
	}
}

// warnOfRecovery says so, loudly, while nothing is known to help on the day when the
// daily way of unsealing is lost.
func (o *operation) warnOfRecovery(s api.OperatorStatus) {
	if !s.Initialized || s.Sealed || s.RecoveryTested {
		return
	}
	o.Say("WARNING: no recovery envelope was ever tested. If what unseals this server is lost, EVERY KEY IS LOST.\nadd one and test it: keyward operator rekey --add NAME --recovery …; keyward operator test",
		"警告：从未检验过任何恢复信封。一旦丢失解封手段，所有密钥将永久丢失！\n请添加并检验：keyward operator rekey --add NAME --recovery …；keyward operator test")
}

// witnessStanding puts into words how a witness of the server stands.
func witnessStanding(c *cli.Run, w api.WitnessStatus) string {
	standing := c.T("has cosigned nothing yet", "尚未联署")
	if !w.CosignedAt.IsZero() {
		standing = fmt.Sprintf(c.T("cosigned %d records at %s", "已联署 %d 条记录，时间 %s"), w.Size, cli.When(w.CosignedAt))
	}
	if w.Conflict {
		standing = c.T("CONFLICT: ", "冲突：") + standing
	}
	if w.Problem != "" {
		standing += c.T("; ", "；") + w.Problem
	}
	return standing
}
