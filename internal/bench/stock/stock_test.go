package stock

import (
	"testing"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/bench/node"
	"github.com/keyward/keyward/internal/expiry"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key/lifecycle"
)

// The tests are inside the package because what it exports measures for minutes.

// TestStock synchronises, scans and lists what a provider has, on a store as the
// inventory's measurements have it.
func TestStock(t *testing.T) {
	big := &made{}
	s, err := node.Open(t.Context(), node.Options{Dir: t.TempDir(), Providers: []accesskey.KindOfProvider{big.kind()}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, _, err := s.Accounts.Add(t.Context(), s.Caller(node.Account), "large", "made", accesskey.Draft{}); err != nil {
		t.Fatal(err)
	}
	big.grow(time.Now(), 300)
	standings, err := synchronise(t.Context(), s)
	if err != nil || len(standings) != 1 || standings[0].State.Keys != 300 {
		t.Fatalf("%+v, %v", standings, err)
	}
	v := &inventory{Node: s, database: "sqlite"}
	if err := v.learn(t.Context()); err != nil || v.coding.encode <= 0 || v.coding.decode <= 0 {
		t.Errorf("coding %+v, %v", v.coding, err)
	}
	if _, err := s.Scans.Handlers()[expiry.JobScan](t.Context(), job.Job{Kind: expiry.JobScan, Account: node.Account}); err != nil {
		t.Fatal(err)
	}
	if last, err := s.Scans.Last(t.Context(), node.Account); err != nil || last.Seen != 300 || last.Of != 300 {
		t.Errorf("scan %+v, %v", last, err)
	}
	k, err := s.Keys.Create(t.Context(), s.Caller(node.Account), lifecycle.CreateInput{})
	if err != nil {
		t.Fatal(err)
	}
	if r := v.encrypt(t.Context(), k.ID, func() { time.Sleep(time.Millisecond) }); len(r.took) < encrypters || len(r.failed) > 0 {
		t.Errorf("%d encryptions, %d failures: %v", len(r.took), len(r.failed), r.failed)
	}
}

// TestRecalled: what was observed once is answered again without asking.
func TestRecalled(t *testing.T) {
	big := &made{}
	m := &memory{seen: map[string]accesskey.Snapshot{}}
	kind := m.remembering(big.kind())
	observe := func() int {
		t.Helper()
		p, err := kind.Open(accesskey.Opening{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := p.Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(s.Keys)
	}
	big.grow(time.Now(), 3)
	first := observe()
	big.grow(time.Now(), 5)
	if again := observe(); first != 3 || again != 3 {
		t.Errorf("%d keys, then %d", first, again)
	}
}
