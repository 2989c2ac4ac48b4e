package tencent

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

const algorithm = "TC3-HMAC-SHA256"

// A Signer signs requests with an access key, in the form that Tencent Cloud calls
// TC3-HMAC-SHA256. It may be used concurrently.
type Signer struct {
	SecretID  string
	SecretKey material.Bytes
	Token     material.Bytes // of temporary credentials; empty for a permanent key
}

// check refuses what cannot be sent with [fault.InvalidParameter].
func (s Signer) check() error {
	for _, part := range []struct {
		name  string
		value []byte
	}{{"secret_id", []byte(s.SecretID)}, {"secret_key", s.SecretKey.Expose()}, {"token", s.Token.Expose()}} {
		foreign := func(r rune) bool {
			return r <= ' ' || r > '~' || part.name == "secret_id" && strings.ContainsRune("/,=", r)
		}
		if bytes.ContainsFunc(part.value, foreign) {
			return fault.InvalidParameter.New("%s has characters that no %s has, perhaps a space or the end of a line; enter it again", part.name, part.name)
		}
	}
	return nil
}

// Sign adds to a POST request of "/" what proves that it, with this body, was meant for a
// service ("cam") at a time: X-TC-Timestamp, X-TC-Token and Authorization. It covers the
// body, the host, the content type and, if it is set, X-TC-Action; what is set later is
// not covered. The service refuses a time that is more than five minutes from its own.
func (s Signer) Sign(r *http.Request, service string, body []byte, at time.Time) {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	covered := map[string]string{"content-type": r.Header.Get("Content-Type"), "host": host}
	if action := r.Header.Get("X-TC-Action"); action != "" {
		covered["x-tc-action"] = strings.ToLower(action)
	}
	names := make([]string, 0, len(covered))
	for name := range covered {
		names = append(names, name)
	}
	slices.Sort(names)
	var headers strings.Builder
	for _, name := range names {
		headers.WriteString(name + ":" + covered[name] + "\n")
	}
	list := strings.Join(names, ";")
	request := strings.Join([]string{r.Method, "/", "", headers.String(), list, digest(body)}, "\n")

	stamp, date := strconv.FormatInt(at.Unix(), 10), at.UTC().Format(time.DateOnly)
	scope := date + "/" + service + "/tc3_request"
	signature := hex.EncodeToString(s.tag(date, service, strings.Join([]string{algorithm, stamp, scope, digest([]byte(request))}, "\n")))

	r.Header.Set("X-TC-Timestamp", stamp)
	if s.Token.Len() > 0 {
		r.Header.Set("X-TC-Token", string(s.Token.Expose()))
	}
	r.Header.Set("Authorization", algorithm+" Credential="+s.SecretID+"/"+scope+", SignedHeaders="+list+", Signature="+signature)
}

// tag computes the signature of a text under the key of a day and a service.
func (s Signer) tag(date, service, text string) []byte {
	key := append([]byte("TC3"), s.SecretKey.Expose()...)
	for _, part := range []string{date, service, "tc3_request", text} {
		next := mac(key, part)
		clear(key)
		key = next
	}
	return key
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
