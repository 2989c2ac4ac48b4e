package role_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/key/keytest"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/kms"
)

func TestRoleLife(t *testing.T) {
	w := newWorld(t)
	root := w.root(w.owner)
	r := w.role(t, "deployer", "AliyunKMSCryptoUserAccess")
	if r.MaxSession != time.Hour || len(r.ID) < 26 || r.ARN() != "acs:ram::"+w.owner.Account.ID+":role/deployer" {
		t.Errorf("a new role is %+v", r)
	}
	twice := must(w.UpdateRole(t.Context(), root, "deployer", role.Change{Description: new("ships"), MaxSession: new(2 * time.Hour)}))(t)
	if twice.Description != "ships" || twice.MaxSession != 2*time.Hour || twice.Generation != 1 {
		t.Errorf("changed, it is %+v", twice)
	}
	if diff := cmp.Diff(twice, must(w.GetRole(t.Context(), root, "deployer"))(t)); diff != "" {
		t.Error(diff)
	}
	w.role(t, "reader")
	list := must(w.ListRoles(t.Context(), root, iam.Page{Limit: 1}))(t)
	if len(list.Items) != 1 || list.Next != "deployer" {
		t.Errorf("the first page is %+v", list)
	}
	_, err := w.CreateRole(t.Context(), root, role.NewRole{Name: "Deployer", Trust: r.Trust})
	wantKind(t, err, fault.ResourceExists)
	check(t, w.DetachPolicy(t.Context(), root, "deployer", "AliyunKMSCryptoUserAccess"))
	wantKind(t, w.DetachPolicy(t.Context(), root, "deployer", "AliyunKMSCryptoUserAccess"), fault.ResourceNotFound)
	check(t, w.DeleteRole(t.Context(), root, "deployer"))
	_, err = w.GetRole(t.Context(), root, "deployer")
	wantKind(t, err, fault.ResourceNotFound)
}

