package rest_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/exposure"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/rules"
	"github.com/keyward/keyward/internal/store/inventory"
	"github.com/keyward/keyward/internal/store/kms"
)

// leaks makes what compares reports. The tests run its job themselves.
func (w *world) leaks() {
	scanner, err := leak.New(rules.All())
	if err != nil {
		panic(err)
	}
	w.exposures = exposure.New(exposure.Options{
		Store: inventory.Exposures{Store: w.node.Store}, Marks: kms.Store{Store: w.node.Store}, Secrets: w.secrets, Tenants: w.iam, Findings: w.findings, Rotations: w.rotations, Scanner: scanner, Log: w.node.Log, Region: region, Now: w.now,
	})
}

func (w *world) compare(t testing.TB, account string) {
	t.Helper()
	must(w.exposures.Handlers()[exposure.JobLook](t.Context(), job.Job{Kind: exposure.JobLook, Account: account}))(t)
}

// leakSteps are the operations on leaks, in an order in which they all succeed.
func (s *scene) leakSteps() []step {
	return []step{
		{"GetScanKey", func(ctx context.Context, c *client.Client) error { return drop(c.GetScanKey(ctx)) }, ""},
		{"ReportLeaks", func(ctx context.Context, c *client.Client) error {
			return drop(c.ReportLeaks(ctx, report("shop", seen("", s.spare, "a.go"))))
		}, ""},
		{"ListAcceptedLeaks", func(ctx context.Context, c *client.Client) error {
			return drop(c.ListAcceptedLeaks(ctx, api.AcceptedLeaksRequest{Blinds: []string{"x"}}))
		}, ""},
	}
}

func report(origin string, all ...api.SeenCredential) api.ReportLeaksRequest {
	return api.ReportLeaksRequest{Origin: origin, Seen: all}
}

func seen(blind, id, path string) api.SeenCredential {
	return api.SeenCredential{Blind: blind, KeyID: id, Rule: "generic-secret", Severity: "high", Places: []api.SeenPlace{{Path: path, Line: 3}}}
}

// The values are put together here, so that no scanner stops at this file.
const (
	leakedValue  = "Zx9#kLm2" + "pQ7!vB"
	leakedPart   = "b7Qe0xWm4R" + "t8Yz2Kp6Ns1V"
	unknownValue = "nobody-keeps-" + "Qm4Rt8Yz2K"
)

