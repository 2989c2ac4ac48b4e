package rollout

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/lazy"
	"github.com/keyward/keyward/internal/material"
)

// tokenPattern is how a token is spelt: where it belongs, which one it is, and 130 random
// bits. It begins alike always, so that a leaked one can be found in any text.
var tokenPattern = lazy.Regexp(`^kwjt_([0-9]{16})_([0-9a-f]{16})_[A-Z2-7]{26}$`)

// errToken is all that is said of a token that is not good.
var errToken = fault.SecurityTokenInvalid.New("the join token is unknown, used up, revoked or expired; have a new one made with: keyward node token create")

// TokenInput is what CreateToken takes.
type TokenInput struct {
	Node   string // name that the node gets; "" lets each choose its own
	Labels []form.Pair
	Uses   int           // 0 for one
	Life   time.Duration // 0 for an hour
}

// CreateToken makes a token with which machines can join. It answers the token's text, which
// is kept nowhere. Who has it gets whatever is delivered to nodes with these labels.
func (s *Service) CreateToken(ctx context.Context, c *authz.Call, in TokenInput) (out Token, text material.Bytes, err error) {
	err = s.do(ctx, c, "keyward:CreateNodeToken", s.ARN(c.Account, "nodetoken", "*"), func(rec *audit.Record) error {
		if out, err = s.newToken(c.Account, in); err != nil {
			return err
		}
		rec.Param("Token", out.ID)
		rec.Param("Node", out.Node)
		rec.Param("Uses", strconv.Itoa(out.Uses))
		have, err := s.o.Tokens.Tokens(ctx, c.Account)
		if err != nil {
			return err
		}
		var over []Token
		for _, t := range have {
			if !out.CreatedAt.Before(t.ExpiresAt) {
				over = append(over, t)
			}
		}
		if len(have)-len(over) >= MaxTokens {
			return fault.LimitExceeded.New("the account has %d tokens, which is the limit; revoke some", MaxTokens)
		}
		text = material.NewBytes([]byte("kwjt_" + c.Account + "_" + out.ID + "_" + rand.Text()))
		sum := sha256.Sum256(text.Expose())
		out.Hash = sum[:]
		return s.o.Tokens.CreateToken(ctx, rec, &out, over[:min(len(over), 100)])
	})
	if err != nil {
		return Token{}, material.Bytes{}, err
	}
	return out, text, nil
}

func (s *Service) newToken(account string, in TokenInput) (Token, error) {
	if in.Uses == 0 {
		in.Uses = 1
	}
	if in.Life == 0 {
		in.Life = time.Hour
	}
	if in.Uses < 1 || in.Uses > MaxUses {
		return Token{}, fault.InvalidParameter.New("a token can be used 1 to %d times", MaxUses)
	}
	if in.Life < time.Minute || in.Life > MaxLife {
		return Token{}, fault.InvalidParameter.New("a token lives for a minute at least and %d days at most", MaxLife/(24*time.Hour))
	}
	if in.Node != "" {
		if err := checkName(fault.Say("node"), in.Node); err != nil {
			return Token{}, err
		}
	}
	given, err := labels(in.Labels)
	var id [8]byte
	rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	now := s.clock()
	return Token{Account: account, ID: hex.EncodeToString(id[:]), Node: in.Node, Labels: given, Uses: in.Uses, CreatedAt: now, ExpiresAt: now.Add(in.Life)}, err
}

