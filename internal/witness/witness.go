// Package witness is the other machine that remembers. It cosigns the checkpoints of
// audit logs, each only if it continues the one that it cosigned before, so a log that
// is cut back, replaced, or shown differently to different people is found out.
//
// The protocol is c2sp.org/tlog-witness with Ed25519 cosignatures (package cosign). A
// witness knows the public keys of the logs that it serves and trusts nothing else:
// whoever may reach it may submit, and what is submitted proves itself. It needs no
// database and no secret but its own key.
//
// Of each log it keeps, in a directory of its own under the state directory,
//
//	checkpoint        the newest checkpoint that it cosigned, with the cosignature
//	conflict-*.txt    what was submitted and does not continue it
//
// The checkpoint is durable before the cosignature leaves. Two answers never contradict
// each other: submissions for one log are handled one after the other, and a write whose
// outcome is unknown is read back before anything else is cosigned. A file that cannot
// be read, or that this witness did not sign, stops it: forgetting would be worse.
//
// A conflict is kept with both checkpoints, as they were signed. Where it proves that
// the log's key signed two histories, the file says so; where it only shows that the
// submitter could not prove continuity, it says that, for anybody may submit an old
// checkpoint with a wrong proof.
package witness

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyward/keyward/internal/cosign"
	"github.com/keyward/keyward/internal/durable"
)

const (
	checkpointFile = "checkpoint"
	conflictPrefix = "conflict-"
	maxConflicts   = 100 // files of each log and kind: the first ones tell the story
)

// A Log is one that a witness serves.
type Log struct {
	Origin    string
	PublicKey string // verifier key as golang.org/x/mod/sumdb/note reads it
}

// Options says what a Witness is made of.
type Options struct {
	Dir    string // state directory, which no other process may use
	Signer *cosign.Signer
	Logs   []Log // several entries of one origin: any of their keys is good
	Now    func() time.Time
	Logger *slog.Logger
}

// A Witness cosigns. Its methods may be called concurrently.
type Witness struct {
	Options
	self *cosign.Verifier
	logs map[string]*ledger // by origin
}

// A ledger is what a witness knows of one log.
type ledger struct {
	origin string
	keys   note.Verifiers
	dir    string

	mu    sync.Mutex // guards the fields below, and the files of dir
	held  *held      // newest cosigned checkpoint; nil before the first
	stale bool       // the file may be newer than held
}

// held is a cosigned checkpoint.
type held struct {
	head
	note []byte // with the log's signature and the cosignature
	at   time.Time
}

// Open reads the state of a witness and makes the directories that are missing.
func Open(o Options) (*Witness, error) {
	self, err := cosign.NewVerifier(o.Signer.PublicKey())
	if err != nil {
		return nil, err
	}
	w := &Witness{Options: o, self: self, logs: map[string]*ledger{}}
	keys := map[string][]note.Verifier{}
	for _, l := range o.Logs {
		v, err := note.NewVerifier(l.PublicKey)
		if err != nil {
			return nil, fmt.Errorf("reading the public key of log %q: %w", l.Origin, err)
		}
		keys[l.Origin] = append(keys[l.Origin], v)
	}
	for origin, list := range keys {
		l := &ledger{origin: origin, keys: note.VerifierList(list...), dir: filepath.Join(o.Dir, OriginHash(origin))}
		if err := os.MkdirAll(l.dir, 0o700); err != nil {
			return nil, fmt.Errorf("opening the witness's state: %w", err)
		}
		if err := durable.SyncDirectory(o.Dir); err != nil {
			return nil, err
		}
		if l.held, err = readHeld(l.dir, l.keys, self); err != nil {
			return nil, err
		}
		if l.held != nil && l.held.origin != origin {
			return nil, fmt.Errorf("opening the witness's state: the checkpoint in %s is of log %q", l.dir, l.held.origin)
		}
		if n, err := conflicts(l.dir); err != nil || len(n) > 0 {
			w.Logger.Error("CONFLICTS of this log are on record; read them: the log may have been rolled back or forked", "log", origin, "files", len(n), "directory", l.dir, "error", err)
		}
		w.logs[origin] = l
	}
	return w, nil
}

