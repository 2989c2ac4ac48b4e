package xks

import (
	"context"
	"crypto/sha256"
	"encoding/binary"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/material"
	protocol "github.com/keyward/keyward/internal/xks"
)

// A Cipher is one version of a key for which an external key works, too. It implements
// [key.Cipher]; docs/design/ciphertext.md specifies what it makes.
//
// A message has a random key of its own. That is encrypted by Inner, whose material is kept
// here, and the outcome by the external key. What the manager answers must open with Inner, so
// that no answer of another key, or for another message, is believed.
type Cipher struct {
	Client   *Client
	Origin   Origin
	External string // id of the key at the manager
	Inner    key.Cipher
	Header   material.Header // of this version, with [material.SuiteExternal]
}

// Seal implements [key.Cipher].
func (c *Cipher) Seal(ctx context.Context, plaintext []byte, of material.Context) ([]byte, error) {
	header, data, additional, err := c.bind(of)
	if err != nil {
		return nil, err
	}
	own := material.Random(32)
	defer own.Zero()
	inner, err := c.Inner.Seal(ctx, own.Expose(), of)
	if err != nil {
		return nil, err
	}
	outer, err := c.Client.encrypt(ctx, c.Origin, c.External, inner, data)
	if err != nil {
		return nil, err
	}
	aead, err := material.NewAEAD(material.SuiteAES, own)
	if err != nil {
		return nil, err
	}
	return aead.Seal(appendOuter(header, outer), plaintext, additional)
}

// Open implements [key.Cipher].
func (c *Cipher) Open(ctx context.Context, ciphertext []byte, of material.Context) (material.Bytes, error) {
	_, data, additional, err := c.bind(of)
	if err != nil {
		return material.Bytes{}, err
	}
	header, err := material.ParseHeader(ciphertext)
	if err != nil {
		return material.Bytes{}, err
	}
	outer, size, ok := parseOuter(ciphertext)
	if header != c.Header || !ok {
		return material.Bytes{}, errInvalid()
	}
	inner, err := c.Client.decrypt(ctx, c.Origin, c.External, outer, data)
	defer inner.Zero()
	if err != nil {
		return material.Bytes{}, err
	}
	own, err := c.Inner.Open(ctx, inner.Expose(), of)
	defer own.Zero()
	if fault.Is(err, fault.InvalidCiphertext) {
		return material.Bytes{}, fault.KeyUnavailable.New("the external key manager answers something else than was encrypted; nothing was decrypted, tell its administrator")
	}
	if err != nil {
		return material.Bytes{}, err
	}
	aead, err := material.NewAEAD(material.SuiteAES, own)
	if err != nil {
		return material.Bytes{}, err
	}
	plaintext, ok := aead.Open(size, ciphertext, additional)
	if !ok {
		return material.Bytes{}, errInvalid()
	}
	return plaintext, nil
}

// bind answers the header, the additional data for the manager, which learns nothing of the
// context from it, and that of the message itself.
func (c *Cipher) bind(of material.Context) (header, data, additional []byte, err error) {
	if additional, err = of.Encode(); err != nil {
		return nil, nil, nil, err
	}
	header = c.Header.Append(nil)
	sum := sha256.Sum256(append(header[:len(header):len(header)], additional...))
	return header, sum[:], additional, nil
}

func errInvalid() error {
	return fault.InvalidCiphertext.New("the ciphertext is not valid for this key and encryption context")
}

// appendOuter appends what the manager answered, every part with its length.
func appendOuter(b []byte, r protocol.EncryptResponse) []byte {
	for _, part := range [][]byte{r.CiphertextMetadata, r.IV, r.Tag, r.Ciphertext} {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(part))), part...)
	}
	return b
}

// parseOuter reads what appendOuter wrote behind a header, and answers where it ends.
func parseOuter(ciphertext []byte) (r protocol.EncryptResponse, size int, ok bool) {
	size = material.HeaderSize
	for _, part := range []*[]byte{&r.CiphertextMetadata, &r.IV, &r.Tag, &r.Ciphertext} {
		if len(ciphertext) < size+2 {
			return r, 0, false
		}
		n := int(binary.BigEndian.Uint16(ciphertext[size:]))
		if size += 2; len(ciphertext) < size+n {
			return r, 0, false
		}
		*part = ciphertext[size : size+n]
		size += n
	}
	return r, size, true
}
