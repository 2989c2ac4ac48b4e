package role

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/material"
)

// maxToken bounds what is looked at: no token that was issued is longer.
const maxToken = 6 << 10

// A session is what is kept of an opened ticket in memory.
type session struct {
	ticket
	secret    material.Bytes
	principal authz.Principal
}

// open opens a token.
func (s *Service) open(_ context.Context, token string) (*session, error) {
	malformed := fault.SecurityTokenInvalid.New("the security token is not one that this server issued; ask for new temporary credentials")
	if len(token) > maxToken {
		return nil, malformed
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || base64.RawURLEncoding.EncodedLen(len(sealed)) != len(token) { // package base64 passes line breaks over
		return nil, malformed
	}
	plain, err := s.sealer.Open(sealed)
	if err != nil {
		if fault.Is(err, fault.Sealed) {
			return nil, err
		}
		return nil, malformed
	}
	defer plain.Zero()
	content := plain.Expose()
	length := 1 + int(content[0])
	opened := &session{secret: material.NewBytes(slices.Clone(content[1:length]))}
	if err := json.Unmarshal(content[length:], &opened.ticket); err != nil {
		return nil, fmt.Errorf("reading a security token that this server sealed: %w", err)
	}
	var policy *authz.Policy
	if opened.Policy != "" {
		if policy, err = authz.Compile(sessionPolicy, []byte(opened.Policy)); err != nil {
			return nil, fmt.Errorf("compiling the policy of a session: %w", err)
		}
	}
	opened.principal = opened.ticket.principal(policy)
	return opened, nil
}

// Credential answers the credential of an access key, permanent or temporary, that came
// with this security token, "" for none. It does for temporary ones what
// [iam.Service.Credential] does for the others: their faults are SecurityTokenMissing,
// SecurityTokenInvalid and SecurityTokenMismatch; that a session is over is a refusal.
func (s *Service) Credential(ctx context.Context, accessKey, token string) (iam.Credential, error) {
	if !iam.ValidSessionKeyID(accessKey) {
		c, err := s.iam.Credential(ctx, accessKey)
		if err == nil && token != "" && c.Refusal == nil {
			c.Refusal = mismatch()
		}
		return c, err
	}
	if token == "" {
		return iam.Credential{}, fault.SecurityTokenMissing.New("temporary credentials need their security token; send it along, under the signature")
	}
	opened, err := s.tickets.Get(ctx, token)
	if err != nil {
		return iam.Credential{}, err
	}
	if opened.ID != accessKey {
		return iam.Credential{}, mismatch()
	}
	c := iam.Credential{Secret: opened.secret, Principal: opened.principal}
	if !s.clock().Before(opened.Expires) {
		c.Refusal = fault.SecurityTokenExpired.New("the temporary credentials have expired; ask for new ones")
		return c, nil
	}
	c.Principal.Policies, err = s.present(ctx, opened)
	if fault.Is(err, fault.SecurityTokenInvalid) {
		c.Refusal, err = err, nil
	}
	return c, err
}

func mismatch() error {
	return fault.SecurityTokenMismatch.New("the security token does not belong to this access key; permanent access keys take none")
}

// over says that a session was ended.
func over(why fault.Text) error {
	return fault.SecurityTokenInvalid.New("the session is over, because %s; ask for new temporary credentials", why)
}

// present answers the policies of whom the session stands for, if all that it came of is
// still as it was.
func (s *Service) present(ctx context.Context, opened *session) (policies []*authz.Policy, err error) {
	for _, link := range opened.Lineage {
		if policies, err = s.follow(ctx, link); err != nil {
			return nil, err
		}
	}
	return policies, nil
}

// The kinds of links of a lineage. The policies of the last link are the session's.
const (
	linkKey  = "key"  // key/ID/RESET: an access key, and when its secret was last replaced
	linkRole = "role" // role/ACCOUNT/NAME/ID/GENERATION

	linkLogin = "login" // login/ACCOUNT/USER/SESSION: somebody who logged in; it is the first
)

// lineage answers what the caller came of.
func (s *Service) lineage(call *authz.Call) []string {
	if call.Session != nil {
		return slices.Clip(call.Session.Lineage)
	}
	return []string{linkKey + "/" + call.AccessKey + "/" + strconv.FormatInt(call.KeyReset.UnixMicro(), 10)}
}

// IDOf answers the id of the role that the principal acts as, "" if it is none.
func IDOf(p authz.Principal) string {
	if p.Kind != authz.AssumedRole {
		return ""
	}
	parts := strings.Split(p.Session.Lineage[len(p.Session.Lineage)-1], "/")
	return parts[len(parts)-2]
}

func roleLink(r Role) string {
	return strings.Join([]string{linkRole, r.Account, r.Name, r.ID, strconv.FormatInt(r.Generation, 10)}, "/")
}

// follow answers the policies of a link, or why it leads nowhere any more.
func (s *Service) follow(ctx context.Context, link string) ([]*authz.Policy, error) {
	kind, rest, _ := strings.Cut(link, "/")
	switch kind {
	case linkKey:
		id, reset, _ := strings.Cut(rest, "/")
		c, err := s.iam.Credential(ctx, id)
		if fault.Is(err, fault.AccessKeyNotFound) {
			return nil, over(fault.Say("the access key that it was begun with was deleted"))
		}
		if err != nil {
			return nil, err
		}
		if c.Refusal != nil || strconv.FormatInt(c.Principal.KeyReset.UnixMicro(), 10) != reset {
			return nil, over(fault.Say("the access key that it was begun with was disabled or reset, or has expired"))
		}
		return c.Principal.Policies, nil
	case linkRole:
		at := strings.LastIndex(link[:strings.LastIndex(link, "/")], "/") // of the role's id
		a, err := s.roles.Get(ctx, link[len(linkRole)+1:at])
		if fault.Is(err, fault.ResourceNotFound) {
			return nil, over(fault.Say("the role was deleted"))
		}
		if err != nil {
			return nil, err
		}
		if roleLink(a.role) != link {
			return nil, over(fault.Say("whom the role trusts was changed, or all sessions of the role were ended"))
		}
		return a.policies, nil
	case linkLogin:
		return s.followLogin(ctx, rest)
	}
	return nil, fmt.Errorf("a security token has a link of the kind %q", kind)
}

// PersonOf answers the user who logged in and of whose login the principal's session came.
func PersonOf(p authz.Principal) (account, user string, ok bool) {
	if p.Session == nil || !p.Session.Person {
		return "", "", false
	}
	parts := strings.SplitN(p.Session.Lineage[0], "/", 4) // login/ACCOUNT/USER/SESSION
	return parts[1], parts[2], true
}

// Origin answers the user whom a principal's session came of, however many roles later; of who
// has no session the principal itself.
func (s *Service) Origin(ctx context.Context, p authz.Principal) (account, user string, err error) {
	if p.Session == nil {
		return p.Account, p.Name, nil
	}
	if account, user, ok := PersonOf(p); ok {
		return account, user, nil
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(p.Session.Lineage[0], linkKey+"/"), "/")
	c, err := s.iam.Credential(ctx, id)
	return c.Principal.Account, c.Principal.Name, err
}

// followLogin answers the policies of somebody whose login is still in force.
func (s *Service) followLogin(ctx context.Context, rest string) ([]*authz.Policy, error) {
	parts := strings.SplitN(rest, "/", 3) // which this server wrote
	p, err := s.iam.Acting(ctx, parts[0], parts[1])
	if fault.Is(err, fault.AccessKeyInactive) {
		return nil, over(fault.Say("the user is disabled or gone"))
	}
	if err != nil {
		return nil, err
	}
	in, err := s.logins(ctx, parts[0], parts[1], parts[2])
	if err == nil && !in {
		err = over(fault.Say("it was ended, or the user's password or second factor was changed"))
	}
	return p.Policies, err
}
