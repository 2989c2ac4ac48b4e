package report

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/keyward/keyward/internal/leak"
)

// The part of GitLab's secret detection report, schema 15.0.7, that is needed here.
type (
	gitlab struct {
		Version         string                `json:"version"`
		Scan            gitlabScan            `json:"scan"`
		Vulnerabilities []gitlabVulnerability `json:"vulnerabilities"`
	}
	gitlabScan struct {
		Analyzer gitlabTool `json:"analyzer"`
		Scanner  gitlabTool `json:"scanner"`
		Type     string     `json:"type"`
		Start    string     `json:"start_time"`
		End      string     `json:"end_time"`
		Status   string     `json:"status"`
	}
	gitlabTool struct {
		ID      string       `json:"id"`
		Name    string       `json:"name"`
		Vendor  gitlabVendor `json:"vendor"`
		Version string       `json:"version"`
	}
	gitlabVendor struct {
		Name string `json:"name"`
	}
	gitlabVulnerability struct {
		ID          string             `json:"id"`
		Category    string             `json:"category"`
		Name        string             `json:"name"`
		Description string             `json:"description"`
		Severity    string             `json:"severity"`
		Solution    string             `json:"solution"`
		Location    gitlabLocation     `json:"location"`
		Identifiers []gitlabIdentifier `json:"identifiers"`
	}
	gitlabLocation struct {
		File      string       `json:"file"`
		StartLine int          `json:"start_line,omitempty"`
		Commit    gitlabCommit `json:"commit"`
	}
	gitlabCommit struct {
		SHA string `json:"sha"`
	}
	gitlabIdentifier struct {
		Type  string `json:"type"`
		Name  string `json:"name"`
		Value string `json:"value"`
	}
)

// noCommit stands for the commit where none is known: the schema demands one.
const noCommit = "0000000"

func gitlabOf(r Report) gitlab {
	tool := gitlabTool{ID: "keyward", Name: "keyward", Vendor: gitlabVendor{"keyward"}, Version: cmp.Or(r.Version, "0")}
	out := gitlab{Version: "15.0.7", Vulnerabilities: []gitlabVulnerability{}, Scan: gitlabScan{Analyzer: tool, Scanner: tool, Type: "secret_detection", Status: "success",
		Start: r.Started.UTC().Format("2006-01-02T15:04:05"), End: r.Ended.UTC().Format("2006-01-02T15:04:05")}}
	if r.Coverage.Partial() || r.Coverage.Nothing() {
		out.Scan.Status = "failure"
	}
	for _, f := range r.Findings {
		for i, l := range f.Locations {
			v := gitlabVulnerability{
				ID: fmt.Sprintf("%s-%d", f.Fingerprint, i), Category: "secret_detection", Name: f.Title.English, Description: message(f),
				Severity: strings.ToUpper(f.Severity.String()[:1]) + f.Severity.String()[1:], Solution: f.Advice.English,
				Location:    gitlabLocation{File: l.Path, StartLine: l.Line, Commit: gitlabCommit{cmp.Or(l.Commit, noCommit)}},
				Identifiers: []gitlabIdentifier{{"keyward_rule_id", "keyward rule " + f.Rule, f.Rule}, {"keyward_fingerprint", "keyward fingerprint", f.Fingerprint}},
			}
			out.Vulnerabilities = append(out.Vulnerabilities, v)
		}
	}
	return out
}

type (
	junitSuites struct {
		XMLName xml.Name   `xml:"testsuites"`
		Suite   junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string       `xml:"classname,attr"`
		Name    string       `xml:"name,attr"`
		File    string       `xml:"file,attr,omitempty"`
		Failure *junitResult `xml:"failure,omitempty"`
		Error   *junitResult `xml:"error,omitempty"`
	}
	junitResult struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// writeJUnit writes a test that passed if nothing was found, a failure for each finding,
// and an error for each thing that was missed.
func writeJUnit(w io.Writer, r Report) error {
	suite := junitSuite{Name: "keyward scan"}
	for _, f := range r.Findings {
		suite.Cases = append(suite.Cases, junitCase{Class: f.Rule, Name: f.Title.English + " " + f.Fingerprint, File: f.Locations[0].Path,
			Failure: &junitResult{message(f), f.Severity.String(), places(f.Locations)}})
		suite.Failures++
	}
	for _, p := range r.Coverage.Problems {
		suite.Cases = append(suite.Cases, junitCase{Class: "coverage", Name: p.Path, File: p.Path, Error: &junitResult{Message: p.What, Type: "partial"}})
		suite.Errors++
	}
	if r.Coverage.Nothing() {
		suite.Cases = append(suite.Cases, junitCase{Class: "coverage", Name: "scanned", Error: &junitResult{Message: "nothing was scanned", Type: "nothing"}})
		suite.Errors++
	} else {
		suite.Cases = append(suite.Cases, junitCase{Class: "coverage", Name: fmt.Sprintf("%d files, %d blobs, %d bytes", r.Coverage.Files, r.Coverage.Blobs, r.Coverage.Bytes)})
	}
	suite.Tests = len(suite.Cases)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(junitSuites{Suite: suite}); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func places(locations []leak.Location) string {
	var b strings.Builder
	for _, l := range locations {
		b.WriteString(Place(l) + "\n")
	}
	return b.String()
}
