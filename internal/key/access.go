package key

import (
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/authz"
)

// Regained is how long after its access was withdrawn another account still counts.
const Regained = 5 * time.Minute

// Access is another account that is let in, be it to one key or to an instance.
type Access struct {
	Account string
	Until   int64 // microseconds since 1970 until which it counts although it is not let in any more; 0 while it is
}

// Withdraw answers the accesses as they are once only some accounts are let in; what has not
// counted for long is forgotten.
func Withdraw(all []Access, stay []string, now time.Time) []Access {
	var out []Access
	for _, account := range stay {
		out = append(out, Access{Account: account})
	}
	for _, a := range all {
		if a.Until == 0 {
			a.Until = now.Add(Regained).UnixMicro()
		}
		if !slices.Contains(stay, a.Account) && a.Counts(now) {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b Access) int { return strings.Compare(a.Account, b.Account) })
	return out
}

// Counts tells whether the access consumes quota.
func (a Access) Counts(now time.Time) bool { return a.Until == 0 || now.UnixMicro() < a.Until }

// lenders answers the account that lent the key's place, if it is not the key's own.
func (k Key) lenders() []string {
	if k.Lender == "" {
		return nil
	}
	return []string{k.Lender}
}

// DefaultPolicy answers the policy that the key has when it was given none.
func (k Key) DefaultPolicy() string { return authz.KeyTerms().Default(k.Account, k.lenders()...) }

// Compile reads a policy that the key may have.
func (k Key) Compile(document string) (*authz.ResourcePolicy, error) {
	return authz.KeyTerms().Compile(k.Account, []byte(document), k.lenders()...)
}

// Guests answers the accounts that a policy lets in and that neither have the key nor lent
// its place; nil for the default policy.
func (k Key) Guests(p *authz.ResourcePolicy) []string {
	if p == nil {
		return nil
	}
	return slices.DeleteFunc(p.LetsIn(), func(account string) bool { return account == k.Account || account == k.Lender })
}
