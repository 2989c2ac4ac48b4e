// Package authn finds out who sent a request. It checks the signatures of Alibaba
// Cloud's clients, and of keyward's own, against the secret of the access key that
// the request names. docs/design/signatures.md says exactly what each scheme covers.
//
// A [Verifier] has one entry for each API dialect, [Verifier.Verify] for RPC and
// [Verifier.VerifyREST] for REST. Both go the same way: read the structure, check
// the time, look the access key up, check the signature, and only then say whether
// the key may be used. What they answer, [Signed], holds the decoded parameters that
// the signature covers, and a dialect executes these and nothing else of the request:
// no header, no second reading of the query.
//
// Nothing of a request is trusted before its signature proved right. The package
// keeps nothing: that a nonce serves only once is for the caller to hold, who stores
// [Signed].Nonce together with the audit record for at least twice [MaxSkew].
package authn

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// MaxSkew is how far the time in a request may be from the server's, both ways.
const MaxSkew = 15 * time.Minute

// The limits of a request.
const (
	MaxParams  = 128 // parameters in query and form together
	maxNonce   = 128 // bytes
	maxKeyID   = 128 // bytes
	maxHeaders = 64  // signed headers
)

// A Request is what came over the wire, as far as signatures are concerned.
type Request struct {
	Method   string
	Host     string              // with the port, as the client sent it
	Path     string              // still percent-encoded
	RawQuery string              // without the question mark
	Header   map[string][]string // names as net/http writes them: X-Acs-Date
	Body     []byte
}

// A Credential is what the server knows about an access key.
type Credential struct {
	Secret    material.Bytes
	Principal authz.Principal
	Refusal   error // why the key may not be used; answered only to who proved to have the secret
}

// A Lookup finds the credential of an access key that came with this security token, ""
// for none. It answers fault.AccessKeyNotFound for one that does not exist, and a fault of
// its own for a token that is not valid or not the key's; a permanent key with a token
// exists and has a Refusal. It is safe for concurrent use.
type Lookup func(ctx context.Context, accessKeyID, token string) (Credential, error)

// A Format is the encoding in which the caller wants the answer.
type Format string

// The formats. JSON is the default.
const (
	JSON Format = "json"
	XML  Format = "xml"
)

// Signed is a request whose sender is known.
type Signed struct {
	Principal authz.Principal // with AccessKey set
	Scheme    string          // as in the Authorization header, or "HMAC-SHA1" for RPC 1.0
	Nonce     []byte          // 16 bytes that stand for the pair of access key and nonce
	Action    string          // RPC only
	Version   string          // RPC only
	Format    Format          // RPC only; the signature does not cover it where it comes from the Accept header
	Code      string          // of the caller's second factor, for this request; "" for none, and in RPC 1.0, which signs no headers
	Approval  string          // id of others' approval of this request; as Code
	Reason    string          // why the request is made, for whoever must approve it; as Code
	Params    Params          // from the query and, in RPC, the form; without those that belong to the signature
}

// A Verifier checks signatures. It is safe for concurrent use.
type Verifier struct {
	Lookup Lookup
	Now    func() time.Time
}

// Verify identifies the sender of an RPC request, which is signed by RPC 1.0,
// ACS3-HMAC-SHA256, ACS3-HMAC-SM3 or ACS4-HMAC-SHA256.
//
// A request that is not built as its scheme demands is an InvalidParameter,
// MissingParameter, TimestampMissing, MethodNotAllowed or IncompleteSignature fault. The
// others, in the order of the checks: TimestampInvalid, TimestampExpired, AccessKeyNotFound,
// SignatureMismatch, the Refusal of the credential. Any other error is one of Lookup.
func (v *Verifier) Verify(ctx context.Context, r Request) (Signed, error) {
	read := readRPC
	if r.Header["Authorization"] != nil {
		read = readACS
	}
	c, err := read(r)
	if err != nil {
		return Signed{}, err
	}
	return v.check(ctx, c)
}

// VerifyREST identifies the sender of a request to the native REST API, which is
// signed by ACS3-HMAC-SHA256 over the real path. It needs no action and no version and
// takes the body as it is. The errors are those of Verify.
func (v *Verifier) VerifyREST(ctx context.Context, r Request) (Signed, error) {
	c, err := readREST(r)
	if err != nil {
		return Signed{}, err
	}
	return v.check(ctx, c)
}

// A claim is what a well-formed request says about its sender. Nothing of it has been
// proved yet.
type claim struct {
	scheme    *scheme
	accessKey string
	scope     []string // of a derived key: date, region, product, terminator
	timestamp string
	nonce     string
	token     string
	signature string // as text
	text      []byte // what was signed
	other     []byte // another spelling of it that some clients sign; nil for none
	signed    Signed // what becomes true once the signature proved right
}

func (v *Verifier) check(ctx context.Context, c claim) (Signed, error) {
	if err := checkTime(c.timestamp, v.Now()); err != nil {
		return Signed{}, err
	}
	credential, err := v.Lookup(ctx, c.accessKey, c.token)
	// An unknown key takes the same way with an empty secret, and as long.
	proved := c.proves(credential.Secret.Expose())
	switch {
	case err != nil:
		return Signed{}, err
	case !proved:
		return Signed{}, fault.SignatureMismatch.New("the signature does not match the request; check the access key secret, and that no proxy changes the request on its way")
	case credential.Refusal != nil:
		return Signed{}, credential.Refusal
	}
	s := c.signed
	s.Principal = credential.Principal
	s.Principal.AccessKey = c.accessKey
	s.Scheme = c.scheme.name
	var pair [maxKeyID + 1 + maxNonce]byte
	digest := sha256.Sum256(append(append(append(pair[:0], c.accessKey...), '\n'), c.nonce...))
	s.Nonce = digest[:16]
	return s, nil
}

// proves tells whether whoever signed the claim had the secret.
func (c *claim) proves(secret []byte) bool {
	proved := c.signs(secret, c.text) || c.other != nil && c.signs(secret, c.other)
	return proved && len(secret) > 0
}

func (c *claim) signs(secret, text []byte) bool {
	mac := c.scheme.mac(nil, c.scheme.key(secret, c.scope), text)
	want := c.scheme.encode(nil, mac)
	// The texts are compared, not the bytes they stand for: several texts can stand for the same bytes.
	return subtle.ConstantTimeCompare(want, []byte(c.signature)) == 1
}

const timeLayout = "2006-01-02T15:04:05Z"

func checkTime(timestamp string, now time.Time) error {
	at, err := time.Parse(time.RFC3339, timestamp) // which takes fractions of a second and zones, too
	if err != nil || len(timestamp) != len(timeLayout) || timestamp[len(timeLayout)-1] != 'Z' {
		return fault.TimestampInvalid.New("the time of the request must be in UTC and look like %s", timeLayout)
	}
	if d := now.Sub(at); d > MaxSkew || d < -MaxSkew {
		return fault.TimestampExpired.New("the time of the request is more than %v away from the server's, which is %s; set the clock of the client",
			MaxSkew, now.UTC().Format(timeLayout))
	}
	return nil
}
