package consumer_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/agent/consumer"
)

func TestCommand(t *testing.T) {
	for _, c := range []struct {
		argv []string
		want string
	}{
		{[]string{"/bin/sh", "-c", "exit 0"}, ""},
		{[]string{"/bin/sh", "-c", "echo EXAMPLE-secret; echo EXAMPLE-secret >&2; exit 3"}, "running /bin/sh: exit status 3"},
		{[]string{"/bin/sh", "-c", "kill -TERM $$"}, "running /bin/sh: signal: terminated"},
		{[]string{"/no/such/program"}, "running /no/such/program: fork/exec /no/such/program: no such file or directory"},
	} {
		err := consumer.Command{Argv: c.argv, Timeout: time.Minute}.Run(t.Context())
		if got := errors.Join(err); c.want == "" && got != nil || c.want != "" && (got == nil || got.Error() != c.want) {
			t.Errorf("%v: %v, want %q", c.argv, err, c.want)
		}
	}
}

// A command that hangs is killed with all that it started.
func TestCommandHangs(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	if err := syscall.Mkfifo(pids, 0o600); err != nil {
		t.Fatal(err)
	}
	read := make(chan string, 1)
	go func() {
		content, err := os.ReadFile(pids) // until nobody has it open: both are ended
		if err != nil {
			content = []byte(err.Error())
		}
		read <- string(content)
	}()
	c := consumer.Command{Argv: []string{"/bin/sh", "-c", "exec 3>" + pids + "; sleep 1000 & echo $! >&3; echo $$ >&3; wait"}, Timeout: 300 * time.Millisecond}
	err := c.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "did not end within 300ms and was killed") {
		t.Error(err)
	}
	said := strings.Fields(<-read)
	if len(said) != 2 {
		t.Fatalf("it wrote %q", said)
	}
	for _, text := range said {
		if _, err := strconv.Atoi(text); err != nil {
			t.Error(err)
		}
	}
}

func TestCommandIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := (consumer.Command{Argv: []string{"/bin/sleep", "1000"}, Timeout: time.Hour}).Run(ctx); err == nil {
		t.Error("it ended well")
	}
}

func TestProbeURL(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/elsewhere":
			http.Redirect(w, r, "/good", http.StatusFound)
		case "/hang":
			<-r.Context().Done()
		case "/good":
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer s.Close()
	for _, c := range []struct {
		path    string
		status  int
		timeout time.Duration
		want    string
	}{
		{"/good", 200, time.Minute, ""},
		{"/bad", 503, time.Minute, ""},
		{"/bad", 200, time.Minute, "it answered 503 instead of 200"},
		{"/elsewhere", 200, time.Minute, "it answered 302 instead of 200"},
		{"/hang", 200, 50 * time.Millisecond, "deadline exceeded"},
	} {
		err := consumer.Probe{URL: s.URL + c.path, Status: c.status, Timeout: c.timeout}.Run(t.Context())
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.path, err, c.want)
		}
	}
	if err := (consumer.Probe{Command: consumer.Command{Argv: []string{"/bin/false"}, Timeout: time.Minute}}).Run(t.Context()); err == nil {
		t.Error("/bin/false succeeded")
	}
}
