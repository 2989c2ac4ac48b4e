package alibaba

import (
	"context"
	"errors"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/alibaba/rpc"
	"github.com/keyward/keyward/internal/fault"
)

const (
	workers  = 8    // users that are read at once; the client's pace bounds them together
	maxPages = 1000 // of users
	maxTries = 3    // calls of an action that are refused before it counts as refused altogether
)

// Observe implements [accesskey.Provider].
//
// It reads users, the disabled ones among them, and then for each its keys, those in the
// recycle bin, last uses, policies, and what the credential report did not tell. The
// account's own keys can be listed by the account only; to others the report tells that
// they exist, and they get names of their own, such as 1000000000000001/root/1.
func (p *Provider) Observe(ctx context.Context) (accesskey.Snapshot, error) {
	before := p.client.Calls()
	id, err := p.Check(ctx)
	if err != nil {
		return accesskey.Snapshot{}, err
	}
	r := &reading{Provider: p, id: id, tally: map[string]outcomes{}}
	steps := []func(context.Context) error{r.account, r.report, r.users, r.recycledUsers, r.root}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return accesskey.Snapshot{}, err
		}
	}
	r.finish()
	r.snapshot.Identity, r.snapshot.Calls = id, p.client.Calls()-before
	return r.snapshot, nil
}

// A reading is one Observe.
type reading struct {
	*Provider
	id       accesskey.Identity
	reported map[string]facts // by logon name; nil if there is no report
	rootKeys accesskey.Fact   // whether the account itself has keys

	mu       sync.Mutex // guards what follows
	snapshot accesskey.Snapshot
	problems []problem
	tally    map[string]outcomes // by action

	groups   memo[[]attached] // by name
	policies memo[breadth]
}

// outcomes counts how calls of an action went.
type outcomes struct{ done, denied int }

// A problem remembers the action, so that the same refusal for every user becomes one.
type problem struct {
	action string
	accesskey.Problem
}

// A question is a call of one of the services, for a user or for the account.
type question struct {
	endpoint, version, action string
	subject                   string // Principal.ID, a key, or ""
	params                    map[string]string
	lists                     bool // keys would be missing without an answer
}

func (p *Provider) askIMS(action, subject string, params map[string]string) question {
	return question{endpoint: p.ims, version: imsVersion, action: action, subject: subject, params: params}
}

func (p *Provider) askRAM(action, subject string, params map[string]string) question {
	return question{endpoint: p.ram, version: ramVersion, action: action, subject: subject, params: params}
}

var (
	// errUnanswered says that a question has no answer, and that a problem says so.
	errUnanswered = errors.New("not answered")
	// errAbsent says that what the question is about does not exist.
	errAbsent = errors.New("not there")
)

// ask puts a question. The error is errUnanswered, errAbsent, or one that ends the
// reading: the time is up, or the credential is refused.
func ask[T any, P interface {
	*T
	rpc.Answer
}](ctx context.Context, r *reading, q question) (T, error) {
	var none T
	if r.hopeless(q.action) {
		r.denied(q, fault.InvalidParameter.New("the access key %s may not do ram:%s; add this statement to its user's policy: %s",
			r.id.KeyID, q.action, rpc.Statement("ram:"+q.action)))
		return none, errUnanswered
	}
	out, err := rpc.Read[T, P](ctx, r.client, q.operation())
	e := rpc.ErrorOf(err)
	switch {
	case err == nil:
		r.record(q.action, outcomes{done: 1})
		return out, nil
	case ctx.Err() != nil || e.OfCredential():
		return none, err
	case e.Denied():
		r.denied(q, err)
		return none, errUnanswered
	case e.Below("EntityNotExist"):
		return none, errAbsent
	}
	r.note(q, err, false)
	return none, errUnanswered
}

func (q question) operation() rpc.Operation {
	return rpc.Operation{Endpoint: q.endpoint, Version: q.version, Action: q.action, Params: q.params}
}

