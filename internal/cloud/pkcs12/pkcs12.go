// Package pkcs12 opens PKCS#12 files (RFC 7292), which Windows, Java and certificate
// authorities call .pfx or .p12: a private key with its certificates, under a password.
//
// It reads what payment platforms and their authorities hand out, so it knows the old
// ciphers (RC2 and triple DES, which Windows wrote for decades) beside AES and SM4. It
// answers DER, and leaves to its caller what kind of key or certificate that is, so SM2
// keys come through. It writes nothing.
//
// A file comes from outside, and so does the cost that it asks for: the iterations of all
// its key derivations together are bounded, which no library that was looked at does.
// What is not DER but BER with indefinite lengths is refused.
//
// Who may call: the providers under package cloud. What is trusted: nothing of a file
// until its MAC fits the password.
package pkcs12

import (
	"bytes"
	"crypto/hmac"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"unicode/utf16"
)

// maxIterations bounds the work that one file may ask for: a few seconds.
const maxIterations = 3_000_000

// The errors of this package that a caller may want to tell from others.
var (
	// ErrPassword says that the password does not fit, or that the file was changed.
	ErrPassword = errors.New("the password does not open the PKCS#12 file")
	// ErrCost says that deriving the keys of a file would take too long.
	ErrCost = errors.New("the PKCS#12 file asks for too many iterations")
)

// Contents are what a file holds, in its order.
type Contents struct {
	Keys         [][]byte // PKCS#8, DER
	Certificates [][]byte // X.509, DER
}

// Is answers whether content looks like a PKCS#12 file: a sequence that begins with a
// version and not, as a certificate does, with a sequence.
func Is(content []byte) bool {
	var outer, first asn1.RawValue
	if _, err := asn1.Unmarshal(content, &outer); err != nil || outer.Tag != asn1.TagSequence || outer.Class != asn1.ClassUniversal {
		return false
	}
	rest, err := asn1.Unmarshal(outer.Bytes, &first)
	return err == nil && first.Tag == asn1.TagInteger && len(rest) > 0 && rest[0] == sequenceByte && bytes.Equal(first.Bytes, []byte{3})
}

const sequenceByte = 0x30 // the identifier of a sequence

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidEncryptedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}
	oidKeyBag        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 1}
	oidShroudedBag   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2}
	oidCertBag       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 3}
	oidSafeBag       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 6} // contents within contents
	oidX509          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 22, 1}
)

type (
	pfx struct {
		Version  int
		AuthSafe contentInfo
		MacData  macData `asn1:"optional"`
	}
	contentInfo struct {
		ContentType asn1.ObjectIdentifier
		Content     asn1.RawValue `asn1:"tag:0,explicit,optional"`
	}
	macData struct {
		Mac struct {
			Algorithm pkix.AlgorithmIdentifier
			Digest    []byte
		}
		Salt       []byte
		Iterations int `asn1:"optional,default:1"`
	}
	encryptedData struct {
		Version int
		Info    struct {
			ContentType asn1.ObjectIdentifier
			Algorithm   pkix.AlgorithmIdentifier
			Content     []byte `asn1:"tag:0,optional"`
		}
	}
	safeBag struct {
		ID         asn1.ObjectIdentifier
		Value      asn1.RawValue   `asn1:"tag:0,explicit"`
		Attributes []asn1.RawValue `asn1:"set,optional"`
	}
	certBag struct {
		ID   asn1.ObjectIdentifier
		Data []byte `asn1:"tag:0,explicit"`
	}
	encryptedKey struct {
		Algorithm pkix.AlgorithmIdentifier
		Content   []byte
	}
)

// An opening is one attempt to open a file.
type opening struct {
	password []byte // UTF-8, as PBES2 takes it
	wide     []byte // UTF-16 with a zero at its end, as the file's own derivation takes it
	left     int    // iterations that may still be made
	out      Contents
}

