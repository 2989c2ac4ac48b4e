package leak_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/leaktest"
	"github.com/keyward/keyward/internal/leak/rules"
)

func scanner(t testing.TB) *leak.Scanner {
	t.Helper()
	s, err := leak.New(rules.All())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func kind(t testing.TB, rule string) leaktest.Kind {
	t.Helper()
	for _, k := range leaktest.New(1).Kinds() {
		if k.Rule == rule {
			return k
		}
	}
	t.Fatalf("there is no kind of %s", rule)
	return leaktest.Kind{}
}

// scan answers the rules and texts of what is found, and the identifiers with it.
func scan(t testing.TB, text string) (found [][3]string) {
	t.Helper()
	for _, m := range scanner(t).Worker().Scan(leak.Part{Text: []byte(text), To: len(text), Path: "a.txt"}) {
		found = append(found, [3]string{m.Rule.ID, text[m.Start:m.End], string(m.KeyID)})
	}
	return found
}

func TestPairs(t *testing.T) {
	a, b := kind(t, "tencent-secret-key"), kind(t, "alibaba-access-key-secret")
	far := strings.Repeat("some text between them. ", 30)
	for name, c := range map[string]struct {
		text string
		want [][3]string
	}{
		"without a name":        {a.ID + "\t" + a.Secret, [][3]string{{"tencent-secret-key", a.Secret, a.ID}}},
		"the secret first":      {a.Secret + " / " + a.ID, [][3]string{{"tencent-secret-key", a.Secret, a.ID}}},
		"too far":               {a.ID + " " + far + a.Secret, [][3]string{{"tencent-secret-id", a.ID, a.ID}}},
		"two of two providers":  {a.ID + "," + a.Secret + "\n" + b.ID + "," + b.Secret, [][3]string{{"tencent-secret-key", a.Secret, a.ID}, {"alibaba-access-key-secret", b.Secret, b.ID}}},
		"an id alone":           {"https://x.cos.ap-guangzhou.myqcloud.com/a?q-ak=" + a.ID + "&q-sign=0", [][3]string{{"tencent-secret-id", a.ID, a.ID}}},
		"a digest is no secret": {a.ID + " md5 0123456789abcdef0123456789abcdef", [][3]string{{"tencent-secret-id", a.ID, a.ID}}},
	} {
		if diff := cmp.Diff(c.want, scan(t, c.text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A temporary id is longer than a permanent one that it begins like.
func TestTemporaryIsNotPermanent(t *testing.T) {
	k := kind(t, "tencent-temporary-key")
	if diff := cmp.Diff([][3]string{{"tencent-temporary-id", k.ID, k.ID}}, scan(t, "id "+k.ID)); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

func TestBoundaries(t *testing.T) {
	k := kind(t, "github-token")
	for before, want := range map[string]bool{"": true, " ": true, `\n`: true, "%3D": true, `\u003d`: true, "x": false, "7": false, "_": false} {
		if got := len(scan(t, before+k.Secret)) > 0; got != want {
			t.Errorf("behind %q: %v", before, got)
		}
	}
	wrong := k.Secret[:len(k.Secret)-1] + "0"
	if k.Secret != wrong && len(scan(t, wrong)) > 0 {
		t.Error("a token with a wrong checksum is taken")
	}
}

func TestPartsBelongToOne(t *testing.T) {
	k := kind(t, "github-token")
	text := []byte("token " + k.Secret + " ")
	w := scanner(t).Worker()
	for cut := range len(text) {
		first := len(w.Scan(leak.Part{Text: text, From: 0, To: cut}))
		second := len(w.Scan(leak.Part{Text: text, From: cut, To: len(text)}))
		if first+second != 1 {
			t.Fatalf("cut at %d: %d and %d", cut, first, second)
		}
	}
}

func TestFindingsHoldNoSecret(t *testing.T) {
	h := leak.NewHasher([]byte("key"))
	w := scanner(t).Worker()
	for _, k := range leaktest.New(3).Kinds() {
		text := []byte(k.Name + "=" + k.Carry() + "\n")
		for _, m := range w.Scan(leak.Part{Text: text, To: len(text)}) {
			f := h.Finding(m, text)
			for _, shown := range []string{f.Redacted, f.KeyID, f.Fingerprint} {
				if m.Rule.Class == leak.Secret && len(shown) > 8 && strings.Contains(k.Secret, shown) {
					t.Errorf("%s: the finding shows %q", k, shown)
				}
			}
		}
	}
}

func TestRedact(t *testing.T) {
	for secret, want := range map[string]string{"1234567": "***", "12345678": "1…", "0123456789abcdef": "01…f", "0123456789abcdef01234567": "0123…67", "\x1b[2J5678": ".…"} {
		if got := leak.Redact([]byte(secret)); got != want {
			t.Errorf("%q becomes %q, not %q", secret, got, want)
		}
	}
}

func TestLedger(t *testing.T) {
	var l leak.Ledger
	weak := leak.Finding{Fingerprint: "f", Rule: "generic-secret", Severity: leak.Medium, Confidence: leak.Possible}
	sure := leak.Finding{Fingerprint: "f", Rule: "tencent-secret-key", Severity: leak.Critical, Confidence: leak.Certain, KeyID: "id"}
	at := func(line int) leak.Location { return leak.Location{Path: "a", Line: line} }
	l.Add(weak, at(9))
	l.Add(sure, at(2))
	l.Add(weak, at(9))
	want := sure
	want.Locations = []leak.Location{at(2), at(9)}
	if diff := cmp.Diff([]leak.Finding{want}, l.Findings()); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// In whatever order a credential is met, what is told of it is the same.
func TestLedgerHasNoOrder(t *testing.T) {
	findings := []leak.Finding{
		{Fingerprint: "f", Rule: "b", Severity: leak.High, Confidence: leak.Certain},
		{Fingerprint: "f", Rule: "a", Severity: leak.High, Confidence: leak.Certain},
		{Fingerprint: "f", Rule: "c", Severity: leak.Critical, Confidence: leak.Likely, KeyID: "id"},
	}
	for first := range findings {
		for second := range findings {
			var l leak.Ledger
			for _, i := range []int{first, second, 0, 1, 2} {
				l.Add(findings[i], leak.Location{Path: "p"})
			}
			if got := l.Findings()[0]; got.Rule != "a" || got.KeyID != "id" {
				t.Errorf("%d, %d first: rule %s with the identifier %q", first, second, got.Rule, got.KeyID)
			}
		}
	}
}

func TestNewRefuses(t *testing.T) {
	p := &leak.Provider{ID: "p"}
	set := leak.NewSet("a-z")
	for name, r := range map[string]leak.Rule{
		"no provider":   {ID: "a"},
		"a prefix of 1": {ID: "a", Provider: p, Tokens: []leak.Token{{Prefix: "a", Shape: leak.Shape{Set: set}}}},
		"no stem":       {ID: "a", Provider: p, Named: []leak.Named{{Names: []string{"colour"}}}},
		"no partner":    {ID: "a", Provider: p, Pairs: []leak.Pair{{With: "b"}}},
	} {
		if _, err := leak.New([]leak.Rule{r}); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, k := range leaktest.New(1).Kinds() {
		for _, c := range leaktest.Contexts()[:8] {
			f.Add([]byte(c.Write(k)), c.File, false)
		}
	}
	for _, n := range leaktest.New(1).Negatives() {
		f.Add([]byte(n.Text), n.File, true)
	}
	s := scanner(f)
	f.Fuzz(func(t *testing.T, text []byte, path string, pool bool) {
		h := leak.NewHasher(nil)
		last := 0
		for _, m := range s.Worker().Scan(leak.Part{Text: text, To: len(text), Path: path, Pool: pool}) {
			if m.Start < last || m.End <= m.Start || m.End > len(text) {
				t.Fatalf("%s at %d:%d after %d of %d", m.Rule.ID, m.Start, m.End, last, len(text))
			}
			last = m.End
			h.Finding(m, text)
		}
	})
}
