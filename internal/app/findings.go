package app

import (
	"cmp"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/accesskey/check"
	"github.com/keyward/keyward/internal/accesskey/checkup"
	"github.com/keyward/keyward/internal/approval"
	"github.com/keyward/keyward/internal/expiry"
	"github.com/keyward/keyward/internal/exposure"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/iam/copied"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/store/inventory"
	"github.com/keyward/keyward/internal/upkeep"
	"github.com/keyward/keyward/internal/watch"
)

// inspectors builds what finds out what is wrong, on what takes stock and tells people.
func (e *engine) inspectors(a *App) {
	shelf := inventory.Findings{Store: e.store}
	thresholds := thresholds(a)
	all := slices.Concat(check.Rules(thresholds), exposure.Rules(), copied.Rules())
	slices.SortFunc(all, func(a, b finding.Rule) int { return cmp.Compare(a.ID, b.ID) })
	e.findings = finding.New(finding.Options{
		Store: shelf, Ledger: shelf, Incidents: e.alerts, Rules: all, Log: e.log, Region: a.Config.Region, Now: e.now, Follow: lookAgain,
	})
	stock := inventory.Store{Store: e.store}
	e.checks = checkup.New(checkup.Options{
		Store: stock, Inventory: stock, Findings: e.findings, Thresholds: thresholds, Log: e.log, Now: e.now,
	})
}

// lookAgain answers the jobs that look again after a person decided something.
func lookAgain(account string, now time.Time) []job.Job {
	return append(checkup.Soon(account, now), exposure.Soon(account, now)...)
}

// thresholds answers the configured thresholds: what is 0 is as it is by default.
func thresholds(a *App) check.Thresholds {
	t, c := check.Defaults(), a.Config.Checks
	for _, s := range []struct {
		to   *time.Duration
		days int
	}{
		{&t.MaxAge, c.MaxAgeDays}, {&t.OldAge, c.OldAgeDays}, {&t.Unused, c.UnusedDays}, {&t.LongUnused, c.LongUnusedDays}, {&t.Grace, c.GraceDays},
		{&t.Inactive, c.InactiveDays}, {&t.Overlap, c.OverlapDays}, {&t.RootUse, c.RootUseDays}, {&t.ConsoleIdle, c.ConsoleIdleDays},
	} {
		if s.days > 0 {
			*s.to = time.Duration(s.days) * 24 * time.Hour
		}
	}
	if c.LoginLength > 0 {
		t.PasswordLength = c.LoginLength
	}
	if c.LoginReuse > 0 {
		t.PasswordReuse = c.LoginReuse
	}
	return t
}

// follow answers the jobs that look at what has just changed in the inventory.
func follow(account string, now time.Time) []job.Job {
	return append(expiry.Soon(account, now), lookAgain(account, now)...)
}

// lasting answers the jobs that every account needs, for ever.
func lasting(account string, now time.Time) []job.Job {
	return slices.Concat(expiry.Jobs(account, now), checkup.Jobs(account, now), exposure.Jobs(account, now), upkeep.Jobs(account, now), watch.Jobs(account, now), approval.Jobs(account, now))
}
