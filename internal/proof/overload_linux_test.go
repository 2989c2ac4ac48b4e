package proof

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

const (
	peakClients = 32  // keep the server busy
	overloads   = 10  // times as many want to be served
	memory      = 300 // MB that the server may take
)

// Ten times as many clients as keep the server busy get nearly as much out of it all
// together, and every answer that one of them got is in the audit log.
func TestOverloadOfClients(t *testing.T) {
	length := time.Duration(size(t, "KEYWARD_OVERLOAD_SECONDS", 3)) * time.Second
	allowFiles(t)
	s := newServer(t, build(t), "")
	k, err := s.client(func(string) {}).CreateKey(t.Context(), api.CreateKeyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	s.encrypt(t, peakClients, time.Second, k.ID, s.key) // warms it up
	// What else the machine does changes from second to second, so the two take turns.
	const turns = 3
	var peak, over crowd
	most := s.watch()
	for range turns {
		peak.add(s.encrypt(t, peakClients, length/turns, k.ID, s.key))
		over.add(s.encrypt(t, peakClients*overloads, length/turns, k.ID, s.key))
	}
	took := most()
	t.Logf("%d clients: %.0f calls a second, p99 %v", peakClients, peak.perSecond(), p99(peak.served))
	t.Logf("%d clients: %.0f calls a second (%.2f of the peak), p99 %v; %d refused (p99 %v); memory %d MB", peakClients*overloads, over.perSecond(),
		over.perSecond()/peak.perSecond(), p99(over.served), len(over.refused), p99(over.refused), took>>20)
	if peak.failed != nil || over.failed != nil {
		t.Errorf("calls failed: %v, %v", peak.failed, over.failed)
	}
	if over.perSecond() < 0.8*peak.perSecond() {
		t.Errorf("the overloaded server does less than 0.8 of what it can")
	}
	if took > memory<<20 {
		t.Errorf("the server took %d MB", took>>20)
	}
	if recorded, least := s.recorded(t, "kms:Encrypt"), len(peak.served)+len(over.served); recorded < least {
		t.Errorf("%d calls were answered, %d are in the audit log", least, recorded)
	}
}

// A caller who calls ten times as often as the limit allows gets what the limit allows,
// is refused the rest quickly, and takes nothing from another caller.
func TestOverloadOfOneCaller(t *testing.T) {
	length := time.Duration(size(t, "KEYWARD_OVERLOAD_SECONDS", 3)) * time.Second
	const limit = 50 // calls a second, such that a busy machine can do ten times as many
	s := newServer(t, build(t), "")
	s.kill()
	path := filepath.Join(s.home, "config.toml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	limited := strings.Replace(string(text), "calls_per_access_key = 0", "calls_per_access_key = 50", 1)
	if err := os.WriteFile(path, []byte(limited), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	c := s.client(func(string) {})
	k, err := c.CreateKey(t.Context(), api.CreateKeyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	other, err := client.Operator(s.socket).CreateAccount(t.Context(), api.CreateAccountRequest{Name: "other"})
	if err != nil {
		t.Fatal(err)
	}
	greedy := make(chan crowd)
	go func() { greedy <- s.encrypt(t, 16, length, k.ID, s.key) }()
	var slowest time.Duration
	modest, calls := s.caller(t, "127.0.0.1", other.AccessKeyID, string(other.AccessKeySecret)), 0
	for start := time.Now(); time.Since(start) < length; calls++ {
		before := time.Now()
		if _, err := modest.WhoAmI(t.Context()); err != nil {
			t.Errorf("the other caller: %v", err)
		}
		slowest = max(slowest, time.Since(before))
		pause(t.Context(), 50*time.Millisecond)
	}
	got := <-greedy
	asked := float64(len(got.served)+len(got.refused)) / got.took.Seconds()
	t.Logf("asked %.0f times a second, served %.0f (limit %d), refused within %v (p99); the other caller's %d calls took at most %v", asked, got.perSecond(), limit, p99(got.refused), calls, slowest)
	if got.failed != nil || asked < 10*limit {
		t.Errorf("asked %.0f times a second: %v", asked, got.failed)
	}
	if allowed := limit * (got.took.Seconds() + 1); float64(len(got.served)) > allowed || got.perSecond() < 0.8*limit {
		t.Errorf("served %d calls in %v", len(got.served), got.took)
	}
	if p99(got.refused) > time.Second {
		t.Errorf("refusals took %v", p99(got.refused))
	}
	if recorded := s.recorded(t, "kms:Encrypt"); recorded < len(got.served) {
		t.Errorf("%d calls were answered, %d are in the audit log", len(got.served), recorded)
	}
}

func (c *crowd) add(more crowd) {
	c.served, c.refused = append(c.served, more.served...), append(c.refused, more.refused...)
	c.took += more.took
	if more.failed != nil {
		c.failed = more.failed
	}
}

// recorded answers how many successful calls of an action the audit log holds.
func (s *server) recorded(t *testing.T, action string) (n int) {
	t.Helper()
	var export bytes.Buffer
	if err := client.Operator(s.socket).ExportAudit(t.Context(), &export); err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(export.Bytes()) {
		var e struct{ Action, Result string }
		if json.Unmarshal(line, &e) == nil && e.Action == action && e.Result == "OK" {
			n++
		}
	}
	return n
}
