package hsm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/material"
)

// What a call may take at most. What a caller's context allows may be less.
const (
	useTime      = 5 * time.Second
	generateTime = 2 * time.Minute
)

// Options says what a Client is made of.
type Options struct {
	Socket      string
	Users       []int // who the helper may be, by uid
	Connections int   // at once; further calls wait
	// Note is told how each call ended, for metrics; it may be nil.
	Note func(op string, took time.Duration, err error)
}

// A Client calls the helper. Its methods may be called concurrently; each takes a
// connection for itself, of which idle ones are kept. Errors are those of this package,
// or the context's.
type Client struct {
	Options
	places chan *net.UnixConn // as many as there may be connections; nil for one that is not made yet
}

// NewClient makes a Client; nothing is connected yet.
func NewClient(o Options) *Client {
	c := &Client{Options: o, places: make(chan *net.UnixConn, o.Connections)}
	for range o.Connections {
		c.places <- nil
	}
	return c
}

// Status answers how the token stands. A helper that is not there is ErrAway.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	a, err := c.call(ctx, "Status", Request{Op: OpStatus, Wait: useTime})
	if err != nil {
		return Status{}, err
	}
	if err := json.Unmarshal(a.Data, &s); err != nil {
		return Status{}, fmt.Errorf("%w: reading the helper's status: %v", errToken, err)
	}
	return s, nil
}

// Generate makes a key of o in the token; of a key pair, for signing or decryption, it
// answers the public half as SPKI. A spec that the token does not offer is ErrUnsupported.
func (c *Client) Generate(ctx context.Context, o Object, purpose string) (public []byte, err error) {
	a, err := c.call(ctx, "Generate", o.request(OpGenerate, purpose, Request{}))
	if err != nil || purpose == "" {
		return nil, err
	}
	if _, err := material.OpenPublic(o.Spec, a.Data); err != nil {
		return nil, fmt.Errorf("%w: reading the public half of a new key: %v", errToken, err)
	}
	return a.Data, nil
}

// Encrypt encrypts with AES-GCM and answers the IV and the ciphertext with its tag. The IV
// is the token's own or 128 random bits: docs/design/hardware.md has the rule.
func (c *Client) Encrypt(ctx context.Context, o Object, plaintext, additional []byte) (iv, ciphertext []byte, err error) {
	iv, ciphertext, _, err = c.EncryptSeen(ctx, o, plaintext, additional)
	return iv, ciphertext, err
}

// EncryptSeen is Encrypt, and tells with which sighting of the key.
func (c *Client) EncryptSeen(ctx context.Context, o Object, plaintext, additional []byte) (iv, ciphertext []byte, seen Sighting, err error) {
	a, err := c.call(ctx, "Encrypt", o.request(OpEncrypt, "", Request{Data: plaintext, Additional: additional}))
	return a.IV, a.Data, Sighting(a.Text), err
}

// Decrypt decrypts what Encrypt answered. What does not decrypt is ErrInvalid.
func (c *Client) Decrypt(ctx context.Context, o Object, iv, ciphertext, additional []byte) (material.Bytes, error) {
	a, err := c.call(ctx, "Decrypt", o.request(OpDecrypt, "", Request{IV: iv, Data: ciphertext, Additional: additional}))
	return material.NewBytes(a.Data), err
}

// Sign signs a digest of 32 bytes.
func (c *Client) Sign(ctx context.Context, o Object, a material.Algorithm, digest []byte) ([]byte, error) {
	answer, err := c.call(ctx, "Sign", o.request(OpSign, string(a), Request{Data: digest}))
	return answer.Data, err
}

// Unwrap decrypts with a private key. What does not decrypt is ErrInvalid.
func (c *Client) Unwrap(ctx context.Context, o Object, a material.Algorithm, ciphertext []byte) (material.Bytes, error) {
	answer, err := c.call(ctx, "Unwrap", o.request(OpUnwrap, string(a), Request{Data: ciphertext}))
	return material.NewBytes(answer.Data), err
}

// Destroy destroys the keys of a label, for ever; with an id only that one. One that is
// not there is no error.
func (c *Client) Destroy(ctx context.Context, label string, id []byte) error {
	_, err := c.call(ctx, "Destroy", Request{Op: OpDestroy, Label: label, ID: id, Wait: useTime})
	return err
}

func (o Object) request(op Op, algorithm string, r Request) Request {
	r.Op, r.Label, r.ID, r.Spec, r.Algorithm = op, o.Label, o.ID, string(o.Spec), algorithm
	r.Wait = useTime
	if op == OpGenerate {
		r.Wait = generateTime
	}
	return r
}

func (c *Client) call(ctx context.Context, name string, r Request) (Answer, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, r.Wait)
	defer cancel()
	a, err := c.exchange(ctx, r)
	if err == nil {
		err = a.err()
	}
	if c.Note != nil {
		c.Note(name, time.Since(began), err)
	}
	return a, err
}

// exchange sends a request on a connection that is free. One that was idle may have died
// with an older helper: then a new one is made, but a key is not generated twice.
func (c *Client) exchange(ctx context.Context, r Request) (Answer, error) {
	var conn *net.UnixConn
	select {
	case conn = <-c.places:
	case <-ctx.Done():
		return Answer{}, fmt.Errorf("%w: too many calls wait for it: %w", ErrAway, ctx.Err())
	}
	var a Answer
	err := errors.New("not connected")
	if conn != nil && r.Op != OpGenerate {
		a, err = converse(ctx, conn, r)
	}
	if err != nil && ctx.Err() == nil {
		discard(conn)
		if conn, err = c.dial(ctx); err == nil {
			a, err = converse(ctx, conn, r)
		}
	}
	if err != nil {
		discard(conn)
		conn = nil
	}
	c.places <- conn
	if err != nil && !ErrFrame(err) {
		err = fmt.Errorf("%w: %w", ErrAway, err)
	}
	return a, err
}

func discard(conn *net.UnixConn) {
	if conn != nil {
		_ = conn.Close() // nothing is expected of it any more
	}
}

func (c *Client) dial(ctx context.Context) (*net.UnixConn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.Socket)
	if err != nil {
		return nil, err
	}
	u := conn.(*net.UnixConn)
	uid, err := PeerUser(u)
	if err == nil && !slices.Contains(c.Users, uid) {
		err = fmt.Errorf("the helper at %s runs as user %d, which pkcs11.users does not name", c.Socket, uid)
	}
	if err != nil {
		discard(u)
		return nil, err
	}
	return u, nil
}

// converse sends the request and reads its answer, until ctx ends. A connection on which
// it failed is of no further use.
func converse(ctx context.Context, conn *net.UnixConn, r Request) (Answer, error) {
	deadline, _ := ctx.Deadline() // there is one: call has set it
	if err := conn.SetDeadline(deadline); err != nil {
		return Answer{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // it is closed then
	defer stop()
	// The helper gives up a little earlier and says why.
	r.Wait = max(time.Until(deadline)*9/10, time.Millisecond)
	if err := WriteFrame(conn, r.Encode()); err != nil {
		return Answer{}, err
	}
	frame, err := ReadFrame(conn)
	if err != nil {
		return Answer{}, err
	}
	return ParseAnswer(frame)
}
