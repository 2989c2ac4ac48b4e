// Package authz decides who may do what. It is pure: no clock, no I/O, no
// database, so that it can be fuzzed against a slow reference evaluator.
//
// A [Call] is a [Principal] making one request. Services hand it, with the
// action and the resource, to [Call.Check]; the answer is a [Decision] that
// explains itself by policy and statement. Policies are compiled once, when they
// are written ([Compile]), and are immutable afterwards, so that a check allocates
// next to nothing and several goroutines may share a policy.
package authz

import (
	"net/netip"
	"time"
)

// A Kind says what sort of principal acts.
type Kind string

// The kinds of principal.
const (
	Root    Kind = "root"    // the account itself: everything on its own resources
	User    Kind = "user"    // a user of the account: what its policies allow
	Service Kind = "service" // keyward's own jobs, acting inside one account
)

// A Principal is an authenticated identity.
type Principal struct {
	Account   string    // 16 decimal digits
	Kind      Kind      //
	Name      string    // user name, or the name of the service
	AccessKey string    // id of the access key that signed the request; empty for services
	Policies  []*Policy // identity policies in force
}

// ARN answers the principal's name as RAM writes it.
func (p Principal) ARN() string {
	if p.Kind == Root {
		return "acs:ram::" + p.Account + ":root"
	}
	return "acs:ram::" + p.Account + ":" + string(p.Kind) + "/" + p.Name
}

// A Call is one request of a principal: who, and the circumstances that policy
// conditions and the audit log refer to.
type Call struct {
	Principal
	RequestID string     // upper-case UUID, also answered to the caller
	Time      time.Time  // when the server received it
	Source    netip.Addr // the peer, or what a trusted proxy said of it
	UserAgent string
	Secure    bool   // came over TLS
	Scheme    string // how it was authenticated: "ACS3-HMAC-SHA256", "job", …
	Nonce     []byte // digest of the replay nonce; nil where the scheme has none
}

// String answers the decision as the audit log keeps it: the statement that settled
// it, as policy/statement, or the reason where no statement did.
func (d Decision) String() string {
	switch d.Reason {
	case ByAllow:
		return "allowed by " + d.Policy + "/" + d.Statement
	case ByBoth:
		return "allowed by " + d.Policy + "/" + d.Statement + " and by the owner of the resource"
	case ByDeny:
		return "denied by " + d.Policy + "/" + d.Statement
	}
	return string(d.Reason)
}
