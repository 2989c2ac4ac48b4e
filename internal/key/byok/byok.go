// Package byok imports key material ("bring your own key"): who wants a key of keyward to
// have material that was generated elsewhere wraps it under a public key that is asked for
// here, and sends it with the token that came with it.
//
// The pair under which material travels is made for each token and kept nowhere: the
// private half is in the token, wrapped under the account's tenant key and bound to the
// key, the wrapping and the end of the token's 24 hours. What arrives is checked to be a
// key of the right spec and handed to the key's keystore. A key takes one material for
// ever: what was imported first is remembered as a digest, wrapped under the tenant key,
// so that after a deletion or an expiry exactly the same can be imported again and old
// ciphertexts open again, under the same version.
//
// Who may call: the API dialects, and jobs when material expires. What arrives is not
// trusted: all that is wrong with it is one fault ([material.Wrapping.Unwrap]).
package byok

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/keyring"
	"github.com/keyward/keyward/internal/key/software"
	"github.com/keyward/keyward/internal/material"
)

// TokenLife is how long a token can be used, as often as one likes.
const TokenLife = 24 * time.Hour

const generators = 2 // pairs that are generated at once: RSA takes a good part of a second of CPU

// Options says what a Service is made of. All fields are required.
type Options struct {
	Ring    *keyring.Ring
	Store   key.Store
	Tenants software.Tenants // wrap tokens and digests
	Log     *audit.Log
	Now     func() time.Time // clock
}

// A Service offers the operations. Its methods may be called concurrently.
type Service struct {
	o          Options
	generating chan struct{}
}

// New makes a Service.
func New(o Options) *Service { return &Service{o: o, generating: make(chan struct{}, generators)} }

// Parameters are what is needed to wrap material for a key.
type Parameters struct {
	Key       key.ID
	PublicKey []byte // to wrap under, SubjectPublicKeyInfo DER
	Token     []byte // to be sent with the material
	ExpireAt  time.Time
}

// Parameters answers a fresh public key to wrap the material of a key under. It may be
// asked for whatever the key's state is.
func (s *Service) Parameters(ctx context.Context, c *authz.Call, name string, w material.Wrapping) (out Parameters, err error) {
	err = s.do(ctx, c, "kms:GetParametersForImport", func(rec *audit.Record) error {
		rec.Param("WrappingAlgorithm", string(w))
		e, err := s.resolve(ctx, c, rec, name)
		if err != nil {
			return err
		}
		if !w.Takes(e.Key.Spec) {
			return fault.InvalidParameter.New("The specified parameter WrappingAlgorithm is not valid. Material of spec %s is wrapped with one of %v.", e.Key.Spec, material.Wrappings(e.Key.Spec))
		}
		select {
		case s.generating <- struct{}{}:
			defer func() { <-s.generating }()
		case <-ctx.Done():
			return fault.Unavailable.Wrap(ctx.Err(), "too many wrapping keys are being generated; try again")
		}
		private, public, err := material.Generate(w.Key())
		if err != nil {
			return err
		}
		defer private.Zero()
		out = Parameters{Key: e.Key.ID, PublicKey: public, ExpireAt: s.clock().Add(TokenLife)}
		out.Token, err = s.token(ctx, e.Key, terms{w, out.ExpireAt}, private)
		return err
	})
	return audit.Kept(out, err)
}

// terms are what a token says in the clear.
type terms struct {
	wrapping material.Wrapping
	expireAt time.Time // whole microseconds
}

// head is how a token begins: the end of its life in microseconds since 1970, the length
// of the wrapping's name, and the name. The wrapped private key follows.
func (t terms) head() []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(t.expireAt.UnixMicro()))
	return append(append(b, byte(len(t.wrapping))), t.wrapping...)
}

func (t terms) binding(k key.Key) []byte {
	return material.Binding("kms-import-token/v1", k.Account, string(k.ID), string(t.head()))
}

func (s *Service) token(ctx context.Context, k key.Key, t terms, private material.Bytes) ([]byte, error) {
	tenant, err := s.o.Tenants.Tenant(ctx, k.Account)
	if err != nil {
		return nil, err
	}
	wrapped, err := tenant.Wrap(t.binding(k), private)
	return append(t.head(), wrapped...), err
}

