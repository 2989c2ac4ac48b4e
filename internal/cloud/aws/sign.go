package aws

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/material"
)

// sign signs a POST of a form to the root of a service by Signature Version 4. The
// canonical request is that of such a request only: no query, and four headers at most.
func (c *client) sign(r *http.Request, s service, body string, now time.Time) {
	stamp := now.UTC().Format("20060102T150405Z")
	r.Header.Set("X-Amz-Date", stamp)
	names := "content-type;host;x-amz-date"
	headers := "content-type:" + r.Header.Get("Content-Type") + "\nhost:" + r.URL.Host + "\nx-amz-date:" + stamp + "\n"
	if c.token.Len() > 0 {
		token := string(c.token.Expose())
		r.Header.Set("X-Amz-Security-Token", token)
		names += ";x-amz-security-token"
		headers += "x-amz-security-token:" + token + "\n"
	}
	scope := stamp[:8] + "/" + s.region + "/" + s.name + "/aws4_request"
	canonical := strings.Join([]string{http.MethodPost, "/", "", headers, names, digest(body)}, "\n")
	signature := hex.EncodeToString(mac(signingKey(c.secret, stamp[:8], s), "AWS4-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+digest(canonical)))
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+c.id+"/"+scope+", SignedHeaders="+names+", Signature="+signature)
}

func signingKey(secret material.Bytes, date string, s service) []byte {
	first := append([]byte("AWS4"), secret.Expose()...)
	key := mac(first, date)
	clear(first)
	return mac(mac(mac(key, s.region), s.name), "aws4_request")
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
