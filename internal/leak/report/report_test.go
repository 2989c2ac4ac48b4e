package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/report"
	"github.com/keyward/keyward/internal/leak/search"
)

var update = flag.Bool("update", false, "write golden files anew")

func example() report.Report {
	advice := leak.Text{English: "make a new one", Chinese: "创建新密钥"}
	p := &leak.Provider{ID: "acme", Advice: advice}
	title := leak.Text{English: "ACME key", Chinese: "ACME 密钥"}
	at := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	return report.Report{
		Version: "1.2.3", Started: at, Ended: at.Add(time.Second), Below: 2,
		Rules: []leak.Rule{{ID: "acme-id", Provider: p, Title: title, Severity: leak.Low}, {ID: "acme-key", Provider: p, Title: title, Severity: leak.Critical}},
		Findings: []leak.Finding{
			{Fingerprint: "0123456789abcdef0123456789abcdef", Rule: "acme-key", Provider: "acme", Title: title, Severity: leak.Critical, Confidence: leak.Certain, KeyID: "ACME7", Redacted: "abcd…yz", Length: 32, Advice: advice,
				Locations: []leak.Location{{Path: "配置/a b.env", Line: 3, Column: 5}, {Path: "app.apk!classes.dex!strings", Via: "base64"}, {Path: "c\x1b[2J.txt", Line: 1, Column: 1, Commit: "0123456789abcdef0123456789abcdef01234567"}}},
			{Fingerprint: "00000000000000000000000000000000", Rule: "acme-id", Provider: "acme", Title: title, Severity: leak.Low, Confidence: leak.Likely, KeyID: "ACME8", Redacted: "ACME8", Length: 5, Advice: advice,
				Locations: []leak.Location{{Path: "b.txt", Line: 1, Column: 1}}},
		},
		Coverage: search.Coverage{Files: 7, Members: 2, Bytes: 1000, Skipped: map[string]int64{"links": 1}, Problems: []search.Problem{{Path: "x.zip", What: "unpacking zip: it is encrypted"}}},
		Unused:   []report.Unused{{Fingerprint: "ffffffffffffffffffffffffffffffff", Owner: "bob", Reason: "old", Expired: true}},
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", name, diff)
	}
}

func TestFormats(t *testing.T) {
	for _, format := range report.Formats()[1:] {
		var b bytes.Buffer
		if err := report.Write(&b, format, example()); err != nil {
			t.Fatal(err)
		}
		golden(t, format, b.Bytes())
		if bytes.Contains(b.Bytes(), []byte("\x1b")) {
			t.Errorf("%s passes on a command for terminals", format)
		}
		if format == "junit" {
			if err := xml.Unmarshal(b.Bytes(), new(any)); err != nil {
				t.Errorf("%s: %v", format, err)
			}
		} else if !json.Valid(b.Bytes()) {
			t.Errorf("%s is no JSON", format)
		}
	}
	if err := report.Write(new(bytes.Buffer), "pdf", example()); err == nil {
		t.Error("an unknown format is taken")
	}
}

func TestHuman(t *testing.T) {
	for name, chinese := range map[string]bool{"human.en": false, "human.zh": true} {
		var b bytes.Buffer
		if err := report.Human(&b, example(), report.Style{Chinese: chinese, Places: 2}); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
	}
}

