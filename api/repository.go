package api

import "time"

// A Repository is a git repository that is watched for leaked credentials.
type Repository struct {
	Name      string          `json:"name"`
	ARN       string          `json:"arn"`
	URL       string          `json:"url"`
	CA        string          `json:"ca,omitempty"` // PEM of the authorities that its certificate comes from; absent for those that the server trusts
	Refs      []string        `json:"refs"`         // patterns of the names of refs; none for all
	LoggedIn  bool            `json:"loggedIn"`     // it is read with a token
	Pace      string          `json:"pace"`         // between two looks
	Severity  string          `json:"severity"`     // findings below are not told
	Owner     string          `json:"owner,omitempty"`
	Issuers   []string        `json:"issuers"` // that are asked whether what is found works
	CreatedAt time.Time       `json:"createdAt"`
	State     RepositoryState `json:"state"`
}

// A RepositoryState is how the last looks at a repository went.
type RepositoryState struct {
	// Status is "complete", or why the last look was not: "waiting", "empty", "shallow",
	// "unreachable", "denied", "moved", "corrupt", "too-large" or "failed".
	Status      string    `json:"status"`
	Error       string    `json:"error,omitempty"`
	ErrorZh     string    `json:"errorZh,omitempty"`    // Error in Chinese
	StartedAt   time.Time `json:"startedAt,omitzero"`   // of the last look
	Took        string    `json:"took,omitempty"`       // the last look
	CompleteAt  time.Time `json:"completeAt,omitzero"`  // end of the last complete look
	RewrittenAt time.Time `json:"rewrittenAt,omitzero"` // when commits were last missing that were there before
	Failures    int       `json:"failures"`             // looks in a row
	Head        string    `json:"head,omitempty"`       // the branch that the repository begins with
	Refs        int       `json:"refs"`                 // that are looked at
	Objects     int64     `json:"objects"`              // of git that are looked at
	Bytes       int64     `json:"bytes"`                // of the mirror
	Found       int       `json:"found"`                // credentials that were reported
	Unread      int       `json:"unread"`               // documents in it that cannot be read, or not wholly
	Problems    []string  `json:"problems"`             // the first of these
}

// A RepositoryPlace is where a repository is, and with what it is read.
type RepositoryPlace struct {
	URL   string     `json:"url"`             // https://host/path.git, without a user
	CA    string     `json:"ca,omitempty"`    // PEM of the authorities that its certificate comes from
	User  string     `json:"user,omitempty"`  // of the token, if the host wants one
	Token SecretText `json:"token,omitempty"` // left out for a repository that everybody may read
}

// AddRepositoryRequest has a repository watched.
type AddRepositoryRequest struct {
	Name     string          `json:"name"` // lower-case letters, digits and hyphens, at most 63
	Place    RepositoryPlace `json:"place"`
	Refs     []string        `json:"refs,omitempty"`     // branches such as main or release/*, or complete patterns such as refs/tags/*; none for all refs
	Pace     string          `json:"pace,omitempty"`     // "5m" to "7d"; "1h" if left out
	Severity string          `json:"severity,omitempty"` // "critical", "high", "medium" or "low"; "medium" if left out
	Owner    string          `json:"owner,omitempty"`    // of what is found and belongs to nobody
}

// UpdateRepositoryRequest says what to change of a repository.
type UpdateRepositoryRequest struct {
	Place    *RepositoryPlace `json:"place,omitempty"` // all of it anew
	Refs     *[]string        `json:"refs,omitempty"`  // all of them
	Pace     *string          `json:"pace,omitempty"`
	Severity *string          `json:"severity,omitempty"`
	Owner    *string          `json:"owner,omitempty"`
}

// SetRepositoryIssuersRequest says who is asked whether what is found in a repository works.
type SetRepositoryIssuersRequest struct {
	Issuers []string `json:"issuers,omitempty"` // "alibaba", "aws", "github", "slack" and "tencent", in place of those that were; none for nobody
}

// A RepositoryList is all repositories of the account, by name.
type RepositoryList struct {
	Repositories []Repository `json:"repositories"`
}
