// Package expiry looks, again and again, at every key of the inventory, and reports what
// expires to package notify, which tells people.
//
// Once a day a whole scan reads all that is known, computes each key's due date anew from
// what the provider told, what people declared and how old keys may become, and compares
// it with the rungs of the account's plan. It notes how many keys it looked at, of how
// many; a scan that is late or incomplete is an incident of its own, and stops the signs of
// life that a watchdog outside waits for. In between, near scans read what is due soon, at
// the very time when the next key reaches a rung. What a scan reports does not depend on
// what an earlier one saw, so a stopped daemon, a jump of the clock or a restored backup
// costs at most delay.
//
// Who may call: package app, which plans the jobs; the API, which shows the last scan.
// What is trusted: the inventory's dates, as far as their providers are.
package expiry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/oncall"
)

// The kinds of jobs; each account has one of each, without a subject.
const (
	JobScan  = "expiry.scan"
	JobWatch = "expiry.watch" // looks whether the scans run
)

const (
	// Whole is the longest time between two whole scans.
	Whole    = 24 * time.Hour
	every    = 15 * time.Minute
	soonest  = time.Minute
	shortly  = 5 * time.Second // after a date was changed
	watching = time.Hour
	// Late is the age of the last scan from which on its absence is an incident.
	Late     = 26 * time.Hour
	stale    = 26 * time.Hour // a provider that was not read for so long is one, too
	prefix   = "expiry/"
	provider = "provider/"
)

// A Scan is how the last whole scan of an account went.
type Scan struct {
	Account string
	At      time.Time // of the last one that ended
	NearAt  time.Time // of the last one that ended, whole or near
	Took    time.Duration
	Seen    int    // keys that were looked at
	Of      int    // keys that there are
	Due     int    // keys on a rung of the plan
	Error   string // why it did not end
	Chinese string // Error in Chinese
}

// A Store keeps the last scan of each account. Methods may be called concurrently.
type Store interface {
	SaveScan(ctx context.Context, s Scan) error
	LastScan(ctx context.Context, account string) (Scan, error) // the zero Scan if there was none
	CountKeys(ctx context.Context, account string) (int, error) // that are not gone
}

// An Inventory is what is scanned; accesskey.Service is one.
type Inventory interface {
	// Each calls fn with every key that is not gone, or only with those due before a time.
	Each(ctx context.Context, account string, before time.Time, fn func(accesskey.AccessKey) error) error
	Standings(ctx context.Context, account string) ([]accesskey.Standing, error)
}

// Incidents is who is told; notify.Service is one.
type Incidents interface {
	Report(ctx context.Context, account string, c notify.Condition) error
	End(ctx context.Context, account, condition string) error
	Reconcile(ctx context.Context, account string, ours func(condition string) bool, conditions map[string]notify.Condition) error
	Ladder(ctx context.Context, account string) (oncall.Plan, error)
	// Tidy forgets what is over for long.
	Tidy(ctx context.Context, account string) error
}

// Options says what a Service is made of.
type Options struct {
	Store     Store
	Inventory Inventory
	Incidents Incidents
	Log       *audit.Log
	Now       func() time.Time
	// Replacing tells which rotation plan replaces a key, "" for none, and whether a rotation of
	// it is under way.
	Replacing func(ctx context.Context, account, source, key string) (plan string, underWay bool, err error)
	// Every is the longest time between two scans, 0 for a quarter of an hour. One comes
	// earlier when the inventory changes or a key reaches a rung, but not within a minute.
	Every time.Duration
}

// A Service scans. It may be used concurrently.
type Service struct{ o Options }

// New makes a Service.
func New(o Options) *Service {
	o.Every = cmp.Or(o.Every, every)
	return &Service{o}
}

// Handlers answers what the service does when its jobs are due.
func (s *Service) Handlers() map[string]job.Handler {
	return map[string]job.Handler{JobScan: s.scan, JobWatch: s.watch}
}

// Jobs answers the jobs that an account needs, for ever.
func Jobs(account string, now time.Time) []job.Job {
	return []job.Job{{Kind: JobScan, Account: account, Due: now}, {Kind: JobWatch, Account: account, Due: now.Add(watching)}}
}

// Soon answers the job that scans an account soon because something has changed. Many
// changes at once make one scan.
func Soon(account string, now time.Time) []job.Job {
	return []job.Job{{Kind: JobScan, Account: account, Due: now.Add(shortly), Hasten: true}}
}

// Last answers how the last scan of an account went.
func (s *Service) Last(ctx context.Context, account string) (Scan, error) {
	return s.o.Store.LastScan(ctx, account)
}

// Healthy tells whether the account's keys are scanned as they should be.
func (s *Service) Healthy(ctx context.Context, account string) bool {
	last, err := s.Last(ctx, account)
	return err == nil && last.complete(s.o.Now())
}

