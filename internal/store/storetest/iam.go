package storetest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
)

// day is a time that every database keeps exactly.
var day = time.Date(2026, 1, 2, 3, 4, 5, 678_000, time.UTC)

// IAM holds a store against the contract of iam.Store. open answers two nodes of one
// database, which may hold other accounts already: each test makes one of its own.
func IAM(t *testing.T, open func(t *testing.T) [2]iam.Store) {
	for name, test := range map[string]func(*testing.T, iamSuite){
		"accounts":                   testAccounts,
		"users":                      testUsers,
		"users without regard case":  testCaseless,
		"access keys":                testAccessKeys,
		"policies":                   testPolicies,
		"stale revisions":            testStale,
		"lists":                      testLists,
		"last uses":                  testUses,
		"access key limit in a race": testRacingAccessKeys,
		"deletions in a race":        testRacingDeletions,
	} {
		t.Run(name, func(t *testing.T) {
			nodes := open(t)
			s := iamSuite{nodes[0], nodes, accountID()}
			s.must(t, s.CreateAccount(t.Context(), s.rec("CreateAccount"), s.founding()))
			test(t, s)
		})
	}
}

type iamSuite struct {
	iam.Store
	nodes   [2]iam.Store // the first is Store
	account string
}

var accounts struct {
	sync.Mutex
	last int64
}

// accountID answers an id that no other test has, also on a database that outlives the tests.
func accountID() string {
	accounts.Lock()
	defer accounts.Unlock()
	accounts.last = max(accounts.last+1, time.Now().UnixMicro())
	return fmt.Sprintf("%016d", accounts.last)
}

func (s iamSuite) rec(action string) *audit.Record {
	call := &authz.Call{Principal: authz.Principal{Account: s.account, Kind: authz.Root, Name: "root"}, Time: day}
	return audit.NewRecord(call, "ram:"+action)
}

func (s iamSuite) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s iamSuite) want(t *testing.T, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Errorf("have %v, want the fault %s", err, kind)
	}
}

func same(t *testing.T, have, want any) {
	t.Helper()
	if diff := cmp.Diff(want, have, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("-want +have\n%s", diff)
	}
}

func (s iamSuite) founding() *iam.Founding {
	return &iam.Founding{
		Account: iam.Account{ID: s.account, Name: "acct-" + s.account, TenantKey: []byte("wrapped"), CreatedAt: day},
		Users: []iam.User{
			{Account: s.account, Name: "root", Kind: authz.Root, Enabled: true, CreatedAt: day},
			{Account: s.account, Name: "admin", Kind: authz.User, Enabled: true, Policies: []string{"AdministratorAccess"}, CreatedAt: day},
		},
		Key: *s.key("first", "admin"),
	}
}

func (s iamSuite) key(name, user string) *iam.AccessKey {
	return &iam.AccessKey{ID: "K" + s.account + name, Account: s.account, User: user, Secret: []byte{0, 1, 2}, Enabled: true, CreatedAt: day}
}

// user stores a new user and answers it.
func (s iamSuite) user(t *testing.T, name string) *iam.User {
	t.Helper()
	u := &iam.User{Account: s.account, Name: name, Kind: authz.User, Remark: "密钥 ", Enabled: true, CreatedAt: day}
	s.must(t, s.CreateUser(t.Context(), s.rec("CreateUser"), u))
	return u
}

func (s iamSuite) policy(t *testing.T, name string) *iam.Policy {
	t.Helper()
	p := &iam.Policy{Account: s.account, Name: name, Description: "d", Document: `{"a":"%_"}`, CreatedAt: day, UpdatedAt: day.Add(time.Second)}
	s.must(t, s.CreatePolicy(t.Context(), s.rec("CreatePolicy"), p))
	return p
}