// readHeld reads the newest cosigned checkpoint; nil if there is none. With keys it must
// be signed by the log, in any case by this witness.
func readHeld(dir string, keys note.Verifiers, self *cosign.Verifier) (*held, error) {
	path := filepath.Join(dir, checkpointFile)
	signed, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // none is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("opening the witness's state: %w", err)
	}
	bad := func(err error) (*held, error) {
		return nil, fmt.Errorf("opening the witness's state: %s is not what this witness wrote for this log: %w; restore it from a copy, for without it a rollback would go unnoticed", path, err)
	}
	at, err := self.Time(signed)
	if err != nil {
		return bad(err)
	}
	if keys != nil {
		n, err := note.Open(signed, keys)
		if err != nil {
			return bad(err)
		}
		for _, s := range n.Sigs {
			if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
				return bad(err)
			}
		}
	}
	text, _ := splitNote(signed) // it was opened above
	h, err := parseHead(text)
	if err != nil {
		return bad(err)
	}
	return &held{h, signed, at}, nil
}

// A Refusal says why a checkpoint is not cosigned, with the HTTP status of the protocol.
type Refusal struct {
	Status int
	Size   int64 // of the newest cosigned checkpoint, with status 409
	Reason string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Reason }

func refuse(status int, format string, args ...any) error {
	return &Refusal{Status: status, Reason: fmt.Sprintf(format, args...)}
}

// Add handles an add-checkpoint request and answers the cosignature's line. An error is
// a [*Refusal], or one of this machine.
func (w *Witness) Add(body []byte) (string, error) {
	s, err := parseSubmission(body)
	if err != nil {
		return "", refuse(400, "%v", err)
	}
	text, ok := splitNote(s.Checkpoint)
	if !ok {
		return "", refuse(400, "the checkpoint is not a signed note")
	}
	origin, _, _ := strings.Cut(text, "\n")
	l, known := w.logs[origin]
	if !known {
		return "", refuse(404, "this witness does not serve that log; its operator adds it with --log")
	}
	n, err := open(s.Checkpoint, l.keys)
	if err != nil {
		return "", err
	}
	h, err := parseHead(n.Text)
	if err != nil {
		return "", refuse(400, "%v", err)
	}
	if s.Old > h.size {
		return "", refuse(400, "the old size is larger than the checkpoint's")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return w.add(l, h, s, n)
}

// open verifies the log's signature. Signatures of unknown keys are left out of what it
// answers.
func open(signed []byte, keys note.Verifiers) (*note.Note, error) {
	n, err := note.Open(signed, keys)
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified):
		return nil, refuse(403, "the checkpoint is not signed by a key of its log that this witness knows")
	case errors.As(err, &invalid):
		return nil, refuse(403, "the checkpoint's signature is not valid")
	case err != nil:
		return nil, refuse(400, "the checkpoint is not a signed note")
	}
	n.UnverifiedSigs = nil
	return n, nil
}

// add cosigns a checkpoint that the log signed, if it continues the one that is held.
// The caller holds the ledger's lock.
func (w *Witness) add(l *ledger, h head, s Submission, n *note.Note) (string, error) {
	if l.stale {
		was, err := readHeld(l.dir, l.keys, w.self)
		if err != nil {
			return "", err
		}
		l.held, l.stale = was, false
	}
	if err := w.check(l, h, s); err != nil {
		return "", err
	}
	at := w.Now()
	if l.held != nil && at.Before(l.held.at) {
		at = l.held.at // the clock went back; a larger tree is never older than a smaller one
	}
	before := len(n.Sigs)
	cosigned, err := note.Sign(n, w.Signer.At(at))
	if err != nil {
		return "", fmt.Errorf("cosigning: %w", err)
	}
	if l.held == nil || h.size > l.held.size {
		l.stale = true // until the file is known to be what held is
		if err := durable.Replace(filepath.Join(l.dir, checkpointFile), cosigned); err != nil {
			return "", err
		}
		l.stale = false
		w.Logger.Info("cosigned", "log", l.origin, "size", h.size)
	}
	// From now on no checkpoint that does not continue this one is cosigned.
	l.held = &held{h, cosigned, at.UTC().Truncate(time.Second)}
	lines := strings.SplitAfter(strings.TrimPrefix(string(cosigned), n.Text+"\n"), "\n")
	return lines[before], nil
}