// Open answers what a file holds. An error wraps [ErrPassword] or [ErrCost], or tells what
// of the file is not understood; none holds a part of the file or of the password.
func Open(content, password []byte) (Contents, error) {
	var file pfx
	if err := unmarshal(content, &file); err != nil {
		return Contents{}, fmt.Errorf("reading the PKCS#12 file: %w", err)
	}
	if file.Version != 3 || !file.AuthSafe.ContentType.Equal(oidData) {
		return Contents{}, errors.New("reading the PKCS#12 file: it is not of version 3, or is protected by public keys")
	}
	var safe []byte
	if err := unmarshal(file.AuthSafe.Content.Bytes, &safe); err != nil {
		return Contents{}, fmt.Errorf("reading the PKCS#12 file: %w", err)
	}
	o := &opening{password: password, wide: widen(password), left: maxIterations}
	defer func() { clear(o.wide) }()
	if err := o.authenticate(file.MacData, safe); err != nil {
		return Contents{}, err
	}
	var infos []contentInfo
	if err := unmarshal(safe, &infos); err != nil {
		return Contents{}, fmt.Errorf("reading the PKCS#12 file: %w", err)
	}
	for _, info := range infos {
		bags, err := o.decrypted(info)
		if err == nil {
			err = o.collect(bags, 0)
		}
		if err != nil {
			return Contents{}, fmt.Errorf("reading the PKCS#12 file: %w", err)
		}
	}
	return o.out, nil
}

// authenticate checks the MAC of a file. A file without one is refused: nothing would tell
// a wrong password from a right one, or a changed file.
func (o *opening) authenticate(mac macData, safe []byte) error {
	if len(mac.Mac.Digest) == 0 {
		return errors.New("reading the PKCS#12 file: it has no MAC; export it again with a password")
	}
	h, err := digest(mac.Mac.Algorithm.Algorithm)
	if err != nil {
		return err
	}
	try := func() (bool, error) {
		key, err := o.derive(h, derivation{forMAC, mac.Salt, mac.Iterations, h().Size()})
		if err != nil {
			return false, err
		}
		m := hmac.New(h, key)
		m.Write(safe)
		return hmac.Equal(m.Sum(nil), mac.Mac.Digest), nil
	}
	ok, err := try()
	if err == nil && !ok && len(o.password) == 0 {
		o.wide = nil // some write no password as no bytes at all
		ok, err = try()
	}
	if err == nil && !ok {
		err = ErrPassword
	}
	return err
}

// decrypted answers the bags of one part of the file.
func (o *opening) decrypted(info contentInfo) ([]byte, error) {
	switch {
	case info.ContentType.Equal(oidData):
		var bags []byte
		err := unmarshal(info.Content.Bytes, &bags)
		return bags, err
	case info.ContentType.Equal(oidEncryptedData):
		var data encryptedData
		if err := unmarshal(info.Content.Bytes, &data); err != nil {
			return nil, err
		}
		return o.decrypt(data.Info.Algorithm, data.Info.Content)
	default:
		return nil, errors.New("a part of it is protected by public keys, which is not supported")
	}
}

// collect adds what bags hold to what was found; bags may hold bags, to a depth.
func (o *opening) collect(content []byte, depth int) error {
	var bags []safeBag
	if err := unmarshal(content, &bags); err != nil || depth > 4 {
		return errMalformed
	}
	for _, bag := range bags {
		var err error
		switch {
		case bag.ID.Equal(oidKeyBag):
			o.out.Keys = append(o.out.Keys, bag.Value.Bytes)
		case bag.ID.Equal(oidShroudedBag):
			err = o.unshroud(bag.Value.Bytes)
		case bag.ID.Equal(oidCertBag):
			var cert certBag
			if err = unmarshal(bag.Value.Bytes, &cert); err == nil && cert.ID.Equal(oidX509) {
				o.out.Certificates = append(o.out.Certificates, cert.Data)
			}
		case bag.ID.Equal(oidSafeBag):
			err = o.collect(bag.Value.Bytes, depth+1)
		} // revocation lists and secrets are passed over
		if err != nil {
			return err
		}
	}
	return nil
}

func (o *opening) unshroud(der []byte) error {
	var key encryptedKey
	if err := unmarshal(der, &key); err != nil {
		return err
	}
	plain, err := o.decrypt(key.Algorithm, key.Content)
	if err != nil {
		return err
	}
	o.out.Keys = append(o.out.Keys, plain)
	return nil
}

var errMalformed = errors.New("it is not well-formed DER; convert it with: openssl pkcs12 -in FILE -nodes, and export it again")

// unmarshal reads exactly one value. What the decoder says is left out: it would say
// nothing to a person, and what it read may be secret.
func unmarshal(der []byte, into any) error {
	if rest, err := asn1.Unmarshal(der, into); err != nil || len(rest) != 0 {
		return errMalformed
	}
	return nil
}

// widen answers a password as the derivation of RFC 7292 B.1 takes it.
func widen(password []byte) []byte {
	units := append(utf16.Encode([]rune(string(password))), 0)
	out := make([]byte, 0, 2*len(units))
	for _, u := range units {
		out = append(out, byte(u>>8), byte(u))
	}
	return out
}
