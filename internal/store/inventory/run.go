package inventory

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/keyward/keyward/internal/accesskey/checkup"
	"github.com/keyward/keyward/internal/expiry"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
)

// SaveScan implements expiry.Store.
func (s Store) SaveScan(ctx context.Context, scan expiry.Scan) error {
	body, err := json.Marshal(scan)
	if err != nil {
		return fmt.Errorf("encoding scan: %w", err)
	}
	_, err = s.DB.Exec(ctx, `INSERT INTO expiry_scan (account, body) VALUES ($1, $2)
		ON CONFLICT (account) DO UPDATE SET body = excluded.body`, scan.Account, string(body))
	return database.Unavailable(err, "saving scan")
}

// LastScan implements expiry.Store.
func (s Store) LastScan(ctx context.Context, account string) (expiry.Scan, error) {
	all, err := bound.Documents[expiry.Scan](ctx, s.Store, `SELECT body FROM expiry_scan WHERE account = $1`, account)
	if err != nil || len(all) == 0 {
		return expiry.Scan{}, err
	}
	return all[0], nil
}

// CountKeys implements expiry.Store.
func (s Store) CountKeys(ctx context.Context, account string) (n int, err error) {
	err = s.DB.QueryRowContext(ctx, `SELECT count(*) FROM accesskey WHERE account = $1 AND gone_at = 0`, account).Scan(&n)
	return n, database.Unavailable(err, "counting keys")
}

// SaveRun implements checkup.Store.
func (s Store) SaveRun(ctx context.Context, r checkup.Run) error {
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding run: %w", err)
	}
	_, err = s.DB.Exec(ctx, `INSERT INTO accesskey_check (account, body) VALUES ($1, $2)
		ON CONFLICT (account) DO UPDATE SET body = excluded.body`, r.Account, string(body))
	return database.Unavailable(err, "saving run")
}

// LastRun implements checkup.Store.
func (s Store) LastRun(ctx context.Context, account string) (checkup.Run, error) {
	all, err := bound.Documents[checkup.Run](ctx, s.Store, `SELECT body FROM accesskey_check WHERE account = $1`, account)
	if err != nil || len(all) == 0 {
		return checkup.Run{}, err
	}
	return all[0], nil
}
