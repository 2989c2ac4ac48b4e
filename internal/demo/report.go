package demo

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// show writes what everybody says.
func (s *stage) show(e evidence) {
	v := s.view
	v.title("What happened, as the rotation's history tells it", "经过：轮换的历史记录")
	for _, event := range e.run.Events {
		v.line("  %s  %s  %s", v.clock(event.At), pad(event.Step, 10), event.Text)
	}
	v.title("Every node × generation × last use", "节点 × 代次 × 最近使用")
	for _, m := range e.coverage.Members {
		v.line("  %s  %s  %d/%d  %s  %s", pad(m.Node, 12), pad(m.Wave, 10), m.Acknowledged, m.Target, v.level(m.Level), v.clock(m.UsedAt))
	}
	v.title("The keys of the platform", "平台上的密钥")
	for _, l := range e.lives {
		var events []string
		for _, happened := range l.Events {
			events = append(events, v.happening(happened.What)+" "+v.clock(happened.At))
		}
		last := "-"
		if !l.LastUse.IsZero() {
			last = v.clock(l.LastUse)
		}
		v.line("  %s  "+v.t("used %s times, last %s; %s", "使用 %s 次，最近 %s；%s"), l.ID, pad(strconv.Itoa(l.Uses), 5), pad(last, 6), strings.Join(events, v.t(", ", "，")))
	}
	v.title("The audit log", "审计日志")
	for _, r := range e.verified {
		v.line("  "+v.t("%s: %d records verified", "%s：已验证 %d 条记录"), r.Log, r.Size)
	}
	v.title("The proof", "结论")
	v.line("  "+v.t("payments made: %d, %d failed", "完成支付 %d 笔，失败 %d 笔"), e.paid, e.failed)
}

// clock answers a time as seconds since the story began.
func (v *view) clock(at time.Time) string {
	return fmt.Sprintf("%5.1f s", at.Sub(v.began).Seconds())
}

func (v *view) title(en, zh string) { v.line("\n%s", v.t(en, zh)) }

// verdict writes which claims hold, and answers an error if one does not.
func (v *view) verdict(claims []claim) error {
	wrong := 0
	for _, c := range claims {
		if c.wrong == "" {
			v.line("  %s  %s", v.t("holds", "成立"), v.t(c.en, c.zh))
			continue
		}
		wrong++
		v.line("  %s  %s: %s", v.t("FAILS", "不成立"), v.t(c.en, c.zh), c.wrong)
	}
	if wrong > 0 {
		return fmt.Errorf("%d of %d claims: %w", wrong, len(claims), ErrUnproven)
	}
	v.line("\n%s", v.t("0 failed. Everything holds.", "失败 0 笔，全部成立。"))
	return nil
}
