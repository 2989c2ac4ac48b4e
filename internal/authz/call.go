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
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/fault"
)

// A Kind says what sort of principal acts.
type Kind string

// The kinds of principal.
const (
	Root    Kind = "root"    // the account itself: everything on its own resources
	User    Kind = "user"    // a user of the account: what its policies allow
	Service Kind = "service" // keyward's own jobs, acting inside one account

	AssumedRole Kind = "assumed-role"   // a session of a role: what the role's policies allow
	Federated   Kind = "federated-user" // a session of a user: what the user's policies allow
)

// A Principal is an authenticated identity.
type Principal struct {
	Account   string    // 16 decimal digits
	Kind      Kind      //
	Name      string    // of the user or the role, or of the service
	AccessKey string    // id of the access key that signed the request; empty for services
	KeyReset  time.Time // when the secret of that key was last replaced; zero for never
	Policies  []*Policy // identity policies in force
	Session   *Session  // nil unless the principal acts with temporary credentials
	Approval  Approval  // what the account wants approved by others, for this request; nil for nothing
}

// An Approval stands between a request and what its account wants approved by others first.
// Package approval has them; one is for one request, and not for several goroutines.
type Approval interface {
	// Demand answers fault.ApprovalRequired if a dangerous request that is allowed needs an
	// approval that it does not have.
	Demand(c *Call, r Request) error
}

// A Session is what temporary credentials say beside whose they are. It is immutable.
type Session struct {
	Name    string    // chosen by who began it
	Policy  *Policy   // must allow a request, too; nil for none
	Expires time.Time // from then on its requests are refused
	Lineage []string  // what ends the session when it changes; package role reads it
	Person  bool      // it came of a login: somebody is there who can be asked
	MFA     bool      // at that login a second factor of keyward was proved
	Vouched bool      // at that login a second factor was proved to an identity provider that is believed about it
}

// ARN answers the principal's name as RAM writes it; that of a session of a role or of a
// federated user ends in the session's name.
func (p Principal) ARN() string {
	switch {
	case p.Kind == Root:
		return "acs:ram::" + p.Account + ":root"
	case p.Session != nil && (p.Kind == AssumedRole || p.Kind == Federated):
		return "acs:ram::" + p.Account + ":" + string(p.Kind) + "/" + p.Name + "/" + p.Session.Name
	}
	return "acs:ram::" + p.Account + ":" + string(p.Kind) + "/" + p.Name
}

// weighed tells whether policies decide what the principal may do.
func (p *Principal) weighed() bool {
	return p.Kind == User || p.Kind == AssumedRole || p.Kind == Federated
}

// role is the kind of principal that stands in policies of resources for all sessions of a
// role; nobody acts as one.
const role Kind = "role"

// behind answers the kind of whom a session stands for, as policies of resources name it.
func (p *Principal) behind() Kind {
	switch p.Kind {
	case AssumedRole:
		return role
	case Federated:
		return User
	}
	return p.Kind
}

// Identity answers the name under which policies of resources know the principal: of the
// role or the user behind a session.
func (p Principal) Identity() string {
	return principal{account: p.Account, kind: p.behind(), name: p.Name}.String()
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
	Fresh     bool   // the caller's second factor was proved for this very request, under its signature
	Key       string // security key by which it was; empty for a code
}

// From answers the address that the call came from, as text; "" where there is none, as for
// keyward's own work.
func (c *Call) From() string {
	if !c.Source.IsValid() {
		return ""
	}
	return c.Source.String()
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

// Dangerous answers the actions that end something for good, open what is closed, or give
// power away. People need a fresh code of their second factor for each; of programs a policy
// can demand one.
func Dangerous() []string {
	return []string{
		"kms:ScheduleKeyDeletion", "kms:DisableKey", "kms:DeleteKeyMaterial", "kms:SetKeyPolicy", "kms:SetDeletionProtection",
		"kms:ExportDataKey", "kms:GenerateAndExportDataKey", "kms:DeleteSecret", "kms:SetSecretPolicy",
		"ram:AttachPolicyToUser", "ram:AttachPolicyToRole", "ram:UpdateRole", "ram:DetachPolicyFromUser", "ram:DetachPolicyFromRole", "ram:UpdatePolicy",
		"ram:CreateAccessKey", "ram:UpdateAccessKey", "ram:ResetAccessKey", "ram:DeleteAccessKey", "ram:UpdateUser", "ram:DeleteUser",
		"ram:UpdateLoginProfile", "ram:DeleteLoginProfile", "ram:UnbindMFADevice", "keyward:LinkUser", "ram:DeleteOIDCProvider",
		"keyward:CreateNodeToken", "keyward:ExportAudit", "keyward:SetApprovalRule", "keyward:DeleteApprovalRule",
	}
}

// dangerous tells whether an action, in whatever case, is one of them.
func dangerous(action string) bool {
	return slices.ContainsFunc(Dangerous(), func(name string) bool { return strings.EqualFold(name, action) })
}

// demand answers the decision that allows a request, unless others must approve it first, or a
// person must prove a second factor for it. Who could not prove one is told so before others are
// asked; who can does so for the request that is performed.
func (c *Call) demand(allowed Decision, r Request) (Decision, error) {
	person := c.Session != nil && c.Session.Person
	if !person && c.Approval == nil || !dangerous(r.Action) {
		return allowed, nil
	}
	if person && !c.Session.MFA {
		return Decision{Reason: NotFresh}, fault.MFANotSetUp.New("%s is dangerous, so that people need a second factor for it: set one up with keyward user mfa enroll, then log in again", r.Action)
	}
	if c.Approval != nil {
		if err := c.Approval.Demand(c, r); err != nil {
			return Decision{Reason: NotApproved}, err
		}
	}
	if person && !c.Fresh {
		return Decision{Reason: NotFresh}, fault.MFARequired.New("%s is dangerous: repeat the request with a code of your second factor, which serves for this request only", r.Action)
	}
	return allowed, nil
}

// A Reason says why a Decision fell.
type Reason string

// The reasons.
const (
	ByRoot       Reason = "root"                     // the account itself acts on its own resource
	ByService    Reason = "service"                  // a job acts inside its account
	ByAllow      Reason = "allow"                    // a statement allows it and none denies it
	ByBoth       Reason = "allowed by both accounts" // a statement of the caller's policies and one of the resource's policy do
	ByDeny       Reason = "explicit deny"            // a statement denies it
	ByDefault    Reason = "no statement allows"      // no statement speaks of it
	OtherAccount Reason = "not the own account"      // the resource belongs to another account
	Malformed    Reason = "malformed resource"       // the resource is no full name
	NoPrincipal  Reason = "unknown principal"        // the principal is of no known kind
	BySession    Reason = "session policy"           // the policy of the session does not allow it
	NotFresh     Reason = "no fresh code"            // a person must prove a second factor for this very request
	NotApproved  Reason = "not approved"             // others must approve this very request first
)

// Chinese answers the reasons that a caller is told.
func (r Reason) Chinese() string {
	return cmp.Or(map[Reason]string{
		ByDefault: "没有授权语句允许", OtherAccount: "资源属于其他账号", Malformed: "资源名称格式错误",
		NoPrincipal: "主体的类型未知", BySession: "会话的策略不允许",
	}[r], string(r))
}
