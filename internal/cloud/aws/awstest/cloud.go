// Package awstest is AWS's IAM and STS for tests, benchmarks and demonstrations: an
// [http.Handler] that answers their query protocol as the services do, with what makes
// them hard to use. It verifies Signature Version 4, throttles, answers lists in parts,
// takes a while to make a credential report and then keeps it for four hours, tells of a
// use late and coarsely, allows two access keys to a user, reveals a secret once, refuses
// what policies do not allow, and lets a change of a key take effect only after a while.
//
// Time is injected, so all of that happens in virtual time. The account is populated by
// methods, whose keys take effect at once. Secrets are made of the key's number and are
// obviously none of AWS's. A [Cloud] is one account; it may be used concurrently.
package awstest

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// A Cloud is one account. The fields are set before its first use.
type Cloud struct {
	Now         func() time.Time
	Account     string        // 12 digits
	Settle      time.Duration // until a created, changed or deleted key is so for who uses it
	ReportTakes time.Duration // to make a credential report
	UseLag      time.Duration // until a use is told
	Rate        float64       // requests a second that are served; 0 for no limit
	Burst       float64       // requests that are served at once after a pause
	PageSize    int           // items of a part of a list at most

	mu       sync.Mutex // guards what follows
	users    map[string]*user
	groups   map[string]Group
	policies map[string]string // documents by ARN
	keys     map[string]*key
	rootMFA  bool
	minted   int
	tokens   float64 // of the rate limit
	tokensAt time.Time
	report   struct {
		started time.Time
		content []byte
	}
	counts map[string]int
}

// New makes an empty account whose delays and limits are like those of AWS.
func New(now func() time.Time) *Cloud {
	c := &Cloud{
		Now: now, Account: "123456789012", Settle: 10 * time.Second, ReportTakes: 5 * time.Second,
		UseLag: 15 * time.Minute, Rate: 20, Burst: 40, PageSize: 100,
		users: map[string]*user{}, groups: map[string]Group{}, policies: map[string]string{}, keys: map[string]*key{}, counts: map[string]int{},
	}
	c.users[Root] = &user{User: User{Name: Root}, created: now()}
	return c
}

// Root is the name of the account's own user, as the credential report writes it.
const Root = "<root_account>"

// A User is somebody in the account.
type User struct {
	Name      string
	Console   bool
	ConsoleAt time.Time // last login; zero for never
	MFA       bool
	Tags      map[string]string
	Groups    []string
	Inline    map[string]string // documents by name
	Attached  []string          // ARNs of managed policies
	Boundary  string            // ARN of a managed policy
}

// A Group gives its users policies.
type Group struct {
	Inline   map[string]string // documents by name
	Attached []string          // ARNs of managed policies
}

type user struct {
	User
	id      string
	created time.Time
}

// A Credential is an access key with its secret.
type Credential struct{ ID, Secret string }

// A Key is the truth about one access key.
type Key struct {
	ID, User string
	Active   bool
	Created  time.Time
}

type key struct {
	Key
	secret  string
	slot    int // 1 or 2, its place in the credential report
	changed time.Time
	before  state // what it is for its users until changed + Settle
	now     state
	uses    []use // the last few that were recorded
}

type state int

const (
	absent state = iota
	inactive
	active
)

type use struct {
	at              time.Time
	service, region string
}

// effective is what a request that is signed with the key meets.
func (k *key) effective(now time.Time, settle time.Duration) state {
	if now.Before(k.changed.Add(settle)) {
		return k.before
	}
	return k.now
}

// become changes the key.
func (k *key) become(s state, now time.Time, settle time.Duration) {
	k.before = k.effective(now, settle)
	k.now, k.changed, k.Active = s, now, s == active
}

// AddUser adds somebody, as created at that time, and answers the user's id.
func (c *Cloud) AddUser(u User, created time.Time) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.minted++
	one := &user{User: u, id: fmt.Sprintf("AIDA%016d", c.minted), created: created}
	c.users[u.Name] = one
	return one.id
}

// DeleteUser deletes a user and the user's keys.
func (c *Cloud) DeleteUser(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.users, name)
	maps.DeleteFunc(c.keys, func(_ string, k *key) bool { return k.User == name })
}

// Rename gives a user another name. The id and the keys stay.
func (c *Cloud) Rename(name, to string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.users[name]
	delete(c.users, name)
	u.Name, c.users[to] = to, u
	for _, k := range c.keys {
		if k.User == name {
			k.User = to
		}
	}
}

