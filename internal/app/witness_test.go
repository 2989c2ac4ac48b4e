package app_test

import (
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/app"
	"github.com/keyward/keyward/internal/config"
	"github.com/keyward/keyward/internal/cosign"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A witness that cannot be reached stops nothing, and shows.
func TestUnreachableWitness(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, key, err := cosign.GenerateKey("witness.example.com/w1")
	if err != nil {
		t.Fatal(err)
	}
	c := configure(t, storetest.SQLite(t))
	c.Witnesses = []config.Witness{{URL: "http://" + nobody, Key: key, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	r := run(t, c)
	if _, err := r.Initialize(t.Context(), passphrase(sealtest.Passphrase), "first"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := r.CreateAccount(t.Context(), "second"); err != nil && !strings.Contains(err.Error(), "taken") && !strings.Contains(err.Error(), "exists") {
			t.Errorf("without a witness: %v", err)
		}
	}
	if status, body := r.get(t, "/readyz"); status != 200 {
		t.Errorf("/readyz answers %d %q", status, body)
	}
	s, err := r.Status(t.Context())
	if err != nil || len(s.Witnesses) != 1 || s.Witnesses[0].Witness != "witness.example.com/w1" || s.Witnesses[0].Conflict || s.Witnesses[0].Size != 0 {
		t.Errorf("the status is %+v, %v", s, err)
	}
	_, metrics := r.get(t, "/metrics")
	for _, want := range []string{`keyward_witness_conflict{witness="witness.example.com/w1"} 0`, `keyward_witness_cosigned_records{witness="witness.example.com/w1"} 0`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if strings.Contains(metrics, "keyward_witness_cosignature_age_seconds{") {
		t.Error("the metrics tell the age of a cosignature that never was")
	}
}

// A witness that can never be asked stops the start.
func TestWitnessThatCannotBe(t *testing.T) {
	c := configure(t, storetest.SQLite(t))
	c.Witnesses = []config.Witness{{URL: "http://witness.example.com", Key: "k"}}
	if err := app.New(app.Options{Config: c, Logger: slog.New(slog.DiscardHandler), Now: time.Now}).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "witness") {
		t.Errorf("it starts: %v", err)
	}
}
