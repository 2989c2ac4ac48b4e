package role

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/material"
)

// Issued are temporary credentials, which are answered this once and stored nowhere.
type Issued struct {
	AccessKey string // id
	Secret    material.Bytes
	Token     string // secret, too: it goes with every request
	Principal authz.Principal
	Expires   time.Time
	RoleID    string // of the role that was assumed
}

// An Assumption says which role to act as, and how.
type Assumption struct {
	Role       string        // its ARN, acs:ram::ACCOUNT:role/NAME; a name alone is of the own account
	Session    string        // name of the session, for policies and records
	Duration   time.Duration // 15 minutes to what the role allows; 0 means an hour
	Policy     string        // document that narrows what the session may do; "" for none
	ExternalID string        // what the trust policy asks for; "" for none
}

// AssumeRole begins a session of a role. The caller's policies must allow sts:AssumeRole on
// the role, and the role's trust policy must let the caller in. Who is refused does not
// learn whether another account has such a role.
func (s *Service) AssumeRole(ctx context.Context, call *authz.Call, in Assumption) (Issued, error) {
	op := iam.Begin(s.log, call, authz.AssumeRole)
	return iam.Perform(ctx, op, func() (Issued, error) {
		account, name := in.place(call.Account)
		op.Record.Resource = iam.RoleARN(account, name)
		a, err := s.admit(ctx, op, account, name, in)
		if err != nil {
			return Issued{}, err
		}
		op.Record.Param("RoleSessionName", in.Session)
		policy, err := checkSession(in.Session, in.Policy)
		if err != nil {
			return Issued{}, err
		}
		if err := checkExternalID(in.ExternalID); err != nil {
			return Issued{}, err
		}
		longest := a.role.MaxSession
		if call.Session != nil {
			longest = maxChained
		}
		t := ticket{
			Account: account, Kind: authz.AssumedRole, Name: name, Session: in.Session, Policy: policy,
			Lineage: append(s.lineage(call), roleLink(a.role)), MFA: call.Session != nil && call.Session.MFA,
			Vouched: call.Session != nil && call.Session.Vouched,
		}
		issued, err := s.issue(op, t, in.Duration, longest)
		issued.RoleID = a.role.ID
		return issued, err
	})
}

// place answers where the role is to be found.
func (in Assumption) place(own string) (account, name string) {
	rest, found := strings.CutPrefix(in.Role, "acs:ram::")
	if !found {
		return own, in.Role
	}
	account, rest, _ = strings.Cut(rest, ":")
	name, found = strings.CutPrefix(rest, "role/")
	if !found {
		return own, ""
	}
	return account, name
}

// admit decides whether the caller may act as the role.
func (s *Service) admit(ctx context.Context, op *iam.Operation, account, name string, in Assumption) (actor, error) {
	call := op.Call
	if call.Kind != authz.User && call.Kind != authz.AssumedRole {
		op.Record.Decision = "reserved to users and roles"
		return actor{}, fault.NoPermission.New("%s cannot act as a role; use an access key of a user", call.ARN())
	}
	if err := op.Ask(authz.Request{Action: authz.AssumeRole, Resource: op.Record.Resource, Shared: true}); err != nil {
		return actor{}, err
	}
	a, missing := actor{}, checkName(name)
	if missing == nil {
		a, missing = s.roles.Get(ctx, account+"/"+name)
	}
	if missing != nil && (account == call.Account || !fault.Is(missing, fault.ResourceNotFound) && !fault.Is(missing, fault.InvalidParameter)) {
		return actor{}, missing
	}
	d := authz.Decision{Reason: authz.ByDefault}
	if missing == nil {
		d = a.trust.Decide(call, trustAttributes(in)...)
	}
	if !d.Allowed {
		op.Record.Decision = "trust policy: " + string(d.Reason)
		return actor{}, fault.NoPermission.New("%s may not act as %s: the role's trust policy does not let the caller in, or asks for another external id; ask who manages the role",
			call.ARN(), op.Record.Resource)
	}
	return a, nil
}

func trustAttributes(in Assumption) []authz.Attribute {
	attributes := []authz.Attribute{{Key: authz.SessionName, Value: in.Session}}
	if in.ExternalID != "" {
		attributes = append(attributes, authz.Attribute{Key: authz.ExternalID, Value: in.ExternalID})
	}
	return attributes
}

// A Federation says what a session of the calling user is to be like.
type Federation struct {
	Session  string        // name of the session, for policies and records
	Duration time.Duration // 15 minutes to 12 hours; 0 means an hour
	Policy   string        // document that narrows what the session may do; "" for none
}

// Federate begins a session of the calling user itself, to be handed on: it may do what
// the user may do and the policy allows, as far as that is no matter of the session's
// holder's own, such as the user's own access keys.
func (s *Service) Federate(ctx context.Context, call *authz.Call, in Federation) (Issued, error) {
	op := iam.Begin(s.log, call, ActionFederate)
	return iam.Perform(ctx, op, func() (Issued, error) {
		if err := op.Authorize(call.Identity()); err != nil {
			return Issued{}, err
		}
		if call.Kind != authz.User || call.Session != nil {
			op.Record.Decision = "reserved to users"
			return Issued{}, fault.NoPermission.New("only a user with an access key can hand on a part of its permissions; a session cannot")
		}
		op.Record.Param("Name", in.Session)
		policy, err := checkSession(in.Session, in.Policy)
		if err != nil {
			return Issued{}, err
		}
		return s.issue(op, ticket{
			Account: call.Account, Kind: authz.Federated, Name: call.Name, Session: in.Session, Policy: policy, Lineage: s.lineage(call),
		}, in.Duration, MaxDuration)
	})
}

