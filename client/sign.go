package client

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

const scheme = "ACS3-HMAC-SHA256"

// newSigner makes what signs requests with an access key. The secret is kept in a
// function, where no formatter finds it.
func newSigner(id, secret string) func(r *http.Request, body []byte) {
	return func(r *http.Request, body []byte) {
		r.Header.Set("x-acs-date", time.Now().UTC().Format("2006-01-02T15:04:05Z"))
		r.Header.Set("x-acs-signature-nonce", rand.Text())
		r.Header.Set("x-acs-content-sha256", hexSHA256(body))
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
