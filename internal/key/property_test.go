package key_test

import (
	"cmp"
	"flag"
	"os"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A model is what a key should be like, written down without looking at the service.
type model struct {
	id        string
	state     key.State
	protected bool
	rotating  time.Duration // 0 for off
	rotated   time.Time
	versions  int
	deleteAt  time.Time
	made      map[string]string // ciphertext → plaintext
}

// Whatever is done to keys and aliases in whatever order, at whatever time: states move
// along the allowed edges only, a key that cannot be used is not, every ciphertext ever
// answered decrypts exactly while its key is enabled, a deletion happens neither early
// nor against protection, rotation happens when it is due, an alias points at one
// existing key.
func TestLifeOfKeys(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	// SQLite under the race detector takes its time; KEYWARD_CHECKS asks for more lives.
	checks := cmp.Or(os.Getenv("KEYWARD_CHECKS"), "12")
	if err := flag.Set("rapid.checks", checks); err != nil {
		t.Fatal(err)
	}
	accounts := int64(1_000_000_000_000_000)
	rapid.Check(t, func(rt *rapid.T) {
		accounts++
		m := machine{t: rt, tb: t, w: w, account: strconv.FormatInt(accounts, 10), aliases: map[string]string{}}
		rt.Repeat(map[string]func(*rapid.T){
			"create": m.create, "disable": m.disable, "enable": m.enable, "schedule": m.schedule, "cancel": m.cancel,
			"protect": m.protect, "rotate": m.rotate, "encrypt": m.encrypt, "alias": m.alias, "time": m.time, "": m.check,
		})
	})
}

type machine struct {
	t       *rapid.T
	tb      testing.TB
	w       *world
	account string
	keys    []*model
	aliases map[string]string
}

func (m *machine) any(t *rapid.T) *model {
	if len(m.keys) == 0 {
		t.Skip("no key yet")
	}
	return rapid.SampledFrom(m.keys).Draw(t, "key")
}

func (m *machine) expect(t *rapid.T, err error, kind fault.Kind) {
	if fault.KindOf(err) != kind {
		t.Fatalf("have %v, want %q", err, kind)
	}
}

func (m *machine) create(t *rapid.T) {
	if len(m.keys) == 3 {
		t.Skip("enough keys")
	}
	k, err := m.w.Create(m.tb.Context(), root(m.account), lifecycle.CreateInput{Spec: material.SM4})
	m.expect(t, err, "")
	m.keys = append(m.keys, &model{id: string(k.ID), state: key.Enabled, rotated: m.w.clock(), versions: 1, made: map[string]string{}})
}

func (m *machine) disable(t *rapid.T) {
	k := m.any(t)
	err := m.w.Disable(m.tb.Context(), root(m.account), k.id)
	if k.state == key.PendingDeletion {
		m.expect(t, err, fault.StateConflict)
		return
	}
	m.expect(t, err, "")
	k.state = key.Disabled
}

func (m *machine) enable(t *rapid.T) {
	k := m.any(t)
	err := m.w.Enable(m.tb.Context(), root(m.account), k.id)
	if k.state == key.PendingDeletion {
		m.expect(t, err, fault.StateConflict)
		return
	}
	m.expect(t, err, "")
	k.state = key.Enabled
}

func (m *machine) schedule(t *rapid.T) {
	k := m.any(t)
	days := rapid.IntRange(7, 30).Draw(t, "days")
	err := m.w.ScheduleDeletion(m.tb.Context(), root(m.account), k.id, days)
	switch {
	case k.protected:
		m.expect(t, err, fault.UnsupportedOperation)
	case k.state == key.PendingDeletion:
		m.expect(t, err, fault.StateConflict)
	default:
		m.expect(t, err, "")
		k.state, k.deleteAt = key.PendingDeletion, m.w.clock().Add(time.Duration(days)*24*time.Hour)
	}
}

func (m *machine) cancel(t *rapid.T) {
	k := m.any(t)
	err := m.w.CancelDeletion(m.tb.Context(), root(m.account), k.id)
	if k.state != key.PendingDeletion {
		m.expect(t, err, fault.StateConflict)
		return
	}
	m.expect(t, err, "")
	k.state = key.Enabled
}

func (m *machine) protect(t *rapid.T) {
	k, on := m.any(t), rapid.Bool().Draw(t, "on")
	err := m.w.SetDeletionProtection(m.tb.Context(), root(m.account), k.id, on, "")
	if on && k.state == key.PendingDeletion {
		m.expect(t, err, fault.StateConflict)
		return
	}
	m.expect(t, err, "")
	k.protected = on
}

func (m *machine) rotate(t *rapid.T) {
	k := m.any(t)
	interval := time.Duration(rapid.IntRange(0, 20).Draw(t, "days")) * 24 * time.Hour
	err := m.w.UpdateRotationPolicy(m.tb.Context(), root(m.account), k.id, interval > 0, interval)
	switch {
	case k.state == key.Disabled:
		m.expect(t, err, fault.KeyDisabled)
	case k.state == key.PendingDeletion:
		m.expect(t, err, fault.KeyPendingDeletion)
	case interval > 0 && interval < 7*24*time.Hour:
		m.expect(t, err, fault.InvalidParameter)
	default:
		m.expect(t, err, "")
		k.rotating = interval
	}
}

func (m *machine) encrypt(t *rapid.T) {
	k, plain := m.any(t), rapid.StringN(1, 20, 40).Draw(t, "plaintext")
	ct, err := m.w.Encrypt(m.tb.Context(), root(m.account), cryptography.EncryptInput{Key: k.id, Plaintext: material.NewBytes([]byte(plain))})
	m.expect(t, err, k.refusal())
	if err == nil {
		k.made[string(ct.Blob)] = plain
	}
}

func (k *model) refusal() fault.Kind {
	return map[key.State]fault.Kind{key.Disabled: fault.KeyDisabled, key.PendingDeletion: fault.KeyPendingDeletion}[k.state]
}

func (m *machine) alias(t *rapid.T) {
	k, name := m.any(t), rapid.SampledFrom([]string{"alias/a", "alias/b"}).Draw(t, "name")
	_, exists := m.aliases[name]
	c, ctx := root(m.account), m.tb.Context()
	switch what := rapid.SampledFrom([]string{"create", "update", "delete"}).Draw(t, "what"); {
	case what == "delete" && exists:
		m.expect(t, m.w.DeleteAlias(ctx, c, name), "")
		delete(m.aliases, name)
	case what == "delete":
		m.expect(t, m.w.DeleteAlias(ctx, c, name), fault.AliasNotFound)
	case what == "create" && k.state == key.PendingDeletion:
		m.expect(t, m.w.CreateAlias(ctx, c, name, k.id), fault.StateConflict)
	case what == "create" && exists:
		m.expect(t, m.w.CreateAlias(ctx, c, name, k.id), fault.AliasExists)
	case what == "create":
		m.expect(t, m.w.CreateAlias(ctx, c, name, k.id), "")
		m.aliases[name] = k.id
	case k.state == key.PendingDeletion:
		m.expect(t, m.w.UpdateAlias(ctx, c, name, k.id), fault.KeyPendingDeletion)
	case !exists:
		m.expect(t, m.w.UpdateAlias(ctx, c, name, k.id), fault.AliasNotFound)
	default:
		m.expect(t, m.w.UpdateAlias(ctx, c, name, k.id), "")
		m.aliases[name] = k.id
	}
}

func (m *machine) time(t *rapid.T) {
	m.w.pass(m.tb, time.Duration(rapid.IntRange(0, 10*24).Draw(t, "hours"))*time.Hour)
	now := m.w.clock()
	var alive []*model
	for _, k := range m.keys {
		if k.state == key.PendingDeletion && !now.Before(k.deleteAt) {
			for name, id := range m.aliases {
				if id == k.id {
					delete(m.aliases, name)
				}
			}
			_, err := m.w.Describe(m.tb.Context(), root(m.account), k.id)
			m.expect(t, err, fault.KeyNotFound)
			continue
		}
		alive = append(alive, k)
	}
	m.keys = alive
}

// check holds every key and alias against the model.
func (m *machine) check(t *rapid.T) {
	ctx, c := m.tb.Context(), root(m.account)
	m.w.pass(m.tb, 0) // what an operation made due is due now
	for _, k := range m.keys {
		if k.rotating > 0 && k.state == key.Enabled && !m.w.clock().Before(k.rotated.Add(k.rotating)) {
			k.versions, k.rotated = k.versions+1, m.w.clock()
		}
		have, err := m.w.Describe(ctx, c, k.id)
		m.expect(t, err, "")
		if have.State != k.state || have.Versions != k.versions || have.Protected != k.protected || have.DeleteAt.IsZero() != (k.state != key.PendingDeletion) {
			t.Fatalf("have %+v, want %+v", have, *k)
		}
		for blob, plain := range k.made {
			pt, err := m.w.Decrypt(ctx, c, cryptography.DecryptInput{Ciphertext: []byte(blob)})
			m.expect(t, err, k.refusal())
			if err == nil && string(pt.Data.Expose()) != plain {
				t.Fatalf("decrypts to something else")
			}
			break // any one: map order is random, and there are many steps
		}
	}
	aliases, total, err := m.w.ListAliases(ctx, c, key.Page{Number: 1, Size: 100})
	if err != nil || total != len(m.aliases) {
		t.Fatalf("%d aliases, want %d; %v", total, len(m.aliases), err)
	}
	for _, a := range aliases {
		if m.aliases[a.Name] != string(a.Key) {
			t.Fatalf("%s points at %s, want %s", a.Name, a.Key, m.aliases[a.Name])
		}
	}
}
