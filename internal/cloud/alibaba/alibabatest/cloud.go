// Package alibabatest simulates the parts of Alibaba Cloud that issue access keys: IMS
// (2019-08-15), RAM (2015-05-01) and GetCallerIdentity of STS (2015-04-01), all at one
// address. Tests, benchmarks and demos stand on it, and the vendor's own clients check it.
//
// It behaves as the service does where a client can go wrong: requests are signed
// (ACS3-HMAC-SHA256 and RPC 1.0), a nonce serves once and a time 15 minutes; users have
// rights, and a rate; lists come in pages, and without disabled users unless asked; a user
// has two keys at most; a secret is told once; a deleted key lies in the recycle bin for
// 30 days; the last use of a key shows late; the credential report takes a while and stays
// the same for four hours. Errors have the codes and words of the service.
//
// [New] makes an empty account, [Cloud.Populate] fills it, [Cloud.Use] and [Cloud.Accepts]
// play the services that a key is used with. The clock is the caller's. A [Cloud] may be
// used concurrently; it keeps everything in memory and trusts nobody.
package alibabatest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/authn"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// How the service is set up.
const (
	MaxKeys    = 2                   // of one user
	MaxBin     = 3                   // keys of one user in the recycle bin; the oldest gives way
	BinTime    = 30 * 24 * time.Hour // a deleted key can be restored
	ReportLife = 4 * time.Hour       // until a new credential report is made
	ReportMax  = 3500                // users that a credential report can have

	maxRequest = 64 << 10
	root       = "<root>"
)

// A Config sets a cloud up. Only Now is required.
type Config struct {
	Now         func() time.Time
	Account     string        // its number; "1000000000000001" if empty
	Domain      string        // of logon names; "example.onaliyun.com" if empty
	Rate        int           // calls in a second of one user; 0 for no limit
	UseLag      time.Duration // until the last use of a key shows
	Settle      time.Duration // until a key that was created by a call is accepted
	ReportTakes time.Duration // to make a credential report
	Page        int           // bounds MaxItems further, so that few users make many pages; 0 does not
}

// A User is somebody in the account.
type User struct {
	Name, DisplayName, Comments string
	ID                          string // one that begins with 29 is made if empty
	Created, LastLogin          time.Time
	Disabled                    bool // "freeze", as the service calls it
	Console, MFA                bool
	Keys                        []Key
	Groups                      []string
	Policies                    []Policy
	Rights                      []string  // actions that the user may call, such as "ram:List*"
	Deleted                     time.Time // when the user went to the recycle bin; zero for who did not
}

// A Key is an access key. ID and Secret are made if they are empty.
type Key struct {
	ID, Secret                string
	Created, Updated, Deleted time.Time // Deleted is when it went to the recycle bin
	Inactive                  bool
	Used                      time.Time
	Service                   string // that it was last used with
	// Token is what a temporary key must come with. Temporary keys are in no list.
	Token string

	known time.Time // before it the key is refused
}

// A Policy is attached to users and groups. A Document makes it a custom policy.
type Policy struct{ Name, Document string }

// An Account is what a cloud is filled with.
type Account struct {
	RootMFA  bool
	RootKeys []Key
	Users    []User
	Groups   map[string][]Policy
}

// A Cloud is an account with its services. It is an http.Handler.
type Cloud struct {
	Config
	verifier authn.Verifier

	mu      sync.Mutex // guards what follows
	root    *User
	users   []*User // sorted by ID
	groups  map[string][]Policy
	nonces  map[string]bool // of the time since swept, and before are those of as long before
	before  map[string]bool
	swept   time.Time
	buckets map[*User]*bucket
	calls   map[string]int
	report  report
	made    int
}

// New makes a cloud with an empty account.
func New(c Config) *Cloud {
	if c.Account == "" {
		c.Account = "1000000000000001"
	}
	if c.Domain == "" {
		c.Domain = "example.onaliyun.com"
	}
	cloud := &Cloud{
		Config: c, root: &User{Name: root, ID: c.Account, Console: true, Rights: []string{"*"}}, groups: map[string][]Policy{},
		nonces: map[string]bool{}, buckets: map[*User]*bucket{}, calls: map[string]int{},
	}
	cloud.verifier = authn.Verifier{Lookup: cloud.lookup, Now: c.Now}
	return cloud
}

// Populate adds to the account what there is not yet. It does not ask for limits.
func (c *Cloud) Populate(a Account) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.root.MFA = c.root.MFA || a.RootMFA
	for _, k := range a.RootKeys {
		c.root.Keys = append(c.root.Keys, c.complete(k))
	}
	for name, policies := range a.Groups {
		c.groups[name] = append(c.groups[name], policies...)
	}
	for _, u := range a.Users {
		if u.ID == "" {
			c.made++
			u.ID = fmt.Sprintf("29%016d", c.made)
		}
		if u.DisplayName == "" {
			u.DisplayName = u.Name
		}
		keys := u.Keys
		u.Keys = nil
		for _, k := range keys {
			u.Keys = append(u.Keys, c.complete(k))
		}
		c.users = append(c.users, &u)
	}
	slices.SortFunc(c.users, func(a, b *User) int { return strings.Compare(a.ID, b.ID) })
}

// complete gives a key what it lacks.
func (c *Cloud) complete(k Key) Key {
	if k.ID == "" {
		k.ID = "LTAIfake" + rand.Text()[:16]
	}
	if k.Secret == "" {
		k.Secret = "fakesecret" + rand.Text()
	}
	if k.Created.IsZero() {
		k.Created = c.Now()
	}
	if k.Updated.IsZero() {
		k.Updated = k.Created
	}
	return k
}