// redeem answers what a token that belongs to the key holds.
func (s *Service) redeem(ctx context.Context, k key.Key, token []byte) (terms, material.Bytes, error) {
	invalid := fault.InvalidImportToken.New("the import token is not valid for key %s; send the one that came with the public key", k.ID)
	if len(token) < 9 || len(token) < 9+int(token[8]) {
		return terms{}, material.Bytes{}, invalid
	}
	head := 9 + int(token[8])
	t := terms{material.Wrapping(token[9:head]), time.UnixMicro(int64(binary.BigEndian.Uint64(token))).UTC()}
	tenant, err := s.o.Tenants.Tenant(ctx, k.Account)
	if err != nil {
		return terms{}, material.Bytes{}, err
	}
	private, err := tenant.Unwrap(t.binding(k), token[head:])
	if fault.KindOf(err) == fault.Internal {
		return terms{}, material.Bytes{}, invalid
	}
	if err != nil {
		return terms{}, material.Bytes{}, err
	}
	if !s.o.Now().Before(t.expireAt) {
		private.Zero()
		return terms{}, material.Bytes{}, fault.ExpiredImportToken.New("the import token ended %s; ask for new parameters", t.expireAt.Format(time.RFC3339))
	}
	return t, private, nil
}

// Input is what Import takes.
type Input struct {
	Key      string // id, alias or ARN
	Token    []byte // of the parameters
	Material []byte // wrapped
	ExpireAt time.Time
}

// Import gives a key its material, until ExpireAt if that is not zero. A key that had
// material before takes the same only, with a new end.
func (s *Service) Import(ctx context.Context, c *authz.Call, in Input) error {
	return s.do(ctx, c, "kms:ImportKeyMaterial", func(rec *audit.Record) error {
		if !in.ExpireAt.IsZero() {
			rec.Param("KeyMaterialExpireTime", in.ExpireAt.UTC().Format(time.RFC3339))
		}
		e, err := s.resolve(ctx, c, rec, in.Key)
		if err != nil {
			return err
		}
		if !in.ExpireAt.IsZero() && !in.ExpireAt.After(s.o.Now()) {
			return fault.InvalidParameter.New("The specified parameter KeyMaterialExpireUnix is not valid. It must be a time to come, or 0 for never.")
		}
		if err := e.Key.Allow(key.ActImport); err != nil {
			return err
		}
		t, private, err := s.redeem(ctx, e.Key, in.Token)
		if err != nil {
			return err
		}
		defer private.Zero()
		m, public, err := t.wrapping.Unwrap(e.Key.Spec, private, in.Material)
		if err != nil {
			return err
		}
		defer m.Zero()
		return s.change(ctx, rec, e.Key, func(k *key.Key, v *key.Version) error {
			k.ExpireAt = in.ExpireAt.UTC().Truncate(time.Microsecond)
			v.Public = public
			return s.keep(ctx, k, v, m)
		})
	})
}

// keep puts material into the key's keystore, if the key takes it.
func (s *Service) keep(ctx context.Context, k *key.Key, v *key.Version, m material.Bytes) error {
	if err := k.Allow(key.ActImport); err != nil {
		return err
	}
	tenant, err := s.o.Tenants.Tenant(ctx, k.Account)
	if err != nil {
		return err
	}
	if err := same(tenant, v, m); err != nil {
		return err
	}
	keystore, err := s.o.Ring.Keystore(ctx, *k)
	if err != nil {
		return err
	}
	importer, ok := keystore.(key.Importer)
	if !ok {
		return fault.UnsupportedOperation.New("Unsupported operation. The place where key %s lives takes no material from outside.", k.ID)
	}
	if err := importer.Import(ctx, *k, v, m); err != nil {
		return err
	}
	k.Empty = false
	if k.State == key.PendingImport {
		k.State = key.Enabled
	}
	return nil
}

// same refuses other material than the version had at first, and notes what that is.
func same(tenant material.Wrapper, v *key.Version, m material.Bytes) error {
	binding := material.Binding("kms-imported/v1", v.Account, string(v.Key), string(v.ID))
	digest := material.NewBytes(m.Digest())
	defer digest.Zero()
	if len(v.Imported) == 0 {
		var err error
		v.Imported, err = tenant.Wrap(binding, digest)
		return err
	}
	first, err := tenant.Unwrap(binding, v.Imported)
	if err != nil {
		return err
	}
	defer first.Zero()
	if !first.Equal(digest) {
		return fault.InvalidKeyMaterial.New("key %s had other material before; a key takes the same material only", v.Key)
	}
	return nil
}