func testAccounts(t *testing.T, s iamSuite) {
	want := s.founding()
	want.Account.Rev = 1
	have, err := s.Account(t.Context(), s.account)
	s.must(t, err)
	same(t, have, want.Account)
	root, err := s.User(t.Context(), s.account, "root")
	s.must(t, err)
	want.Users[0].Rev = max(1, root.Rev) // beyond the revisions of users that were removed
	same(t, root, want.Users[0])

	_, err = s.Account(t.Context(), "0")
	s.want(t, err, fault.ResourceNotFound)
	again := s.founding()
	again.Account.ID, again.Account.Name = accountID(), "ACCT-"+s.account
	s.want(t, s.CreateAccount(t.Context(), s.rec("CreateAccount"), again), fault.ResourceExists)
	_, err = s.Account(t.Context(), again.Account.ID)
	s.want(t, err, fault.ResourceNotFound)
}

func testUsers(t *testing.T, s iamSuite) {
	u := s.user(t, "alice")
	first := u.Rev // 1, or beyond the revisions of users that were removed
	u.Enabled, u.Remark, u.Policies = false, "", []string{"A", "B"}
	rec := s.rec("UpdateUser")
	s.must(t, s.UpdateUser(t.Context(), rec, u))
	if u.Rev != first+1 || len(rec.Effects) != 1 || rec.Effects[0].ID != s.account+"/alice" || rec.Effects[0].Rev != first+1 {
		t.Errorf("revision %d, effects %+v", u.Rev, rec.Effects)
	}
	have, err := s.User(t.Context(), s.account, "alice")
	s.must(t, err)
	same(t, have, *u)

	s.must(t, s.DeleteUser(t.Context(), s.rec("DeleteUser"), u))
	_, err = s.User(t.Context(), s.account, "alice")
	s.want(t, err, fault.ResourceNotFound)
	if again := s.user(t, "alice"); again.Rev <= first+2 {
		t.Errorf("a name that is used again begins at revision %d; the removal was %d", again.Rev, first+2)
	}
	_, err = s.User(t.Context(), "0", "root")
	s.want(t, err, fault.ResourceNotFound)
}

func testCaseless(t *testing.T, s iamSuite) {
	s.user(t, "alice")
	twin := &iam.User{Account: s.account, Name: "ALICE", Kind: authz.User, CreatedAt: day}
	s.want(t, s.CreateUser(t.Context(), s.rec("CreateUser"), twin), fault.ResourceExists)
	_, err := s.User(t.Context(), s.account, "ALICE")
	s.want(t, err, fault.ResourceNotFound)
	s.policy(t, "readers")
	s.want(t, s.CreatePolicy(t.Context(), s.rec("CreatePolicy"), &iam.Policy{Account: s.account, Name: "Readers"}), fault.ResourceExists)
}

func testAccessKeys(t *testing.T, s iamSuite) {
	u := s.user(t, "alice")
	first := u.Rev
	k := s.key("1", "alice")
	k.ExpiresAt, k.ResetAt, k.Remark = day.Add(time.Hour), day.Add(time.Minute), "r"
	s.must(t, s.CreateAccessKey(t.Context(), s.rec("CreateAccessKey"), u, k))
	if u.Rev != first+1 {
		t.Errorf("the user has revision %d, want %d", u.Rev, first+1)
	}
	have, err := s.AccessKey(t.Context(), k.ID)
	s.must(t, err)
	same(t, have, *k)

	s.want(t, s.DeleteUser(t.Context(), s.rec("DeleteUser"), u), fault.ResourceInUse)
	*u, err = s.User(t.Context(), s.account, "alice")
	s.must(t, err)
	s.must(t, s.CreateAccessKey(t.Context(), s.rec("CreateAccessKey"), u, s.key("2", "alice")))
	s.want(t, s.CreateAccessKey(t.Context(), s.rec("CreateAccessKey"), u, s.key("3", "alice")), fault.LimitExceeded)
	_, err = s.AccessKey(t.Context(), s.key("3", "").ID)
	s.want(t, err, fault.ResourceNotFound)

	k.Secret, k.Enabled, k.ExpiresAt = []byte("other"), false, time.Time{}
	s.must(t, s.UpdateAccessKey(t.Context(), s.rec("ResetAccessKey"), k))
	have, err = s.AccessKey(t.Context(), k.ID)
	s.must(t, err)
	same(t, have, *k)
	s.must(t, s.DeleteAccessKey(t.Context(), s.rec("DeleteAccessKey"), k))
	_, err = s.AccessKey(t.Context(), k.ID)
	s.want(t, err, fault.ResourceNotFound)
}

