package engine_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/paysim"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/engine"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/store/fleet"
	"github.com/keyward/keyward/internal/store/storetest"
)

// Two plans never have one key, whatever secrets and providers they name it by.
func TestTwoPlansOfOneKey(t *testing.T) {
	w, ctx := newWorld(t, storetest.SQLite(t)), t.Context()
	parts := w.credential(t)
	put := func(name string, parts map[string]string) {
		text, err := json.Marshal(parts)
		check(t, err)
		_, err = w.secrets.Create(ctx, root(), secret.CreateInput{Name: name, Data: material.NewBytes(text)})
		check(t, err)
	}
	put("pay/copy", map[string]string{"id": parts["key_id"], "value": parts["key_secret"]})
	admin := w.platform.AddMerchant("other")
	id, value, err := w.platform.AddKey("other", "by hand", 0)
	check(t, err)
	put("other/key", map[string]string{"key_id": id, "key_secret": value})
	provider := func(name, merchant, admin string) {
		_, _, err = w.stock.Add(ctx, root(), name, "http", accesskey.Draft{Unchecked: true, Filling: form.Filling{
			Settings: map[string]string{"vars": fmt.Sprintf(`{"url":%q,"merchant":%q}`, w.url, merchant)},
			Credential: map[string]material.Bytes{
				"credential": material.NewBytes([]byte(admin)), "definition_file": material.NewBytes(paysim.Definition()),
			},
		}})
		check(t, err)
	}
	provider("other", "other", admin)
	care := rotation.DefaultCare()
	refused := func(what string, p rotation.Plan) {
		t.Helper()
		if _, err := w.SavePlan(ctx, root(), p); !fault.Is(err, fault.ResourceInUse) || !strings.Contains(err.Error(), "plan pay") {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("a copy", rotation.Plan{Name: "two", Source: "pay", Principal: merchant, Secret: "pay/copy", Care: care})
	_, err = w.SavePlan(ctx, root(), rotation.Plan{Name: "other", Source: "other", Principal: "other", Secret: "other/key", Care: care})
	check(t, err)

	stored := fleet.Rotations{Store: w.node.Store}
	pay, err := stored.Plan(ctx, account, "pay")
	check(t, err)
	two := rotation.Plan{Account: account, Name: "two", Source: "other", Principal: "other", Secret: "pay/copy", Key: pay.Key, Care: care, CreatedAt: w.clock(), LastAt: w.clock()}
	check(t, stored.SavePlan(ctx, storetest.Record("Test"), &two, nil))
	for _, name := range []string{"pay", "two"} {
		if _, err := w.Start(ctx, root(), engine.StartInput{Plan: name}); !fault.Is(err, fault.ResourceInUse) {
			t.Errorf("starting %s, whose key another one replaces, too: %v", name, err)
		}
	}
	check(t, w.DeletePlan(ctx, root(), "two"))
	two.Rev, two.Secret = 0, "other/copy" // the id alone is alike
	put("other/copy", map[string]string{"id": pay.Key, "value": "another-value"})
	check(t, stored.SavePlan(ctx, storetest.Record("Test"), &two, nil))
	_, err = w.Start(ctx, root(), engine.StartInput{Plan: "pay"})
	check(t, err)
}

func TestWhoseKeysAreReplacedSideBySide(t *testing.T) {
	for want, all := range map[bool][]rotation.Means{
		true:  {{Archetype: rotation.Manual}, {Archetype: rotation.Counterparty}, {Archetype: rotation.Multi, Tagged: true}, {Archetype: rotation.Multi, Tagged: true, MaxKeys: 5}},
		false: {{Archetype: rotation.Pair, Tagged: true, MaxKeys: 2}, {Archetype: rotation.Multi}, {Archetype: rotation.Promote, MaxKeys: 2}},
	} {
		for _, m := range all {
			if m.Shares() != want {
				t.Errorf("%+v: %t", m, m.Shares())
			}
		}
	}
}
