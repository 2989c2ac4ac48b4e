package server_test

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/server"
)

func newMetrics() *server.Metrics {
	none := func() float64 { return 0 }
	return server.NewMetrics("test", server.Gauges{
		Sealed: none, AuditSize: none, TamperedRows: none, Scrubbed: none, Findings: none, Connections: none, Displaced: none, ClockJumped: none, ClockOffset: none,
	})
}

func metricsOf(watch server.Watch) string {
	m := newMetrics()
	m.Watch(func() server.Watch { return watch })
	return shown(m)
}

func shown(m *server.Metrics) string {
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

func TestMetricsOfTheInventory(t *testing.T) {
	t.Parallel()
	text := metricsOf(server.Watch{
		Keys:      []server.WatchedKey{{Account: "1", Provider: "prod", Key: `a"b/c`, Left: -3}},
		Scans:     []server.WatchedScan{{Account: "1", Age: 60, Seen: 7, Of: 8}},
		Incidents: map[server.WatchedIncidents]int{{Account: "1", Severity: "critical", Acknowledged: true}: 2},
	})
	for _, want := range []string{
		`keyward_accesskey_expiry_seconds{account="1",key="a\"b/c",provider="prod"} -3`,
		`keyward_expiry_scan_age_seconds{account="1"} 60`, `keyward_expiry_scan_seen{account="1"} 7`, `keyward_expiry_scan_keys{account="1"} 8`,
		`keyward_incidents{account="1",acknowledged="true",severity="critical",unheard="false"} 2`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("there is no %s in\n%s", want, text)
		}
	}
	if sealed := metricsOf(server.Watch{}); strings.Contains(sealed, "keyward_expiry_scan") {
		t.Error("a sealed server has figures of the inventory")
	}
}

// A line of a rule file, by how far it is indented. The file is kept to this much of YAML,
// so that no parser is needed to be sure of it.
var ruleLines = []*regexp.Regexp{
	regexp.MustCompile(`^groups:$`),
	regexp.MustCompile(`^  - name: keyward$`),
	regexp.MustCompile(`^    rules:$`),
	regexp.MustCompile(`^      - alert: Keyward[A-Za-z]+$`),
	regexp.MustCompile(`^        expr: [^#]+[^ ]$`),
	regexp.MustCompile(`^        for: [0-9]+[mh]$`),
	regexp.MustCompile(`^        labels: \{severity: (warning|critical)\}$`),
	regexp.MustCompile(`^        annotations:$`),
	regexp.MustCompile(`^          (summary|description): "[^"\\]+"$`),
}

// What becomes of rotations is counted.
func TestMetricsOfRotations(t *testing.T) {
	t.Parallel()
	m := newMetrics()
	m.Stepped("creating")
	m.Stepped("creating")
	m.Halted("no-room")
	text := shown(m)
	for _, line := range []string{`keyward_rotation_steps_total{step="creating"} 2`, `keyward_rotation_halts_total{reason="no-room"} 1`} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
}

// The shipped rules are well formed, alert on something each, and name no metric that
// keyward does not have.
func TestShippedRules(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join("..", "..", "deploy", "prometheus", "keyward.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, found := range regexp.MustCompile(`(?m)^# TYPE (keyward_\w+) `).FindAllStringSubmatch(metricsOf(server.Watch{
		Keys: make([]server.WatchedKey, 1), Scans: make([]server.WatchedScan, 1), Incidents: map[server.WatchedIncidents]int{{}: 1}, Repositories: make([]server.WatchedRepository, 1),
	}), -1) {
		known[found[1]] = true
	}
	alerts, exprs := map[string]bool{}, 0
	for n, line := range strings.Split(strings.TrimSuffix(string(content), "\n"), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fits := false
		for _, form := range ruleLines {
			fits = fits || form.MatchString(line)
		}
		if !fits {
			t.Errorf("line %d: %q", n+1, line)
		}
		if name, ok := strings.CutPrefix(line, "      - alert: "); ok {
			if alerts[name] {
				t.Errorf("%s is there twice", name)
			}
			alerts[name] = true
		}
		if expr, ok := strings.CutPrefix(line, "        expr: "); ok {
			exprs++
			names := regexp.MustCompile(`keyward_\w+`).FindAllString(expr, -1)
			if len(names) == 0 || strings.Count(expr, "(") != strings.Count(expr, ")") || strings.Count(expr, "{") != strings.Count(expr, "}") {
				t.Errorf("line %d: the expression %q", n+1, expr)
			}
			for _, name := range names {
				if !known[name] {
					t.Errorf("line %d: there is no metric %s", n+1, name)
				}
			}
		}
	}
	if len(alerts) < 8 || exprs != len(alerts) {
		t.Errorf("%d alerts with %d expressions", len(alerts), exprs)
	}
}
