// Package demo tells a story with the real product, on one machine, in about a minute: a
// payment key expires at night, and it is replaced while shops pay and things break.
//
// One process, the narrator, plays the world around keyward: a payment platform (package
// paysim), the shops, the people, the network of each region. Everything of keyward's is
// real and runs in processes of its own: the server, as "keyward dev", and an agent for each
// shop, as "keyward agent run". The narrator speaks with the server through its public API
// only. Only durations that a plan sets are short; no code path knows of the demonstration.
//
//	narrator ── paysim ◄──── server (child; killed and started again)
//	    │          ▲            ▲ ▲ ▲
//	    │          │         relay of each region, which can be cut (narrator)
//	    │          │            ▲ ▲ ▲
//	    └── shops ─┘ ──socket── agents (children, two in each region)
//
// At the end the story proves itself (proof.go): each condition is checked against what the
// platform and the server themselves say, and what does not hold is named. The other
// scenario (script.go) is what a script would have done, and counts what that costs.
//
// Who may call: the command line. What is stored: a directory that only its owner reads,
// which goes at the end; a child does not outlive the narrator. What is trusted: nothing
// comes from outside this machine.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Options says how a story is told.
type Options struct {
	Executable string // of keyward
	Keep       bool   // the directory
	Chinese    bool   // or else English
	Out        io.Writer
	// Size answers the columns and lines of the terminal that Out is; nil for no terminal.
	Size func() (columns, lines int)
	Now  func() time.Time
}

// ErrUnproven is wrapped by the error of a story of which not everything holds that it is to prove.
var ErrUnproven = errors.New("not everything holds")

// The durations of the story. In life they are the ones beside them.
const (
	keyLife   = 2 * time.Minute  // three hours
	answerIn  = 10 * time.Second // 15 minutes, for somebody to acknowledge
	aDay      = 6 * time.Second  // of grace, and of observation
	quiet     = 2 * time.Second  // an hour, in which nobody used the old key
	bake      = 2 * time.Second  // 10 minutes, between waves
	confirm   = 6 * time.Second  // 30 minutes, for the nodes of a wave
	callTime  = 2 * time.Second  // 30 seconds, for a call to the platform
	reporting = 3 * time.Second  // 15 seconds, between reports of an agent
)

// Run tells the story to its end. An error that wraps [ErrUnproven] says that it does not
// prove what it should; any other, that it could not be told.
func Run(ctx context.Context, o Options) (err error) {
	s, err := build(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.strike()) }()
	if err := s.setUp(ctx); err != nil {
		return s.explain(ctx, err)
	}
	if err := s.tell(ctx); err != nil {
		return s.explain(ctx, err)
	}
	return s.prove(ctx)
}

// explain adds to an error where the logs are, if they stay.
func (s *stage) explain(ctx context.Context, err error) error {
	s.view.freeze()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if s.Keep {
		return fmt.Errorf("%w; the logs are in %s", err, s.dir)
	}
	return fmt.Errorf("%w; --keep keeps the logs", err)
}

// makeDir makes the directory of a story. Its name is short: sockets in it have names of
// at most 80 bytes.
func makeDir() (string, error) {
	dir, err := os.MkdirTemp("", "keyward-") // mode 0700
	if err != nil {
		return "", fmt.Errorf("making a directory: %w", err)
	}
	return dir, nil
}