func (s Scan) complete(now time.Time) bool {
	return s.Error == "" && s.Seen >= s.Of && now.Sub(s.At) < Late
}

// watch raises the alarm when scans do not run or miss something.
func (s *Service) watch(ctx context.Context, j job.Job) (again time.Time, err error) {
	last, err := s.Last(ctx, j.Account)
	if err != nil {
		return time.Time{}, err
	}
	now := s.o.Now()
	if last.complete(now) {
		return now.Add(watching), s.o.Incidents.End(ctx, j.Account, "scan")
	}
	return now.Add(watching), s.o.Incidents.Report(ctx, j.Account, notify.Condition{
		Name: "scan", Kind: notify.ScanLate, Severity: message.Critical,
		Facts: []notify.Fact{{Name: "since", Value: last.At.Format(time.RFC3339)}, {Name: "seen", Value: fmt.Sprintf("%d / %d", last.Seen, last.Of)}},
	})
}

// findings are what a scan found to be so; of what it did not, it is over.
type findings struct {
	conditions map[string]notify.Condition
	next       time.Time // when the next key reaches a rung
	unadvised  error     // why a key is told of without what to do about it
}

// scan looks at every key and every provider, or at what is due soon if all of them were
// looked at within a day.
func (s *Service) scan(ctx context.Context, j job.Job) (again time.Time, err error) {
	began := s.o.Now()
	last, err := s.Last(ctx, j.Account)
	if err != nil {
		return time.Time{}, err
	}
	near := last.Error == "" && last.Seen >= last.Of && !last.At.IsZero() && began.Sub(last.At) < Whole && !began.Before(last.At)
	result := Scan{Account: j.Account, At: began, NearAt: began}
	found, err := s.look(ctx, j.Account, near, &result)
	if err == nil {
		err = errors.Join(s.o.Incidents.Reconcile(ctx, j.Account, ours, found.conditions), found.unadvised)
	}
	if ctx.Err() != nil {
		return time.Time{}, context.Cause(ctx)
	}
	if near && err == nil {
		due := result.Due
		result = last
		result.NearAt, result.Due = began, due
	} else if err = s.record(ctx, &result, err); err == nil {
		err = s.o.Incidents.Tidy(ctx, j.Account)
	} else {
		result.At, result.NearAt = last.At, last.NearAt // a scan that did not end is none
	}
	if saved := s.o.Store.SaveScan(ctx, result); err == nil {
		err = saved
	}
	if err != nil {
		return time.Time{}, err
	}
	again = began.Add(s.o.Every)
	if result.Seen < result.Of { // look again, before anybody is told that it is so
		again = began
	}
	if !found.next.IsZero() && found.next.Before(again) {
		again = found.next
	}
	if earliest := began.Add(soonest); again.Before(earliest) {
		again = earliest
	}
	return again, nil
}

func ours(condition string) bool {
	return strings.HasPrefix(condition, prefix) || strings.HasPrefix(condition, provider)
}

// record notes a whole scan, or one that failed, in the audit log.
func (s *Service) record(ctx context.Context, result *Scan, err error) error {
	result.Took = s.o.Now().Sub(result.At)
	if err != nil {
		why := fault.Say("the scan did not end; the server's log says why")
		result.Error, result.Chinese = why.String(), why.Chinese()
	}
	rec := audit.NewRecord(&authz.Call{
		Principal: authz.Principal{Account: result.Account, Kind: authz.Service, Name: "expiry"}, Time: result.At, Scheme: "job",
	}, "keyward:ScanExpiries")
	rec.Param("Seen", strconv.Itoa(result.Seen))
	rec.Param("Of", strconv.Itoa(result.Of))
	rec.Param("Due", strconv.Itoa(result.Due))
	return s.o.Log.Do(ctx, rec, func() error { return err })
}

