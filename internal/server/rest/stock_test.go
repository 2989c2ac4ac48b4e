package rest_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/notify"
)

// addStock gives the scene's account a provider with keys, a channel and an incident.
func (s *scene) addStock(t *testing.T, w *world, admin login) {
	t.Helper()
	ctx, c := t.Context(), w.client(t, admin)
	must(c.AddProvider(ctx, api.AddProviderRequest{Name: "own", Kind: "keyward"}))(t)
	must(c.AddProvider(ctx, api.AddProviderRequest{Name: "hand", Kind: "manual"}))(t)
	w.sync(t, admin.account, "own")
	must(c.AddChannel(ctx, api.AddChannelRequest{Name: "robot", Kind: "robot", Connection: robotConnection("fake")}))(t)
	check(t, w.alerts.Report(ctx, admin.account, notify.Condition{
		Name: "test/x", Kind: notify.KeyExpiry, Subject: "payments", Deadline: w.now().Add(20 * 24 * time.Hour), Facts: []notify.Fact{{Name: "key", Value: "x"}},
	}))
	s.incident = must(c.ListIncidents(ctx, api.ListIncidentsRequest{}))(t).Incidents[0].ID
}

func robotConnection(password string) api.Connection {
	return api.Connection{Settings: map[string]string{"room": "ops"}, Credential: map[string]api.SecretBytes{"password": []byte(password)}}
}

func (s *scene) inventorySteps() []step {
	const missing = "ResourceNotFound"
	paused, owner := false, "ann"
	return []step{
		{"ListProviderKinds", func(ctx context.Context, c *client.Client) error { return drop(c.ListProviderKinds(ctx)) }, ""},
		{"AddProvider", func(ctx context.Context, c *client.Client) error {
			return drop(c.AddProvider(ctx, api.AddProviderRequest{Name: "second", Kind: "keyward", MaxAge: "180d", Pace: "1h"}))
		}, ""},
		{"ListProviders", func(ctx context.Context, c *client.Client) error { return drop(c.ListProviders(ctx)) }, ""},
		{"GetProvider", func(ctx context.Context, c *client.Client) error { return drop(c.GetProvider(ctx, "own")) }, missing},
		{"UpdateProvider", func(ctx context.Context, c *client.Client) error {
			return drop(c.UpdateProvider(ctx, "own", api.UpdateProviderRequest{Owner: &owner, Paused: &paused, Connection: &api.Connection{}}))
		}, missing},
		{"SyncProvider", func(ctx context.Context, c *client.Client) error { return c.SyncProvider(ctx, "own") }, missing},
		{"ListInventory", func(ctx context.Context, c *client.Client) error {
			return drop(c.ListInventory(ctx, api.ListInventoryRequest{Order: "age"}))
		}, ""},
		{"SubscribeCalendar", func(ctx context.Context, c *client.Client) error {
			return drop(c.SubscribeCalendar(ctx, api.SubscribeCalendarRequest{Name: "outlook"}))
		}, ""},
		{"ListCalendarSubscriptions", func(ctx context.Context, c *client.Client) error { return drop(c.ListCalendarSubscriptions(ctx)) }, ""},
		{"UnsubscribeCalendar", func(ctx context.Context, c *client.Client) error { return c.UnsubscribeCalendar(ctx, "outlook") }, ""},
		{"GetInventoryKey", func(ctx context.Context, c *client.Client) error { return drop(c.GetInventoryKey(ctx, "own", s.spare)) }, missing},
		{"RemarkInventoryKey", func(ctx context.Context, c *client.Client) error {
			return drop(c.RemarkInventoryKey(ctx, "own", s.spare, api.RemarkKeyRequest{Owner: &owner}))
		}, missing},
		{"EnterKey", func(ctx context.Context, c *client.Client) error {
			return drop(c.EnterKey(ctx, "hand", api.EnterKeyRequest{Guide: "other", Connection: api.Connection{
				Settings: map[string]string{"name": "acquirer/key-2"}, Credential: map[string]api.SecretBytes{"value": api.SecretBytes("fake-value")},
			}}))
		}, missing},
		{"ForgetKey", func(ctx context.Context, c *client.Client) error {
			return c.ForgetKey(ctx, "hand", "other/acquirer/key-2")
		}, missing},
		{"GetCalendar", func(ctx context.Context, c *client.Client) error {
			return drop(c.GetCalendar(ctx, api.CalendarRequest{Language: "en"}))
		}, ""},
		{"GetExpiryScan", func(ctx context.Context, c *client.Client) error { return drop(c.GetExpiryScan(ctx)) }, ""},
		{"RemoveProvider", func(ctx context.Context, c *client.Client) error { return c.RemoveProvider(ctx, "own") }, missing},
	}
}

