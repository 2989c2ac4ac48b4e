package vault_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/cloud/vault"
	"github.com/keyward/keyward/internal/cloud/vault/vaulttest"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/sink"
)

func data(s string) material.Bytes { return material.NewBytes([]byte(s)) }

// target answers what speaks with a Vault at a URL.
func target(t testing.TB, url string, settings map[string]string) sink.Target {
	t.Helper()
	filling := form.Filling{Settings: map[string]string{"address": url}, Credential: map[string]material.Bytes{"token": data("fake-token")}}
	for name, value := range settings {
		filling.Settings[name] = value
	}
	out, err := vault.Kind().Open(sink.Opening{Filling: filling, Now: time.Now, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// contract is what package sink relies on, of any KV version 2 mount "secret".
func contract(t *testing.T, k sink.Target, remove func(path string)) {
	ctx := t.Context()
	if err := k.Check(ctx); err != nil {
		t.Fatal(err)
	}
	read := func(name string) sink.Remote {
		t.Helper()
		r, err := k.Read(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := read("payment_api_key"); r.Number != 0 || r.Gone {
		t.Errorf("nothing is there, and it reads %+v", r)
	}
	for i, value := range []string{"fake-1", "密钥 \x00\"\n", "\xff\xfebinary"} {
		n, err := k.Write(ctx, "payment_api_key", data(value), i)
		if err != nil || n != i+1 {
			t.Fatalf("writing after %d: %d, %v", i, n, err)
		}
		if r := read("payment_api_key"); r.Number != n || string(r.Value.Expose()) != value {
			t.Errorf("version %d reads as %d, %q", n, r.Number, r.Value.Expose())
		}
	}
	for _, after := range []int{0, 2, 4} {
		if _, err := k.Write(ctx, "payment_api_key", data("lost"), after); !fault.Is(err, fault.Changed) {
			t.Errorf("writing after %d, which is not the newest: %v", after, err)
		}
	}
	if _, err := k.Write(ctx, "a/b@c=d+e.f", data("fake"), 0); err != nil {
		t.Error(err)
	}
	if r := read("a/b@c=d+e.f"); string(r.Value.Expose()) != "fake" {
		t.Errorf("an odd name reads %+v", r)
	}
	remove("payment_api_key")
	if r := read("payment_api_key"); r.Number != 3 || !r.Gone || r.Value.Len() != 0 {
		t.Errorf("deleted, it reads %+v", r)
	}
	if n, err := k.Write(ctx, "payment_api_key", data("again"), 3); err != nil || n != 4 {
		t.Errorf("writing after what was deleted: %d, %v", n, err)
	}
	for _, name := range []string{"a//b", "../a", "a/..", "/a", "a/"} {
		if _, err := k.Read(ctx, name); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("%q leads elsewhere: %v", name, err)
		}
	}
}

func TestContractOfTheSimulator(t *testing.T) {
	simulated := &vaulttest.Server{Token: "fake-token"}
	server := httptest.NewServer(simulated)
	defer server.Close()
	contract(t, target(t, server.URL, nil), simulated.Delete)
	contract(t, target(t, server.URL, map[string]string{"path": "keyward/prod"}), func(path string) { simulated.Delete("keyward/prod/" + path) })
}

// Whatever answers, the error says what to do and holds neither value nor credential; and
// what concerns all secrets says so.
func TestAnswersThatAreNone(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		kind   fault.Kind
		away   bool
	}{
		{403, `{"errors":["permission denied"]}`, fault.NoPermission, false},
		{429, `{}`, fault.Throttled, true},
		{500, `{"errors":["fake-token fake-value"]}`, fault.Unavailable, true},
		{503, `{"errors":["Vault is sealed"]}`, fault.Unavailable, true},
		{307, ``, fault.Unavailable, true},
		{400, `{"errors":["something else"]}`, fault.Unavailable, true},
		{404, `{"errors":["no handler for route"]}`, fault.ResourceNotFound, true},
		{200, `<html>`, fault.Unavailable, true},
		{200, `{"data":{"version":9}}`, fault.Unavailable, true},
		{200, `{"data":{"version":1,"x":"` + strings.Repeat("x", 2<<20) + `"}}`, fault.Unavailable, true},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.body)) // the client may have enough
		}))
		_, err := target(t, server.URL, nil).Write(t.Context(), "a", data("fake-value"), 0)
		server.Close()
		if fault.KindOf(err) != c.kind || errors.Is(err, sink.ErrAway) != c.away {
			t.Errorf("%d %.40s: %v", c.status, c.body, err)
		}
		if strings.Contains(err.Error(), "fake-") {
			t.Errorf("%d: the error repeats what it must not: %v", c.status, err)
		}
	}
}

// What a server answers is anybody's.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"data":{"data":{"value":"a"},"metadata":{"version":1}}}`, `{"data":{"data":{"value":"YQ==","encoding":"base64"},"metadata":{"version":2}}}`,
		`{"data":{"data":null,"metadata":{"version":3,"deletion_time":"x"}}}`, `[]`, `{"data":{"data":{"value":1},"metadata":{"version":-1}}}`,
	} {
		f.Add(200, seed)
		f.Add(404, seed)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			return
		}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body)) // the client may have enough
		}))
		defer server.Close()
		r, err := target(t, server.URL, nil).Read(context.Background(), "a")
		if err == nil && (r.Number < 0 || r.Number == 0 && r.Value.Len() > 0 || r.Gone && r.Value.Len() > 0) {
			t.Errorf("%d %q reads %+v", status, body, r)
		}
	})
}

// A server whose certificate comes from a private authority is believed if the sink has
// the authority's, and then no other server is.
func TestPrivateAuthority(t *testing.T) {
	server := httptest.NewTLSServer(&vaulttest.Server{Token: "fake-token"})
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(server.Close)
	ca := func(der []byte) map[string]string {
		return map[string]string{"ca": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
	}
	if err := target(t, server.URL, ca(server.Certificate().Raw)).Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := target(t, server.URL, nil).Check(t.Context()); !errors.Is(err, sink.ErrAway) {
		t.Errorf("without the authority: %v", err)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	if err := target(t, server.URL, ca(der)).Check(t.Context()); !errors.Is(err, sink.ErrAway) {
		t.Errorf("with another authority: %v", err)
	}
}
