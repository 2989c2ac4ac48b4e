package inventory_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/inventory"
	"github.com/keyward/keyward/internal/store/storetest"
)

// However many findings one look changes, each is stored once and read back as the bytes
// that tell the next look that nothing changed; a person's word that came later stands.
func TestFindingsAreKept(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		const account, many = "1000000000000001", 150
		at := time.Date(2026, 11, 22, 12, 0, 0, 123000, time.UTC)
		node := storetest.Start(t, storetest.Options{URL: url, Origin: "keyward/a", Keys: sealtest.Keyring(t)})
		shelf := inventory.Findings{Store: node.Store}
		batch := func(at time.Time, evidence string) finding.Batch {
			b := finding.Batch{Account: account, Source: "checks", Provider: "prod", At: at, ReadAt: at}
			for n := range many {
				b.Found = append(b.Found, finding.Finding{
					Rule: "AK03", Subject: finding.Subject{Provider: "prod", Kind: finding.Key, ID: fmt.Sprintf("AKfake%03d", n)},
					Severity: finding.Medium, Evidence: []notify.Fact{{Name: "created", Value: evidence + " <&> 密钥"}},
				})
			}
			return b
		}
		look := func(b finding.Batch, changed int) {
			t.Helper()
			known, err := shelf.Known(t.Context(), account, "checks", "prod")
			if err != nil {
				t.Fatal(err)
			}
			out, _, err := finding.Decide(known, b)
			if err != nil || len(out) != changed {
				t.Fatalf("%d findings changed, want %d (%v)", len(out), changed, err)
			}
			if err := shelf.Save(t.Context(), account, out); err != nil {
				t.Fatal(err)
			}
		}
		look(batch(at, "x"), many)
		look(batch(at.Add(time.Hour), "x"), 0)
		look(batch(at.Add(2*time.Hour), "y"), many)
		id := finding.Name("checks", "AK03", batch(at, "").Found[0].Subject)
		f, err := shelf.Finding(t.Context(), account, id)
		if err != nil || !f.FirstSeen.Equal(at) || !f.LastSeen.Equal(at.Add(2*time.Hour)) {
			t.Fatalf("%+v, %v", f, err)
		}
		seen := f
		f.ResolvedAt, f.ResolvedBy = at.Add(4*time.Hour), "alice"
		if err := shelf.Resolve(t.Context(), storetest.Record("ResolveFinding"), &f, nil); err != nil {
			t.Fatal(err)
		}
		seen.LastSeen = at.Add(3 * time.Hour) // of a look that began before
		if err := shelf.Save(t.Context(), account, []finding.Finding{seen}); err != nil {
			t.Fatal(err)
		}
		if f, err = shelf.Finding(t.Context(), account, id); err != nil || f.ResolvedBy != "alice" {
			t.Errorf("a person's word became %+v, %v", f, err)
		}
	})
}
