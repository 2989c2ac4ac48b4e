package keyring

import (
	"context"
	"errors"
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
	Usage      key.Usage     // that the operation makes of a key which may have several; empty for others
	Sealed     bool          // Name is an id that a ciphertext names, which does not tell whose key it is
	Attributes []authz.Attribute
}

// Resolve finds the key that a name means, asks whether the caller may do the action with
// it, and answers it from the cache. A caller who may not learns nothing about whether
// the key exists or what an alias points at ([fault.NoPermission]). Another account's key
// must be named by an ARN, or by a ciphertext; unless its policy lets the caller in it is
// a missing one ([fault.KeyNotFound]).
func (r *Ring) Resolve(ctx context.Context, ask Ask) (*Entry, error) {
	e, err := r.find(ctx, ask)
	if fault.Is(err, fault.NoPermission) {
		err = fault.NoPermission.Wrap(err, "%s may not perform %s on %s; ask an administrator of the account for a policy that allows it%s", ask.Call.ARN(), ask.Action, ask.Name, hint(ask, e))
	}
	if err != nil {
		return nil, err
	}
	return e, nil
}

// hint answers what else a policy needs that is to reach the key of another account.
func hint(ask Ask, e *Entry) fault.Text {
	if e == nil || e.Key.Account == ask.Call.Account {
		return fault.Text{}
	}
	return fault.Say(" and whose Resource writes out the account that has the key")
}

func (r *Ring) find(ctx context.Context, ask Ask) (*Entry, error) {
	at, err := r.identify(ctx, ask)
	if err != nil {
		return nil, err
	}
	e, err := r.keys.Get(ctx, at)
	if err == nil {
		err = r.permit(ask, e)
	} else if at.account == ask.Call.Account {
		err = r.missing(ask, r.Name(at.account, "key/"+string(at.id)), err)
	}
	switch {
	case errors.Is(err, errHidden) && ask.Sealed: // as if nobody had it
		return nil, r.missing(ask, r.Name(ask.Call.Account, "key/"+string(at.id)), notFound())
	case errors.Is(err, errHidden):
		return nil, notFound()
	}
	return e, err
}

func notFound() error { return fault.KeyNotFound.New("The specified Key is not found.") }

// identify answers which key a name means for the caller.
func (r *Ring) identify(ctx context.Context, ask Ask) (ref, error) {
	owner, name := ask.Call.Account, ask.Name
	if name == "" {
		return ref{}, fault.MissingParameter.New("KeyId is mandatory for this action.")
	}
	if len(name) > key.MaxName || !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
		return ref{}, fault.InvalidParameter.New("The specified parameter KeyId is not valid. It must be the id of a key, an alias, or the ARN of either.")
	}
	if rest, ok := strings.CutPrefix(name, "acs:kms:"); ok {
		region, rest, _ := strings.Cut(rest, ":")
		var relative string
		owner, relative, _ = strings.Cut(rest, ":")
		if region != r.region {
			return ref{}, notFound()
		}
		name = strings.TrimPrefix(relative, "key/")
	}
	if owner != ask.Call.Account {
		ask.Record.Resource = ask.Name // all that the caller may learn, unless it is let in
	}
	if !strings.HasPrefix(name, "alias/") {
		return r.owned(ctx, ask, ref{owner, key.ID(name)})
	}
	a, err := r.Alias(ctx, owner, name)
	switch {
	case err == nil && owner == ask.Call.Account:
		ask.Record.Param("Alias", name)
	case fault.Is(err, fault.AliasNotFound) && owner != ask.Call.Account:
		return ref{}, notFound()
	case err != nil:
		return ref{}, r.missing(ask, r.Name(owner, name), err)
	}
	return ref{owner, a.Key}, nil
}

// owned finds out whose key a ciphertext names. A key that there is not is the caller's.
func (r *Ring) owned(ctx context.Context, ask Ask, at ref) (ref, error) {
	if !ask.Sealed {
		return at, nil
	}
	owner, err := r.owners.Get(ctx, at.id)
	if fault.Is(err, fault.KeyNotFound) {
		return at, nil
	}
	return ref{owner, at.id}, err
}

// missing answers why a name leads nowhere, if the caller may know it.
func (r *Ring) missing(ask Ask, resource string, err error) error {
	if denied := r.May(ask, resource); denied != nil {
		return denied
	}
	return err
}
