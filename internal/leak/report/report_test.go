package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"slices"
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

// What SARIF 2.1.0 requires of a result: a message, a rule of the driver at its index, a URI
// without what a URI cannot have, lines from 1.
func TestSARIFHoldsTogether(t *testing.T) {
	var b bytes.Buffer
	if err := report.Write(&b, "sarif", example()); err != nil {
		t.Fatal(err)
	}
	var log struct {
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct{ Rules []struct{ ID string } }
			}
			Results []struct {
				RuleID    string
				RuleIndex int
				Message   struct{ Text string }
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           *struct{ StartLine int }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(b.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || len(log.Runs) != 1 || len(log.Runs[0].Results) != 2 {
		t.Fatalf("%+v", log)
	}
	for _, r := range log.Runs[0].Results {
		if log.Runs[0].Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID || r.Message.Text == "" || len(r.Locations) == 0 {
			t.Errorf("result %+v", r)
		}
		for _, l := range r.Locations {
			if bytes.ContainsAny([]byte(l.PhysicalLocation.ArtifactLocation.URI), " \x1b!") || l.PhysicalLocation.Region != nil && l.PhysicalLocation.Region.StartLine < 1 {
				t.Errorf("location %+v", l)
			}
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