// Permit replaces the rights of a user.
func (c *Cloud) Permit(name string, rights ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, u := range c.users {
		if u.Name == name {
			u.Rights = rights
		}
	}
}

// Keys answers the keys of a user that are not deleted.
func (c *Cloud) Keys(name string) []Key {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Key
	for _, u := range c.users {
		for _, k := range u.Keys {
			if u.Name == name && k.Deleted.IsZero() {
				out = append(out, k)
			}
		}
	}
	return out
}

// Rename gives a user another name. The id and the keys stay.
func (c *Cloud) Rename(name, to string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, u := range c.users {
		if u.Name == name {
			u.Name = to
		}
	}
}

// Calls answers how often an action was called, refused calls among them.
func (c *Cloud) Calls(action string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[action]
}

// Accepts tells whether a service would take this key now.
func (c *Cloud) Accepts(id, secret string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	u, k := c.find(id)
	return k != nil && k.Secret == secret && !k.Inactive && !u.Disabled && !c.Now().Before(k.known)
}

// Use uses a key with a service, now. It answers whether the key was accepted.
func (c *Cloud) Use(id, secret, service string) bool {
	if !c.Accepts(id, secret) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, k := c.find(id); k != nil {
		k.Used, k.Service = c.Now(), service
	}
	return true
}

// find answers a key that is not deleted, and whose it is.
func (c *Cloud) find(id string) (*User, *Key) {
	for _, u := range append([]*User{c.root}, c.users...) {
		for i := range u.Keys {
			if u.Keys[i].ID == id && u.Keys[i].Deleted.IsZero() && u.Deleted.IsZero() {
				return u, &u.Keys[i]
			}
		}
	}
	return nil, nil
}

// lookup is the authn.Lookup of the account.
func (c *Cloud) lookup(_ context.Context, id, token string) (authn.Credential, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u, k := c.find(id)
	if k == nil || c.Now().Before(k.known) {
		return authn.Credential{}, fault.AccessKeyNotFound.New("no such key")
	}
	out := authn.Credential{Secret: material.NewBytes([]byte(k.Secret))}
	switch {
	case k.Inactive || u.Disabled:
		out.Refusal = fault.AccessKeyInactive.New("disabled")
	case token != k.Token:
		out.Refusal = fault.SecurityTokenInvalid.New("another token")
	}
	return out, nil
}

// ServeHTTP implements http.Handler.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := requestID()
	out, refused := c.serve(r)
	status := http.StatusOK
	if refused != nil {
		status, out = refused.status, refused.body(r.Host)
	}
	out["RequestId"] = id
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("x-acs-request-id", id)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(out) // the client went away
}

// An object is an answer.
type object map[string]any

func requestID() string {
	t := rand.Text()
	return t[:8] + "-" + t[8:12] + "-" + t[12:16] + "-" + t[16:20] + "-" + t[20:26]
}

func (c *Cloud) serve(r *http.Request) (object, *refusal) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "InvalidParameter", "The request cannot be read.")
	}
	signed, err := c.verifier.Verify(r.Context(), authn.Request{
		Method: r.Method, Host: r.Host, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Header: r.Header, Body: body,
	})
	if err != nil {
		return nil, unsigned(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[signed.Action]++
	now := c.Now()
	if !c.fresh(string(signed.Nonce), now) {
		return nil, refuse(http.StatusBadRequest, "SignatureNonceUsed", "Specified signature nonce was used already.")
	}
	caller, key := c.find(signed.Principal.AccessKey)
	if key == nil {
		return nil, unsigned(fault.AccessKeyNotFound.New("deleted this moment"))
	}
	key.Used, key.Service = now, "Ram"
	if !c.allow(caller, now) {
		return nil, refuse(http.StatusBadRequest, "Throttling.User", "Request was denied due to user flow control.")
	}
	return c.perform(call{caller, signed.Params}, signed.Version, signed.Action)
}

// fresh tells whether a nonce was not used for as long as its request can be valid.
func (c *Cloud) fresh(nonce string, now time.Time) bool {
	if now.Sub(c.swept) > 2*authn.MaxSkew {
		c.nonces, c.before, c.swept = map[string]bool{}, c.nonces, now
	}
	used := c.nonces[nonce] || c.before[nonce]
	c.nonces[nonce] = true
	return !used
}

// A call is a request whose sender is known.
type call struct {
	caller *User
	params authn.Params
}

func (a call) param(name string) string {
	v, _ := a.params.Value(name)
	return v
}

func (c *Cloud) perform(a call, version, action string) (object, *refusal) {
	do := operations[version][action]
	switch {
	case operations[version] == nil:
		return nil, refuse(http.StatusNotFound, "InvalidVersion", "Specified parameter Version is not valid.")
	case do == nil:
		return nil, refuse(http.StatusNotFound, "InvalidAction.NotFound", "Specified api is not found, please check your url and method.")
	case version != stsVersion && !permits(a.caller, "ram:"+action):
		return nil, c.denied(a.caller, "ram:"+action)
	}
	return do(c, a)
}

func permits(u *User, action string) bool {
	return slices.ContainsFunc(u.Rights, func(pattern string) bool {
		ok, err := path.Match(pattern, action)
		return err == nil && ok
	})
}

// A bucket holds what a user may still call.
type bucket struct {
	left float64
	at   time.Time
}

func (c *Cloud) allow(u *User, now time.Time) bool {
	if c.Rate == 0 {
		return true
	}
	b := c.buckets[u]
	if b == nil {
		b = &bucket{left: float64(c.Rate), at: now}
		c.buckets[u] = b
	}
	b.left = min(float64(c.Rate), b.left+now.Sub(b.at).Seconds()*float64(c.Rate))
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
