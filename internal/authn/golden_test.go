package authn_test

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/authn"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

const stsToken = "ststoken/+abc=="

// A recording is a request of a real client, signed with testak and testsk.
type recording struct {
	client  string
	at      time.Time
	request authn.Request
}

func recordings(t testing.TB) []recording {
	t.Helper()
	data, err := os.ReadFile("testdata/golden-requests.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []recording
	for _, part := range strings.Split(string(data), "######## ")[1:] {
		client, rest, _ := strings.Cut(part, "\n")
		for _, record := range strings.Split(rest, ">>>>> ")[1:] {
			at, raw, _ := strings.Cut(record, "\n")
			when, err := time.Parse("2006-01-02T15:04:05.999999", at)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, recording{client, when, parseRequest(t, raw)})
		}
	}
	return all
}

func parseRequest(t testing.TB, raw string) authn.Request {
	t.Helper()
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	words := strings.Split(lines[0], " ")
	r := authn.Request{Method: words[0], Header: map[string][]string{}}
	r.Path, r.RawQuery, _ = strings.Cut(words[1], "?")
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		switch strings.ToLower(name) {
		case "host":
			r.Host = value
		case "content-length":
			n, err := strconv.Atoi(value)
			if err != nil {
				t.Fatal(err)
			}
			r.Body = []byte(body[:n])
		default:
			r.Header[name] = append(r.Header[name], value)
		}
	}
	return r
}

func hasToken(r authn.Request) bool {
	return strings.Contains(r.RawQuery, "SecurityToken=") || len(r.Header["x-acs-security-token"]) > 0
}

// verifier knows the one access key testak.
func verifier(now time.Time, token string) *authn.Verifier {
	return &authn.Verifier{
		Now: func() time.Time { return now },
		Lookup: func(_ context.Context, id, have string) (authn.Credential, error) {
			if id != "testak" {
				return authn.Credential{}, fault.AccessKeyNotFound.New("no such access key")
			}
			c := authn.Credential{
				Secret:    material.NewBytes([]byte("testsk")),
				Principal: authz.Principal{Account: "1111111111111111", Kind: authz.User, Name: "alice"},
			}
			if have != token {
				c.Refusal = fault.SecurityTokenInvalid.New("another token")
			}
			return c, nil
		},
	}
}

func (r recording) verifier() *authn.Verifier {
	if hasToken(r.request) {
		return verifier(r.at, stsToken)
	}
	return verifier(r.at, "")
}

func params(p authn.Params) map[string]string {
	all := map[string]string{}
	for name, value := range p.All() {
		all[name] = value
	}
	return all
}

func TestRecordedRequestsVerify(t *testing.T) {
	all := recordings(t)
	if len(all) != 32 {
		t.Fatalf("there are %d recordings", len(all))
	}
	schemes := map[string]int{}
	nonces := map[string]bool{}
	for _, r := range all {
		s, err := r.verifier().Verify(t.Context(), served(r.request))
		if err != nil {
			t.Errorf("%s: %v", r.client, err)
			continue
		}
		schemes[s.Scheme]++
		nonces[string(s.Nonce)] = len(s.Nonce) == 16
		want := authz.Principal{Account: "1111111111111111", Kind: authz.User, Name: "alice", AccessKey: "testak"}
		if diff := cmp.Diff(want, s.Principal, cmp.Comparer(func(a, b *authz.Policy) bool { return a == b })); diff != "" {
			t.Errorf("%s: principal (-want +got):\n%s", r.client, diff)
		}
		action := r.request.Header["x-acs-action"] // sent by all clients, whatever the scheme
		if s.Action != action[0] || s.Version != "2016-01-20" || s.Format != authn.JSON {
			t.Errorf("%s: action %q, version %q, format %q", r.client, s.Action, s.Version, s.Format)
		}
		if d, ok := s.Params.Value("Description"); ok && d != "a b*c~d/é" {
			t.Errorf("%s: the description is %q", r.client, d)
		}
		for _, name := range []string{"Signature", "AccessKeyId", "Action", "SignatureType", "SecurityToken"} {
			if _, ok := s.Params.Value(name); ok {
				t.Errorf("%s: %s is among the business parameters", r.client, name)
			}
		}
	}
	want := map[string]int{"HMAC-SHA1": 21, "ACS3-HMAC-SHA256": 7, "ACS3-HMAC-SM3": 2, "ACS4-HMAC-SHA256": 2}
	if diff := cmp.Diff(want, schemes); diff != "" {
		t.Errorf("schemes (-want +got):\n%s", diff)
	}
	if len(nonces) != 32 {
		t.Errorf("there are %d different nonces", len(nonces))
	}
}

func TestParametersOfQueryAndFormAreOne(t *testing.T) {
	for _, r := range recordings(t) {
		if !strings.HasPrefix(r.client, "terraform") {
			continue
		}
		s, err := r.verifier().Verify(t.Context(), served(r.request))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			"Description": "a b*c~d/é", "KeySpec": "Aliyun_AES_256", "ProtectionLevel": "SOFTWARE",
			"Tags": `[{"TagKey":"Created","TagValue":"TF"}]`,
		}
		if diff := cmp.Diff(want, params(s.Params)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		return
	}
	t.Fatal("there is no such recording")
}

// A field is a part of a request that can be changed.
type field struct {
	name  string
	value []byte
	set   func(*authn.Request, []byte)
}

