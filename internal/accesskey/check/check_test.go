package check_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/accesskey/check"
	"github.com/keyward/keyward/internal/exposure"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/iam/copied"
)

const (
	day  = 24 * time.Hour
	tick = time.Microsecond
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

// A world is one provider with one user and one key about which nothing is wrong.
type world struct {
	st   accesskey.Standing
	user accesskey.Principal
	keys []accesskey.AccessKey
}

func healthy() *world {
	w := &world{
		st: accesskey.Standing{
			Source: accesskey.Source{Name: "prod", Kind: "aws"},
			State: accesskey.State{SucceededAt: now, Facts: accesskey.Account{
				RootMFA: accesskey.Yes, RootKey: accesskey.No, AuditTrail: accesskey.Yes, Quota: 2,
				Detail: map[string]string{"password_min_length": "14", "password_reuse_prevention": "5", "password_max_attempts": "5"},
			}},
		},
		user: accesskey.Principal{
			ID: "u1", Name: "ci", Kind: accesskey.User, CreatedAt: ago(60 * day), Disabled: accesskey.No, Console: accesskey.No,
			ConsoleMFA: accesskey.No, ActionMFA: accesskey.Yes, Grants: []accesskey.Grant{{Name: "ReadLogs", Via: "readers"}},
		},
	}
	w.add("AK1", 30*day)
	return w
}

// add adds an active key that was used a day ago.
func (w *world) add(id string, age time.Duration) *accesskey.AccessKey {
	w.keys = append(w.keys, accesskey.AccessKey{
		Source: "prod", Provider: "aws", Owner: "alice", SeenFirst: ago(age), Due: accesskey.Expiry{At: now.Add(60 * day), Basis: accesskey.Policy},
		Remark:   accesskey.Remark{Purpose: "build", System: "ci"},
		Observed: accesskey.Observed{ID: id, Principal: "u1", Status: accesskey.Active, CreatedAt: ago(age), Use: accesskey.Use{Known: accesskey.Yes, At: ago(day)}},
	})
	return &w.keys[len(w.keys)-1]
}

func (w *world) key() *accesskey.Observed { return &w.keys[0].Observed }

// exam answers what is found, as RULE subject severity.
func (w *world) exam() (*check.Exam, []finding.Finding) {
	e := check.New(w.st, check.Defaults(), now)
	for i := range w.keys {
		w.keys[i].Principal = w.user
		e.Key(&w.keys[i])
	}
	return e, e.End([]accesskey.Principal{w.user})
}

func brief(all []finding.Finding) []string {
	out := []string{}
	for _, f := range all {
		out = append(out, fmt.Sprintf("%s %s %v", f.Rule, f.Subject, f.Severity))
	}
	slices.Sort(out)
	return out
}

func root(w *world) { w.user.Kind = accesskey.Root }

func inactive(w *world) { w.key().Status = accesskey.Inactive }

func console(w *world) {
	w.user.Console, w.user.ConsoleMFA, w.user.ConsoleAt = accesskey.Yes, accesskey.Yes, ago(day)
}

// cases has for each check what is one, what just is not, and what nobody knows. want ""
// means that the check finds nothing.
var cases = []struct {
	rule, name string
	change     func(w *world)
	want       string // subject and severity
	unknown    bool
}{
	{"AK01", "told", func(w *world) { w.st.State.Facts.RootKey = accesskey.Yes }, "prod critical", false},
	{"AK01", "listed", root, "prod critical", false},
	{"AK01", "listed and inactive", func(w *world) { root(w); inactive(w) }, "prod critical", false},
	{"AK01", "deleted", func(w *world) { root(w); w.key().Status = accesskey.Deleted }, "", false},
	{"AK01", "not told", func(w *world) { w.st.State.Facts.RootKey = accesskey.Unknown }, "", true},

	{"AK31", "for a week", func(w *world) { w.st.Source.Paused, w.st.State.SucceededAt = true, ago(7*day) }, "", false},
	{"AK31", "for longer", func(w *world) { w.st.Source.Paused, w.st.State.SucceededAt = true, ago(7*day+tick) }, "prod low", false},
	{"AK31", "for a month", func(w *world) { w.st.Source.Paused, w.st.State.SucceededAt = true, ago(30*day+tick) }, "prod medium", false},
	{"AK31", "not paused", func(w *world) { w.st.State.SucceededAt = ago(90 * day) }, "", false},

	{"AK02", "used", root, "prod/AK1 critical", false},
	{"AK02", "at the limit", func(w *world) { root(w); w.key().Use.At = ago(90 * day) }, "prod/AK1 critical", false},
	{"AK02", "beyond it", func(w *world) { root(w); w.key().Use.At = ago(90*day + tick) }, "", false},
	{"AK02", "inactive", func(w *world) { root(w); inactive(w) }, "", false},
	{"AK02", "use not told", func(w *world) { root(w); w.key().Use.Known = accesskey.Unknown }, "", true},
	{"AK02", "holder not read", func(w *world) { w.user = accesskey.Principal{ID: "u1"} }, "", true},

	{"AK03", "at the limit", func(w *world) { w.key().CreatedAt = ago(90 * day) }, "", false},
	{"AK03", "beyond it", func(w *world) { w.key().CreatedAt = ago(90*day + tick) }, "prod/AK1 medium", false},
	{"AK03", "very old", func(w *world) { w.key().CreatedAt = ago(180*day + tick) }, "prod/AK1 high", false},
	{"AK03", "inactive", func(w *world) { w.key().CreatedAt = ago(900 * day); inactive(w) }, "", false},
	{"AK03", "its provider's own age", func(w *world) { w.st.Source.MaxAge = 20 * day }, "prod/AK1 medium", false},
	{"AK03", "its provider's own age, longer", func(w *world) { w.st.Source.MaxAge = 365 * day; w.key().CreatedAt = ago(200 * day) }, "", false},
	{"AK03", "age not told", func(w *world) { w.key().CreatedAt = time.Time{} }, "", true},
	{"AK03", "age not told, known for long", func(w *world) { w.key().CreatedAt = time.Time{}; w.keys[0].SeenFirst = ago(100 * day) }, "prod/AK1 medium", false},
	{"AK03", "certificate", func(w *world) {
		w.key().CreatedAt = ago(300 * day)
		w.key().Expiry = accesskey.Expiry{At: now.Add(65 * day), Basis: accesskey.Certificate}
	}, "", false},

	{"AK04", "at the limit", func(w *world) { w.key().Use.At = ago(45 * day) }, "", false},
	{"AK04", "beyond it", func(w *world) { w.key().Use.At = ago(45*day + tick) }, "prod/AK1 medium", false},
	{"AK04", "within the lag", func(w *world) { w.key().Use.At = ago(46 * day); w.key().Use.Lag = day }, "", false},
	{"AK04", "long", func(w *world) { w.key().Use.At = ago(90*day + tick) }, "prod/AK1 high", false},
	{"AK04", "inactive", func(w *world) { w.key().Use.At = ago(400 * day); inactive(w) }, "", false},
	{"AK04", "not told", func(w *world) { w.key().Use = accesskey.Use{} }, "", true},

	{"AK05", "in its grace", func(w *world) { w.key().Use = accesskey.Use{Known: accesskey.No}; w.key().CreatedAt = ago(14 * day) }, "", false},
	{"AK05", "beyond it", func(w *world) {
		w.key().Use = accesskey.Use{Known: accesskey.No}
		w.key().CreatedAt = ago(14*day + tick)
	}, "prod/AK1 medium", false},
	{"AK05", "within the lag", func(w *world) {
		w.key().Use = accesskey.Use{Known: accesskey.No, Lag: day}
		w.key().CreatedAt = ago(15 * day)
	}, "", false},
	{"AK05", "used", func(*world) {}, "", false},
	{"AK05", "not told", func(w *world) { w.key().Use = accesskey.Use{} }, "", true},
	{"AK05", "age not told", func(w *world) {
		w.key().Use, w.key().CreatedAt, w.keys[0].SeenFirst = accesskey.Use{Known: accesskey.No}, time.Time{}, ago(day)
	}, "", true},

	{"AK06", "at the limit", func(w *world) { inactive(w); w.key().ChangedAt = ago(30 * day) }, "", false},
	{"AK06", "beyond it", func(w *world) { inactive(w); w.key().ChangedAt = ago(30*day + tick) }, "prod/AK1 low", false},
	{"AK06", "by its last use", func(w *world) { inactive(w); w.key().Use.At = ago(31 * day) }, "prod/AK1 low", false},
	{"AK06", "never used", func(w *world) {
		inactive(w)
		w.key().Use, w.key().CreatedAt = accesskey.Use{Known: accesskey.No}, ago(31*day)
	}, "prod/AK1 low", false},
	{"AK06", "active", func(w *world) { w.key().ChangedAt = ago(31 * day) }, "", false},
	{"AK06", "not told", func(w *world) { inactive(w); w.key().Use = accesskey.Use{} }, "", true},

	{"AK07", "at the limit", func(w *world) { w.add("AK2", 7*day) }, "", false},
	{"AK07", "beyond it", func(w *world) { w.add("AK2", 7*day+tick) }, "prod/u1 medium", false},
	{"AK07", "one of them inactive", func(w *world) { w.add("AK2", 8*day); inactive(w) }, "", false},
	{"AK07", "any number may be", func(w *world) { w.add("AK2", 8*day); w.st.State.Facts.Quota = 0 }, "", true},
	{"AK07", "a program's", func(w *world) { w.add("AK2", 8*day); w.user.Kind = accesskey.Program }, "", false},
	{"AK07", "age not told", func(w *world) { w.add("AK2", 8*day); w.key().CreatedAt = time.Time{} }, "", true},

	{"AK08", "not since", func(w *world) { w.key().Use.At = ago(20 * day); w.key().ChangedAt = ago(15 * day) }, "prod/AK1 low", false},
	{"AK08", "in its grace", func(w *world) { w.key().Use.At = ago(20 * day); w.key().ChangedAt = ago(14 * day) }, "", false},
	{"AK08", "used at that moment", func(w *world) { w.key().Use.At = ago(20 * day); w.key().ChangedAt = ago(20 * day) }, "", false},
	{"AK08", "within the lag", func(w *world) {
		w.key().Use.At, w.key().Use.Lag, w.key().ChangedAt = ago(20*day), day, ago(19*day)
	}, "", false},
	{"AK08", "not told", func(*world) {}, "", true},

	{"AK09", "both", console, "prod/u1 medium", false},
	{"AK09", "key inactive", func(w *world) { console(w); inactive(w) }, "", false},
	{"AK09", "not told", func(w *world) { w.user.Console = accesskey.Unknown }, "", true},

	{"AK10", "at the limit", func(w *world) { console(w); w.key().CreatedAt = w.user.CreatedAt.Add(2 * time.Minute) }, "prod/AK1 low", false},
	{"AK10", "beyond it", func(w *world) { console(w); w.key().CreatedAt = w.user.CreatedAt.Add(2*time.Minute + tick) }, "", false},
	{"AK10", "no console", func(w *world) { w.key().CreatedAt = w.user.CreatedAt }, "", false},
	{"AK10", "not told", func(w *world) { console(w); w.user.CreatedAt = time.Time{} }, "", true},

	{"AK11", "direct", func(w *world) { w.user.Grants = []accesskey.Grant{{Name: "AdministratorAccess", Admin: true}} }, "prod/u1 high", false},
	{"AK11", "by a group", func(w *world) {
		w.user.Grants = []accesskey.Grant{{Name: "AdministratorAccess", Admin: true, Via: "admins"}}
	}, "prod/u1 high", false},
	{"AK11", "within a boundary", func(w *world) {
		w.user.Grants, w.user.Boundary = []accesskey.Grant{{Name: "AdministratorAccess", Admin: true}}, "OnlyLogs"
	}, "prod/u1 medium", false},
	{"AK11", "no active key", func(w *world) { w.user.Grants = []accesskey.Grant{{Admin: true}}; inactive(w) }, "", false},
	{"AK11", "not told", func(w *world) { w.user.Grants = nil }, "", true},

	{"AK12", "direct", func(w *world) { w.user.Grants[0].Via = "" }, "prod/u1 low", false},
	{"AK12", "by a group", func(*world) {}, "", false},
	{"AK12", "keyward has no groups", func(w *world) { w.user.Grants[0].Via = ""; w.st.Source.Kind = "keyward" }, "", false},
	{"AK12", "not told", func(w *world) { w.user.Grants = nil }, "", true},

	{"AK13", "whole service", func(w *world) { w.user.Grants[0].Wide = []string{"cos", "CAM"} }, "prod/u1 high", false},
	{"AK13", "by name", func(w *world) { w.user.Grants[0].Name = "AliyunRAMFullAccess" }, "prod/u1 high", false},
	{"AK13", "another service", func(w *world) { w.user.Grants[0].Wide = []string{"cos"} }, "", false},
	{"AK13", "all rights are another finding", func(w *world) { w.user.Grants[0].Wide, w.user.Grants[0].Admin = []string{"iam"}, true }, "", false},
	{"AK13", "not told", func(w *world) { w.user.Grants = nil }, "", true},

	{"AK14", "at the limit", func(w *world) { w.user.Grants[0].Wide = []string{"cos"}; w.key().Use.At = ago(90 * day) }, "", false},
	{"AK14", "beyond it", func(w *world) { w.user.Grants[0].Wide = []string{"cos"}; w.key().Use.At = ago(90*day + tick) }, "prod/u1 medium", false},
	{"AK14", "one of two is used", func(w *world) {
		w.user.Grants[0].Wide = []string{"cos"}
		w.key().Use.At = ago(100 * day)
		w.add("AK2", 3*day)
	}, "", false},
	{"AK14", "never used, new", func(w *world) {
		w.user.Grants[0].Wide = []string{"cos"}
		w.key().Use = accesskey.Use{Known: accesskey.No}
	}, "", false},
	{"AK14", "not told", func(w *world) { w.user.Grants[0].Wide = []string{"cos"}; w.key().Use = accesskey.Use{} }, "", true},

	{"AK16", "no owner", func(w *world) { w.keys[0].Owner = "" }, "prod/AK1 medium", false},
	{"AK16", "no system", func(w *world) { w.keys[0].Remark.System = "" }, "prod/AK1 low", false},
	{"AK16", "no expiry", func(w *world) { w.keys[0].Due = accesskey.Expiry{} }, "prod/AK1 low", false},
	{"AK16", "accepted without expiry", func(w *world) { w.keys[0].Due, w.keys[0].Remark.Permanent = accesskey.Expiry{}, true }, "", false},
	{"AK16", "inactive", func(w *world) { w.keys[0].Owner = ""; inactive(w) }, "", false},

	{"AK19", "login", func(w *world) { console(w); w.user.ConsoleMFA = accesskey.No }, "prod/u1 high", false},
	{"AK19", "operations", func(w *world) { w.user.ActionMFA = accesskey.No }, "prod/u1 medium", false},
	{"AK19", "operations, nothing to do them with", func(w *world) { w.user.ActionMFA = accesskey.No; inactive(w) }, "", false},
	{"AK19", "disabled", func(w *world) { console(w); w.user.ConsoleMFA, w.user.Disabled = accesskey.No, accesskey.Yes }, "", false},
	{"AK19", "operations are not told of", func(w *world) { console(w); w.user.ActionMFA = accesskey.Unknown }, "", false},
	{"AK19", "operations could not be read", func(w *world) {
		console(w)
		w.user.ActionMFA = accesskey.Unknown
		w.st.State.Problems = []accesskey.Problem{{Subject: "u1"}}
	}, "", true},
	{"AK19", "not told", func(w *world) { console(w); w.user.ConsoleMFA = accesskey.Unknown }, "", true},

	{"AK20", "off", func(w *world) { w.st.State.Facts.RootMFA = accesskey.No }, "prod critical", false},
	{"AK20", "on", func(*world) {}, "", false},
	{"AK20", "not told", func(w *world) { w.st.State.Facts.RootMFA = accesskey.Unknown }, "", true},

	{"AK21", "disabled", func(w *world) { w.user.Disabled = accesskey.Yes }, "prod/u1 high", false},
	{"AK21", "collaborator", func(w *world) { w.user.Kind = accesskey.Collaborator }, "prod/u1 high", false},
	{"AK21", "disabled, no active key", func(w *world) { w.user.Disabled = accesskey.Yes; inactive(w) }, "", false},
	{"AK21", "not told", func(w *world) { w.user.Disabled = accesskey.Unknown }, "", true},

	{"AK24", "off", func(w *world) { w.st.State.Facts.AuditTrail = accesskey.No }, "prod high", false},
	{"AK24", "on", func(*world) {}, "", false},
	{"AK24", "not told", func(w *world) { w.st.State.Facts.AuditTrail = accesskey.Unknown }, "", true},

	{"AK28", "none", func(w *world) { w.st.State.Facts.Detail = map[string]string{"password_policy": "none"} }, "prod low", false},
	{"AK28", "at the limit", func(*world) {}, "", false},
	{"AK28", "shorter", func(w *world) { w.st.State.Facts.Detail["password_min_length"] = "13" }, "prod low", false},
	{"AK28", "reuse", func(w *world) { w.st.State.Facts.Detail["password_reuse_prevention"] = "0" }, "prod low", false},
	{"AK28", "any number of attempts", func(w *world) { w.st.State.Facts.Detail["password_max_attempts"] = "0" }, "prod low", false},
	{"AK28", "not told", func(w *world) { w.st.State.Facts.Detail = map[string]string{"password_min_length": "x"} }, "", true},

	{"AK29", "at the limit", func(w *world) { console(w); w.user.ConsoleAt = ago(90 * day) }, "", false},
	{"AK29", "beyond it", func(w *world) { console(w); w.user.ConsoleAt = ago(90*day + tick) }, "prod/u1 low", false},
	{"AK29", "disabled", func(w *world) { console(w); w.user.ConsoleAt, w.user.Disabled = ago(91*day), accesskey.Yes }, "", false},
	{"AK29", "not told", func(w *world) { console(w); w.user.ConsoleAt = time.Time{} }, "", true},
}

func TestChecks(t *testing.T) {
	if _, found := healthy().exam(); len(found) > 0 {
		t.Fatalf("something is wrong where nothing is: %v", brief(found))
	}
	for _, c := range cases {
		t.Run(c.rule+" "+c.name, func(t *testing.T) {
			w := healthy()
			c.change(w)
			e, all := w.exam()
			got := ""
			for _, f := range all {
				if f.Rule == c.rule {
					got += fmt.Sprintf("%s %v", f.Subject, f.Severity)
				}
			}
			if got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
			unknown := false
			for _, s := range []finding.Subject{{Provider: "prod", Kind: finding.Key, ID: "AK1"}, {Provider: "prod", Kind: finding.Principal, ID: "u1"}, {Provider: "prod", Kind: finding.Provider}} {
				unknown = unknown || e.Unknown(c.rule, s)
			}
			if unknown != c.unknown {
				t.Errorf("unknown: %v, want %v", unknown, c.unknown)
			}
		})
	}
}

// Every check is answered, which cases prove from three sides, or says what it needs.
func TestEveryCheckIsAnsweredOrExplained(t *testing.T) {
	var ids []string
	for _, r := range check.Rules(check.Defaults()) {
		ids = append(ids, r.ID)
		found, not := 0, 0
		for _, c := range cases {
			if c.rule == r.ID && c.want != "" {
				found++
			} else if c.rule == r.ID {
				not++
			}
		}
		for _, text := range []string{r.Title.English, r.Title.Chinese} {
			if text == "" {
				t.Errorf("%s has no title", r.ID)
			}
		}
		if !r.Answered() {
			if found > 0 || r.Needs.Chinese == "" || r.Needs.English == "" {
				t.Errorf("%s is neither answered nor explained", r.ID)
			}
			continue
		}
		if found == 0 || not == 0 {
			t.Errorf("%s has %d cases that are found and %d that are not", r.ID, found, not)
		}
		if r.Why.English == "" || r.Why.Chinese == "" || len(r.Fixes) == 0 {
			t.Errorf("%s does not say why, or what to do", r.ID)
		}
		if last := r.Fixes[len(r.Fixes)-1]; last.Platform != "" || strings.ContainsAny(strings.NewReplacer("{provider}", "", "{key}", "").Replace(last.Command), "{}") {
			t.Errorf("%s has no advice that always fits", r.ID)
		}
		for _, x := range r.Fixes {
			if x.Text.English == "" || x.Text.Chinese == "" {
				t.Errorf("%s has a fix without words: %+v", r.ID, x)
			}
		}
	}
	var want []string
	for i := 1; i <= 31; i++ {
		if i == 25 {
			continue // package exposure answers it
		}
		want = append(want, fmt.Sprintf("AK%02d", i))
	}
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Errorf("the checks (-want +got):\n%s", diff)
	}
}

