package prefilter_test

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/leak/prefilter"
)

// naive finds the hits by looking for each pattern everywhere.
func naive(patterns []string, text []byte) []prefilter.Hit {
	var hits []prefilter.Hit
	folded := bytes.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r - 'A' + 'a'
		}
		return r
	}, text)
	for p, pattern := range patterns {
		for i := range folded {
			if bytes.HasPrefix(folded[i:], []byte(strings.ToLower(pattern))) {
				hits = append(hits, prefilter.Hit{Pattern: int32(p), End: int32(i + len(pattern))})
			}
		}
	}
	return hits
}

func order(hits []prefilter.Hit) []prefilter.Hit {
	hits = slices.Clone(hits)
	slices.SortFunc(hits, func(a, b prefilter.Hit) int {
		return cmp.Or(cmp.Compare(a.End, b.End), cmp.Compare(a.Pattern, b.Pattern))
	})
	return hits
}

func TestFindsWhatASearchForEachFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.StringOfN(rapid.SampledFrom([]rune("abAB_")), 1, 9, -1)
		patterns := rapid.SliceOfN(letters, 1, 12).Draw(t, "patterns")
		text := []byte(rapid.StringOfN(rapid.SampledFrom([]rune("aabbABx_")), 0, 2000, -1).Draw(t, "text"))
		a, err := prefilter.New(patterns)
		if err != nil {
			t.Fatal(err)
		}
		var hits prefilter.Hits
		for range 2 { // the second time in used memory
			a.Find(text, &hits)
			if !slices.IsSortedFunc(hits.All, func(a, b prefilter.Hit) int { return cmp.Compare(a.End, b.End) }) {
				t.Fatal("the hits are out of order")
			}
			if diff := gocmp.Diff(order(naive(patterns, text)), order(hits.All)); diff != "" {
				t.Fatalf("hits (-want +got):\n%s", diff)
			}
		}
	})
}

func TestRefusesPatterns(t *testing.T) {
	for _, p := range []string{"", strings.Repeat("a", prefilter.MaxPattern+1)} {
		if _, err := prefilter.New([]string{p}); err == nil {
			t.Errorf("a pattern of %d bytes is taken", len(p))
		}
	}
}

func FuzzFind(f *testing.F) {
	f.Add("secret\nse\nAKID", []byte("a Secret of AKIDs"))
	f.Fuzz(func(t *testing.T, list string, text []byte) {
		patterns := strings.Split(list, "\n")
		a, err := prefilter.New(patterns)
		if err != nil {
			t.Skip("not a list of patterns")
		}
		var hits prefilter.Hits
		a.Find(text, &hits)
		for _, h := range hits.All {
			p := patterns[h.Pattern]
			if end := int(h.End); end < len(p) || end > len(text) || !strings.EqualFold(asciiOnly(string(text[end-len(p):end])), asciiOnly(p)) {
				t.Fatalf("%q does not end at %d", p, h.End)
			}
		}
	})
}

// asciiOnly keeps EqualFold from folding what is no ASCII.
func asciiOnly(s string) string {
	return strings.Map(func(r rune) rune {
		if r > 126 {
			return -1
		}
		return r
	}, s)
}

func BenchmarkFind(b *testing.B) {
	var patterns []string
	for _, p := range strings.Fields("akid ikid ltai akia asia aklt aktp altak jdc_ ghp_ github_pat_ npm_ glpat- xox sk- eyj -----begin :// secret password token api_key access_key credential private_key mii wx sk_live_ whsec_") {
		patterns = append(patterns, p, p+"_more", "x"+p)
	}
	a, err := prefilter.New(patterns)
	if err != nil {
		b.Fatal(err)
	}
	text := bytes.Repeat([]byte("func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { // handles a request\n\tif err := s.check(r); err != nil {\n"), 10000)
	var hits prefilter.Hits
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		a.Find(text, &hits)
	}
}