func (s *scene) alertSteps() []step {
	const missing = "ResourceNotFound"
	start := time.Date(2026, 1, 5, 1, 0, 0, 0, time.UTC)
	connection, quiet := robotConnection("fake two"), api.QuietHours{From: "22:00", To: "08:00", Zone: "Asia/Shanghai"}
	return []step{
		{"ListChannelKinds", func(ctx context.Context, c *client.Client) error { return drop(c.ListChannelKinds(ctx)) }, ""},
		{"AddChannel", func(ctx context.Context, c *client.Client) error {
			return drop(c.AddChannel(ctx, api.AddChannelRequest{Name: "watchdog", Kind: "robot", Connection: robotConnection("fake"), Heartbeat: "5m"}))
		}, ""},
		{"ListChannels", func(ctx context.Context, c *client.Client) error { return drop(c.ListChannels(ctx)) }, ""},
		{"UpdateChannel", func(ctx context.Context, c *client.Client) error {
			return drop(c.UpdateChannel(ctx, "robot", api.UpdateChannelRequest{Connection: &connection}))
		}, missing},
		{"TestChannel", func(ctx context.Context, c *client.Client) error {
			return drop(c.TestChannel(ctx, "robot", api.TestChannelRequest{}))
		}, missing},
		{"ConfirmChannel", func(ctx context.Context, c *client.Client) error {
			return c.ConfirmChannel(ctx, "robot", api.ConfirmChannelRequest{By: "ann"})
		}, missing},
		{"RemoveChannel", func(ctx context.Context, c *client.Client) error { return c.RemoveChannel(ctx, "robot") }, missing},
		{"SetPerson", func(ctx context.Context, c *client.Client) error {
			return drop(c.SetPerson(ctx, "ann", api.SetPersonRequest{Email: "ann@example.com", IDs: map[string]string{"robot": "1"}}))
		}, ""},
		{"ListPeople", func(ctx context.Context, c *client.Client) error { return drop(c.ListPeople(ctx)) }, ""},
		{"SetRota", func(ctx context.Context, c *client.Client) error {
			return drop(c.SetRota(ctx, "night", api.SetRotaRequest{People: []string{"ann"}, Start: start, Turn: "7d"}))
		}, ""},
		{"ListRotas", func(ctx context.Context, c *client.Client) error { return drop(c.ListRotas(ctx)) }, ""},
		{"RemoveRota", func(ctx context.Context, c *client.Client) error { return c.RemoveRota(ctx, "night") }, ""},
		{"RemovePerson", func(ctx context.Context, c *client.Client) error { return c.RemovePerson(ctx, "ann") }, ""},
		{"GetEscalation", func(ctx context.Context, c *client.Client) error { return drop(c.GetEscalation(ctx)) }, ""},
		{"SetEscalation", func(ctx context.Context, c *client.Client) error {
			return drop(c.SetEscalation(ctx, api.Escalation{
				Rungs: []api.Rung{{Left: "7d", Severity: "warning", Families: []string{"mail"}, Wait: "24h"}}, Levels: [][]string{{"owner"}}, Quiet: quiet, Language: "en",
			}))
		}, ""},
		{"ListIncidents", func(ctx context.Context, c *client.Client) error {
			return drop(c.ListIncidents(ctx, api.ListIncidentsRequest{Ended: true}))
		}, ""},
		{"GetIncident", func(ctx context.Context, c *client.Client) error { return drop(c.GetIncident(ctx, s.incident)) }, missing},
		{"AcknowledgeIncident", func(ctx context.Context, c *client.Client) error {
			return drop(c.AcknowledgeIncident(ctx, s.incident, api.AcknowledgeRequest{By: "ann", Hold: "1h"}))
		}, missing},
	}
}

