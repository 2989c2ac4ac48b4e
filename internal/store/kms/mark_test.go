package kms_test

import (
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/store/kms"
	"github.com/keyward/keyward/internal/store/storetest"
)

// Marks come and go with the versions that they are of. One that nobody made is refused, and
// an old version without a mark is found.
func TestMarksGoWithTheirVersions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		n, ctx := storetest.Start(t, storetest.Options{URL: url, Origin: "keyward/a", Keys: sealtest.Keyring(t)}), t.Context()
		shelf, db := kms.Store{Store: n.Store}, storetest.Raw(t, url)
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
			"create": shelf.CreateSecret(ctx, storetest.Record("create"), &sec, v1, nil),
			"second": shelf.AddSecretVersion(ctx, storetest.Record("put"), &sec, v2, nil),
			"third":  shelf.AddSecretVersion(ctx, storetest.Record("put"), &sec, v3, []secret.Version{*v1}),
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
		if err := shelf.DeleteSecret(ctx, storetest.Record("delete"), &sec); err != nil {
			t.Fatal(err)
		}
		if left := storetest.Count(t, db, "secret_mark"); left != 0 {
			t.Errorf("%d marks are left", left)
		}
	})
}