// Advice names the platform's own command, with the facts of the finding.
func TestAdvice(t *testing.T) {
	advice := func(platform string, change func(*world)) string {
		w := healthy()
		w.st.Source.Kind = platform
		change(w)
		_, all := w.exam()
		i := slices.IndexFunc(all, func(f finding.Finding) bool { return f.Rule == "AK04" })
		rules := check.Rules(check.Defaults())
		r := rules[slices.IndexFunc(rules, func(r finding.Rule) bool { return r.ID == "AK04" })]
		return r.Advice(&all[i]).Command
	}
	idle := func(w *world) { w.key().Use.At = ago(60 * day) }
	for platform, want := range map[string]string{
		"aws":     "aws iam update-access-key --user-name ci --access-key-id AK1 --status Inactive",
		"tencent": "tccli cam UpdateAccessKey --AccessKeyId AK1 --Status Inactive --TargetUin u1",
		"alibaba": "aliyun ims UpdateAccessKey --UserPrincipalName ci --UserAccessKeyId AK1 --Status Inactive",
		"http":    "",
	} {
		if got := advice(platform, idle); got != want {
			t.Errorf("%s: %q, want %q", platform, got, want)
		}
	}
	hostile := func(w *world) { idle(w); w.user.Name = "$(rm -rf /)'; x" }
	if got, want := advice("aws", hostile), `aws iam update-access-key --user-name '$(rm -rf /)'\''; x' --access-key-id AK1 --status Inactive`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := advice("aws", func(w *world) { idle(w); w.user.Name = "--profile=x" }); got != "" {
		t.Errorf("an option is advised: %s", got)
	}
}

