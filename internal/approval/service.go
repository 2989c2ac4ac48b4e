package approval

import (
	"context"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/cache"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/notify"
)

// The operations' names in policies and in the audit log.
const (
	ActionSetRule     = "keyward:SetApprovalRule"
	ActionDeleteRule  = "keyward:DeleteApprovalRule"
	ActionListRules   = "keyward:ListApprovalRules"
	ActionSuspendRule = "keyward:SuspendApprovalRule" // the operator's
	ActionRequest     = "keyward:RequestApproval"     // of whoever may do what needs it
	ActionList        = "keyward:ListApprovals"
	ActionGet         = "keyward:GetApproval"
	ActionApprove     = "keyward:Approve"
	ActionReject      = "keyward:Reject"
)

// A Store keeps rules and approval requests. The contract of iam.Store holds; jobs are planned
// in the transaction of the change.
type Store interface {
	// SaveRule stores r, anew if its Rev is 0.
	SaveRule(ctx context.Context, rec *audit.Record, r *Rule, jobs []job.Job) error
	DeleteRule(ctx context.Context, rec *audit.Record, r *Rule, jobs []job.Job) error
	// Rules answers all rules of the account, by name.
	Rules(ctx context.Context, account string) ([]Rule, error)
	// OpenApproval stores a new approval request and forgets some that ended before a time. It
	// answers LimitExceeded if too many are open already; nodes that race may exceed the
	// number by as many as they are.
	OpenApproval(ctx context.Context, rec *audit.Record, r *Request, forget time.Time, jobs []job.Job) error
	SaveApproval(ctx context.Context, rec *audit.Record, r *Request, jobs []job.Job) error
	// UseApproval answers the change that stores an approval request as used, if nothing has
	// changed of it, of its rules, of the users whose votes count and of what it names;
	// otherwise the change answers StateConflict.
	UseApproval(used Request, on Rests, jobs []job.Job) audit.Change
	Reader
}

// A Reader reads approval requests.
type Reader interface {
	Approval(ctx context.Context, account, id string) (Request, error)
	// OpenApprovals answers the requests whose state is Open and whose time is not over, the newest first.
	OpenApprovals(ctx context.Context, account string, now time.Time) ([]Request, error)
	// Approvals answers the hundred newest requests of the account.
	Approvals(ctx context.Context, account string) ([]Request, error)
	// Named answers a mark of each user, role, policy, identity provider and secret of the
	// account that a text names (see [Names]), in one order. A later one of the same name has
	// another mark, and so has a role whose trust and a policy whose document was changed.
	Named(ctx context.Context, account, text string) ([]string, error)
}

// Voters tells who could decide; people.Service is one.
type Voters interface {
	// Prover answers a user, and since when the user has had the second factors that could be
	// proved now: never, a zero time, if the user is not there, is disabled or has none.
	Prover(ctx context.Context, account, user string) (u iam.User, since time.Time, err error)
}

// Origins answers the user whom a principal's session came of; role.Service is one.
type Origins interface {
	Origin(ctx context.Context, p authz.Principal) (account, user string, err error)
}

// Users reads users; iam.Service is one.
type Users interface {
	User(ctx context.Context, account, name string) (iam.User, error)
}

// Incidents is who is told; notify.Service is one.
type Incidents interface {
	Reconcile(ctx context.Context, account string, ours func(condition string) bool, conditions map[string]notify.Condition) error
}

// Options says what a Service is made of. All fields are required.
type Options struct {
	Store     Store
	Voters    Voters
	Roles     Origins
	Users     Users
	Incidents Incidents
	Log       *audit.Log
	// Digest answers a text that stands for data and tells nothing of it.
	Digest func(data []byte) (string, error)
	Region string           // of the ARNs
	Now    func() time.Time // clock
	Fresh  func() bool      // whether the change feed is up to date; see package cache
}

// A Service is the rules about approvals. Its methods may be called concurrently.
type Service struct {
	Options
	rules *cache.Cache[string, []compiledRule] // of an account
}

// maxCached is of how many accounts the rules stay in memory.
const maxCached = 1 << 16

// New makes a Service. Connect its Changed to the store's change feed.
func New(o Options) *Service {
	s := &Service{Options: o}
	s.rules = cache.New(maxCached, o.Fresh, s.load)
	return s
}

func (s *Service) load(ctx context.Context, account string) ([]compiledRule, error) {
	rules, err := s.Store.Rules(ctx, account)
	if err != nil {
		return nil, err
	}
	out := make([]compiledRule, len(rules))
	for i, r := range rules {
		if out[i], err = s.compile(r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Changed tells that a row was changed; see iam.Service.Changed.
func (s *Service) Changed(table, id string) {
	switch account, _, _ := strings.Cut(id, "/"); table {
	case "approval_rule":
		s.rules.Forget(account)
	case "":
		s.rules.Clear()
	}
}

// now answers the time as precisely as the store keeps it.
func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

func (s *Service) arn(account, relative string) string {
	return "acs:keyward:" + s.Region + ":" + account + ":" + relative
}

// prover answers how a user stands, and whether the user could decide now.
func (s *Service) prover(ctx context.Context, account, user string) (Proof, bool, error) {
	u, since, err := s.Voters.Prover(ctx, account, user)
	return Proof{User: u.Rev, Factor: since}, !since.IsZero(), err
}
