package watch

import (
	"context"
	"crypto/rand"
	"errors"
	"math/big"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/exposure"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/notify"
)

// The kinds of jobs.
const (
	JobLook  = "watch.look"  // looks at a repository
	JobCheck = "watch.check" // tells of those that are not looked at; each account has one, without a subject
)

const (
	limit      = time.Hour   // for one look, whatever it waits for
	firstRetry = time.Minute // after the first look that failed; doubled with each further one
	maxRetry   = time.Hour
	checking   = time.Hour
	daily      = 24 * time.Hour // everything that is there is reported so often, though it is not new
	alarming   = 3              // looks in a row that fail before people are told
	prefix     = "repository/"
	maxError   = 512 // bytes of what is told of a failure
)

// Handlers answers what looks at repositories. Looks wait for others' services.
func (s *Service) Handlers() map[string]job.Handler { return map[string]job.Handler{JobLook: s.look} }

// Checks answers what looks whether repositories are looked at. It waits for nobody.
func (s *Service) Checks() map[string]job.Handler { return map[string]job.Handler{JobCheck: s.check} }

// Jobs answers the job that an account needs, for ever.
func Jobs(account string, now time.Time) []job.Job {
	return []job.Job{{Kind: JobCheck, Account: account, Due: now.Add(checking)}}
}

// jitter is the longest that a look is put off so that not all come at once.
func jitter(pace time.Duration) time.Duration { return pace / 10 }

// self is the principal of what keyward does by itself.
func (s *Service) self(account string) *authz.Call {
	return &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.Service, Name: "repositories"}, Time: s.now(), Scheme: "job"}
}

// look looks at a repository and keeps how that went.
func (s *Service) look(ctx context.Context, j job.Job) (again time.Time, err error) {
	of, err := s.standing(ctx, j.Account, j.Subject)
	if fault.Is(err, fault.ResourceNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	began := s.now()
	bounded, cancel := context.WithTimeoutCause(ctx, limit, &Trouble{Failed, fault.Say("it took longer than %v", limit)})
	defer cancel()
	err = s.read(bounded, &of)
	if ctx.Err() != nil { // the server stops, or the job is somebody else's now
		return time.Time{}, context.Cause(ctx)
	}
	st := &of.State
	st.StartedAt, st.Took = began, s.now().Sub(began)
	st.fail(err, context.Cause(bounded))
	if st.Status == Failed {
		s.o.Logger.Warn("looking at a repository", "account", j.Account, "repository", j.Subject, "error", err)
	}
	if err := s.o.Store.SaveState(ctx, *st); err != nil {
		return time.Time{}, err
	}
	if err := s.tell(ctx, j.Account); err != nil {
		return time.Time{}, err
	}
	wait := of.Pace
	if st.Failures > 0 {
		wait = min(firstRetry<<min(st.Failures-1, 10), maxRetry, of.Pace)
	}
	return s.now().Add(wait + spread(jitter(wait))), nil
}

// spread answers a random duration below a longest one.
func spread(most time.Duration) time.Duration {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(max(most, 1))))
	if err != nil {
		return 0 // never: crypto/rand ends the process instead
	}
	return time.Duration(n.Int64())
}

// fail notes how a look ended that was not complete, or that it was.
func (st *State) fail(err, late error) {
	st.Error, st.Chinese = "", ""
	if err == nil {
		st.Status, st.Failures = Complete, 0
		return
	}
	trouble, known := errors.AsType[*Trouble](err)
	if !known {
		trouble, known = errors.AsType[*Trouble](late)
	}
	if !known {
		trouble = &Trouble{Failed, fault.TextOf(err)}
	}
	st.Status, st.Error, st.Chinese = trouble.Status, clean(trouble.Text.String(), maxError), clean(trouble.Text.Chinese(), maxError)
	st.Failures++
	if st.Status == Empty || st.Status == Shallow { // they could be read
		st.Failures = 0
	}
}

// read asks what is there and, if it is new, has it searched and reports what was found. An
// error says why not everything was looked at.
func (s *Service) read(ctx context.Context, of *Standing) error {
	place, err := s.place(ctx, of.Repository)
	if err != nil {
		return err
	}
	defer place.Token.Zero()
	remote := of.remote(place)
	tips, err := s.o.Mirrors.Tips(ctx, remote)
	if err != nil {
		return err
	}
	st := &of.State
	st.Head, st.Refs = clean(tips.Head, maxText), tips.Refs
	if tips.Refs == 0 {
		return &Trouble{Empty, emptiness(of.Repository, tips)}
	}
	now := s.now()
	if st.Digest == tips.Digest && st.Severity == of.Severity && slices.Equal(st.Issuers, of.Issuers) && now.Sub(st.ReportedAt) < daily {
		st.CompleteAt = now
		return nil
	}
	call := s.self(of.Account)
	key, err := s.o.Reports.ScanKey(ctx, call)
	if err != nil {
		return err
	}
	h, err := s.o.Mirrors.Harvest(ctx, remote, Search{Key: key, Gone: !st.Rewritten.IsZero(), Values: s.o.Verifier.Rules(of.Issuers)})
	if err != nil {
		return err
	}
	defer h.erase()
	st.take(h, now)
	if err := s.verify(ctx, call, of, h); err != nil {
		return err
	}
	if err := s.report(ctx, call, of, h.Seen); err != nil {
		return err
	}
	st.ReportedAt, st.Severity, st.Issuers = now, of.Severity, of.Issuers
	if h.Shallow {
		return &Trouble{Shallow, fault.Say("it is a shallow clone itself: older commits are not there")}
	}
	st.CompleteAt, st.Digest = s.now(), tips.Digest
	return nil
}

