package authz

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/fault"
)

// A ResourcePolicy is the compiled policy of one resource, such as a key: it says who
// may do what with it. It is immutable, so that goroutines may share it.
type ResourcePolicy struct {
	terms      *Terms
	statements []statement
}

// Terms are what the policies of one kind of resource may say.
type Terms struct {
	Kind       string   // "key"
	Guard      string   // the action that sets such a policy, which must stay within reach
	Administer []string // patterns of what administrators may do
	Use        []string // what users may do, those of other accounts included
	Lend       []string // what else other accounts may be given
}

// KeyTerms answers the terms of key policies: the administrators and users are those
// whom Alibaba Cloud's page on key policies knows by these names, action by action.
func KeyTerms() *Terms { return &keyTerms }

var keyTerms = Terms{
	Kind:  "key",
	Guard: "kms:SetKeyPolicy",
	Administer: []string{
		"kms:List*", "kms:Describe*", "kms:Create*", "kms:Enable*", "kms:Disable*", "kms:Get*", "kms:Set*", "kms:Update*",
		"kms:Delete*", "kms:Cancel*", "kms:TagResource", "kms:UntagResource", "kms:ImportKeyMaterial", "kms:ScheduleKeyDeletion",
	},
	Use: []string{
		"kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:GenerateAndExportDataKey", "kms:AsymmetricEncrypt", "kms:AsymmetricDecrypt",
		"kms:DescribeKey", "kms:DescribeKeyVersion", "kms:ListKeyVersions", "kms:ListAliasesByKeyId", "kms:TagResource",
	},
	Lend: []string{
		"kms:AsymmetricSign", "kms:AsymmetricVerify", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKeyWithoutPlaintext",
		"kms:ExportDataKey", "kms:GenerateMac", "kms:VerifyMac", "kms:GetPublicKey",
	},
}

// Default answers the policy that a resource of the account has when it was given none:
// the identity policies of the account decide alone, and of each account that lent the place
// where the resource is.
func (t *Terms) Default(account string, lenders ...string) string {
	principals := `"acs:ram::` + account + `:*"`
	for _, lender := range lenders {
		principals += `,"acs:ram::` + lender + `:*"`
	}
	return fmt.Sprintf(`{"Version":"1","Statement":[{"Sid":"kms default %s policy","Effect":"Allow","Action":["kms:*"],"Principal":{"RAM":[%s]},"Resource":["*"]}]}`, t.Kind, principals)
}

// Grants are the people of a custom policy, each as the ARN of a user or a role.
type Grants struct {
	Administrators []string // manage the resource and cannot use it
	Users          []string // use it and cannot manage it
	Others         []string // users of other accounts
}

// Custom writes the policy that gives each of the grants its actions. An empty one is
// left out; all of them empty is the default of the account.
func (t *Terms) Custom(account string, g Grants) string {
	type statement struct {
		Sid, Effect string
		Principal   map[string][]string
		Action      []string
		Resource    []string
	}
	var list []statement
	for _, role := range []struct {
		sid        string
		principals []string
		actions    []string
	}{{"administrators", g.Administrators, t.Administer}, {"users", g.Users, t.Use}, {"users of other accounts", g.Others, t.Use}} {
		if len(role.principals) > 0 {
			list = append(list, statement{role.sid, "Allow", map[string][]string{"RAM": role.principals}, role.actions, []string{"*"}})
		}
	}
	if list == nil {
		return t.Default(account)
	}
	text, _ := json.Marshal(struct { // of strings, which cannot fail
		Version   string
		Statement []statement
	}{"1", list})
	return string(text)
}

// kind answers what the resource is called.
func (t *Terms) kind() fault.Text {
	if t.Kind == "secret" {
		return fault.Say("secret")
	}
	return fault.Say("key")
}

// Compile reads the policy of a resource that the account owns. Beside what [Compile]
// refuses, it refuses principals that the policy could not mean, a grant to another
// account of anything but use, and a denial that would leave nobody to set the policy. The
// accounts that lent the place where the resource is may be let in as the own one.
func (t *Terms) Compile(account string, document []byte, lenders ...string) (*ResourcePolicy, error) {
	owners := append([]string{account}, lenders...)
	statements, err := compileDocument(document, func(o object) (statement, error) { return t.compile(owners, o) })
	if err != nil {
		return nil, fault.InvalidParameter.New("the %s policy is not valid: %v", t.kind(), err)
	}
	return &ResourcePolicy{terms: t, statements: statements}, nil
}

