package pkcs12_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/cloud/certificate/certificatetest"
	"github.com/keyward/keyward/internal/cloud/pkcs12"
)

// The examples of RFC 2268, section 5.
func TestRC2Examples(t *testing.T) {
	for _, c := range []struct {
		key       string
		effective int
		plain     string
		cipher    string
	}{
		{"0000000000000000", 63, "0000000000000000", "ebb773f993278eff"},
		{"ffffffffffffffff", 64, "ffffffffffffffff", "278b27e42e2f0d49"},
		{"3000000000000000", 64, "1000000000000001", "30649edf9be7d2c2"},
		{"88", 64, "0000000000000000", "61a8a244adacccf0"},
		{"88bca90e90875a", 64, "0000000000000000", "6ccf4308974c267f"},
		{"88bca90e90875a7f0f79c384627bafb2", 64, "0000000000000000", "1a807d272bbe5db1"},
		{"88bca90e90875a7f0f79c384627bafb2", 128, "0000000000000000", "2269552ab0f85ca6"},
		{"88bca90e90875a7f0f79c384627bafb216f80a6f85920584c42fceb0be255daf1e", 129, "0000000000000000", "5b78d3a43dfff1f1"},
	} {
		if got := hex.EncodeToString(pkcs12.DecryptRC2(unhex(t, c.key), c.effective, unhex(t, c.cipher))); got != c.plain {
			t.Errorf("key %s of %d bits: %s, not %s", c.key, c.effective, got, c.plain)
		}
	}
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	out, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFilesOfOpenSSL(t *testing.T) {
	issued := certificatetest.Issue(t, certificatetest.Template{Name: "throw-away"}, nil)
	key, cert := issued.KeyDER(t), issued.Certificate.Raw
	for name, options := range map[string][]string{
		"today":              nil,
		"RC2-40 and 3DES":    {"-legacy"},
		"RC2-128 and SHA-1":  {"-legacy", "-certpbe", "PBE-SHA1-RC2-128", "-keypbe", "PBE-SHA1-RC2-40"},
		"3DES, SHA-256":      {"-legacy", "-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES", "-macalg", "sha256"},
		"AES-128, SHA-512":   {"-certpbe", "AES-128-CBC", "-keypbe", "AES-192-CBC", "-macalg", "sha512"},
		"SM4":                {"-certpbe", "SM4-CBC", "-keypbe", "SM4-CBC"},
		"3DES of PBES2":      {"-certpbe", "DES-EDE3-CBC", "-keypbe", "DES-EDE3-CBC", "-macalg", "sha384"},
		"nothing encrypted":  {"-certpbe", "NONE", "-keypbe", "NONE"},
		"without iterations": {"-noiter", "-nomaciter"},
		"a name":             {"-name", "商户证书"},
	} {
		passwords := []string{"000000", "", "密码🔑", "fake-password-longer-than-the-block-of-a-hash-function-which-has-64-bytes"}
		if !strings.HasPrefix(name, "RC2-40") && name != "today" {
			passwords = passwords[:1] // the two cover both derivations
		}
		for _, password := range passwords {
			t.Run(name+"/"+password, func(t *testing.T) {
				file := issued.PKCS12(t, password, options...)
				if !pkcs12.Is(file) || pkcs12.Is(cert) || pkcs12.Is(key) {
					t.Error("it is not told from others")
				}
				got, err := pkcs12.Open(file, []byte(password))
				if diff := cmp.Diff(pkcs12.Contents{Keys: [][]byte{key}, Certificates: [][]byte{cert}}, got); err != nil || diff != "" {
					t.Errorf("%v %s", err, diff)
				}
				if _, err := pkcs12.Open(file, []byte("CANARY-fake")); !errors.Is(err, pkcs12.ErrPassword) || strings.Contains(err.Error(), "CANARY") {
					t.Errorf("a wrong password: %v", err)
				}
				broken := bytes.Clone(file)
				broken[len(broken)/2] ^= 1
				if _, err := pkcs12.Open(broken, []byte(password)); err == nil {
					t.Error("a changed file opens")
				}
			})
		}
	}
}

// Files that ask for years of work are refused at once, wherever they ask for it.
func TestCostIsBounded(t *testing.T) {
	issued := certificatetest.Issue(t, certificatetest.Template{Name: "throw-away"}, nil)
	for name, options := range map[string][]string{
		"all of it": {"-iter", "1100000"},
		"legacy":    {"-legacy", "-iter", "600000"},
	} {
		if _, err := pkcs12.Open(issued.PKCS12(t, "x", options...), []byte("x")); !errors.Is(err, pkcs12.ErrCost) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// authenticated makes a file of one part whose MAC fits the password "x".
func authenticated(t testing.TB, bags any, iterations int) []byte {
	t.Helper()
	marshal := func(v any) []byte {
		der, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	type info struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue
	}
	data := func(der []byte) info {
		return info{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}, asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: marshal(der)}}
	}
	safe := marshal([]info{data(marshal(bags))})
	// RFC 7292 B.2 for one block of SHA-256: 3, then the salt, then the password, each repeated.
	block := append(bytes.Repeat([]byte{3}, 64), bytes.Repeat([]byte("saltsalt"), 8)...)
	block = append(block, bytes.Repeat([]byte{0, 'x', 0, 0}, 16)...)
	derived := sha256.Sum256(block)
	mac := hmac.New(sha256.New, derived[:])
	mac.Write(safe)
	type digestInfo struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
	return marshal(struct {
		Version int
		Safe    info
		MAC     struct {
			Info       digestInfo
			Salt       []byte
			Iterations int
		}
	}{3, data(safe), struct {
		Info       digestInfo
		Salt       []byte
		Iterations int
	}{digestInfo{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}}, mac.Sum(nil)}, []byte("saltsalt"), iterations}})
}

type bag struct {
	ID    asn1.ObjectIdentifier
	Value asn1.RawValue
}

func wrapped(der []byte) asn1.RawValue {
	return asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: der}
}

func TestBagsWithinBags(t *testing.T) {
	keyBag := func(content string) bag {
		return bag{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 1}, wrapped([]byte(content))}
	}
	nested := []bag{keyBag("\x04\x01k")}
	for depth := range 7 {
		got, err := pkcs12.Open(authenticated(t, nested, 1), []byte("x"))
		if fine := depth <= 4; fine != (err == nil && len(got.Keys) == 1) {
			t.Errorf("at depth %d: %v, %v", depth, got, err)
		}
		der, err := asn1.Marshal(nested)
		if err != nil {
			t.Fatal(err)
		}
		nested = []bag{{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 6}, wrapped(der)}}
	}
	for _, iterations := range []int{0, -1, 1 << 40} {
		if _, err := pkcs12.Open(authenticated(t, nested, iterations), []byte("x")); !errors.Is(err, pkcs12.ErrCost) {
			t.Errorf("%d iterations: %v", iterations, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	cert := certificatetest.Issue(f, certificatetest.Template{Name: "throw-away"}, nil).Certificate.Raw
	f.Add([]byte{}, "")
	f.Add(cert, "x")
	f.Add(authenticated(f, []bag{{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 1}, wrapped([]byte("\x04\x01k"))}}, 1), "x")
	f.Fuzz(func(t *testing.T, content []byte, password string) {
		pkcs12.Is(content)
		if got, err := pkcs12.Open(content, []byte(password)); err != nil && (got.Keys != nil || got.Certificates != nil) {
			t.Errorf("half of a file is answered with %v", err)
		}
	})
}
