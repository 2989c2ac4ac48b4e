package proof

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/anchor"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/key/keytest"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/scrub"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/kms"
)

const plantLog = "keyward/plant"

// A plant is a whole keyward without its network: what internal/app wires, in a
// directory, so that thousands can be opened in a minute.
type plant struct {
	dir     string
	now     time.Time
	db      *database.DB
	keyring *seal.Keyring
	log     *audit.Log
	store   *bound.Store
	anchor  *anchor.Anchor
	iam     *iam.Service
	keys    *keytest.Services
	secrets *secret.Service
	scrub   *scrub.Scrubber
	stops   []func()
}

// openPlant opens the database in dir, as a start and an unsealing of the server does.
func openPlant(ctx context.Context, dir string, now time.Time) (_ *plant, err error) {
	p := &plant{dir: dir, now: now}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if p.db, err = database.Open(ctx, "sqlite:"+p.path("keyward.db")); err != nil {
		return nil, err
	}
	p.stops = append(p.stops, func() { _ = p.db.Close() })
	passphrase := material.NewBytes([]byte(sealtest.Passphrase))
	envelopes, err := p.db.Envelopes(ctx)
	if err != nil {
		return nil, err
	}
	if fresh := len(envelopes) == 0 && !p.has("checkpoint"); fresh {
		p.keyring, err = sealtest.Initialize(ctx, p.db, passphrase, sealtest.Options{Now: now, Cost: sealtest.Cost()})
	} else {
		p.keyring, err = sealtest.Unseal(ctx, p.db, passphrase)
	}
	if err != nil {
		return nil, err
	}
	p.stops = append(p.stops, p.keyring.Close)
	return p, p.wire(ctx)
}

func (p *plant) path(name string) string { return filepath.Join(p.dir, name) }

func (p *plant) has(name string) bool {
	_, err := os.Stat(p.path(name))
	return err == nil
}

func (p *plant) clock() time.Time { return p.now }

