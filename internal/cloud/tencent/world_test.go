package tencent_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/cloud/tencent"
	"github.com/keyward/keyward/internal/cloud/tencent/tencenttest"
	"github.com/keyward/keyward/internal/material"
)

const account = 100_000_000

// wire carries requests to a handler without a network, so that time can be virtual.
type wire struct{ http.Handler }

func (w wire) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			resp, err = nil, io.ErrUnexpectedEOF // as when a connection breaks
		default:
			panic(p)
		}
	}()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	if err := r.Context().Err(); err != nil { // it took too long
		return nil, err
	}
	return rec.Result(), nil
}

func signer(k tencenttest.Key) tencent.Signer {
	return tencent.Signer{SecretID: k.ID, SecretKey: material.NewBytes([]byte(k.Secret))}
}

// client makes a client of a handler with the credential of a key.
func client(t *testing.T, h http.Handler, k tencenttest.Key) *tencent.Client {
	t.Helper()
	c, err := tencent.NewClient(tencent.Options{Signer: signer(k), Now: time.Now, HTTP: &http.Client{Transport: wire{h}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func provider(t *testing.T, h http.Handler, k tencenttest.Key) *tencent.Provider {
	t.Helper()
	return tencent.New(client(t, h, k), "")
}

// code answers the vendor's code in an error.
func code(err error) string {
	var e *tencent.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
