package custody

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
)

// JobRewrap wraps anew, under the newest epoch, what is wrapped under older ones: the
// tenant keys and the audit logs' signer keys. Its subject is the number of the epoch.
const JobRewrap = "seal:rewrap"

// slice is how long one turn of the job may take; its lease is a minute.
const slice = 20 * time.Second

// Handlers answers what custody does when its jobs are due.
func (s *Service) Handlers(call func() *authz.Call) map[string]job.Handler {
	return map[string]job.Handler{JobRewrap: func(ctx context.Context, j job.Job) (time.Time, error) {
		return s.rewrap(ctx, call(), j)
	}}
}

// rewrap goes through everything from the beginning each time and writes what is not
// under the newest epoch yet, each thing in a transaction of its own with its record:
// wherever it is interrupted, the next turn goes on.
func (s *Service) rewrap(ctx context.Context, call *authz.Call, j job.Job) (again time.Time, err error) {
	epoch, err := strconv.ParseUint(j.Subject, 10, 32)
	if err != nil {
		return time.Time{}, fmt.Errorf("rewrapping: the epoch %q is no number: %w", j.Subject, err)
	}
	if have := s.Keyring.Epoch(); uint64(have) < epoch {
		return time.Time{}, fmt.Errorf("rewrapping: this node knows epoch %d, the job is for %d; unseal it again", have, epoch)
	}
	begun := time.Now()
	var written int
	for last := ""; ; {
		var n int
		last, n, err = s.Tenants.RewrapTenants(ctx, call, last)
		if err != nil {
			return time.Time{}, fmt.Errorf("rewrapping tenant keys: %w", err)
		}
		written += n
		if last == "" {
			break
		}
		if time.Since(begun) > slice {
			return s.Now(), nil
		}
	}
	n, err := s.resealLogKeys(ctx, call)
	if err != nil {
		return time.Time{}, fmt.Errorf("rewrapping the audit logs' keys: %w", err)
	}
	rec := audit.NewRecord(call, "keyward:FinishEpoch")
	rec.Result = audit.ResultOK
	rec.Param("Epoch", j.Subject)
	rec.Param("RewrappedLast", strconv.Itoa(written+n))
	return time.Time{}, s.Log.Append(ctx, rec)
}

func (s *Service) resealLogKeys(ctx context.Context, call *authz.Call) (written int, err error) {
	logs, err := s.Logs.Logs(ctx)
	if err != nil {
		return 0, err
	}
	for _, id := range logs {
		renewed, old, err := s.Keyring.Reseal(seal.AuditSign, s.LogBinding(id.Origin), id.SealedKey)
		if err != nil {
			return written, fmt.Errorf("log %q: %w", id.Origin, err)
		}
		if !old {
			continue
		}
		rec := audit.NewRecord(call, "keyward:RewrapLogKey")
		rec.Param("Log", id.Origin)
		if err := s.Store.ReplaceLogKey(ctx, rec, id.Origin, id.SealedKey, renewed); err != nil {
			return written, fmt.Errorf("log %q: %w", id.Origin, err)
		}
		written++
	}
	return written, nil
}

// newCode makes the code of a recovery envelope: 256 random bits as text.
func newCode() material.Bytes {
	raw := make([]byte, 32)
	rand.Read(raw)
	defer clear(raw)
	return material.NewBytes(base64.RawURLEncoding.AppendEncode(nil, raw))
}
