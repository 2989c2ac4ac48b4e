package ignore_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/ignore"
)

var now = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

func finding(fingerprint string) leak.Finding {
	return leak.Finding{Fingerprint: strings.Repeat(fingerprint, 32), Rule: "generic-secret"}
}

func TestIgnores(t *testing.T) {
	f := ignore.New(now)
	f.Accept([]leak.Finding{finding("a"), finding("b")}, ignore.Entry{Owner: "alice", Reason: "revoked"})
	f.Accept([]leak.Finding{finding("c")}, ignore.Entry{Owner: "bob", Reason: "until the move", Expires: now.Add(-time.Hour)})
	content, err := f.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	read, err := ignore.Parse(content, now)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f.Entries, read.Entries); diff != "" {
		t.Errorf("entries (-written +read):\n%s", diff)
	}
	if diff := cmp.Diff(f.Key(), read.Key()); diff != "" {
		t.Errorf("keys (-written +read):\n%s", diff)
	}
	for fingerprint, want := range map[string]bool{"a": true, "c": false, "d": false} {
		if got := read.Ignores(finding(fingerprint), leak.Location{Path: "x", Line: 1}); got != want {
			t.Errorf("%s: %v", fingerprint, got)
		}
	}
	unused, over := read.Unused()
	if len(unused) != 1 || unused[0].Fingerprint[0] != 'b' || len(over) != 1 || over[0].Owner != "bob" {
		t.Errorf("unused %v, over %v", unused, over)
	}
}

func TestGitleaksPlaces(t *testing.T) {
	f := ignore.New(now)
	if err := f.Gitleaks([]byte("# old\n\ncmd/main.go:generic-api-key:12\n" + strings.Repeat("0", 40) + ":a:b.go:aws-access-token:3\n")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at   leak.Location
		want bool
	}{
		{leak.Location{Path: "cmd/main.go", Line: 12}, true},
		{leak.Location{Path: "cmd/main.go", Line: 13}, false},
		{leak.Location{Path: "a:b.go", Line: 3, Commit: strings.Repeat("0", 40)}, true},
		{leak.Location{Path: "a:b.go", Line: 3}, false},
	} {
		if got := f.Ignores(finding("e"), c.at); got != c.want {
			t.Errorf("%v: %v", c.at, got)
		}
	}
	if err := f.Gitleaks([]byte("nonsense\n")); err == nil {
		t.Error("nonsense is taken")
	}
}

func TestParseRefuses(t *testing.T) {
	salt := `salt = "` + strings.Repeat("00", 32) + "\"\n"
	for name, content := range map[string]string{
		"no salt":     "[[ignore]]\n",
		"no owner":    salt + "[[ignore]]\nfingerprint = \"" + strings.Repeat("a", 32) + "\"\nreason = \"r\"\n",
		"unknown key": salt + "paths = [\"x\"]\n",
		"no TOML":     "salt =",
	} {
		if _, err := ignore.Parse([]byte(content), now); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`salt = "00"`), []byte("a:b:1"))
	f.Fuzz(func(t *testing.T, content, places []byte) {
		file, err := ignore.Parse(content, now)
		if err != nil {
			file = ignore.New(now)
		}
		_ = file.Gitleaks(places) // any answer, without a panic
		file.Ignores(finding("a"), leak.Location{Path: "b", Line: 1})
		for _, e := range file.Entries {
			if e.Owner == "" || e.Reason == "" {
				t.Fatalf("an entry without owner or reason: %+v", e)
			}
		}
	})
}
