package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/keyward/keyward/internal/expiry"
)

// SaveScan implements expiry.Store.
func (s *Store) SaveScan(ctx context.Context, scan expiry.Scan) error {
	body, err := json.Marshal(scan)
	if err != nil {
		return fmt.Errorf("encoding scan: %w", err)
	}
	_, err = s.db.write.ExecContext(ctx, `INSERT INTO expiry_scan (account, body) VALUES ($1, $2)
		ON CONFLICT (account) DO UPDATE SET body = excluded.body`, scan.Account, string(body))
	return unavailable(err, "saving scan")
}

// LastScan implements expiry.Store.
func (s *Store) LastScan(ctx context.Context, account string) (expiry.Scan, error) {
	all, err := bodies[expiry.Scan](ctx, s, `SELECT body FROM expiry_scan WHERE account = $1`, account)
	if err != nil || len(all) == 0 {
		return expiry.Scan{}, err
	}
	return all[0], nil
}

// CountKeys implements expiry.Store.
func (s *Store) CountKeys(ctx context.Context, account string) (n int, err error) {
	err = s.db.read.QueryRowContext(ctx, `SELECT count(*) FROM accesskey WHERE account = $1 AND gone_at = 0`, account).Scan(&n)
	return n, unavailable(err, "counting keys")
}
