package keyring

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
)

// An Ask is what somebody wants with a key.
type Ask struct {
	Call       *authz.Call
	Record     *audit.Record // of the operation; is told the resource and the decision
	Action     string        // as policies know it
	Name       string        // id, alias, or the ARN of either
	Attributes []authz.Attribute
}

// Resolve finds the key that a name means, asks whether the caller may do the action with
// it, and answers it from the cache. A caller who may not learns nothing about whether
// the key exists or what an alias points at ([fault.NoPermission]), and another account's
// key is a missing one ([fault.KeyNotFound]).
func (r *Ring) Resolve(ctx context.Context, ask Ask) (*Entry, error) {
	e, err := r.find(ctx, ask)
	if fault.Is(err, fault.NoPermission) {
		return nil, fault.NoPermission.Wrap(err, "%s may not perform %s on %s; ask an administrator of the account for a policy that allows it", ask.Call.ARN(), ask.Action, ask.Name)
	}
	return e, err
}

func (r *Ring) find(ctx context.Context, ask Ask) (*Entry, error) {
	at, err := r.identify(ctx, ask)
	if err != nil {
		return nil, err
	}
	e, err := r.keys.Get(ctx, at)
	if err != nil {
		return nil, r.missing(ask, r.Name(at.account, "key/"+string(at.id)), err)
	}
	if err := r.permit(ask, e); err != nil {
		return nil, err
	}
	return e, nil
}

// identify answers which key a name means for the caller.
func (r *Ring) identify(ctx context.Context, ask Ask) (ref, error) {
	account, name := ask.Call.Account, ask.Name
	if name == "" {
		return ref{}, fault.MissingParameter.New("KeyId is mandatory for this action.")
	}
	if len(name) > key.MaxName || !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
		return ref{}, fault.InvalidParameter.New("The specified parameter KeyId is not valid. It must be the id of a key, an alias, or the ARN of either.")
	}
	if rest, ok := strings.CutPrefix(name, "acs:kms:"); ok {
		region, rest, _ := strings.Cut(rest, ":")
		owner, relative, _ := strings.Cut(rest, ":")
		if region != r.region || owner != account {
			return ref{}, fault.KeyNotFound.New("The specified Key is not found.")
		}
		name = strings.TrimPrefix(relative, "key/")
	}
	if !strings.HasPrefix(name, "alias/") {
		return ref{account, key.ID(name)}, nil
	}
	a, err := r.Alias(ctx, account, name)
	if err != nil {
		return ref{}, r.missing(ask, r.Name(account, name), err)
	}
	ask.Record.Param("Alias", name)
	return ref{account, a.Key}, nil
}

// missing answers why a name leads nowhere, if the caller may know it.
func (r *Ring) missing(ask Ask, resource string, err error) error {
	if denied := r.May(ask, resource); denied != nil {
		return denied
	}
	return err
}
