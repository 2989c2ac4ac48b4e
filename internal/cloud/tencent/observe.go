package tencent

import (
	"context"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/fault"
)

// workers is how many users are asked about at once. The pace of the client is what
// bounds the rate; more than a few only wait.
const workers = 4

// A Provider reads one account. It implements [accesskey.Provider].
type Provider struct {
	client *Client
	region string
}

// New makes a provider of a client; region may be "".
func New(c *Client, region string) *Provider { return &Provider{client: c, region: region} }

func (p *Provider) call(ctx context.Context, op Operation, in, out any) error {
	op.Region = p.region
	return p.client.Call(ctx, op, in, out)
}

// Check implements [accesskey.Provider]: one call, which needs no right of CAM.
func (p *Provider) Check(ctx context.Context) (accesskey.Identity, error) {
	var a struct {
		AccountID id `json:"AccountId"`
		UserID    text
	}
	if err := p.call(ctx, getCallerIdentity, struct{}{}, &a); err != nil {
		return accesskey.Identity{}, err
	}
	if a.AccountID == "" || a.UserID == "" {
		return accesskey.Identity{}, fault.Unavailable.New("Tencent Cloud did not say whose credential it is; try again")
	}
	who := accesskey.Identity{Account: string(a.AccountID), Principal: string(a.UserID), KeyID: p.client.signer.SecretID}
	// Of the account itself the user is the account; of a role it is "role:session".
	who.Root = who.Principal == who.Account
	if p.client.signer.Token.Len() > 0 {
		who.KeyID = "" // a temporary id, which no list has
	}
	return who, nil
}

// Observe implements [accesskey.Provider]. Its error is that of [Provider.Check], or that
// the context ended; what else goes wrong is a problem.
func (p *Provider) Observe(ctx context.Context) (accesskey.Snapshot, error) {
	before := p.client.Calls()
	who, err := p.Check(ctx)
	if err != nil {
		return accesskey.Snapshot{}, err
	}
	s := accesskey.Snapshot{Identity: who, Account: accesskey.Account{Quota: quota}}
	users, problems := p.users(ctx)

	each := make([]holding, len(users))
	var group errgroup.Group
	group.SetLimit(workers)
	for i := range users {
		group.Go(func() error {
			each[i] = p.holding(ctx, users[i])
			return nil
		})
	}
	root := p.rootKeys(ctx, who, &s.Account)
	_ = group.Wait() // none answers an error

	s.Principals = append(s.Principals, accesskey.Principal{ID: who.Account, Name: who.Account, Kind: accesskey.Root})
	s.Keys = root.keys
	var personal []accesskey.Problem
	for _, h := range each {
		s.Principals = append(s.Principals, h.principal)
		s.Keys = append(s.Keys, h.keys...)
		personal = append(personal, h.problems...)
	}
	problems = append(problems, root.problems...)
	problems = append(problems, together(personal, len(users))...)
	problems = append(problems, p.logins(ctx, s.Principals[1:])...)
	problems = append(problems, p.uses(ctx, s.Keys)...)
	s.Problems, s.Calls = problems, p.client.Calls()-before
	if err := ctx.Err(); err != nil {
		return accesskey.Snapshot{}, fault.Unavailable.Wrap(err, "the time was over before everything was read; try again")
	}
	return s, nil
}

// A holding is what is known of one user.
type holding struct {
	principal accesskey.Principal
	keys      []accesskey.Observed
	problems  []accesskey.Problem
}

// missing is the problem that an operation did not answer.
func missing(op Operation, subject string, err error) accesskey.Problem {
	return accesskey.Problem{What: op.String(), Subject: subject, Reason: fault.Message(err), Denied: denied(err), Lists: op.Action == listAccessKeys.Action}
}

// together makes one problem of those that all users share, so that a missing right is
// said once.
func together(problems []accesskey.Problem, users int) []accesskey.Problem {
	count := map[accesskey.Problem]int{}
	general := func(p accesskey.Problem) accesskey.Problem { p.Subject = ""; return p }
	for _, p := range problems {
		count[general(p)]++
	}
	var out []accesskey.Problem
	for _, p := range problems {
		switch n := count[general(p)]; {
		case users < 2 || n < users:
			out = append(out, p)
		case n == users:
			count[general(p)]++ // said
			out = append(out, general(p))
		}
	}
	return out
}

// holding asks about one user.
func (p *Provider) holding(ctx context.Context, of accesskey.Principal) holding {
	h := holding{principal: of}
	note := func(op Operation, err error) {
		if err != nil {
			h.problems = append(h.problems, missing(op, of.ID, err))
		}
	}
	var err error
	h.keys, err = p.keys(ctx, of.ID)
	note(listAccessKeys, err)
	h.principal.Grants, err = p.grants(ctx, of.ID)
	note(listAttachedUserAllPolicies, err)
	h.principal.ConsoleMFA, h.principal.ActionMFA, err = p.factors(ctx, of.ID)
	note(describeSafeAuthFlagColl, err)
	return h
}

// rootKeys reads the keys of the account itself, which it shows to nobody else.
func (p *Provider) rootKeys(ctx context.Context, who accesskey.Identity, account *accesskey.Account) (h holding) {
	keys, err := p.keys(ctx, who.Account)
	if err == nil {
		account.RootKey = accesskey.FactOf(len(keys) > 0)
		return holding{keys: keys}
	}
	problem := missing(listAccessKeys, who.Account, err)
	if !who.Root && fault.Is(err, fault.InvalidParameter) {
		problem.Denied = false // it is no right that anybody could grant
		problem.Reason = "Tencent Cloud shows the keys of the account itself to nobody else; look in the console, and delete those that there are"
	}
	return holding{problems: []accesskey.Problem{problem}}
}

type target struct {
	TargetUin uint64
}

// keys lists the keys of a user.
func (p *Provider) keys(ctx context.Context, user string) ([]accesskey.Observed, error) {
	uin, err := id(user).uin()
	if err != nil {
		return nil, fault.Unavailable.Wrap(err, "the user's number could not be read")
	}
	var a struct {
		AccessKeys *[]struct {
			AccessKeyID id `json:"AccessKeyId"`
			Status      text
			CreateTime  text
			Description text
		}
	}
	if err := p.call(ctx, listAccessKeys, target{uin}, &a); err != nil {
		return nil, err
	}
	if a.AccessKeys == nil {
		return nil, incomplete(listAccessKeys)
	}
	var out []accesskey.Observed
	for _, k := range *a.AccessKeys {
		if k.AccessKeyID == "" {
			return nil, incomplete(listAccessKeys)
		}
		status := accesskey.Active // what a word that is not known means, too: better one key too many to look at
		if strings.EqualFold(string(k.Status), "Inactive") {
			status = accesskey.Inactive
		}
		out = append(out, accesskey.Observed{
			ID: string(k.AccessKeyID), Principal: user, Name: string(k.Description), Status: status, CreatedAt: k.CreateTime.moment(),
			Use: accesskey.Use{Lag: useLag},
		})
	}
	return out, nil
}

// incomplete is the error of an answer that lacks what it was asked for. It must never
// pass for an answer that there is nothing.
func incomplete(op Operation) error {
	return fault.Unavailable.New("Tencent Cloud's answer to %s lacks what was asked for; try again", op)
}
