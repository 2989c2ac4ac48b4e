package alibaba

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/alibaba/rpc"
	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/lazy"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
)

const (
	maxKeys = 2 // of one user
	// activates: Alibaba Cloud says nothing of the time until a new key is known everywhere.
	// It is seconds; a minute of patience costs nothing, since the old key works meanwhile.
	activates = time.Minute
)

// issuing is what an issuer needs beside [leastRights]: for each user whose keys are
// replaced a resource. Keys of other users stay out of reach.
const issuing = `{
  "Version": "1",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": [
        "ram:GetUser",
        "ram:CreateAccessKey",
        "ram:UpdateAccessKey",
        "ram:DeleteAccessKey"
      ],
      "Resource": "acs:ram:*:ACCOUNT:user/USER"
    }
  ]
}
`

// userForm is the id of a user.
var userForm = lazy.Regexp(`^[0-9]{1,32}$`)

// Issuer describes how access keys of RAM users are made and ended.
func Issuer() rotation.KindOfIssuer {
	return rotation.KindOfIssuer{
		Name:   "alibaba",
		Policy: issuing,
		Open: func(o accesskey.Opening, principal string) (rotation.Issuer, error) {
			return openIssuer(o, principal, egress.Single(o.Allow))
		},
	}
}

func openIssuer(o accesskey.Opening, principal string, via *http.Client) (rotation.Issuer, error) {
	if !userForm().MatchString(principal) {
		return nil, fault.InvalidParameter.New("the principal is not the id of a RAM user, which is a number")
	}
	p, err := open(o, via)
	if err != nil {
		return nil, err
	}
	return &issuer{Provider: p, principal: principal}, nil
}

// An issuer makes and ends the keys of one user.
type issuer struct {
	*Provider
	principal string // the user's id, which stays when the name changes
}

// Means implements [rotation.Issuer].
func (i *issuer) Means() rotation.Means {
	return rotation.Means{Archetype: rotation.Pair, MaxKeys: maxKeys, Listed: true, Activates: activates, UseLag: useLag, Verifies: true}
}

func (i *issuer) operation(action string, params map[string]string) rpc.Operation {
	return rpc.Operation{Endpoint: i.ims, Version: imsVersion, Action: action, Params: params}
}

// whose finds the user's logon name, which the API wants for the id. It is asked for each
// time, because names change.
func (i *issuer) whose(ctx context.Context) (map[string]string, error) {
	got, err := rpc.Read[oneUser](ctx, i.client, i.operation("GetUser", map[string]string{"UserId": i.principal}))
	switch {
	case err != nil:
		return nil, timely(err)
	case got.User.UserId != i.principal:
		return nil, fault.Unavailable.New("Alibaba Cloud told of another user than was asked for; try again")
	}
	return map[string]string{"UserPrincipalName": got.User.UserPrincipalName}, nil
}

// timely makes a fault of the end of a context.
func timely(err error) error {
	if fault.Is(err, fault.Internal) {
		return fault.Unavailable.Wrap(err, "the time was over before Alibaba Cloud had answered; try again")
	}
	return err
}

// list lists the user's keys as they are now, and says whose they are.
func (i *issuer) list(ctx context.Context) (keys []accesskey.Observed, whose map[string]string, err error) {
	if whose, err = i.whose(ctx); err != nil {
		return nil, nil, err
	}
	list, err := rpc.Read[accessKeyList](ctx, i.client, i.operation("ListAccessKeys", whose))
	if err != nil {
		return nil, nil, timely(err)
	}
	for _, k := range list.AccessKeys.AccessKey {
		keys = append(keys, observed(k, i.principal))
	}
	return keys, whose, nil
}

// Keys implements [rotation.Issuer]. A use that could not be asked for is not known.
func (i *issuer) Keys(ctx context.Context) ([]rotation.Held, error) {
	keys, whose, err := i.list(ctx)
	if err != nil {
		return nil, err
	}
	held := make([]rotation.Held, len(keys))
	for n, k := range keys {
		used, err := rpc.Read[lastUsed](ctx, i.client, i.operation("GetAccessKeyLastUsed", with(whose, "UserAccessKeyId", k.ID)))
		if err == nil {
			k.Use = use(used.AccessKeyLastUsed.LastUsedDate, used.AccessKeyLastUsed.ServiceName)
		}
		held[n] = rotation.Held{ID: k.ID, Status: k.Status, CreatedAt: k.CreatedAt, Use: k.Use}
	}
	return held, nil
}

