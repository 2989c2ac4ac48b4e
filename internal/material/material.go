// Package material holds key material and everything that is computed with it:
// symmetric encryption, signatures, public-key encryption, key generation.
//
// Secret bytes travel as [Bytes], which redacts itself under every formatter and
// encoder; the real bytes leave only through [Bytes.Expose], so that a search for
// that word finds every place that touches them.
//
// The pieces, from the bottom up:
//
//   - [AEAD] is the one authenticated encryption of the product: a fresh key and a
//     key commitment for each message. [Cipher] builds the ciphertext that callers
//     of the KMS receive on it; package seal builds the wrapped blobs of the
//     database on it. docs/design/ciphertext.md specifies both byte by byte.
//   - [Private] and [Public] are the two halves of an asymmetric key. What a [Spec]
//     can do is one table; asking for another [Algorithm] is an
//     UnsupportedOperation fault.
//   - [Wrapping] is how key material of others comes in; [SealTo] is how a value goes to
//     one machine, and [Proves] how that machine shows that it has it.
//   - [Wrapper] is what domain packages use to protect material at rest. They never
//     see the key that protects it; package seal implements it.
//
// The package stores nothing, reads no clock and keeps no global state. Inputs
// from outside (ciphertexts, contexts, signatures, encoded keys) are not trusted;
// key material handed in by a [Wrapper] was authenticated by it. Errors never
// contain material. All types are safe for concurrent use unless they say otherwise.
package material

import "encoding/binary"

// A Wrapper protects material at rest under the key of one tenant. The binding,
// made with [Binding], names the place where the result is stored; Unwrap succeeds
// only with the binding that Wrap was given, so a wrapped blob cannot be moved to
// another row. Implementations are safe for concurrent use. Once the server is
// sealed both answer a Sealed fault; a blob that was altered or moved is an error
// without a kind, because no caller can cause it and an operator must look.
type Wrapper interface {
	Wrap(binding []byte, m Bytes) ([]byte, error)
	Unwrap(binding, wrapped []byte) (Bytes, error)
}

// Binding encodes a tuple of fields so that no two tuples share an encoding: each
// field is preceded by its length in bytes as a big-endian uint32. The first field
// names the kind of tuple, for example "kms-row/v1".
func Binding(fields ...string) []byte {
	size := 0
	for _, f := range fields {
		size += 4 + len(f)
	}
	encoded := make([]byte, 0, size)
	for _, f := range fields {
		encoded = appendField(encoded, f)
	}
	return encoded
}

func appendField(encoded []byte, field string) []byte {
	encoded = binary.BigEndian.AppendUint32(encoded, uint32(len(field)))
	return append(encoded, field...)
}
