// Package scrub looks at everything that the database holds, whether or not anybody asks
// for it, and says what is not as keyward wrote it.
//
// What is used is checked before it is used (packages store and anchor). A scrub finds
// what nobody has used yet: it verifies the audit logs from their first record on, builds
// from them anew what each row must be, walks all rows, opens what is wrapped (but for the
// credentials of providers, channels, sinks and targets, which are opened all the time),
// follows every reference from row to row, looks for rows that are not there, for jobs
// that are not planned, and has the database check its own file.
//
// It runs while the server works. Rows are compared with the anchor, which commits keep
// current; what does not agree is read again, with the logs of other nodes, before it is
// called a finding. It changes nothing, but for a job that was lost, which it plans again:
// jobs only say when to look.
//
// A [Scrubber] scrubs soon after the server was unsealed and then once a day, and when
// the operator asks. Each scrub ends in an audit record, keyward:Scrub. Its report stands
// in the server's status and metrics until the next one.
package scrub

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/anchor"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/federation"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/key/instance"
	"github.com/keyward/keyward/internal/key/keyring"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/offer"
	"github.com/keyward/keyward/internal/rotation/engine"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/sink"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
	"github.com/keyward/keyward/internal/target"
	"github.com/keyward/keyward/internal/watch"
)

// A Problem is what is wrong with what was found. The command and docs/operations.md say of
// each what to do.
type Problem string

// The problems.
const (
	Forged     Problem = "forged"     // a row that keyward did not write so
	Stale      Problem = "stale"      // a row that keyward wrote, but is not the newest: put back
	Missing    Problem = "missing"    // a row that must be there
	Unreadable Problem = "unreadable" // a row, a table or the file cannot be read
	Sealed     Problem = "sealed"     // what is wrapped in a row does not open
	Dangling   Problem = "dangling"   // a row refers to another one that is not there
	Job        Problem = "job"        // a job was not planned; it is now
	Log        Problem = "log"        // an audit log does not verify
)

// A Finding is one thing that is not as keyward wrote it.
type Finding struct {
	Problem Problem
	Table   string // or "" if it is about the file or a log
	ID      string // of the row, its key columns joined by slashes; or the log
	Detail  string // for whoever investigates
}

// maxFindings is how many findings are told one by one.
const maxFindings = 1000

// A Report is what a scrub found.
type Report struct {
	Began    time.Time
	Took     time.Duration
	Rows     int64 // that were looked at
	Records  int64 // of the audit logs, verified
	Findings []Finding
	More     int64 // findings beyond those
}

// Clean tells whether everything is as keyward wrote it.
func (r Report) Clean() bool { return len(r.Findings) == 0 }

// Count answers how many findings there are.
func (r Report) Count() int64 { return int64(len(r.Findings)) + r.More }

// Options says what a Scrubber looks at, and where it tells.
type Options struct {
	DB           *database.DB
	Store        *bound.Store
	Anchor       *anchor.Anchor
	Logs         anchor.Options // Load and Save are not used
	IAM          *iam.Service
	People       *people.Service
	Keys         *lifecycle.Service
	Ring         *keyring.Ring
	Secrets      *secret.Service
	Sinks        *sink.Service
	Targets      *target.Service
	Stock        *accesskey.Service
	Alerts       *notify.Service
	Rotations    *engine.Service
	Offers       *offer.Service
	Repositories *watch.Service
	Instances    *instance.Service
	Federation   *federation.Service
	Log          *audit.Log
	Now          func() time.Time
	Logger       *slog.Logger
}

// A Scrubber scrubs. Its methods may be called concurrently.
type Scrubber struct {
	o    Options
	turn sync.Mutex // one scrub at a time

	mu   sync.Mutex // guards last
	last Report
}

// New makes a Scrubber; Run starts it.
func New(o Options) *Scrubber {
	o.Logs.Load, o.Logs.Save = nil, nil
	return &Scrubber{o: o}
}

const (
	soon  = time.Minute      // after the server was unsealed
	later = 15 * time.Minute // after one that did not come to its end
	daily = 24 * time.Hour
)

// Run scrubs soon and then daily, until ctx ends.
func (s *Scrubber) Run(ctx context.Context) error {
	for wait := soon; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		call := &authz.Call{Principal: authz.Principal{Kind: authz.Service, Name: "scheduler"}, Time: s.o.Now(), Scheme: "job"}
		wait = daily
		if _, err := s.Scrub(ctx, call); err != nil && ctx.Err() == nil {
			s.o.Logger.Warn("scrubbing", "error", err)
			wait = later
		}
	}
}

// Last answers the newest report, whose Began is zero before the first.
func (s *Scrubber) Last() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// Scrub looks at everything, on behalf of call, and records what came of it. It answers
// an error only if it could not look, or not record.
func (s *Scrubber) Scrub(ctx context.Context, call *authz.Call) (Report, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	began := s.o.Now()
	p := &pass{Options: &s.o, report: Report{Began: began}}
	err := p.run(ctx)
	if p.away != nil {
		return Report{}, fault.Unavailable.Wrap(p.away, "the database was not there while it was looked at; scrub again")
	}
	if err != nil {
		return Report{}, err
	}
	report := p.report
	report.Took = s.o.Now().Sub(began)
	for _, f := range report.Findings {
		s.o.Logger.Error("SECURITY: the scrub found what keyward did not write", "problem", f.Problem, "table", f.Table, "row", f.ID, "detail", f.Detail)
	}
	s.mu.Lock()
	s.last = report
	s.mu.Unlock()
	rec := audit.NewRecord(call, "keyward:Scrub")
	rec.Result = audit.ResultOK
	if !report.Clean() {
		rec.Result = string(fault.Internal)
	}
	rec.Param("Rows", strconv.FormatInt(report.Rows, 10))
	rec.Param("Records", strconv.FormatInt(report.Records, 10))
	rec.Param("Findings", strconv.FormatInt(report.Count(), 10))
	return report, s.o.Log.Append(ctx, rec)
}

// problemOf answers what an error of the store says about a row.
func problemOf(err error) Problem {
	var damage bound.Damage
	if !errors.As(err, &damage) {
		return Unreadable
	}
	switch damage {
	case bound.Forged, bound.Misplaced:
		return Forged
	case bound.Stale:
		return Stale
	case bound.Missing:
		return Missing
	}
	return Unreadable
}