// Delete deletes the material of a key, which cannot be used until the same is imported
// again. It may be asked for whatever the key's state is.
func (s *Service) Delete(ctx context.Context, c *authz.Call, name string) error {
	return s.do(ctx, c, "kms:DeleteKeyMaterial", func(rec *audit.Record) error {
		e, err := s.resolve(ctx, c, rec, name)
		if err != nil {
			return err
		}
		return s.change(ctx, rec, e.Key, func(k *key.Key, v *key.Version) error { return s.empty(ctx, k, v) })
	})
}

// empty takes the material out of a key.
func (s *Service) empty(ctx context.Context, k *key.Key, v *key.Version) error {
	keystore, err := s.o.Ring.Keystore(ctx, *k)
	if err != nil {
		return err
	}
	if err := keystore.Destroy(ctx, *k); err != nil {
		return err
	}
	v.Wrapped, v.Public = nil, nil
	k.Empty, k.ExpireAt = true, time.Time{}
	if k.State != key.PendingDeletion {
		k.State = key.PendingImport
	}
	return nil
}

// change reads a key and its one version afresh, lets edit change both, and stores them;
// when somebody else changed the key meanwhile it starts again.
func (s *Service) change(ctx context.Context, rec *audit.Record, of key.Key, edit func(*key.Key, *key.Version) error) error {
	return rec.Again(func() error {
		k, err := s.o.Store.Key(ctx, of.Account, of.ID)
		if err != nil {
			return err
		}
		v, err := s.o.Store.Version(ctx, k.Account, k.ID, k.Primary)
		if err != nil {
			return err
		}
		rec.Version = string(v.ID)
		if err := edit(&k, &v); err != nil {
			return err
		}
		return s.o.Store.StoreVersion(ctx, rec, &k, &v, k.Jobs())
	})
}

// Handlers answers what is done when the jobs are due.
func (s *Service) Handlers() map[string]job.Handler {
	return map[string]job.Handler{key.JobExpire: s.expireDue}
}

// expireDue deletes material whose time has come. It looks again at the key itself:
// material that was imported anew has another end.
func (s *Service) expireDue(ctx context.Context, j job.Job) (again time.Time, err error) {
	k, err := s.o.Store.Key(ctx, j.Account, key.ID(j.Subject))
	if fault.Is(err, fault.KeyNotFound) {
		return time.Time{}, nil
	}
	if err != nil || k.Empty || k.ExpireAt.IsZero() {
		return time.Time{}, err
	}
	if s.o.Now().Before(k.ExpireAt) {
		return k.ExpireAt, nil
	}
	return time.Time{}, s.do(ctx, key.Scheduler(j.Account, s.o.Now()), "kms:ExpireKeyMaterial", func(rec *audit.Record) error {
		rec.Resource = s.o.Ring.ARN(k)
		return s.change(ctx, rec, k, func(k *key.Key, v *key.Version) error {
			if k.ExpireAt.IsZero() || s.o.Now().Before(k.ExpireAt) {
				return fault.StateConflict.New("the material is not due any more")
			}
			return s.empty(ctx, k, v)
		})
	})
}

// do runs one operation that ends in one record.
func (s *Service) do(ctx context.Context, c *authz.Call, action string, fn func(*audit.Record) error) error {
	rec := audit.NewRecord(c, action)
	return s.o.Log.Do(ctx, rec, func() error { return fn(rec) })
}

// resolve answers a key whose material is imported, if the caller may perform the
// operation on it.
func (s *Service) resolve(ctx context.Context, c *authz.Call, rec *audit.Record, name string) (*keyring.Entry, error) {
	e, err := s.o.Ring.Resolve(ctx, keyring.Ask{Call: c, Record: rec, Action: rec.Action, Name: name})
	if err == nil && e.Key.Origin != key.OriginExternal {
		return nil, fault.UnsupportedOrigin.New("The material of key %s was generated, not imported; create a key with the origin %s to import material.", e.Key.ID, key.OriginExternal)
	}
	return e, err
}

// clock answers the time as rows keep it.
func (s *Service) clock() time.Time { return s.o.Now().UTC().Truncate(time.Microsecond) }
