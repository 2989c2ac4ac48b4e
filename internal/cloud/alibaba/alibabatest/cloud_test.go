package alibabatest_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/cloud/alibaba/alibabatest"
	"github.com/keyward/keyward/internal/cloud/alibaba/rpc"
	"github.com/keyward/keyward/internal/material"
)

const (
	id, secret = "LTAIfakeAdmin0000001", "fake-secret-of-the-administrator"
	alice      = "alice@example.onaliyun.com"
	key        = "LTAIfakeAlice0000001"
	keySecret  = "fake-secret-of-alice"
)

// A world is a cloud over a network, its clock, and a client.
type world struct {
	t     *testing.T
	now   time.Time
	cloud *alibabatest.Cloud
	url   string
	*rpc.Client
}

func newWorld(t *testing.T, c alibabatest.Config) *world {
	w := &world{t: t, now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	c.Now = func() time.Time { return w.now }
	w.cloud = alibabatest.New(c)
	w.cloud.Populate(alibabatest.Account{Users: []alibabatest.User{
		{Name: "admin", ID: "1", Rights: []string{"*"}, Keys: []alibabatest.Key{{ID: id, Secret: secret}}},
		{Name: "alice", ID: "2", Keys: []alibabatest.Key{{ID: key, Secret: keySecret}}},
	}})
	server := httptest.NewServer(w.cloud)
	t.Cleanup(server.Close)
	w.url = server.URL
	w.Client = rpc.NewClient(rpc.Config{
		Credential: rpc.Credential{ID: id, Secret: material.NewBytes([]byte(secret))}, Now: c.Now, HTTP: server.Client(), Pace: time.Nanosecond,
	})
	return w
}

// call makes a call about alice and answers what it says, or its error code.
func (w *world) call(action string, pairs ...string) (map[string]any, string) {
	w.t.Helper()
	params := map[string]string{"UserPrincipalName": alice}
	for i := 0; i < len(pairs); i += 2 {
		params[pairs[i]] = pairs[i+1]
	}
	var out map[string]any
	err := w.Call(w.t.Context(), rpc.Operation{Endpoint: w.url, Version: "2019-08-15", Action: action, Params: params}, &out)
	if e := (*rpc.Error)(nil); errors.As(err, &e) {
		return nil, e.Code
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return out, ""
}

func (w *world) must(action string, pairs ...string) map[string]any {
	w.t.Helper()
	out, code := w.call(action, pairs...)
	if code != "" {
		w.t.Fatalf("%s is refused with %s", action, code)
	}
	return out
}

func TestLastUseShowsLate(t *testing.T) {
	w := newWorld(t, alibabatest.Config{UseLag: 2 * time.Hour})
	if w.cloud.Use(key, "fake-other", "Oss") || !w.cloud.Use(key, keySecret, "Oss") {
		t.Fatal("a key is accepted by its secret alone")
	}
	shown := func() any {
		return w.must("GetAccessKeyLastUsed", "UserAccessKeyId", key)["AccessKeyLastUsed"].(map[string]any)["LastUsedDate"]
	}
	if got := shown(); got != "" {
		t.Errorf("at once it shows %v", got)
	}
	w.now = w.now.Add(2 * time.Hour)
	if got := shown(); got != "2026-03-01T00:00:00Z" {
		t.Errorf("later it shows %v", got)
	}
}

// The recycle bin holds three keys of a user for 30 days.
func TestRecycleBin(t *testing.T) {
	w := newWorld(t, alibabatest.Config{})
	var deleted []string
	for i := range 4 {
		made := w.must("CreateAccessKey")["AccessKey"].(map[string]any)["AccessKeyId"].(string)
		w.must("UpdateAccessKey", "UserAccessKeyId", made, "Status", "Inactive")
		w.must("DeleteAccessKey", "UserAccessKeyId", made)
		w.now = w.now.Add(time.Duration(i+1) * time.Minute)
		deleted = append(deleted, made)
	}
	bin := func() (ids []string) {
		for _, k := range w.must("ListAccessKeysInRecycleBin", "UserId", "2")["AccessKeys"].(map[string]any)["AccessKey"].([]any) {
			ids = append(ids, k.(map[string]any)["AccessKeyId"].(string))
		}
		return ids
	}
	if diff := cmp.Diff(deleted[1:], bin()); diff != "" {
		t.Errorf("the recycle bin differs (-want +got):\n%s", diff)
	}
	w.must("RestoreAccessKeyFromRecycleBin", "UserAccessKeyId", deleted[1])
	if _, code := w.call("RestoreAccessKeyFromRecycleBin", "UserAccessKeyId", deleted[2]); code != "LimitExceeded.User.AccessKey" {
		t.Errorf("a third key is refused with %q", code)
	}
	w.must("DeleteAccessKeyInRecycleBin", "UserAccessKeyId", deleted[2])
	if _, code := w.call("RestoreAccessKeyFromRecycleBin", "UserAccessKeyId", deleted[2]); code != "EntityNotExist.User.AccessKey" {
		t.Errorf("what was deleted for good is refused with %q", code)
	}
	w.now = w.now.Add(alibabatest.BinTime)
	if got := bin(); got != nil {
		t.Errorf("after 30 days the recycle bin has %v", got)
	}
}

// A request serves once.
func TestReplays(t *testing.T) {
	w := newWorld(t, alibabatest.Config{})
	var sent *http.Request
	w.Client = rpc.NewClient(rpc.Config{
		Credential: rpc.Credential{ID: id, Secret: material.NewBytes([]byte(secret))}, Now: func() time.Time { return w.now }, Pace: time.Nanosecond,
		HTTP: &http.Client{Transport: recorder(func(r *http.Request) { sent = r.Clone(t.Context()) })},
	})
	w.must("GetAccountSummary")
	resp, err := http.DefaultTransport.RoundTrip(sent.Clone(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	if resp.StatusCode != http.StatusBadRequest || w.cloud.Calls("GetAccountSummary") != 2 {
		t.Errorf("a replay is answered with %d", resp.StatusCode)
	}
}

type recorder func(*http.Request)

// RoundTrip implements http.RoundTripper.
func (f recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	f(r)
	return http.DefaultTransport.RoundTrip(r)
}

// A report stays the same for four hours.
func TestReportLife(t *testing.T) {
	w := newWorld(t, alibabatest.Config{ReportTakes: time.Minute})
	state := func() any { return w.must("GenerateCredentialReport")["State"] }
	var got []any
	for _, pass := range []time.Duration{0, time.Second, time.Minute, alibabatest.ReportLife} {
		w.now = w.now.Add(pass)
		got = append(got, state())
	}
	if diff := cmp.Diff([]any{"STARTED", "INPROGRESS", "COMPLETE", "STARTED"}, got); diff != "" {
		t.Errorf("states differ (-want +got):\n%s", diff)
	}
	if _, code := w.call("GetCredentialReport"); code != "EntityNotExist.CredentialReport" {
		t.Errorf("a report that is being made is refused with %q", code)
	}
	var many alibabatest.Account
	for i := range alibabatest.ReportMax {
		many.Users = append(many.Users, alibabatest.User{Name: "u" + strconv.Itoa(i)})
	}
	w.cloud.Populate(many)
	if _, code := w.call("GenerateCredentialReport"); code != "LimitExceeded.CredentialReport" {
		t.Errorf("the report of a huge account is refused with %q", code)
	}
}
