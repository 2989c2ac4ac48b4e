package accesskey

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
)

const (
	syncPatience = 30 * time.Minute // for one synchronisation, whatever it waits for
	syncRetry    = time.Minute      // after the first attempt that failed; doubled with each further one
	maxRetry     = time.Hour
	maxProblems  = 200 // that are kept of one synchronisation
	maxObserved  = 512 // bytes of a text that a provider told
	maxGrants    = 500 // of one principal, and services of one grant

	// Confirm is how long after a list that lacks too many keys another one must lack the same
	// ones before they are believed to be gone. docs/inventory.md tells it to users.
	Confirm = 5 * time.Minute
	few     = 4 // keys, of which more than half may be gone at once, but not all
)

// syncDue reads a source and stores what it saw. An attempt that sees nothing changes
// only the source's state.
func (s *Service) syncDue(ctx context.Context, j job.Job) (again time.Time, err error) {
	src, err := s.o.Sources.Source(ctx, j.Account, j.Subject)
	if fault.Is(err, fault.ResourceNotFound) {
		return time.Time{}, nil
	}
	if err != nil || src.Paused {
		return time.Time{}, err
	}
	st, err := s.o.Sources.State(ctx, j.Account, j.Subject)
	if err != nil {
		return time.Time{}, err
	}
	began := s.now()
	snapshot, err := s.observe(ctx, src)
	if ctx.Err() != nil {
		return time.Time{}, context.Cause(ctx)
	}
	st.Account, st.Source, st.StartedAt, st.Took = src.Account, src.Name, began, s.now().Sub(began)
	if err != nil {
		st.fail(fault.TextOf(err))
		wait := min(syncRetry<<min(st.Failures-1, 10), maxRetry, src.Pace)
		return s.now().Add(wait), s.o.Sources.SaveState(ctx, st)
	}
	for again, err = s.save(ctx, src, st, snapshot); fault.Is(err, fault.Changed); again, err = s.save(ctx, src, st, snapshot) {
		now, gone := s.o.Sources.Source(ctx, j.Account, j.Subject)
		if gone != nil || !now.reads(src) { // what was read is not what the source stands for now
			return s.now(), nil
		}
		src = now
	}
	return again, err
}

// fail notes why a synchronisation answered nothing that counts.
func (st *State) fail(why fault.Text) {
	st.Failures++
	st.Error, st.Chinese = clean(why.String()), clean(why.Chinese())
}

// observe opens the source's credential for as long as its provider is read.
func (s *Service) observe(ctx context.Context, src Source) (snapshot Snapshot, err error) {
	loan, err := s.Borrow(ctx, src.Account, src.Name)
	if err != nil {
		return snapshot, err
	}
	defer loan.Erase()
	k, err := s.kind(loan.Kind)
	if err != nil {
		return snapshot, err
	}
	p, err := k.Open(loan.Opening)
	if err != nil {
		return snapshot, err
	}
	ctx, cancel := context.WithTimeout(ctx, syncPatience)
	defer cancel()
	return p.Observe(ctx)
}

// save stores a snapshot with its record, and answers when the source is to be read again.
func (s *Service) save(ctx context.Context, src Source, st State, snapshot Snapshot) (again time.Time, err error) {
	snapshot.tidy()
	now := s.now()
	st.Identity, st.Facts, st.Problems, st.Calls = snapshot.Identity, snapshot.Account, snapshot.Problems, snapshot.Calls
	whole, unread := true, map[string]bool{}
	for _, p := range snapshot.Problems {
		if p.Lists {
			whole = whole && p.Subject != ""
			unread[p.Subject] = true
		}
	}
	doubted := false
	if whole {
		if doubted, err = s.doubt(ctx, src, &st, snapshot.Keys, unread); err != nil {
			return time.Time{}, err
		}
	}
	again = now.Add(src.Pace)
	if doubted {
		again = st.DoubtedAt.Add(Confirm)
	} else {
		st.SucceededAt, st.Failures, st.Error, st.Chinese = now, 0, "", ""
		st.Keys, st.Principals = len(snapshot.Keys), len(snapshot.Principals)
	}
	return again, s.do(ctx, s.scheduler(src.Account), "keyward:ObserveProvider", func(rec *audit.Record) error {
		rec.Resource = "acs:keyward:" + s.o.Region + ":" + src.Account + ":provider/" + src.Name
		rec.Param("Keys", strconv.Itoa(len(snapshot.Keys)))
		rec.Param("Problems", strconv.Itoa(len(st.Problems)))
		if doubted {
			rec.Param("Doubted", "true")
		}
		return s.o.Keys.SaveSnapshot(ctx, rec, Save{Source: src, State: st, Snapshot: snapshot, At: now, Whole: whole && !doubted, Unread: unread,
			Jobs: s.o.Follow(src.Account, now)})
	})
}

