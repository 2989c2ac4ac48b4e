package mirror_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/mirror"
)

// waitingGit tells where git is sent and what it has to show there, and waits to be let go.
const waitingGit = `#!/bin/sh
for address; do :; done
i=0
while [ $i -lt $GIT_CONFIG_COUNT ]; do
	eval "key=\$GIT_CONFIG_KEY_$i; value=\$GIT_CONFIG_VALUE_$i"
	if [ "$key" = http.extraHeader ]; then header=$value; fi
	i=$((i + 1))
done
printf '%s\n%s\n' "$address" "$header" > "$HOME/told"
read let_go < "$HOME/go"
exit 1
`

// Other programs on this machine may find the gateway's port: without the pass they get nothing
// over it, and with it nothing but what reading the repository takes.
func TestGatewayIsForGit(t *testing.T) {
	w := newWorld(t)
	w.commit("main", "a.yaml", "")
	w.remote.User, w.remote.Token = "bot", material.NewBytes([]byte("fake-token"))
	bin := t.TempDir()
	told, letGo := filepath.Join(w.options.Dir, "told"), filepath.Join(w.options.Dir, "go")
	if err := errors.Join(os.WriteFile(filepath.Join(bin, "git"), []byte(waitingGit), 0o700), os.MkdirAll(w.options.Dir, 0o700),
		syscall.Mkfifo(told, 0o600), syscall.Mkfifo(letGo, 0o600)); err != nil {
		t.Fatal(err)
	}
	host := os.Getenv("PATH")
	t.Setenv("PATH", bin+":"+host)
	ended := make(chan error)
	go func() {
		_, err := mirror.New(w.options).Tips(t.Context(), w.remote)
		ended <- err
	}()
	content, err := os.ReadFile(told)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", host)
	lines := strings.Split(string(content), "\n")
	address := lines[0]
	name, pass, _ := strings.Cut(lines[1], ": ")
	const refs, pack = "/info/refs?service=git-upload-pack", "/git-upload-pack"
	for _, c := range []struct {
		method, path, pass string
		status             int
	}{
		{"GET", refs, "", 403}, {"GET", refs, pass + "x", 403}, {"GET", refs, pass[1:], 403}, {"POST", pack, "", 403},
		{"GET", "/info/refs?service=git-receive-pack", pass, 403}, {"POST", "/git-receive-pack", pass, 403}, {"GET", "/info/refs", pass, 403},
		{"GET", refs + "&x=y", pass, 403}, {"POST", refs, pass, 403}, {"GET", pack, pass, 403}, {"GET", "/../other.git" + refs, pass, 403}, {"GET", "/HEAD", pass, 403},
		{"GET", refs, pass, 200},
	} {
		before := len(w.requests())
		r, err := http.NewRequestWithContext(t.Context(), c.method, address+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.pass != "" {
			r.Header.Set(name, c.pass)
		}
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if reached := len(w.requests()) > before; resp.StatusCode != c.status || reached != (c.status == 200) {
			t.Errorf("%s %s with the pass %q: answered %d, want %d; it reached the repository: %v", c.method, c.path, c.pass, resp.StatusCode, c.status, reached)
		}
	}
	seen := w.requests()
	if user, token, _ := seen[len(seen)-1].BasicAuth(); user != "bot" || token != "fake-token" || seen[len(seen)-1].Header.Get(name) != "" {
		t.Errorf("the repository was shown %q, %q and %v", user, token, seen[len(seen)-1].Header)
	}
	if err := os.WriteFile(letGo, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("a git that failed told something")
	}
	if resp, err := http.Get(address + refs); err == nil {
		_ = resp.Body.Close()
		t.Error("the gateway is open after git has ended")
	}
}
