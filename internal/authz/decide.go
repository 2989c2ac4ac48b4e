package authz

import (
	"strings"

	"github.com/keyward/keyward/internal/fault"
)

// The condition keys that policies may use. The acs: keys come from the Call; the
// service that asks supplies the others as attributes wherever it knows them.
const (
	SourceIP                = "acs:SourceIp"            // IpAddress operators
	CurrentTime             = "acs:CurrentTime"         // Date operators
	SecureTransport         = "acs:SecureTransport"     // Bool
	MFAPresent              = "acs:MFAPresent"          // Bool
	KeySpec                 = "kms:KeySpec"             // such as Aliyun_AES_256
	KeyUsage                = "kms:KeyUsage"            // such as ENCRYPT/DECRYPT
	EncryptionAlgorithm     = "kms:EncryptionAlgorithm" // such as SYMMETRIC_DEFAULT
	TagPrefix               = "kms:tag/"                // followed by a tag key
	EncryptionContextPrefix = "kms:EncryptionContext:"  // followed by a name in the encryption context
)

// A Request is what a Call wants to do: one action on one resource.
type Request struct {
	Action     string      // service:Name
	Resource   string      // the full name, acs:service:region:account:relative, never a pattern
	Attributes []Attribute // further condition keys; a key occurs once
}

// An Attribute is the value of one condition key. An empty value is a value; a key
// that is not known must be left out.
type Attribute struct {
	Key, Value string
}

// A Reason says why a Decision fell.
type Reason string

// The reasons.
const (
	ByRoot       Reason = "root"                // the account itself acts on its own resource
	ByService    Reason = "service"             // a job acts inside its account
	ByAllow      Reason = "allow"               // a statement allows it and none denies it
	ByDeny       Reason = "explicit deny"       // a statement denies it
	ByDefault    Reason = "no statement allows" // no statement speaks of it
	OtherAccount Reason = "not the own account" // the resource belongs to another account
	Malformed    Reason = "malformed resource"  // the resource is no full name
	NoPrincipal  Reason = "unknown principal"   // the principal is of no known kind
)

// A Decision is the answer to a Request, with the statement that settled it.
type Decision struct {
	Allowed   bool
	Reason    Reason
	Policy    string // name of the policy that allowed or denied; else empty
	Statement string // its Sid, or its number counted from 1
}

// Decide answers whether the call may make the request. Resources of another account
// are out of reach for everybody. Inside the own account the root user and keyward's
// jobs may do everything; a user may do what a statement of its policies allows and
// none denies, in whatever order they stand.
func (c *Call) Decide(r Request) Decision {
	resource, ok := parseARN(r.Resource)
	if !ok {
		return Decision{Reason: Malformed}
	}
	if resource.account != c.Account {
		return Decision{Reason: OtherAccount}
	}
	switch c.Kind {
	case Root:
		return Decision{Allowed: true, Reason: ByRoot}
	case Service:
		return Decision{Allowed: true, Reason: ByService}
	case User:
		var buffer [40]byte // longer than the name of any action
		q := query{call: c, resource: resource, attributes: r.Attributes}
		return q.decide(c.Policies, string(appendLower(buffer[:0], r.Action)))
	}
	return Decision{Reason: NoPrincipal}
}

// Check is Decide for a service that is about to act: a request that may not be made
// is answered with fault.NoPermission, whose message tells the caller what is missing.
// The Decision is for the audit record in both cases.
func (c *Call) Check(r Request) (Decision, error) {
	d := c.Decide(r)
	if d.Allowed {
		return d, nil
	}
	if d.Reason == ByDeny {
		return d, fault.NoPermission.New("%s may not perform %s on %s: statement %s of the policy %q denies it; ask an administrator of the account to change that policy",
			c.ARN(), r.Action, r.Resource, d.Statement, d.Policy)
	}
	return d, fault.NoPermission.New("%s may not perform %s on %s (%s); ask an administrator of the account that owns it for a policy that allows this action on this resource",
		c.ARN(), r.Action, r.Resource, d.Reason)
}

// A query is a Request prepared for being compared with many statements.
type query struct {
	call       *Call
	resource   arn
	attributes []Attribute
}

// appendLower appends an action in lower case. Names of actions are ASCII; another
// character stays what it is, and so belongs to no action.
func appendLower(lower []byte, action string) []byte {
	for i := range len(action) {
		c := action[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower = append(lower, c)
	}
	return lower
}

// decide takes the action in lower case. It is not in the query, because what is there
// may be kept by a test, for all the compiler knows, and would be allocated.
func (q *query) decide(policies []*Policy, action string) Decision {
	d := Decision{Reason: ByDefault}
	for _, p := range policies {
		for i := range p.statements {
			s := &p.statements[i]
			if d.Allowed && !s.deny || !q.matches(s, action) {
				continue
			}
			if s.deny {
				return Decision{Reason: ByDeny, Policy: p.name, Statement: s.id}
			}
			d = Decision{Allowed: true, Reason: ByAllow, Policy: p.name, Statement: s.id}
		}
	}
	return d
}

func (q *query) matches(s *statement, action string) bool {
	if matchAny(s.actions, action) == s.except {
		return false
	}
	if s.except && !s.deny && reserved(action) {
		return false
	}
	return q.matchesResource(s.resources) && q.meets(s)
}

// reserved tells whether an action hands out power itself. "Everything but …" is
// easily written without thinking of these, so an Allow must name them with Action.
func reserved(action string) bool {
	return strings.HasPrefix(action, "ram:") || strings.HasPrefix(action, "keyward:")
}

func (q *query) matchesResource(resources []resource) bool {
	for i := range resources {
		if resources[i].match(q.resource) {
			return true
		}
	}
	return false
}

func (q *query) meets(s *statement) bool {
	for i := range s.conditions {
		if !s.conditions[i].holds(q, s.deny) {
			return false
		}
	}
	return true
}

// fact answers what is known under a condition key.
func (q *query) fact(key string) (fact, bool) {
	switch key {
	case SourceIP:
		return fact{addr: q.call.Source}, q.call.Source.IsValid()
	case CurrentTime:
		return fact{time: q.call.Time}, !q.call.Time.IsZero()
	case SecureTransport:
		return flag(q.call.Secure), true
	case MFAPresent:
		// An access key signs without a second factor. Were the key absent instead,
		// "deny unless MFA" would deny nothing.
		return flag(false), true
	}
	for _, a := range q.attributes {
		if a.Key == key {
			return fact{text: a.Value}, true
		}
	}
	return fact{}, false
}

func flag(b bool) fact {
	if b {
		return fact{text: "true"}
	}
	return fact{text: "false"}
}
