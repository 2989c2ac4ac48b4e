package app_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/storetest"
)

// Links are served where people can reach the server, refused while it is sealed, and
// nothing else's path is taken for one.
func TestLinksAreServed(t *testing.T) {
	t.Parallel()
	c := configure(t, storetest.SQLite(t))
	c.PublicURL = "https://keyward.example.com"
	r := run(t, c)
	if status, body := r.get(t, "/ack/AAAA"); status != http.StatusServiceUnavailable || !strings.Contains(body, "sealed") {
		t.Errorf("before it was initialised: %d %s", status, body)
	}
	if _, err := r.Initialize(t.Context(), passphrase(sealtest.Passphrase), "first"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/ack/AAAA", "/confirm/AAAA"} {
		if status, body := r.get(t, path); status != http.StatusNotFound || !strings.Contains(body, "<!doctype html>") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, body := r.get(t, "/acknowledge"); status != http.StatusNotFound || strings.Contains(body, "html") {
		t.Errorf("another path: %d %s", status, body)
	}
	if _, text := r.get(t, "/metrics"); !strings.Contains(text, "keyward_sealed 0") {
		t.Error("the metrics are not served")
	}
	without := configure(t, storetest.SQLite(t))
	other := run(t, without)
	if _, body := other.get(t, "/ack/AAAA"); strings.Contains(body, "html") {
		t.Errorf("a server that makes no links serves them: %s", body)
	}
}
