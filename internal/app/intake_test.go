package app_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/keyward/keyward/internal/store/storetest"
)

// One connection may send large requests for ever: what they took is given back when they
// are answered.
func TestLargeRequestsOnOneConnection(t *testing.T) {
	r := run(t, configure(t, storetest.SQLite(t)))
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
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
	}
}
