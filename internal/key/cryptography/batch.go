package cryptography

import (
	"context"
	"slices"
	"strconv"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/keyring"
	"github.com/keyward/keyward/internal/material"
)

// A BatchInput names what all items of a batch have in common: one key and one encryption
// context, for which the caller's policies are asked once.
type BatchInput struct {
	Key     string // id, alias or ARN
	Context material.Context
	DryRun  bool
}

// A Sealed is what became of one plaintext of a batch: a ciphertext, or why there is none.
type Sealed struct {
	Blob []byte
	Err  error
}

// A SealedBatch is what EncryptBatch answers, in the order of what was sent.
type SealedBatch struct {
	Key     key.ID
	Version key.VersionID
	Items   []Sealed
}

// EncryptBatch encrypts 1 to [key.MaxBatch] plaintexts, as [Service.Encrypt] does each. An item
// that cannot be encrypted fails alone. There is one record of all.
func (s *Service) EncryptBatch(ctx context.Context, c *authz.Call, in BatchInput, plaintexts []material.Bytes) (out SealedBatch, err error) {
	err = s.do(ctx, c, "kms:Encrypt", func(rec *audit.Record) error {
		e, err := s.batch(ctx, c, rec, in, len(plaintexts))
		if err != nil {
			return err
		}
		v, err := s.symmetric(ctx, rec, e, e.Key.Primary)
		if err != nil {
			return err
		}
		if in.DryRun {
			return errDryRun()
		}
		out = SealedBatch{Key: e.Key.ID, Version: v.ID, Items: make([]Sealed, len(plaintexts))}
		return each(rec, len(plaintexts), func(i int) error {
			item := &out.Items[i]
			if item.Err = checkPlaintext(plaintexts[i]); item.Err == nil {
				item.Blob, item.Err = v.Cipher.Seal(ctx, plaintexts[i].Expose(), in.Context)
			}
			if item.Err == nil {
				s.used(c, rec.Action, &e.Key, v.ID, in.Context)
			}
			return item.Err
		})
	})
	return audit.Kept(out, err)
}

// An Opened is what became of one ciphertext of a batch: a plaintext, or why there is none.
type Opened struct {
	Version key.VersionID
	Data    material.Bytes
	Err     error
}

// An OpenedBatch is what DecryptBatch answers, in the order of what was sent.
type OpenedBatch struct {
	Key   key.ID
	Items []Opened
}

// DecryptBatch decrypts 1 to [key.MaxBatch] ciphertexts of one key. An item that is not of this
// key and context fails alone, as [fault.InvalidCiphertext]. There is one record of all.
func (s *Service) DecryptBatch(ctx context.Context, c *authz.Call, in BatchInput, ciphertexts [][]byte) (out OpenedBatch, err error) {
	err = s.do(ctx, c, "kms:Decrypt", func(rec *audit.Record) error {
		e, err := s.batch(ctx, c, rec, in, len(ciphertexts))
		if err != nil {
			return err
		}
		if _, err := s.symmetric(ctx, rec, e, e.Key.Primary); err != nil { // before any item: the key cannot be used at all
			return err
		}
		if in.DryRun {
			return errDryRun()
		}
		out = OpenedBatch{Key: e.Key.ID, Items: make([]Opened, len(ciphertexts))}
		var versions []key.VersionID
		err = each(rec, len(ciphertexts), func(i int) error {
			item := &out.Items[i]
			*item = s.openOf(ctx, rec, e, ciphertexts[i], in.Context)
			if item.Err == nil {
				s.used(c, rec.Action, &e.Key, item.Version, in.Context)
				versions = append(versions, item.Version)
			}
			return item.Err
		})
		slices.Sort(versions)
		for _, id := range slices.Compact(versions) {
			rec.Param("KeyVersionId", string(id))
		}
		rec.Version = ""
		return err
	})
	if err != nil {
		for _, item := range out.Items {
			item.Data.Zero()
		}
	}
	return audit.Kept(out, err)
}

// openOf decrypts a ciphertext with the version of the key that it names.
func (s *Service) openOf(ctx context.Context, rec *audit.Record, e *keyring.Entry, ciphertext []byte, of material.Context) Opened {
	h, err := material.ParseHeader(ciphertext)
	if err != nil {
		return Opened{Err: err}
	}
	if key.IDOf(h.Key) != e.Key.ID {
		return Opened{Err: errNotOfKey()}
	}
	v, err := s.symmetric(ctx, rec, e, key.VersionOf(h.Version))
	if fault.Is(err, fault.KeyVersionNotFound) {
		err = errNotOfKey()
	}
	if err != nil {
		return Opened{Err: err}
	}
	data, err := v.Cipher.Open(ctx, ciphertext, of)
	return Opened{Version: v.ID, Data: data, Err: err}
}

// batch checks what all items of a batch have in common and finds their key.
func (s *Service) batch(ctx context.Context, c *authz.Call, rec *audit.Record, in BatchInput, items int) (*keyring.Entry, error) {
	rec.Param("Items", strconv.Itoa(items))
	if items < 1 || items > key.MaxBatch {
		return nil, fault.InvalidParameter.New("a batch has 1 to %d items", key.MaxBatch)
	}
	if err := s.noteContext(rec, in.Context); err != nil {
		return nil, err
	}
	return s.ring.Resolve(ctx, keyring.Ask{Call: c, Record: rec, Action: rec.Action, Name: in.Key, Attributes: cryptoAttributes(symmetricDefault, in.Context)})
}

// each does the items one after the other and records how many failed. A failure that is the
// server's own ends the batch: its text is for the log, not for the answer.
func each(rec *audit.Record, items int, do func(int) error) error {
	failed := 0
	for i := range items {
		err := do(i)
		if err == nil {
			continue
		}
		if fault.KindOf(err) == fault.Internal {
			return err
		}
		failed++
	}
	if failed > 0 {
		rec.Param("Failed", strconv.Itoa(failed))
	}
	return nil
}
