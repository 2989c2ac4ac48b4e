// Package agefile encrypts files of any size under keys that never leave keyward.
//
// A file is an age v1 file (age-encryption.org/v1). Its random file key of 16 bytes
// is wrapped by the server, once for each key that may open it, and stands in the
// header in a stanza of keyward's own:
//
//	-> keyward <key id>
//	<ciphertext of the file key, as the server answered it>
//
// The file key exists only in this process while a file is read or written; the
// content never reaches the server. Everything else, the header's MAC and the
// authentication of each 64 KiB of content and of its end, is age's.
//
// Who may call: the command line. What is trusted: the server behind the [Wrapper].
// Nothing in a file is: no byte of it is passed on before it was authenticated. What
// a file does not prove is who made it, for whoever may encrypt with the key can.
//
// [SealText] is for package custody: it encrypts shares of the root key to the age
// recipients of people, who open them without keyward.
package agefile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
)

// StanzaType marks keyward's recipients in the header of a file.
const StanzaType = "keyward"

// MaxKeys is how many keys one file may be encrypted to, and so how many calls to the
// server a file can cause.
const MaxKeys = 20

const (
	fileKeySize = 16 // bytes; fixed by age
	maxKeyID    = 256
	bufferSize  = 64 << 10 // one chunk of age
)

// A Wrapper has file keys wrapped and unwrapped by the server. Its methods may be
// called more than once for one file, one after the other.
type Wrapper interface {
	// Wrap encrypts a file key with the key that is named (id, alias or ARN) and answers
	// the id of that key with the ciphertext.
	Wrap(ctx context.Context, key string, fileKey []byte) (keyID string, blob []byte, err error)
	// Unwrap decrypts what Wrap answered. keyID comes from the file, unauthenticated:
	// the ciphertext alone says which key it needs.
	Unwrap(ctx context.Context, keyID string, blob []byte) (fileKey []byte, err error)
}

// What is wrong with a file.
var (
	ErrFormat  = errors.New("this is no age file, or its header is damaged")
	ErrForeign = errors.New("this age file was not encrypted with a key of keyward")
	ErrDamaged = errors.New("the file was changed or cut off after it was encrypted")
)

// A Refusal is why one key did not open a file.
type Refusal struct {
	KeyID string // as the file names it
	Err   error
}

// A RefusedError says that none of a file's keys opened it, and for each of them why.
type RefusedError struct{ Refusals []Refusal }

func (e *RefusedError) Error() string {
	reasons := make([]string, len(e.Refusals))
	for i, r := range e.Refusals {
		reasons[i] = fmt.Sprintf("%s: %v", r.KeyID, r.Err)
	}
	return "no key of the file opened it: " + strings.Join(reasons, "; ")
}

// Unwrap answers the reasons.
func (e *RefusedError) Unwrap() []error {
	reasons := make([]error, len(e.Refusals))
	for i, r := range e.Refusals {
		reasons[i] = r.Err
	}
	return reasons
}

// Encrypt writes src to dst as an age file that each of the keys alone can open. It
// uses constant memory. After an error dst holds nothing of use.
func Encrypt(ctx context.Context, dst io.Writer, src io.Reader, w Wrapper, keys []string) error {
	if len(keys) == 0 || len(keys) > MaxKeys {
		return fmt.Errorf("encrypting a file: it takes 1 to %d keys, not %d", MaxKeys, len(keys))
	}
	var recipients []age.Recipient
	for _, key := range keys {
		recipients = append(recipients, recipient{ctx, w, key})
	}
	out, err := age.Encrypt(dst, recipients...)
	if err != nil {
		return fmt.Errorf("encrypting a file: %w", err)
	}
	if err := transfer(ctx, out, src); err != nil {
		return fmt.Errorf("encrypting a file: %w", err)
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("encrypting a file: %w", err)
	}
	return nil
}

