package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/role"
)

// A RoleStore is what the contract of roles is held against: policies are iam's.
type RoleStore interface {
	iam.Store
	role.Store
}

// Roles holds a store against the contract of role.Store.
func Roles(t *testing.T, open func(t *testing.T) RoleStore) {
	for name, test := range map[string]func(*testing.T, roleSuite){
		"life":         testRoleLife,
		"caseless":     testRoleCaseless,
		"stale":        testRoleStale,
		"lists":        testRoleLists,
		"has policies": testRolePolicies,
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			suite := roleSuite{iamSuite{Store: s, account: accountID()}, s}
			suite.must(t, s.CreateAccount(t.Context(), suite.rec("CreateAccount"), suite.founding()))
			test(t, suite)
		})
	}
}

type roleSuite struct {
	iamSuite
	roles role.Store
}

func (s roleSuite) role(t *testing.T, name string) *role.Role {
	t.Helper()
	r := &role.Role{
		Account: s.account, Name: name, ID: "ID" + name, Description: "角色 ", Trust: `{"a":"%_"}`,
		MaxSession: 2 * time.Hour, Generation: 1, CreatedAt: day, UpdatedAt: day.Add(time.Second),
	}
	s.must(t, s.roles.CreateRole(t.Context(), s.rec("CreateRole"), r))
	return r
}

func testRoleLife(t *testing.T, s roleSuite) {
	r := s.role(t, "deployer")
	first := r.Rev
	r.Description, r.Trust, r.MaxSession, r.Generation, r.Policies, r.UpdatedAt = "", "{}", time.Hour, 7, []string{"A", "B"}, day.Add(time.Hour)
	rec := s.rec("UpdateRole")
	s.must(t, s.roles.UpdateRole(t.Context(), rec, r))
	if r.Rev != first+1 || len(rec.Effects) != 1 || rec.Effects[0].Table != "iam_role" || rec.Effects[0].ID != s.account+"/deployer" {
		t.Errorf("revision %d, effects %+v", r.Rev, rec.Effects)
	}
	have, err := s.roles.Role(t.Context(), s.account, "deployer")
	s.must(t, err)
	same(t, have, *r)
	s.must(t, s.roles.DeleteRole(t.Context(), s.rec("DeleteRole"), r))
	_, err = s.roles.Role(t.Context(), s.account, "deployer")
	s.want(t, err, fault.ResourceNotFound)
	if again := s.role(t, "deployer"); again.Rev <= first+2 {
		t.Errorf("a name that is used again begins at revision %d; the removal was %d", again.Rev, first+2)
	}
}

func testRoleCaseless(t *testing.T, s roleSuite) {
	r := *s.role(t, "deployer")
	r.Name = "Deployer"
	s.want(t, s.roles.CreateRole(t.Context(), s.rec("CreateRole"), &r), fault.ResourceExists)
	_, err := s.roles.Role(t.Context(), s.account, "Deployer")
	s.want(t, err, fault.ResourceNotFound)
	_, err = s.roles.Role(t.Context(), "0", "deployer")
	s.want(t, err, fault.ResourceNotFound)
}

func testRoleStale(t *testing.T, s roleSuite) {
	r, p := s.role(t, "deployer"), s.policy(t, "readers")
	old, oldPolicy := *r, *p
	s.must(t, s.roles.AttachPolicyToRole(t.Context(), s.rec("AttachPolicyToRole"), r, p))
	s.want(t, s.roles.UpdateRole(t.Context(), s.rec("x"), new(old)), fault.Changed)
	s.want(t, s.roles.DeleteRole(t.Context(), s.rec("x"), new(old)), fault.Changed)
	s.want(t, s.roles.AttachPolicyToRole(t.Context(), s.rec("x"), new(old), new(*p)), fault.Changed)
	s.want(t, s.roles.AttachPolicyToRole(t.Context(), s.rec("x"), new(*r), new(oldPolicy)), fault.Changed)
	have, err := s.roles.Role(t.Context(), s.account, "deployer")
	s.must(t, err)
	same(t, have, *r)
}

func testRoleLists(t *testing.T, s roleSuite) {
	for _, name := range []string{"c", "a", "b"} {
		s.role(t, name)
	}
	for after, want := range map[string]string{"": "ab", "a": "bc", "aa": "bc", "c": ""} {
		have, err := s.roles.Roles(t.Context(), s.account, iam.Page{After: after, Limit: 2})
		s.must(t, err)
		var names strings.Builder
		for _, r := range have {
			names.WriteString(r.Name)
		}
		same(t, names.String(), want)
	}
}

func testRolePolicies(t *testing.T, s roleSuite) {
	r, p := s.role(t, "deployer"), s.policy(t, "readers")
	s.policy(t, "readers-2")
	r.Policies = []string{"readers"}
	s.must(t, s.roles.AttachPolicyToRole(t.Context(), s.rec("AttachPolicyToRole"), r, p))
	for name, want := range map[string][]string{"readers": {"deployer"}, "readers-2": nil, "reader": nil} {
		users, have, err := s.PolicyHolders(t.Context(), s.account, name)
		s.must(t, err)
		same(t, have, want)
		same(t, users, []string(nil))
	}
	s.want(t, s.DeletePolicy(t.Context(), s.rec("DeletePolicy"), p), fault.ResourceInUse)
	r.Policies = nil
	s.must(t, s.roles.UpdateRole(t.Context(), s.rec("DetachPolicyFromRole"), r))
	have, err := s.Policy(t.Context(), s.account, "readers")
	s.must(t, err)
	s.must(t, s.DeletePolicy(t.Context(), s.rec("DeletePolicy"), &have))
}
