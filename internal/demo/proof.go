package demo

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/audit/export"
	"github.com/keyward/keyward/internal/cloud/cloudtest"
	"github.com/keyward/keyward/internal/cloud/paysim"
)

// A claim is something that the story proves.
type claim struct {
	en, zh string
	wrong  string // why it does not hold; "" if it does
}

// Evidence is what the claims are checked against, after the last payment.
type evidence struct {
	run      api.RotationRun
	coverage api.RolloutCoverage
	expiry   api.IncidentFile
	ended    []api.Incident
	lives    []paysim.Life
	tally    paysim.Tally
	paid     int64 // by the shops' count
	failed   int64
	why      []string // payments failed
	verified []audit.Report
	untrue   error // of the audit log
	asked    time.Time
}

// prove ends the payments, collects what everybody says, shows it and checks the claims.
func (s *stage) prove(ctx context.Context) error {
	s.view.freeze()
	s.rest()
	e, err := s.collect(ctx)
	if err != nil {
		return s.explain(ctx, err)
	}
	s.show(e)
	return s.view.verdict(s.claims(e))
}

// collect asks the server and the platform.
func (s *stage) collect(ctx context.Context) (e evidence, err error) {
	e.lives, e.tally, e.asked = s.platform.Lives(), s.platform.Tally(), s.Now()
	for _, shop := range s.shops {
		e.paid += shop.paid.Load()
		e.failed += shop.failed.Load()
		if why := shop.reason(); why != "" {
			e.why = append(e.why, why)
		}
	}
	if e.run, err = s.keyward.DescribeRotation(ctx, s.seen.now().run.ID); err != nil {
		return e, err
	}
	if e.coverage, err = s.keyward.GetRolloutCoverage(ctx, rolloutName, api.PageRequest{}); err != nil {
		return e, err
	}
	ended, err := s.keyward.ListIncidents(ctx, api.ListIncidentsRequest{Ended: true})
	if err != nil {
		return e, err
	}
	e.ended = ended.Incidents
	for _, i := range e.ended {
		if i.Kind == "key-expiry" {
			if e.expiry, err = s.keyward.GetIncident(ctx, i.ID); err != nil {
				return e, err
			}
		}
	}
	e.verified, e.untrue = s.verify(ctx)
	return e, nil
}

// verify verifies the server's audit logs, by what was learnt of them before anything
// happened.
func (s *stage) verify(ctx context.Context) ([]audit.Report, error) {
	pr, pw := io.Pipe()
	defer func() { _ = pr.Close() }() // so that the other side ends when this one found enough
	go func() { pw.CloseWithError(s.operator.ExportAudit(ctx, pw)) }()
	reports, err := export.Verify(pr, func(log, _ string) audit.Trust { return s.trust[log] }, nil)
	if err == nil && len(reports) != len(s.trust) {
		err = fmt.Errorf("there are %d logs, and there were %d", len(reports), len(s.trust))
	}
	return reports, err
}

// claims answers what the story proves, and what of it does not hold.
func (s *stage) claims(e evidence) []claim {
	return slices.Concat(s.claimPayments(e), s.claimKeys(e), s.claimStory(e))
}

func (s *stage) claimPayments(e evidence) []claim {
	pay := claim{en: "every payment was made, once, by the shops' count and by the platform's", zh: "每笔支付都已完成且只完成一次：商店与平台的计数一致"}
	switch {
	case e.failed > 0:
		pay.wrong = fmt.Sprintf("%d failed: %s", e.failed, strings.Join(e.why, "; "))
	case e.tally.Failed() > 0:
		pay.wrong = fmt.Sprintf("the platform refused %v", e.tally.Refused)
	case e.paid == 0 || e.paid != int64(e.tally.Paid):
		pay.wrong = fmt.Sprintf("the shops count %d, the platform %d", e.paid, e.tally.Paid)
	}
	used := claim{en: "every node uses the last generation, and did so after the old key was off", zh: "每个节点都在使用最新一代，且在旧密钥关闭之后仍在使用"}
	off := eventOf(life(e.lives, e.run.OldKey), paysim.Disabled)
	for _, m := range e.coverage.Members {
		if m.State != "live" || !m.There || m.Level != "used" || m.Acknowledged != m.Target || !m.UsedAt.After(off) {
			used.wrong = fmt.Sprintf("%s: %s, generation %d of %d, level %s, last use %s", m.Node, m.State, m.Acknowledged, m.Target, m.Level, m.UsedAt)
		}
	}
	if len(e.coverage.Members) != len(s.shops) {
		used.wrong = fmt.Sprintf("there are %d nodes", len(e.coverage.Members))
	}
	dead := claim{en: "shops paid while the server was dead", zh: "服务器停止期间商店照常支付"}
	if s.down.paid == 0 {
		dead.wrong = "there was no payment"
	}
	return []claim{pay, used, dead}
}