// What could not be read is neither found nor over.
func TestUnread(t *testing.T) {
	w := healthy()
	w.st.State.Problems = []accesskey.Problem{{Subject: "u2"}, {Subject: "AK1"}}
	e, _ := w.exam()
	for subject, want := range map[finding.Subject]bool{
		{Provider: "prod", Kind: finding.Principal, ID: "u2"}: true,  // not seen, and not read
		{Provider: "prod", Kind: finding.Principal, ID: "u3"}: false, // not seen: it is not there any more
		{Provider: "prod", Kind: finding.Key, ID: "AK1"}:      false, // seen all the same
	} {
		if got := e.Unknown("AK03", subject); got != want {
			t.Errorf("%v: unknown is %v", subject, got)
		}
	}
}

// Nothing that is not known makes a finding or ends one: taking facts away only takes
// findings away. But for whether a user is disabled, which excuses only if it is known.
func TestUnknownIsNeverAFinding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		factOf := rapid.SampledFrom([]accesskey.Fact{accesskey.Unknown, accesskey.No, accesskey.Yes})
		when := rapid.Custom(func(t *rapid.T) time.Time { return ago(time.Duration(rapid.IntRange(0, 400).Draw(t, "days")) * day) })
		draw := func(f *accesskey.Fact, name string) { *f = factOf.Draw(t, name) }
		w := healthy()
		draw(&w.user.Console, "console")
		draw(&w.user.ConsoleMFA, "mfa")
		draw(&w.user.ActionMFA, "action")
		draw(&w.user.Disabled, "disabled")
		draw(&w.key().Use.Known, "use")
		draw(&w.st.State.Facts.RootKey, "root key")
		draw(&w.st.State.Facts.RootMFA, "root mfa")
		draw(&w.st.State.Facts.AuditTrail, "trail")
		w.user.ConsoleAt, w.key().Use.At, w.key().ChangedAt, w.key().CreatedAt = when.Draw(t, "login"), when.Draw(t, "used"), when.Draw(t, "changed"), when.Draw(t, "created")
		w.user.Grants[0].Admin = rapid.Bool().Draw(t, "admin")
		_, full := w.exam()
		for _, forget := range []*accesskey.Fact{&w.user.Console, &w.user.ConsoleMFA, &w.key().Use.Known,
			&w.st.State.Facts.RootKey, &w.st.State.Facts.RootMFA, &w.st.State.Facts.AuditTrail} {
			before := *forget
			*forget = accesskey.Unknown
			e, less := w.exam()
			for _, f := range less {
				if !slices.ContainsFunc(full, func(g finding.Finding) bool { return g.Rule == f.Rule && g.Subject == f.Subject }) {
					t.Fatalf("forgetting something found %v %v", f.Rule, f.Subject)
				}
			}
			for _, f := range full {
				still := slices.ContainsFunc(less, func(g finding.Finding) bool { return g.Rule == f.Rule && g.Subject == f.Subject })
				if !still && !e.Unknown(f.Rule, f.Subject) {
					t.Fatalf("forgetting something ended %v %v", f.Rule, f.Subject)
				}
			}
			*forget = before
		}
	})
}

