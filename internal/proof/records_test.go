package proof

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/store/database"
)

// verified opens a database and verifies every audit log of it, also against the
// checkpoint that the node remembers.
func verified(ctx context.Context, url, dir string) (_ *database.DB, err error) {
	db, err := database.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = db.Close() // it is not used
		}
	}()
	logs, err := db.Logs(ctx)
	if err != nil {
		return nil, err
	}
	remembered, err := os.ReadFile(filepath.Join(dir, "audit.checkpoint"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for _, id := range logs {
		trust := audit.Trust{PublicKey: id.PublicKey}
		if strings.HasPrefix(string(remembered), id.Origin+"\n") {
			trust.Remembered = append(trust.Remembered, remembered)
		}
		report, err := audit.VerifyStore(ctx, db, id.Origin, trust)
		if err != nil {
			return nil, err
		}
		if len(report.Remembered) != len(trust.Remembered) {
			return nil, fmt.Errorf("the log of %d records does not contain the remembered checkpoint %q", report.Size, remembered)
		}
	}
	return db, nil
}

// records verifies a database and answers how many records of success each request has.
func records(ctx context.Context, url, dir string) (map[string]int, error) {
	db, err := verified(ctx, url, dir)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	out := map[string]int{}
	q := audit.Query{Limit: 1000, Oldest: true, Result: audit.ResultOK}
	for more := true; more; more = q.Cursor != "" {
		var entries []audit.Entry
		if entries, q.Cursor, err = audit.List(ctx, db, q); err != nil {
			return nil, err
		}
		for _, e := range entries {
			out[e.RequestID]++
		}
	}
	return out, nil
}

// readRecords is records for a server that is not running.
func readRecords(t *testing.T, s *server) map[string]int {
	t.Helper()
	out, err := records(t.Context(), s.url, s.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the audit log is verified: %d successful requests", len(out))
	return out
}

// checkRecords kills the server and proves that the log holds, with each acknowledged
// operation of the worlds in it once, and none twice.
func checkRecords(t *testing.T, s *server, worlds ...*world) {
	t.Helper()
	s.kill()
	have := readRecords(t, s)
	for id, n := range have {
		if id != "" && n != 1 {
			t.Errorf("request %s has %d records", id, n)
		}
	}
	for _, w := range worlds {
		for _, d := range w.history {
			if have[d.request] != 1 {
				t.Errorf("the acknowledged request %q has %d records", d.request, have[d.request])
			}
		}
	}
}