func TestLeaks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.account(t, "Owner")
	c, ctx := w.client(t, owner), t.Context()
	spare := w.user(t, owner, "spare")
	must(c.AddProvider(ctx, api.AddProviderRequest{Name: "own", Kind: "keyward"}))(t)
	w.sync(t, owner.account, "own")
	put := func(name, value string) {
		t.Helper()
		must(c.PutSecretValue(ctx, name, api.PutSecretRequest{Value: []byte(value)}))(t)
	}
	// One is stored before the account has a key of marks, the other after it.
	must(c.CreateSecret(ctx, api.CreateSecretRequest{Name: "db", Value: []byte(leakedValue)}))(t)
	blind := leak.NewHasher(nil).Sharing([]byte(must(c.GetScanKey(ctx))(t).Key))
	must(c.CreateSecret(ctx, api.CreateSecretRequest{Name: "pay", Value: []byte(`{"merchant_id": "1900000109", "api_key": "` + leakedPart + `"}`)}))(t)

	state := func() map[string]string {
		t.Helper()
		w.compare(t, owner.account)
		out := map[string]string{}
		for _, f := range must(c.ListFindings(ctx, api.ListFindingsRequest{}))(t).Findings {
			out[f.Rule+" "+f.Subject.Kind+" "+f.Subject.Name] = f.Severity + " " + f.State
		}
		return out
	}
	expect := func(what string, want map[string]string) {
		t.Helper()
		if diff := cmp.Diff(want, state()); diff != "" {
			t.Errorf("%s (-want +have):\n%s", what, diff)
		}
	}
	expect("before a report", map[string]string{})
	merchant := seen(blind.Mark([]byte("1900000109")), "", "merchant.yaml") // what stands beside a secret is none
	merchant.Rule = "merchant"
	in := report("shop",
		seen(blind.Mark([]byte(leakedValue)), "", "a.yaml"), seen(blind.Mark([]byte(leakedPart)), "", "b.yaml"),
		seen(blind.Mark([]byte(unknownValue)), "", "c.yaml"), seen("", spare.id, "urls.log"), seen("", "AKnobodyknows", "urls.log"),
		merchant,
	)
	if got := must(c.ReportLeaks(ctx, in))(t); got.Received != 6 {
		t.Errorf("have %+v", got)
	}
	want := map[string]string{
		"LK01 secret db": "critical open", "LK01 secret pay": "critical open", "LK02 key ": "medium open", "LK03 credential generic-secret": "high open", "LK03 credential merchant": "high open",
	}
	expect("reported", want)
	if incidents := must(c.ListIncidents(ctx, api.ListIncidentsRequest{}))(t).Incidents; len(incidents) != 3 { // both values, and the alarm of the id
		t.Errorf("%d incidents: %+v", len(incidents), incidents)
	}

	// Reporting it again changes nothing, and is answered the same.
	before := must(c.ListFindings(ctx, api.ListFindingsRequest{}))(t)
	must(c.ReportLeaks(ctx, in))(t)
	expect("again", want)
	if diff := cmp.Diff(before, must(c.ListFindings(ctx, api.ListFindingsRequest{}))(t)); diff != "" {
		t.Errorf("again: %s", diff)
	}

	// No click ends what is so. What only stands somewhere stays resolved until it stands elsewhere, too.
	for _, f := range before.Findings {
		must(c.ResolveFinding(ctx, f.ID))(t)
	}
	must(c.ReportLeaks(ctx, in))(t)
	for name := range want {
		if strings.HasPrefix(name, "LK02 ") || strings.HasPrefix(name, "LK03 ") {
			want[name] = strings.Replace(want[name], "open", "resolved", 1)
		}
	}
	w.later.Add(int64(time.Minute))
	expect("a person's word", want)
	must(c.ReportLeaks(ctx, report("other", seen(blind.Mark([]byte(unknownValue)), "", "c.yaml"))))(t)
	want["LK03 credential generic-secret"] = "high open"
	expect("at a new place", want)

	// The value is previous, and then nothing.
	put("db", "another-value-1")
	expect("previous", want)
	put("db", "another-value-2")
	want["LK01 secret db"] = "critical resolved"
	expect("retired", want)

	// An id with a secret that keyward does not keep, until the key is switched off.
	must(c.ReportLeaks(ctx, report("shop", seen(blind.Mark([]byte("some-secret-of-it")), spare.id, "d.env"))))(t)
	want["AK25 key "] = "critical open"
	expect("a pair", want)
	off := false
	must(c.UpdateAccessKey(ctx, spare.id, api.UpdateAccessKeyRequest{Enabled: &off}))(t)
	w.later.Add(int64(time.Minute))
	w.sync(t, owner.account, "own")
	want["AK25 key "] = "critical resolved"
	expect("switched off", want)
}

