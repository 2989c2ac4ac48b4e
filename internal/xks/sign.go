package xks

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/lazy"
	"github.com/keyward/keyward/internal/material"
)

// MaxSkew is how far the time of a request may be from the server's, both ways.
const MaxSkew = 5 * time.Minute

// The headers of a signature, and what it is made of.
const (
	DateHeader          = "X-Amz-Date"
	AuthorizationHeader = "Authorization"

	scheme      = "AWS4-HMAC-SHA256"
	service     = "kms-xks-proxy"
	terminator  = "aws4_request"
	dateLayout  = "20060102T150405Z"
	maxHeader   = 4 << 10
	signedNames = "content-type;host;x-amz-date"
)

var (
	idPattern     = lazy.Regexp(`^[A-Z2-7]{20,30}$`)
	secretPattern = lazy.Regexp(`^[A-Za-z0-9/+=]{43,64}$`)
	regionPattern = lazy.Regexp(`^[a-z0-9-]{1,32}$`)
	namesPattern  = lazy.Regexp(`^[a-z0-9-]+(;[a-z0-9-]+)*$`)
)

// A Credential is what a key store is reached with. It serves nothing else.
type Credential struct {
	ID     string
	Secret material.Bytes
}

// NewCredential makes a random credential, of 128 and 256 bits.
func NewCredential() Credential {
	var id [16]byte
	rand.Read(id[:])
	secret := material.Random(32)
	defer secret.Zero()
	return Credential{
		ID:     base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(id[:]),
		Secret: material.NewBytes(base64.StdEncoding.AppendEncode(nil, secret.Expose())),
	}
}

// Check refuses what the specification does not allow as a credential.
func (c Credential) Check() error {
	if !idPattern().MatchString(c.ID) {
		return fault.InvalidParameter.New("the access key id must have 20 to 30 characters of A-Z and 2-7")
	}
	if !secretPattern().Match(c.Secret.Expose()) {
		return fault.InvalidParameter.New("the secret access key must have 43 to 64 characters of A-Z, a-z, 0-9, /, + and =")
	}
	return nil
}

// A Request is what the signature of a request covers: a POST without a query.
type Request struct {
	Host   string              // with the port, as it is sent
	Path   string              // as it is sent
	Header map[string][]string // names as net/http writes them
	Body   []byte
}

// Sign sets the headers that sign a request at now. Content-Type must be set already.
func (c Credential) Sign(r Request, region string, now time.Time) {
	stamp := now.UTC().Format(dateLayout)
	r.Header[DateHeader] = []string{stamp}
	scope := stamp[:8] + "/" + region + "/" + service + "/" + terminator
	canonical, _ := r.canonical(signedNames) // it has these headers
	signature := sign(c.Secret, scope, stamp, canonical)
	r.Header[AuthorizationHeader] = []string{scheme + " Credential=" + c.ID + "/" + scope + ", SignedHeaders=" + signedNames + ", Signature=" + signature}
}

// A Claim is what a well-formed request says of who signed it. Nothing of it is proved yet.
type Claim struct {
	ID        string // of the credential, and formed like one
	scope     string
	stamp     string
	canonical string
	signature string
}

// ReadClaim reads the signature of a request. What is not built as the scheme demands is an
// IncompleteSignature fault.
func ReadClaim(r Request) (Claim, error) {
	incomplete := fault.IncompleteSignature.New("the request must be signed by %s for the service %s, with the headers host and x-amz-date", scheme, service)
	given, dates := r.Header[AuthorizationHeader], r.Header[DateHeader]
	if len(given) != 1 || len(dates) != 1 || len(given[0]) > maxHeader {
		return Claim{}, incomplete
	}
	rest, ok := strings.CutPrefix(given[0], scheme+" ")
	parts := strings.Split(rest, ",")
	if !ok || len(parts) != 3 {
		return Claim{}, incomplete
	}
	var values [3]string
	for i, name := range []string{"Credential=", "SignedHeaders=", "Signature="} {
		if values[i], ok = strings.CutPrefix(strings.TrimSpace(parts[i]), name); !ok {
			return Claim{}, incomplete
		}
	}
	id, scope, _ := strings.Cut(values[0], "/")
	parts = strings.Split(scope, "/")
	if !idPattern().MatchString(id) || len(parts) != 4 || !strings.HasPrefix(dates[0], parts[0]+"T") || !regionPattern().MatchString(parts[1]) || parts[2] != service || parts[3] != terminator {
		return Claim{}, incomplete
	}
	canonical, ok := r.canonical(values[1])
	if !ok {
		return Claim{}, incomplete
	}
	return Claim{ID: id, scope: scope, stamp: dates[0], canonical: canonical, signature: values[2]}, nil
}

// Prove tells whether the holder of the secret signed the request within [MaxSkew] of now.
// Its faults are TimestampInvalid, TimestampExpired and SignatureMismatch; with an empty
// secret, that of a credential that does not exist, it is always the last, after the same work.
func (c Claim) Prove(secret material.Bytes, now time.Time) error {
	at, err := time.Parse(dateLayout, c.stamp)
	if err != nil || len(c.stamp) != len(dateLayout) {
		return fault.TimestampInvalid.New("%s must be in UTC and look like %s", DateHeader, dateLayout)
	}
	if d := now.Sub(at); d > MaxSkew || d < -MaxSkew {
		return fault.TimestampExpired.New("the request was signed more than %v from now", MaxSkew)
	}
	want := sign(secret, c.scope, c.stamp, c.canonical)
	if subtle.ConstantTimeCompare([]byte(want), []byte(c.signature)) != 1 || secret.Len() == 0 {
		return fault.SignatureMismatch.New("the signature does not match the request, or there is no such credential")
	}
	return nil
}

// canonical answers the canonical request for a list of signed headers, which must be in
// order, hold host and x-amz-date, and be there once each.
func (r Request) canonical(names string) (string, bool) {
	list := strings.Split(names, ";")
	if !namesPattern().MatchString(names) || !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) ||
		!slices.Contains(list, "host") || !slices.Contains(list, "x-amz-date") {
		return "", false
	}
	var b strings.Builder
	b.WriteString("POST\n" + r.Path + "\n\n")
	for _, name := range list {
		value, ok := r.header(name)
		if !ok {
			return "", false
		}
		b.WriteString(name + ":" + strings.Join(strings.Fields(value), " ") + "\n")
	}
	b.WriteString("\n" + names + "\n" + digest(r.Body))
	return b.String(), true
}

// header answers the one value of a header by its name in lower case.
func (r Request) header(name string) (string, bool) {
	if name == "host" {
		return r.Host, true
	}
	for spelt, values := range r.Header {
		if strings.EqualFold(spelt, name) {
			return strings.Join(values, ","), len(values) == 1
		}
	}
	return "", false
}

// sign answers the signature in hexadecimal. The key is derived by the scope, so that one
// that leaks serves one day, region and service.
func sign(secret material.Bytes, scope, stamp, canonical string) string {
	key := append([]byte("AWS4"), secret.Expose()...)
	for part := range strings.SplitSeq(scope, "/") {
		next := mac(key, part)
		clear(key)
		key = next
	}
	defer clear(key)
	return hex.EncodeToString(mac(key, scheme+"\n"+stamp+"\n"+scope+"\n"+digest([]byte(canonical))))
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
