// Package approval lets an account demand that others approve what is dangerous, before it
// is done.
//
// A [Rule] says which actions on which resources need the approval of how many of whom. It
// binds everybody in the account: people, programs and root, but for those that it exempts. A
// request that a rule speaks of is refused, and an approval request is opened, a [Request]:
// who wants what, and a keyed digest of all that the request says and of what it names. The people whom the rule
// names look at it and decide, each with a fresh code of their second factor for that very
// decision. When enough have approved, whoever asked repeats the request, names the approval
// request in a signed header, and it is performed: once.
//
// Three places work together. Package authz asks a [Check], which the lookup of credentials
// gives to every principal of an account that has rules, so that no dialect and no operation
// can forget it. [Guard] stands around each operation in a dialect: before it, it looks at the
// approval that the request names; after it, it opens an approval request if one was wanted.
// And package audit uses the approval up in the very transaction that makes the operation
// and its record durable: what was not performed used nothing up, and what was cannot be again,
// on whichever node.
//
// Nothing of an approval outlives what it was given for. It holds while the rules are as they
// were, while those who approved are as they were (enabled, with the same second factor),
// until its time is over or one of them rejects it; and the requester's own permission is
// asked at both times. What is approved is compared again in the transaction that uses it.
//
// A rule cannot be switched off alone. Changing or removing it needs approval under itself,
// and so does what would let somebody act as one of its approvers, or as somebody whom it
// exempts. The way out is the operator's, on the server's machine: a rule is suspended, for a
// day at most, and everybody is told.
//
// Stored are rules and approval requests, as bound rows. An approval request shows the
// parameters that help people to decide and no others ([Shown]): never a secret. What is
// trusted: that different users are different people. docs/design/approvals.md has the states.
package approval

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/fault"
)

// Limits. docs/approvals.md tells them to users.
const (
	MaxRules     = 50  // of one account
	MaxApprovers = 20  // of one rule
	MaxPatterns  = 20  // of actions, of resources and of exemptions of one rule
	MaxOpen      = 10  // approval requests of one requester
	MaxOpenAll   = 200 // of one account
	MinLife      = 5 * time.Minute
	DefaultLife  = 24 * time.Hour
	MaxLife      = 7 * 24 * time.Hour
	Kept         = 90 * 24 * time.Hour // after an approval request has ended
	MaxSuspended = 24 * time.Hour
	MaxReason    = 500 // characters of a requester's reason
)

// A Rule is what an account wants approved by others.
type Rule struct {
	Account        string
	Name           string
	Need           int      // how many must approve
	Approvers      []string // names of users, sorted
	Actions        []string // patterns, as in policies
	Resources      []string // patterns, as in policies
	Exempt         []string // user/NAME and role/NAME, whom the rule does not bind
	Life           time.Duration
	SuspendedUntil time.Time // by the operator; zero for not
	CreatedAt      time.Time
	UpdatedAt      time.Time
	Rev            int64 // revision, kept by the store
}

// Suspended tells whether the rule demands nothing at the time.
func (r *Rule) Suspended(now time.Time) bool { return now.Before(r.SuspendedUntil) }

// A State is where an approval request stands.
type State string

// The states. Open and Used and Rejected are stored; the others follow from what is.
const (
	Open     State = "open"     // it waits for approvals
	Approved State = "approved" // it waits for the requester
	Used     State = "used"     // the request was performed
	Rejected State = "rejected" // by an approver, or withdrawn by the requester
	Lapsed   State = "lapsed"   // its time is over
	Void     State = "void"     // a rule was changed since
)

// A Request is one request that waits, or waited, for others' approval.
type Request struct {
	Account   string
	ID        string
	Requester string // ARN of the user or the role; see authz.Principal.Identity
	Behind    string // ARN of the user whom a session of the requester came of
	Since     string // which user or role of that name it is
	Action    string
	Resource  string // ARN
	Also      []Part // what the request does besides, of which a rule wants the approval
	Reason    string // the requester's, for the approvers; "" for none
	Digest    string // of all that the request says, and of what it names
	Params    []Param
	Source    string // address that it came from
	Wants     []Want
	Votes     []Vote // approvals
	State     State  // Open, Used or Rejected
	CreatedAt time.Time
	ExpiresAt time.Time
	EndedAt   time.Time // when it was used or rejected
	EndedBy   string    // ARN
	Rev       int64     // revision, kept by the store
}

// A Part is what an operation does on one resource.
type Part struct {
	Action   string `json:"action"`
	Resource string `json:"resource"` // ARN
}

// Parts answers all that the request does of which a rule wants the approval.
func (r *Request) Parts() []Part { return append([]Part{{r.Action, r.Resource}}, r.Also...) }