// emptiness says what a repository without refs lacks.
func emptiness(r Repository, tips Tips) fault.Text {
	refs := strings.Join(r.Refs, ", ")
	switch {
	case refs == "":
		return fault.Say("it has no commits, so that nothing was looked at")
	case tips.Head == "":
		return fault.Say("it has no ref like %s, so that nothing was looked at", refs)
	}
	return fault.Say("it has no ref like %s, so that nothing was looked at; it begins with %s", refs, tips.Head)
}

// take notes what a look came to.
func (st *State) take(h Harvest, now time.Time) {
	st.Objects, st.Fetched, st.Bytes, st.Unread, st.Problems = h.Objects, h.Fetched, h.Bytes, len(h.Unread), nil
	for _, what := range h.Unread[:min(len(h.Unread), maxUnread)] {
		st.Problems = append(st.Problems, clean(what, maxText))
	}
	if h.Rewritten {
		st.Rewritten = now
	}
}

// report hands on what was found, the worst first: an account has a limit.
func (s *Service) report(ctx context.Context, call *authz.Call, of *Standing, seen []exposure.Seen) error {
	seen = slices.DeleteFunc(seen, func(c exposure.Seen) bool { return c.Blind != "" && c.Severity < of.Severity })
	slices.SortStableFunc(seen, func(a, b exposure.Seen) int { return int(b.Severity) - int(a.Severity) })
	of.State.Found = 0
	for some := range slices.Chunk(seen, exposure.MaxReport) {
		if err := s.o.Reports.Report(ctx, call, exposure.Report{Origin: of.URL, Owner: of.Owner, Seen: some}); err != nil {
			if fault.Is(err, fault.LimitExceeded) {
				return &Trouble{Failed, fault.Say("%d of %d credentials were reported: %s", of.State.Found, len(seen), fault.TextOf(err))}
			}
			return err
		}
		of.State.Found += len(some)
	}
	return nil
}

// check tells of repositories that are not looked at.
func (s *Service) check(ctx context.Context, j job.Job) (again time.Time, err error) {
	return s.now().Add(checking), s.tell(ctx, j.Account)
}

// tell hands on which repositories people should know of.
func (s *Service) tell(ctx context.Context, account string) error {
	all, err := s.all(ctx, account)
	if err != nil {
		return err
	}
	now := s.now()
	found := map[string]notify.Condition{}
	for _, of := range all {
		if of.State.Failures < alarming && now.Sub(of.Since()) < of.Overdue() {
			continue
		}
		c := notify.Condition{
			Name: prefix + of.Name, Kind: notify.RepositoryUnwatched, Subject: of.Name, Owner: of.Owner, Severity: message.Warning,
			Facts: []notify.Fact{{Name: "since", Value: of.Since().Format(time.RFC3339)}, {Name: "what", Value: string(of.State.Status)}},
		}
		if of.State.Error != "" {
			c.Facts = append(c.Facts, notify.Fact{Name: "reason", Value: of.State.Error, Chinese: of.State.Chinese})
		}
		c.Facts = append(c.Facts, notify.Fact{Name: "fix", Value: "keyward repository show " + of.Name})
		found[c.Name] = c
	}
	return s.o.Incidents.Reconcile(ctx, account, func(condition string) bool { return strings.HasPrefix(condition, prefix) }, found)
}

// Run removes, every hour, mirrors whose repositories are gone or were changed by another
// server.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(checking)
	defer tick.Stop()
	for {
		s.sweep(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// sweep removes the mirrors that nothing needs. What cannot be removed the next one removes.
func (s *Service) sweep(ctx context.Context) {
	needed := func() (map[string]bool, error) { return s.o.Store.RepositoryIDs(ctx) }
	if err := s.o.Mirrors.Keep(needed); err != nil && ctx.Err() == nil {
		s.o.Logger.Warn("removing mirrors that nothing needs", "error", err)
	}
}

// clean makes text of what others say: valid, without control characters, of at most so many bytes.
func clean(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar {
			return '.'
		}
		return r
	}, strings.ToValidUTF8(text, "."))
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
