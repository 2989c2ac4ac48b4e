package httpapitest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/cloud/httpapi"
	"github.com/keyward/keyward/internal/cloud/httpapi/httpapitest"
)

// call makes a request to a platform and answers the status and the fields of the answer.
func call(t *testing.T, service http.Handler, method, path, token, body string) (int, map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "https://story.example"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := httpapitest.Client(service).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var out map[string]any
	if resp.StatusCode != http.StatusNoContent {
		if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
			t.Fatal(err)
		}
	}
	return resp.StatusCode, out
}

// A key's life on the platform: the second place, the one reveal, the reset that kills at
// once, the day on which a key dies.
func TestStory(t *testing.T) {
	now := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	story, first := httpapitest.NewStory(func() time.Time { return now }, time.Date(2026, 12, 1, 12, 0, 0, 0, httpapitest.Zone))
	if status, got := call(t, story, "GET", "/key/status", first, ""); status != 200 || got["expiry_date"] != "2026-12-01" || got["key"] != nil {
		t.Errorf("the status is %d %v", status, got)
	}
	status, created := call(t, story, "POST", "/keys", first, `{"name":"rotation/1"}`)
	second, _ := created["key"].(string)
	if status != 201 || second == "" || !story.Accepts(second) || !story.Accepts(first) {
		t.Fatalf("created is %d %v", status, created)
	}
	if status, got := call(t, story, "POST", "/keys", first, `{"name":"third"}`); status != 409 || got["error"] != "too_many_keys" {
		t.Errorf("a third key: %d %v", status, got)
	}
	if status, got := call(t, story, "POST", "/keys", first, `{}`); status != 400 {
		t.Errorf("a key without a name: %d %v", status, got)
	}
	_, list := call(t, story, "GET", "/keys?page=1", second, "")
	if text, _ := json.Marshal(list); list["total"] != 2.0 || strings.Contains(string(text), "secret") {
		t.Errorf("the list is %v", list)
	}
	_, reset := call(t, story, "POST", "/key/reset", second, `{}`)
	third, _ := reset["key"].(string)
	if story.Accepts(second) || !story.Accepts(third) {
		t.Error("a reset does not kill the old key at once, or the new one does not work")
	}
	if status, _ := call(t, story, "GET", "/key/status", second, ""); status != 401 {
		t.Errorf("the old key is answered with %d", status)
	}
	if status, _ := call(t, story, "DELETE", "/keys/k1", third, ""); status != 204 || story.Accepts(first) {
		t.Errorf("deleted is %d", status)
	}
	if status, _ := call(t, story, "DELETE", "/keys/k1", third, ""); status != 404 {
		t.Errorf("deleted again is %d", status)
	}
	now = now.Add(366 * 24 * time.Hour)
	if story.Accepts(third) {
		t.Error("a key lives on after its day")
	}
	for _, k := range story.Keys() {
		if strings.Contains(k.Name, "fake-story-secret") {
			t.Errorf("a secret stands in %+v", k)
		}
	}
}

func TestKeyDiesAtTheStartOfItsDay(t *testing.T) {
	dies := time.Date(2026, 11, 30, 16, 0, 0, 0, time.UTC) // 1 December in Shanghai
	now := dies.Add(-time.Second)
	story, secret := httpapitest.NewStory(func() time.Time { return now }, time.Date(2026, 12, 1, 12, 0, 0, 0, httpapitest.Zone))
	if !story.Accepts(secret) {
		t.Error("it dies too early")
	}
	if now = dies; story.Accepts(secret) {
		t.Error("it dies too late")
	}
}

func TestRecorded(t *testing.T) {
	text, _ := httpapi.ShippedText("story")
	service, err := httpapitest.Recorded(text)
	if err != nil {
		t.Fatal(err)
	}
	if status, got := call(t, service, "GET", "/key/status", "fake-story-key-1", ""); status != 200 || got["id"] != "k1" {
		t.Errorf("answered is %d %v", status, got)
	}
	resp, err := httpapitest.Client(service).Get("https://story.example/elsewhere")
	if err != nil || resp.StatusCode != http.StatusNotImplemented {
		t.Errorf("what was not recorded is answered with %v, %v", resp, err)
	}
	if _, err := httpapitest.Recorded([]byte("a: b")); err == nil {
		t.Error("a file without a contract is served")
	}
}
