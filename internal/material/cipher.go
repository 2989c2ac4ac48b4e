package material

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/keyward/keyward/internal/fault"
)

// The fixed beginning of a ciphertext: magic, format version, suite, key, key version.
const (
	magic0, magic1 = 0x4B, 0x43 // "KC"
	formatVersion  = 1

	// HeaderSize is how many bytes of a ciphertext its [Header] takes.
	HeaderSize = 4 + 16 + 16
)

// A Header is the readable beginning of a ciphertext. It says which key version is
// needed; it is authenticated only once [Cipher.Open] has succeeded.
type Header struct {
	Suite   Suite
	Key     [16]byte
	Version [16]byte
}

// minimum answers how many bytes follow the header at least, 0 for an unknown suite.
func (s Suite) minimum() int {
	switch s {
	case SuiteAES, SuiteSM4, SuiteExternal:
		return Overhead
	case SuiteToken:
		return 1 + gcmOverhead // length of the IV, IV, tag
	}
	return 0
}

// Append appends the header as a ciphertext begins.
func (h Header) Append(b []byte) []byte {
	encoded := h.encode()
	return append(b, encoded[:]...)
}

// encode writes the header as a ciphertext begins.
func (h Header) encode() [HeaderSize]byte {
	encoded := [HeaderSize]byte{magic0, magic1, formatVersion, byte(h.Suite)}
	copy(encoded[4:20], h.Key[:])
	copy(encoded[20:36], h.Version[:])
	return encoded
}

// ParseHeader reads the header of a ciphertext. What is no ciphertext of a format
// version and suite known here, or too short to be one, is an InvalidCiphertext
// fault. There are no trailing bytes to refuse: all that follows is authenticated.
func ParseHeader(ciphertext []byte) (Header, error) {
	if len(ciphertext) < HeaderSize {
		return Header{}, errInvalidCiphertext()
	}
	if ciphertext[0] != magic0 || ciphertext[1] != magic1 || ciphertext[2] != formatVersion {
		return Header{}, errInvalidCiphertext()
	}
	h := Header{Suite: Suite(ciphertext[3])}
	if least := h.Suite.minimum(); least == 0 || len(ciphertext) < HeaderSize+least {
		return Header{}, errInvalidCiphertext()
	}
	copy(h.Key[:], ciphertext[4:20])
	copy(h.Version[:], ciphertext[20:36])
	return h, nil
}

// A Cipher encrypts and decrypts with one symmetric key version. It is prepared
// once and safe for concurrent use.
type Cipher struct {
	header Header
	aead   *AEAD
}

// NewCipher prepares a key of a symmetric spec; the key is copied. The ids of key
// and version go into each ciphertext. A key of another length than the spec's is
// an InvalidParameter fault.
func NewCipher(spec Spec, key Bytes, id, version [16]byte) (*Cipher, error) {
	if !spec.Symmetric() {
		return nil, fault.UnsupportedOperation.New("a key of spec %s does not encrypt symmetrically", spec)
	}
	row := spec.row()
	if key.Len() != row.bits/8 {
		return nil, fault.InvalidParameter.New("the key has %d bytes; spec %s needs %d", key.Len(), spec, row.bits/8)
	}
	aead, err := NewAEAD(row.suite, key)
	if err != nil {
		return nil, err
	}
	return &Cipher{header: Header{Suite: row.suite, Key: id, Version: version}, aead: aead}, nil
}

// Seal encrypts plaintext, which may be empty. The same context is needed to open
// the answer; it is not contained in it. The length of the answer is that of the
// plaintext plus 128 bytes. A context that is not UTF-8 is an InvalidParameter fault.
func (c *Cipher) Seal(plaintext []byte, ctx Context) ([]byte, error) {
	additional, err := ctx.Encode()
	if err != nil {
		return nil, err
	}
	header := c.header.encode()
	return c.aead.Seal(header[:], plaintext, additional)
}

// Open decrypts what Seal made. Whatever is wrong with the ciphertext, be it made
// for another key or context, altered, cut or extended, the answer is the same
// InvalidCiphertext fault after the same work; only a ciphertext whose readable
// header already names something else is refused earlier.
func (c *Cipher) Open(ciphertext []byte, ctx Context) (Bytes, error) {
	additional, err := ctx.Encode()
	if err != nil {
		return Bytes{}, err
	}
	header, err := ParseHeader(ciphertext)
	if err != nil {
		return Bytes{}, err
	}
	if header != c.header {
		return Bytes{}, errInvalidCiphertext()
	}
	plaintext, ok := c.aead.Open(HeaderSize, ciphertext, additional)
	if !ok {
		return Bytes{}, errInvalidCiphertext()
	}
	return plaintext, nil
}

