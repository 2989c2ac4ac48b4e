package pkcs12

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"

	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/sm4"
)

// What a derived key is for; RFC 7292 B.3.
const (
	forKey byte = 1
	forIV  byte = 2
	forMAC byte = 3
)

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
)

// legacy are the ciphers of RFC 7292 appendix C, whose keys come from the file's own derivation with SHA-1.
var legacy = []struct {
	oid   asn1.ObjectIdentifier
	size  int // of the key, in bytes
	block func(key []byte) (cipher.Block, error)
}{
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 3}, 24, des.NewTripleDESCipher},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 5}, 16, newRC2},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 6}, 5, newRC2},
}

// modern are the ciphers of PBES2 (RFC 8018 B.2), all with CBC.
var modern = []struct {
	oid   asn1.ObjectIdentifier
	size  int
	block func(key []byte) (cipher.Block, error)
}{
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}, 16, aes.NewCipher},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 22}, 24, aes.NewCipher},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}, 32, aes.NewCipher},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}, 24, des.NewTripleDESCipher},
	{asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 104, 2}, 16, sm4.NewCipher},
}

// digests are the hash functions of MACs, each beside its HMAC as PBKDF2 names it.
var digests = []struct {
	hash, hmac asn1.ObjectIdentifier
	make       func() hash.Hash
}{
	{asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 7}, sha1.New},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}, sha256.New},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}, asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 10}, sha512.New384},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}, asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 11}, sha512.New},
	{asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 401}, asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 401, 2}, sm3.New},
}

func digest(oid asn1.ObjectIdentifier) (func() hash.Hash, error) {
	for _, d := range digests {
		if oid.Equal(d.hash) || oid.Equal(d.hmac) {
			return d.make, nil
		}
	}
	return nil, fmt.Errorf("the hash function %s of the PKCS#12 file is not supported", oid)
}

// decrypt opens what is encrypted with a key from the password.
func (o *opening) decrypt(algorithm pkix.AlgorithmIdentifier, content []byte) ([]byte, error) {
	if algorithm.Algorithm.Equal(oidPBES2) {
		return o.decryptPBES2(algorithm.Parameters.FullBytes, content)
	}
	for _, c := range legacy {
		if !algorithm.Algorithm.Equal(c.oid) {
			continue
		}
		var params struct {
			Salt       []byte
			Iterations int
		}
		if err := unmarshal(algorithm.Parameters.FullBytes, &params); err != nil {
			return nil, err
		}
		key, err := o.derive(sha1.New, derivation{forKey, params.Salt, params.Iterations, c.size})
		if err != nil {
			return nil, err
		}
		iv, err := o.derive(sha1.New, derivation{forIV, params.Salt, params.Iterations, des.BlockSize})
		if err != nil {
			return nil, err
		}
		return decryptCBC(c.block, key, iv, content)
	}
	return nil, fmt.Errorf("its cipher %s is not supported; export it again with AES-256", algorithm.Algorithm)
}

// decryptPBES2 opens what is encrypted by RFC 8018 6.2 with PBKDF2.
func (o *opening) decryptPBES2(parameters, content []byte) ([]byte, error) {
	var params struct{ KDF, Cipher pkix.AlgorithmIdentifier }
	if err := unmarshal(parameters, &params); err != nil {
		return nil, err
	}
	var kdf struct {
		Salt       []byte
		Iterations int
		Length     int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
	}
	if !params.KDF.Algorithm.Equal(oidPBKDF2) {
		return nil, fmt.Errorf("its key derivation %s is not supported; export it again with PBKDF2", params.KDF.Algorithm)
	}
	if err := unmarshal(params.KDF.Parameters.FullBytes, &kdf); err != nil {
		return nil, err
	}
	h := sha1.New // what PBKDF2 means if it names none
	if len(kdf.PRF.Algorithm) > 0 {
		var err error
		if h, err = digest(kdf.PRF.Algorithm); err != nil {
			return nil, err
		}
	}
	for _, c := range modern {
		if !params.Cipher.Algorithm.Equal(c.oid) {
			continue
		}
		var iv []byte
		if err := unmarshal(params.Cipher.Parameters.FullBytes, &iv); err != nil {
			return nil, err
		}
		if err := o.spend(kdf.Iterations, c.size, h().Size()); err != nil {
			return nil, err
		}
		key, err := pbkdf2.Key(h, string(o.password), kdf.Salt, kdf.Iterations, c.size)
		if err != nil {
			return nil, errors.New("deriving its key is refused by this machine's rules for cryptography")
		}
		return decryptCBC(c.block, key, iv, content)
	}
	return nil, fmt.Errorf("its cipher %s is not supported; export it again with AES-256", params.Cipher.Algorithm)
}

// decryptCBC decrypts and takes the padding of RFC 8018 6.1.1 away. The MAC was checked
// before, so there is nobody whom the padding could tell something.
func decryptCBC(block func([]byte) (cipher.Block, error), key, iv, content []byte) ([]byte, error) {
	b, err := block(key)
	clear(key)
	if err != nil {
		return nil, errMalformed
	}
	size := b.BlockSize()
	if len(iv) != size || len(content) == 0 || len(content)%size != 0 {
		return nil, errMalformed
	}
	plain := make([]byte, len(content))
	cipher.NewCBCDecrypter(b, iv).CryptBlocks(plain, content)
	n := int(plain[len(plain)-1])
	if n == 0 || n > size || !bytes.Equal(plain[len(plain)-n:], bytes.Repeat([]byte{byte(n)}, n)) {
		return nil, ErrPassword
	}
	return plain[:len(plain)-n], nil
}

// spend takes the iterations of one derivation from what the file may ask for.
func (o *opening) spend(iterations, size, hashSize int) error {
	blocks := (size + hashSize - 1) / hashSize
	if iterations < 1 || iterations > o.left/blocks {
		return ErrCost
	}
	o.left -= iterations * blocks
	return nil
}

// A derivation is what a key is derived for and from.
type derivation struct {
	purpose    byte
	salt       []byte
	iterations int
	size       int
}

// derive derives a key from the password by RFC 7292 B.2.
func (o *opening) derive(h func() hash.Hash, d derivation) ([]byte, error) {
	if err := o.spend(d.iterations, d.size, h().Size()); err != nil {
		return nil, err
	}
	v := h().BlockSize()
	fill := func(text []byte) []byte { // repeats it to whole blocks
		if len(text) == 0 {
			return nil
		}
		n := (len(text) + v - 1) / v * v
		return bytes.Repeat(text, n/len(text)+1)[:n]
	}
	diversifier := bytes.Repeat([]byte{d.purpose}, v)
	input := append(fill(d.salt), fill(o.wide)...)
	defer clear(input)
	var out []byte
	for len(out) < d.size {
		sum := h()
		sum.Write(diversifier)
		sum.Write(input)
		a := sum.Sum(nil)
		for range d.iterations - 1 {
			sum.Reset()
			sum.Write(a)
			a = sum.Sum(a[:0])
		}
		out = append(out, a...)
		b := fill(a)[:v]
		for at := 0; at < len(input); at += v { // each block grows by b and one
			carry := 1
			for i := v - 1; i >= 0; i-- {
				carry += int(input[at+i]) + int(b[i])
				input[at+i] = byte(carry)
				carry >>= 8
			}
		}
	}
	return out[:d.size], nil
}
