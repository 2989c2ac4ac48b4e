package inventory_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/inventory"
	"github.com/keyward/keyward/internal/store/storetest"
)

var (
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	never time.Time
)

// shelf is an inventory with one source.
type shelf struct {
	inventory.Store
	src accesskey.Source
}

func newShelf(t *testing.T, url string) shelf {
	t.Helper()
	n := storetest.Start(t, storetest.Options{URL: url, Origin: "keyward/a", Keys: sealtest.Keyring(t)})
	s := shelf{inventory.Store{Store: n.Store}, accesskey.Source{
		Account: "1", Name: "prod", Kind: "fake", Settings: []form.Pair{{Name: "region", Value: "r"}}, Sealed: []byte("sealed"),
		Owner: "team", MaxAge: 100 * 24 * time.Hour, Pace: time.Hour, CreatedAt: noon,
	}}
	if err := s.CreateSource(t.Context(), storetest.Record("AddProvider"), &s.src, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s shelf) save(t *testing.T, whole bool, at time.Time, keys ...accesskey.Observed) {
	t.Helper()
	err := s.SaveSnapshot(t.Context(), storetest.Record("ObserveProvider"), accesskey.Save{
		Source: s.src, State: accesskey.State{Account: "1", Source: "prod", SucceededAt: at, Keys: len(keys)},
		Snapshot: accesskey.Snapshot{Keys: keys, Principals: []accesskey.Principal{{ID: "u1", Name: "alice", Kind: accesskey.User}}}, At: at, Whole: whole,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func observed(id string, created, expires time.Time) accesskey.Observed {
	o := accesskey.Observed{ID: id, Principal: "u1", Name: "name of " + id, Status: accesskey.Active, CreatedAt: created}
	if !expires.IsZero() {
		o.Expiry = accesskey.Expiry{At: expires, Basis: accesskey.Provided}
	}
	return o
}

func TestInventory(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		s := newShelf(t, url)
		old := observed("old", noon.Add(-99*24*time.Hour), never)
		new := observed("new/1", noon, noon.Add(48*time.Hour))
		s.save(t, true, noon, old, new)

		got, err := s.Key(t.Context(), "1", "prod", "new/1")
		if err != nil {
			t.Fatal(err)
		}
		want := accesskey.AccessKey{
			Account: "1", Source: "prod", Provider: "fake", Observed: new, Principal: accesskey.Principal{ID: "u1", Name: "alice", Kind: accesskey.User},
			Owner: "team", Due: accesskey.Expiry{At: noon.Add(48 * time.Hour), Basis: accesskey.Provided}, SeenFirst: noon,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +have\n%s", diff)
		}

		// What a person says is joined, moves the due date, and survives the next snapshot.
		r := accesskey.Remark{Account: "1", Source: "prod", Key: "old", Owner: "bob", Purpose: "pay", ExpiresAt: noon.Add(time.Hour), UpdatedAt: noon}
		said := accesskey.AccessKey{Observed: old, Remark: r, Owner: "bob", Due: accesskey.Due(old, r, s.src.MaxAge)}
		if err := s.SaveRemark(t.Context(), storetest.Record("RemarkAccessKey"), &said, nil); err != nil {
			t.Fatal(err)
		}
		s.save(t, true, noon.Add(time.Hour), old, new)
		got, err = s.Key(t.Context(), "1", "prod", "old")
		if err != nil || got.Remark.Purpose != "pay" || got.Owner != "bob" || got.Due != (accesskey.Expiry{At: noon.Add(time.Hour), Basis: accesskey.Declared}) {
			t.Errorf("have %+v, %v", got, err)
		}

		// A key that a whole snapshot lacks is gone; one that a partial one lacks stays.
		s.save(t, false, noon.Add(2*time.Hour), new)
		if got, err = s.Key(t.Context(), "1", "prod", "old"); err != nil || got.Observed.Status != accesskey.Active {
			t.Errorf("have %+v, %v", got, err)
		}
		if err := s.SaveSnapshot(t.Context(), storetest.Record("ObserveProvider"), accesskey.Save{
			Source: s.src, State: accesskey.State{Account: "1", Source: "prod"}, At: noon, Whole: true, Unread: map[string]bool{"u1": true},
		}); err != nil {
			t.Fatal(err)
		}
		if got, err = s.Key(t.Context(), "1", "prod", "old"); err != nil || got.Observed.Status != accesskey.Active {
			t.Errorf("its principal was not read: have %+v, %v", got, err)
		}
		s.save(t, true, noon.Add(3*time.Hour), new)
		if got, err = s.Key(t.Context(), "1", "prod", "old"); err != nil || got.Observed.Status != accesskey.Gone || !got.Due.At.IsZero() || !got.GoneAt.Equal(noon.Add(3*time.Hour)) {
			t.Errorf("have %+v, %v", got, err)
		}
		s.save(t, true, noon.Add(4*time.Hour), old, new) // and comes back
		if got, err = s.Key(t.Context(), "1", "prod", "old"); err != nil || got.Observed.Status != accesskey.Active || !got.GoneAt.IsZero() {
			t.Errorf("have %+v, %v", got, err)
		}
		states, err := s.States(t.Context(), "1")
		if err != nil || states["prod"].Keys != 2 {
			t.Errorf("states %+v, %v", states, err)
		}

		if err := s.DeleteSource(t.Context(), storetest.Record("RemoveProvider"), &s.src); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Key(t.Context(), "1", "prod", "old"); !fault.Is(err, fault.ResourceNotFound) {
			t.Errorf("a key of a removed source: %v", err)
		}
		if err := s.SaveState(t.Context(), accesskey.State{Account: "1", Source: "prod"}); err != nil {
			t.Fatal(err)
		}
		if states, _ := s.States(t.Context(), "1"); len(states) != 0 {
			t.Errorf("a removed source has a state: %+v", states)
		}
	})
}

// Pages of every order and filter, put together, are what one large page answers.
func TestInventoryPages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		s := newShelf(t, url)
		var keys []accesskey.Observed
		for i := range 60 {
			o := observed(fmt.Sprintf("k%02d", i*7%60), noon.Add(-time.Duration(i%5)*24*time.Hour), never)
			if i%3 == 0 {
				o.Expiry = accesskey.Expiry{At: noon.Add(time.Duration(i%4) * time.Hour), Basis: accesskey.Provided}
			}
			if i%7 == 0 {
				o.Status = accesskey.Inactive
			}
			keys = append(keys, o)
		}
		s.save(t, true, noon, keys...)
		rapid.Check(t, func(rt *rapid.T) {
			q := accesskey.Query{
				Order: rapid.SampledFrom([]accesskey.Order{accesskey.ByDue, accesskey.ByAge, accesskey.ByUse, accesskey.BySubject}).Draw(rt, "order"),
				Text:  rapid.SampledFrom([]string{"", "K1", "name of k2", "%", "_"}).Draw(rt, "text"),
				Owner: rapid.SampledFrom([]string{"", "-", "team"}).Draw(rt, "owner"),
				Limit: 100,
			}
			if rapid.Bool().Draw(rt, "active") {
				q.Status = accesskey.Active
			}
			if rapid.Bool().Draw(rt, "soon") {
				q.DueBefore = noon.Add(2 * time.Hour)
			}
			whole, next, err := s.Keys(t.Context(), "1", q)
			if err != nil || next != "" {
				rt.Fatal(next, err)
			}
			q.Limit = rapid.IntRange(1, 20).Draw(rt, "limit")
			var paged []accesskey.AccessKey
			for more := true; more; more = q.After != "" {
				var page []accesskey.AccessKey
				if page, q.After, err = s.Keys(t.Context(), "1", q); err != nil {
					rt.Fatal(err)
				}
				paged = append(paged, page...)
			}
			if diff := cmp.Diff(whole, paged); diff != "" {
				rt.Fatalf("-whole +paged\n%s", diff)
			}
		})
	})
}