// A Login says what a session of somebody who logged in is to be like.
type Login struct {
	Account  string
	User     string
	Session  string        // id of the session, which [Options].Logins knows
	Duration time.Duration // 15 minutes to 12 hours; 0 means an hour
	MFA      bool          // a second factor was proved
	Vouched  bool          // a second factor was proved to an identity provider that is believed about it
}

// Login makes the credentials of somebody who proved who they are. It is a part of the
// operation op, which has seen to that.
func (s *Service) Login(op *iam.Operation, in Login) (Issued, error) {
	return s.issue(op, ticket{
		Account: in.Account, Kind: authz.User, Name: in.User, Session: in.Session, MFA: in.MFA, Vouched: in.Vouched,
		Lineage: []string{strings.Join([]string{linkLogin, in.Account, in.User, in.Session}, "/")},
	}, in.Duration, MaxDuration)
}

// issue makes the credentials that a ticket is for.
func (s *Service) issue(op *iam.Operation, t ticket, duration, longest time.Duration) (Issued, error) {
	if duration == 0 {
		duration = time.Hour
	}
	if duration < MinDuration || duration > longest || duration%time.Second != 0 {
		return Issued{}, fault.InvalidParameter.New("this session may last %d to %d seconds", int(MinDuration.Seconds()), int(longest.Seconds()))
	}
	if len(t.Lineage) > maxLineage {
		return Issued{}, fault.LimitExceeded.New("the session would come of more than %d sessions, each begun with the one before", maxLineage-2)
	}
	t.Expires = s.now().Add(duration).Truncate(time.Second)
	if parent := op.Call.Session; parent != nil && parent.Expires.Before(t.Expires) {
		t.Expires = parent.Expires
	}
	id, secret := iam.NewSessionKey()
	t.ID = id
	token, err := s.seal(t, secret)
	if err != nil {
		return Issued{}, err
	}
	op.Record.Param("AccessKeyId", id)
	op.Record.Param("Expiration", t.Expires.Format(time.RFC3339))
	return Issued{AccessKey: id, Secret: secret, Token: token, Principal: t.principal(nil), Expires: t.Expires}, nil
}

func checkSession(name, policy string) (document string, err error) {
	if len(name) < 2 || len(name) > maxSessionName || strings.Trim(name, letters+"0123456789.@_-") != "" {
		return "", fault.InvalidParameter.New("the name of a session has 2 to %d characters, which are letters, digits or one of . @ _ -", maxSessionName)
	}
	if policy == "" {
		return "", nil
	}
	if len(policy) > maxSessionPolicy {
		return "", fault.InvalidParameter.New("the policy of a session has at most %d bytes", maxSessionPolicy)
	}
	_, err = authz.Compile(sessionPolicy, []byte(policy))
	return policy, err
}

const (
	letters       = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sessionPolicy = "session policy" // as decisions name it
)

func checkExternalID(id string) error {
	if id != "" && (len(id) < 2 || len(id) > maxExternalID || strings.Trim(id, letters+"0123456789=,.@:/_-") != "") {
		return fault.InvalidParameter.New("an external id has 2 to %d characters, which are letters, digits or one of = , . @ : / _ -", maxExternalID)
	}
	return nil
}

// A ticket is what a security token holds, behind the secret. Members are never renamed:
// tokens outlive upgrades of the server.
type ticket struct {
	ID      string     `json:"id"` // of the temporary access key
	Account string     `json:"account"`
	Kind    authz.Kind `json:"kind"`
	Name    string     `json:"name"` // of the role or the user
	Session string     `json:"session"`
	Policy  string     `json:"policy,omitempty"`
	Expires time.Time  `json:"expires"`
	Lineage []string   `json:"lineage"`
	MFA     bool       `json:"mfa,omitempty"` // proved at the login that it came of
	Vouched bool       `json:"vouched,omitempty"`
}

// principal answers who acts with the ticket; the policies are for whoever looks them up.
func (t *ticket) principal(policy *authz.Policy) authz.Principal {
	return authz.Principal{
		Account: t.Account, Kind: t.Kind, Name: t.Name, AccessKey: t.ID,
		Session: &authz.Session{
			Name: t.Session, Policy: policy, Expires: t.Expires, Lineage: t.Lineage,
			Person: strings.HasPrefix(t.Lineage[0], linkLogin+"/"), MFA: t.MFA, Vouched: t.Vouched,
		},
	}
}

// seal writes the token of a ticket. The secret stands before the JSON and not in it,
// because package json keeps its buffers.
func (s *Service) seal(t ticket, secret material.Bytes) (string, error) {
	members, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("writing a security token: %w", err)
	}
	plain := material.NewBytes(slices.Concat([]byte{byte(secret.Len())}, secret.Expose(), members))
	defer plain.Zero()
	sealed, err := s.sealer.Seal(plain)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}
