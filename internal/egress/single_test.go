package egress_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/keyward/keyward/internal/egress"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// TestSingleTellsWhatWasSent has a request fail before and after it had a connection.
func TestSingleTellsWhatWasSent(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	secret := httptest.NewTLSServer(http.NotFoundHandler()) // with a certificate that nobody trusts
	defer secret.Close()
	breaks := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer breaks.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, one := range map[string]struct {
		url    string
		ctx    context.Context
		unsent bool
	}{
		"nobody listens":        {closed, t.Context(), true},
		"no such name":          {"https://nowhere.invalid", t.Context(), true},
		"not allowed":           {"http://10.255.255.1", t.Context(), true},
		"no TLS":                {strings.Replace(plain.URL, "http:", "https:", 1), t.Context(), true},
		"no trust":              {secret.URL, t.Context(), true},
		"the time was over":     {plain.URL, ended, true},
		"the connection breaks": {breaks.URL, t.Context(), false},
	} {
		r, err := http.NewRequestWithContext(one.ctx, http.MethodPost, one.url, strings.NewReader("a body"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := egress.Single(loopback).Do(r)
		if err == nil {
			t.Errorf("%s: status %d", name, resp.StatusCode)
			_ = resp.Body.Close()
			continue
		}
		if errors.Is(err, egress.ErrUnsent) != one.unsent {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSingleSendsOnce has a server close connections that it answered on, and break others
// off: however a request is made, it arrives once, each over its own connection.
func TestSingleSendsOnce(t *testing.T) {
	var arrived, connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if arrived.Add(1)%2 == 0 {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, r.Proto)
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	client := egress.Single(loopback)
	for i := range 20 {
		method, body := http.MethodPost, io.Reader(strings.NewReader("a body"))
		if i%4 < 2 {
			method, body = http.MethodGet, nil // what net/http would repeat over an old connection
		}
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL, body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if (err != nil) != (i%2 == 1) {
			t.Fatalf("request %d: %v", i, err)
		}
		if err == nil {
			_ = resp.Body.Close()
		}
	}
	if arrived.Load() != 20 || connections.Load() != 20 {
		t.Errorf("%d requests arrived over %d connections", arrived.Load(), connections.Load())
	}
}