// A large snapshot is stored in portions, and is the same as a small one; a source that
// changed meanwhile keeps what it had; what has been gone for long is forgotten.
func TestLargeSnapshots(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		s := newShelf(t, url)
		keys := make([]accesskey.Observed, 3500)
		for n := range keys {
			keys[n] = observed(fmt.Sprintf("k%05d", (n*7919)%len(keys)), noon, noon.Add(time.Duration(n)*time.Hour))
		}
		s.save(t, true, noon, keys...)
		if have := s.count(t, ""); have != 3500 {
			t.Fatalf("have %d keys", have)
		}
		r := accesskey.Remark{Account: "1", Source: "prod", Key: "k03499", ExpiresAt: noon.Add(time.Minute), UpdatedAt: noon}
		k := accesskey.AccessKey{Remark: r, Due: accesskey.Expiry{At: r.ExpiresAt, Basis: accesskey.Declared}}
		if err := s.SaveRemark(t.Context(), storetest.Record("RemarkAccessKey"), &k, nil); err != nil {
			t.Fatal(err)
		}
		s.save(t, true, noon, keys[:2000]...)
		if have, gone := s.count(t, ""), s.count(t, accesskey.Gone); have != 2000 || gone != 1500 {
			t.Errorf("%d keys, %d gone", have, gone)
		}
		s.save(t, true, noon, keys...)
		if got, err := s.Key(t.Context(), "1", "prod", "k03499"); err != nil || !got.Due.At.Equal(r.ExpiresAt) {
			t.Errorf("what was said is not heeded: %+v, %v", got.Due, err)
		}

		before := s.src
		s.src.MaxAge, s.src.Owner = 30*time.Second, "others"
		if err := s.UpdateSource(t.Context(), storetest.Record("UpdateProvider"), &s.src, nil); err != nil {
			t.Fatal(err)
		}
		err := s.SaveSnapshot(t.Context(), storetest.Record("ObserveProvider"), accesskey.Save{Source: before, Whole: true, At: noon})
		if have := s.count(t, ""); !fault.Is(err, fault.Changed) || have != 3500 {
			t.Errorf("a snapshot of what the source was: %v; %d keys are left", err, have)
		}
		if err := s.Renew(t.Context(), s.src); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"k00001", "k03498"} {
			got, err := s.Key(t.Context(), "1", "prod", id)
			if err != nil || got.Owner != "others" || !got.Due.At.Equal(noon.Add(30*time.Second)) || got.Due.Basis != accesskey.Policy {
				t.Errorf("%s is not renewed: %+v, %v", id, got, err)
			}
		}

		s.save(t, true, noon.Add(time.Hour), keys[0])
		s.save(t, true, noon.Add(accesskey.Kept), keys[0])
		if gone := s.count(t, accesskey.Gone); gone != 3499 {
			t.Errorf("%d are gone", gone)
		}
		s.save(t, true, noon.Add(accesskey.Kept+2*time.Hour), keys[0])
		if gone := s.count(t, accesskey.Gone); gone != 0 {
			t.Errorf("%d are remembered for ever", gone)
		}
	})
}

func (s shelf) count(t *testing.T, status accesskey.Status) int {
	t.Helper()
	keys, next, err := s.Keys(t.Context(), "1", accesskey.Query{Status: status, Order: accesskey.BySubject, Limit: 10_000})
	if err != nil || next != "" {
		t.Fatal(next, err)
	}
	return len(keys)
}