// Tokens answers all tokens that can still be used, the newest first.
func (s *Service) Tokens(ctx context.Context, c *authz.Call) (out []Token, err error) {
	err = s.do(ctx, c, "keyward:ListNodeTokens", s.ARN(c.Account, "nodetoken", "*"), func(*audit.Record) error {
		all, err := s.o.Tokens.Tokens(ctx, c.Account)
		for _, t := range all {
			if t.good(s.clock()) {
				out = append(out, t)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (t Token) good(now time.Time) bool { return t.Uses > 0 && now.Before(t.ExpiresAt) }

// RevokeToken makes a token useless. Nodes that joined with it stay.
func (s *Service) RevokeToken(ctx context.Context, c *authz.Call, id string) error {
	return s.do(ctx, c, "keyward:RevokeNodeToken", s.ARN(c.Account, "nodetoken", id), func(rec *audit.Record) error {
		return rec.Again(func() error {
			t, err := s.o.Tokens.Token(ctx, c.Account, id)
			if err != nil {
				return err
			}
			return s.o.Tokens.DeleteToken(ctx, rec, &t)
		})
	})
}

// Recognize answers the token with a text, good or spent, for [Service.Join]. It leaves no
// record: who shows what is no token has not proved anything yet.
func (s *Service) Recognize(ctx context.Context, text material.Bytes) (Token, error) {
	parts := tokenPattern().FindSubmatch(text.Expose())
	if parts == nil {
		return Token{}, errToken
	}
	t, err := s.o.Tokens.Token(ctx, string(parts[1]), string(parts[2]))
	if fault.Is(err, fault.ResourceNotFound) {
		return Token{}, errToken
	}
	if err != nil {
		return Token{}, err
	}
	if sum := sha256.Sum256(text.Expose()); subtle.ConstantTimeCompare(sum[:], t.Hash) != 1 {
		return Token{}, errToken
	}
	return t, nil
}

// JoinInput is what a machine says that wants to be a node.
type JoinInput struct {
	Name    string // "" for the one that the token says
	Host    string // the name if neither says one
	SignKey []byte
	SealKey []byte
}

// Join makes a machine a node. A token that is made for one name replaces the keys of the
// node that has it; another one does not. Who joins again with the same keys, because the
// answer was lost, is answered the same even if the token is used up meanwhile.
func (s *Service) Join(ctx context.Context, c *authz.Call, t Token, in JoinInput) (out Node, err error) {
	name := cmp.Or(in.Name, t.Node, in.Host)
	rec := audit.NewRecord(c, "keyward:JoinNode")
	err = s.o.Log.Do(ctx, rec, func() error {
		rec.Resource, rec.Decision = s.ARN(t.Account, "node", name), "join token"
		rec.Param("Token", t.ID)
		if err := checkName(fault.Say("node"), name); err != nil {
			return err
		}
		if t.Node != "" && t.Node != name {
			return fault.InvalidParameter.New("this join token is for the node %s; leave the name out, or have a token made for %s", t.Node, name)
		}
		if err := in.checkKeys(); err != nil {
			return err
		}
		select {
		case s.door <- struct{}{}:
			defer func() { <-s.door }()
		case <-ctx.Done():
			return ctx.Err()
		}
		return rec.Again(func() error {
			out, err = s.join(ctx, rec, t, name, in)
			return err
		})
	})
	if err != nil {
		return Node{}, err
	}
	return out, nil
}

func (in JoinInput) checkKeys() error {
	if !material.ValidSignKey(in.SignKey) {
		return fault.InvalidParameter.New("signKey is no Ed25519 public key")
	}
	if err := material.CheckSealKey(in.SealKey); err != nil {
		return fault.InvalidParameter.Wrap(err, "sealKey is no HPKE public key of ML-KEM-768 with X25519")
	}
	return nil
}

// join reads what there is and stores the node.
func (s *Service) join(ctx context.Context, rec *audit.Record, t Token, name string, in JoinInput) (Node, error) {
	t, err := s.o.Tokens.Token(ctx, t.Account, t.ID)
	if fault.Is(err, fault.ResourceNotFound) {
		err = errToken
	}
	if err != nil {
		return Node{}, err
	}
	now := s.clock()
	n, err := s.o.Registry.Node(ctx, t.Account, name)
	known := err == nil
	if err != nil && !fault.Is(err, fault.ResourceNotFound) {
		return Node{}, err
	}
	if known && now.Before(t.ExpiresAt) && string(n.SignKey) == string(in.SignKey) && string(n.SealKey) == string(in.SealKey) && n.Token == t.ID {
		return n, nil
	}
	if !t.good(now) {
		return Node{}, errToken
	}
	if known && (t.Node == "" || n.Kind != Agent) {
		return Node{}, fault.ResourceExists.New("there is a node %s already; remove it, choose another name, or join with a token that is made for this name", name)
	}
	if !known {
		if err := s.checkRoom(ctx, t.Account); err != nil {
			return Node{}, err
		}
	}
	joined := Node{
		Account: t.Account, Name: name, Kind: Agent, Labels: t.Labels, SignKey: in.SignKey, SealKey: in.SealKey, Token: t.ID, JoinedAt: now, Rev: n.Rev,
	}
	if !now.After(n.JoinedAt) { // two that joined are never taken for one
		joined.JoinedAt = n.JoinedAt.Add(time.Microsecond)
	}
	if known {
		if err := s.stays(ctx, n, joined); err != nil {
			return Node{}, err
		}
	}
	t.Uses--
	return joined, s.o.Registry.Join(ctx, rec, &t, &joined)
}

func (s *Service) checkRoom(ctx context.Context, account string) error {
	have, err := s.o.Registry.CountNodes(ctx, account)
	if err == nil && have >= MaxNodes {
		err = fault.LimitExceeded.New("the account has %d nodes, which is the limit; remove those that are gone", MaxNodes)
	}
	return err
}