func testPolicies(t *testing.T, s iamSuite) {
	p := s.policy(t, "readers")
	s.policy(t, "readers-2")
	u := s.user(t, "alice")
	u.Policies = []string{"readers"}
	want := [2]int64{p.Rev + 1, u.Rev + 1}
	s.must(t, s.AttachPolicy(t.Context(), s.rec("AttachPolicyToUser"), u, p))
	if have := [2]int64{p.Rev, u.Rev}; have != want {
		t.Errorf("revisions %d, want %d", have, want)
	}
	for name, want := range map[string][]string{"readers": {"alice"}, "readers-2": nil, "reader": nil} {
		have, roles, err := s.PolicyHolders(t.Context(), s.account, name)
		s.must(t, err)
		same(t, have, want)
		same(t, roles, []string(nil))
	}
	s.want(t, s.DeletePolicy(t.Context(), s.rec("DeletePolicy"), p), fault.ResourceInUse)
	have, err := s.Policy(t.Context(), s.account, "readers")
	s.must(t, err)
	p.Rev = want[0] // the refused deletion changed nothing
	same(t, have, *p)

	p.Document, p.Description, p.UpdatedAt = `{}`, "", day.Add(time.Hour)
	s.must(t, s.UpdatePolicy(t.Context(), s.rec("UpdatePolicy"), p))
	u.Policies = nil
	s.must(t, s.UpdateUser(t.Context(), s.rec("DetachPolicyFromUser"), u))
	s.must(t, s.DeletePolicy(t.Context(), s.rec("DeletePolicy"), p))
	_, err = s.Policy(t.Context(), s.account, "readers")
	s.want(t, err, fault.ResourceNotFound)
}

// testStale holds that no write goes through with a value that was read before another write.
func testStale(t *testing.T, s iamSuite) {
	u, p := s.user(t, "alice"), s.policy(t, "readers")
	k := s.key("1", "alice")
	s.must(t, s.CreateAccessKey(t.Context(), s.rec("CreateAccessKey"), u, k))
	oldUser, oldPolicy, oldKey := *u, *p, *k
	s.must(t, s.AttachPolicy(t.Context(), s.rec("AttachPolicyToUser"), u, p))
	s.must(t, s.UpdateAccessKey(t.Context(), s.rec("UpdateAccessKey"), k))
	for name, write := range map[string]func(u iam.User, p iam.Policy, k iam.AccessKey) error{
		"UpdateUser": func(u iam.User, _ iam.Policy, _ iam.AccessKey) error {
			return s.UpdateUser(t.Context(), s.rec("x"), &u)
		},
		"DeleteUser": func(u iam.User, _ iam.Policy, _ iam.AccessKey) error {
			return s.DeleteUser(t.Context(), s.rec("x"), &u)
		},
		"CreateAccessKey": func(u iam.User, _ iam.Policy, _ iam.AccessKey) error {
			return s.CreateAccessKey(t.Context(), s.rec("x"), &u, s.key("2", "alice"))
		},
		"AttachPolicy": func(_ iam.User, p iam.Policy, _ iam.AccessKey) error {
			fresh, err := s.User(t.Context(), s.account, "alice")
			s.must(t, err)
			return s.AttachPolicy(t.Context(), s.rec("x"), &fresh, &p)
		},
		"UpdatePolicy": func(_ iam.User, p iam.Policy, _ iam.AccessKey) error {
			return s.UpdatePolicy(t.Context(), s.rec("x"), &p)
		},
		"DeletePolicy": func(_ iam.User, p iam.Policy, _ iam.AccessKey) error {
			return s.DeletePolicy(t.Context(), s.rec("x"), &p)
		},
		"UpdateAccessKey": func(_ iam.User, _ iam.Policy, k iam.AccessKey) error {
			return s.UpdateAccessKey(t.Context(), s.rec("x"), &k)
		},
		"DeleteAccessKey": func(_ iam.User, _ iam.Policy, k iam.AccessKey) error {
			return s.DeleteAccessKey(t.Context(), s.rec("x"), &k)
		},
	} {
		t.Run(name, func(t *testing.T) { s.want(t, write(oldUser, oldPolicy, oldKey), fault.Changed) })
	}
	have, err := s.User(t.Context(), s.account, "alice")
	s.must(t, err)
	same(t, have, *u)
}

