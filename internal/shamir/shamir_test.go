package shamir_test

import (
	"bytes"
	"encoding/base32"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/shamir"
)

var update = flag.Bool("update", false, "write golden files anew")

// The field, as one learns it: multiply the polynomials, then divide by the modulus.
func slowMul(a, b byte) byte {
	var product int
	for i := range 8 {
		if b>>i&1 == 1 {
			product ^= int(a) << i
		}
	}
	for i := 14; i >= 8; i-- {
		if product>>i&1 == 1 {
			product ^= 0x11b << (i - 8)
		}
	}
	return byte(product)
}

func TestField(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			if got, want := shamir.Mul(byte(a), byte(b)), slowMul(byte(a), byte(b)); got != want {
				t.Fatalf("%#x·%#x = %#x, want %#x", a, b, got, want)
			}
		}
		if i := shamir.Inverse(byte(a)); a == 0 && i != 0 || a != 0 && slowMul(byte(a), i) != 1 {
			t.Errorf("1/%#x = %#x", a, i)
		}
	}
	if got := shamir.Mul(0x57, 0x83); got != 0xc1 { // FIPS 197, section 4.2
		t.Errorf("{57}·{83} = %#x", got)
	}
}

func TestLetters(t *testing.T) {
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	for v := range 32 {
		if got := shamir.Letter(byte(v)); got != alphabet[v] {
			t.Errorf("digit %d is %q, want %q", v, got, alphabet[v])
		}
	}
	for c := range 256 {
		want := strings.IndexByte(alphabet, bytes.ToLower([]byte{byte(c)})[0])
		if c >= 0x80 {
			want = -1
		}
		v, bad := shamir.Value(byte(c))
		if want < 0 && bad == 0 || want >= 0 && (bad != 0 || int(v) != want) {
			t.Errorf("%q stands for %d (bad %#x), want %d", byte(c), v, bad, want)
		}
	}
}

func secretOf(b byte) material.Bytes { return material.NewBytes(bytes.Repeat([]byte{b}, shamir.Size)) }

func split(t testing.TB, secret material.Bytes, k, n int) []shamir.Share {
	t.Helper()
	shares, err := shamir.Split(secret, k, n)
	if err != nil {
		t.Fatal(err)
	}
	return shares
}

// Any k of n combine, in any order and after a way through text; any k-1 do not.
func TestAnySubsetOfTheThresholdCombines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(shamir.MinThreshold, shamir.MaxShares).Draw(t, "n")
		k := rapid.IntRange(shamir.MinThreshold, n).Draw(t, "k")
		secret := rapid.SliceOfN(rapid.Byte(), shamir.Size, shamir.Size).Draw(t, "secret")
		shares, err := shamir.Split(material.NewBytes(bytes.Clone(secret)), k, n)
		if err != nil {
			t.Fatal(err)
		}
		chosen := rapid.Permutation(shares).Draw(t, "order")[:rapid.IntRange(k, n).Draw(t, "given")]
		for i := range chosen {
			if chosen[i], err = shamir.Parse(chosen[i].Text().Expose()); err != nil {
				t.Fatal(err)
			}
		}
		got, err := shamir.Combine(chosen)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(secret, got.Expose()); diff != "" {
			t.Error(diff)
		}
		if _, err := shamir.Combine(chosen[:k-1]); !fault.Is(err, fault.StateConflict) {
			t.Errorf("with one share too few: %v", err)
		}
	})
}

