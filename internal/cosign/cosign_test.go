package cosign_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/keyward/keyward/internal/cosign"
)

// The checkpoint of the specification (c2sp.org/tlog-cosignature).
const text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"

func signer(t testing.TB) *cosign.Signer {
	t.Helper()
	private, public, err := cosign.GenerateKey("witness.example.com/w1")
	if err != nil {
		t.Fatal(err)
	}
	s, err := cosign.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	if s.PublicKey() != public {
		t.Fatalf("the private key has the public key %s, want %s", s.PublicKey(), public)
	}
	return s
}

func TestCosignatureIsWhatTheSpecificationSays(t *testing.T) {
	s := signer(t)
	at := time.Unix(1679315147, 5)
	signed, err := note.Sign(&note.Note{Text: text}, s.At(at))
	if err != nil {
		t.Fatal(err)
	}
	v, err := cosign.NewVerifier(s.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.Time(signed)
	if err != nil || !got.Equal(time.Unix(1679315147, 0)) {
		t.Fatalf("cosigned at %v, %v", got, err)
	}
	// Built by hand from the specification, without this package.
	line := strings.Fields(strings.TrimPrefix(string(signed), text+"\n"))
	raw, err := base64.StdEncoding.DecodeString(line[2])
	if err != nil || len(raw) != 4+8+64 {
		t.Fatalf("the signature has %d bytes, %v", len(raw), err)
	}
	parts := strings.SplitN(s.PublicKey(), "+", 3)
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || key[0] != 0x04 || len(key) != 33 {
		t.Fatalf("the public key is %x, %v", key, err)
	}
	if at := binary.BigEndian.Uint64(raw[4:]); at != 1679315147 {
		t.Errorf("the time in the signature is %d", at)
	}
	if !ed25519.Verify(key[1:], []byte("cosignature/v1\ntime 1679315147\n"+text), raw[12:]) {
		t.Error("the signature is not over the message of the specification")
	}
}

func TestEveryChangeOfACosignatureShows(t *testing.T) {
	s := signer(t)
	signed, err := note.Sign(&note.Note{Text: text}, s.At(time.Unix(1679315147, 0)))
	if err != nil {
		t.Fatal(err)
	}
	v, err := cosign.NewVerifier(s.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	for i := range signed {
		for _, bit := range []byte{1, 2, 16, 128} {
			changed := bytes.Clone(signed)
			changed[i] ^= bit
			if _, err := v.Time(changed); err == nil {
				t.Errorf("byte %d changed by %d: still a cosignature", i, bit)
			}
		}
	}
	other, err := cosign.NewVerifier(signer(t).PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Time(signed); err == nil {
		t.Error("another witness's key verifies it")
	}
}

func TestCosignatureNeedsATime(t *testing.T) {
	if _, err := note.Sign(&note.Note{Text: text}, signer(t).At(time.Unix(0, 0))); err == nil {
		t.Error("a cosignature of the epoch was made")
	}
	if _, err := note.Sign(&note.Note{Text: text}, signer(t).At(time.Unix(-1, 0))); err == nil {
		t.Error("a cosignature before the epoch was made")
	}
}

func TestBadKeysAreRefused(t *testing.T) {
	private, public, err := cosign.GenerateKey("w")
	if err != nil {
		t.Fatal(err)
	}
	logPrivate, logPublic, err := note.GenerateKey(strings.NewReader(strings.Repeat("x", 64)), "w")
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "w", "w+", "w+0+", public + "=", "x" + public, public[:len(public)-1], logPublic, private, strings.ToUpper(public)} {
		if _, err := cosign.NewVerifier(bad); err == nil {
			t.Errorf("public key %q is accepted", bad)
		}
	}
	for _, bad := range []string{"", public, logPrivate, private[:len(private)-1], private + "\n", strings.Replace(private, "+w+", "+v+", 1)} {
		if _, err := cosign.NewSigner(bad); err == nil {
			t.Errorf("private key %d of the list is accepted", len(bad))
		} else if strings.Contains(err.Error(), private[20:]) {
			t.Errorf("the error holds the key: %v", err)
		}
	}
	for _, name := range []string{"", "a b", "a+b", "a\nb", "\xff"} {
		if _, _, err := cosign.GenerateKey(name); err == nil {
			t.Errorf("name %q is accepted", name)
		}
	}
}

func FuzzVerifier(f *testing.F) {
	_, public, err := cosign.GenerateKey("w")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(public, text+"\n— w AAAA\n")
	f.Fuzz(func(t *testing.T, key, checkpoint string) {
		if v, err := cosign.NewVerifier(key); err == nil {
			_, _ = v.Time([]byte(checkpoint))
		}
	})
}