// life answers the life of a key; that of none is empty.
func life(lives []paysim.Life, id string) paysim.Life {
	n := slices.IndexFunc(lives, func(l paysim.Life) bool { return l.ID == id })
	if n < 0 {
		return paysim.Life{ID: id}
	}
	return lives[n]
}

// eventOf answers when something was done to a key; the zero time for never.
func eventOf(l paysim.Life, what paysim.Happening) time.Time {
	n := slices.IndexFunc(l.Events, func(e paysim.Event) bool { return e.What == what })
	if n < 0 {
		return time.Time{}
	}
	return l.Events[n].At
}

func (s *stage) claimKeys(e evidence) []claim {
	old, fresh := life(e.lives, s.firstKey), life(e.lives, e.run.NewKey)
	gone := claim{en: "the old key was disabled when it was silent, then deleted, before it would have died", zh: "旧密钥静默之后才被禁用，随后删除，且都在其失效之前"}
	off, deleted := eventOf(old, paysim.Disabled), eventOf(old, paysim.Deleted)
	switch {
	case e.run.OldKey != old.ID || off.IsZero() || deleted.IsZero():
		gone.wrong = fmt.Sprintf("its life is %v", old.Events)
	case off.Sub(old.LastUse) < quiet:
		gone.wrong = fmt.Sprintf("it was last used at %s and disabled at %s", old.LastUse, off)
	case deleted.Sub(off) < aDay || !deleted.Before(old.ExpiresAt):
		gone.wrong = fmt.Sprintf("it was disabled at %s, deleted at %s, and died at %s", off, deleted, old.ExpiresAt)
	}
	one := claim{en: "the platform has one key, the new one; what else was made is deleted and was never used", zh: "平台上只剩新密钥；此外创建过的密钥都已删除且从未使用"}
	for _, l := range e.lives {
		switch l.ID {
		case old.ID:
		case fresh.ID:
			if l.Ended() || l.Uses == 0 || len(l.Events) != 1 {
				one.wrong = fmt.Sprintf("%s: %v, used %d times", l.ID, l.Events, l.Uses)
			}
		default:
			if !l.Ended() || l.Uses > 0 {
				one.wrong = fmt.Sprintf("%s: %v, used %d times", l.ID, l.Events, l.Uses)
			}
		}
	}
	if len(fresh.Events) == 0 {
		one.wrong = "there is no new key"
	}
	return []claim{gone, one}
}

func (s *stage) claimStory(e evidence) []claim {
	told := claim{en: "the owner was told and did not answer, then another, who acknowledged; the incident is over", zh: "先通知负责人而无应答，再升级通知他人并得到确认；事件已结束"}
	levels := map[int]bool{}
	for _, d := range e.expiry.Deliveries {
		if d.Event == "trigger" && d.Progress == "sent" {
			levels[d.Level] = true
		}
	}
	if i := e.expiry.Incident; !levels[0] || !levels[1] || i.AckBy != second || i.EndedAt.IsZero() {
		told.wrong = fmt.Sprintf("levels %v, acknowledged by %q, ended at %s", levels, i.AckBy, i.EndedAt)
	}
	lost := claim{en: "an answer of the platform was lost, and the key that it made was found and deleted", zh: "平台的一次应答丢失，由此产生的密钥被找到并删除"}
	orphans := slices.DeleteFunc(slices.Clone(e.lives), func(l paysim.Life) bool { return l.ID == e.run.OldKey || l.ID == e.run.NewKey })
	if n := s.platform.Creating.Count(cloudtest.LoseAfter); n != 1 || len(orphans) != 1 || !noted(e.run, "unclear create") {
		lost.wrong = fmt.Sprintf("%d answers were lost, %d keys are neither the old nor the new one", n, len(orphans))
	}
	cut := claim{en: "the region that was cut off held its wave up, people were told, and it came back", zh: "断线的区域使其批次等待，值班人员得到通知，之后恢复"}
	if !slices.ContainsFunc(e.ended, func(i api.Incident) bool { return i.Kind == "rotation-stuck" && i.Alarms > 0 }) {
		cut.wrong = "there was no incident"
	}
	done := claim{en: "the rotation is done, in waves, and nobody had to help", zh: "轮换按批次完成，无需人工介入"}
	if e.run.Step != "done" || noted(e.run, "halted") || slices.ContainsFunc(e.run.Waves, func(w api.RotationProgress) bool { return w.ConfirmedAt.IsZero() }) {
		done.wrong = fmt.Sprintf("its step is %s, its waves are %v", e.run.Step, e.run.Waves)
	}
	log := claim{en: "the audit log is whole: every record, from before the first event, under the key that it had then", zh: "审计日志完整：从事件发生之前至今的每条记录，均可用当时的公钥验证"}
	if e.untrue != nil {
		log.wrong = e.untrue.Error()
	}
	return []claim{told, lost, cut, done, log}
}

// noted tells whether a rotation's history has an event that begins so.
func noted(r api.RotationRun, what string) bool {
	return slices.ContainsFunc(r.Events, func(e api.RotationEvent) bool { return strings.HasPrefix(e.Text, what) })
}