// checksTable is the table of docs/findings.md.
func checksTable() string {
	var b strings.Builder
	b.WriteString("| check | severity | 中文 | what it says, and why it matters |\n|---|---|---|---|\n")
	all := slices.Concat(check.Rules(check.Defaults()), exposure.Rules(), copied.Rules())
	slices.SortFunc(all, func(a, b finding.Rule) int { return strings.Compare(a.ID, b.ID) })
	for _, r := range all {
		text := r.Title.English + ". " + r.Why.English
		for _, l := range r.Limits {
			text += fmt.Sprintf(" `%s` %s.", l.Name, l.Value)
		}
		if r.Partly.English != "" {
			text += " *In part:* " + r.Partly.English
		}
		if !r.Answered() {
			text = r.Title.English + ". *Not checked:* " + r.Needs.English
		}
		fmt.Fprintf(&b, "| %s | %v | %s | %s |\n", r.ID, r.Severity, r.Title.Chinese, text)
	}
	return b.String()
}

var update = flag.Bool("update", false, "write the table of checks into docs/findings.md")

func TestDocumentedChecks(t *testing.T) {
	const file, begin, end = "../../../docs/findings.md", "<!-- checks: generated -->\n", "<!-- end of checks -->"
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, also := strings.Cut(rest, end)
	if !ok || !also {
		t.Fatalf("%s has no place for the checks", file)
	}
	want := before + begin + checksTable() + end + after
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(page) {
		t.Errorf("%s is not up to date; run: go test ./internal/accesskey/check -update", file)
	}
}
