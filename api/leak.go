package api

// A ScanKey is what searches for leaks blind secrets with before they report them.
type ScanKey struct {
	Key SecretText `json:"key"` // used as the text that it is
}

// ReportLeaksRequest tells what a search saw in one place, such as a repository, a host or an
// image. It has no secrets in it.
type ReportLeaksRequest struct {
	Origin string           `json:"origin"` // what was searched, as people call it
	Seen   []SeenCredential `json:"seen"`
	// Stopped says that a push with them was refused, so that they stand nowhere yet.
	Stopped bool   `json:"stopped,omitempty"`
	Reason  string `json:"reason,omitempty"` // why a push with them was let through all the same
}

// A SeenCredential is a secret or an identifier that a search saw.
type SeenCredential struct {
	// Blind is HMAC-SHA256 of the secret under the scan key, or of the public half
	// (SubjectPublicKeyInfo) of a private key: 64 hexadecimal digits. Left out for an
	// identifier alone.
	Blind    string      `json:"blind,omitempty"`
	KeyID    string      `json:"keyId,omitempty"` // the identifier that stood with the secret, or alone
	Rule     string      `json:"rule"`            // that found it: "tencent-secret-key"
	Severity string      `json:"severity"`        // "critical", "high", "medium" or "low"
	Places   []SeenPlace `json:"places"`
	More     int         `json:"more,omitempty"` // places that are not told
}

// A SeenPlace is where a credential stands.
type SeenPlace struct {
	Path   string `json:"path"`
	Line   int    `json:"line,omitempty"`
	Commit string `json:"commit,omitempty"` // that brought it
	Layer  string `json:"layer,omitempty"`  // of an image
}

// AcceptedLeaksRequest asks which credentials of a push a person accepts.
type AcceptedLeaksRequest struct {
	Blinds []string `json:"blinds"` // as in [SeenCredential]
}

// AcceptedLeaks are the ones that a person accepts now.
type AcceptedLeaks struct {
	Accepted []string `json:"accepted"`
}

// A LeakReceipt says that a report was taken in. It is the same whatever the report matches.
type LeakReceipt struct {
	Received int `json:"received"`
}