// signedFields are the parts of a request that its signature covers.
func signedFields(r authn.Request) []field {
	fields := []field{
		{"method", []byte(r.Method), func(r *authn.Request, b []byte) { r.Method = string(b) }},
		{"path", []byte(r.Path), func(r *authn.Request, b []byte) { r.Path = string(b) }},
		{"query", []byte(r.RawQuery), func(r *authn.Request, b []byte) { r.RawQuery = string(b) }},
		{"body", r.Body, func(r *authn.Request, b []byte) { r.Body = b }},
	}
	signed := signedHeaders(r)
	if signed == nil {
		return fields
	}
	fields = append(fields, field{"host", []byte(r.Host), func(r *authn.Request, b []byte) { r.Host = string(b) }})
	for name, values := range r.Header {
		if !slices.Contains(signed, strings.ToLower(name)) && !strings.EqualFold(name, "Authorization") {
			continue
		}
		value := values[0]
		fields = append(fields,
			field{"header " + name, []byte(value), func(r *authn.Request, b []byte) { r.Header[name] = []string{string(b)} }},
			field{"name of header " + name, []byte(name), func(r *authn.Request, b []byte) {
				delete(r.Header, name)
				r.Header[string(b)] = append(r.Header[string(b)], value)
			}})
	}
	slices.SortFunc(fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
	return fields
}

// signedHeaders are those named in the Authorization header; nil for RPC 1.0.
func signedHeaders(r authn.Request) []string {
	for name, values := range r.Header {
		if strings.EqualFold(name, "Authorization") && len(values) == 1 {
			_, list, _ := strings.Cut(values[0], "SignedHeaders=")
			list, _, _ = strings.Cut(list, ",")
			return strings.Split(list, ";")
		}
	}
	return nil
}

func change(r authn.Request, f field, at int, to byte) authn.Request {
	changed := r
	changed.Header = map[string][]string{}
	for name, values := range r.Header {
		changed.Header[name] = values
	}
	value := bytes.Clone(f.value)
	value[at] = to
	f.set(&changed, value)
	return changed
}

// meaning writes out what a signature covers of a request, by means of its own: two
// requests of the same meaning may share a signature, others never.
func meaning(r authn.Request) string {
	var b strings.Builder
	path, err := url.PathUnescape(r.Path)
	if err != nil || strings.Count(path, "/") != strings.Count(r.Path, "/") {
		return "no path: " + r.Path
	}
	query, err := url.ParseQuery(r.RawQuery)
	if err != nil {
		return "no query: " + r.RawQuery
	}
	fmt.Fprintf(&b, "%s %s %q", r.Method, path, query.Encode())
	signed := signedHeaders(r)
	if signed == nil {
		form, err := url.ParseQuery(string(r.Body))
		if err != nil {
			return "no form: " + string(r.Body)
		}
		fmt.Fprintf(&b, " %q", form.Encode())
		return b.String()
	}
	fmt.Fprintf(&b, " %q", r.Body)
	var lines []string
	for name, values := range r.Header {
		name = strings.ToLower(name)
		if slices.Contains(signed, name) || name == "authorization" {
			lines = append(lines, fmt.Sprintf(" %s %q", name, values))
		}
	}
	slices.Sort(lines)
	fmt.Fprintf(&b, " %s %s", r.Host, strings.Join(lines, ""))
	return b.String()
}

// TestRecordedRequestsWithOneByteChanged changes every byte that a signature covers,
// to several others. What still verifies must mean the same: hexadecimal digits of a
// percent encoding in another case, a space for a plus, a header name in another case.
func TestRecordedRequestsWithOneByteChanged(t *testing.T) {
	for i, r := range recordings(t) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			v := r.verifier()
			original, err := v.Verify(t.Context(), served(r.request))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range signedFields(r.request) {
				for at, from := range f.value {
					for _, to := range []byte{from ^ 1, from ^ 0x20, '&', '%', ' '} {
						if to == from {
							continue
						}
						changed := change(r.request, f, at, to)
						got, err := v.Verify(t.Context(), served(changed))
						if err != nil {
							continue
						}
						if meaning(changed) != meaning(r.request) {
							t.Errorf("%s: verifies with byte %d of the %s changed from %q to %q", r.client, at, f.name, from, to)
						}
						if diff := cmp.Diff(params(original.Params), params(got.Params)); diff != "" || original.Action != got.Action {
							t.Errorf("%s: byte %d of the %s changed parameters:\n%s", r.client, at, f.name, diff)
						}
					}
				}
			}
		})
	}
}

// TestUnsignedHeadersMeanNothing changes what no signature covers.
func TestUnsignedHeadersMeanNothing(t *testing.T) {
	for _, r := range recordings(t) {
		v := r.verifier()
		original, err := v.Verify(t.Context(), served(r.request))
		if err != nil {
			t.Fatal(err)
		}
		changed := r.request
		changed.Header = map[string][]string{"User-Agent": {"a", "b"}, "X-Forwarded-For": {"192.0.2.1"}, "X-HTTP-Method-Override": {"DELETE"}}
		signed := signedHeaders(r.request)
		for name, values := range r.request.Header {
			name = strings.ToLower(name)
			if slices.Contains(signed, name) || name == "authorization" || name == "content-type" && len(r.request.Body) > 0 {
				changed.Header[name] = values
			}
		}
		if signed == nil {
			changed.Host = "elsewhere"
			changed.Header["x-acs-action"] = []string{"DeleteKey"}
		}
		got, err := v.Verify(t.Context(), served(changed))
		if err != nil {
			t.Errorf("%s: %v", r.client, err)
		}
		if diff := cmp.Diff(params(original.Params), params(got.Params)); diff != "" || original.Action != got.Action {
			t.Errorf("%s: action %q, parameters (-want +got):\n%s", r.client, got.Action, diff)
		}
	}
}
