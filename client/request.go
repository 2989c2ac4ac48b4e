package client

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// at makes a path of its segments. In a path the slashes of a name, such as those of an
// alias, are written "~": proxies do not agree on what an encoded slash is.
func at(segments ...string) string {
	b := []byte("/v1")
	for _, s := range segments {
		b = appendEscaped(append(b, '/'), strings.ReplaceAll(s, "/", "~"))
	}
	return string(b)
}

// encode puts in where the method has it: into the query or into the body.
func encode(method, target string, in any) (string, []byte, error) {
	if in == nil {
		return target, nil, nil
	}
	body, err := json.Marshal(in)
	if err != nil {
		return "", nil, fmt.Errorf("encoding the request: %w", err)
	}
	if method != http.MethodGet && method != http.MethodDelete {
		return target, body, nil
	}
	query, err := queryOf(body)
	if err != nil || query == "" {
		return target, nil, err
	}
	return target + "?" + query, nil, nil
}

// queryOf writes the members of a flat JSON object as a query, in the order and in the
// spelling that signatures cover.
func queryOf(object []byte) (string, error) {
	var members map[string]any
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber()
	if err := d.Decode(&members); err != nil {
		return "", fmt.Errorf("encoding the request: %w", err)
	}
	var b []byte
	for _, name := range slices.Sorted(maps.Keys(members)) {
		value, err := queryValue(members[name])
		if err != nil {
			return "", fmt.Errorf("encoding %s: %w", name, err)
		}
		if len(b) > 0 {
			b = append(b, '&')
		}
		b = appendEscaped(append(appendEscaped(b, name), '='), value)
	}
	return string(b), nil
}

func queryValue(v any) (string, error) {
	list, ok := v.([]any)
	if !ok {
		if v == nil {
			return "", nil
		}
		return fmt.Sprint(v), nil
	}
	texts := make([]string, len(list))
	for i, item := range list {
		texts[i] = fmt.Sprint(item)
		if strings.Contains(texts[i], ",") {
			return "", errors.New("an entry of the list has a comma")
		}
	}
	return strings.Join(texts, ","), nil
}

// appendEscaped percent-encodes all but the unreserved characters of RFC 3986.
func appendEscaped(b []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_.~", c) >= 0 {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return b
}

const (
	scheme      = "ACS3-HMAC-SHA256"
	headerToken = "x-acs-security-token"
	headerCode  = "x-acs-mfa-code"

	headerApproval = "x-acs-approval-id"
	headerReason   = "x-acs-approval-reason"
)

// newSigner makes what signs requests with an access key; token is "" for a permanent one.
// The secrets are kept in a function, where no formatter finds them.
func newSigner(id, secret, token string) func(r *http.Request, body []byte) {
	return func(r *http.Request, body []byte) {
		r.Header.Set("x-acs-date", time.Now().UTC().Format("2006-01-02T15:04:05Z"))
		r.Header.Set("x-acs-signature-nonce", rand.Text())
		r.Header.Set("x-acs-content-sha256", hexSHA256(body))
		if token != "" {
			r.Header.Set(headerToken, token)
		}
		text, names := canonical(r, body)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(scheme + "\n" + hexSHA256([]byte(text))))
		r.Header.Set("Authorization", scheme+" Credential="+id+",SignedHeaders="+names+
			",Signature="+hex.EncodeToString(mac.Sum(nil)))
	}
}

// canonical answers what the signature covers and the names of the headers in it. Path
// and query were built in the canonical spelling.
func canonical(r *http.Request, body []byte) (text, names string) {
	signed := []string{"host", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce"}
	if body != nil {
		signed = append([]string{"content-type"}, signed...)
	}
	for _, name := range []string{headerToken, headerCode, headerApproval, headerReason} {
		if r.Header.Get(name) != "" {
			signed = append(signed, name)
		}
	}
	names = strings.Join(signed, ";")
	var b strings.Builder
	b.WriteString(r.Method + "\n" + r.URL.EscapedPath() + "\n" + r.URL.RawQuery + "\n")
	for _, name := range signed {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.URL.Host
		}
		b.WriteString(name + ":" + value + "\n")
	}
	b.WriteString("\n" + names + "\n" + hexSHA256(body))
	return b.String(), names
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
