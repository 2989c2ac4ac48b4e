// Package report writes what a search found, for people and for programs: as text in
// English or Chinese, as JSON, as SARIF 2.1.0 for code hosts and editors, as GitLab's secret
// detection report, and as JUnit's XML for any CI.
//
// None of them has a secret, a person's address or a commit's message: findings come here
// without them. The same findings give the same bytes.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/search"
)

// A Report is what a search came to.
type Report struct {
	Version  string          `json:"version"` // of keyward
	Findings []leak.Finding  `json:"findings"`
	Below    int             `json:"below"` // findings below the severity that was asked for
	Unused   []Unused        `json:"unusedIgnores,omitempty"`
	Coverage search.Coverage `json:"coverage"`

	Rules          []leak.Rule `json:"-"` // that findings may name
	Started, Ended time.Time   `json:"-"`
}

// An Unused is an ignore that nothing needed, or that is over.
type Unused struct {
	Fingerprint string `json:"fingerprint"`
	Owner       string `json:"owner,omitempty"`
	Reason      string `json:"reason,omitempty"`
	Expired     bool   `json:"expired"`
}

// Formats are the names of the formats.
func Formats() []string { return []string{"human", "json", "sarif", "gitlab", "junit"} }

// Write writes a report in a format other than human, for which see [Human].
func Write(w io.Writer, format string, r Report) error {
	var v any
	switch format {
	case "json":
		v = r
	case "sarif":
		v = sarifOf(r)
	case "gitlab":
		v = gitlabOf(r)
	case "junit":
		return writeJUnit(w, r)
	default:
		return fmt.Errorf("writing the report: there is no format %q", format)
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
