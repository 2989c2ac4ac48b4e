package inventory_test

import (
	"testing"
	"time"

	"github.com/keyward/keyward/internal/exposure"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/inventory"
	"github.com/keyward/keyward/internal/store/storetest"
)

func TestSightingsAreMerged(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		n, ctx := storetest.Start(t, storetest.Options{URL: url, Origin: "keyward/a", Keys: sealtest.Keyring(t)}), t.Context()
		shelf, noon := inventory.Exposures{Store: n.Store}, time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		save := func(id, path string, at time.Time) {
			t.Helper()
			one := exposure.Sighting{Account: "1", ID: id, Origin: "shop", Mark: "m", Rule: "r", Severity: finding.High, Places: []exposure.Place{{Path: path}}, First: at, Last: at, Fresh: at}
			if err := shelf.SaveSightings(ctx, storetest.Record("report"), []exposure.Sighting{one}, at.Add(-exposure.Kept), nil); err != nil {
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
		if _, err := storetest.Raw(t, url).ExecContext(ctx, `INSERT INTO leak_sighting (account, id, seen_at, body)
			WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 9999) SELECT '1', 'x' || n, 9000000000000000, '{}' FROM c`); err != nil {
			t.Fatal(err)
		}
		save("b", "two", noon.Add(exposure.Kept).Add(4*time.Hour))
		one := exposure.Sighting{Account: "1", ID: "c", Last: noon.Add(exposure.Kept)}
		if err := shelf.SaveSightings(ctx, storetest.Record("report"), []exposure.Sighting{one}, noon, nil); !fault.Is(err, fault.LimitExceeded) {
			t.Errorf("have %v", err)
		}
	})
}
