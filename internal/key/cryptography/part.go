package cryptography

import (
	"context"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/material"
)

// The operations below are parts of another domain's operation: they ask the caller's
// policies and the key's state as the operations of their names do, but leave no record
// of their own. What they did is told by the record of the operation that they are part
// of, which must become durable before what they answer is used.

// DataKeyFor makes a data key, as [Service.GenerateDataKey] does, for the operation of rec.
func (s *Service) DataKeyFor(ctx context.Context, c *authz.Call, rec *audit.Record, in DataKeyInput) (DataKey, error) {
	part := audit.NewRecord(c, "kms:GenerateDataKey")
	out := DataKey{Plaintext: material.Random(in.Size)}
	var err error
	out.Ciphertext, err = s.seal(ctx, c, part, EncryptInput{Key: in.Key, Plaintext: out.Plaintext, Context: in.Context})
	join(rec, part, err)
	if err != nil {
		out.Plaintext.Zero()
		return DataKey{}, err
	}
	return out, nil
}

// DecryptFor decrypts, as [Service.Decrypt] does, for the operation of rec.
func (s *Service) DecryptFor(ctx context.Context, c *authz.Call, rec *audit.Record, in DecryptInput) (Plaintext, error) {
	part := audit.NewRecord(c, "kms:Decrypt")
	o, err := s.open(ctx, c, part, part.Action, in.Ciphertext, in.Context)
	join(rec, part, err)
	if err != nil {
		return Plaintext{}, err
	}
	return s.hand(c, part.Action, o, in.DryRun)
}

// join tells in a record which key did a part of the work, and what allowed it if nothing else
// did, or, when that was refused, what refused it.
func join(rec, part *audit.Record, err error) {
	rec.Version = part.Version
	rec.Param("KeyArn", part.Resource)
	rec.Params = append(rec.Params, part.Params...)
	if part.Decision != "" && (err != nil || rec.Decision == "") {
		rec.Decision = part.Decision
	}
}