func (r *reading) record(action string, o outcomes) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sum := r.tally[action]
	r.tally[action] = outcomes{sum.done + o.done, sum.denied + o.denied}
}

// hopeless tells whether an action was refused so often, and never done, that it need not
// be tried for the other users.
func (r *reading) hopeless(action string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.tally[action]
	return o.done == 0 && o.denied >= maxTries
}

func (r *reading) denied(q question, err error) {
	r.record(q.action, outcomes{denied: 1})
	r.note(q, err, true)
}

// note makes a problem of a question that was not answered.
func (r *reading) note(q question, err error, denied bool) {
	service := "ram:"
	if q.version == imsVersion {
		service = "ims:"
	}
	p := accesskey.Problem{What: service + q.action, Subject: q.subject, Reason: fault.Message(err), Denied: denied, Lists: q.lists}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problems = append(r.problems, problem{q.action, p})
}

// fatal tells whether an error ends the reading. The others were made problems of.
func fatal(err error) bool {
	return err != nil && !errors.Is(err, errUnanswered) && !errors.Is(err, errAbsent)
}

// finish puts the problems together: a right that is missing for whatever it was tried on
// is one problem of the whole account.
func (r *reading) finish() {
	folded := map[string]bool{}
	for _, p := range r.problems {
		if p.Denied && r.tally[p.action].done == 0 {
			if folded[p.action] {
				continue
			}
			folded[p.action] = true
			p.Subject = ""
		}
		r.snapshot.Problems = append(r.snapshot.Problems, p.Problem)
	}
	r.snapshot.Keys = once(r.snapshot.Keys)
}

// once drops what is listed twice: a key that was deleted while the account was read
// stands among its user's keys and in the recycle bin, which was read later and is right.
func once(keys []accesskey.Observed) []accesskey.Observed {
	at := map[string]int{}
	out := keys[:0]
	for _, k := range keys {
		if i, twice := at[k.ID]; twice {
			out[i] = k
			continue
		}
		at[k.ID] = len(out)
		out = append(out, k)
	}
	return out
}

// pages reads a list of users to its end. What was read before an error is answered, too.
func (r *reading) pages(ctx context.Context, q question) ([]user, error) {
	var out []user
	seen := map[[2]string]bool{} // by id and name: who is renamed meanwhile is asked for by both
	for range maxPages {
		a, err := ask[userList](ctx, r, q)
		if err != nil {
			return out, err
		}
		for _, u := range a.Users.User {
			if both := [2]string{u.UserId, u.UserPrincipalName}; !seen[both] {
				out, seen[both] = append(out, u), true
			}
		}
		if !a.IsTruncated {
			return out, nil
		}
		if q.params["Marker"] == a.Marker {
			break // the next page would be this one, for ever
		}
		q.params["Marker"] = a.Marker
	}
	r.note(q, fault.Unavailable.New("the list of users does not end; the first %d were read", len(out)), false)
	return out, errUnanswered
}

// each does something for every user, several at a time, and adds what was found in the
// order of the users.
func (r *reading) each(ctx context.Context, users []user, do func(context.Context, user) (found, error)) error {
	all := make([]found, len(users))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for i, u := range users {
		g.Go(func() (err error) {
			all[i], err = do(ctx, u)
			if fatal(err) {
				return err
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, f := range all {
		if f.principal.ID != "" {
			r.snapshot.Principals = append(r.snapshot.Principals, f.principal)
		}
		r.snapshot.Keys = append(r.snapshot.Keys, f.keys...)
	}
	return nil
}

// found is a principal with its keys. Without an ID it is gone.
type found struct {
	principal accesskey.Principal
	keys      []accesskey.Observed
}

// userName is the part of a logon name by which RAM knows the user.
func userName(upn string) string {
	name, _, _ := strings.Cut(upn, "@")
	return name
}