// AddGroup adds a group.
func (c *Cloud) AddGroup(name string, g Group) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.groups[name] = g
}

// AddPolicy adds a managed policy.
func (c *Cloud) AddPolicy(arn, document string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.policies[arn] = document
}

// SetRootMFA says whether the account's own user has a second factor.
func (c *Cloud) SetRootMFA(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rootMFA = on
}

// AddKey gives a user ([Root] too) a key that was created at that time and works already.
func (c *Cloud) AddKey(name string, created time.Time) Credential {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.mint(name, created)
	k.before = active
	return Credential{ID: k.ID, Secret: k.secret}
}

func (c *Cloud) mint(name string, created time.Time) *key {
	c.minted++
	slot := 1
	for _, other := range c.keysOf(name) {
		if other.slot == 1 {
			slot = 2
		}
	}
	k := &key{
		Key:    Key{ID: fmt.Sprintf("AKIA%016d", c.minted), User: name, Active: true, Created: created},
		secret: fmt.Sprintf("not-a-secret-of-aws-%020d", c.minted), slot: slot, changed: created, now: active,
	}
	c.keys[k.ID] = k
	return k
}

// Disable makes a key inactive at once, as changed at that time.
func (c *Cloud) Disable(id string, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.keys[id]
	k.become(inactive, at, c.Settle)
	k.before = inactive
}

// Use records that somebody used a key.
func (c *Cloud) Use(id string, at time.Time, service, region string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys[id].record(use{at, service, region})
}

// record keeps the first use of each quarter of an hour.
func (k *key) record(u use) {
	if n := len(k.uses); n > 0 && u.at.Before(k.uses[n-1].at.Add(15*time.Minute)) {
		return
	}
	k.uses = append(k.uses[max(0, len(k.uses)-2):], u)
}

// told is the last use that the account is told of.
func (c *Cloud) told(k *key) (use, bool) {
	for _, u := range slices.Backward(k.uses) {
		if !c.Now().Before(u.at.Add(c.UseLag)) {
			return u, true
		}
	}
	return use{}, false
}

// Keys answers all keys there are, root's too, by id.
func (c *Cloud) Keys() []Key {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Key
	for _, id := range slices.Sorted(maps.Keys(c.keys)) {
		if k := c.keys[id]; k.now != absent {
			out = append(out, k.Key)
		}
	}
	return out
}

// Count answers how many requests for an action were served or refused, throttled ones
// aside; "" counts all.
func (c *Cloud) Count(action string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts[action]
}

// Populate adds n users with one or two keys each, some old, some unused, some inactive,
// and a user "reader" with the given policy; it answers the reader's credential.
func (c *Cloud) Populate(n int, policy string) Credential {
	now := c.Now()
	c.AddPolicy(Administrator, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)
	c.AddGroup("operators", Group{Attached: []string{Administrator}})
	for i := range n {
		u := User{Name: fmt.Sprintf("user-%05d", i), Console: i%3 == 0, MFA: i%6 == 0, Tags: map[string]string{"team": fmt.Sprintf("team-%d", i%7)}}
		if i%10 == 0 {
			u.Groups = []string{"operators"}
		}
		born := now.AddDate(0, 0, -i%700-1)
		c.AddUser(u, born)
		for j := range 1 + i%2 {
			k := c.AddKey(u.Name, born.Add(time.Duration(j+1)*time.Minute))
			if i%4 != 0 {
				c.Use(k.ID, born.Add(time.Hour), "s3", "eu-west-1")
			}
			if i%9 == 0 {
				c.Disable(k.ID, born.Add(2*time.Hour))
			}
		}
	}
	c.AddUser(User{Name: "reader", Inline: map[string]string{"keyward": policy}}, now.AddDate(0, 0, -1))
	return c.AddKey("reader", now.AddDate(0, 0, -1))
}

// Administrator is the ARN of AWS's policy that allows everything.
const Administrator = "arn:aws:iam::aws:policy/AdministratorAccess"

// keysOf answers a user's keys in the order of their creation.
func (c *Cloud) keysOf(name string) []*key {
	var out []*key
	for _, k := range c.keys {
		if k.User == name && k.now != absent {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b *key) int { return a.Created.Compare(b.Created) })
	return out
}

func (c *Cloud) arn(name string) string {
	if name == Root {
		return "arn:aws:iam::" + c.Account + ":root"
	}
	return "arn:aws:iam::" + c.Account + ":user/" + name
}
