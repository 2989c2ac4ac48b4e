package watch

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/exposure"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/lazy"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/notify"
)

// patience is how long a check may take: somebody waits for it.
const patience = 20 * time.Second

var (
	repositoryName = lazy.Regexp(`^[a-z0-9][a-z0-9-]{0,62}$`)
	// refPattern is the name of a ref, or of several, in the characters that git allows.
	refPattern = lazy.Regexp(`^[A-Za-z0-9_+@=%#!$&'(),;*][A-Za-z0-9_+@=%#!$&'(),;*./-]*$`)
	userName   = lazy.Regexp(`^[!-9;-~]{1,256}$`) // without a colon, which would end it
	tokenText  = lazy.Regexp(`^[!-~]+$`)
)

// Reports takes what was found; exposure.Service is one.
type Reports interface {
	ScanKey(ctx context.Context, c *authz.Call) (string, error)
	Report(ctx context.Context, c *authz.Call, r exposure.Report) error
}

// Tenants answers the wrapper that protects an account's tokens at rest.
type Tenants interface {
	Tenant(ctx context.Context, account string) (material.Wrapper, error)
}

// Incidents is who is told; notify.Service is one.
type Incidents interface {
	Reconcile(ctx context.Context, account string, ours func(condition string) bool, conditions map[string]notify.Condition) error
}

// Options says what a Service is made of. All fields are required.
type Options struct {
	Store     Store
	Mirrors   Mirrors
	Reports   Reports
	Verifier  Verifier
	Tenants   Tenants
	Incidents Incidents
	Log       *audit.Log
	Region    string // of the ARNs
	Now       func() time.Time
	Logger    *slog.Logger
}

// A Service offers the operations on repositories, and looks at them. It may be used
// concurrently.
type Service struct{ o Options }

// New makes a Service.
func New(o Options) *Service { return &Service{o} }

func (s *Service) now() time.Time { return s.o.Now().UTC().Truncate(time.Microsecond) }

// ARN answers the name of a repository as policies know it.
func (s *Service) ARN(account, name string) string {
	return "acs:keyward:" + s.o.Region + ":" + account + ":repository/" + name
}

// do runs one operation on a repository that ends in one record.
func (s *Service) do(ctx context.Context, c *authz.Call, action, name string, fn func(*audit.Record) error) error {
	return s.o.Log.Perform(ctx, c, action, s.ARN(c.Account, name), fn)
}

// A Place is where a repository is, and with what it is entered. It is given whole, so that
// whoever may change a repository, and does not know its token, cannot have it sent somewhere
// else.
type Place struct {
	URL   string
	CA    string         // PEM; "" for what this machine trusts
	User  string         // "" if the token needs none
	Token material.Bytes // empty for a repository that everybody may read
}

// A Draft is what a person says of a repository.
type Draft struct {
	Place
	Refs     []string
	Pace     time.Duration // 0 for DefaultPace
	Severity finding.Severity
	Owner    string
}

// Add stores a new repository after it let itself be read, and has it looked at at once.
func (s *Service) Add(ctx context.Context, c *authz.Call, name string, d Draft) (out Standing, err error) {
	err = s.do(ctx, c, "keyward:AddRepository", name, func(rec *audit.Record) error {
		if !repositoryName().MatchString(name) {
			return fault.InvalidParameter.New("the name of a repository here has lower-case letters, digits and hyphens, at most 63")
		}
		have, err := s.o.Store.Repositories(ctx, c.Account)
		if err != nil {
			return err
		}
		if len(have) >= MaxRepositories {
			return fault.LimitExceeded.New("the account watches %d repositories, which is the limit", MaxRepositories)
		}
		r := Repository{Account: c.Account, Name: name, Refs: d.Refs, Pace: d.Pace, Severity: d.Severity, Owner: d.Owner, CreatedAt: s.now()}
		if r.Pace == 0 {
			r.Pace = DefaultPace
		}
		if err := r.check(); err != nil {
			return err
		}
		if err := s.connect(ctx, rec, &r, d.Place); err != nil {
			return err
		}
		out = Standing{r, State{Status: Waiting}}
		return s.o.Store.CreateRepository(ctx, rec, &out.Repository, s.soon(r))
	})
	if err != nil {
		return Standing{}, err
	}
	return out, nil
}

// A Change says what to change of a repository; nil leaves a part as it is.
type Change struct {
	Place    *Place
	Refs     *[]string
	Pace     *time.Duration
	Severity *finding.Severity
	Owner    *string
}

