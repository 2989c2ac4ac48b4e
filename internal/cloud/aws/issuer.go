package aws

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/lazy"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
)

const (
	maxKeys = 2 // of one user
	// activates: AWS says that a change becomes visible everywhere after a while, and not after
	// which. It is seconds; a minute of patience costs nothing, since the old key works meanwhile.
	activates = time.Minute
)

// issuing is what an issuer needs beside the policy of a provider: for each user whose keys
// are replaced a resource. Keys of other users stay out of reach.
const issuing = `{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": [
        "iam:CreateAccessKey",
        "iam:UpdateAccessKey",
        "iam:DeleteAccessKey"
      ],
      "Resource": "arn:aws:iam::ACCOUNT:user/USER"
    }
  ]
}
`

// userForm is the id of a user. The account's own user has none, and a person replaces its keys.
var userForm = lazy.Regexp(`^AIDA[A-Z0-9]{12,124}$`)

// Issuer describes how access keys of users of IAM are made and ended.
func Issuer() rotation.KindOfIssuer {
	return rotation.KindOfIssuer{
		Name:   "aws",
		Policy: issuing,
		Open: func(in accesskey.Opening, principal string) (rotation.Issuer, error) {
			return openIssuer(in, principal, egress.Single(in.Allow))
		},
	}
}

func openIssuer(in accesskey.Opening, principal string, via *http.Client) (rotation.Issuer, error) {
	if !userForm().MatchString(principal) {
		return nil, fault.InvalidParameter.New("the principal is not the id of a user of IAM, such as AIDA and 17 letters and digits; a person has to replace the keys of the root user")
	}
	p, err := open(in, via)
	if err != nil {
		return nil, err
	}
	return &issuer{provider: p, principal: principal}, nil
}

// An issuer makes and ends the keys of one user.
type issuer struct {
	*provider
	principal string // the user's id, which stays when the name changes
}

// Means implements rotation.Issuer.
func (i *issuer) Means() rotation.Means {
	return rotation.Means{Archetype: rotation.Pair, MaxKeys: maxKeys, Listed: true, Activates: activates, UseLag: useLag, Verifies: true}
}

// whose finds the user's name, which the API wants for the id. It is asked for each time:
// under a name that was given to somebody else keys of a stranger would be changed, and
// under one that is no more every key would seem to be gone.
func (i *issuer) whose(ctx context.Context) (url.Values, error) {
	i.client.lost = 0 // what was lost before says nothing of now
	var name string
	err := pages(ctx, &observation{provider: i.provider}, "ListUsers", nil, func(part *usersXML) {
		for _, u := range part.Users.all() {
			if u.ID == i.principal {
				name = u.Name
			}
		}
	})
	if err != nil {
		return nil, timely(err)
	}
	if name == "" {
		return nil, fmt.Errorf("%w: %w", rotation.ErrRefused, fault.ResourceNotFound.New("AWS has no user %s any more, and so no keys of that user", i.principal))
	}
	return url.Values{"UserName": {name}}, nil
}

// timely makes a fault of the end of a context.
func timely(err error) error {
	if fault.Is(err, fault.Internal) {
		return fault.Unavailable.Wrap(err, "the time was over before AWS had answered; try again")
	}
	return err
}

