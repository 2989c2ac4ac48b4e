package vectors_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"

	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/sm4"

	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/material/mac"
)

// primitives are what a suite of material.AEAD is made of.
type primitives struct {
	suite   material.Suite
	keySize int // bytes of the block cipher's key
	hash    func() hash.Hash
	block   func(key []byte) (cipher.Block, error)
}

var (
	aesSuite = primitives{material.SuiteAES, 32, sha256.New, aes.NewCipher}
	sm4Suite = primitives{material.SuiteSM4, 16, sm3.New, sm4.NewCipher}
)

func (p primitives) gcm(key []byte) (cipher.AEAD, error) {
	block, err := p.block(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// A message is what the format of docs/design/ciphertext.md says of one message.
type message struct{ prefix, nonce, plaintext, additional []byte }

// seal makes a message by the specification, without package material.
func (p primitives) seal(key []byte, m message) (head, sealed []byte, err error) {
	salt := sha256.Sum256(binary.BigEndian.AppendUint64(slices.Concat(key, m.nonce, m.additional), uint64(len(m.plaintext))))
	salted := slices.Concat(m.prefix, salt[:])
	derived, err := hkdf.Expand(p.hash, key, "kms/enc/v1"+string(salted), 64)
	if err != nil {
		return nil, nil, err
	}
	gcm, err := p.gcm(derived[:p.keySize])
	if err != nil {
		return nil, nil, err
	}
	head = append(salted, derived[32:]...)
	return head, gcm.Seal(nil, m.nonce, m.plaintext, slices.Concat(head, m.additional)), nil
}

// openAEAD runs a case twice: with the library's GCM, as package material sets it up, and
// with an AEAD that has the vector's key. What the vector's ciphertext and tag differ in
// from the right ones is, there, a difference of keyward's message from the right one.
func openAEAD(p primitives) operation {
	return func(g group) (func(testCase) answer, error) {
		if g.IVSize != 96 {
			return skip("keyward's GCM nonces have 96 bits")
		}
		return func(c testCase) answer {
			m := message{prefix: []byte(c.Comment), nonce: c.IV, plaintext: c.Msg, additional: c.AAD}
			if g.Type == "MacWithIvTest" {
				m.plaintext, m.additional = nil, c.Msg
			}
			a, err := p.open(c.Key, m, slices.Concat(c.CT, c.Tag))
			if err != nil {
				a.wrong = err.Error()
			}
			return a
		}, nil
	}
}

func (p primitives) open(key []byte, m message, ciphertext []byte) (answer, error) {
	gcm, err := p.gcm(key)
	if err != nil {
		return answer{}, err
	}
	opened, err := gcm.Open(nil, m.nonce, ciphertext, m.additional)
	accepted := err == nil && bytes.Equal(opened, m.plaintext)

	right := gcm.Seal(nil, m.nonce, m.plaintext, m.additional)
	if len(right) != len(ciphertext) {
		return answer{}, fmt.Errorf("the ciphertext has %d bytes, the right one %d", len(ciphertext), len(right))
	}
	flaw := make([]byte, len(right))
	subtle.XORBytes(flaw, right, ciphertext)
	if err := p.holds(key, m, flaw); err != nil {
		return answer{}, err
	}
	return answer{accepted: accepted}, nil
}

// holds tells whether an AEAD opens a message exactly if the flaw is zero, and whether the
// specification opens what it sealed.
func (p primitives) holds(key []byte, m message, flaw []byte) error {
	aead, err := material.NewAEAD(p.suite, material.NewBytes(bytes.Clone(key)))
	if err != nil {
		return err
	}
	head, sealed, err := p.seal(key, m)
	if err != nil {
		return err
	}
	flawless := !slices.ContainsFunc(flaw, func(b byte) bool { return b != 0 })
	subtle.XORBytes(sealed, sealed, flaw)
	opened, ok := aead.Open(len(m.prefix), slices.Concat(head, m.nonce, sealed), m.additional)
	if ok != flawless {
		return fmt.Errorf("keyward's AEAD opens the message: %v", ok)
	}
	if ok && !bytes.Equal(opened.Expose(), m.plaintext) {
		return fmt.Errorf("keyward's AEAD opens the message to another plaintext")
	}
	return nil
}

// derives tells whether an AEAD with the key derives what HKDF-Expand derives from it, with
// the text as a part of the info.
func (p primitives) derives(key, text []byte) error {
	m := message{prefix: text, nonce: make([]byte, 12), plaintext: []byte("plaintext")}
	return p.holds(key, m, make([]byte, len(m.plaintext)+16))
}

func deriveHKDF(group) (func(testCase) answer, error) {
	return func(c testCase) answer {
		extracted, err := hkdf.Extract(sha256.New, c.IKM, c.Salt)
		if err != nil {
			return answer{wrong: err.Error()}
		}
		if err := aesSuite.derives(extracted, c.Info); err != nil {
			return answer{wrong: err.Error()}
		}
		okm, err := hkdf.Expand(sha256.New, extracted, string(c.Info), c.Size)
		return answer{accepted: err == nil && bytes.Equal(okm, c.OKM)}
	}, nil
}

// computeHMAC also holds the derivation of the suites with the key, if it can be one of theirs.
func computeHMAC(spec material.Spec, hash func() hash.Hash, suites ...primitives) operation {
	return func(group) (func(testCase) answer, error) {
		return func(c testCase) answer {
			for _, p := range suites {
				if len(c.Key) < 16 || len(c.Key) > 64 {
					continue // no key of an AEAD
				}
				if err := p.derives(c.Key, c.Msg); err != nil {
					return answer{wrong: err.Error()}
				}
			}
			h := hmac.New(hash, c.Key)
			h.Write(c.Msg)
			accepted := len(c.Tag) > 0 && bytes.Equal(h.Sum(nil)[:len(c.Tag)], c.Tag)
			if spec != "" && len(c.Key) == spec.KeySize() {
				whole := len(c.Tag) == spec.KeySize()
				if own, err := verifies(spec, c); err != nil || own != (accepted && whole) {
					return answer{wrong: fmt.Sprintf("package mac answers %v, %v", own, err)}
				}
			}
			return answer{accepted: accepted}
		}, nil
	}
}

// verifies has package mac verify a case whose key has the length of the spec.
func verifies(spec material.Spec, c testCase) (bool, error) {
	key, err := mac.New(spec, material.NewBytes(bytes.Clone(c.Key)))
	return err == nil && key.Verify(c.Msg, c.Tag), err
}

// verifyMAC runs the cases whose key has the length of the spec.
func verifyMAC(spec material.Spec) operation {
	return func(group) (func(testCase) answer, error) {
		return func(c testCase) answer {
			if len(c.Key) != spec.KeySize() {
				return answer{skipped: "the key of an HMAC spec is as long as its MAC"}
			}
			accepted, err := verifies(spec, c)
			if err != nil {
				return answer{wrong: err.Error()}
			}
			a := answer{accepted: accepted}
			if len(c.Tag) < spec.KeySize() {
				a.mayRefuse = "keyward takes whole MACs only"
			}
			return a
		}, nil
	}
}