// look reads what there is and answers what is to be told.
func (s *Service) look(ctx context.Context, account string, near bool, result *Scan) (f findings, err error) {
	now := result.At
	f.conditions = map[string]notify.Condition{}
	plan, err := s.o.Incidents.Ladder(ctx, account)
	if err != nil {
		return f, err
	}
	if result.Of, err = s.o.Store.CountKeys(ctx, account); err != nil {
		return f, err
	}
	standings, err := s.o.Inventory.Standings(ctx, account)
	if err != nil {
		return f, err
	}
	maxAge := map[string]time.Duration{}
	for _, st := range standings {
		maxAge[st.Source.Name] = st.Source.MaxAge
		if c, ok := staleness(st, now); ok {
			f.conditions[c.Name] = c
		}
	}
	var before time.Time
	if near { // and what reaches the first rung before the next scan
		before = now.Add(plan.Rungs[0].Left + s.o.Every)
	}
	err = s.o.Inventory.Each(ctx, account, before, func(k accesskey.AccessKey) error {
		result.Seen++
		k.Due = accesskey.Due(k.Observed, k.Remark, maxAge[k.Source])
		if k.Due.At.IsZero() {
			return nil
		}
		if c, ok := condition(k, plan, now); ok {
			if next, err := s.next(ctx, k); err == nil {
				c.Facts = append(c.Facts, next...)
			} else {
				f.unadvised = err // that a key expires must be told whatever is wrong with its plan
			}
			f.conditions[c.Name] = c
			result.Due++
		}
		for _, r := range plan.Rungs {
			if at := k.Due.At.Add(-r.Left); at.After(now) && (f.next.IsZero() || at.Before(f.next)) {
				f.next = at
			}
		}
		return nil
	})
	if err != nil || near {
		return f, err
	}
	there, err := s.o.Store.CountKeys(ctx, account)
	result.Of = min(result.Of, there) // some went while others were read
	return f, err
}

// condition answers what is to be told of a key that is due.
func condition(k accesskey.AccessKey, plan oncall.Plan, now time.Time) (notify.Condition, bool) {
	stage := plan.StageAt(k.Due.At, now)
	if stage < 0 {
		return notify.Condition{}, false
	}
	c := notify.Condition{
		Name: prefix + k.Source + "/" + k.Observed.ID, Kind: notify.KeyExpiry, Subject: subject(k), Owner: k.Owner, Deadline: k.Due.At,
		Facts: facts(k),
	}
	if k.Due.Basis == accesskey.Policy { // nothing breaks then: it is a warning at worst, and has no deadline
		c.Kind, c.Deadline = notify.KeyAge, time.Time{}
		c.Severity = min(plan.Rungs[stage].Severity, message.Warning)
	}
	return c, true
}

// subject names a key for people: by what it is for, if that is known.
func subject(k accesskey.AccessKey) string {
	for _, name := range []string{k.Remark.Purpose, k.Observed.Name} {
		if name != "" {
			return name + " (" + k.Observed.ID + ")"
		}
	}
	return k.Observed.ID
}

func facts(k accesskey.AccessKey) []notify.Fact {
	var out []notify.Fact
	for _, f := range []notify.Fact{
		{Name: "key", Value: k.Observed.ID}, {Name: "provider", Value: k.Source}, {Name: "owner", Value: k.Owner}, {Name: "purpose", Value: k.Remark.Purpose},
		{Name: "system", Value: k.Remark.System}, {Name: "consumers", Value: strings.Join(k.Remark.Consumers, ", ")},
		{Name: "expires", Value: k.Due.At.Format(time.RFC3339)}, {Name: "basis", Value: string(k.Due.Basis)},
	} {
		if f.Value != "" {
			out = append(out, f)
		}
	}
	return out
}

// next answers what somebody does about a key that is due: an advice, and the command.
func (s *Service) next(ctx context.Context, k accesskey.AccessKey) ([]notify.Fact, error) {
	plan, underWay, err := s.o.Replacing(ctx, k.Account, k.Source, k.Observed.ID)
	advice, command := "planned", "keyward rotation start "+plan
	switch {
	case plan == "":
		advice, command = "unplanned", "keyward rotation plan create NAME --provider "+k.Source+" --principal "+word(k.Observed.Principal, "PRINCIPAL")+
			" --secret "+word(k.Observed.Detail["secret"], "SECRET")+" --key "+word(k.Observed.ID, "KEY")
	case underWay:
		advice, command = "under-way", "keyward rotation status "+plan
	}
	return []notify.Fact{{Name: "advice", Value: advice}, {Name: "fix", Value: command}}, err
}

// word answers others' text as a word of a command that a person will paste into a shell, or
// what stands for it if there is none.
func word(text, unknown string) string {
	if text == "" {
		return unknown
	}
	return finding.Quote(text)
}

// staleness answers what is to be told of a provider that was not read for too long.
func staleness(st accesskey.Standing, now time.Time) (notify.Condition, bool) {
	since := st.State.SucceededAt
	if since.IsZero() {
		since = st.Source.CreatedAt
	}
	if st.Source.Paused || st.Manual || now.Sub(since) < max(stale, 3*st.Source.Pace) {
		return notify.Condition{}, false
	}
	return notify.Condition{
		Name: provider + st.Source.Name, Kind: notify.ProviderStale, Subject: st.Source.Name, Owner: st.Source.Owner, Severity: message.Critical,
		Facts: []notify.Fact{{Name: "since", Value: since.Format(time.RFC3339)}, {Name: "reason", Value: st.State.Error, Chinese: st.State.Chinese}},
	}, true
}
