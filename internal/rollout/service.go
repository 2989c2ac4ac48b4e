package rollout

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/cache"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/lazy"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/secret"
)

const (
	maxKnown    = 20_000 // nodes whose keys stay in memory
	maxAccounts = 1000   // whose nodes and rollouts stay in memory
)

// Incidents is who tells people; notify.Service is one.
type Incidents interface {
	Report(ctx context.Context, account string, c notify.Condition) error
	End(ctx context.Context, account, condition string) error
}

// Options says what a Service is made of. All fields are required.
type Options struct {
	Tokens    Tokens
	Registry  Registry
	Plans     Plans
	Reports   Reports
	Secrets   *secret.Service
	Incidents Incidents
	Log       *audit.Log
	Region    string           // of the ARNs
	Now       func() time.Time // clock
	Fresh     func() bool      // whether cached values may be used
	Logger    *slog.Logger
}

// A Service offers the operations on nodes and rollouts, and what nodes ask for. Its
// methods may be called concurrently; what nodes report is stored only while Run runs.
type Service struct {
	o      Options
	nodes  *cache.Cache[nodeRef, Node]
	roster *cache.Cache[string, []Node]    // of an account, by name, without their keys
	plans  *cache.Cache[string, []Rollout] // of an account, by name
	ledger *ledger
	lies   lies
	door   chan struct{} // has an element while a machine joins: those with the same token would overtake each other
}

// A nodeRef names a node.
type nodeRef struct{ account, name string }

// New makes a Service.
func New(o Options) *Service {
	return &Service{
		o:     o,
		nodes: cache.New(maxKnown, o.Fresh, func(ctx context.Context, r nodeRef) (Node, error) { return o.Registry.Node(ctx, r.account, r.name) }),
		roster: cache.New(maxAccounts, o.Fresh, func(ctx context.Context, account string) ([]Node, error) {
			all, err := o.Registry.Nodes(ctx, account)
			for i := range all {
				all[i].SignKey, all[i].SealKey = nil, nil // most of a node, which only its own requests need
			}
			return all, err
		}),
		plans:  cache.New(maxAccounts, o.Fresh, o.Plans.Rollouts),
		ledger: newLedger(o.Reports, o.Logger),
		lies:   lies{told: map[lie]bool{}},
		door:   make(chan struct{}, 1),
	}
}

// Run stores what nodes report, until ctx ends.
func (s *Service) Run(ctx context.Context) error { return s.ledger.run(ctx) }

// Changed forgets what the service has cached of a row that was changed; table ""
// means everything. The store's change feed calls it.
func (s *Service) Changed(table, id string) {
	account, name, _ := strings.Cut(id, "/")
	switch table {
	case "":
		s.nodes.Clear()
		s.roster.Clear()
		s.plans.Clear()
		s.ledger.forget(nodeRef{})
	case "node":
		s.nodes.Forget(nodeRef{account, name})
		s.roster.Forget(account)
		s.ledger.forget(nodeRef{account, name})
	case "rollout":
		s.plans.Forget(account)
	}
}

// ARN answers the name of a node, a token or a rollout as policies know it; kind is
// "node", "nodetoken" or "rollout".
func (s *Service) ARN(account, kind, name string) string {
	return "acs:keyward:" + s.o.Region + ":" + account + ":" + kind + "/" + name
}

// do runs one operation that ends in one record.
func (s *Service) do(ctx context.Context, c *authz.Call, action, resource string, fn func(*audit.Record) error) error {
	return s.o.Log.Perform(ctx, c, action, resource, fn)
}

// clock answers the time as rows keep it.
func (s *Service) clock() time.Time { return s.o.Now().UTC().Truncate(time.Microsecond) }

var (
	namePattern  = lazy.Regexp(fmt.Sprintf(`^[A-Za-z0-9][A-Za-z0-9._-]{0,%d}$`, MaxName-1))
	wavePattern  = lazy.Regexp(`^[a-z0-9][a-z0-9-]{0,62}$`)
	labelPattern = lazy.Regexp(fmt.Sprintf(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,%d}$`, MaxLabel-1))
)

// checkName refuses what cannot be the name of a node or a rollout.
func checkName(what fault.Text, name string) error {
	if !namePattern().MatchString(name) {
		return fault.InvalidParameter.New("the name of a %s has letters, digits, dots, hyphens and underscores, at most %d, and does not begin with a mark", what, MaxName)
	}
	return nil
}

// labels puts labels in order and refuses what cannot be one.
func labels(all []form.Pair) ([]form.Pair, error) {
	if len(all) > MaxLabels {
		return nil, fault.LimitExceeded.New("there may be %d labels", MaxLabels)
	}
	out := slices.Clone(all)
	slices.SortFunc(out, func(a, b form.Pair) int { return strings.Compare(a.Name, b.Name) })
	for i, p := range out {
		if !labelPattern().MatchString(p.Name) {
			return nil, fault.InvalidParameter.New("the name of a label has letters, digits, dots, hyphens, underscores and slashes, at most %d, and does not begin with a mark", MaxLabel)
		}
		if utf8.RuneCountInString(p.Value) > MaxLabel || p.Value != tidy(p.Value, MaxLabel) || strings.Contains(p.Value, ",") {
			return nil, fault.InvalidParameter.New("the value of the label %q is longer than %d characters, or not one line of text without commas", p.Name, MaxLabel)
		}
		if i > 0 && out[i-1].Name == p.Name {
			return nil, fault.InvalidParameter.New("the label %q is given twice", p.Name)
		}
	}
	return out, nil
}

// tidy answers a text that a machine sent as one line of at most so many characters,
// without what moves a terminal's cursor.
func tidy(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most])
	}
	return text
}
