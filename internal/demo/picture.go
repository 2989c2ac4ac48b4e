package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/cloud/paysim"
)

// picture answers the lines of what can be seen now.
func picture(s *stage, v *view, rate *meter) []string {
	now, at := s.seen.now(), s.Now()
	tally := s.platform.Tally()
	lives := s.platform.Lives()
	server := v.t("up", "运行中")
	if !now.up {
		server = v.t("DOWN", "已停止")
	}
	step := "-"
	if now.run.ID != "" {
		step = s.step(now)
	}
	lines := []string{
		strings.Repeat("─", 78),
		fmt.Sprintf(v.t("server %s   rotation: %s", "服务器 %s   轮换：%s"), server, step),
		fmt.Sprintf(v.t("payments %d (%.0f/s)   failed %d", "支付 %d（%.0f/秒）   失败 %d"), tally.Paid, rate.read(at, int64(tally.Paid)), s.failed()),
	}
	for region, name := range regionNames {
		line := pad(name, 11)
		if s.relays[region].severed() {
			line += pad(v.t("cut off", "线路中断"), 10)
		} else {
			line += pad(v.t("connected", "已连接"), 10)
		}
		for _, m := range now.coverage.Members {
			if strings.HasPrefix(m.Node, name+"-") {
				line += pad(fmt.Sprintf("%s: %d/%d %s", m.Node, m.Acknowledged, m.Target, v.level(m.Level)), 32)
			}
		}
		lines = append(lines, line)
	}
	for _, l := range lives {
		lines = append(lines, pad(l.ID, 13)+v.life(l, at))
	}
	for _, i := range now.incidents {
		has := v.t("nobody has it", "无人处理")
		if i.AckBy != "" {
			has = fmt.Sprintf(v.t("%s has it", "%s 处理中"), i.AckBy)
		}
		lines = append(lines, fmt.Sprintf(v.t("incident %s: %s (%s)", "事件 %s：%s（%s）"), i.ID, i.Kind, has))
	}
	return lines
}

// failed answers how many payments failed, by the shops' count.
func (s *stage) failed() (n int64) {
	for _, shop := range s.shops {
		n += shop.failed.Load()
	}
	return n
}

// step answers where the rotation stands.
func (s *stage) step(now sight) string {
	if now.run.Step != "rolling" {
		return now.run.Step
	}
	for _, w := range now.run.Waves {
		if w.ConfirmedAt.IsZero() {
			return now.run.Step + " " + w.Name
		}
	}
	return now.run.Step
}

// level answers a level in words.
func (v *view) level(level string) string {
	switch level {
	case "received":
		return v.t(level, "已接收")
	case "applied":
		return v.t(level, "已应用")
	case "used":
		return v.t(level, "已使用")
	}
	return "-"
}

// life answers what became of a key so far.
func (v *view) life(l paysim.Life, at time.Time) string {
	var out []string
	for _, e := range l.Events {
		out = append(out, v.happening(e.What))
	}
	text := pad(strings.Join(out, v.t(", ", "，")), 30) + fmt.Sprintf(v.t(" used %d times", " 使用 %d 次"), l.Uses)
	if left := l.ExpiresAt.Sub(at); !l.Ended() && left < time.Hour {
		text += fmt.Sprintf(v.t(", dies in %.0f s", "，%.0f 秒后失效"), max(left, 0).Seconds())
	}
	return text
}

// happening answers what was done to a key in words.
func (v *view) happening(h paysim.Happening) string {
	chinese := map[paysim.Happening]string{
		paysim.Created: "创建", paysim.Disabled: "禁用", paysim.Enabled: "启用", paysim.Reset: "重置", paysim.Deleted: "删除",
	}
	return v.t(string(h), chinese[h])
}
