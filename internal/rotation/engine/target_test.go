package engine_test

import (
	"encoding/json"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/cloud/edge"
	"github.com/keyward/keyward/internal/cloud/edge/edgetest"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/engine"
	"github.com/keyward/keyward/internal/store/storetest"
	"github.com/keyward/keyward/internal/target"
)

// addCDN makes the points of presence of a CDN a node of the last wave.
func (w *world) addCDN(t testing.TB, pops ...string) *edgetest.CDN {
	t.Helper()
	cdn := edgetest.New("fake-key-of-the-edge", w.clock, pops...)
	server := httptest.NewServer(cdn)
	t.Cleanup(server.Close)
	targets := target.New(target.Options{
		Store: w.fleet, Rollouts: w.rollouts, Secrets: w.secrets, Tenants: w.tenants, Log: w.node.Log, Kinds: []target.KindOfTarget{edge.Kind()}, Region: "cn-test",
		Now: w.clock, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	for kind, handler := range targets.Handlers() {
		w.jobs.Handlers[kind] = handler
	}
	_, err := targets.Add(t.Context(), root(), "cdn", target.Draft{Kind: "edge", Labels: []form.Pair{{Name: "tier", Value: "edge"}}, Filling: form.Filling{
		Settings:   map[string]string{"put_url": server.URL + "/{rollout}", "pops_url": server.URL + "/{rollout}/pops", "seal_key": cdn.SealKey()},
		Credential: map[string]material.Bytes{"hmac_key": material.NewBytes([]byte(cdn.Key))},
	}})
	check(t, err)
	return cdn
}

// A rotation rolls through shops that have an agent and through a CDN: the point of presence
// that never confirms holds the last wave up and is named to people, one that is added in
// the grace period keeps the old key alive until it has the new one, too.
func TestRotationThroughATarget(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	cdn := w.addCDN(t, "fra1", "hkg1")
	w.pass(t, 30*time.Second, 10*time.Second)
	cdn.Add("nrt1", false)
	if _, err := w.Start(t.Context(), root(), engine.StartInput{Plan: "pay"}); err != nil {
		t.Fatal(err)
	}
	w.until(t, rotation.Rolling, 10*time.Second)
	w.pass(t, 2*time.Hour, 30*time.Second)
	if r := w.rotation(t); r.Step != rotation.Rolling || !strings.Contains(r.Detail, "cdn: 1 of 3") || !strings.Contains(r.Detail, "nrt1") {
		t.Fatalf("it is %s: %s", r.Step, r.Detail)
	}
	if len(w.told.open) == 0 {
		t.Error("nobody is told")
	}
	cdn.Take("nrt1")
	w.until(t, rotation.Grace, 30*time.Second)
	cdn.Add("sin1", false)
	w.pass(t, 30*time.Hour, 15*time.Minute)
	if r := w.rotation(t); r.Step != rotation.Grace || len(w.alive()) != 2 {
		t.Errorf("although sin1 has the old key alone, it is %s and the platform has %v", r.Step, w.alive())
	}
	cdn.Take("sin1")
	r := w.until(t, rotation.Done, 10*time.Minute)
	w.pass(t, time.Minute, 10*time.Second)
	w.whole(t, r.New.ID)
	var k struct {
		ID string `json:"key_id"`
	}
	if err := json.Unmarshal([]byte(cdn.Value("pay")), &k); err != nil || k.ID != r.New.ID {
		t.Errorf("the CDN has key %s, %v", k.ID, err)
	}
	if puts := cdn.Puts(); puts[len(puts)-1].Fallback != nil {
		t.Error("the CDN still holds the old key")
	}
}
