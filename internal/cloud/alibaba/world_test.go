package alibaba_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/alibaba"
	"github.com/keyward/keyward/internal/cloud/alibaba/alibabatest"
	"github.com/keyward/keyward/internal/cloud/alibaba/rpc"
	"github.com/keyward/keyward/internal/material"
)

const (
	readerID     = "LTAIfakeReader000001"
	readerSecret = "fake-canary-secret-of-the-reader"
	rootID       = "LTAIfakeRoot00000001"
	account      = "1000000000000001"
)

// direct lets a client call a handler without a network, so that time can be virtual.
type direct struct{ http.Handler }

// RoundTrip implements http.RoundTripper.
func (d direct) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	defer func() {
		if v := recover(); v != nil {
			if v != http.ErrAbortHandler {
				panic(v)
			}
			resp, err = nil, errors.New("connection reset")
		}
	}()
	in := r.Clone(r.Context())
	in.Host, in.RequestURI = r.URL.Host, r.URL.RequestURI()
	if in.Body == nil {
		in.Body = io.NopCloser(bytes.NewReader(nil))
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, in)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

func credential() rpc.Credential {
	return rpc.Credential{ID: readerID, Secret: material.NewBytes([]byte(readerSecret))}
}

func clientOf(h http.Handler, c rpc.Credential) *rpc.Client {
	return rpc.NewClient(rpc.Config{Credential: c, Now: time.Now, HTTP: &http.Client{Transport: direct{h}}})
}

func providerOf(t testing.TB, h http.Handler, c rpc.Credential) *alibaba.Provider {
	t.Helper()
	p, err := alibaba.New(clientOf(h, c), "")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func observe(t testing.TB, h http.Handler, c rpc.Credential) accesskey.Snapshot {
	t.Helper()
	s, err := providerOf(t, h, c).Observe(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// reader is the user whose key reads the account: with the rights of the policy.
func reader() alibabatest.User {
	return alibabatest.User{
		Name: "keyward", ID: "200000000000000001", Created: day(1), Rights: rights(),
		Keys: []alibabatest.Key{{ID: readerID, Secret: readerSecret, Created: day(1)}},
	}
}

// day is midnight, days before the bubble's time began or the year 2000.
func day(n int) time.Time { return time.Date(1999, 1, n, 0, 0, 0, 0, time.UTC) }
