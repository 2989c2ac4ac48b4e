package api

import "time"

// A KeyFinding is something that is wrong with a key, with who holds it or with an account
// at a provider.
type KeyFinding struct {
	ID          string          `json:"id"`   // of rule and subject, for ever
	Rule        string          `json:"rule"` // id of the check: "AK03"
	Title       Text            `json:"title"`
	Why         Text            `json:"why"`
	Severity    string          `json:"severity"` // "critical", "high", "medium" or "low"
	State       string          `json:"state"`    // "open", "suppressed" or "resolved"
	Subject     FindingSubject  `json:"subject"`
	Owner       string          `json:"owner"` // who answers for the subject; empty if nobody is known
	Evidence    []FindingFact   `json:"evidence"`
	Fix         FindingFix      `json:"fix"`
	FirstSeen   time.Time       `json:"firstSeen"`
	LastSeen    time.Time       `json:"lastSeen"`              // to the day while it lasts
	ResolvedAt  time.Time       `json:"resolvedAt,omitzero"`   // absent while it lasts
	ResolvedBy  string          `json:"resolvedBy,omitempty"`  // ARN of the person who said so; absent if a check found that it is over
	Suppression *KeySuppression `json:"suppression,omitempty"` // the last one, which may have ended
}

// A FindingSubject is what a finding is about.
type FindingSubject struct {
	Provider string `json:"provider"` // name of the provider in keyward
	Kind     string `json:"kind"`     // "key", "principal" or "provider"
	ID       string `json:"id"`       // of the key or the principal at the provider; empty for the provider itself
	Name     string `json:"name"`     // for people
}

// A FindingFact is one thing that was seen.
type FindingFact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A FindingFix is what to do about a finding.
type FindingFix struct {
	Line string `json:"line"` // to type into a shell; empty where there is none
	Text Text   `json:"text"`
}

// A KeySuppression says that somebody accepts a finding until a date.
type KeySuppression struct {
	Owner  string    `json:"owner"` // who answers for it
	Reason string    `json:"reason"`
	By     string    `json:"by"` // ARN of who suppressed it
	At     time.Time `json:"at"`
	Until  time.Time `json:"until"`
}

// ListFindingsRequest chooses findings that fit all of its members.
type ListFindingsRequest struct {
	State    string `json:"state,omitempty"`    // "open", "suppressed" or "resolved"; left out for all
	Severity string `json:"severity,omitempty"` // this one and worse
	Rule     string `json:"rule,omitempty"`     // "AK03"
	Provider string `json:"provider,omitempty"` // name of the provider in keyward
	Subject  string `json:"subject,omitempty"`  // id of a key or a principal, or provider/id
	Limit    int    `json:"limit,omitempty"`    // findings at most, 1 to 1000; 0 means 100
	Cursor   string `json:"cursor,omitempty"`   // Next of the page before
}

// A FindingList is one page of findings, the most severe first.
type FindingList struct {
	Findings []KeyFinding `json:"findings"`
	Next     string       `json:"next,omitempty"`
}

// SuppressFindingRequest accepts a finding until a date.
type SuppressFindingRequest struct {
	Owner  string    `json:"owner"` // who answers for it
	Reason string    `json:"reason"`
	Until  time.Time `json:"until"` // at most a year from now
}

// A Check is one thing that is looked for.
type Check struct {
	ID         string        `json:"id"`
	Severity   string        `json:"severity"` // the usual one; evidence may raise or lower it
	Title      Text          `json:"title"`
	Why        Text          `json:"why"`
	Limits     []FindingFact `json:"limits"` // thresholds in force, by the names of their settings
	Answered   bool          `json:"answered"`
	Partly     Text          `json:"partly"` // what it does not see; empty if it sees all
	Needs      Text          `json:"needs"`  // why it is not answered yet; empty if it is
	Open       int           `json:"open"`   // findings
	Suppressed int           `json:"suppressed"`
	Resolved   int           `json:"resolved"` // within 90 days
}

// A CheckList is every check, also those that are not answered yet, and the last run.
type CheckList struct {
	Checks []Check   `json:"checks"`
	Run    *CheckRun `json:"run,omitempty"` // absent before the first one
}

// A CheckRun is how the last run of the checks went.
type CheckRun struct {
	At      time.Time `json:"at"`
	TookMS  int       `json:"tookMs"`
	Seen    int       `json:"seen"`              // keys that were looked at
	Of      int       `json:"of"`                // keys that there are
	Error   string    `json:"error,omitempty"`   // why it did not end
	ErrorZh string    `json:"errorZh,omitempty"` // Error in Chinese
}
