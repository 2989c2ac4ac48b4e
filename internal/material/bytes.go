package material

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Bytes is a secret. Every formatter and encoder sees "[redacted]"; the content
// leaves only through [Bytes.Expose]. A copy of a Bytes is the same secret, not a
// second one. The zero value is an empty secret. Compare with [Bytes.Equal]; the
// operator == does not compile.
type Bytes struct {
	// A function, because package fmt does not let the unexported fields of other
	// structs format themselves: it walks into them, through pointers too, and
	// stops only here.
	content func() *[]byte
}

// NewBytes makes a secret of b and takes ownership: the caller must not use b again.
func NewBytes(b []byte) Bytes { return Bytes{content: func() *[]byte { return &b }} }

// Random makes a secret of n bytes from the operating system's generator.
func Random(n int) Bytes {
	b := make([]byte, n)
	rand.Read(b) // never fails: the runtime ends the process instead
	return NewBytes(b)
}

// Expose answers the secret itself, not a copy. Every call of it deserves a look in review.
func (b Bytes) Expose() []byte {
	if b.content == nil {
		return nil
	}
	return *b.content()
}

// Len answers the length in bytes.
func (b Bytes) Len() int { return len(b.Expose()) }

// Equal compares in time that depends on the lengths only.
func (b Bytes) Equal(other Bytes) bool {
	return subtle.ConstantTimeCompare(b.Expose(), other.Expose()) == 1
}

// Zero overwrites the secret and empties it and all its copies. Nobody else may be
// using the secret at that moment.
func (b Bytes) Zero() {
	if b.content == nil {
		return
	}
	content := b.content()
	clear(*content)
	*content = nil
}

// Format writes "[redacted]" for every verb.
func (b Bytes) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String answers "[redacted]".
func (b Bytes) String() string { return redacted }

// LogValue answers "[redacted]".
func (b Bytes) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText answers "[redacted]"; encoding/json, encoding/xml and TOML encoders use it.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalBinary answers "[redacted]"; encoding/gob uses it.
func (b Bytes) MarshalBinary() ([]byte, error) { return []byte(redacted), nil }

// Digest answers the SHA-256 of the secret, which is a secret if it can be guessed.
func (b Bytes) Digest() []byte {
	sum := sha256.Sum256(b.Expose())
	return sum[:]
}