// doubt tells whether a whole list of keys lacks so many of those that are known that it is
// not believed yet: more than half of a few or more, or all of fewer if no other is in their place:
// where there is one, the only key was replaced. An empty or a short answer looks like that, and
// would end every alarm. It is believed when another list, [Confirm] later or
// more, lacks the same keys.
func (s *Service) doubt(ctx context.Context, src Source, st *State, keys []Observed, unread map[string]bool) (bool, error) {
	listed := make(map[string]bool, len(keys))
	for _, o := range keys {
		listed[o.ID] = true
	}
	known, lost := 0, 0
	missed := sha256.New()
	err := s.each(ctx, src.Account, Query{Source: src.Name, Order: BySubject, Limit: MaxPage, Bare: true}, func(k AccessKey) error {
		if known++; !listed[k.Observed.ID] && !unread[k.Observed.Principal] {
			lost++
			missed.Write([]byte(k.Observed.ID + "\n"))
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	now, digest := s.now(), hex.EncodeToString(missed.Sum(nil))
	again := digest == st.Missed // with new keys beside them they may be fewer than half now
	tooMany := lost > 0 && (known >= few && 2*lost > known || lost == known && len(listed) == 0)
	if !again && !tooMany || again && now.Sub(st.DoubtedAt) >= Confirm {
		st.DoubtedAt, st.Missed = time.Time{}, ""
		return false, nil
	}
	if !again {
		st.DoubtedAt, st.Missed = now, digest
	}
	st.fail(fault.Say("the provider does not list %d of %d keys any more that it listed before; they are kept until another reading, at least %v later, lacks them, too", lost, known, Confirm))
	return true, nil
}

// tidy bounds and cleans what a provider told. A key that cannot be named is a problem,
// and so is one that is named twice.
func (s *Snapshot) tidy() {
	seen := map[string]bool{}
	s.Keys = slices.DeleteFunc(s.Keys, func(o Observed) bool {
		if keyID().MatchString(o.ID) && !seen[o.ID] {
			seen[o.ID] = true
			return false
		}
		s.Problems = append(s.Problems, Problem{What: "key " + clean(o.ID), Reason: "its id is empty, too long, no plain text, or not unique", Lists: true})
		return true
	})
	for i := range s.Keys {
		s.Keys[i].tidy()
	}
	known := map[string]bool{}
	s.Principals = slices.DeleteFunc(s.Principals, func(p Principal) bool {
		id := clean(p.ID)
		again := known[id]
		known[id] = true
		return again
	})
	for i := range s.Principals {
		p := &s.Principals[i]
		p.ID, p.Name, p.Remark, p.Boundary = clean(p.ID), clean(p.Name), clean(p.Remark), clean(p.Boundary)
		sensible(&p.CreatedAt, &p.ConsoleAt)
		p.Grants = p.Grants[:min(len(p.Grants), maxGrants)]
		for g := range p.Grants {
			grant := &p.Grants[g]
			grant.Name, grant.ID, grant.Via = clean(grant.Name), clean(grant.ID), clean(grant.Via)
			grant.Wide = grant.Wide[:min(len(grant.Wide), maxGrants)]
			for w := range grant.Wide {
				grant.Wide[w] = clean(grant.Wide[w])
			}
		}
	}
	id := &s.Identity
	id.Account, id.Principal, id.KeyID = clean(id.Account), clean(id.Principal), clean(id.KeyID)
	s.Account.Detail = cleanMap(s.Account.Detail)
	for i := range s.Problems {
		p := &s.Problems[i]
		p.What, p.Subject, p.Reason = clean(p.What), clean(p.Subject), clean(p.Reason)
	}
	if extra := len(s.Problems) - maxProblems; extra > 0 {
		lists := slices.ContainsFunc(s.Problems, func(p Problem) bool { return p.Lists })
		s.Problems = append(s.Problems[:maxProblems], Problem{What: "more", Reason: strconv.Itoa(extra) + " further problems", Lists: lists})
	}
}

func (o *Observed) tidy() {
	o.Principal, o.Name = clean(o.Principal), clean(o.Name)
	o.Use.Service, o.Use.Region, o.Use.IP = clean(o.Use.Service), clean(o.Use.Region), clean(o.Use.IP)
	o.Tags, o.Detail = cleanMap(o.Tags), cleanMap(o.Detail)
	if o.Status == "" {
		o.Status = Active // a provider that has no states lists what works
	}
	sensible(&o.CreatedAt, &o.ChangedAt, &o.Expiry.At, &o.Use.At, &o.UndoUntil)
	if o.Expiry.At.IsZero() {
		o.Expiry.Basis = ""
	}
}

// sensible drops times that no calendar has, which could not even be stored.
func sensible(times ...*time.Time) {
	for _, at := range times {
		if y := at.Year(); y < 1970 || y > 9998 {
			*at = time.Time{}
		}
		*at = at.UTC().Truncate(time.Microsecond)
	}
}

func cleanMap(m map[string]string) map[string]string {
	const most = 50
	out := make(map[string]string, min(len(m), most))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if len(out) < most {
			out[clean(name)] = clean(m[name])
		}
	}
	return out
}

// clean makes a text that somebody else wrote fit to be shown: valid, without control
// characters, and bounded.
func clean(text string) string {
	if len(text) > maxObserved {
		text = text[:maxObserved]
	}
	text = strings.ToValidUTF8(text, "\ufffd")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == utf8.RuneError || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2060 && r <= 0x206f || r == 0xfeff {
			return '\ufffd'
		}
		return r
	}, text)
}
