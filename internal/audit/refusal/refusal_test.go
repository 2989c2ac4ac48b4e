package refusal_test

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/storetest"
)

// However often a stranger knocks, the log grows by twenty-one records a minute.
func TestRefusalsCannotFillTheLog(t *testing.T) {
	n := storetest.Start(t, storetest.Options{
		URL: storetest.SQLite(t), Origin: "keyward/test", Keys: sealtest.Keyring(t), Now: time.Now, Changed: func(string, string) {},
	})
	r := refusal.New(n.Log)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = r.Run(ctx) })
	cause := fault.SignatureMismatch.New("no")
	for i := range 500 {
		source := netip.AddrFrom16([16]byte{0x20, 0x01, 15: byte(i)}) // one /64
		c := &authz.Call{Time: time.Now(), Source: source}
		if err := r.Refuse(t.Context(), c, "kms:Authenticate", "", cause); !fault.Is(err, fault.SignatureMismatch) {
			t.Fatal(err)
		}
	}
	other := &authz.Call{Time: time.Now(), Source: netip.MustParseAddr("192.0.2.1")}
	if err := r.Refuse(t.Context(), other, "kms:Authenticate", "", cause); !fault.Is(err, fault.SignatureMismatch) {
		t.Fatal(err)
	}
	cancel()
	running.Wait()
	entries, _, err := audit.List(t.Context(), n.DB, audit.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 22 || entries[0].Params["Refused"] != "480" {
		t.Errorf("%d records, the newest counts %q; want 22 and 480", len(entries), entries[0].Params["Refused"])
	}
}
