package exposure

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/secret"
)

// JobLook is the kind of job that compares what was reported with what is known; each
// account has one, without a subject.
const JobLook = "exposure.look"

const (
	every  = time.Hour
	atOnce = 100 // versions whose marks are made together
)

// look makes the marks that are missing, compares, and hands in what follows.
func (s *Service) look(ctx context.Context, j job.Job) (again time.Time, err error) {
	k, _, err := s.ensure(ctx, j.Account)
	if err != nil {
		return time.Time{}, err
	}
	if err := s.markAll(ctx, j.Account, k); err != nil {
		return time.Time{}, err
	}
	at := s.now()
	seen, err := s.o.Store.Sightings(ctx, j.Account)
	if err != nil {
		return time.Time{}, err
	}
	w, err := s.world(ctx, j.Account, at, seen)
	if err != nil {
		return time.Time{}, err
	}
	found, err := s.respond(ctx, j.Account, w.compare(seen))
	if err != nil {
		return time.Time{}, err
	}
	t, err := s.handIn(ctx, j.Account, at, found)
	if err != nil {
		return time.Time{}, err
	}
	if _, err := s.o.Findings.Announce(ctx, j.Account); err != nil {
		return time.Time{}, err
	}
	if t.Opened+t.Resolved == 0 {
		return at.Add(every), failures(found)
	}
	rec := audit.NewRecord(s.self(j.Account), "keyward:CompareLeaks")
	rec.Param("Sightings", strconv.Itoa(len(seen)))
	rec.Param("Opened", strconv.Itoa(t.Opened))
	rec.Param("Resolved", strconv.Itoa(t.Resolved))
	rec.Param("Lasting", strconv.Itoa(t.Lasting))
	return at.Add(every), errors.Join(s.o.Log.Do(ctx, rec, func() error { return nil }), failures(found))
}

// markAll makes the marks of values that have none. A value that does not open now, because
// its key is disabled, is marked by a later look; what is damaged is the scrub's to tell.
func (s *Service) markAll(ctx context.Context, account string, k keys) error {
	for after := (secret.Version{}); ; {
		versions, err := s.o.Marks.Unmarked(ctx, account, after, atOnce)
		if err != nil {
			return err
		}
		var marks []secret.Mark
		for _, v := range versions {
			value, err := s.o.Secrets.Peek(ctx, v)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				continue
			}
			marks = append(marks, v.Marked(k.marks(s.o.Scanner, value.Expose()))...)
			value.Zero()
		}
		if err := s.o.Marks.SaveMarks(ctx, marks); err != nil {
			return err
		}
		if len(versions) < atOnce {
			return nil
		}
		after = versions[atOnce-1]
	}
}

// A world is what sightings are compared with.
type world struct {
	at      time.Time                        // of the look
	marks   map[string][]secret.Mark         // by secret.Mark.Mark
	secrets map[string]secret.Secret         // by id; those that there are
	keys    map[string][]accesskey.AccessKey // by id
}

// world reads what may have to do with sightings.
func (s *Service) world(ctx context.Context, account string, at time.Time, seen []Sighting) (w world, err error) {
	w = world{at, map[string][]secret.Mark{}, map[string]secret.Secret{}, map[string][]accesskey.AccessKey{}}
	var marks, ids, names []string
	for _, one := range seen {
		marks, ids = append(marks, one.Mark), append(ids, one.KeyID)
	}
	known, err := s.o.Marks.Marks(ctx, account, distinct(marks))
	if err != nil {
		return w, err
	}
	for _, m := range known {
		w.marks[m.Mark] = append(w.marks[m.Mark], m)
		ids, names = append(ids, m.KeyID), append(names, m.Name)
	}
	secrets, err := s.o.Secrets.AllFor(ctx, account, secret.Filter{Names: distinct(names), None: len(names) == 0})
	if err != nil {
		return w, err
	}
	for _, sec := range secrets {
		w.secrets[sec.ID] = sec
	}
	found, err := s.o.Store.AccessKeys(ctx, account, distinct(ids))
	for _, k := range found {
		w.keys[k.Observed.ID] = append(w.keys[k.Observed.ID], k)
	}
	return w, err
}

// distinct answers the texts that are not empty, each once.
func distinct(texts []string) []string {
	slices.Sort(texts)
	return slices.DeleteFunc(slices.Compact(texts), func(s string) bool { return s == "" })
}

// respond has what leaked replaced where its plan says so, and answers what still is so,
// with what is done about it. Only a value that keyward holds and that nobody guesses is
// reason enough; what a person accepts is none.
func (s *Service) respond(ctx context.Context, account string, found []exposed) (left []exposed, err error) {
	silent, err := s.o.Findings.Silent(ctx, account)
	if err != nil {
		return nil, err
	}
	for _, e := range found {
		retired := 0
		accepted := silent[finding.Name(Source, e.rule, e.subject)]
		for _, v := range e.versions {
			r, err := s.o.Rotations.Leaked(ctx, account, e.secret, v.id, v.strong && !accepted)
			if err != nil {
				return nil, err
			}
			if e.done = append(e.done, r); r.Retired {
				retired++
			}
		}
		if len(e.versions) == 0 || retired < len(e.versions) {
			left = append(left, e)
		}
	}
	return left, nil
}

// failures answers why rotations did not begin at this moment. What leaked is told by then, and the
// look that fails of it comes again soon.
func failures(found []exposed) (err error) {
	for _, e := range found {
		for _, r := range e.done {
			err = errors.Join(err, r.Failed)
		}
	}
	return err
}

// handIn gives the inbox everything that is so, by provider, as it takes it.
func (s *Service) handIn(ctx context.Context, account string, at time.Time, found []exposed) (t finding.Tally, err error) {
	read := map[string]time.Time{}
	by := map[string][]finding.Finding{}
	var there []string
	for _, e := range found {
		f := e.finding()
		read[finding.Name(Source, f.Rule, f.Subject)] = e.freshest(at)
		by[f.Subject.Provider] = append(by[f.Subject.Provider], f)
		there = append(there, f.Subject.Provider)
	}
	for provider, some := range by {
		one, err := s.o.Findings.Reconcile(ctx, finding.Batch{
			Account: account, Source: Source, Provider: provider, At: at, Found: some, Read: func(f *finding.Finding) time.Time { return read[f.ID] },
		})
		t.Add(one)
		if err != nil {
			return t, err
		}
	}
	rest, err := s.o.Findings.Retire(ctx, account, Source, there, at)
	t.Add(rest)
	return t, err
}
