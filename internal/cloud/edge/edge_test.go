package edge_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/cloud/edge"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/target"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// open answers a place whose webhook answers every request with one text.
func open(t testing.TB, answer func() string) target.Place {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer()) }))
	t.Cleanup(s.Close)
	p, err := edge.Kind().Open(target.Opening{
		Filling: form.Filling{
			Settings:   map[string]string{"put_url": s.URL + "/{rollout}", "pops_url": s.URL + "/{rollout}/pops"},
			Credential: map[string]material.Bytes{"hmac_key": material.NewBytes([]byte("fake-key-of-the-edge"))},
		},
		Now: func() time.Time { return noon }, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// delivery answers the one that the published contract speaks of.
func delivery() target.Delivery {
	d := target.Delivery{Account: "1000000000000001", Target: "cdn"}
	d.Rollout, d.Secret, d.Primary = "pay", "pay/key", material.NewBytes([]byte("fake-value"))
	d.Generation = rollout.Generation{Number: 7, Primary: "v2", Fallback: "v1"}
	return d
}

// The contract that is published is the one that is kept: its examples are read, and what
// they authenticate is authentic.
func TestThePublishedContract(t *testing.T) {
	page, err := os.ReadFile("../../../docs/design/edge-webhook.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```(json|signature)\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 3 {
		t.Fatalf("there are %d examples", len(blocks))
	}
	want := edge.Signature(material.NewBytes([]byte("fake-key-of-the-edge")), "GET", "/pay/pops", "2026-03-01T12:00:00Z", nil)
	if got := strings.TrimSpace(blocks[0][2]); got != want {
		t.Errorf("the signature is %s, want %s", got, want)
	}
	var put edge.Generation
	decoder := json.NewDecoder(strings.NewReader(blocks[1][2]))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&put); err != nil || put.Generation != 7 || put.Fallback == nil || put.Primary.Version != "v2" || len(put.Primary.Sealed) != 3 {
		t.Errorf("%+v, %v", put, err)
	}
	p, err := open(t, func() string { return blocks[2][2] }).Look(t.Context(), delivery())
	if err != nil {
		t.Fatal(err)
	}
	diff := cmp.Diff(target.Progress{
		Level: rollout.Received, Waiting: "1 of 3 points of presence have not confirmed: hkg1", FallbackAt: time.Date(2026, 3, 1, 3, 40, 0, 0, time.UTC),
	}, p, cmp.Comparer(time.Time.Equal))
	if diff != "" {
		t.Error(diff)
	}
}

// An answer that breaks the contract anywhere is refused whole, and not repeated.
func TestBrokenInventories(t *testing.T) {
	for name, answer := range map[string]string{
		"no JSON":             `<html>canary</html>`,
		"another format":      `{"format":"v2","rollout":"pay","generation":7,"pops":[]}`,
		"another rollout":     `{"format":"keyward-edge-v1","rollout":"till","generation":7,"pops":[]}`,
		"a negative number":   `{"format":"keyward-edge-v1","rollout":"pay","generation":-1,"pops":[]}`,
		"a name":              `{"format":"keyward-edge-v1","rollout":"pay","generation":7,"pops":[{"pop":"canary\u001b[2J","state":"pending"}]}`,
		"a name twice":        `{"format":"keyward-edge-v1","rollout":"pay","generation":7,"pops":[{"pop":"a","state":"pending"},{"pop":"a","state":"drained"}]}`,
		"another state":       `{"format":"keyward-edge-v1","rollout":"pay","generation":7,"pops":[{"pop":"a","state":"canary"}]}`,
		"a time with no zone": `{"format":"keyward-edge-v1","rollout":"pay","generation":7,"pops":[{"pop":"a","state":"pending","usedAt":"2026-03-01T12:00:00"}]}`,
		"too many":            `{"format":"keyward-edge-v1","rollout":"pay","generation":7,"pops":[` + strings.Repeat(`{"pop":"a","state":"pending"},`, edge.MaxPops) + `{"pop":"a","state":"pending"}]}`,
	} {
		_, err := open(t, func() string { return answer }).Look(t.Context(), delivery())
		if !fault.Is(err, fault.StateConflict) || !strings.Contains(fault.Message(err), "edge-webhook.md") || strings.Contains(fault.Message(err), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Another generation than the one that is to be there counts for nothing; a newer one is not
// written over.
func TestOtherGenerations(t *testing.T) {
	for generation, foreign := range map[string]bool{"0": false, "6": false, "8": true} {
		p, err := open(t, func() string {
			return `{"format":"keyward-edge-v1","rollout":"pay","generation":` + generation + `,"pops":[{"pop":"a","state":"drained"}]}`
		}).Look(t.Context(), delivery())
		if err != nil || p.Level != "" || p.Foreign != foreign || p.Waiting == "" {
			t.Errorf("%s: %+v, %v", generation, p, err)
		}
	}
}

// Whatever is answered, it is understood or refused, and only proved confirmations count.
func FuzzInventory(f *testing.F) {
	f.Add(`{"format":"keyward-edge-v1","rollout":"pay","generation":7,"pops":[{"pop":"fra1","state":"confirmed","generation":7,"fingerprint":"ab"}]}`)
	f.Add(`{"format":"keyward-edge-v1","rollout":"pay","generation":7,"pops":[{"pop":"fra1","state":"drained"}]}`)
	f.Add(`[]`)
	var answer string
	place := open(f, func() string { return answer })
	f.Fuzz(func(t *testing.T, text string) {
		answer = text
		p, err := place.Look(context.Background(), delivery())
		if err == nil && p.Level == rollout.Used {
			t.Errorf("it is used without proof: %s", text)
		}
		if err != nil && fault.KindOf(err) == fault.Internal {
			t.Errorf("%v", err)
		}
	})
}