func TestCreateRoleRefuses(t *testing.T) {
	w := newWorld(t)
	own := trust(w.owner.Account.ID, "root", "")
	for name, in := range map[string]role.NewRole{
		"no name":                    {Trust: own},
		"a name with a slash":        {Name: "a/b", Trust: own},
		"a name of dots":             {Name: "..", Trust: own},
		"no trust policy":            {Name: "r"},
		"a line break":               {Name: "r", Trust: own, Description: "a\nb"},
		"too short a session":        {Name: "r", Trust: own, MaxSession: time.Hour - time.Second},
		"too long a session":         {Name: "r", Trust: own, MaxSession: 12*time.Hour + time.Second},
		"strangers without an id":    {Name: "r", Trust: trust("2222222222222222", "root", "")},
		"an identity policy":         {Name: "r", Trust: allow(`"sts:AssumeRole"`)},
		"half a second of a session": {Name: "r", Trust: own, MaxSession: time.Hour + time.Second/2},
	} {
		_, err := w.CreateRole(t.Context(), w.root(w.owner), in)
		if !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whoever may do everything with roles but attach policies to them comes to nothing that
// they could not have granted.
func TestRolesGiveNoPowerAway(t *testing.T) {
	w := newWorld(t)
	w.policy(t, w.owner, "roles", `"ram:CreateRole","ram:UpdateRole","ram:DeleteRole","ram:EndRoleSessions","ram:DetachPolicyFromRole","ram:UpdatePolicy","sts:AssumeRole"`)
	w.policy(t, w.owner, "crypto", `"kms:Decrypt"`)
	mallory := w.as(t, w.user(t, w.owner, "mallory", "roles"))
	must(w.CreateRole(t.Context(), w.root(w.owner), role.NewRole{Name: "vip", Trust: trust(w.owner.Account.ID, "user/alice", "")}))(t)
	check(t, w.AttachPolicy(t.Context(), w.root(w.owner), "vip", "crypto"))

	wantKind(t, w.AttachPolicy(t.Context(), mallory, "vip", "AdministratorAccess"), fault.NoPermission)
	wantKind(t, w.DetachPolicy(t.Context(), mallory, "vip", "crypto"), fault.NoPermission)
	_, err := w.UpdateRole(t.Context(), mallory, "vip", role.Change{Trust: new(trust(w.owner.Account.ID, "user/mallory", ""))})
	wantKind(t, err, fault.NoPermission)
	_, err = w.iam.UpdatePolicy(t.Context(), mallory, "crypto", iam.PolicyChange{Document: new(allow(`"*"`))})
	wantKind(t, err, fault.NoPermission)
	_, err = w.AssumeRole(t.Context(), mallory, role.Assumption{Role: "vip", Session: "mine"})
	wantKind(t, err, fault.NoPermission)
	wantKind(t, w.iam.DeletePolicy(t.Context(), w.root(w.owner), "crypto"), fault.ResourceInUse)

	// What is left gives nothing away: a role without policies, trusted by whomever.
	must(w.CreateRole(t.Context(), mallory, role.NewRole{Name: "mine", Trust: trust(w.owner.Account.ID, "user/mallory", "")}))(t)
	i := must(w.AssumeRole(t.Context(), mallory, role.Assumption{Role: "mine", Session: "mine"}))(t)
	if may(w.with(t, i), "kms:Decrypt") {
		t.Error("a role without policies may decrypt")
	}
}

// TestL2NamedRoleIsNotTakenOver holds that whom a role trusts is changed by those only who could
// give what the role may do, also where a key's policy and nothing else says what that is; and
// that a name which is gone gives nothing to whoever gets it next.
func TestL2NamedRoleIsNotTakenOver(t *testing.T) {
	w := newWorld(t)
	ctx, root, account := t.Context(), w.root(w.owner), w.owner.Account.ID
	w.policy(t, w.owner, "roles", `"ram:CreateUser","ram:CreateRole","ram:UpdateRole","ram:DeleteRole","sts:AssumeRole","ram:CreateAccessKey"`)
	mallory := w.as(t, w.user(t, w.owner, "mallory", "roles"))
	w.role(t, "vip")
	w.role(t, "plain")
	w.user(t, w.owner, "trusted")
	must(w.UpdateRole(ctx, root, "vip", role.Change{Trust: new(trust(account, "user/trusted", ""))}))(t)
	keys := keytest.New(keytest.Options{Store: kms.Store{Store: w.node.Store}, Tenants: w.iam, Log: w.node.Log, Now: w.now, Known: identity.Store{Store: w.node.Store}.Known})
	must(keys.Create(ctx, root, lifecycle.CreateInput{Policy: `{"Version":"1","Statement":[{"Effect":"Allow","Principal":{"RAM":["acs:ram::` + account + `:role/vip"]},"Action":["kms:Decrypt"],"Resource":["*"]}]}`}))(t)

	mine := role.Change{Trust: new(trust(account, "user/mallory", ""))}
	wantKind(t, drop(w.UpdateRole(ctx, mallory, "vip", mine)), fault.NoPermission)
	wantKind(t, drop(w.UpdateRole(ctx, mallory, "plain", mine)), "")
	wantKind(t, drop(w.iam.CreateAccessKey(ctx, mallory, iam.NewAccessKey{User: "trusted"})), fault.NoPermission)
	wantKind(t, drop(w.UpdateRole(ctx, root, "vip", mine)), "")
	check(t, w.DeleteRole(ctx, mallory, "vip"))
	wantKind(t, drop(w.CreateRole(ctx, mallory, role.NewRole{Name: "vip", Trust: *mine.Trust})), fault.ResourceInUse)
	for _, stranger := range []string{"user/nobody", "role/vip"} {
		wantKind(t, drop(w.CreateRole(ctx, root, role.NewRole{Name: "other", Trust: trust(account, stranger, "")})), fault.InvalidParameter)
	}
}

func drop[T any](_ T, err error) error { return err }

func TestAssumedRole(t *testing.T) {
	w := newWorld(t)
	r := w.role(t, "deployer", "AliyunKMSCryptoUserAccess")
	i := w.assume(t, "deployer")
	if !i.Expires.Equal(w.now().Add(time.Hour)) || i.RoleID != r.ID || !iam.ValidSessionKeyID(i.AccessKey) || iam.ValidAccessKeyID(i.AccessKey) {
		t.Errorf("answered %+v", i)
	}
	c := w.with(t, i)
	if want := "acs:ram::" + w.owner.Account.ID + ":assumed-role/deployer/ci-7"; c.ARN() != want || c.AccessKey != i.AccessKey || role.IDOf(c.Principal) != r.ID {
		t.Errorf("acts as %s with %s", c.ARN(), c.AccessKey)
	}
	for action, want := range map[string]bool{"kms:Decrypt": true, "kms:DescribeKey": false, "sts:AssumeRole": false, "ram:CreateUser": false} {
		if have := may(c, action); have != want {
			t.Errorf("may %s: %t, want %t", action, have, want)
		}
	}
	// What the role may do is read with every request.
	check(t, w.DetachPolicy(t.Context(), w.root(w.owner), "deployer", "AliyunKMSCryptoUserAccess"))
	check(t, w.AttachPolicy(t.Context(), w.root(w.owner), "deployer", "AliyunKMSReadOnlyAccess"))
	if c := w.with(t, i); may(c, "kms:Decrypt") || !may(c, "kms:DescribeKey") {
		t.Error("the session has the policies that the role had")
	}
}

func TestSessionPolicyNarrows(t *testing.T) {
	w := newWorld(t)
	w.role(t, "deployer", "AliyunKMSCryptoUserAccess")
	i := must(w.AssumeRole(t.Context(), w.as(t, w.alice), role.Assumption{Role: "deployer", Session: "ci", Policy: allow(`"kms:Encrypt","kms:DescribeKey"`)}))(t)
	c := w.with(t, i)
	for action, want := range map[string]bool{"kms:Encrypt": true, "kms:Decrypt": false, "kms:DescribeKey": false} {
		if have := may(c, action); have != want {
			t.Errorf("may %s: %t, want %t", action, have, want)
		}
	}
}

func TestAssumeRoleRefuses(t *testing.T) {
	w := newWorld(t)
	w.role(t, "deployer")
	for name, test := range map[string]struct {
		in   role.Assumption
		want fault.Kind
	}{
		"a short name":       {role.Assumption{Role: "deployer", Session: "x"}, fault.InvalidParameter},
		"a name with spaces": {role.Assumption{Role: "deployer", Session: "a b"}, fault.InvalidParameter},
		"no session name":    {role.Assumption{Role: "deployer"}, fault.InvalidParameter},
		"too short":          {role.Assumption{Role: "deployer", Session: "ci", Duration: 15*time.Minute - time.Second}, fault.InvalidParameter},
		"too long":           {role.Assumption{Role: "deployer", Session: "ci", Duration: time.Hour + time.Second}, fault.InvalidParameter},
		"negative":           {role.Assumption{Role: "deployer", Session: "ci", Duration: -time.Hour}, fault.InvalidParameter},
		"a long policy":      {role.Assumption{Role: "deployer", Session: "ci", Policy: allow(`"kms:` + strings.Repeat("a", 2048) + `"`)}, fault.InvalidParameter},
		"no policy":          {role.Assumption{Role: "deployer", Session: "ci", Policy: "{}"}, fault.InvalidParameter},
		"an odd external id": {role.Assumption{Role: "deployer", Session: "ci", ExternalID: "a b"}, fault.InvalidParameter},
		"no such role":       {role.Assumption{Role: "none", Session: "ci"}, fault.ResourceNotFound},
		"letter case":        {role.Assumption{Role: "Deployer", Session: "ci"}, fault.ResourceNotFound},
		"another's, or none": {role.Assumption{Role: "acs:ram::2222222222222222:role/deployer", Session: "ci"}, fault.NoPermission},
		"no role's name":     {role.Assumption{Role: "acs:ram::" + w.owner.Account.ID + ":user/alice", Session: "ci"}, fault.InvalidParameter},
	} {
		_, err := w.AssumeRole(t.Context(), w.as(t, w.alice), test.in)
		if !fault.Is(err, test.want) {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
	_, err := w.AssumeRole(t.Context(), w.root(w.owner), role.Assumption{Role: "deployer", Session: "ci"})
	wantKind(t, err, fault.NoPermission)
	bob := w.user(t, w.owner, "bob") // is trusted, but not allowed
	_, err = w.AssumeRole(t.Context(), w.as(t, bob), role.Assumption{Role: "deployer", Session: "ci"})
	wantKind(t, err, fault.NoPermission)
}

// Between accounts both sides must agree, and the caller must know the external id.
func TestAcrossAccounts(t *testing.T) {
	w := newWorld(t)
	guest := w.account(t, "Guest")
	w.policy(t, guest, "assume-any", `"sts:AssumeRole"`)
	must(w.iam.CreatePolicy(t.Context(), w.root(guest), iam.NewPolicy{
		Name: "assume", Document: `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"acs:ram::` + w.owner.Account.ID + `:role/*"}]}`,
	}))(t)
	star := w.user(t, guest, "star", "assume-any") // no star reaches over the account
	eve, bare := w.user(t, guest, "eve", "assume"), w.user(t, guest, "bare")
	must(w.CreateRole(t.Context(), w.root(w.owner), role.NewRole{Name: "shared", Trust: trust(guest.Account.ID, "root", "e-1")}))(t)
	check(t, w.AttachPolicy(t.Context(), w.root(w.owner), "shared", "AliyunKMSCryptoUserAccess"))
	in := role.Assumption{Role: "acs:ram::" + w.owner.Account.ID + ":role/shared", Session: "ci", ExternalID: "e-1"}

	for _, k := range []iam.IssuedKey{bare, star} {
		_, err := w.AssumeRole(t.Context(), w.as(t, k), in)
		wantKind(t, err, fault.NoPermission)
	}
	wrong := in
	for _, wrong.ExternalID = range []string{"", "e-2", "E-1", "e-1-"} {
		_, err := w.AssumeRole(t.Context(), w.as(t, eve), wrong)
		wantKind(t, err, fault.NoPermission)
	}
	_, err := w.AssumeRole(t.Context(), w.as(t, w.alice), in) // of the role's own account, but not trusted
	wantKind(t, err, fault.NoPermission)

	i := must(w.AssumeRole(t.Context(), w.as(t, eve), in))(t)
	c := w.with(t, i)
	if c.Account != w.owner.Account.ID || !may(c, "kms:Decrypt") {
		t.Errorf("acts as %s", c.ARN())
	}
	must(w.iam.UpdateUser(t.Context(), w.root(guest), "eve", iam.UserChange{Enabled: new(false)}))(t)
	wantKind(t, w.refusal(t, i), fault.SecurityTokenInvalid)
}

// A session that was begun with a session lasts an hour at most and not longer than that
// one, so that roles which trust each other do not go on for ever.
func TestChains(t *testing.T) {
	w := newWorld(t)
	w.role(t, "first", "assume")
	w.role(t, "second", "assume")
	must(w.UpdateRole(t.Context(), w.root(w.owner), "second", role.Change{MaxSession: new(12 * time.Hour)}))(t)
	first := must(w.AssumeRole(t.Context(), w.as(t, w.alice), role.Assumption{Role: "first", Session: "ci", Duration: 30 * time.Minute}))(t)
	_, err := w.AssumeRole(t.Context(), w.with(t, first), role.Assumption{Role: "second", Session: "ci", Duration: 2 * time.Hour})
	wantKind(t, err, fault.InvalidParameter)
	second := must(w.AssumeRole(t.Context(), w.with(t, first), role.Assumption{Role: "second", Session: "ci", Duration: time.Hour}))(t)
	if !second.Expires.Equal(first.Expires) {
		t.Errorf("the second session ends at %v, the first at %v", second.Expires, first.Expires)
	}
	check(t, w.refusal(t, second))
	check(t, w.EndSessions(t.Context(), w.root(w.owner), "first"))
	wantKind(t, w.refusal(t, second), fault.SecurityTokenInvalid)

	i := w.assume(t, "first")
	for depth := 2; ; depth++ {
		next, err := w.AssumeRole(t.Context(), w.with(t, i), role.Assumption{Role: "first", Session: "ci"})
		if fault.Is(err, fault.LimitExceeded) && depth == 8 {
			break
		}
		check(t, err)
		i = next
	}
}

// Whatever a session came of ends it, for the next request.
func TestWhatEndsASession(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *world) error{
		"the access key is disabled": func(t *testing.T, w *world) error {
			_, err := w.iam.UpdateAccessKey(t.Context(), w.root(w.owner), w.alice.AccessKey.ID, iam.AccessKeyChange{Enabled: new(false)})
			return err
		},
		"the access key is deleted": func(t *testing.T, w *world) error {
			return w.iam.DeleteAccessKey(t.Context(), w.root(w.owner), w.alice.AccessKey.ID)
		},
		"the access key is reset": func(t *testing.T, w *world) error {
			_, err := w.iam.ResetAccessKey(t.Context(), w.root(w.owner), w.alice.AccessKey.ID)
			return err
		},
		"the access key expires": func(t *testing.T, w *world) error {
			_, err := w.iam.UpdateAccessKey(t.Context(), w.root(w.owner), w.alice.AccessKey.ID, iam.AccessKeyChange{ExpiresAt: new(w.now().Add(time.Minute))})
			w.advance(time.Minute)
			return err
		},
		"the user is disabled": func(t *testing.T, w *world) error {
			_, err := w.iam.UpdateUser(t.Context(), w.root(w.owner), "alice", iam.UserChange{Enabled: new(false)})
			return err
		},
		"the role is deleted": func(t *testing.T, w *world) error { return w.DeleteRole(t.Context(), w.root(w.owner), "deployer") },
		"another role has the name": func(t *testing.T, w *world) error {
			err := w.DeleteRole(t.Context(), w.root(w.owner), "deployer")
			w.role(t, "deployer", "AdministratorAccess")
			return err
		},
		"whom it trusts is changed": func(t *testing.T, w *world) error {
			_, err := w.UpdateRole(t.Context(), w.root(w.owner), "deployer", role.Change{Trust: new(trust(w.owner.Account.ID, "user/alice", ""))})
			return err
		},
		"its sessions are ended": func(t *testing.T, w *world) error { return w.EndSessions(t.Context(), w.root(w.owner), "deployer") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.role(t, "deployer", "AliyunKMSCryptoUserAccess")
			i := w.assume(t, "deployer")
			check(t, w.refusal(t, i)) // and it is in memory now
			check(t, end(t, w))
			wantKind(t, w.refusal(t, i), fault.SecurityTokenInvalid)
		})
	}
}

func TestSessionEndsOnTheSecond(t *testing.T) {
	w := newWorld(t)
	w.role(t, "deployer")
	i := w.assume(t, "deployer")
	w.advance(time.Hour - time.Microsecond)
	check(t, w.refusal(t, i))
	w.advance(time.Microsecond)
	wantKind(t, w.refusal(t, i), fault.SecurityTokenExpired)
}

// Another description of the role ends nothing.
func TestWhatDoesNotEndASession(t *testing.T) {
	w := newWorld(t)
	w.role(t, "deployer")
	i := w.assume(t, "deployer")
	must(w.UpdateRole(t.Context(), w.root(w.owner), "deployer", role.Change{Description: new("d"), MaxSession: new(2 * time.Hour)}))(t)
	must(w.iam.UpdateAccessKey(t.Context(), w.root(w.owner), w.alice.AccessKey.ID, iam.AccessKeyChange{Remark: new("r")}))(t)
	w.Changed("", "") // the server was sealed and unsealed
	w.iam.Changed("", "")
	check(t, w.refusal(t, i))
}

func TestFederate(t *testing.T) {
	w := newWorld(t)
	w.policy(t, w.owner, "crypto", `"kms:Encrypt","kms:Decrypt","sts:GetFederationToken","ram:CreateAccessKey"`)
	bob := w.user(t, w.owner, "bob", "crypto")
	i := must(w.Federate(t.Context(), w.as(t, bob), role.Federation{Session: "batch", Policy: allow(`"kms:Decrypt","kms:Sign","sts:*","ram:*"`), Duration: 12 * time.Hour}))(t)
	c := w.with(t, i)
	if want := "acs:ram::" + w.owner.Account.ID + ":federated-user/bob/batch"; c.ARN() != want || c.Identity() != "acs:ram::"+w.owner.Account.ID+":user/bob" {
		t.Errorf("acts as %s, who is %s", c.ARN(), c.Identity())
	}
	for action, want := range map[string]bool{"kms:Decrypt": true, "kms:Encrypt": false, "kms:Sign": false} {
		if have := may(c, action); have != want {
			t.Errorf("may %s: %t, want %t", action, have, want)
		}
	}
	_, err := w.Federate(t.Context(), c, role.Federation{Session: "more"})
	wantKind(t, err, fault.NoPermission)
	_, err = w.AssumeRole(t.Context(), c, role.Assumption{Role: "deployer", Session: "more"})
	wantKind(t, err, fault.NoPermission)
	// A session makes no permanent access key for its user.
	_, err = w.iam.CreateAccessKey(t.Context(), c, iam.NewAccessKey{User: "bob"})
	wantKind(t, err, fault.NoPermission)
	_, err = w.Federate(t.Context(), w.as(t, w.alice), role.Federation{Session: "batch"})
	wantKind(t, err, fault.NoPermission)
	check(t, w.iam.DetachPolicy(t.Context(), w.root(w.owner), "bob", "crypto"))
	if may(w.with(t, i), "kms:Decrypt") {
		t.Error("the session may what its user may no longer")
	}
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	w.role(t, "deployer")
	i, other := w.assume(t, "deployer"), w.assume(t, "deployer")
	ask := func(id, token string) fault.Kind {
		c, err := w.Credential(t.Context(), id, token)
		if err == nil {
			err = c.Refusal
		}
		return fault.KindOf(err)
	}
	for name, test := range map[string]struct {
		id, token string
		want      fault.Kind
	}{
		"right":              {i.AccessKey, i.Token, ""},
		"none":               {i.AccessKey, "", fault.SecurityTokenMissing},
		"another session's":  {i.AccessKey, other.Token, fault.SecurityTokenMismatch},
		"of a permanent key": {w.alice.AccessKey.ID, i.Token, fault.SecurityTokenMismatch},
		"no base64":          {i.AccessKey, "***", fault.SecurityTokenInvalid},
		"padded":             {i.AccessKey, i.Token + "=", fault.SecurityTokenInvalid},
		"a line break":       {i.AccessKey, i.Token[:8] + "\n" + i.Token[8:], fault.SecurityTokenInvalid},
		"long":               {i.AccessKey, strings.Repeat(i.Token, 20), fault.SecurityTokenInvalid},
		"an unknown key":     {"KWAKAAAAAAAAAAAAAAAAAAAAAAAA", "", fault.AccessKeyNotFound},
	} {
		if have := ask(test.id, test.token); have != test.want {
			t.Errorf("%s: %q, want %q", name, have, test.want)
		}
	}
	for n := range len(i.Token) {
		if have := ask(i.AccessKey, i.Token[:n]); n > 0 && have != fault.SecurityTokenInvalid {
			t.Errorf("the first %d characters: %q", n, have)
		}
		b := []byte(i.Token)
		b[n] ^= 2
		if have := ask(i.AccessKey, string(b)); have != fault.SecurityTokenInvalid {
			t.Errorf("with another character %d: %q", n, have)
		}
	}
}

// The record of a session's beginning names its access key, under which the others are found.
func TestRecords(t *testing.T) {
	w := newWorld(t)
	w.role(t, "deployer")
	i := w.assume(t, "deployer")
	c := w.with(t, i)
	_, err := w.GetRole(t.Context(), c, "deployer")
	wantKind(t, err, fault.NoPermission)
	var last []string
	for _, e := range records(t, w) {
		last = append(last, e.Action+" "+e.Principal+" "+e.AccessKey+" "+e.Params["AccessKeyId"]+" "+e.Result)
		if strings.Contains(e.Principal, string(i.Secret.Expose())) {
			t.Error("a record has the secret")
		}
	}
	arn := "acs:ram::" + w.owner.Account.ID + ":"
	want := []string{
		authz.AssumeRole + " " + arn + "user/alice " + w.alice.AccessKey.ID + " " + i.AccessKey + " OK",
		role.ActionGetRole + " " + arn + "assumed-role/deployer/ci-7 " + i.AccessKey + "  NoPermission",
	}
	if diff := cmp.Diff(want, last[len(last)-2:]); diff != "" {
		t.Error(diff)
	}
}

func FuzzToken(f *testing.F) {
	f.Add("S1cBBgAAAAFG")
	w := newWorld(f)
	w.role(f, "deployer")
	i := w.assume(f, "deployer")
	f.Add(i.Token)
	f.Fuzz(func(t *testing.T, token string) {
		c, err := w.Credential(t.Context(), i.AccessKey, token)
		if err == nil && token != i.Token {
			t.Errorf("%q is a token of %s", token, c.Principal.ARN())
		}
	})
}
