// Package tencenttest is a simulated Tencent Cloud, as far as keyward uses it: the
// identity of a caller (STS), and users and access keys (CAM). It is for tests, benchmarks
// and demonstrations of what keyward does with accounts of any size.
//
// A [Service] is an http.Handler that speaks the vendor's API 3.0. It verifies signatures,
// refuses what comes too often, too late or without the right, answers in pages, shows a
// secret key once, allows two keys for each user, and tells of a use a day late. Its
// errors have the codes and, where they are known, the words of the real service; the
// vendor's own SDK is driven against it in interop/tencent.
//
// The clock is the caller's. What it holds is made by methods: accounts, then users, then
// keys; [Service.Populate] makes a whole account from a number. It keeps everything in
// memory and may be used concurrently. Nothing in it is a secret of anybody.
package tencenttest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A Service is the simulated cloud.
type Service struct {
	now func() time.Time

	mu       sync.Mutex // guards what follows
	accounts map[uint64]*account
	users    map[uint64]*user // by number, the accounts' own among them
	keys     map[string]*key
	limits   map[string]int // calls in a second, by action
	settle   time.Duration  // until a key that was created by a call is known
	recent   map[string][]time.Time
	calls    map[string]int
	made     uint64 // what new ids are derived from
}

type account struct {
	users []*user // in the order in which they were added
}

type user struct {
	User
	root   *user // of the account; itself for the account's own user
	keys   []*key
	denied map[string]bool
}

type key struct {
	Key
	owner *user
	known time.Time   // before it the key is refused
	uses  []time.Time // ascending; a minute counts once
}

// A Kind of user decides in which list it is.
type Kind int

// The kinds of users, with the numbers that DescribeSubAccounts has for them.
const (
	SubUser      Kind = 2
	WeCom        Kind = 3
	Collaborator Kind = 4

	root Kind = 1
)

// A User of an account. The zero Kind is SubUser.
type User struct {
	Uin       uint64
	Kind      Kind
	Name      string
	Remark    string
	CreatedAt time.Time // zero: now
	Console   bool      // may log in
	LoginAt   time.Time // last login; zero: never
	LoginMFA  bool
	ActionMFA bool
	Policies  []Policy
}

// A Policy that a user has.
type Policy struct {
	ID     uint64
	Name   string
	Preset bool     // the vendor's own
	Groups []string // through which the user has it; none for directly
}

// A Key of a user. Empty ids and secrets are made up.
type Key struct {
	ID          string
	Secret      string
	Description string
	Inactive    bool
	CreatedAt   time.Time // zero: now
	UsedAt      time.Time // zero: never
}

// New makes an empty cloud with a clock.
func New(now func() time.Time) *Service {
	return &Service{
		now: now, accounts: map[uint64]*account{}, users: map[uint64]*user{}, keys: map[string]*key{},
		limits: map[string]int{"CreateAccessKey": 5, "UpdateAccessKey": 5, "DeleteAccessKey": 5},
		recent: map[string][]time.Time{}, calls: map[string]int{},
	}
}

// AddAccount adds an account. Its own user has its number and may do everything.
func (s *Service) AddAccount(uin uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := &user{User: User{Uin: uin, Kind: root, Name: "root", CreatedAt: s.now()}}
	u.root = u
	s.users[uin], s.accounts[uin] = u, &account{}
}

// AddUser adds a user to an account that was added before. It may do everything that
// [Service.Deny] does not name.
func (s *Service) AddUser(account uint64, u User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u.Kind == 0 {
		u.Kind = SubUser
	}
	if u.CreatedAt.IsZero() {
		u.CreatedAt = s.now()
	}
	added := &user{User: u, root: s.users[account]}
	s.users[u.Uin] = added
	s.accounts[account].users = append(s.accounts[account].users, added)
}

// RemoveUser removes a user with its keys.
func (s *Service) RemoveUser(uin uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[uin]
	for _, k := range u.keys {
		delete(s.keys, k.ID)
	}
	delete(s.users, uin)
	a := s.accounts[u.root.Uin]
	a.users = slices.DeleteFunc(a.users, func(other *user) bool { return other == u })
}

// AddKey gives a user a key, even a third one, and answers it with its id and secret.
func (s *Service) AddKey(uin uint64, k Key) Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.add(s.users[uin], k).Key
}

// add makes the key; s.mu is held.
func (s *Service) add(u *user, k Key) *key {
	s.made++
	// Like random bytes and yet the same in each run; nothing is protected by it.
	sum := sha256.Sum256([]byte(strconv.FormatUint(s.made, 10)))
	if k.ID == "" {
		k.ID = "AKID" + hex.EncodeToString(sum[:16])
	}
	if k.Secret == "" {
		k.Secret = "simulated" + hex.EncodeToString(sum[16:])[:23]
	}
	if k.CreatedAt.IsZero() {
		k.CreatedAt = s.now()
	}
	added := &key{Key: k, owner: u}
	if !k.UsedAt.IsZero() {
		added.uses = []time.Time{k.UsedAt}
	}
	s.keys[k.ID] = added
	u.keys = append(u.keys, added)
	return added
}