func testLists(t *testing.T, s iamSuite) {
	for _, name := range []string{"b", "a.b", "a_b", "A-c", "0"} {
		u := s.user(t, name)
		s.must(t, s.CreateAccessKey(t.Context(), s.rec("CreateAccessKey"), u, s.key(name, name)))
	}
	for _, name := range []string{"b", "a-b", "A-c", "0"} {
		s.policy(t, name)
	}
	var users, keys, policies []string
	for after := ""; ; {
		page, err := s.Users(t.Context(), s.account, iam.Page{After: after, Limit: 2})
		s.must(t, err)
		for _, u := range page {
			users, after = append(users, u.Name), u.Name
		}
		if len(page) < 2 {
			break
		}
	}
	same(t, users, []string{"0", "A-c", "a.b", "a_b", "admin", "b", "root"})
	page, err := s.AccessKeys(t.Context(), s.account, "", iam.Page{After: s.key("A-c", "").ID, Limit: 3})
	s.must(t, err)
	for _, k := range page {
		keys = append(keys, k.User)
	}
	same(t, keys, []string{"a.b", "a_b", "b"})
	page, err = s.AccessKeys(t.Context(), s.account, "a_b", iam.Page{Limit: 3})
	s.must(t, err)
	if len(page) != 1 || page[0].User != "a_b" {
		t.Errorf("access keys of a_b: %+v", page)
	}
	some, err := s.Policies(t.Context(), s.account, iam.Page{After: "0", Limit: 2})
	s.must(t, err)
	for _, p := range some {
		policies = append(policies, p.Name)
	}
	same(t, policies, []string{"A-c", "a-b"})
	all, err := s.Accounts(t.Context(), iam.Page{After: s.account[:15], Limit: 100})
	s.must(t, err)
	ids := make([]string, len(all))
	for i, a := range all {
		ids[i] = a.ID
	}
	if !slices.IsSorted(ids) || !slices.Contains(ids, s.account) {
		t.Errorf("accounts after %s: %q, want %s among them", s.account[:15], ids, s.account)
	}
}

func testUses(t *testing.T, s iamSuite) {
	u := s.user(t, "alice")
	k := s.key("1", "alice")
	s.must(t, s.CreateAccessKey(t.Context(), s.rec("CreateAccessKey"), u, k))
	first := iam.Use{At: day, Source: netip.MustParseAddr("2001:db8::1"), Action: "kms:Encrypt"}
	older := iam.Use{At: day.Add(-time.Second), Source: netip.MustParseAddr("192.0.2.1"), Action: "kms:Decrypt"}
	newer := iam.Use{At: day.Add(time.Second), Action: "kms:Sign"}
	for _, step := range []struct{ save, want iam.Use }{{first, first}, {older, first}, {newer, newer}} {
		s.must(t, s.SaveUses(t.Context(), map[string]iam.Use{k.ID: step.save, "K-unknown": first}))
		have, err := s.Uses(t.Context(), []string{k.ID, "K-unknown"})
		s.must(t, err)
		same(t, have, map[string]iam.Use{k.ID: step.want})
	}
	s.must(t, s.DeleteAccessKey(t.Context(), s.rec("DeleteAccessKey"), k))
	have, err := s.Uses(t.Context(), []string{k.ID})
	s.must(t, err)
	same(t, have, map[string]iam.Use{})
}

