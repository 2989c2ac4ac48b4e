package usage_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/key/keytest"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/kms"
	"github.com/keyward/keyward/internal/store/storetest"
	"github.com/keyward/keyward/internal/usage"
)

const account = "1000000000000001"

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A server is one of a cluster.
type server struct {
	*usage.Service
	counter *usage.Counter
	keys    *keytest.Services
	store   usage.Store
	now     time.Time
}

func start(t testing.TB, url, origin string, keyring *seal.Keyring, tenants *sealtest.Tenants) *server {
	t.Helper()
	s := &server{now: noon, counter: usage.NewCounter()}
	node := storetest.Start(t, storetest.Options{URL: url, Origin: origin, Keys: keyring, Now: func() time.Time { return s.now }, Changed: func(table, id string) {
		if s.keys != nil {
			s.keys.Changed(table, id)
		}
	}})
	s.keys = keytest.New(keytest.Options{Store: kms.Store{Store: node.Store}, Tenants: tenants, Log: node.Log, Now: func() time.Time { return s.now }, Used: s.counter.Note})
	s.store = kms.Usage{Store: node.Store}
	s.Service = usage.New(usage.Options{Store: s.store, Ring: s.keys.Ring, Log: node.Log, Counter: s.counter, Now: func() time.Time { return s.now }, Logger: slog.New(slog.DiscardHandler)})
	return s
}

// cluster starts servers on one database.
func cluster(t testing.TB, url string, names ...string) (out []*server) {
	t.Helper()
	keyring := sealtest.Keyring(t)
	tenants := sealtest.NewTenants(keyring)
	for _, name := range names {
		out = append(out, start(t, url, "keyward/"+name, keyring, tenants))
	}
	return out
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// as is a call by a user, at the server's time.
func (s *server) as(name, from string) *authz.Call {
	p := authz.Principal{Account: account, Kind: authz.Root, Name: "root"}
	if name != "root" {
		p.Kind, p.Name = authz.User, name
		policy, err := authz.Compile("all", []byte(`{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}`))
		if err != nil {
			panic(err)
		}
		p.Policies = []*authz.Policy{policy}
	}
	return &authz.Call{Principal: p, Time: s.now, Source: netip.MustParseAddr(from), RequestID: "R"}
}

func (s *server) encrypt(t testing.TB, c *authz.Call, k key.ID, of material.Context) cryptography.Ciphertext {
	t.Helper()
	return must(s.keys.Encrypt(t.Context(), c, cryptography.EncryptInput{Key: string(k), Plaintext: material.NewBytes([]byte("x")), Context: of}))(t)
}

// flushed has all servers store what they counted.
func flushed(t testing.TB, servers ...*server) {
	t.Helper()
	for _, s := range servers {
		check(t, s.Flush(t.Context()))
	}
}

// Every use is attributed, and what several servers count is one sum.
func TestUsesAreAttributedAndAddedUp(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		names := []string{"a"}
		if url == "" || url[:4] == "post" {
			names = []string{"a", "b"}
		}
		servers := cluster(t, url, names...)
		a, b := servers[0], servers[len(servers)-1]
		k := must(a.keys.Create(t.Context(), a.as("root", "10.0.0.9"), lifecycle.CreateInput{}))(t)
		oss := material.Context{"acs:oss:arn": "bucket"}
		sealed := a.encrypt(t, a.as("ada", "10.0.0.1"), k.ID, oss)
		a.now = noon.Add(time.Hour)
		b.now = a.now
		for range 3 {
			must(b.keys.Decrypt(t.Context(), b.as("ada", "10.0.0.1"), cryptography.DecryptInput{Ciphertext: sealed.Blob, Context: oss}))(t)
			b.encrypt(t, b.as("ada", "10.0.0.1"), k.ID, oss)
		}
		_, err := b.keys.Decrypt(t.Context(), b.as("ada", "10.0.0.1"), cryptography.DecryptInput{Ciphertext: sealed.Blob, DryRun: true, Context: oss})
		if !fault.Is(err, fault.DryRun) {
			t.Fatal(err)
		}
		flushed(t, servers...)
		r := must(a.Usage(t.Context(), a.as("root", "10.0.0.9"), string(k.ID)))(t)
		use := func(action string, n int64, first time.Time) usage.Count {
			return usage.Count{Use: usage.Use{Account: account, Key: k.ID, Principal: "acs:ram::" + account + ":user/ada", Product: "oss", Source: "10.0.0.1", Action: action}, N: n, First: first, Last: a.now}
		}
		sort := cmpopts.SortSlices(func(a, b usage.Count) bool { return a.Action < b.Action })
		if diff := cmp.Diff([]usage.Count{use("kms:Decrypt", 3, a.now), use("kms:Encrypt", 4, noon)}, r.Uses, sort); diff != "" {
			t.Errorf("uses (-want +have):\n%s", diff)
		}
		want := []usage.VersionCount{{Account: account, Key: k.ID, Version: k.Primary, Used: 7, UsedAt: a.now, Made: 4, MadeAt: a.now}}
		if diff := cmp.Diff(want, r.Versions); diff != "" || r.Status() != usage.InUse || r.Made() != 4 {
			t.Errorf("%s, versions (-want +have):\n%s", r.Status(), diff)
		}
		a.now = noon.Add(usage.Recent + 2*time.Hour)
		if r := must(a.Usage(t.Context(), a.as("root", "10.0.0.9"), string(k.ID)))(t); r.Status() != usage.Idle {
			t.Errorf("after 90 days it is %s", r.Status())
		}
		check(t, a.Register(t.Context(), a.as("root", "10.0.0.9"), string(k.ID), usage.Resource{Product: "oss", Name: "bucket/a"}))
		if r := must(a.Usage(t.Context(), a.as("root", "10.0.0.9"), string(k.ID)))(t); r.Status() != usage.InUse || len(r.Resources) != 1 {
			t.Errorf("with a resource it is %s", r.Status())
		}
		check(t, a.Deregister(t.Context(), a.as("root", "10.0.0.9"), string(k.ID), "oss", "bucket/a"))
		for n := 1; n > 0; {
			n = must(a.store.ForgetUses(t.Context(), noon.Add(usage.Kept)))(t)
		}
		if r := must(a.Usage(t.Context(), a.as("root", "10.0.0.9"), string(k.ID)))(t); len(r.Uses) != 0 || r.Made() != 4 {
			t.Errorf("after a year: %+v", r)
		}
	})
}

