package abuse

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
)

// placeNames are what settings are called that lead to a file or to a program.
var placeNames = regexp.MustCompile(`(?i)path|file|dir(ectory)?$|folder|plugin|module|library|prefix|^mode|filemode|sink|command|exec|^script|program|url|endpoint|host|template`)

// harmless are names that only look so: url is that of a witness, in the operator's
// status, which is an answer, and path that of an offer on the server; a sink is named by its name, and its address, a setting of
// it, is reached through the guard of outgoing connections; a profile is one of two words.
var harmless = map[string]bool{"url": true, "path": true, "sink": true, "sinks": true, "profile": true}

// Nothing that can be said over any API names a file, a program or an address, and what
// looks like a path leads to none: where the audit log goes, and everything else on the
// disk, is in the configuration file only.
func TestL1NoAPINamesAFile(t *testing.T) {
	for source, names := range parameterNames(t) {
		if len(names) < 30 {
			t.Errorf("%s: found only %v", source, names)
		}
		for _, name := range names {
			if !harmless[name] && placeNames.MatchString(name) {
				t.Errorf("%s: %q names a place", source, name)
			}
		}
	}
	w := newWorld(t)
	g := newGenerator(w, nil, 1, 1)
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	here, kept, tried := entries(t, dir), w.files(t), 0
	for _, op := range operations(t) {
		if op.name == "Seal" {
			continue // nothing works after it
		}
		for _, f := range op.fields {
			for _, place := range []string{filepath.Join(outside, "planted"), "../../../../../../.." + filepath.Join(outside, "planted"), "planted", "file://" + filepath.Join(outside, "planted"), "x$(touch planted)", "|touch planted"} {
				a := w.send(t, w.named(g, op, f, place))
				if a.status >= 500 {
					t.Errorf("%s %s with %s %q: %d %s", op.dialect, op.name, f.name, place, a.status, a.body)
				}
				tried++
			}
		}
	}
	if tried < 1000 {
		t.Errorf("only %d requests", tried)
	}
	if diff := cmp.Diff(kept, w.files(t)); diff != "" {
		t.Errorf("the data directory has other files (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(here, entries(t, dir)); diff != "" || len(entries(t, outside)) > 0 {
		t.Errorf("files were made: %s %v", diff, entries(t, outside))
	}
	w.log.check(t)
}

func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}

// parameterNames are all names that the APIs understand, from where they are declared.
func parameterNames(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for pattern, name := range map[string]*regexp.Regexp{
		"../../../api/*.go":                     regexp.MustCompile(`json:"(\w+)`),
		"../../../internal/server/alibaba/*.go": regexp.MustCompile(`\bv\.\w+\("(\w+)"`),
	} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range name.FindAllSubmatch(source, -1) {
				out[pattern] = append(out[pattern], string(m[1]))
			}
		}
	}
	var document any
	if err := json.Unmarshal(api.OpenAPI, &document); err != nil {
		t.Fatal(err)
	}
	out["openapi.json"] = described(document)
	return out
}

// described answers the names of all parameters and members in an OpenAPI document.
func described(v any) (names []string) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			names = append(names, described(e)...)
		}
	case map[string]any:
		if name, ok := v["name"].(string); ok && v["in"] != nil {
			names = append(names, name)
		}
		if members, ok := v["properties"].(map[string]any); ok {
			for name := range members {
				names = append(names, name)
			}
		}
		for _, e := range v {
			names = append(names, described(e)...)
		}
	}
	return names
}

// Page tokens that were not given are refused where they are sealed; where they are plain
// numbers and positions, no forged one answers anything of another account, ends in an
// error of the database or changes anything.
func TestL16ForgedPageTokens(t *testing.T) {
	w := newWorld(t)
	g := newGenerator(w, nil, 1, 1)
	w.forgeTokens(t, g)
	n, rows, tried := w.names, w.rows(t), 0
	position := func(format string, of ...any) string {
		return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, format, of...))
	}
	forged := []string{
		"' OR 1=1 --", "1; DROP TABLE kms_key; --", "x') UNION SELECT secret FROM iam_access_key --", `\`, "%", "_", "*", "\x00", "0", "-1", "2", "9223372036854775807", "99999999999999999999",
		n["foreign"], n["foreign.alias"], n["foreign.account"], n["stranger.ak"], "stranger", "foreign-policy", "acs:" + n["foreign.account"],
		position("0 0 0 %s", n["log"]), position("0 0 999999999 %s", n["log"]), position("9223372036854775807 9223372036854775807 9223372036854775807 %s", n["log"]), position("1 1 1 ' OR 1=1 --"), position("1 -1 -1 %s", n["log"]),
	}
	for _, op := range operations(t) {
		i := slices.IndexFunc(op.fields, func(f field) bool { return f.kind == cursor })
		if i < 0 {
			continue
		}
		for _, text := range forged {
			a := w.send(t, w.named(g, op, op.fields[i], text))
			tried++
			if a.status != 200 && (a.status < 400 || a.status > 499) {
				t.Errorf("%s %s with %q: %d %s", op.dialect, op.name, text, a.status, a.body)
			}
			for _, name := range []string{"foreign", "foreign.account", "foreign.version", "stranger.ak"} {
				if op.dialect == restDialect && text != n[name] && strings.Contains(a.body, n[name]) {
					t.Errorf("%s with %q answers %s of another account: %s", op.name, text, name, a.body)
				}
			}
		}
	}
	if tried < 150 {
		t.Errorf("only %d requests", tried)
	}
	if diff := cmp.Diff(rows, w.rows(t)); diff != "" {
		t.Errorf("something was changed (-before +after):\n%s", diff)
	}
	w.log.check(t)
}

// forgeTokens changes each byte of a sealed page token.
func (w *world) forgeTokens(t *testing.T, g *generator) {
	t.Helper()
	op := operationNamed(t, rpcDialect, "ListTagResources")
	op.fields = slices.Clone(op.fields)
	next := op.fields[slices.IndexFunc(op.fields, func(f field) bool { return f.name == "NextToken" })]
	op.fields[slices.IndexFunc(op.fields, func(f field) bool { return f.name == "ResourceId.1" })].value = "" // all keys, which are several pages
	first := w.send(t, w.named(g, op, next, ""))
	var page struct{ NextToken string }
	if err := json.Unmarshal([]byte(first.body), &page); err != nil || page.NextToken == "" {
		t.Fatalf("no page token: %s", first.body)
	}
	if a := w.send(t, w.named(g, op, next, page.NextToken)); a.status != 200 || a.body == first.body {
		t.Fatalf("the second page: %d %s", a.status, a.body)
	}
	token, err := base64.RawURLEncoding.DecodeString(page.NextToken)
	if err != nil {
		t.Fatal(err)
	}
	forged := [][]byte{[]byte("2"), []byte("1"), token[:len(token)-1], append(slices.Clone(token), 0), make([]byte, len(token))}
	for i := range token {
		changed := slices.Clone(token)
		changed[i] ^= 1 << (i % 8)
		forged = append(forged, changed)
	}
	for _, b := range forged {
		if a := w.send(t, w.named(g, op, next, base64.RawURLEncoding.EncodeToString(b))); a.status != 400 {
			t.Errorf("a forged token %x: %d %s", b, a.status, a.body)
		}
	}
}