// race runs eight attempts at once and answers how each ended.
func race(attempt func(i int) error) []error {
	ended := make([]error, 8)
	var all sync.WaitGroup
	for i := range ended {
		all.Go(func() { ended[i] = attempt(i) })
	}
	all.Wait()
	return ended
}

// again repeats what reads and then writes until nobody came between.
func again(attempt func() error) error {
	for {
		if err := attempt(); !fault.Is(err, fault.Changed) {
			return err
		}
	}
}

func testRacingAccessKeys(t *testing.T, s iamSuite) {
	s.user(t, "alice")
	ended := race(func(i int) error {
		return again(func() error {
			u, err := s.User(t.Context(), s.account, "alice")
			if err != nil {
				return err
			}
			return s.nodes[i%2].CreateAccessKey(t.Context(), s.rec("CreateAccessKey"), &u, s.key(fmt.Sprint(i), "alice"))
		})
	})
	made := 0
	for _, err := range ended {
		if err == nil {
			made++
		} else {
			s.want(t, err, fault.LimitExceeded)
		}
	}
	keys, err := s.AccessKeys(t.Context(), s.account, "alice", iam.Page{Limit: 100})
	s.must(t, err)
	if made != iam.MaxAccessKeys || len(keys) != made {
		t.Errorf("%d attempts succeeded and %d keys are there, want %d", made, len(keys), iam.MaxAccessKeys)
	}
}

// testRacingDeletions holds that no access key outlives its user and that no user has
// a policy that is not there.
func testRacingDeletions(t *testing.T, s iamSuite) {
	s.user(t, "alice")
	s.user(t, "bob")
	s.policy(t, "readers")
	ctx := context.WithoutCancel(t.Context())
	attempts := []func(node iam.Store) error{
		func(node iam.Store) error {
			u, err := s.User(ctx, s.account, "alice")
			return errors.Join(err, node.DeleteUser(ctx, s.rec("DeleteUser"), &u))
		},
		func(node iam.Store) error {
			u, err := s.User(ctx, s.account, "alice")
			return errors.Join(err, node.CreateAccessKey(ctx, s.rec("CreateAccessKey"), &u, s.key("1", "alice")))
		},
		func(node iam.Store) error {
			p, err := s.Policy(ctx, s.account, "readers")
			return errors.Join(err, node.DeletePolicy(ctx, s.rec("DeletePolicy"), &p))
		},
		func(node iam.Store) error {
			u, err := s.User(ctx, s.account, "bob")
			p, err2 := s.Policy(ctx, s.account, "readers")
			u.Policies = []string{"readers"}
			return errors.Join(err, err2, node.AttachPolicy(ctx, s.rec("AttachPolicyToUser"), &u, &p))
		},
	}
	// Each attempt of a pair runs on another node than its rival.
	race(func(i int) error { return attempts[i%len(attempts)](s.nodes[i%2]) })
	keys, err := s.AccessKeys(ctx, s.account, "alice", iam.Page{Limit: 100})
	s.must(t, err)
	if _, err := s.User(ctx, s.account, "alice"); (err == nil) != (len(keys) > 0) {
		t.Errorf("alice: %v, with %d access keys", err, len(keys))
	}
	bob, err := s.User(ctx, s.account, "bob")
	s.must(t, err)
	if _, err := s.Policy(ctx, s.account, "readers"); (err == nil) != (len(bob.Policies) > 0) {
		t.Errorf("readers: %v, while bob has %q", err, bob.Policies)
	}
}