// Update changes a repository and has it looked at at once. With another place, or other
// refs, it begins anew; at another URL no issuer is asked until somebody says so again.
func (s *Service) Update(ctx context.Context, c *authz.Call, name string, ch Change) (out Standing, err error) {
	var before, was string
	err = s.do(ctx, c, "keyward:UpdateRepository", name, func(rec *audit.Record) error {
		if out, err = s.standing(ctx, c.Account, name); err != nil {
			return err
		}
		r := &out.Repository
		before, was = r.ID, r.URL
		set(&r.Pace, ch.Pace)
		set(&r.Severity, ch.Severity)
		set(&r.Owner, ch.Owner)
		set(&r.Refs, ch.Refs)
		if err := r.check(); err != nil {
			return err
		}
		place := ch.Place
		if place == nil && ch.Refs != nil {
			have, err := s.place(ctx, *r)
			if err != nil {
				return err
			}
			defer have.Token.Zero()
			place = &have
		}
		if place != nil {
			if err := s.connect(ctx, rec, r, *place); err != nil {
				return err
			}
			out.State = State{Status: Waiting}
		}
		if ch.Place != nil && ch.Place.URL != was { // who may move it need not be who may have issuers asked
			r.Issuers = nil
		}
		return s.o.Store.UpdateRepository(ctx, rec, r, s.soon(*r))
	})
	if err != nil {
		return Standing{}, err
	}
	if before != out.ID {
		s.sweep(ctx)
	}
	return out, nil
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// check refuses what a person may not say of a repository. Refs become complete.
func (r *Repository) check() error {
	switch {
	case len(r.Refs) > MaxRefs:
		return fault.LimitExceeded.New("a repository has at most %d patterns of refs; use one with a star", MaxRefs)
	case r.Pace < MinPace || r.Pace > MaxPace:
		return fault.InvalidParameter.New("the time between two looks must be between %v and %v", MinPace, MaxPace)
	case utf8.RuneCountInString(r.Owner) > maxText || strings.ContainsFunc(r.Owner, unicode.IsControl) || !utf8.ValidString(r.Owner):
		return fault.InvalidParameter.New("the owner is no text of at most %d characters", maxText)
	}
	refs := slices.Clone(r.Refs)
	for i, p := range refs {
		name := "/" + p + "/"
		bad := func(part string) bool { return strings.Contains(name, part) }
		if len(p) > maxText || !refPattern().MatchString(p) || strings.Count(p, "*") > 1 || slices.ContainsFunc([]string{"..", "//", "/.", "./", "@{", ".lock/"}, bad) {
			return fault.InvalidParameter.New("a pattern of refs is the name of a branch such as main or release/*, or complete, such as refs/tags/*, with at most one star")
		}
		if !strings.HasPrefix(p, "refs/") {
			refs[i] = "refs/heads/" + p
		}
	}
	slices.Sort(refs)
	r.Refs, r.Pace = slices.Compact(refs), r.Pace.Truncate(time.Second)
	return nil
}

// connect gives a repository a place, after it let itself be read there. The record gets the URL
// only when it is known to hold no credential.
func (s *Service) connect(ctx context.Context, rec *audit.Record, r *Repository, p Place) error {
	token := p.Token.Expose()
	switch {
	case !tokenText().MatchString(p.URL):
		return fault.InvalidParameter.New("the URL has printable characters of ASCII without spaces; others are written %%XX")
	case len(p.URL) > maxURL || len(p.CA) > maxCA || len(token) > maxToken:
		return fault.InvalidParameter.New("a URL has at most %d bytes, a token %d, certificates %d", maxURL, maxToken, maxCA)
	case p.User != "" && !userName().MatchString(p.User):
		return fault.InvalidParameter.New("the user has printable characters without spaces and colons")
	case len(token) > 0 && !tokenText().Match(token):
		return fault.InvalidParameter.New("the token has printable characters without spaces")
	case p.User != "" && len(token) == 0:
		return fault.MissingParameter.New("the user's token is missing")
	}
	if err := s.o.Mirrors.Allows(p.URL); err != nil {
		return err
	}
	rec.Param("URL", p.URL)
	var id [16]byte
	rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	r.ID, r.URL, r.CA, r.Sealed = hex.EncodeToString(id[:]), p.URL, p.CA, nil
	if len(token) > 0 {
		tenant, err := s.o.Tenants.Tenant(ctx, r.Account)
		if err != nil {
			return err
		}
		credential := map[string]material.Bytes{"user": material.NewBytes([]byte(p.User)), "token": p.Token}
		if r.Sealed, err = form.Seal(tenant, r.settings(), credential, r.bound()...); err != nil {
			return err
		}
	}
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := s.o.Mirrors.Tips(bounded, r.remote(p))
	t, known := errors.AsType[*Trouble](err)
	switch {
	case err != nil && bounded.Err() != nil && ctx.Err() == nil:
		return fault.Unavailable.New("the repository did not answer within %d seconds", int(patience.Seconds()))
	case known && t.Status == Unreachable:
		return fault.Unavailable.New("the repository cannot be read now: %s", t.Text)
	case known:
		return fault.InvalidParameter.New("the repository cannot be watched: %s", t.Text)
	}
	return err
}

// remote answers how a repository is read.
func (r *Repository) remote(p Place) Remote {
	return Remote{ID: r.ID, URL: r.URL, CA: r.CA, Refs: r.Refs, User: p.User, Token: p.Token}
}

// place answers where a repository is, with its token, which the caller erases.
func (s *Service) place(ctx context.Context, r Repository) (Place, error) {
	p := Place{URL: r.URL, CA: r.CA}
	if len(r.Sealed) == 0 {
		return p, nil
	}
	tenant, err := s.o.Tenants.Tenant(ctx, r.Account)
	if err != nil {
		return p, err
	}
	f, err := form.Open(tenant, r.settings(), r.Sealed, r.bound()...)
	if err != nil {
		return p, err
	}
	p.User, p.Token = string(f.Credential["user"].Expose()), f.Credential["token"]
	return p, nil
}

// Inspect tells whether the stored token of a repository opens. It is for the scrub: nothing
// is kept of it.
func (s *Service) Inspect(ctx context.Context, r Repository) error {
	p, err := s.place(ctx, r)
	p.Token.Zero()
	return err
}

// standing answers a repository with its state.
func (s *Service) standing(ctx context.Context, account, name string) (Standing, error) {
	r, err := s.o.Store.Repository(ctx, account, name)
	if err != nil {
		return Standing{}, err
	}
	states, err := s.o.Store.States(ctx, account)
	return stand(r, states[name]), err
}

// stand puts a repository and its state together; a state of another place is none.
func stand(r Repository, st State) Standing {
	if st.ID != r.ID {
		st = State{Account: r.Account, Repository: r.Name, ID: r.ID, Status: Waiting}
	}
	return Standing{r, st}
}

// all answers the repositories of an account and how they stand, by name.
func (s *Service) all(ctx context.Context, account string) ([]Standing, error) {
	repositories, err := s.o.Store.Repositories(ctx, account)
	if err != nil {
		return nil, err
	}
	states, err := s.o.Store.States(ctx, account)
	out := make([]Standing, len(repositories))
	for i, r := range repositories {
		out[i] = stand(r, states[r.Name])
	}
	return out, err
}

// Survey answers the repositories of an account and how they stand, for metrics.
func (s *Service) Survey(ctx context.Context, account string) ([]Standing, error) {
	return s.all(ctx, account)
}

// List answers all repositories of the account and how they stand, by name.
func (s *Service) List(ctx context.Context, c *authz.Call) (out []Standing, err error) {
	err = s.do(ctx, c, "keyward:ListRepositories", "*", func(*audit.Record) error {
		out, err = s.all(ctx, c.Account)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Show answers a repository and how it stands.
func (s *Service) Show(ctx context.Context, c *authz.Call, name string) (out Standing, err error) {
	err = s.do(ctx, c, "keyward:GetRepository", name, func(*audit.Record) error {
		out, err = s.standing(ctx, c.Account, name)
		return err
	})
	if err != nil {
		return Standing{}, err
	}
	return out, nil
}

// Scan has a repository looked at now.
func (s *Service) Scan(ctx context.Context, c *authz.Call, name string) error {
	return s.do(ctx, c, "keyward:ScanRepository", name, func(rec *audit.Record) error {
		r, err := s.o.Store.Repository(ctx, c.Account, name)
		if err != nil {
			return err
		}
		return s.o.Store.UpdateRepository(ctx, rec, &r, s.soon(r))
	})
}

// Remove forgets a repository and its mirror. What was found in it stays known.
func (s *Service) Remove(ctx context.Context, c *authz.Call, name string) error {
	err := s.do(ctx, c, "keyward:RemoveRepository", name, func(rec *audit.Record) error {
		r, err := s.o.Store.Repository(ctx, c.Account, name)
		if err != nil {
			return err
		}
		return s.o.Store.DeleteRepository(ctx, rec, &r)
	})
	if err == nil {
		s.sweep(ctx)
	}
	return err
}

// soon plans a look at a repository now.
func (s *Service) soon(r Repository) []job.Job {
	return []job.Job{{Kind: JobLook, Account: r.Account, Subject: r.Name, Due: s.now()}}
}

// Needs answers the jobs that a repository needs.
func (s *Service) Needs(r Repository) []job.Need {
	return []job.Need{{Job: s.soon(r)[0], Ahead: r.Pace + jitter(r.Pace)}}
}