// A sarifLog is all that this package may write of SARIF 2.1.0 (OASIS, section 3): its objects
// take no property that the standard does not define.
type sarifLog struct {
	Schema  string `json:"$schema"`
	Version string `json:"version"`
	Runs    []struct {
		Tool struct {
			Driver struct {
				Name           string `json:"name"`
				Version        string `json:"version"`
				InformationURI string `json:"informationUri"`
				Rules          []struct {
					ID               string    `json:"id"`
					Name             string    `json:"name"`
					ShortDescription sarifText `json:"shortDescription"`
					Help             sarifText `json:"help"`
					Default          struct {
						Level string `json:"level"`
					} `json:"defaultConfiguration"`
					Properties map[string]any `json:"properties"` // a bag
				} `json:"rules"`
			} `json:"driver"`
		} `json:"tool"`
		Invocations []struct {
			Successful    *bool `json:"executionSuccessful"`
			Notifications []struct {
				Level   string    `json:"level"`
				Message sarifText `json:"message"`
			} `json:"toolExecutionNotifications"`
		} `json:"invocations"`
		Results []sarifResult `json:"results"`
	} `json:"runs"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifResult struct {
	RuleID    string    `json:"ruleId"`
	RuleIndex int       `json:"ruleIndex"`
	Level     string    `json:"level"`
	Message   sarifText `json:"message"`
	Locations []struct {
		Physical struct {
			Artifact struct {
				URI string `json:"uri"`
			} `json:"artifactLocation"`
			Region *struct {
				StartLine int `json:"startLine"`
			} `json:"region"`
		} `json:"physicalLocation"`
		Logical []struct {
			Name string `json:"fullyQualifiedName"`
		} `json:"logicalLocations"`
	} `json:"locations"`
	Fingerprints map[string]string `json:"partialFingerprints"`
}

// TestSARIFHoldsTogether holds a report to the standard: what it requires (tool.driver.name,
// message.text, executionSuccessful, rules with an id of their own), the words of its
// enumerations, references to URIs, lines from 1; and the bag that code hosts sort by.
func TestSARIFHoldsTogether(t *testing.T) {
	levels := []string{"none", "note", "warning", "error"}
	for name, r := range map[string]report.Report{"example": example(), "empty": {}} {
		var b bytes.Buffer
		if err := report.Write(&b, "sarif", r); err != nil {
			t.Fatal(err)
		}
		var log sarifLog
		strict := json.NewDecoder(&b)
		strict.DisallowUnknownFields()
		if err := strict.Decode(&log); err != nil {
			t.Fatal(err)
		}
		if schema, err := url.Parse(log.Schema); err != nil || !schema.IsAbs() || log.Version != "2.1.0" || len(log.Runs) != 1 || log.Runs[0].Results == nil || len(log.Runs[0].Results) != len(r.Findings) {
			t.Fatalf("%s: %+v", name, log)
		}
		run := log.Runs[0]
		driver := run.Tool.Driver
		if home, err := url.Parse(driver.InformationURI); driver.Name == "" || driver.Rules == nil || err != nil || !home.IsAbs() {
			t.Errorf("%s: driver %+v", name, driver)
		}
		ids := map[string]bool{}
		for _, rule := range driver.Rules {
			score, err := strconv.ParseFloat(fmt.Sprint(rule.Properties["security-severity"]), 64)
			if rule.ID == "" || ids[rule.ID] || rule.ShortDescription.Text == "" || rule.Help.Text == "" || !slices.Contains(levels, rule.Default.Level) || err != nil || score <= 0 || score > 10 {
				t.Errorf("%s: rule %+v", name, rule)
			}
			ids[rule.ID] = true
		}
		for _, i := range run.Invocations {
			if i.Successful == nil || *i.Successful {
				t.Errorf("%s: one that missed something, or everything, was successful", name)
			}
			for _, n := range i.Notifications {
				if !slices.Contains(levels, n.Level) || n.Message.Text == "" {
					t.Errorf("%s: notification %+v", name, n)
				}
			}
		}
		for _, result := range run.Results {
			if result.RuleIndex < 0 || driver.Rules[result.RuleIndex].ID != result.RuleID || result.Message.Text == "" || !slices.Contains(levels, result.Level) || len(result.Locations) == 0 || len(result.Fingerprints) == 0 {
				t.Errorf("%s: result %+v", name, result)
			}
			for _, l := range result.Locations {
				uri := l.Physical.Artifact.URI
				if reference, err := url.Parse(uri); err != nil || reference.IsAbs() || uri == "" || strings.ContainsAny(uri, " \x1b!") || l.Physical.Region != nil && l.Physical.Region.StartLine < 1 {
					t.Errorf("%s: location %+v", name, l)
				}
			}
		}
	}
}

// TestJUnitHoldsTogether holds that what a suite counts is what it has, and that each case has
// the names by which readers tell them apart.
func TestJUnitHoldsTogether(t *testing.T) {
	for name, r := range map[string]report.Report{"example": example(), "empty": {}} {
		var b bytes.Buffer
		if err := report.Write(&b, "junit", r); err != nil {
			t.Fatal(err)
		}
		type outcome struct {
			Message string `xml:"message,attr"`
			Type    string `xml:"type,attr"`
		}
		var got struct {
			XMLName xml.Name `xml:"testsuites"`
			Suites  []struct {
				Name     string `xml:"name,attr"`
				Tests    int    `xml:"tests,attr"`
				Failures int    `xml:"failures,attr"`
				Errors   int    `xml:"errors,attr"`
				Cases    []struct {
					Class   string   `xml:"classname,attr"`
					Name    string   `xml:"name,attr"`
					Failure *outcome `xml:"failure"`
					Error   *outcome `xml:"error"`
				} `xml:"testcase"`
			} `xml:"testsuite"`
		}
		if err := xml.Unmarshal(b.Bytes(), &got); err != nil || len(got.Suites) != 1 {
			t.Fatalf("%s: %v: %+v", name, err, got)
		}
		suite := got.Suites[0]
		failures, errors := 0, 0
		for _, c := range suite.Cases {
			if c.Class == "" || c.Name == "" || c.Failure != nil && c.Error != nil {
				t.Errorf("%s: case %+v", name, c)
			}
			for _, o := range []*outcome{c.Failure, c.Error} {
				if o != nil && (o.Message == "" || o.Type == "") {
					t.Errorf("%s: case %s: %+v", name, c.Name, *o)
				}
			}
			if c.Failure != nil {
				failures++
			}
			if c.Error != nil {
				errors++
			}
		}
		if suite.Name == "" || suite.Tests != len(suite.Cases) || suite.Failures != failures || suite.Errors != errors || failures != len(r.Findings) {
			t.Errorf("%s: suite %+v", name, suite)
		}
	}
}

// What GitLab's schema demands of a report: it takes none in which anything of this is missing.
func TestGitLabHoldsTogether(t *testing.T) {
	for name, r := range map[string]report.Report{"example": example(), "empty": {}} {
		var b bytes.Buffer
		if err := report.Write(&b, "gitlab", r); err != nil {
			t.Fatal(err)
		}
		type tool struct {
			ID, Name, Version string
			Vendor            struct{ Name string }
		}
		var got struct {
			Version string
			Scan    struct {
				Analyzer, Scanner tool
				Type, Status      string
				Start             string `json:"start_time"`
				End               string `json:"end_time"`
			}
			Vulnerabilities []struct {
				ID, Name, Description, Severity, Solution string
				Identifiers                               []struct{ Type, Name, Value string }
				Location                                  struct{ Commit struct{ SHA string } }
			}
		}
		if err := json.Unmarshal(b.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		for _, tool := range []tool{got.Scan.Analyzer, got.Scan.Scanner} {
			if tool.ID == "" || tool.Name == "" || tool.Version == "" || tool.Vendor.Name == "" {
				t.Errorf("%s: tool %+v", name, tool)
			}
		}
		for _, at := range []string{got.Scan.Start, got.Scan.End} {
			if _, err := time.Parse("2006-01-02T15:04:05", at); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if !slices.Contains([]string{"success", "failure"}, got.Scan.Status) || got.Scan.Type != "secret_detection" || got.Vulnerabilities == nil {
			t.Errorf("%s: %+v", name, got)
		}
		ids := map[string]bool{}
		for _, v := range got.Vulnerabilities {
			if v.ID == "" || ids[v.ID] || len(v.Name) > 255 || len(v.Solution) > 7000 || !slices.Contains([]string{"Low", "Medium", "High", "Critical"}, v.Severity) || v.Location.Commit.SHA == "" || len(v.Identifiers) == 0 {
				t.Errorf("%s: vulnerability %+v", name, v)
			}
			ids[v.ID] = true
			for _, i := range v.Identifiers {
				if i.Type == "" || i.Name == "" || i.Value == "" {
					t.Errorf("%s: identifier %+v", name, i)
				}
			}
		}
	}
}

// Nothing scanned is never a success.
func TestNothingIsNoSuccess(t *testing.T) {
	r := report.Report{}
	for format, want := range map[string]string{"sarif": `"executionSuccessful": false`, "gitlab": `"status": "failure"`, "junit": `errors="1"`} {
		var b bytes.Buffer
		if err := report.Write(&b, format, r); err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(b.Bytes(), []byte(want)) {
			t.Errorf("%s lacks %s", format, want)
		}
	}
}
