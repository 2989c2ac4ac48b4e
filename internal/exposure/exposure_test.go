package exposure_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/exposure"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/leaktest"
	"github.com/keyward/keyward/internal/leak/rules"
	"github.com/keyward/keyward/internal/secret"
)

var noon = exposure.Noon

func scanner(t testing.TB) *leak.Scanner {
	t.Helper()
	s, err := leak.New(rules.All())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Whatever a search hashes of a credential in a file is among what is marked of a secret
// that holds it, as it is or as a part of a JSON object. An identifier never is.
func TestBothSidesMeanTheSame(t *testing.T) {
	t.Parallel()
	s := scanner(t)
	compared := 0
	for _, k := range leaktest.New(1).Kinds() {
		file := fmt.Appendf(nil, "%s: %q\n", k.Name, k.Secret)
		object := map[string]string{k.Name: k.Secret}
		if k.IDName != "" {
			file = fmt.Appendf(nil, "%s: %q\n%s", k.IDName, k.ID, file)
			object[k.IDName] = k.ID
		}
		value, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		whole, _ := exposure.Identities(s, []byte(k.Secret))
		part, id := exposure.Identities(s, value)
		among := func(all [][]byte, one []byte) bool {
			return slices.ContainsFunc(all, func(o []byte) bool { return bytes.Equal(o, one) })
		}
		for _, m := range s.Worker().Scan(leak.Part{Text: file, To: len(file)}) {
			if m.Rule.Class != leak.Secret {
				continue
			}
			identity := m.Identity
			if identity == nil {
				identity = file[m.Start:m.End]
			}
			if m.Identity == nil && string(identity) != k.Secret {
				continue // the file's notation escapes it
			}
			compared++
			if !among(whole, identity) || !among(part, identity) {
				t.Errorf("%s: it is not marked: whole %v, part %v", k.Rule, among(whole, identity), among(part, identity))
			}
		}
		if k.ID != "" && id == k.ID && among(part, []byte(k.ID)) {
			t.Errorf("%s: its id is marked", k.Rule)
		}
	}
	if compared < 60 {
		t.Errorf("only %d were compared", compared)
	}
}

func FuzzIdentities(f *testing.F) {
	s := scanner(f)
	for _, seed := range []string{"", " x ", `{"a":"` + strings.Repeat("b", 20) + `","id":"c"}`, `["x",{"password":"` + "Zx9#kLm2" + `pQ7"}]`, "\xff\xfe", `{"a":{"a":{"a":1e999}}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		if len(value) > secret.MaxValue {
			return
		}
		found, id := exposure.Identities(s, value)
		if len(found) > 64 || slices.ContainsFunc(found, func(one []byte) bool { return len(bytes.TrimSpace(one)) == 0 || string(one) == id }) {
			t.Errorf("%q: %q, id %q", value, found, id)
		}
		if whole := bytes.TrimSpace(value); id == "" && len(whole) > 0 && !slices.ContainsFunc(found, func(one []byte) bool { return bytes.Equal(one, whole) }) && utf8.Valid(whole) {
			if matches := s.Worker().Scan(leak.Part{Text: value, To: len(value)}); len(matches) == 0 {
				t.Errorf("%q is not marked as a whole", value)
			}
		}
	})
}

func key(id string, status accesskey.Status) accesskey.AccessKey {
	return accesskey.AccessKey{Source: "prod", Provider: "tencent", Owner: "ann", Observed: accesskey.Observed{ID: id, Status: status}}
}

func sighting(mark, id, path string) exposure.Sighting {
	return exposure.Sighting{Account: "1", ID: mark + id + path, Origin: "shop", Mark: mark, KeyID: id, Rule: "r", Severity: finding.High, Places: []exposure.Place{{Path: path}}, First: noon, Last: noon, Fresh: noon}
}

// rulesOf answers rule, subject and match of findings.
func rulesOf(found []finding.Finding) (out []string) {
	for _, f := range found {
		match := ""
		for _, e := range f.Evidence {
			if e.Name == "match" {
				match = e.Value
			}
		}
		out = append(out, f.Rule+" "+f.Subject.String()+" "+match)
	}
	slices.Sort(out)
	return out
}

func TestCompare(t *testing.T) {
	t.Parallel()
	of := func(mark, version, id string) map[string][]secret.Mark {
		return map[string][]secret.Mark{mark: {{Mark: mark, Name: "pay", Secret: "s", Version: version, KeyID: id}}}
	}
	current := map[string]secret.Secret{"s": {Name: "pay", ID: "s", Stages: []secret.Label{{Stage: secret.Current, Version: "v2"}, {Stage: secret.Previous, Version: "v1"}}}}
	mark := strings.Repeat("a", 64)
	keys := func(all ...accesskey.AccessKey) map[string][]accesskey.AccessKey {
		out := map[string][]accesskey.AccessKey{}
		for _, k := range all {
			out[k.Observed.ID] = append(out[k.Observed.ID], k)
		}
		return out
	}
	for _, c := range []struct {
		name    string
		marks   map[string][]secret.Mark
		secrets map[string]secret.Secret
		keys    map[string][]accesskey.AccessKey
		seen    []exposure.Sighting
		want    []string
	}{
		{"nobody's", nil, nil, nil, []exposure.Sighting{sighting(mark, "", "a")}, []string{"LK03 credential/aaaaaaaaaaaaaaaa nothing"}},
		{"current", of(mark, "v2", ""), current, nil, []exposure.Sighting{sighting(mark, "", "a")}, []string{"LK01 secret/pay value"}},
		{"previous", of(mark, "v1", ""), current, nil, []exposure.Sighting{sighting(mark, "", "a")}, []string{"LK01 secret/pay value"}},
		{"retired", of(mark, "v0", ""), current, nil, []exposure.Sighting{sighting(mark, "", "a")}, nil},
		{"deleted", of(mark, "v2", ""), nil, nil, []exposure.Sighting{sighting(mark, "", "a")}, nil},
		{"of an active key", of(mark, "v2", "K"), current, keys(key("K", accesskey.Active)), []exposure.Sighting{sighting(mark, "", "a")}, []string{"AK25 prod/K value"}},
		{"of a key that is off", of(mark, "v2", "K"), current, keys(key("K", accesskey.Inactive)), []exposure.Sighting{sighting(mark, "", "a")}, nil},
		{"of a key that is gone", of(mark, "v1", "K"), current, keys(key("K", accesskey.Gone)), []exposure.Sighting{sighting(mark, "", "a")}, nil},
		{"of a key that nobody watches", of(mark, "v2", "K"), current, nil, []exposure.Sighting{sighting(mark, "", "a")}, []string{"LK01 secret/pay value"}},
		{"an id", nil, nil, keys(key("K", accesskey.Active)), []exposure.Sighting{sighting("", "K", "a")}, []string{"LK02 prod/K id"}},
		{"an id that is off", nil, nil, keys(key("K", accesskey.Inactive)), []exposure.Sighting{sighting("", "K", "a")}, nil},
		{"nobody's id", nil, nil, nil, []exposure.Sighting{sighting("", "K", "a")}, nil},
		{"a pair", nil, nil, keys(key("K", accesskey.Active)), []exposure.Sighting{sighting(mark, "K", "a"), sighting("", "K", "b")}, []string{"AK25 prod/K pair"}},
		{"a pair and the value", of(mark, "v2", "K"), current, keys(key("K", accesskey.Active)), []exposure.Sighting{sighting("bb", "K", "a"), sighting(mark, "", "b")}, []string{"AK25 prod/K value"}},
		{"the value and a pair", of(mark, "v2", "K"), current, keys(key("K", accesskey.Active)), []exposure.Sighting{sighting(mark, "", "b"), sighting("bb", "K", "a")}, []string{"AK25 prod/K value"}},
	} {
		if diff := cmp.Diff(c.want, rulesOf(exposure.Compare(c.marks, c.secrets, c.keys, c.seen))); diff != "" {
			t.Errorf("%s (-want +have):\n%s", c.name, diff)
		}
	}
}

// What its issuer said of a credential, wherever it was found, says how bad that is; of what
// keyward knows by itself it only is told.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	mark := strings.Repeat("a", 64)
	said := func(l exposure.Liveness, days int) exposure.Verdict {
		return exposure.Verdict{Liveness: l, At: noon.AddDate(0, 0, -days)}
	}
	value := map[string][]secret.Mark{mark: {{Mark: mark, Name: "pay", Secret: "s", Version: "v2"}}}
	secrets := map[string]secret.Secret{"s": {Name: "pay", ID: "s", Stages: []secret.Label{{Stage: secret.Current, Version: "v2"}}}}
	active := map[string][]accesskey.AccessKey{"K": {key("K", accesskey.Active)}}
	for _, c := range []struct {
		name  string
		marks map[string][]secret.Mark
		id    string
		said  []exposure.Verdict // in one place each
		want  string
	}{
		{"nobody was asked", nil, "", []exposure.Verdict{{}}, "LK03 high "},
		{"live", nil, "", []exposure.Verdict{said(exposure.Live, 0)}, "LK03 critical live"},
		{"dead", nil, "", []exposure.Verdict{said(exposure.Dead, 6)}, "LK03 medium dead"},
		{"dead, long ago", nil, "", []exposure.Verdict{said(exposure.Dead, 7)}, "LK03 high dead"},
		{"unknown", nil, "", []exposure.Verdict{said(exposure.Unknown, 0)}, "LK03 high unknown"},
		{"dead in one place, not asked in the other", nil, "", []exposure.Verdict{said(exposure.Dead, 0), {}}, "LK03 medium dead"},
		{"dead, and live after that", nil, "", []exposure.Verdict{said(exposure.Live, 1), said(exposure.Dead, 2)}, "LK03 critical live"},
		{"live, and nothing after that", nil, "", []exposure.Verdict{said(exposure.Unknown, 0), said(exposure.Live, 1)}, "LK03 critical live"},
		{"a pair", nil, "K", []exposure.Verdict{said(exposure.Live, 0)}, "AK25 critical live"},
		{"no pair", nil, "K", []exposure.Verdict{said(exposure.Dead, 0)}, "AK25 medium dead"},
		{"a value in use that its issuer refuses", value, "", []exposure.Verdict{said(exposure.Dead, 0)}, "LK01 critical dead"},
	} {
		var seen []exposure.Sighting
		for i, v := range c.said {
			s := sighting(mark, c.id, fmt.Sprint(i))
			s.Verdict = v
			seen = append(seen, s)
		}
		var have []string
		for _, f := range exposure.Compare(c.marks, secrets, active, seen) {
			works := ""
			for _, e := range f.Evidence {
				if e.Name == "works" {
					works = e.Value
				}
			}
			have = append(have, fmt.Sprint(f.Rule, " ", f.Severity, " ", works))
		}
		if diff := cmp.Diff([]string{c.want}, have); diff != "" {
			t.Errorf("%s (-want +have):\n%s", c.name, diff)
		}
	}
}

// A push that was refused ends as a finding when the credential is let through there, and not by
// what was seen before, elsewhere, or of another credential. Why it was let through stays known.
func TestRefusedPushesEnd(t *testing.T) {
	t.Parallel()
	mark, other := strings.Repeat("a", 64), strings.Repeat("b", 64)
	at := func(mark, origin string, hours int, stopped bool) exposure.Sighting {
		s := sighting(mark, "", "a")
		s.Origin, s.Stopped, s.First, s.Last = origin, stopped, noon, noon.Add(time.Duration(hours)*time.Hour)
		return s
	}
	const refused, unknown, another = "LK04 credential/aaaaaaaaaaaaaaaa nothing", "LK03 credential/aaaaaaaaaaaaaaaa nothing", "LK03 credential/bbbbbbbbbbbbbbbb nothing"
	for name, c := range map[string]struct {
		also exposure.Sighting
		want []string
	}{
		"let through":    {at(mark, "shop", 2, false), []string{unknown}},
		"at once":        {at(mark, "shop", 1, false), []string{unknown}},
		"seen before":    {at(mark, "shop", 0, false), []string{unknown, refused}},
		"seen elsewhere": {at(mark, "pay", 2, false), []string{unknown, refused}},
		"another":        {at(other, "shop", 2, false), []string{another, refused}},
	} {
		if diff := cmp.Diff(c.want, rulesOf(exposure.Compare(nil, nil, nil, []exposure.Sighting{at(mark, "shop", 1, true), c.also}))); diff != "" {
			t.Errorf("%s (-want +have):\n%s", name, diff)
		}
	}
	let := at(mark, "shop", 1, false)
	let.Reason = "a test key"
	if have := let.Merge(at(mark, "shop", 2, false)).Reason; have != "a test key" {
		t.Errorf("the reason became %q", have)
	}
}

// A report that says nothing of it, or that the issuer did not answer, takes back no answer.
func TestVerdictsLast(t *testing.T) {
	t.Parallel()
	dead, live := exposure.Verdict{Liveness: exposure.Dead, At: noon}, exposure.Verdict{Liveness: exposure.Live, At: noon.Add(time.Hour), As: "shop"}
	unknown := exposure.Verdict{Liveness: exposure.Unknown, At: noon.Add(2 * time.Hour), Why: "unavailable"}
	for _, c := range []struct{ before, said, want exposure.Verdict }{
		{exposure.Verdict{}, unknown, unknown}, {dead, exposure.Verdict{}, dead}, {dead, unknown, dead}, {dead, live, live}, {live, dead, live}, {unknown, dead, dead},
	} {
		before, again := sighting("m", "", "a"), sighting("m", "", "a")
		before.Verdict, again.Verdict = c.before, c.said
		if have := before.Merge(again).Verdict; have != c.want {
			t.Errorf("%+v, then %+v: %+v", c.before, c.said, have)
		}
	}
}

// Whoever publishes ids, as many and wherever, opens nothing but alarms.
func TestIDsAloneLeakNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SampledFrom([]string{"K1", "K2", "K3"})
		keys := map[string][]accesskey.AccessKey{}
		for _, id := range []string{"K1", "K2", "K3"} {
			keys[id] = []accesskey.AccessKey{key(id, rapid.SampledFrom([]accesskey.Status{accesskey.Active, accesskey.Inactive, accesskey.Gone}).Draw(t, "status"))}
		}
		marks := map[string][]secret.Mark{"m": {{Mark: "m", Name: "pay", Secret: "s", Version: "v", KeyID: ids.Draw(t, "of")}}, "": {{Name: "pay", Secret: "s", Version: "v"}}}
		secrets := map[string]secret.Secret{"s": {ID: "s", Stages: []secret.Label{{Stage: secret.Current, Version: "v"}}}}
		var seen []exposure.Sighting
		for range rapid.IntRange(1, 5).Draw(t, "n") {
			seen = append(seen, sighting("", ids.Draw(t, "id"), rapid.StringMatching(`[a-z]{3}`).Draw(t, "path")))
		}
		for _, f := range exposure.Compare(marks, secrets, keys, seen) {
			if f.Rule != "LK02" || f.Severity > finding.Medium {
				t.Fatalf("%+v", f)
			}
		}
	})
}

// A finding names at most some places and counts the rest, however many there are.
func TestPlacesAreBounded(t *testing.T) {
	t.Parallel()
	one := sighting(strings.Repeat("a", 64), "", "p0")
	for n := range 50 {
		again := sighting(one.Mark, "", fmt.Sprint("p", n))
		again.Last = noon.Add(time.Duration(n) * time.Hour)
		one = one.Merge(again)
	}
	if len(one.Places) != exposure.MaxPlaces || !one.Fresh.Equal(noon.Add(19*time.Hour)) || !one.First.Equal(noon) {
		t.Errorf("%d places, fresh %v, first %v", len(one.Places), one.Fresh, one.First)
	}
	if same := one.Merge(one); !cmp.Equal(one, same) {
		t.Errorf("the same again: %s", cmp.Diff(one, same))
	}
	places := 0
	for _, e := range exposure.Compare(nil, nil, nil, []exposure.Sighting{one})[0].Evidence {
		if e.Name == "place" {
			places++
		}
		if e.Name == "more-places" && e.Value != "10" {
			t.Errorf("%s more", e.Value)
		}
	}
	if places != 10 {
		t.Errorf("%d places", places)
	}
}

// A rotation does not begin on what somebody may have guessed.
func TestWhatNobodyGuesses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"": false, "administrator": false, "Zx9#kLm2" + "pQ7!vB": false, strings.Repeat("ab", 30): false, "0123456789abcdefghi": false,
		"b7Qe0xWm4R" + "t8Yz2Kp6Ns1V": true, "0123456789" + "abcdefghij": true,
	} {
		if got := exposure.Strong(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestTextsAreClean(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(0, 40).Draw(t, "most")
		text := exposure.Clean(string(rapid.SliceOf(rapid.Byte()).Draw(t, "text")), most)
		if len(text) > most || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			t.Fatalf("%q", text)
		}
	})
}

// Every rule says why and what to do, in both languages.
func TestRules(t *testing.T) {
	t.Parallel()
	for _, r := range exposure.Rules() {
		if r.Source != exposure.Source || r.Title.English == "" || r.Title.Chinese == "" || r.Why.English == "" || r.Why.Chinese == "" || len(r.Fixes) == 0 || r.Fixes[0].Text.English == "" || r.Fixes[0].Text.Chinese == "" {
			t.Errorf("%+v", r)
		}
	}
}

// An origin is kept, recorded and told to people: one with a credential in it is refused before.
func TestOriginsHoldNoCredential(t *testing.T) {
	for _, origin := range []string{"https://bot:fake@git.example.com/shop.git", "HTTPS://fake-token@git.example.com", "http://bot:%zz@host/x", "ssh://git:fake@host/x"} {
		if err := exposure.Check(exposure.Report{Origin: origin}); !fault.Is(err, fault.InvalidParameter) || strings.Contains(err.Error(), "fake") {
			t.Errorf("%s: %v", origin, err)
		}
	}
	for _, origin := range []string{"shop", "https://git.example.com/@shop", "ssh://git@host/shop.git", "git@host:shop.git", "host:/srv/shop"} {
		if err := exposure.Check(exposure.Report{Origin: origin}); err != nil {
			t.Errorf("%s: %v", origin, err)
		}
	}
}
