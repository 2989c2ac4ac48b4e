package authn

import (
	"crypto/ed25519"
	"encoding/base64"
	"time"

	"github.com/keyward/keyward/internal/fault"
)

// MaxNodeSkew is how far the time in a node's request may be from the server's, both ways.
// It is less than [MaxSkew] because nothing remembers such requests: what a node says must
// mean the same when somebody says it again.
const MaxNodeSkew = 5 * time.Minute

// A NodeRequest is what a node's request says of its sender.
type NodeRequest struct {
	Message   []byte // what was signed, which holds At
	At        string // RFC 3339, with its zone
	Signature string // base64 of Ed25519
}

// VerifyNode checks a request against the public key of the node that it names, nil if there
// is no such node, and answers when it was signed. Its errors are TimestampInvalid,
// TimestampExpired and SignatureMismatch, in this order; the last one does not tell a wrong
// key from a node that does not exist.
func VerifyNode(r NodeRequest, key []byte, now time.Time) (time.Time, error) {
	at, err := time.Parse(time.RFC3339Nano, r.At)
	if err != nil {
		return time.Time{}, fault.TimestampInvalid.New("the time of the request is not as RFC 3339 writes it, with its zone")
	}
	if off := now.Sub(at); off > MaxNodeSkew || off < -MaxNodeSkew {
		return time.Time{}, fault.TimestampExpired.New("the request was signed more than %v from now; sign it by the time that this answer's Date says", MaxNodeSkew)
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(r.Signature)
	if err != nil || len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, r.Message, signature) {
		return time.Time{}, fault.SignatureMismatch.New("the signature does not match the request, or there is no such node; a node that was removed joins again with a new token")
	}
	return at, nil
}
