// Package publish shows a node's audit log to its witnesses: it sends each new
// checkpoint, with the proof that it continues the last one, and keeps what comes back.
//
// The protocol is c2sp.org/tlog-witness. A log that grew is sent within a second, and at
// once after the start, so that a database that was rolled back is found out before it
// grows past what the witness saw; one that rests is sent every few minutes, so that
// the age of the newest cosignature says whether the witness is still there.
//
// Operations do not wait for witnesses: one that cannot be reached is tried again, at
// growing distances of up to a minute, and shows in the figures. One that refuses
// because it has seen more, or something else, is a conflict: this node's history is not
// the one that it showed before. That is reported again and again until it is resolved;
// the node works on, for a witness must not be able to stop it.
//
// The newest cosigned checkpoint of each witness is kept in the data directory, in
// witness-<key hash>.checkpoint. Nothing here is secret.
package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/cosign"
	"github.com/keyward/keyward/internal/durable"
	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/witness"
)

const (
	interval   = time.Second     // between two submissions of a log that grows
	refresh    = 5 * time.Minute // between two of one that rests
	maxBackoff = time.Minute     // between two attempts that fail
	farewell   = 2 * time.Second // for the last submission, when the node stops
)

// A Witness is one that the log is shown to.
type Witness struct {
	URL   string         // submission prefix; https, or http if Allow has its address
	Key   string         // its verifier key, as `keyward witness init` prints it
	Allow []netip.Prefix // networks that the URL may lead to although they are not public
}

// Options says what a Publisher is made of.
type Options struct {
	Reader    audit.Reader
	Log       string        // origin
	PublicKey string        // of the log
	Head      func() []byte // answers the newest durable signed checkpoint; empty for an empty log
	Dir       string        // where cosigned checkpoints are kept
	Witnesses []Witness
	Logger    *slog.Logger
}

// A Status is how one witness stands.
type Status struct {
	Witness  string    // its name
	URL      string    // where it is asked
	Size     int64     // records of the newest checkpoint that it cosigned
	At       time.Time // when it did, by its clock, to the second; zero for never
	Conflict bool      // it has seen a history that this node does not continue
	Problem  string    // why the last attempt failed; "" if it did not
}

// A Publisher publishes one log. Its methods may be called concurrently.
type Publisher struct{ targets []*target }

// A target is one witness as the publisher deals with it.
type target struct {
	Options
	log      note.Verifier
	client   *egress.Client
	verifier *cosign.Verifier
	file     string

	publishing sync.Mutex // one submission at a time; guards old
	old        int64      // size that the witness is believed to have

	mu     sync.Mutex // guards status
	status Status
}

// errConflict is wrapped by what a witness's refusal of this node's history becomes.
var errConflict = errors.New("compare with keyward audit verify before anything else is done with this database")

// Validate tells whether witnesses can be asked as they are configured.
func Validate(list []Witness) error {
	seen := map[string]bool{}
	for _, w := range list {
		if _, err := egress.NewClient(w.URL, w.Allow); err != nil {
			return fmt.Errorf("witness: %w", err)
		}
		v, err := cosign.NewVerifier(w.Key)
		if err != nil {
			return fmt.Errorf("witness %s: %w", w.URL, err)
		}
		name := fmt.Sprintf("%s+%08x", v.Name(), v.KeyHash())
		if seen[name] {
			return fmt.Errorf("witness %s: its key is there twice", w.URL)
		}
		seen[name] = true
	}
	return nil
}

// New makes a publisher and reads what it kept when it ran last. Call Run to start it.
func New(o Options) (*Publisher, error) {
	if err := Validate(o.Witnesses); err != nil {
		return nil, err
	}
	log, err := note.NewVerifier(o.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("reading the log's public key: %w", err)
	}
	p := &Publisher{}
	for _, w := range o.Witnesses {
		t := &target{Options: o, log: log}
		if t.client, err = egress.NewClient(w.URL, w.Allow); err != nil {
			return nil, err
		}
		if t.verifier, err = cosign.NewVerifier(w.Key); err != nil {
			return nil, err
		}
		t.file = filepath.Join(o.Dir, fmt.Sprintf("witness-%08x.checkpoint", t.verifier.KeyHash()))
		t.status = Status{Witness: t.verifier.Name(), URL: w.URL}
		t.recall()
		p.targets = append(p.targets, t)
	}
	return p, nil
}

// recall reads the checkpoint that was kept. One that cannot be read is no loss: the
// witness tells again where it stands.
func (t *target) recall() {
	signed, err := os.ReadFile(t.file)
	if err != nil {
		return
	}
	at, err := t.verifier.Time(signed)
	if err != nil {
		return
	}
	if c, err := audit.OpenCheckpoint(signed, t.PublicKey); err == nil {
		t.old, t.status.Size, t.status.At = c.Size, c.Size, at
	}
}

// Status answers how the witnesses stand, in the order of the configuration.
func (p *Publisher) Status() []Status {
	var all []Status
	for _, t := range p.targets {
		all = append(all, t.standing())
	}
	return all
}

func (t *target) standing() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.status
}