// with adds a parameter to some.
func with(params map[string]string, name, value string) map[string]string {
	out := maps.Clone(params)
	out[name] = value
	return out
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
	whose, err := i.whose(ctx)
	if err != nil {
		return rotation.Minted{}, before(err)
	}
	var out struct {
		AccessKey struct {
			AccessKeyId     string
			AccessKeySecret secret
		}
	}
	err = i.client.Once(ctx, i.operation("CreateAccessKey", whose), &out)
	made := out.AccessKey
	if err == nil && (!fitID(made.AccessKeyId) || len(made.AccessKeySecret) == 0) {
		err = fault.Unavailable.New("Alibaba Cloud's answer to CreateAccessKey has no key in it")
	}
	if err != nil {
		clear(made.AccessKeySecret)
		return rotation.Minted{}, classed(err)
	}
	return rotation.Minted{ID: made.AccessKeyId, Parts: map[string]material.Bytes{
		"access_key_id": material.NewBytes([]byte(made.AccessKeyId)), "access_key_secret": material.NewBytes(made.AccessKeySecret),
	}}, nil
}

// Verify implements [rotation.Issuer]. It asks whose credential it is, which needs no right.
func (i *issuer) Verify(ctx context.Context, keyID string, parts map[string]material.Bytes) (rotation.Verdict, error) {
	tried := rpc.Credential{ID: string(parts["access_key_id"].Expose()), Secret: parts["access_key_secret"]}
	if tried.ID != keyID || !fitID(keyID) {
		return "", fault.InvalidParameter.New("access_key_id is not the id of the key that is to be tried")
	}
	op := rpc.Operation{Endpoint: i.sts, Version: stsVersion, Action: "GetCallerIdentity"}
	who, err := rpc.Read[callerIdentity](ctx, i.client.With(tried), op)
	switch {
	case rpc.ErrorOf(err).Below("InvalidAccessKeyId", "SignatureDoesNotMatch"):
		return rotation.Refused, nil
	case err != nil:
		return "", timely(err)
	case who.UserId == "":
		return "", fault.Unavailable.New("Alibaba Cloud did not say whose credential it is; try again")
	case who.UserId != i.principal:
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
	whose, err := i.whose(ctx)
	if err != nil {
		return before(err)
	}
	params := with(with(whose, "UserAccessKeyId", keyID), "Status", status)
	return classed(i.client.Once(ctx, i.operation("UpdateAccessKey", params), &struct{}{}))
}

// Delete implements [rotation.Issuer]. Only a key that is switched off can be deleted, and
// one that should be gone is switched off first. When that had its effect, an error of the
// deletion does not say that nothing happened.
func (i *issuer) Delete(ctx context.Context, keyID, _ string) error {
	keys, whose, err := i.list(ctx)
	if err != nil {
		return before(err)
	}
	active := slices.ContainsFunc(keys, func(k accesskey.Observed) bool { return k.ID == keyID && k.Status == accesskey.Active })
	if active {
		if err := i.Disable(ctx, keyID); err != nil {
			return err
		}
	}
	err = i.client.Once(ctx, i.operation("DeleteAccessKey", with(whose, "UserAccessKeyId", keyID)), &struct{}{})
	switch {
	case effect(err) == rotation.ErrAbsent:
		return nil
	case active:
		return err
	}
	return classed(err)
}

// before makes of what failed before anything was changed an error that says so.
func before(err error) error {
	if effect(err) == rotation.ErrRefused {
		return fmt.Errorf("%w: %w", rotation.ErrRefused, err)
	}
	return fmt.Errorf("%w: %w", rotation.ErrNoEffect, err)
}

// classed makes of an error one that says what it knows of the effect.
func classed(err error) error {
	if class := effect(err); class != nil {
		return fmt.Errorf("%w: %w", class, err)
	}
	return err
}

// effect answers what the error of one request says of its effect: an error of package
// rotation, or nil for nothing. Only codes of which it is certain that the service looks
// before it acts are a refusal, and only an answer with a code and a request id is the
// service's. That a nonce was used already says that the request arrived before.
func effect(err error) error {
	e := rpc.ErrorOf(err)
	switch {
	case errors.Is(err, egress.ErrRefused):
		return rotation.ErrRefused // until the operator allows the network
	case errors.Is(err, egress.ErrUnsent):
		return rotation.ErrNoEffect
	case e.Code == "" || e.RequestID == "" || e.Status >= http.StatusInternalServerError:
		return nil
	case e.Below("Throttling"):
		return rotation.ErrNoEffect
	case e.Below("LimitExceeded.User.AccessKey"):
		return rotation.ErrFull
	case e.Below("EntityNotExist.User.AccessKey"):
		return rotation.ErrAbsent
	case e.OfCredential() || e.Denied() || e.Below("EntityNotExist", "LimitExceeded", "DeleteConflict", "InvalidParameter", "MissingParameter",
		"InvalidAction", "InvalidVersion", "UnsupportedHTTPMethod"):
		return rotation.ErrRefused
	}
	return nil
}
