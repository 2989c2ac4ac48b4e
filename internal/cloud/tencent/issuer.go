package tencent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
)

// The operations that change keys. None is repeated: whoever asked for one looks first.
var (
	createAccessKey = change("CreateAccessKey")
	updateAccessKey = change("UpdateAccessKey")
	deleteAccessKey = change("DeleteAccessKey")
)

func change(action string) Operation {
	return Operation{Service: "cam", Version: "2019-01-16", Action: action, Limit: 5}
}

// activates: Tencent Cloud says nothing of the time until a new key is known everywhere.
// It is seconds; a minute of patience costs nothing, since the old key works meanwhile.
const activates = time.Minute

// issuing is what an issuer needs beside the policy of a [Provider]: for each user whose
// keys are replaced a resource. Keys of other users stay out of reach.
const issuing = `{
  "version": "2.0",
  "statement": [
    {
      "effect": "allow",
      "action": [
        "cam:CreateAccessKey",
        "cam:UpdateAccessKey",
        "cam:DeleteAccessKey"
      ],
      "resource": ["qcs::cam::uin/ACCOUNT:uin/USER"]
    }
  ]
}
`

// Issuer describes how access keys of users of Tencent Cloud are made and ended.
func Issuer() rotation.KindOfIssuer {
	return rotation.KindOfIssuer{
		Name:   "tencent",
		Policy: issuing,
		Open: func(o accesskey.Opening, principal string) (rotation.Issuer, error) {
			return openIssuer(o, principal, egress.Single(o.Allow))
		},
	}
}

func openIssuer(o accesskey.Opening, principal string, via *http.Client) (rotation.Issuer, error) {
	uin, err := id(principal).uin()
	if err != nil {
		return nil, fault.InvalidParameter.Wrap(err, "the principal is not the number (UIN) of a user")
	}
	p, err := openProvider(o, via)
	if err != nil {
		return nil, err
	}
	return &issuer{Provider: p, principal: principal, uin: uin}, nil
}

// An issuer makes and ends the keys of one user.
type issuer struct {
	*Provider
	principal string
	uin       uint64 // the same
}

// Means implements [rotation.Issuer]. Keys of the international site have no description,
// which is where the tag would be.
func (i *issuer) Means() rotation.Means {
	return rotation.Means{
		Archetype: rotation.Pair, MaxKeys: quota, Tagged: i.tagged(), Listed: true,
		Activates: activates, UseLag: useLag, Verifies: true,
	}
}

func (i *issuer) tagged() bool {
	return !strings.HasSuffix(i.client.endpoint.Hostname(), ".intl"+domain)
}

// Keys implements [rotation.Issuer]. A use that could not be asked for is not known.
func (i *issuer) Keys(ctx context.Context) ([]rotation.Held, error) {
	keys, err := i.keys(ctx, i.principal)
	if err != nil {
		return nil, err
	}
	i.uses(ctx, keys)
	held := make([]rotation.Held, len(keys))
	for n, k := range keys {
		held[n] = rotation.Held{ID: k.ID, Tag: k.Name, Status: k.Status, CreatedAt: k.CreatedAt, Use: k.Use}
	}
	return held, nil
}

// secret is a secret of an answer, which can be erased.
type secret []byte

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *secret) UnmarshalText(b []byte) error {
	*s = bytes.Clone(b)
	return nil
}

// Create implements [rotation.Issuer].
func (i *issuer) Create(ctx context.Context, a rotation.Attempt) (rotation.Minted, error) {
	if a.Principal != i.principal {
		return rotation.Minted{}, fmt.Errorf("%w: %w", rotation.ErrRefused, fault.InvalidParameter.New("the attempt is for another user than the issuer"))
	}
	in := struct {
		TargetUin   uint64
		Description string `json:",omitempty"`
	}{TargetUin: i.uin}
	if i.tagged() {
		in.Description = a.Tag
	}
	var out struct {
		AccessKey struct {
			AccessKeyID     id `json:"AccessKeyId"`
			SecretAccessKey secret
		}
	}
	if err := i.change(ctx, createAccessKey, in, &out); err != nil {
		clear(out.AccessKey.SecretAccessKey)
		return rotation.Minted{}, err
	}
	made := out.AccessKey
	if made.AccessKeyID == "" || len(made.SecretAccessKey) == 0 {
		return rotation.Minted{}, incomplete(createAccessKey)
	}
	return rotation.Minted{ID: string(made.AccessKeyID), Parts: map[string]material.Bytes{
		"secret_id": material.NewBytes([]byte(made.AccessKeyID)), "secret_key": material.NewBytes(made.SecretAccessKey),
	}}, nil
}