// check holds a checkpoint against the one that is held, in the order of the protocol.
func (w *Witness) check(l *ledger, h head, s Submission) error {
	was := head{l.origin, 0, emptyRoot}
	if l.held != nil {
		was = l.held.head
	}
	if h.size == was.size && h.root != was.root && h.size > 0 {
		w.keepConflict(l, s, "PROVEN", "the log's key signed two checkpoints of the same size with different roots.")
	}
	if s.Old != was.size {
		return &Refusal{Status: 409, Size: was.size, Reason: "the newest checkpoint is of another size"}
	}
	switch {
	case h.size == 0 && h.root != emptyRoot:
		return refuse(422, "an empty log has another root")
	case s.Old == 0 && len(s.Proof) > 0:
		return refuse(422, "a proof from size 0 is empty")
	case s.Old == 0:
		return nil
	case h.size == s.Old && h.root != was.root:
		return refuse(422, "the log signed another root for this size")
	}
	if err := tlog.CheckTree(s.Proof, h.size, h.root, s.Old, was.root); err != nil {
		if root, ok := impliedRoot(s.Proof, s.Old, h); ok && root != was.root {
			w.keepConflict(l, s, "PROVEN", fmt.Sprintf("the log's key signed a checkpoint whose first %d records have the root %s, and it signed another root for them.", s.Old, root))
		} else {
			w.keepConflict(l, s, "SUSPECTED", "a checkpoint that the log's key signed was submitted without a valid proof that it continues the one cosigned before.")
		}
		return refuse(422, "the checkpoint does not continue the one that this witness cosigned")
	}
	return nil
}

// keepConflict keeps what does not fit, and says so loudly. Its own failure must not
// change the answer. Suspicions, which anybody may cause, cannot crowd out proofs.
func (w *Witness) keepConflict(l *ledger, s Submission, kind, what string) {
	text, _ := splitNote(s.Checkpoint)
	sum := sha256.Sum256([]byte(text))
	prefix := conflictPrefix + strings.ToLower(kind) + "-"
	path := filepath.Join(l.dir, prefix+hex.EncodeToString(sum[:8])+".txt")
	if _, err := os.Stat(path); err == nil {
		return // it is known
	}
	kept, err := durable.List(l.dir, prefix+"*.txt")
	if err == nil && len(kept) >= maxConflicts {
		err = errors.New("there are too many already; this one is not kept")
	}
	if err == nil {
		err = durable.Replace(path, fmt.Appendf(nil, "%s: %s\n\nlog %s\nreceived %s\n\n--- cosigned before ---\n%s\n--- submitted ---\n%s",
			kind, what, l.origin, w.Now().UTC().Format(time.RFC3339), l.held.note, s.Encode()))
	}
	w.Logger.Error("CONFLICT "+kind+": "+what+" Keep the file, and ask the operator of the log", "log", l.origin, "file", path, "error", err)
}

func conflicts(dir string) ([]string, error) {
	return durable.List(dir, conflictPrefix+"*.txt")
}

// Checkpoint answers the newest cosigned checkpoint of the log whose origin has the
// hash; nil if there is none.
func (w *Witness) Checkpoint(originHash string) []byte {
	for origin, l := range w.logs {
		if OriginHash(origin) == originHash {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.held != nil {
				return l.held.note
			}
		}
	}
	return nil
}