// What a key does as a part of another domain's operation is a use, too: a key that AWS uses over
// the XKS Proxy API is not idle.
func TestPartsOfOperationsAreCounted(t *testing.T) {
	a := cluster(t, storetest.SQLite(t), "a")[0]
	c := a.as("root", "10.0.0.1")
	k := must(a.keys.Create(t.Context(), c, lifecycle.CreateInput{}))(t)
	rec := audit.NewRecord(c, "keyward:Test")
	in := cryptography.DetachedInput{Key: string(k.ID), Plaintext: material.NewBytes([]byte("x"))}
	message := must(a.keys.EncryptDetachedFor(t.Context(), c, rec, in))(t)
	must(a.keys.DecryptDetachedFor(t.Context(), c, rec, cryptography.DetachedInput{Key: string(k.ID), Message: message}))(t)
	if _, err := a.keys.DecryptDetachedFor(t.Context(), c, rec, cryptography.DetachedInput{Key: string(k.ID), Message: message, Data: []byte("other")}); err == nil {
		t.Error("it decrypts with other data")
	}
	made := must(a.keys.DataKeyFor(t.Context(), c, rec, cryptography.DataKeyInput{Key: string(k.ID), Size: 32}))(t)
	must(a.keys.DecryptFor(t.Context(), c, rec, cryptography.DecryptInput{Ciphertext: made.Blob}))(t)
	have := map[string]int64{}
	for _, u := range must(a.Usage(t.Context(), c, string(k.ID)))(t).Uses {
		have[u.Action] += u.N
	}
	if diff := cmp.Diff(map[string]int64{"kms:Encrypt": 1, "kms:GenerateDataKey": 1, "kms:Decrypt": 2}, have); diff != "" {
		t.Errorf("uses (-want +have):\n%s", diff)
	}
}

