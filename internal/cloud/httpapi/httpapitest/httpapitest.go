// Package httpapitest stands in for the services that definitions of package httpapi are
// about: [Recorded] answers as a definition's contract says, [Story] is a small platform
// with a state of its own, for what changes something.
//
// Both are http.Handlers, so that the fault injector of package cloudtest fits before them.
// [Client] reaches one without a network, and therefore also within testing/synctest.
package httpapitest

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/keyward/keyward/internal/cloud/httpapi/contract"
)

// Recorded answers every request that is recorded in a definition's file with the first
// answer that was recorded for it, and others with 501.
func Recorded(definition []byte) (http.Handler, error) {
	f, err := contract.Read(definition)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, c := range f.Cases {
			for _, e := range c.Exchanges {
				if !e.Matches(r) {
					continue
				}
				w.Header().Set("Content-Type", "application/json")
				for name, value := range e.Response.Headers {
					w.Header().Set(name, value)
				}
				w.WriteHeader(e.Response.Status)
				_, _ = w.Write(e.Response.Body()) // a client that is gone does not mind
				return
			}
		}
		http.Error(w, fmt.Sprintf("%s %s was not recorded", r.Method, r.URL.Path), http.StatusNotImplemented)
	}), nil
}

// Client answers a client whose every request, to whatever host, reaches a handler.
func Client(service http.Handler) *http.Client {
	return &http.Client{
		Transport:     inMemory{service},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type inMemory struct{ service http.Handler }

// RoundTrip implements http.RoundTripper. A handler that aborts is a connection that broke.
func (m inMemory) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	defer func() {
		if broken := recover(); broken == http.ErrAbortHandler {
			resp, err = nil, fmt.Errorf("the connection broke")
		} else if broken != nil {
			panic(broken)
		}
	}()
	w := httptest.NewRecorder()
	received := r.Clone(r.Context())
	if received.Body == nil {
		received.Body = http.NoBody
	}
	m.service.ServeHTTP(w, received)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}
