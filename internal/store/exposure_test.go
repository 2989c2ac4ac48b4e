package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/exposure"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/store"
	"github.com/keyward/keyward/internal/store/storetest"
)

// Marks come and go with the versions that they are of. One that nobody made is refused, and
// an old version without a mark is found.
func TestMarksGoWithTheirVersions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		n, ctx := start(t, url, "keyward/a", sealtest.Keyring(t), quiet), t.Context()
		shelf, db := store.Exposure{Store: n.Store}, raw(t, url)
		first, second := strings.Repeat("1", 64), strings.Repeat("2", 64)
		sec := secret.Secret{Account: "1", Name: "pay", ID: "s", Versions: 1, Made: 1}
		version := func(id string, marks ...string) *secret.Version {
			v := &secret.Version{Account: "1", Secret: "s", Name: "pay", ID: id, Kind: secret.Text, CreatedAt: time.Unix(1, 0)}
			for _, m := range marks {
				v.Marks = append(v.Marks, secret.Mark{Mark: m, KeyID: "K", Strong: true})
			}
			v.Marked(v.Marks)
			return v
		}
		v1, v2, v3 := version("v1", first), version("v2", first, second), version("v3")
		for what, err := range map[string]error{
			"create": n.Store.CreateSecret(ctx, record("create"), &sec, v1),
			"second": n.Store.AddSecretVersion(ctx, record("put"), &sec, v2, nil),
			"third":  n.Store.AddSecretVersion(ctx, record("put"), &sec, v3, []secret.Version{*v1}),
		} {
			if err != nil {
				t.Fatal(what, err)
			}
		}
		marks, err := shelf.Marks(ctx, "1", []string{first, second})
		if err != nil || len(marks) != 2 || marks[0].Version != "v2" || !marks[0].Strong || marks[0].KeyID != "K" {
			t.Fatalf("have %+v, %v", marks, err)
		}
		if other, err := shelf.Marks(ctx, "2", []string{first}); err != nil || len(other) != 0 {
			t.Errorf("another account has %+v, %v", other, err)
		}
		lacking, err := shelf.Unmarked(ctx, "1", secret.Version{}, 10)
		if err != nil || len(lacking) != 1 || lacking[0].ID != "v3" {
			t.Fatalf("have %+v, %v", lacking, err)
		}
		if again, err := shelf.Unmarked(ctx, "1", lacking[0], 10); err != nil || len(again) != 0 {
			t.Errorf("have %+v, %v", again, err)
		}
		late := append(v3.Marked([]secret.Mark{{Mark: second}}), v1.Marked([]secret.Mark{{Mark: first}})...) // of which one is gone
		for range 2 {
			if err := shelf.SaveMarks(ctx, late); err != nil {
				t.Fatal(err)
			}
		}
		if marks, err = shelf.Marks(ctx, "1", []string{first, second}); err != nil || len(marks) != 3 {
			t.Fatalf("have %+v, %v", marks, err)
		}
		if _, err := db.ExecContext(ctx, `UPDATE secret_mark SET key_id = 'other' WHERE version = 'v3'`); err != nil {
			t.Fatal(err)
		}
		if _, err := shelf.Marks(ctx, "1", []string{second}); fault.KindOf(err) != fault.Internal {
			t.Errorf("what nobody wrote is answered: %v", err)
		}
		if err := n.Store.DeleteSecret(ctx, record("delete"), &sec); err != nil {
			t.Fatal(err)
		}
		if left := count(t, db, "secret_mark"); left != 0 {
			t.Errorf("%d marks are left", left)
		}
	})
}

func TestSightingsAreMerged(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		n, ctx := start(t, url, "keyward/a", sealtest.Keyring(t), quiet), t.Context()
		shelf, noon := store.Exposure{Store: n.Store}, time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		save := func(id, path string, at time.Time) {
			t.Helper()
			one := exposure.Sighting{Account: "1", ID: id, Origin: "shop", Mark: "m", Rule: "r", Severity: finding.High, Places: []exposure.Place{{Path: path}}, First: at, Last: at, Fresh: at}
			if err := shelf.SaveSightings(ctx, record("report"), []exposure.Sighting{one}, at.Add(-exposure.Kept), nil); err != nil {
				t.Fatal(err)
			}
		}
		save("a", "one", noon)
		save("a", "two", noon.Add(time.Hour))
		save("a", "two", noon.Add(2*time.Hour))
		all, err := shelf.Sightings(ctx, "1")
		if err != nil || len(all) != 1 {
			t.Fatalf("have %+v, %v", all, err)
		}
		if s := all[0]; len(s.Places) != 2 || !s.First.Equal(noon) || !s.Fresh.Equal(noon.Add(time.Hour)) || !s.Last.Equal(noon.Add(2*time.Hour)) || s.Severity != finding.High {
			t.Errorf("have %+v", s)
		}
		save("b", "one", noon.Add(3*time.Hour).Add(exposure.Kept))
		if all, err = shelf.Sightings(ctx, "1"); err != nil || len(all) != 1 || all[0].ID != "b" {
			t.Errorf("have %+v, %v", all, err)
		}

		// An account that is full takes what it has again, and nothing else.
		if _, err := raw(t, url).ExecContext(ctx, `INSERT INTO leak_sighting (account, id, seen_at, body)
			WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 9999) SELECT '1', 'x' || n, 9000000000000000, '{}' FROM c`); err != nil {
			t.Fatal(err)
		}
		save("b", "two", noon.Add(exposure.Kept).Add(4*time.Hour))
		one := exposure.Sighting{Account: "1", ID: "c", Last: noon.Add(exposure.Kept)}
		if err := shelf.SaveSightings(ctx, record("report"), []exposure.Sighting{one}, noon, nil); !fault.Is(err, fault.LimitExceeded) {
			t.Errorf("have %v", err)
		}
	})
}