// What was only tried, and what was refused in the middle, is no use of any key.
func TestWhatDidNotSucceedIsNotCounted(t *testing.T) {
	a := cluster(t, storetest.SQLite(t), "a")[0]
	c := a.as("root", "10.0.0.1")
	k := must(a.keys.Create(t.Context(), c, lifecycle.CreateInput{}))(t)
	rsa := must(a.keys.Create(t.Context(), c, lifecycle.CreateInput{Spec: material.RSA2048, Usage: key.EncryptDecrypt}))(t)
	to := cryptography.Export{Wrapping: material.WrapOAEPSHA256}
	var err error
	if _, to.PublicKey, err = material.Generate(to.Wrapping.Key()); err != nil {
		t.Fatal(err)
	}
	sealed := a.encrypt(t, c, k.ID, nil).Blob
	long := must(a.keys.Encrypt(t.Context(), c, cryptography.EncryptInput{Key: string(k.ID), Plaintext: material.NewBytes(make([]byte, 1000))}))(t).Blob
	by := cryptography.AsymmetricInput{Key: string(rsa.ID), Version: rsa.Primary, Algorithm: material.OAEPSHA256}
	under := must(a.keys.AsymmetricEncrypt(t.Context(), c, by, material.NewBytes([]byte("x"))))(t).Blob
	before := map[key.ID][]usage.VersionCount{}
	for _, id := range []key.ID{k.ID, rsa.ID} {
		before[id] = must(a.Usage(t.Context(), c, string(id)))(t).Versions
	}
	again := cryptography.ReEncryptInput{Ciphertext: sealed, Destination: string(k.ID)}
	outside := cryptography.ReEncryptInput{Ciphertext: under, SourceKey: by.Key, SourceVersion: by.Version, SourceAlgorithm: by.Algorithm, Destination: string(k.ID)}
	by.DryRun = true
	for name, try := range map[string]func() error{
		"a dry decryption": func() error {
			_, err := a.keys.Decrypt(t.Context(), c, cryptography.DecryptInput{Ciphertext: sealed, DryRun: true})
			return err
		},
		"a dry decryption by RSA": func() error {
			_, err := a.keys.AsymmetricDecrypt(t.Context(), c, by, under)
			return err
		},
		"a dry export": func() error {
			_, err := a.keys.ExportDataKey(t.Context(), c, cryptography.ExportInput{Ciphertext: sealed, To: to, DryRun: true})
			return err
		},
		"an export of too much": func() error {
			_, err := a.keys.ExportDataKey(t.Context(), c, cryptography.ExportInput{Ciphertext: long, To: to})
			return err
		},
		"a dry re-encryption": func() error {
			dry := again
			dry.DryRun = true
			_, err := a.keys.ReEncrypt(t.Context(), c, dry)
			return err
		},
		"a dry re-encryption from RSA": func() error {
			dry := outside
			dry.DryRun = true
			_, err := a.keys.ReEncrypt(t.Context(), c, dry)
			return err
		},
		"a re-encryption to where it cannot go": func() error {
			nowhere := again
			nowhere.Destination = string(rsa.ID)
			_, err := a.keys.ReEncrypt(t.Context(), c, nowhere)
			return err
		},
	} {
		if err := try(); err == nil {
			t.Errorf("%s succeeded", name)
		}
		for id, want := range before {
			if diff := cmp.Diff(want, must(a.Usage(t.Context(), c, string(id)))(t).Versions); diff != "" {
				t.Errorf("%s was counted (-before +after):\n%s", name, diff)
			}
		}
	}
	must(a.keys.ReEncrypt(t.Context(), c, outside))(t)
	for id, more := range map[key.ID]int64{k.ID: 1, rsa.ID: 1} {
		if now := must(a.Usage(t.Context(), c, string(id)))(t).Versions; now[0].Used != before[id][0].Used+more {
			t.Errorf("a re-encryption was counted as %d uses of %s", now[0].Used-before[id][0].Used, id)
		}
	}
}

