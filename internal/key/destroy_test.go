package key_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A watched keystore is that of software keys, also for those that say they are in a token.
type watched struct {
	key.Importer
	world *world
}

func (w *watched) Destroy(ctx context.Context, k key.Key) error {
	if w.world.destroyed != nil {
		return w.world.destroyed(k)
	}
	return w.Importer.Destroy(ctx, k)
}

// Material outside of the database is destroyed once, and only when nobody can keep the key
// any more.
func TestMaterialIsDestroyedAfterTheLastWord(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := open(t, url)
		c := root(account)
		k := must(w.Create(t.Context(), c, lifecycle.CreateInput{ProtectionLevel: key.LevelHSM}))(t)
		kept := must(w.Create(t.Context(), c, lifecycle.CreateInput{ProtectionLevel: key.LevelHSM}))(t)
		for _, id := range []key.ID{k.ID, kept.ID} {
			if err := w.ScheduleDeletion(t.Context(), c, string(id), 7); err != nil {
				t.Fatal(err)
			}
		}
		w.pass(t, 7*24*time.Hour-time.Second)
		if err := w.CancelDeletion(t.Context(), c, string(kept.ID)); err != nil {
			t.Fatal(err)
		}
		var asked []key.ID
		w.destroyed = func(k key.Key) error {
			asked = append(asked, k.ID)
			want(t, w.CancelDeletion(t.Context(), c, string(k.ID)), fault.StateConflict)
			if len(asked) == 1 {
				return errors.New("the token is away")
			}
			return nil
		}
		w.pass(t, time.Second)
		if len(asked) != 1 {
			t.Fatalf("destroyed %v", asked)
		}
		if state := must(w.Describe(t.Context(), c, string(k.ID)))(t).State; state != key.PendingDeletion {
			t.Errorf("while the token is away the key is %s", state)
		}
		w.pass(t, time.Hour) // the job is tried again
		_, err := w.Describe(t.Context(), c, string(k.ID))
		want(t, err, fault.KeyNotFound)
		if len(asked) != 2 || asked[1] != k.ID {
			t.Errorf("destroyed %v", asked)
		}
		if state := must(w.Describe(t.Context(), c, string(kept.ID)))(t).State; state != key.Enabled {
			t.Errorf("a key whose deletion was cancelled is %s", state)
		}
	})
}
