package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/keyward/keyward/internal/anchor"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/durable"
	"github.com/keyward/keyward/internal/fault"
)

// anchorFile is where a node saves what rows must be, so that it starts quickly.
const anchorFile = "anchor"

const (
	anchorGrowth = 20_000          // records that may be left to replay before it is worth saving
	anchorPause  = 2 * time.Second // between two looks whether it is
	anchorShare  = 100             // saving takes at most this fraction of the time
)

func (e *engine) anchorOptions(a *App) anchor.Options {
	path := filepath.Join(a.Config.DataDir, anchorFile)
	return anchor.Options{
		Reader: a.db, Own: e.identity.Origin, Keys: e.keyring, Trust: e.trust,
		Load: func() ([]byte, error) {
			b, err := os.ReadFile(path)
			if errors.Is(err, os.ErrNotExist) {
				return nil, nil
			}
			return b, err
		},
		Save: func(b []byte) error { return durable.Replace(path, b) },
	}
}

// trust tells whether a log is one of this server's.
func (e *engine) trust(id audit.Identity) error {
	private, err := e.logKey(id)
	private.Zero()
	return err
}

// keepAnchor settles what the anchor is in doubt about and saves it when there is much
// that the next start would have to replay, and at the end.
func (e *engine) keepAnchor(ctx context.Context, a *App) error {
	save := func() time.Duration {
		began := time.Now()
		head, err := audit.OpenCheckpoint(e.log.Checkpoint(), e.identity.PublicKey)
		if err != nil { // nothing was written yet
			return 0
		}
		if ctx.Err() == nil && e.anchor.Grown(head) < anchorGrowth {
			return 0
		}
		if err := e.anchor.Save(head); err != nil {
			a.Logger.Warn("keeping the anchor", "error", err)
		}
		return time.Since(began)
	}
	away := false // the database
	for {
		took := save()
		select {
		case <-ctx.Done():
			save()
			return nil
		case <-time.After(max(anchorPause, anchorShare*took)):
		}
		err := e.anchor.CatchUp(ctx)
		switch unread := fault.Is(err, fault.Unavailable); {
		case ctx.Err() != nil:
		case unread && !away:
			a.Logger.Warn("the database cannot be read: what other servers change is not seen until it can", "error", err)
			away = true
		case err == nil && away:
			a.Logger.Info("the database can be read again")
			away = false
		case err != nil && !unread:
			a.Logger.Error("SECURITY: the audit logs do not agree with what was seen of them", "error", err)
		}
	}
}
