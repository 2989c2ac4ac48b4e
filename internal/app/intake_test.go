package app_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/keyward/keyward/internal/store/storetest"
)

// One connection may send large requests for ever: what they took is given back when they
// are answered.
func TestLargeRequestsOnOneConnection(t *testing.T) {
	r := run(t, configure(t, storetest.SQLite(t)))
	dials := 0
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		dials++
		return new(net.Dialer).DialContext(ctx, network, address)
	}}}
	defer client.CloseIdleConnections()
	body := bytes.Repeat([]byte("x"), 60<<10)
	for i := range 600 { // 36 MB
		answer, err := client.Post(r.url+"/", "application/x-www-form-urlencoded", bytes.NewReader(body))
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		_, err = io.Copy(io.Discard, answer.Body)
		if err != nil || answer.Body.Close() != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		if dials > 1 {
			t.Fatalf("the connection was closed after %d requests", i)
		}
	}
}