// Decrypt writes the content of the age file src to dst. It uses constant memory and
// writes only what was authenticated, but learns of a missing end at the end: after
// an error dst may hold the beginning of the content and must be discarded.
//
// The keys are tried in the order of the file. The error wraps [ErrFormat],
// [ErrForeign] or [ErrDamaged] when the file is at fault and is a [*RefusedError]
// when no key opened it.
func Decrypt(ctx context.Context, dst io.Writer, src io.Reader, w Wrapper) error {
	in := &source{r: src}
	id := &identity{ctx: ctx, w: w}
	content, err := age.Decrypt(in, id)
	if err != nil {
		return id.explain(in)
	}
	return transfer(ctx, dst, damaged{content, in})
}

// transfer copies until the end or until ctx ends.
func transfer(ctx context.Context, dst io.Writer, src io.Reader) error {
	buffer := make([]byte, bufferSize)
	defer clear(buffer)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := src.Read(buffer)
		if n > 0 {
			if _, err := dst.Write(buffer[:n]); err != nil {
				return fmt.Errorf("writing: %w", err)
			}
		}
		if err == io.EOF { // bare, as io.Reader wants it: a wrapped one is a failure
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading: %w", err)
		}
	}
}

// A source remembers why it could not be read, so that a failing disk is told from a
// damaged file.
type source struct {
	r      io.Reader
	failed error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.failed = err
	}
	return n, err
}

// damaged is the content of a file; whatever age has against it is ErrDamaged.
type damaged struct {
	content io.Reader
	in      *source
}

func (d damaged) Read(p []byte) (int, error) {
	n, err := d.content.Read(p)
	if err == nil || err == io.EOF { // age answers io.EOF itself at an authenticated end, and only there
		return n, err
	}
	if d.in.failed != nil {
		return n, d.in.failed
	}
	return n, ErrDamaged
}

// A recipient is one key on its way into a header.
type recipient struct {
	ctx context.Context // age's interface has no place for it
	w   Wrapper
	key string
}

// Wrap implements age.Recipient.
func (r recipient) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	id, blob, err := r.w.Wrap(r.ctx, r.key, fileKey)
	if err != nil {
		return nil, err
	}
	if !validKeyID(id) {
		return nil, errors.New("the server answered a key id that does not fit into a file")
	}
	return []*age.Stanza{{Type: StanzaType, Args: []string{id}, Body: blob}}, nil
}

// validKeyID tells whether id can stand in a header.
func validKeyID(id string) bool {
	return id != "" && len(id) <= maxKeyID && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' })
}

// An identity opens headers with whichever key the server lets it use.
type identity struct {
	ctx    context.Context // age's interface has no place for it
	w      Wrapper
	asked  bool  // the header could be read
	failed error // what Unwrap answered
}

// Unwrap implements age.Identity.
func (i *identity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	i.asked = true
	fileKey, err := i.unwrap(stanzas)
	i.failed = err
	return fileKey, err
}

func (i *identity) unwrap(stanzas []*age.Stanza) ([]byte, error) {
	ours := slices.DeleteFunc(slices.Clone(stanzas), func(s *age.Stanza) bool { return s.Type != StanzaType })
	if len(ours) == 0 {
		return nil, ErrForeign
	}
	if len(ours) > MaxKeys {
		return nil, ErrFormat
	}
	refused := &RefusedError{}
	for _, s := range ours {
		if len(s.Args) != 1 || !validKeyID(s.Args[0]) {
			return nil, ErrFormat
		}
		fileKey, err := i.w.Unwrap(i.ctx, s.Args[0], s.Body)
		if stopped := i.ctx.Err(); stopped != nil {
			return nil, stopped
		}
		if err == nil && len(fileKey) == fileKeySize {
			return fileKey, nil
		}
		if err == nil {
			err = ErrDamaged // a ciphertext of something else was put there
		}
		refused.Refusals = append(refused.Refusals, Refusal{KeyID: s.Args[0], Err: err})
	}
	return nil, refused
}

// explain says what age has against a header. Its own texts quote the file, which may
// be somebody's secret that was given by mistake.
func (i *identity) explain(in *source) error {
	var err error
	switch {
	case in.failed != nil:
		err = fmt.Errorf("reading: %w", in.failed)
	case !i.asked:
		err = ErrFormat
	case i.failed != nil:
		err = i.failed
	default:
		err = ErrDamaged
	}
	return fmt.Errorf("decrypting a file: %w", err)
}