// errInvalidCiphertext is the one answer to everything that does not decrypt.
func errInvalidCiphertext() error {
	return fault.InvalidCiphertext.New("the ciphertext is not valid for this key and encryption context; " +
		"check that it is complete and that the context is the one it was encrypted with")
}

// The sizes of a [Detached], in bytes.
const (
	detachedIVSize       = 16
	detachedTagSize      = 16
	detachedMetadataSize = 1 + 16 // format, key version
	maxDetachedSize      = 8192   // additional data

	detachedFormat = 1    // of the metadata
	detachedMagic1 = 0x58 // "KX", where a ciphertext begins with "KC"
)

// A Detached is a ciphertext in parts, for protocols that carry an IV and a tag beside a
// ciphertext as long as its plaintext, and have no room for the salt and the commitment that
// [Cipher.Seal] makes. docs/design/ciphertext.md specifies it.
type Detached struct {
	Metadata   []byte // names the key version
	IV         []byte
	Ciphertext []byte
	Tag        []byte
}

// DetachedVersion answers the key version that the metadata of a [Detached] names, and
// whether it is such metadata.
func DetachedVersion(metadata []byte) (version [16]byte, ok bool) {
	if len(metadata) != detachedMetadataSize || metadata[0] != detachedFormat {
		return version, false
	}
	return [16]byte(metadata[1:]), true
}

// SealDetached encrypts plaintext with AES-256-GCM, whatever the suite of the cipher: it is
// meant for keys of [AES256]. The additional data, of at most 8,192 bytes, or it
// is an InvalidParameter fault, must be known again to open it. Each message has its own
// key, derived with its random IV.
func (c *Cipher) SealDetached(plaintext, additional []byte) (Detached, error) {
	if len(additional) > maxDetachedSize {
		return Detached{}, fault.InvalidParameter.New("the additional data has %d bytes; at most %d are allowed", len(additional), maxDetachedSize)
	}
	d := Detached{Metadata: append([]byte{detachedFormat}, c.header.Version[:]...), IV: make([]byte, detachedIVSize)}
	rand.Read(d.IV)
	gcm, err := c.detachedGCM(d.IV)
	if err != nil {
		return Detached{}, err
	}
	sealed := gcm.Seal(nil, detachedNonce[:], plaintext, detachedData(additional, d.Metadata))
	d.Ciphertext, d.Tag = sealed[:len(plaintext):len(plaintext)], sealed[len(plaintext):]
	return d, nil
}

// OpenDetached decrypts what SealDetached made. Whatever is wrong, the answer is the same
// InvalidCiphertext fault.
func (c *Cipher) OpenDetached(d Detached, additional []byte) (Bytes, error) {
	version, ok := DetachedVersion(d.Metadata)
	if !ok || version != c.header.Version || len(d.IV) != detachedIVSize || len(d.Tag) != detachedTagSize || len(additional) > maxDetachedSize {
		return Bytes{}, errInvalidCiphertext()
	}
	gcm, err := c.detachedGCM(d.IV)
	if err != nil {
		return Bytes{}, err
	}
	sealed := append(d.Ciphertext[:len(d.Ciphertext):len(d.Ciphertext)], d.Tag...)
	plaintext, err := gcm.Open(nil, detachedNonce[:], sealed, detachedData(additional, d.Metadata))
	if err != nil {
		return Bytes{}, errInvalidCiphertext()
	}
	return NewBytes(plaintext), nil
}

// detachedNonce is the nonce of every message: no two messages have the same key.
var detachedNonce [12]byte

// detachedGCM answers the GCM of the one message that has this IV.
func (c *Cipher) detachedGCM(iv []byte) (cipher.AEAD, error) {
	header := c.header.encode()
	header[1] = detachedMagic1
	d := c.aead.derive(append(header[:], iv...))
	defer c.aead.release(d)
	block, err := aes.NewCipher(d.encryptionKey())
	if err != nil {
		return nil, fmt.Errorf("preparing AES: %w", err)
	}
	return cipher.NewGCM(block)
}

// detachedData is what GCM authenticates: both parts with their lengths, so that no byte can
// pass from one to the other.
func detachedData(additional, metadata []byte) []byte {
	b := make([]byte, 0, 2+len(additional)+1+len(metadata))
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(additional))), additional...)
	return append(append(b, byte(len(metadata))), metadata...)
}