// What was put in comes back as it was, but for credentials.
func TestInventoryAndAlertsThereAndBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.account(t, "Owner")
	s := newScene(t, w, owner)
	ctx, c := t.Context(), w.client(t, owner)

	expires := w.now().Add(10 * 24 * time.Hour).UTC().Truncate(time.Second)
	k := must(c.RemarkInventoryKey(ctx, "own", s.spare, api.RemarkKeyRequest{
		Owner: new("ann"), Purpose: new("payments, daily"), Consumers: &[]string{"a", "b"}, Tags: &map[string]string{"team": "pay"}, ExpiresAt: &expires, Note: new("n"),
	}))(t)
	if again := must(c.GetInventoryKey(ctx, "own", s.spare))(t); !cmp.Equal(k, again) || k.Due != (api.KeyExpiry{At: expires, Basis: "declared"}) || k.Owner != "ann" ||
		k.Principal.Name != "bob" || k.Use.Known != "no" {
		t.Errorf("the key is %+v", again)
	}
	due := must(c.ListInventory(ctx, api.ListInventoryRequest{Provider: "own", DueBefore: expires.Add(time.Second), Owner: "ann", Text: s.spare[4:12], Limit: 1}))(t)
	if len(due.Keys) != 1 || !cmp.Equal(due.Keys[0], k) {
		t.Errorf("what is due is %+v", due)
	}
	calendar := must(c.GetCalendar(ctx, api.CalendarRequest{}))(t).Text
	if !strings.Contains(calendar, "DTSTART:"+expires.Format("20060102T150405Z")) || !strings.Contains(calendar, `payments\, daily`) {
		t.Errorf("the calendar is %s", calendar)
	}
	k = must(c.RemarkInventoryKey(ctx, "own", s.spare, api.RemarkKeyRequest{NeverExpires: true, Consumers: &[]string{}}))(t)
	if !k.Due.At.IsZero() || len(k.Remark.Consumers) > 0 || k.Remark.Purpose != "payments, daily" {
		t.Errorf("the key is %+v", k)
	}

	plan := must(c.GetEscalation(ctx))(t)
	plan.Quiet = api.QuietHours{From: "22:30", To: "08:00", Zone: "Asia/Shanghai"}
	if again := must(c.SetEscalation(ctx, plan))(t); !cmp.Equal(plan, again) {
		t.Errorf("the plan:\n%s", cmp.Diff(plan, again))
	}
	file := must(c.GetIncident(ctx, s.incident))(t)
	if i := file.Incident; i.Severity != "info" || i.Title.Chinese == "" || i.MaxHold != "24h" && i.MaxHold != "1d" || len(file.Deliveries) != 0 && file.Deliveries[0].Channel != "robot" {
		t.Errorf("the incident is %+v", file)
	}
	acked := must(c.AcknowledgeIncident(ctx, s.incident, api.AcknowledgeRequest{Hold: "2h", Note: "on it"}))(t)
	if !strings.HasSuffix(acked.AckBy, ":user/"+owner.user) || acked.AckUntil.Sub(acked.AckAt) != 2*time.Hour {
		t.Errorf("the incident is %+v", acked)
	}
}