// Publish sends the newest checkpoint to every witness now, and answers what went wrong.
func (p *Publisher) Publish(ctx context.Context) error {
	errs := make([]error, len(p.targets))
	var all sync.WaitGroup
	for i, t := range p.targets {
		all.Go(func() { errs[i] = t.publish(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// Run publishes until ctx ends, and then once more.
func (p *Publisher) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for _, t := range p.targets {
		all.Go(func() { t.run(ctx) })
	}
	all.Wait()
	return nil
}

func (t *target) run(ctx context.Context) {
	pause := interval
	var tried time.Time
	for {
		if s := t.standing(); s.Problem != "" || t.grown(s) || time.Since(tried) >= refresh {
			tried = time.Now()
			if err := t.publish(ctx); err != nil {
				pause = min(2*pause, maxBackoff)
			} else {
				pause = interval
			}
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
			defer cancel()
			_ = t.publish(last) // it is noted in the log; there is no further attempt
			return
		case <-time.After(pause):
		}
	}
}

// grown tells whether the log has more records than the witness has seen.
func (t *target) grown(s Status) bool {
	c, err := audit.OpenCheckpoint(t.Head(), t.PublicKey)
	return err == nil && c.Size > s.Size
}

// publish submits the newest checkpoint and notes how that went.
func (t *target) publish(ctx context.Context) error {
	t.publishing.Lock()
	defer t.publishing.Unlock()
	signed := t.Head()
	if len(signed) == 0 {
		return nil // there is nothing to show yet
	}
	at, size, err := t.submit(ctx, signed)
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.status
	if err == nil {
		t.status.Size, t.status.At, t.status.Conflict, t.status.Problem = size, at, false, ""
		if before.Problem != "" {
			t.Logger.Info("the witness cosigns again", "witness", before.Witness, "size", size)
		}
		return nil
	}
	err = fmt.Errorf("asking the witness %s: %w", before.Witness, err)
	t.status.Problem = err.Error()
	t.status.Conflict = errors.Is(err, errConflict) || before.Conflict // only a cosignature ends a conflict
	switch {
	case t.status.Conflict:
		t.Logger.Error("WITNESS CONFLICT: the database may have been rolled back, or another server uses its keys", "witness", before.Witness, "error", err)
	case before.Problem == "":
		t.Logger.Warn("a witness does not cosign; trying again", "witness", before.Witness, "error", err)
	}
	return err
}

// submit sends a checkpoint and keeps what comes back. A witness that stands elsewhere
// than it was believed to says so, and is asked a second time.
func (t *target) submit(ctx context.Context, signed []byte) (at time.Time, size int64, err error) {
	c, err := audit.OpenCheckpoint(signed, t.PublicKey)
	if err != nil {
		return at, 0, err
	}
	if t.old > c.Size {
		t.old = 0 // what was kept is ahead of the log: let the witness say where it stands
	}
	for range 2 {
		proof, err := audit.ProveConsistency(ctx, t.Reader, t.Log, t.old, c.Size)
		if err != nil {
			return at, 0, err
		}
		answer, err := t.client.Do(ctx, http.MethodPost, "add-checkpoint", witness.Submission{Old: t.old, Proof: proof, Checkpoint: signed}.Encode())
		if err != nil {
			return at, 0, err
		}
		switch answer.Status {
		case http.StatusOK:
			t.old = c.Size
			at, err = t.keep(signed, answer.Body)
			return at, c.Size, err
		case http.StatusConflict:
			if t.old, err = newest(answer); err != nil {
				return at, 0, err
			}
			if t.old > c.Size {
				return at, 0, fmt.Errorf("it has cosigned %d records of this log, which holds %d: %w", t.old, c.Size, errConflict)
			}
		case http.StatusUnprocessableEntity:
			return at, 0, fmt.Errorf("the first %d records of this log are not those that it has cosigned: %w", t.old, errConflict)
		default:
			return at, 0, refused(answer)
		}
	}
	return at, 0, errors.New("it changes its mind about the size of this log; does another server publish it?")
}

// newest reads the size that a witness answers with status 409.
func newest(answer egress.Answer) (int64, error) {
	size, err := strconv.ParseInt(strings.TrimSuffix(string(answer.Body), "\n"), 10, 64)
	if answer.ContentType != witness.SizeType || err != nil || size < 0 {
		return 0, errors.New("it answered 409 without a size; is the URL that of a witness?")
	}
	return size, nil
}

// refused puts an answer into words that say what to do.
func refused(answer egress.Answer) error {
	what := "is the URL that of a witness?"
	switch answer.Status {
	case http.StatusNotFound:
		what = "it does not know this log; start it with --log and the log's public key"
	case http.StatusForbidden:
		what = "it knows another public key of this log"
	}
	return fmt.Errorf("it answered status %d; %s", answer.Status, what)
}

// keep verifies the cosignature and keeps it with the checkpoint.
func (t *target) keep(signed, lines []byte) (time.Time, error) {
	cosigned := append(append([]byte{}, signed...), lines...)
	at, err := t.verifier.Time(cosigned)
	if err != nil {
		return time.Time{}, err
	}
	n, err := note.Open(cosigned, note.VerifierList(t.log, t.verifier))
	if err != nil {
		return time.Time{}, fmt.Errorf("verifying the cosigned checkpoint: %w", err)
	}
	n.UnverifiedSigs = nil // of keys that nobody here knows
	if cosigned, err = note.Sign(n); err != nil {
		return time.Time{}, fmt.Errorf("writing the cosigned checkpoint: %w", err)
	}
	return at, durable.Replace(t.file, cosigned)
}