func (p *plant) wire(ctx context.Context) error {
	id, private, err := p.identity(ctx)
	if err != nil {
		return err
	}
	remembered, err := os.ReadFile(p.path("checkpoint"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if p.log, err = audit.Open(ctx, audit.Options{
		Store: p.db, Origin: plantLog, PrivateKey: private, PublicKey: id.PublicKey, Remembered: remembered, Now: p.clock,
	}); err != nil {
		return err
	}
	logs := anchor.Options{
		Reader: p.db, Own: plantLog, Keys: p.keyring, Trust: func(id audit.Identity) error { _, err := p.private(id); return err },
		Load: func() ([]byte, error) { b, _ := os.ReadFile(p.path("anchor")); return b, nil },
		Save: func(b []byte) error { return os.WriteFile(p.path("anchor"), b, 0o600) },
	}
	if p.anchor, err = anchor.Open(ctx, logs); err != nil {
		return err
	}
	quiet := slog.New(slog.DiscardHandler)
	p.store = bound.New(bound.Options{DB: p.db, Log: p.log, Keys: p.keyring, Anchor: p.anchor, Logger: quiet, Changed: func(table, id string) {
		p.iam.Changed(table, id)
		p.keys.Changed(table, id)
		p.secrets.Changed(table, id)
	}})
	if p.iam, err = iam.New(iam.Options{Store: identity.Store{Store: p.store}, Log: p.log, Keyring: p.keyring, Logger: quiet, Now: p.clock, Fresh: p.store.Fresh}); err != nil {
		return err
	}
	p.keys = keytest.New(keytest.Options{Store: kms.Store{Store: p.store}, Tenants: p.iam, Log: p.log, Now: p.clock, Fresh: p.store.Fresh})
	p.secrets = secret.New(secret.Options{
		Store: kms.Store{Store: p.store}, Keys: p.keys.Keys, Crypto: p.keys.Crypto, Log: p.log, Region: "cn-test", Now: p.clock, After: func(_ context.Context, d time.Duration) (time.Duration, error) { return d, nil }, Fresh: p.store.Fresh,
	})
	p.scrub = scrub.New(scrub.Options{
		DB: p.db, Store: p.store, Anchor: p.anchor, Logs: logs, IAM: p.iam, Keys: p.keys.Keys, Ring: p.keys.Ring, Secrets: p.secrets, Log: p.log, Now: p.clock, Logger: quiet,
	})
	running, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { _ = p.log.Run(running) }) // it answers nil
	p.stops = append(p.stops, func() { cancel(); done.Wait() })
	return nil
}

// private opens the key of a log, which must be one of this server's.
func (p *plant) private(id audit.Identity) (string, error) {
	private, err := p.keyring.OpenBytes(seal.AuditSign, []byte("test "+id.Origin), id.SealedKey)
	if err != nil {
		return "", err
	}
	return string(private.Expose()), audit.CheckKey(id, string(private.Expose()))
}

func (p *plant) identity(ctx context.Context) (audit.Identity, string, error) {
	logs, err := p.db.Logs(ctx)
	if err != nil {
		return audit.Identity{}, "", err
	}
	if i := slices.IndexFunc(logs, func(id audit.Identity) bool { return id.Origin == plantLog }); i >= 0 {
		private, err := p.private(logs[i])
		return logs[i], private, err
	}
	if p.has("checkpoint") {
		return audit.Identity{}, "", errors.New("the log is gone")
	}
	private, public, err := audit.GenerateKey(plantLog)
	if err != nil {
		return audit.Identity{}, "", err
	}
	sealed, err := p.keyring.SealBytes(seal.AuditSign, []byte("test "+plantLog), material.NewBytes([]byte(private)))
	if err != nil {
		return audit.Identity{}, "", err
	}
	id := audit.Identity{Origin: plantLog, PublicKey: public, SealedKey: sealed}
	return id, private, p.db.CreateLog(ctx, id)
}

// remember does what a server does now and then, and when it stops.
func (p *plant) remember(t *testing.T) {
	t.Helper()
	logs := must(p.db.Logs(t.Context()))(t)
	head := must(audit.OpenCheckpoint(p.log.Checkpoint(), logs[0].PublicKey))(t)
	if err := errors.Join(p.anchor.Save(head), os.WriteFile(p.path("checkpoint"), p.log.Checkpoint(), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func (p *plant) close() {
	for _, stop := range slices.Backward(p.stops) {
		stop()
	}
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

func rootOf(account string) *authz.Call {
	return &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.Root, Name: iam.RootName}}
}

func theOperator() *authz.Call {
	return &authz.Call{Principal: authz.Principal{Kind: authz.Service, Name: "operator"}}
}

// A question is one thing that a client can ask; its answer is rendered.
type question struct {
	name string
	ask  func(ctx context.Context, p *plant) (any, error)
}

// A story is a plant with a past, and everything that can be asked about it.
type story struct {
	t         *testing.T
	p         *plant
	questions []question
	happened  func() // is called after each change
}

func (s *story) ask(name string, ask func(ctx context.Context, p *plant) (any, error)) {
	s.questions = append(s.questions, question{name, ask})
}

func (s *story) did(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	s.happened()
}

// tell makes accounts, each with something of everything: users with and without
// policies, denied and disabled, access keys alive, disabled and deleted, keys of several
// kinds and in every state, rotated ones, aliases moved, deleted and made again.
func (s *story) tell(accounts ...string) {
	for _, name := range accounts {
		f := must(s.p.iam.CreateAccount(s.t.Context(), theOperator(), name))(s.t)
		s.happened()
		s.people(f.Account.ID, f.Key.AccessKey.ID)
		s.keys(f.Account.ID)
		account := rootOf(f.Account.ID)
		s.ask(name+" keys", func(ctx context.Context, p *plant) (any, error) {
			out, n, err := p.keys.List(ctx, account, key.Filter{}, key.Page{Number: 1, Size: 100})
			return []any{out, n}, err
		})
		s.ask(name+" aliases", func(ctx context.Context, p *plant) (any, error) {
			out, n, err := p.keys.ListAliases(ctx, account, key.Page{Number: 1, Size: 100})
			return []any{out, n}, err
		})
		s.ask(name+" users", func(ctx context.Context, p *plant) (any, error) {
			return p.iam.ListUsers(ctx, account, iam.Page{Limit: 100})
		})
		s.ask(name+" policies", func(ctx context.Context, p *plant) (any, error) {
			return p.iam.ListPolicies(ctx, account, iam.Page{Limit: 100})
		})
		s.ask(name+" access keys", func(ctx context.Context, p *plant) (any, error) {
			return p.iam.ListAccessKeys(ctx, account, "", iam.Page{Limit: 100})
		})
	}
	s.ask("accounts", func(ctx context.Context, p *plant) (any, error) {
		return p.iam.ListAccounts(ctx, theOperator(), iam.Page{Limit: 100})
	})
	records := int64(0)
	if out, _, err := audit.List(s.t.Context(), s.p.db, audit.Query{Limit: 1000, Oldest: true}); err == nil {
		records = int64(len(out))
	}
	s.ask("audit records", func(ctx context.Context, p *plant) (any, error) {
		out, _, err := audit.List(ctx, p.db, audit.Query{Limit: int(records), Oldest: true})
		return out, err
	})
}

func (s *story) people(account, first string) {
	ctx, root, who := s.t.Context(), rootOf(account), s.p.iam
	statement := func(effect string) string {
		return `{"Version":"1","Statement":[{"Effect":"` + effect + `","Action":"kms:*","Resource":"*"}]}`
	}
	for _, policy := range []string{"allow", "deny", "gone"} {
		document := statement("Allow")
		if policy == "deny" {
			document = statement("Deny")
		}
		_, err := who.CreatePolicy(ctx, root, iam.NewPolicy{Name: policy, Document: document})
		s.did(err)
	}
	access := []string{first}
	for _, user := range []string{"allowed", "denied", "disabled", "nobody", "gone"} {
		_, err := who.CreateUser(ctx, root, user, "remark")
		s.did(err)
		k, err := who.CreateAccessKey(ctx, root, iam.NewAccessKey{User: user})
		s.did(err)
		access = append(access, k.AccessKey.ID)
		if user != "nobody" {
			s.did(who.AttachPolicy(ctx, root, user, "allow"))
		}
	}
	s.did(who.AttachPolicy(ctx, root, "denied", "deny"))
	off := false
	_, err := who.UpdateUser(ctx, root, "disabled", iam.UserChange{Enabled: &off})
	s.did(err)
	k, err := who.CreateAccessKey(ctx, root, iam.NewAccessKey{User: "allowed"})
	s.did(err)
	_, err = who.UpdateAccessKey(ctx, root, k.AccessKey.ID, iam.AccessKeyChange{Enabled: &off})
	s.did(err)
	access = append(access, k.AccessKey.ID)
	s.did(who.DeleteAccessKey(ctx, root, access[5]))
	s.did(who.DeleteUser(ctx, root, "gone"))
	s.did(who.DeletePolicy(ctx, root, "gone"))
	for _, policy := range []string{"allow", "deny", "gone"} {
		s.ask("policy "+policy+account, func(ctx context.Context, p *plant) (any, error) { return p.iam.GetPolicy(ctx, root, policy) })
	}
	for _, user := range []string{"root", "admin", "allowed", "denied", "disabled", "nobody", "gone"} {
		s.ask("user "+user+account, func(ctx context.Context, p *plant) (any, error) { return p.iam.GetUser(ctx, root, user) })
	}
	for _, id := range access {
		s.ask("access key "+id, func(ctx context.Context, p *plant) (any, error) {
			c, err := p.iam.Credential(ctx, id)
			if err != nil {
				return nil, err
			}
			d := (&authz.Call{Principal: c.Principal}).Decide(authz.Request{Action: "kms:Decrypt", Resource: "acs:kms:cn-test:" + account + ":key/x"})
			return []any{c.Secret.Expose(), fault.KindOf(c.Refusal), c.Principal.ARN(), d.String()}, nil
		})
	}
}

func (s *story) keys(account string) {
	ctx, root := s.t.Context(), rootOf(account)
	for _, name := range []string{"plain", "sm4", "rotated", "disabled", "protected", "pending", "gone", "signer"} {
		in := lifecycle.CreateInput{Alias: "alias/" + name, Description: name, Tags: []key.Tag{{Key: "n", Value: name}}}
		switch name {
		case "sm4":
			in.Spec, in.Rotate, in.Interval = material.SM4, true, 30*24*time.Hour
		case "signer":
			in.Spec = "EC_P256"
		}
		k, err := s.p.keys.Create(ctx, root, in)
		s.did(err)
		id := string(k.ID)
		s.ask("key "+name+account, func(ctx context.Context, p *plant) (any, error) { return p.keys.Describe(ctx, root, id) })
		s.ask("alias "+name+account, func(ctx context.Context, p *plant) (any, error) {
			out, err := p.keys.Describe(ctx, root, "alias/"+name)
			return out.ID, err
		})
		s.ask("versions "+name+account, func(ctx context.Context, p *plant) (any, error) {
			out, n, err := p.keys.ListVersions(ctx, root, id, key.Page{Number: 1, Size: 100})
			return []any{out, n}, err
		})
		if name == "signer" {
			s.ask("public key "+account, func(ctx context.Context, p *plant) (any, error) {
				out, err := p.keys.PublicKey(ctx, root, id, k.Primary, false)
				return out.PEM, err // the other forms are made of it
			})
			continue
		}
		s.encrypt(root, id)
		s.live(root, name, id)
	}
	s.did(s.p.keys.UpdateAlias(ctx, root, "alias/plain", "alias/sm4"))
	s.did(s.p.keys.DeleteAlias(ctx, root, "alias/rotated"))
	s.did(s.p.keys.CreateAlias(ctx, root, "alias/rotated", "alias/sm4"))
	s.did(s.p.keys.DeleteAlias(ctx, root, "alias/disabled"))
}

func (s *story) encrypt(root *authz.Call, id string) {
	out := must(s.p.keys.Encrypt(s.t.Context(), root, cryptography.EncryptInput{Key: id, Plaintext: material.NewBytes([]byte("plain of " + id))}))(s.t)
	s.ask("decrypt with "+string(out.Version), func(ctx context.Context, p *plant) (any, error) {
		got, err := p.keys.Decrypt(ctx, root, cryptography.DecryptInput{Ciphertext: out.Blob})
		return string(got.Data.Expose()), err
	})
}

// live has happen to a key what its name says.
func (s *story) live(root *authz.Call, name, id string) {
	ctx, keys := s.t.Context(), s.p.keys
	switch name {
	case "rotated":
		s.p.now = s.p.now.Add(8 * 24 * time.Hour)
		_, err := keys.CreateVersion(ctx, root, id)
		s.did(err)
		s.encrypt(root, id)
	case "disabled":
		s.did(keys.Disable(ctx, root, id))
	case "protected":
		s.did(keys.SetDeletionProtection(ctx, root, id, true, "payments"))
	case "pending":
		s.did(keys.ScheduleDeletion(ctx, root, id, 366))
	case "gone":
		s.did(keys.ScheduleDeletion(ctx, root, id, 7))
		s.p.now = s.p.now.Add(7*24*time.Hour + time.Second)
		_, err := keys.Handlers()[key.JobDelete](ctx, job.Job{Kind: key.JobDelete, Account: root.Account, Subject: id})
		s.did(err)
	}
}

// answers asks everything at once, so that the records share their commits.
func (p *plant) answers(ctx context.Context, questions []question) map[string]answer {
	out := make([]answer, len(questions))
	var wg sync.WaitGroup
	for i, q := range questions {
		wg.Go(func() {
			v, err := q.ask(ctx, p)
			out[i] = answer{kind: fault.KindOf(err)}
			if err == nil {
				out[i].text = fmt.Sprintf("%+v", v)
			}
		})
	}
	wg.Wait()
	byName := map[string]answer{}
	for i, q := range questions {
		byName[q.name] = out[i]
	}
	return byName
}

// An answer is what was answered, or the kind of the refusal.
type answer struct {
	text string
	kind fault.Kind
}

// alarming tells whether an answer says that the server cannot do its work, rather than
// something about what was asked.
func (a answer) alarming() bool {
	return a.kind == fault.Internal || a.kind == fault.Unavailable || a.kind == fault.AuditUnavailable
}