// Verify implements [rotation.Issuer]. It asks whose credential it is, which needs no right
// of CAM.
func (i *issuer) Verify(ctx context.Context, keyID string, parts map[string]material.Bytes) (rotation.Verdict, error) {
	tried := Signer{SecretID: string(parts["secret_id"].Expose()), SecretKey: parts["secret_key"]}
	if tried.SecretID != keyID {
		return "", fault.InvalidParameter.New("secret_id is not the id of the key that is to be tried")
	}
	if err := tried.check(); err != nil {
		return "", err
	}
	client := &Client{endpoint: i.client.endpoint, signer: tried, now: i.client.now, http: i.client.http}
	who, err := New(client, i.region).Check(ctx)
	switch codeOf(err) {
	case "AuthFailure.SecretIdNotFound", "AuthFailure.InvalidSecretId", "AuthFailure.SignatureFailure":
		return rotation.Refused, nil
	}
	switch {
	case err != nil:
		return "", err
	case who.Principal != i.principal:
		return rotation.Stranger, nil
	}
	return rotation.Accepted, nil
}

// Disable implements [rotation.Issuer].
func (i *issuer) Disable(ctx context.Context, keyID string) error {
	return i.update(ctx, keyID, "Inactive")
}

// Enable implements [rotation.Issuer].
func (i *issuer) Enable(ctx context.Context, keyID string) error {
	return i.update(ctx, keyID, "Active")
}

func (i *issuer) update(ctx context.Context, keyID, status string) error {
	return i.change(ctx, updateAccessKey, struct {
		AccessKeyID string `json:"AccessKeyId"`
		Status      string
		TargetUin   uint64
	}{keyID, status, i.uin}, &struct{}{})
}

// Delete implements [rotation.Issuer].
func (i *issuer) Delete(ctx context.Context, keyID, _ string) error {
	err := i.change(ctx, deleteAccessKey, struct {
		AccessKeyID string `json:"AccessKeyId"`
		TargetUin   uint64
	}{keyID, i.uin}, &struct{}{})
	if errors.Is(err, rotation.ErrAbsent) {
		return nil
	}
	return err
}

// change makes one request that changes something.
func (i *issuer) change(ctx context.Context, op Operation, in, out any) error {
	op.Region = i.region
	err := i.client.Once(ctx, op, in, out)
	if class := effect(err); class != nil {
		return fmt.Errorf("%w: %w", class, err)
	}
	return err
}

// effect answers what the error of one request says of its effect: an error of package
// rotation, or nil for nothing. Only codes of which it is certain that the service looks
// before it acts are a refusal, and only an answer with a request id is the service's.
func effect(err error) error {
	var e *Error
	switch {
	case errors.Is(err, egress.ErrRefused):
		return rotation.ErrRefused // until the operator allows the network
	case errors.Is(err, egress.ErrUnsent):
		return rotation.ErrNoEffect
	case !errors.As(err, &e) || e.RequestID == "":
		return nil
	case e.throttled():
		return rotation.ErrNoEffect
	case e.below("OperationDenied.AccessKeyOverLimit"):
		return rotation.ErrFull
	case e.below("ResourceNotFound.SecretNotExist"):
		return rotation.ErrAbsent
	case e.below("AuthFailure", "UnauthorizedOperation", "InvalidParameter", "InvalidParameterValue", "MissingParameter", "UnknownParameter",
		"InvalidAction", "ActionOffline", "NoSuchVersion", "UnsupportedOperation", "UnsupportedRegion", "OperationDenied", "ResourceNotFound", "LimitExceeded"):
		return rotation.ErrRefused
	}
	return nil
}
