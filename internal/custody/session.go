package custody

import (
	"bytes"
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/shamir"
)

const (
	sessionLife = time.Hour // since the last share
	perShare    = 8         // sessions that one share may have begun
)

// Sessions are the shares that were given so far, for each act that somebody began. The
// zero value is ready; methods may be called concurrently.
//
// A session begins with a genuine share of an envelope of this server, so who has none
// cannot begin any, and who has one cannot begin more than eight: nobody can fill the
// place. It is named by a random nonce, which only who began it is told, who tells the
// other holders. Without the nonce it cannot be seen, joined or cancelled, and no other
// session disturbs it. With the nonce a wrong share is refused and changes nothing. It
// ends when it is complete, cancelled, or an hour after its last share.
type Sessions struct {
	mu      sync.Mutex
	open    map[string]*session // guarded by mu; by nonce
	refused int                 // guarded by mu; offers since the last Clear
}

type session struct {
	intent   Intent
	envelope seal.Envelope
	shares   []shamir.Share
	ends     time.Time
}

// An Offer is a share that somebody gives.
type Offer struct {
	Session   string          // nonce; empty to begin one
	Intent    Intent          // to begin with; of a session that was begun only Act is compared
	Envelopes []seal.Envelope // that there are
	Text      []byte          // of the share
	Now       time.Time
	// Record makes durable that the share of that index was given; it does not count
	// before. It may be nil.
	Record func(of seal.Envelope, index int) error
}

// Progress is how a session stands.
type Progress struct {
	Session   string
	Intent    Intent // its passphrase is left out
	Envelope  string // that the shares open
	Threshold int
	Given     []int // indices of the shares that were given, in their order
	Ends      time.Time
}

// Complete is a session that has all its shares. It is over: what becomes of it is its
// holder's, who erases it.
type Complete struct {
	Intent Intent
	Shares []shamir.Share
}

// Give adds a share to a session or begins one. Complete is nil while shares are
// missing. What is wrong with a share, its fault says.
func (s *Sessions) Give(o Offer) (Progress, *Complete, error) {
	p, c, err := s.give(o)
	if err != nil {
		s.Refuse()
	}
	return p, c, err
}

func (s *Sessions) give(o Offer) (Progress, *Complete, error) {
	share, err := shamir.Parse(o.Text)
	if err != nil {
		return Progress{}, nil, err
	}
	grown, err := s.accept(o, share)
	if err == nil && o.Record != nil { // without the lock: the log may be slow
		err = o.Record(grown.envelope, share.Index)
	}
	if err != nil {
		share.Zero()
		return Progress{}, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if grown, err = s.acceptLocked(o, share); err != nil { // somebody was faster
		share.Zero()
		return Progress{}, nil, err
	}
	nonce := o.Session
	if nonce == "" {
		nonce = rand.Text()
		grown.intent.Protection.Passphrase = material.NewBytes(bytes.Clone(o.Intent.Protection.Passphrase.Expose())) // the offer's is erased
	}
	p := grown.progress(nonce)
	if len(grown.shares) == share.Threshold {
		delete(s.open, nonce)
		return p, &Complete{grown.intent, grown.shares}, nil
	}
	if s.open == nil {
		s.open = map[string]*session{}
	}
	s.open[nonce] = grown
	return p, nil, nil
}

func (s *Sessions) accept(o Offer, share shamir.Share) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acceptLocked(o, share)
}

// acceptLocked answers what the session would be with the share, and changes nothing.
func (s *Sessions) acceptLocked(o Offer, share shamir.Share) (*session, error) {
	s.sweep(o.Now)
	have := &session{intent: o.Intent}
	if o.Session != "" {
		var err error
		if have, err = s.find(o.Session); err != nil {
			return nil, err
		}
	}
	if have.intent.Act != o.Intent.Act {
		return nil, fault.StateConflict.New("the session is for something else (%s) than you named (%s); the share was not used", have.intent.Act, o.Intent.Act)
	}
	envelope, err := seal.EnvelopeOf(o.Envelopes, share, have.shares)
	if err != nil {
		return nil, err
	}
	if o.Session == "" && s.begunBy(share) >= perShare {
		return nil, fault.LimitExceeded.New("share %d has begun %d sessions that are not complete; give it to one of them, cancel one, or wait an hour", share.Index, perShare)
	}
	return &session{have.intent, envelope, append(slices.Clip(have.shares), share), o.Now.Add(sessionLife)}, nil
}

// begunBy answers how many sessions the share began.
func (s *Sessions) begunBy(share shamir.Share) (n int) {
	for _, have := range s.open {
		if first := have.shares[0]; first.Set == share.Set && first.Index == share.Index {
			n++
		}
	}
	return n
}

// Show answers how a session stands.
func (s *Sessions) Show(nonce string, now time.Time) (Progress, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now)
	have, err := s.find(nonce)
	if err != nil {
		return Progress{}, err
	}
	return have.progress(nonce), nil
}

// Cancel ends a session and erases its shares.
func (s *Sessions) Cancel(nonce string, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now)
	have, err := s.find(nonce)
	if err != nil {
		return err
	}
	have.zero()
	delete(s.open, nonce)
	return nil
}

// Clear ends all sessions.
func (s *Sessions) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, have := range s.open {
		have.zero()
	}
	clear(s.open)
	s.refused = 0
}

// Refused answers how many attempts were refused since Clear was last called.
func (s *Sessions) Refused() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

// Refuse counts an attempt that was refused elsewhere: a wrong passphrase.
func (s *Sessions) Refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused++
}

// Run erases sessions whose time is over, and at the end all, until ctx ends.
func (s *Sessions) Run(ctx context.Context, now func() time.Time) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.Clear()
			return nil
		case <-tick.C:
			s.mu.Lock()
			s.sweep(now())
			s.mu.Unlock()
		}
	}
}

// find compares in constant time as far as a map does: the nonce has 128 random bits.
func (s *Sessions) find(nonce string) (*session, error) {
	have, ok := s.open[nonce]
	if !ok {
		return nil, fault.ResourceNotFound.New("there is no such session: it is complete, cancelled or over, or its name is mistyped")
	}
	return have, nil
}

func (s *Sessions) sweep(now time.Time) {
	for nonce, have := range s.open {
		if !now.Before(have.ends) {
			have.zero()
			delete(s.open, nonce)
		}
	}
}

func (s *session) zero() {
	for _, share := range s.shares {
		share.Zero()
	}
	s.intent.Zero()
}

func (s *session) progress(nonce string) Progress {
	p := Progress{Session: nonce, Intent: s.intent, Envelope: s.envelope.Title(), Threshold: s.shares[0].Threshold, Ends: s.ends}
	p.Intent.Protection.Passphrase = material.Bytes{}
	for _, share := range s.shares {
		p.Given = append(p.Given, share.Index)
	}
	return p
}

// Zero erases the shares and the intent's passphrase.
func (c *Complete) Zero() {
	for _, share := range c.Shares {
		share.Zero()
	}
	c.Intent.Zero()
}

// Indices answers which shares there are.
func (c *Complete) Indices() (out []int) {
	for _, share := range c.Shares {
		out = append(out, share.Index)
	}
	return out
}