// What makes no sense is refused with one record and changes nothing.
func TestInventoryAndAlertsRefuseNonsense(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.account(t, "Owner")
	s := newScene(t, w, owner)
	soon := time.Now().Add(time.Hour)
	for name, call := range map[string]func(context.Context, *client.Client) error{
		"a kind that is not there": func(ctx context.Context, c *client.Client) error {
			return drop(c.AddProvider(ctx, api.AddProviderRequest{Name: "x", Kind: "nothing"}))
		},
		"no duration": func(ctx context.Context, c *client.Client) error {
			return drop(c.AddProvider(ctx, api.AddProviderRequest{Name: "x", Kind: "keyward", Pace: "soon"}))
		},
		"a negative duration": func(ctx context.Context, c *client.Client) error {
			return drop(c.UpdateProvider(ctx, "own", api.UpdateProviderRequest{MaxAge: new("-1h")}))
		},
		"a field too many": func(ctx context.Context, c *client.Client) error {
			return drop(c.AddChannel(ctx, api.AddChannelRequest{Name: "x", Kind: "robot", Connection: api.Connection{Settings: map[string]string{"url": "x"}, Credential: robotConnection("x").Credential}}))
		},
		"an order": func(ctx context.Context, c *client.Client) error {
			return drop(c.ListInventory(ctx, api.ListInventoryRequest{Order: "colour"}))
		},
		"a language": func(ctx context.Context, c *client.Client) error {
			return drop(c.GetCalendar(ctx, api.CalendarRequest{Language: "tlh"}))
		},
		"an expiry and none": func(ctx context.Context, c *client.Client) error {
			return drop(c.RemarkInventoryKey(ctx, "own", s.spare, api.RemarkKeyRequest{ExpiresAt: &soon, NeverExpires: true}))
		},
		"quiet hours": func(ctx context.Context, c *client.Client) error {
			return drop(c.SetEscalation(ctx, api.Escalation{
				Rungs: []api.Rung{{Severity: "info", Families: []string{"mail"}, Wait: "1h"}}, Levels: [][]string{{"owner"}}, Quiet: api.QuietHours{From: "late"}, Language: "en",
			}))
		},
		"a severity": func(ctx context.Context, c *client.Client) error {
			return drop(c.SetEscalation(ctx, api.Escalation{Rungs: []api.Rung{{Severity: "bad"}}, Language: "en"}))
		},
		"half an hour's turn": func(ctx context.Context, c *client.Client) error {
			return drop(c.SetRota(ctx, "r", api.SetRotaRequest{People: []string{"ann"}, Start: soon, Turn: "30m"}))
		},
		"an endless hold": func(ctx context.Context, c *client.Client) error {
			return drop(c.AcknowledgeIncident(ctx, s.incident, api.AcknowledgeRequest{Hold: "400d"}))
		},
	} {
		records := w.during(t, func() {
			if code := codeOf(t, call(t.Context(), w.client(t, owner))); code != "InvalidParameter" {
				t.Errorf("%s: %q", name, code)
			}
		})
		if len(records) != 1 || records[0].Result != "InvalidParameter" || records[0].Action == "keyward:UnknownOperation" {
			t.Errorf("%s left %+v", name, records)
		}
	}
}

// A key's id may be anything printable, slashes and dots among it.
func TestInventoryKeysAreNamedAsTheyAre(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.account(t, "Owner")
	for _, id := range []string{"a/b", "~", "a~b/c", "..", ".", ".x", "~1", "~01", "%2F", "calendar"} {
		records := w.during(t, func() {
			if _, err := w.client(t, owner).GetInventoryKey(t.Context(), "own", id); codeOf(t, err) != "ResourceNotFound" {
				t.Errorf("%q: %v", id, err)
			}
		})
		if len(records) != 1 || !strings.HasSuffix(records[0].Resource, ":accesskey/own/"+id) {
			t.Errorf("%q left %+v", id, records)
		}
	}
}

// Credentials are in no answer, no log line and no record, whatever becomes of them.
func TestCredentialsLeaveNoTrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.account(t, "Owner")
	ctx, c := t.Context(), w.client(t, owner)
	const canary = "CANARY-fake-credential"
	var answers strings.Builder
	add := must(c.AddChannel(ctx, api.AddChannelRequest{Name: "robot", Kind: "robot", Connection: robotConnection(canary)}))(t)
	for _, body := range []string{
		`{"name":"x","kind":"robot","connection":{"credential":{"password":"` + canary + `"}}}`,
		`{"name":"x","kind":"robot","connection":{"credential":{"nothing":"Q0FOQVJZLWZha2UtY3JlZGVudGlhbA=="}}}`,
		`{"name":"x","kind":"robot","connection":{"credential":["` + canary + `"]}}`,
	} {
		resp, p := do(t, w.sign(t, owner, raw{"POST", "/v1/channels", "application/json", []byte(body)}))
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d", body, resp.StatusCode)
		}
		answers.WriteString(p.Detail)
	}
	list := must(c.ListChannels(ctx))(t)
	if len(list.Channels) != 1 || !cmp.Equal(list.Channels[0], add) || add.Settings["room"] != "ops" {
		t.Errorf("the channels are %+v", list)
	}
	var records strings.Builder
	for _, r := range w.records(t, 0) {
		records.WriteString(r.Action + r.Resource)
		for name, value := range r.Params {
			records.WriteString(name + value)
		}
	}
	for place, text := range map[string]string{"the answers": answers.String(), "the records": records.String(), "the log": w.logged()} {
		if strings.Contains(text, canary) || strings.Contains(text, "Q0FOQVJZ") {
			t.Errorf("%s hold the credential", place)
		}
	}
}

// A shelfVault forgets what it is to keep: the secrets have tests of their own.
type shelfVault struct{}

// Keep implements accesskey.Vault.
func (shelfVault) Keep(context.Context, *authz.Call, string, map[string]material.Bytes) error {
	return nil
}