// Who may report learns nothing, and nothing of a report but its places reaches the database.
func TestReporter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.account(t, "Owner")
	ci := w.user(t, owner, "ci")
	c, ctx := w.client(t, owner), t.Context()
	must(c.CreatePolicy(ctx, api.CreatePolicyRequest{Name: "report", Document: `{"Version": "1", "Statement": [{"Effect": "Allow", "Action": ["keyward:GetScanKey", "keyward:ReportLeaks"], "Resource": "*"}]}`}))(t)
	check(t, c.AttachPolicy(ctx, "ci", "report"))
	must(c.CreateSecret(ctx, api.CreateSecretRequest{Name: "db", Value: []byte(leakedValue)}))(t)
	r := w.client(t, ci)
	blind := leak.NewHasher(nil).Sharing([]byte(must(r.GetScanKey(ctx))(t).Key))
	w.compare(t, owner.account)
	var answers []api.LeakReceipt
	for _, value := range []string{leakedValue, unknownValue} {
		answers = append(answers, must(r.ReportLeaks(ctx, report("shop", seen(blind.Mark([]byte(value)), "", "a"))))(t))
	}
	if answers[0] != answers[1] {
		t.Errorf("have %+v", answers)
	}
	// Of a push that was refused it is told what a person decided, and nothing else.
	stopped := report("shop", seen(blind.Mark([]byte(leakedPart)), "", "a"))
	stopped.Stopped = true
	must(c.CreateSecret(ctx, api.CreateSecretRequest{Name: "pay", Value: []byte(leakedPart)}))(t)
	must(r.ReportLeaks(ctx, stopped))(t)
	w.compare(t, owner.account)
	asked := api.AcceptedLeaksRequest{Blinds: []string{stopped.Seen[0].Blind, blind.Mark([]byte(leakedValue))}}
	if got := codeOf(t, drop(r.ListAcceptedLeaks(ctx, asked))); got != "NoPermission" {
		t.Errorf("have %q", got)
	}
	if got := must(c.ListAcceptedLeaks(ctx, asked))(t); len(got.Accepted) != 0 {
		t.Errorf("have %+v", got)
	}
	for _, f := range must(c.ListFindings(ctx, api.ListFindingsRequest{State: "open"}))(t).Findings {
		if f.Subject.Name == "pay" {
			t.Errorf("a push that was refused leaked something: %+v", f)
		}
		if f.Rule == "LK04" || f.Rule == "LK01" { // what is accepted of a secret in the open says nothing of pushes
			must(c.SuppressFinding(ctx, f.ID, api.SuppressFindingRequest{Owner: "ann", Reason: "x", Until: w.now().Add(time.Hour)}))(t)
		}
	}
	if diff := cmp.Diff(asked.Blinds[:1], must(c.ListAcceptedLeaks(ctx, asked))(t).Accepted); diff != "" {
		t.Errorf("accepted: %s", diff)
	}
	w.later.Add(int64(2 * time.Hour))
	if got := must(c.ListAcceptedLeaks(ctx, asked))(t); len(got.Accepted) != 0 {
		t.Errorf("after the date: %+v", got)
	}
	if code := codeOf(t, drop(r.ListFindings(ctx, api.ListFindingsRequest{}))); code != "NoPermission" {
		t.Errorf("have %q", code)
	}
	known := must(inventory.Exposures{Store: w.node.Store}.Sightings(ctx, owner.account))(t)
	for _, s := range known {
		for _, value := range []string{leakedValue, unknownValue} {
			if s.Mark == blind.Mark([]byte(value)) {
				t.Error("what is stored is what the scanner could compute")
			}
		}
	}
	if len(known) != 3 {
		t.Errorf("%d sightings", len(known))
	}

	long := strings.Repeat("a", 64)
	for name, in := range map[string]api.ReportLeaksRequest{
		"no origin": report(" ", seen(long, "", "a")), "nothing of it": report("x", seen("", "", "a")), "no hash": report("x", seen("zz", "", "a")), "upper case": report("x", seen(strings.ToUpper(long), "", "a")),
		"no place": report("x", api.SeenCredential{Blind: long, Rule: "r", Severity: "low"}), "no rule": report("x", api.SeenCredential{Blind: long, Severity: "low", Places: []api.SeenPlace{{Path: "a"}}}),
		"no severity": report("x", api.SeenCredential{Blind: long, Rule: "r", Severity: "bad", Places: []api.SeenPlace{{Path: "a"}}}), "too many": report("x", slices.Repeat([]api.SeenCredential{seen(long, "", "a")}, 101)...),
	} {
		if code := codeOf(t, drop(r.ReportLeaks(ctx, in))); code != "InvalidParameter" && code != "MissingParameter" {
			t.Errorf("%s: have %q", name, code)
		}
	}
}
