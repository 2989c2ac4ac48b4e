package interop_test

import (
	"crypto/rand"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A fickleServer is one whose clock a test sets.
type fickleServer struct {
	*testing.T
	*server
	account
}

// set puts the clock off by so much, and waits until the server has seen it.
func (s fickleServer) set(offset time.Duration, state string) {
	s.Helper()
	path := filepath.Join(s.dir, "data", "offset")
	succeed(s.T, os.WriteFile(path+".new", []byte(offset.String()), 0o600))
	succeed(s.T, os.Rename(path+".new", path))
	await(s.T, "the clock is "+state, func() bool {
		status, err := s.run(s.account, "-o", "json", "operator", "status", "--data-dir", filepath.Join(s.dir, "data"))
		succeed(s.T, err)
		return strings.Contains(status, `"state": "`+state+`"`)
	})
}

func (s fickleServer) expect(c call, want refusal) {
	s.Helper()
	if got := send(s.T, rpc(s.account, c)); got.refusal != want {
		s.Errorf("%s at %v answers %v, want %v", c.action, c.at, got.refusal, want)
	}
}

func (s fickleServer) get(path string) string {
	s.Helper()
	response := must(http.Get("http://" + s.address + path))(s.T)
	defer response.Body.Close() //nolint:errcheck // it is read whole
	return string(must(io.ReadAll(response.Body))(s.T))
}

// TestClockJumps sets the clock of a server forward and back. Requests are served
// wherever that is safe, a used one never again; the operator is told, and can accept.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	program := buildPatched(t, fickle, hasty)
	onOwn(t, func(t *testing.T, o options) {
		o.program = program
		plain := newServer(t, o)
		s := fickleServer{t, plain, plain.account(t)}
		data := filepath.Join(s.dir, "data")
		s.set(0, "steady")
		used := call{action: "DescribeRegions", at: time.Now(), nonce: rand.Text()}
		s.expect(used, ok)

		s.set(-time.Hour, "jumped") // the server knows better than its clock
		s.expect(call{action: "DescribeRegions"}, ok)
		s.expect(used, bad(nonceUsed))
		s.expect(call{action: "DescribeRegions", at: time.Now().Add(-time.Hour)}, bad("InvalidTimeStamp.Expired"))
		if ready, metrics := s.get("/readyz"), s.get("/metrics"); !strings.Contains(ready, "clock jumped") || !strings.Contains(metrics, "keyward_clock_jumped 1") {
			t.Errorf("the alarm is silent: %q", ready)
		}
		s.kill(t)
		s.restart(t)
		s.set(-time.Hour, "jumped") // it has not forgotten
		s.expect(used, bad(nonceUsed))

		s.set(40*24*time.Hour, "jumped")
		s.expect(call{action: "DescribeRegions"}, bad("InvalidTimeStamp.Expired"))
		s.set(0, "steady")
		s.expect(call{action: "DescribeRegions"}, ok)
		s.expect(used, bad(nonceUsed))

		if _, err := s.run(s.account, "operator", "clock", "accept", "--yes", "--data-dir", data); err == nil {
			t.Error("a clock that is right can be accepted")
		}
		s.set(-2*time.Hour, "jumped")
		s.command(t, s.account, "operator", "clock", "accept", "--yes", "--data-dir", data)
		s.set(-2*time.Hour, "steady")
		s.expect(call{action: "DescribeRegions", at: time.Now().Add(-2 * time.Hour)}, ok)
		export := must(s.run(s.account, "audit", "export", "--socket", filepath.Join(data, "operator.sock")))(t)
		if !strings.Contains(export, `keyward:AcceptClock`) {
			t.Error("the log does not say that the clock was accepted")
		}
	})
}
