package issuertest

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/rotation"
)

// Fuzz has a provider answer the same, whatever it is, to every request of an issuer. Of
// the provider only Open, Principal and Old are used; seeds are answers as it gives them. Nothing panics, every error is a fault, and
// a key that was created has an id and no empty part.
func Fuzz(f *testing.F, p Provider, seeds ...string) {
	for _, seed := range append(seeds, "", "{}", "null", "<html>") {
		f.Add(seed, http.StatusOK)
	}
	f.Fuzz(func(t *testing.T, body string, status int) {
		if status < 200 || status > 599 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			issuer, err := p.Open(same{status, body})
			if err != nil {
				t.Fatal(err)
			}
			minted, err := issuer.Create(t.Context(), rotation.Attempt{ID: "1", Principal: p.Principal})
			for name, part := range minted.Parts {
				if err != nil || minted.ID == "" || part.Len() == 0 {
					t.Errorf("created %q, whose %s has %d bytes: %v", minted.ID, name, part.Len(), err)
				}
			}
			if err == nil && len(minted.Parts) == 0 {
				t.Error("created a key without a secret")
			}
			_, listing := issuer.Keys(t.Context())
			verdict, trying := issuer.Verify(t.Context(), p.Old.ID, p.Old.parts())
			if (verdict == "") != (trying != nil) {
				t.Errorf("the verdict %q, %v", verdict, trying)
			}
			for _, err := range []error{err, listing, trying, issuer.Disable(t.Context(), p.Old.ID), issuer.Enable(t.Context(), p.Old.ID), issuer.Delete(t.Context(), p.Old.ID, "")} {
				if fault.Is(err, fault.Internal) {
					t.Errorf("no fault: %v", err)
				}
			}
		})
	})
}

// same is a transport that always answers the same.
type same struct {
	status int
	body   string
}

// RoundTrip implements http.RoundTripper.
func (s same) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return nil, err
		}
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: s.status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader([]byte(s.body))), Request: r}, nil
}
