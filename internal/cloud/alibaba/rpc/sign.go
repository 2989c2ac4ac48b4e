package rpc

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	scheme     = "ACS3-HMAC-SHA256"
	timeLayout = "2006-01-02T15:04:05Z" // UTC
)

// sign adds the headers of an RPC call and its signature. The signature covers method,
// path, query, these headers and the body, of which there is none; that is why the date
// and a nonce, which serves once, are among the headers.
func (c *Client) sign(r *http.Request, op Operation) {
	headers := map[string]string{
		"host":                  r.URL.Host,
		"x-acs-action":          op.Action,
		"x-acs-version":         op.Version,
		"x-acs-date":            c.now().UTC().Format(timeLayout),
		"x-acs-signature-nonce": rand.Text(),
		"x-acs-content-sha256":  hexSHA256(nil),
	}
	if token := c.credential.Token.Expose(); len(token) > 0 {
		headers["x-acs-security-token"] = string(token)
	}
	names := slices.Sorted(maps.Keys(headers))
	var text strings.Builder
	text.WriteString(r.Method + "\n/\n" + r.URL.RawQuery + "\n")
	for _, name := range names {
		text.WriteString(name + ":" + headers[name] + "\n")
		if name != "host" {
			r.Header.Set(name, headers[name])
		}
	}
	list := strings.Join(names, ";")
	text.WriteString("\n" + list + "\n" + headers["x-acs-content-sha256"])
	mac := hmac.New(sha256.New, c.credential.Secret.Expose())
	mac.Write([]byte(scheme + "\n" + hexSHA256([]byte(text.String()))))
	r.Header.Set("Authorization", scheme+" Credential="+c.credential.ID+",SignedHeaders="+list+
		",Signature="+hex.EncodeToString(mac.Sum(nil)))
}

// canonicalQuery writes parameters sorted by name and escaped as RFC 3986 has it, which
// is how the signature reads them.
func canonicalQuery(params map[string]string) string {
	pairs := make([]string, 0, len(params))
	for _, name := range slices.Sorted(maps.Keys(params)) {
		pairs = append(pairs, escape(name)+"="+escape(params[name]))
	}
	return strings.Join(pairs, "&")
}

// escape differs from url.QueryEscape, which writes forms, in the space alone.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