// A Param is one parameter of a request, for people.
type Param struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A Want is what one rule asked for when the request was made.
type Want struct {
	Rule      string   `json:"rule"`
	Rev       int64    `json:"rev"` // of the rule
	Need      int      `json:"need"`
	Approvers []string `json:"approvers"`
}

// A Vote is one approval.
type Vote struct {
	User   string    `json:"user"`
	At     time.Time `json:"at"`
	Source string    `json:"source,omitempty"` // address that it came from
	Proof  Proof     `json:"proof"`
}

// A Proof says how an approver's user stood; whatever changes of it takes the vote's force.
type Proof struct {
	User   int64     `json:"user"`   // revision of the user
	Factor time.Time `json:"factor"` // since when the second factors are what they are
}

// Standing answers where the request stands at a time. rules are those of the account, by
// name, and inForce tells whether a vote still counts.
func (r *Request) Standing(now time.Time, rules map[string]Rule, inForce func(Vote) bool) State {
	switch {
	case r.State != Open:
		return r.State
	case !now.Before(r.ExpiresAt):
		return Lapsed
	case slices.ContainsFunc(r.Wants, func(w Want) bool { return rules[w.Rule].Rev != w.Rev }):
		return Void
	}
	for _, w := range r.Wants {
		if w.met(r.Behind, r.Account, r.Votes, inForce) < w.Need {
			return Open
		}
	}
	return Approved
}

// met answers how many of the rule's approvers have approved, each counted once, and whoever
// stands behind the request never.
func (w Want) met(behind, account string, votes []Vote, inForce func(Vote) bool) int {
	met := map[string]bool{}
	for _, v := range votes {
		if slices.Contains(w.Approvers, v.User) && !isUser(behind, account, v.User) && inForce(v) {
			met[v.User] = true
		}
	}
	return len(met)
}

// isUser tells whether an ARN is that of a user, in whatever case: names differ in more.
func isUser(arn, account, user string) bool {
	return strings.EqualFold(arn, "acs:ram::"+account+":user/"+user)
}

// Voter tells whether a user may decide about the request: one whom a rule names, and who is
// not behind it.
func (r *Request) Voter(user string) bool {
	return !isUser(r.Behind, r.Account, user) && slices.ContainsFunc(r.Wants, func(w Want) bool { return slices.Contains(w.Approvers, user) })
}

// Missing answers how many approvals are still wanted, by rule.
func (r *Request) Missing(inForce func(Vote) bool) map[string]int {
	out := map[string]int{}
	for _, w := range r.Wants {
		if n := w.Need - w.met(r.Behind, r.Account, r.Votes, inForce); n > 0 {
			out[w.Rule] = n
		}
	}
	return out
}

// plainly answers a reason as approvers see it: on one line, and without what would move the
// cursor of a terminal or turn its writing round.
func plainly(reason string) (string, error) {
	text := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co), r == utf8.RuneError:
			return -1
		}
		return r
	}, reason)
	text = strings.Join(strings.Fields(text), " ")
	if utf8.RuneCountInString(text) > MaxReason {
		return "", fault.InvalidParameter.New("a reason has at most %d characters; say the rest elsewhere, and where", MaxReason)
	}
	return text, nil
}

// redacted answers parameters as approvers see them.
func redacted(params []Param) []Param {
	out := slices.Clone(params)
	for i, p := range out {
		if !Shown(p.Name) {
			out[i].Value = fmt.Sprintf("(%d bytes, not shown)", len(p.Value))
		}
	}
	return out
}

// Shown tells whether the value of a parameter is shown to approvers: one whose name says that
// it is no secret. Of the others they see that they are there.
func Shown(name string) bool {
	return slices.ContainsFunc(shown, func(s string) bool { return strings.EqualFold(s, name) })
}

// shown are the parameters of dangerous operations that are no secrets, of all dialects.
var shown = []string{
	"KeyId", "key", "PendingWindowInDays", "days", "Policy", "PolicyName", "document", "Enabled", "enabled", "note", "EnableDeletionProtection",
	"DeletionProtectionDescription", "ProtectedResourceArn", "SecretName", "secret", "ForceDeleteWithoutRecovery", "RecoveryWindowInDays", "force", "now",
	"user", "role", "policy", "accessKey", "status", "remark", "description", "trustPolicy", "maxSessionSeconds", "expiresAt", "neverExpires",
	"PublicKeyBlob", "publicKey", "WrappingAlgorithm", "WrappingKeySpec", "KeySpec", "keySpec", "NumberOfBytes", "algorithm",
	"rule", "need", "approvers", "actions", "resources", "exempt", "life", "group", "labels", "name", "uses",
	"idp", "value", "id", "node",
}
