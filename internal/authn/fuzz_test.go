package authn_test

import (
	"context"
	"maps"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/authn"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// FuzzVerify sends anything to both entries, for an access key whose secret nobody knows.
func FuzzVerify(f *testing.F) {
	add := func(r authn.Request) {
		headers := ""
		for name, values := range r.Header {
			for _, value := range values {
				headers += name + ":" + value + "\n"
			}
		}
		f.Add(r.Method, r.Path, r.RawQuery, headers, r.Body)
	}
	for _, r := range recordings(f) {
		add(r.request)
	}
	add(testSigner.acs(with(form("a=1&b=%20"), func(r *authn.Request) { r.Path = "/v1/users/a%40b" }), "ACS3-HMAC-SHA256", nil))
	now := recordings(f)[0].at
	secret := material.Random(32)
	v := authn.Verifier{
		Now: func() time.Time { return now },
		Lookup: func(context.Context, string, string) (authn.Credential, error) {
			return authn.Credential{Secret: secret}, nil
		},
	}
	f.Fuzz(func(t *testing.T, method, path, query, headers string, body []byte) {
		r := authn.Request{Method: method, Host: "127.0.0.1:18441", Path: path, RawQuery: query, Header: parseHeaders(headers), Body: body}
		for name, verify := range map[string]func(context.Context, authn.Request) (authn.Signed, error){"RPC": v.Verify, "REST": v.VerifyREST} {
			switch _, err := verify(t.Context(), served(r)); fault.KindOf(err) {
			case "":
				t.Fatalf("%s: verifies without the secret", name)
			case fault.Internal:
				t.Fatalf("%s: %v", name, err)
			}
		}
	})
}

func parseHeaders(lines string) map[string][]string {
	headers := map[string][]string{}
	for line := range strings.SplitSeq(lines, "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			headers[name] = append(headers[name], value)
		}
	}
	return headers
}

// served answers the request with its headers as net/http writes them, however the client did.
func served(r authn.Request) authn.Request {
	headers := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		headers[canonical] = append(headers[canonical], r.Header[name]...)
	}
	r.Header = headers
	return r
}

// BenchmarkVerify checks the signature of a request of each scheme.
func BenchmarkVerify(b *testing.B) {
	seen := map[string]bool{}
	for _, r := range recordings(b) {
		v := r.verifier()
		s, err := v.Verify(b.Context(), served(r.request))
		if err != nil {
			b.Fatal(err)
		}
		if s.Action != "Encrypt" || hasToken(r.request) || seen[s.Scheme] {
			continue
		}
		seen[s.Scheme] = true
		request := served(r.request)
		b.Run(s.Scheme, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), request); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