// Keys implements rotation.Issuer. A use that could not be asked for is not known.
func (i *issuer) Keys(ctx context.Context) ([]rotation.Held, error) {
	whose, err := i.whose(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := (&observation{provider: i.provider}).keys(ctx, i.principal, whose)
	if err != nil {
		return nil, timely(err)
	}
	held := make([]rotation.Held, len(keys))
	for n, k := range keys {
		held[n] = rotation.Held{ID: k.ID, Status: k.Status, CreatedAt: k.CreatedAt, Use: k.Use}
	}
	return held, nil
}

// Create implements rotation.Issuer.
func (i *issuer) Create(ctx context.Context, a rotation.Attempt) (rotation.Minted, error) {
	if a.Principal != i.principal {
		return rotation.Minted{}, fmt.Errorf("%w: %w", rotation.ErrRefused, fault.InvalidParameter.New("the attempt is for another user than the issuer"))
	}
	var made struct {
		ID     string `xml:"AccessKey>AccessKeyId"`
		Secret []byte `xml:"AccessKey>SecretAccessKey"`
	}
	err := i.change(ctx, "CreateAccessKey", url.Values{}, &made)
	switch {
	case err != nil:
		clear(made.Secret)
		return rotation.Minted{}, err
	case !keyForm().MatchString(made.ID) || len(made.Secret) == 0:
		clear(made.Secret)
		return rotation.Minted{}, incomplete("CreateAccessKey", "there is no key in it")
	}
	return rotation.Minted{ID: made.ID, Parts: map[string]material.Bytes{
		"aws_access_key_id": material.NewBytes([]byte(made.ID)), "aws_secret_access_key": material.NewBytes(made.Secret),
	}}, nil
}

// Verify implements rotation.Issuer. It asks whose credential it is, which needs no right.
func (i *issuer) Verify(ctx context.Context, keyID string, parts map[string]material.Bytes) (rotation.Verdict, error) {
	id := string(parts["aws_access_key_id"].Expose())
	if id != keyID || !keyForm().MatchString(id) {
		return "", fault.InvalidParameter.New("aws_access_key_id is not the id of the key that is to be tried")
	}
	consumer := &client{http: i.client.http, now: i.client.now, id: id, secret: parts["aws_secret_access_key"]}
	var who struct {
		UserID string `xml:"UserId"`
	}
	err := consumer.call(ctx, i.sts, "GetCallerIdentity", nil, &who)
	var no *refusal
	switch {
	case errors.As(err, &no) && no.wrongKey():
		return rotation.Refused, nil
	case err != nil:
		return "", timely(explain(err))
	case who.UserID == "":
		return "", fault.Unavailable.New("what answered sts:GetCallerIdentity is not AWS")
	case who.UserID != i.principal:
		return rotation.Stranger, nil
	}
	return rotation.Accepted, nil
}

// wrongKey tells whether AWS refused the key, and not the time of a request.
func (r *refusal) wrongKey() bool {
	switch r.code {
	case "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId":
		return true
	case "SignatureDoesNotMatch":
		return r.skew.Abs() <= maxSkew
	}
	return false
}

// Disable implements rotation.Issuer.
func (i *issuer) Disable(ctx context.Context, keyID string) error {
	return i.change(ctx, "UpdateAccessKey", url.Values{"AccessKeyId": {keyID}, "Status": {"Inactive"}}, nil)
}

// Enable implements rotation.Issuer.
func (i *issuer) Enable(ctx context.Context, keyID string) error {
	return i.change(ctx, "UpdateAccessKey", url.Values{"AccessKeyId": {keyID}, "Status": {"Active"}}, nil)
}

// Delete implements rotation.Issuer.
func (i *issuer) Delete(ctx context.Context, keyID, _ string) error {
	err := i.change(ctx, "DeleteAccessKey", url.Values{"AccessKeyId": {keyID}}, nil)
	if errors.Is(err, rotation.ErrAbsent) {
		return nil
	}
	return err
}

// change makes one request that changes something of the user's keys. Whatever fails
// before it had no effect.
func (i *issuer) change(ctx context.Context, action string, params url.Values, out any) error {
	whose, err := i.whose(ctx)
	switch {
	case errors.Is(err, rotation.ErrRefused):
		return err
	case err != nil && effect(err) == rotation.ErrRefused:
		return fmt.Errorf("%w: %w", rotation.ErrRefused, err)
	case err != nil:
		return fmt.Errorf("%w: %w", rotation.ErrNoEffect, err)
	}
	params.Set("UserName", whose.Get("UserName"))
	err = i.client.single(ctx, i.iam, action, params, out)
	if err == nil {
		return nil
	}
	err = timely(explain(err))
	if class := effect(err); class != nil {
		return fmt.Errorf("%w: %w", class, err)
	}
	return err
}

// refusing are the codes by which AWS says that it looked at a request and did nothing.
var refusing = []string{
	accessDenied, "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized", "OptInRequired",
	"InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch", "IncompleteSignature",
	"MissingAuthenticationToken", "RequestExpired", "ExpiredToken", "ExpiredTokenException",
	"ValidationError", "InvalidInput", "InvalidAction", "MissingAction", "MissingParameter", "MalformedQueryString",
	"InvalidParameterValue", "InvalidParameterCombination", "InvalidQueryParameter",
}

// effect answers what the error of one request says of its effect: an error of package
// rotation, or nil for nothing. A code that is not known leaves it open.
func effect(err error) error {
	var no *refusal
	switch {
	case errors.Is(err, egress.ErrRefused):
		return rotation.ErrRefused // until the operator allows the network
	case errors.Is(err, egress.ErrUnsent):
		return rotation.ErrNoEffect
	case !errors.As(err, &no) || no.status/100 != 4:
		return nil
	case slices.Contains(throttling, no.code):
		return rotation.ErrNoEffect
	case no.code == "LimitExceeded":
		return rotation.ErrFull
	case no.code == noSuchEntity:
		return rotation.ErrAbsent // the user was there a moment ago
	case slices.Contains(refusing, no.code):
		return rotation.ErrRefused
	}
	return nil
}
