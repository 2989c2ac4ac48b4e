package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cloud/httpapi/httpapitest"
)

// provider test --live asks a service as a synchronisation would, and shows no secret.
func TestProviderTestLive(t *testing.T) {
	story, secret := httpapitest.NewStory(time.Now, time.Date(2099, 12, 1, 0, 0, 0, 0, httpapitest.Zone))
	server := httptest.NewServer(story)
	defer server.Close()
	s := newSession(t, cli.English)
	file := filepath.Join(t.TempDir(), "key.txt")
	write := func(content string) {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	live := []string{"provider", "test", "story", "--live", "--credential", file, "--var", "url=" + server.URL, "--allow", "127.0.0.0/8"}

	write(secret + "\n")
	if status := s.Do(live...); status != cli.ExitOK || !strings.Contains(s.Stdout.String(), "first expiry: 2099-11-30T16:00:00Z") || !strings.Contains(s.Stderr.String(), "passes: 2 checks") {
		t.Errorf("status %d: %s%s", status, &s.Stdout, &s.Stderr)
	}
	s.In = strings.NewReader(secret)
	if status := s.Do(append(live, "--credential", "-")...); status != cli.ExitOK {
		t.Errorf("from standard input: status %d: %s%s", status, &s.Stdout, &s.Stderr)
	}
	write("fake-wrong-key")
	if status := s.Do(live...); status != cli.ExitLocal || !strings.Contains(s.Stdout.String(), "refuses the credential") || strings.Contains(s.Stdout.String()+s.Stderr.String(), "fake-wrong") {
		t.Errorf("with a wrong key: status %d: %s%s", status, &s.Stdout, &s.Stderr)
	}
	if len(story.Keys()) != 1 {
		t.Errorf("the platform has the keys %+v: something was changed", story.Keys())
	}
	for _, bad := range [][]string{{"--var", "url"}, {"--allow", "everything"}} {
		if status := s.Do(append(live, bad...)...); status != cli.ExitLocal || !strings.Contains(s.Stderr.String(), bad[0]+" must look like") {
			t.Errorf("%v: status %d: %s", bad, status, &s.Stderr)
		}
	}
}