// Fewer than k shares tell nothing: over all that the random coefficient may be, the
// value of one share of a 2-of-n set takes every value equally often, whatever the secret.
func TestOneShareTellsNothing(t *testing.T) {
	for _, secret := range []byte{0, 1, 0x80, 0xff} {
		for x := 1; x <= shamir.MaxShares; x++ {
			var seen [256]int
			for c := range 256 {
				seen[secret^shamir.Mul(byte(c), byte(x))]++
			}
			for v, times := range seen {
				if times != 1 {
					t.Fatalf("secret %#x, share %d: the value %#x occurs %d times", secret, x, v, times)
				}
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	a, b := split(t, secretOf(1), 3, 5), split(t, secretOf(1), 3, 5)
	other := split(t, secretOf(2), 3, 5)
	forged, err := shamir.Parse(forge(t, a[2], func(raw []byte) { raw[20] ^= 1 }))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		shares []shamir.Share
		want   error
		text   string
	}{
		"foreign":   {[]shamir.Share{a[0], a[1], b[2]}, shamir.ErrForeign, "another set"},
		"other":     {[]shamir.Share{a[0], other[1], a[2]}, shamir.ErrForeign, "another set"},
		"duplicate": {[]shamir.Share{a[0], a[1], a[0]}, shamir.ErrDuplicate, "share 1"},
		"wrong":     {[]shamir.Share{a[0], a[1], forged}, shamir.ErrWrong, "not genuine"},
		"too few":   {a[:1], nil, "1 of 3 shares are there, 2 more are needed"},
		"none":      {nil, nil, "needed"},
	} {
		_, err := shamir.Combine(c.shares)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, c := range [][2]int{{1, 1}, {1, 5}, {0, 0}, {4, 3}, {2, 17}, {17, 17}, {-1, 5}} {
		if _, err := shamir.Split(secretOf(1), c[0], c[1]); err == nil {
			t.Errorf("%d of %d shares were made", c[0], c[1])
		}
	}
	if _, err := shamir.Split(material.NewBytes(make([]byte, shamir.Size-1)), 2, 3); err == nil {
		t.Error("a short secret was shared")
	}
}

const rawSize, digits = 50, 88

// forge answers the text of a share with some of its bytes changed and a checksum that fits.
func forge(t testing.TB, s shamir.Share, change func(raw []byte)) []byte {
	t.Helper()
	text := strings.ReplaceAll(strings.TrimPrefix(string(s.Text().Expose()), "kwshare1-"), "-", "")
	encoding := base32.StdEncoding.WithPadding(base32.NoPadding)
	raw, err := encoding.DecodeString(strings.ToUpper(text))
	if err != nil {
		t.Fatal(err)
	}
	change(raw)
	copy(raw[rawSize:], shamir.Checksum(raw[:rawSize]))
	return []byte("kwshare1-" + strings.ToLower(encoding.EncodeToString(raw)))
}

func TestSlipsOfThePen(t *testing.T) {
	text := string(split(t, secretOf(7), 2, 3)[0].Text().Expose())
	if want := len("kwshare1") + digits + digits/4; len(text) != want {
		t.Fatalf("the text has %d bytes, want %d", len(text), want)
	}
	for name, same := range map[string]string{
		"capitals": strings.ToUpper(text), "blanks": " " + strings.ReplaceAll(text, "-", " ") + "\r\n", "bare": strings.ReplaceAll(text, "-", ""),
	} {
		if _, err := shamir.Parse([]byte(same)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"empty": {"", shamir.ErrNoShare}, "something else": {"a long enough passphrase for a test", shamir.ErrNoShare},
		"cut off": {text[:len(text)-1], shamir.ErrLength}, "more": {text + "a", shamir.ErrLength}, "huge": {strings.Repeat("a", 1<<10), shamir.ErrLength},
		"a one": {text[:len(text)-1] + "1", shamir.ErrLetter}, "not ASCII": {text[:len(text)-2] + "é", shamir.ErrLetter},
	} {
		if _, err := shamir.Parse([]byte(c.text)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	// Every single wrong character, and every swap of neighbours, is found.
	for i := len("kwshare1-"); i < len(text); i++ {
		if text[i] == '-' {
			continue
		}
		for _, c := range "abcdefghijklmnopqrstuvwxyz234567" {
			if byte(c) == text[i] {
				continue
			}
			if _, err := shamir.Parse([]byte(text[:i] + string(c) + text[i+1:])); !errors.Is(err, shamir.ErrMistyped) {
				t.Fatalf("character %d as %c: %v", i, c, err)
			}
		}
		if j := i + 1; j < len(text) && text[j] != '-' && text[j] != text[i] {
			swapped := text[:i] + text[j:j+1] + text[i:i+1] + text[j+1:]
			if _, err := shamir.Parse([]byte(swapped)); !errors.Is(err, shamir.ErrMistyped) {
				t.Fatalf("characters %d and %d swapped: %v", i, j, err)
			}
		}
	}
	share := split(t, secretOf(7), 2, 3)[0]
	for name, change := range map[string]func([]byte){
		"k of 1": func(raw []byte) { raw[8] = 1 }, "k of 17": func(raw []byte) { raw[8] = 17 },
		"index 0": func(raw []byte) { raw[9] = 0 }, "index 17": func(raw []byte) { raw[9] = 17 },
	} {
		if _, err := shamir.Parse(forge(t, share, change)); err == nil {
			t.Errorf("%s was read", name)
		}
	}
}

// The shares of a released format are read for ever.
func TestGoldenShares(t *testing.T) {
	const path = "testdata/shares-v1.txt"
	if *update {
		var b strings.Builder
		for _, s := range split(t, secretOf(0x5a), 3, 5) {
			fmt.Fprintf(&b, "%s\n", s.Text().Expose())
		}
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var shares []shamir.Share
	for line := range strings.Lines(string(content)) {
		s, err := shamir.Parse([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(s.Text().Expose()) + "\n"; got != line {
			t.Errorf("it is written as %s, was %s", got, line)
		}
		shares = append(shares, s)
	}
	for _, three := range [][]shamir.Share{shares[:3], shares[2:], {shares[4], shares[0], shares[2]}} {
		secret, err := shamir.Combine(three)
		if err != nil {
			t.Fatal(err)
		}
		if !secret.Equal(secretOf(0x5a)) {
			t.Error("the shares combine to another secret")
		}
	}
}

func TestNothingShowsAShare(t *testing.T) {
	s := split(t, secretOf(9), 2, 2)[0]
	var values []byte
	forge(t, s, func(raw []byte) { values = bytes.Clone(raw[18:rawSize]) })
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		shown := fmt.Sprintf(format, []shamir.Share{s})
		for _, secret := range []string{fmt.Sprintf(format, values), strings.Trim(fmt.Sprint(values), "[]"), string(values)} {
			if strings.Contains(shown, secret) {
				t.Errorf("%s shows the values: %s", format, shown)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("kwshare1-"))
	f.Add([]byte("kwshare1-aaaa-2222"))
	f.Add([]byte("KWSHARE1 \r\n"))
	for _, s := range split(f, secretOf(3), 2, 3) {
		f.Add(s.Text().Expose())
		f.Add(forge(f, s, func(raw []byte) { raw[9] = 99 }))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := shamir.Parse(text)
		if err != nil {
			return
		}
		if s.Index < 1 || s.Index > shamir.MaxShares || shamir.Check(s.Threshold, shamir.MaxShares) != nil {
			t.Errorf("share %d of a set of which %d are needed was read", s.Index, s.Threshold)
		}
		again, err := shamir.Parse(s.Text().Expose())
		if err != nil || !bytes.Equal(again.Digest(), s.Digest()) {
			t.Errorf("what was read is not what is written: %v", err)
		}
	})
}