// Deny takes rights from a user: actions by the names that policies have, such as
// "cam:ListUsers".
func (s *Service) Deny(uin uint64, actions ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[uin]
	if u.denied == nil {
		u.denied = map[string]bool{}
	}
	for _, a := range actions {
		u.denied[a] = true
	}
}

// Allow gives rights back that [Service.Deny] took.
func (s *Service) Allow(uin uint64, actions ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range actions {
		delete(s.users[uin].denied, a)
	}
}

// Limit sets how often an action may be called in a second, by each account.
func (s *Service) Limit(action string, perSecond int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits[action] = perSecond
}

// Settle sets how long keys that calls create are refused before they are accepted; not
// at all unless it is set.
func (s *Service) Settle(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle = d
}

// Use records that somebody used a key with another service. Calls of this one are
// recorded by themselves.
func (s *Service) Use(keyID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[keyID].use(s.now())
}

// Calls answers how many requests of an action were performed, that is, were neither
// refused nor failed.
func (s *Service) Calls(action string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[action]
}

// Keys answers the ids of all keys of an account and its users: the truth that an
// inventory is compared with.
func (s *Service) Keys(account uint64) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for id, k := range s.keys {
		if k.owner.root.Uin == account {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// Of answers the keys of a user, secrets included.
func (s *Service) Of(uin uint64) []Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Key
	for _, k := range s.users[uin].keys {
		out = append(out, k.Key)
	}
	return out
}

// Owner answers the number of the user who has a key, as text; "" if there is no such key.
func (s *Service) Owner(keyID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.keys[keyID]; k != nil {
		return strconv.FormatUint(k.owner.Uin, 10)
	}
	return ""
}

func (k *key) use(now time.Time) {
	if n := len(k.uses); n > 0 && k.uses[n-1].Truncate(time.Minute).Equal(now.Truncate(time.Minute)) {
		return
	}
	k.uses = append(k.uses, now)
	for len(k.uses) > 1 && !k.uses[1].After(now.Add(-lag)) {
		k.uses = k.uses[1:]
	}
}

// lag is how late a use is told.
const lag = 24 * time.Hour

// told answers the last use that the service tells of at a time.
func (k *key) told(now time.Time) (last time.Time) {
	for _, at := range k.uses {
		if !at.After(now.Add(-lag)) {
			last = at
		}
	}
	return last
}

// Populate adds an account with a number of users that follows from the account's number:
// most of them with one or two keys, used and unused, old and new, and the kinds, policies
// and factors that a company has. It answers a key of a sub-user who may read all of it,
// which is one of the users.
func (s *Service) Populate(account uint64, users int) Key {
	s.AddAccount(account)
	policies := []Policy{
		{ID: 1, Name: "AdministratorAccess", Preset: true, Groups: []string{"operators"}},
		{ID: 2, Name: "QcloudCOSFullAccess", Preset: true},
		{ID: 3, Name: "QcloudCVMReadOnlyAccess", Preset: true, Groups: []string{"developers"}},
		{ID: 4, Name: "payments", Groups: []string{"developers", "payments"}},
	}
	var reader Key
	for i := range users {
		sum := sha256.Sum256(fmt.Appendf(nil, "%d/%d", account, i))
		age := time.Duration(sum[0]) * 4 * 24 * time.Hour
		u := User{
			Uin: account*100_000 + uint64(i) + 1, Name: fmt.Sprintf("user-%d", i), Remark: "simulated",
			Kind: []Kind{SubUser, SubUser, SubUser, SubUser, WeCom, Collaborator}[int(sum[1])%6], CreatedAt: s.now().Add(-age),
			Console: sum[2]%2 == 0, LoginMFA: sum[3]%3 > 0, ActionMFA: sum[4]%3 > 0, Policies: policies[sum[5]%5:],
		}
		if i == 0 {
			u.Kind = SubUser
		}
		if u.Console {
			u.LoginAt = s.now().Add(-age / 3)
		}
		s.AddUser(account, u)
		keys := int(sum[6]) % 3
		if i == 0 {
			keys = max(keys, 1)
		}
		for k := range keys {
			made := Key{CreatedAt: s.now().Add(-age / time.Duration(k+1)), Inactive: sum[7+k]%5 == 0 && i > 0}
			if sum[9+k]%4 > 0 {
				made.UsedAt = s.now().Add(-age / time.Duration(2+k))
			}
			if made = s.AddKey(u.Uin, made); i == 0 && k == 0 {
				reader = made
			}
		}
	}
	return reader
}