func (t *Terms) compile(owners []string, o object) (statement, error) {
	if err := checkElements(o, "Sid", "Effect", "Principal", "Action", "Resource", "Condition"); err != nil {
		return statement{}, err
	}
	s, err := compileStatement(o)
	if err != nil {
		return statement{}, err
	}
	for i := range s.actions {
		if a := s.actions[i].String(); !strings.HasPrefix(a, "kms:") {
			return statement{}, fault.Say("in Action: %q does not begin with kms:, as it must", a)
		}
	}
	v, _ := o.get("Resource")
	if list, err := stringList(v); err != nil || slices.ContainsFunc(list, func(r string) bool { return r != "*" }) {
		return statement{}, fault.Say(`the element Resource must be "*", which means this %s`, t.kind())
	}
	if s.principals, err = compilePrincipals(o); err != nil {
		return statement{}, fault.Say("in Principal: %v", err)
	}
	for _, p := range s.principals {
		if err := t.check(owners, p, &s); err != nil {
			return statement{}, err
		}
	}
	return s, nil
}

// check tells whether a statement about the principal has a meaning and does no harm.
func (t *Terms) check(owners []string, p principal, s *statement) error {
	switch own := slices.Contains(owners, p.account); {
	case !own && (p.kind == "" || p.kind == Root):
		return fault.Say("in Principal: of another account only a user or a role can be named, not %s", p)
	case own && p.kind == Root && s.deny:
		return fault.Say("in Principal: nothing can be denied to root, which may do everything in its account")
	case own && p.kind == "" && s.deny && matchAny(s.actions, strings.ToLower(t.Guard)):
		return fault.Say("it denies %s to the whole account, so that nobody could change the policy any more; name the actions that you mean", t.Guard)
	case !own && !s.deny:
		for i := range s.actions {
			if a := s.actions[i].String(); !t.lends(a) {
				return fault.Say("in Action: %s cannot be granted to another account, which may use a %s and not manage it; name the actions one by one", a, t.kind())
			}
		}
	}
	return nil
}

// LetsIn answers the accounts that the policy allows something, sorted.
func (p *ResourcePolicy) LetsIn() []string {
	var out []string
	for i := range p.statements {
		for _, who := range p.statements[i].principals {
			if !p.statements[i].deny {
				out = append(out, who.account)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Named answers the users and roles of an account that the policy names, as ARNs.
func (p *ResourcePolicy) Named(account string) []string { return named(p.statements, account) }

func named(statements []statement, account string) []string {
	var out []string
	for i := range statements {
		for _, who := range statements[i].principals {
			if who.account == account && (who.kind == User || who.kind == role) {
				out = append(out, who.String())
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Mentions tells whether a text of the document is exactly this: as a principal or in a
// condition. Of a document that cannot be read it must be feared.
func Mentions(document []byte, text string) bool {
	v, err := parseDocument(document)
	return err != nil || mentions(v, text)
}

func mentions(v any, text string) bool {
	switch v := v.(type) {
	case object:
		return slices.ContainsFunc(v, func(m member) bool { return mentions(m.value, text) })
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { return mentions(e, text) })
	}
	return v == text
}

// lends tells whether another account may be given the action, in lower case.
func (t *Terms) lends(action string) bool {
	is := func(name string) bool { return strings.ToLower(name) == action }
	return slices.ContainsFunc(t.Use, is) || slices.ContainsFunc(t.Lend, is)
}

// A principal is whom a statement of a resource's policy speaks of.
type principal struct {
	account string
	kind    Kind // empty means the whole account
	name    string
}

// String answers the principal as policies write it.
func (p principal) String() string {
	if p.kind == "" {
		return "acs:ram::" + p.account + ":*"
	}
	return Principal{Account: p.account, Kind: p.kind, Name: p.name}.ARN()
}

func compilePrincipals(o object) ([]principal, error) {
	v, _ := o.get("Principal")
	kinds, ok := v.(object)
	if !ok || len(kinds) != 1 || kinds[0].name != "RAM" {
		return nil, fault.Say(`it must be {"RAM": [...]}`)
	}
	names, err := stringList(kinds[0].value)
	if err != nil {
		return nil, err
	}
	principals := make([]principal, len(names))
	for i, name := range names {
		if principals[i], ok = parsePrincipal(name); !ok {
			return nil, fault.Say("%q must be acs:ram::ACCOUNT: followed by *, root, user/NAME or role/NAME, with the account's 16 digits and no other wildcards", name)
		}
	}
	return principals, nil
}

func parsePrincipal(arn string) (principal, bool) {
	rest, ok := strings.CutPrefix(arn, "acs:ram::")
	account, relative, found := strings.Cut(rest, ":")
	if !ok || !found || len(account) != 16 || !consists(account, "0123456789") {
		return principal{}, false
	}
	switch relative {
	case "*":
		return principal{account: account}, true
	case string(Root):
		return principal{account: account, kind: Root}, true
	}
	kind, name, _ := strings.Cut(relative, "/")
	known := kind == string(User) || kind == string(role)
	return principal{account, Kind(kind), name}, known && name != "" && len(name) <= 64 && consists(name, alphanumeric+"._@-")
}
