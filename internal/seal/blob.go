package seal

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/keyward/keyward/internal/material"
)

// A blob is how every wrapped value is stored:
//
//	off  len  field
//	0    2    magic 0x4B 0x57 ("KW")
//	2    1    format version = 1
//	3    1    kind: what is inside
//	4    4    epoch of the key that sealed it, big endian; 0 if that key has none
//	8    …    sealed message of material.AEAD, suite 1, with these 8 bytes as
//	          prefix and the place where the blob belongs as additional data

const (
	blobMagic      = "KW"
	blobVersion    = 1
	blobHeaderSize = 8
)

// A kind says what a blob holds, and so under which key. Numbers are never reused; 7 is taken.
type kind byte

const (
	rootKind      kind = 1 // root key under the key of an envelope
	masterKind    kind = 2 // master secret under the root key
	tenantKind    kind = 3 // tenant key under the epoch's KEK
	materialKind  kind = 4 // material under a tenant key
	auditSignKind kind = 5 // of AuditSign
	tokenKind     kind = 6 // of Token
)

// sealingKinds are the labels for SealBytes and OpenBytes.
var sealingKinds = map[Label]kind{AuditSign: auditSignKind, Token: tokenKind}

var errDamaged = errors.New("the blob was altered, or does not belong here, or is under another key")

// seal makes a blob of m under key; the blob opens only with the same binding.
func (k kind) seal(key material.Bytes, epoch uint32, binding []byte, m material.Bytes) ([]byte, error) {
	aead, err := material.NewAEAD(material.SuiteAES, key)
	if err != nil {
		return nil, err
	}
	return k.sealWith(aead, epoch, binding, m)
}

func (k kind) sealWith(aead *material.AEAD, epoch uint32, binding []byte, m material.Bytes) ([]byte, error) {
	header := append([]byte(blobMagic), blobVersion, byte(k))
	header = binary.BigEndian.AppendUint32(header, epoch)
	return aead.Seal(header, m.Expose(), binding)
}

// open opens a blob of this kind.
func (k kind) open(key material.Bytes, binding, blob []byte) (material.Bytes, error) {
	aead, err := material.NewAEAD(material.SuiteAES, key)
	if err != nil {
		return material.Bytes{}, err
	}
	return k.openWith(aead, binding, blob)
}

func (k kind) openWith(aead *material.AEAD, binding, blob []byte) (material.Bytes, error) {
	if _, err := k.epoch(blob); err != nil {
		return material.Bytes{}, err
	}
	m, ok := aead.Open(blobHeaderSize, blob, binding)
	if !ok {
		return material.Bytes{}, errDamaged
	}
	return m, nil
}

// epoch reads the header of a blob of this kind and answers its epoch, which is
// authenticated only once the blob has been opened.
func (k kind) epoch(blob []byte) (uint32, error) {
	if len(blob) < blobHeaderSize+material.Overhead || string(blob[:2]) != blobMagic {
		return 0, errors.New("the bytes are no blob")
	}
	if blob[2] != blobVersion {
		return 0, fmt.Errorf("the blob has format version %d; a newer keyward wrote it", blob[2])
	}
	if kind(blob[3]) != k {
		return 0, fmt.Errorf("the blob is of kind %d instead of %d", blob[3], k)
	}
	return binary.BigEndian.Uint32(blob[4:]), nil
}