// What is beyond the bound is counted as others, and nothing is lost of the sums.
func TestUsesAreBounded(t *testing.T) {
	a := cluster(t, storetest.SQLite(t), "a")[0]
	k := must(a.keys.Create(t.Context(), a.as("root", "10.0.0.9"), lifecycle.CreateInput{}))(t)
	const uses = usage.MaxUses + 500
	for i := range uses {
		c := a.as("root", fmt.Sprintf("10.1.%d.%d", i/256, i%256))
		a.counter.Note(c, "kms:Encrypt", &k, k.Primary, nil)
	}
	flushed(t, a)
	r := must(a.Usage(t.Context(), a.as("root", "10.0.0.9"), string(k.ID)))(t)
	var sum, others int64
	for _, u := range r.Uses {
		if sum += u.N; u.Principal == usage.Others {
			others = u.N
		}
	}
	if len(r.Uses) != usage.MaxUses+1 || sum != uses || others != 500 || r.Made() != uses {
		t.Errorf("%d uses with the sum %d, %d others, %d made", len(r.Uses), sum, others, r.Made())
	}
}

// What cannot be stored is counted on, and many at once lose nothing.
func TestNothingIsLostWhileServing(t *testing.T) {
	a := cluster(t, storetest.SQLite(t), "a")[0]
	k := must(a.keys.Create(t.Context(), a.as("root", "10.0.0.9"), lifecycle.CreateInput{}))(t)
	c := a.as("root", "10.0.0.1")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 5000 {
				a.counter.Note(c, "kms:Decrypt", &k, k.Primary, nil)
			}
		})
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	served := make(chan struct{})
	go func() { all.Wait(); close(served) }()
	for serving := true; serving; {
		select {
		case <-served:
			serving = false
		default:
			_ = a.Flush(gone) // it stores nothing, and loses nothing
		}
	}
	if err := a.Flush(gone); err == nil {
		t.Error("a cancelled storing succeeded")
	}
	look := *c
	look.Kind, look.Name = authz.Service, "secrets" // the scrub
	a.counter.Note(&look, "kms:Decrypt", &k, k.Primary, nil)
	flushed(t, a)
	r := must(a.Usage(t.Context(), c, string(k.ID)))(t)
	if len(r.Versions) != 1 || r.Versions[0].Used != 40_000 || r.Made() != 0 {
		t.Errorf("counted %+v", r.Versions)
	}
}

// The product is told by who calls, and then by what the encryption context says.
func TestProducts(t *testing.T) {
	for _, c := range []struct {
		p    authz.Principal
		of   material.Context
		want string
	}{
		{authz.Principal{Kind: authz.User, Name: "ada"}, nil, ""},
		{authz.Principal{Kind: authz.User, Name: "ada"}, material.Context{"a": "b", "acs:": "x", "acs:RDS": "x"}, ""},
		{authz.Principal{Kind: authz.User, Name: "ada"}, material.Context{"acs:RDS:arn": "x", "aws:s3:arn": "y"}, "rds"},
		{authz.Principal{Kind: authz.User, Name: "ada"}, material.Context{"keyward:secret": "x"}, "keyward/secrets"},
		{authz.Principal{Kind: authz.Service, Name: "rotations"}, nil, "keyward/rotations"},
		{authz.Principal{Kind: "assumed-role", Name: "AliyunServiceRoleForECS"}, material.Context{"acs:oss:arn": "x"}, "ecs"},
	} {
		if have := usage.ProductOf(c.p, c.of); have != c.want {
			t.Errorf("%+v, %v: %q, want %q", c.p, c.of, have, c.want)
		}
	}
}

// Counting costs the operation no more than some hundred nanoseconds.
func BenchmarkNote(b *testing.B) {
	counter, k := usage.NewCounter(), key.Key{Account: account, ID: "key-1"}
	c := &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.User, Name: "ada"}, Time: noon, Source: netip.MustParseAddr("10.0.0.1")}
	of := material.Context{"acs:oss:arn": "bucket"}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			counter.Note(c, "kms:Encrypt", &k, "v1", of)
		}
	})
}
