package paysim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/cloud/cloudtest"
	"github.com/keyward/keyward/internal/cloud/httpapi/contract"
	"github.com/keyward/keyward/internal/cloud/paysim"
)

// A stand is a platform with a merchant, and a clock that only the test moves.
type stand struct {
	*testing.T
	*paysim.Platform
	admin string

	mu  sync.Mutex
	now time.Time
}

func newStand(t *testing.T) *stand {
	s := &stand{T: t, now: time.Date(2026, 11, 20, 0, 0, 0, 123456789, time.UTC)}
	s.Platform = paysim.New(func() time.Time {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.now
	})
	s.admin = s.AddMerchant("shop")
	return s
}

func (s *stand) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// call sends a request; lost tells that there was no answer.
func (s *stand) call(r *http.Request) (status int, out map[string]any, lost bool) {
	s.Helper()
	w := httptest.NewRecorder()
	defer func() {
		if broken := recover(); broken == http.ErrAbortHandler {
			lost = true
		} else if broken != nil {
			panic(broken)
		}
	}()
	s.ServeHTTP(w, r)
	if w.Header().Get("Content-Type") == "application/json" {
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			s.Errorf("the answer is no JSON: %s", w.Body)
		}
	}
	return w.Code, out, false
}

// manage asks as the merchant's administrator.
func (s *stand) manage(method, path, body string) (int, map[string]any) {
	s.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+s.admin)
	status, out, lost := s.call(r)
	if lost {
		s.Error("the answer is lost")
	}
	return status, out
}

// pay pays for an order.
func (s *stand) pay(id, secret, order string, amount int) (int, map[string]any) {
	s.Helper()
	body := fmt.Appendf(nil, `{"order":%q,"amount":%d,"currency":"CNY"}`, order, amount)
	r := httptest.NewRequest("POST", "/v1/payments", bytes.NewReader(body))
	r.Header.Set("Pay-Key", id)
	r.Header.Set("Pay-Signature", paysim.Sign([]byte(secret), body))
	status, out, _ := s.call(r)
	return status, out
}

func (s *stand) whoami(id, secret string) (int, map[string]any) {
	s.Helper()
	r := httptest.NewRequest("GET", "/v1/whoami", nil)
	r.SetBasicAuth(id, secret)
	status, out, _ := s.call(r)
	return status, out
}

func (s *stand) first(lifetime time.Duration) (id, secret string) {
	s.Helper()
	id, secret, err := s.AddKey("shop", "first", lifetime)
	if err != nil {
		s.Fatal(err)
	}
	return id, secret
}

// A key's life: made beside the first one, used, disabled, enabled, deleted; each refusal
// has its reason, and the platform has written down everything.
func TestLife(t *testing.T) {
	s := newStand(t)
	id, secret := s.first(0)
	s.pass(time.Second)
	status, made := s.manage("POST", "/v1/keys", `{"name":"keyward/1/1","lifetime_seconds":3600}`)
	second, _ := made["id"].(string)
	newSecret, _ := made["secret"].(string)
	if status != 201 || !strings.HasPrefix(newSecret, paysim.Canary) || newSecret == secret || made["expires_at"] != "2026-11-20T01:00:01.123456Z" {
		t.Fatalf("made is %d %v", status, made)
	}
	if status, out := s.manage("POST", "/v1/keys", `{"name":"third"}`); status != 409 || out["error"] != "too_many_keys" {
		t.Errorf("a third key: %d %v", status, out)
	}
	if _, _, err := s.AddKey("shop", "third", 0); err == nil {
		t.Error("the console makes a third key")
	}
	s.pass(time.Second)
	if status, out := s.pay(id, secret, "o1", 5); status != 200 {
		t.Errorf("paying: %d %v", status, out)
	}
	if status, out := s.whoami(second, newSecret); status != 200 || out["merchant"] != "shop" || out["key"] != second {
		t.Errorf("the new key: %d %v", status, out)
	}
	refused := func(step, id, secret, why string) {
		t.Helper()
		if status, out := s.whoami(id, secret); status != 401 || out["error"] != why {
			t.Errorf("%s: %d %v", step, status, out)
		}
		if status, out := s.pay(id, secret, "o2", 5); status != 401 || out["error"] != why {
			t.Errorf("%s, paying: %d %v", step, status, out)
		}
	}
	refused("another key's secret", id, newSecret, "bad_signature")
	refused("no key", "pk_99999999", secret, "unknown_key")
	for range 2 {
		if status, out := s.manage("POST", "/v1/keys/"+id+"/disable", ""); status != 200 || out["status"] != "disabled" || out["secret"] != nil {
			t.Errorf("disabling: %d %v", status, out)
		}
		refused("disabled", id, secret, "key_disabled")
	}
	for range 2 {
		if status, out := s.manage("POST", "/v1/keys/"+id+"/enable", ""); status != 200 || out["status"] != "active" {
			t.Errorf("enabling: %d %v", status, out)
		}
	}
	if status, _ := s.pay(id, secret, "o3", 5); status != 200 {
		t.Errorf("an enabled key is answered with %d", status)
	}
	s.pass(time.Hour - 2*time.Second)
	if status, _ := s.whoami(second, newSecret); status != 200 {
		t.Error("a key dies before its moment")
	}
	s.pass(time.Second)
	refused("expired", second, newSecret, "key_expired")
	if status, _ := s.manage("DELETE", "/v1/keys/"+id, ""); status != 204 {
		t.Errorf("deleting is answered with %d", status)
	}
	refused("deleted", id, secret, "unknown_key")
	for _, path := range []string{"/disable", "/enable", "/reset"} {
		if status, _ := s.manage("POST", "/v1/keys/"+id+path, ""); status != 404 {
			t.Errorf("%s of a deleted key is answered with %d", path, status)
		}
	}
	_, list := s.manage("GET", "/v1/keys", "")
	if text, _ := json.Marshal(list); list["total"] != 1.0 || strings.Contains(string(text), paysim.Canary) || !strings.Contains(string(text), `"last_used":"2026-11-20T01:00:00.123456Z"`) {
		t.Errorf("listed are %v", list)
	}
	at := func(d time.Duration) time.Time {
		return time.Date(2026, 11, 20, 0, 0, 0, 123456000, time.UTC).Add(d)
	}
	want := []paysim.Life{
		{
			Merchant: "shop", ID: id, Name: "first", ExpiresAt: at(paysim.Lifetime), Uses: 2, LastUse: at(2 * time.Second), Refusals: 8, LastRefusal: at(time.Hour + time.Second),
			Events: []paysim.Event{{paysim.Created, at(0)}, {paysim.Disabled, at(2 * time.Second)}, {paysim.Enabled, at(2 * time.Second)}, {paysim.Deleted, at(time.Hour + time.Second)}},
		},
		{
			Merchant: "shop", ID: second, Name: "keyward/1/1", ExpiresAt: at(time.Hour + time.Second), Uses: 2, LastUse: at(time.Hour), Refusals: 2, LastRefusal: at(time.Hour + time.Second),
			Events: []paysim.Event{{paysim.Created, at(time.Second)}},
		},
	}
	if diff := cmp.Diff(want, s.Lives()); diff != "" {
		t.Error(diff)
	}
	if tally := s.Tally(); tally.Paid != 2 || tally.Failed() != 6 || tally.Refused[paysim.DisabledKey] != 2 {
		t.Errorf("the tally is %+v", tally)
	}
}

// One order is one payment, however often it arrives, and under another key, too.
func TestOrdersArePaidOnce(t *testing.T) {
	s := newStand(t)
	id, secret := s.first(0)
	second, newSecret, err := s.AddKey("shop", "second", 0)
	if err != nil {
		t.Fatal(err)
	}
	s.Paying.Next(cloudtest.LoseAfter)
	if _, out := s.pay(id, secret, "o1", 5); out != nil {
		t.Errorf("the answer is not lost: %v", out)
	}
	_, first := s.pay(id, secret, "o1", 5)
	status, again := s.pay(second, newSecret, "o1", 5)
	if diff := cmp.Diff(first, again); diff != "" || status != 200 {
		t.Errorf("paid again is %d: %s", status, diff)
	}
	if status, out := s.pay(id, secret, "o1", 6); status != 409 {
		t.Errorf("another amount: %d %v", status, out)
	}
	if status, out := s.pay(id, secret, "o2", -1); status != 400 {
		t.Errorf("a negative amount: %d %v", status, out)
	}
	want := paysim.Tally{Paid: 1, Repeated: 2, Refused: map[paysim.Refusal]int{paysim.BadRequest: 2}}
	if diff := cmp.Diff(want, s.Tally()); diff != "" || s.Tally().Failed() != 0 {
		t.Errorf("the tally is %s", diff)
	}
}

// A reset kills the old secret at once: between it and the last shop that has the new one,
// payments fail.
func TestResetKillsAtOnce(t *testing.T) {
	s := newStand(t)
	id, secret := s.first(0)
	status, out := s.manage("POST", "/v1/keys/"+id+"/reset", "")
	fresh, _ := out["secret"].(string)
	if status != 200 || fresh == "" || fresh == secret || out["id"] != id {
		t.Fatalf("reset is %d %v", status, out)
	}
	if status, _ := s.pay(id, secret, "o1", 5); status != 401 {
		t.Errorf("the old secret is answered with %d", status)
	}
	if status, _ := s.pay(id, fresh, "o1", 5); status != 200 {
		t.Errorf("the new secret is answered with %d", status)
	}
	if s.Tally().Failed() != 1 {
		t.Errorf("the tally is %+v", s.Tally())
	}
}

// Merchants see and change their own keys only, and nobody else gets in.
func TestDoors(t *testing.T) {
	s := newStand(t)
	id, secret := s.first(0)
	stranger := s.AddMerchant("other")
	other, _, err := s.AddKey("other", "first", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.AddKey("nobody", "first", 0); err == nil {
		t.Error("a key for no merchant")
	}
	if status, _ := s.manage("DELETE", "/v1/keys/"+other, ""); status != 404 {
		t.Errorf("a stranger's key is answered with %d", status)
	}
	if _, list := s.manage("GET", "/v1/keys", ""); list["total"] != 1.0 {
		t.Errorf("listed are %v", list)
	}
	for _, token := range []string{"", secret, stranger + "x"} {
		s.admin = token
		if status, _ := s.manage("GET", "/v1/keys", ""); status != 401 {
			t.Errorf("an administrator with %d characters is answered with %d", len(token), status)
		}
	}
	s.admin = s.AddMerchant("shop") // the former administrator is none any more
	for path, method := range map[string]string{"/v1/keys/" + id: "PUT", "/v1/keys/" + id + "/sell": "POST", "/v2": "GET", "/v1/payments": "GET"} {
		if status, _ := s.manage(method, path, ""); status != 404 {
			t.Errorf("%s %s is answered with %d", method, path, status)
		}
	}
	for _, body := range []string{"", "{}", `{"name":""}`, `{"name":"a","lifetime_seconds":-1}`, `{"name":"a","lifetime_seconds":9999999999999}`, `{"name":"` + strings.Repeat("x", 65) + `"}`, strings.Repeat(" ", 20<<10)} {
		if status, _ := s.manage("POST", "/v1/keys", body); status != 400 {
			t.Errorf("%.30q is answered with %d", body, status)
		}
	}
	if n := len(s.Lives()); n != 2 {
		t.Errorf("there are %d keys", n)
	}
}

// Faults hit what they are set for and nothing else.
func TestFaults(t *testing.T) {
	s := newStand(t)
	id, secret := s.first(0)
	s.Creating.Next(cloudtest.LoseAfter)
	s.Managing.Next(cloudtest.Error503)
	if status, _ := s.pay(id, secret, "o1", 5); status != 200 {
		t.Errorf("a payment suffers: %d", status)
	}
	if status, _ := s.manage("GET", "/v1/keys", ""); status != 503 {
		t.Errorf("the list is answered with %d", status)
	}
	r := httptest.NewRequest("POST", "/v1/keys", strings.NewReader(`{"name":"lost"}`))
	r.Header.Set("Authorization", "Bearer "+s.admin)
	if _, out, lost := s.call(r); !lost {
		t.Errorf("the answer arrived: %v", out)
	}
	if _, list := s.manage("GET", "/v1/keys", ""); list["total"] != 2.0 {
		t.Errorf("the key whose answer was lost is not there: %v", list)
	}
}

// Shops pay and administrators rotate at once: no count is lost, and there are never more
// keys than there may be.
func TestConcurrency(t *testing.T) {
	s := newStand(t)
	id, secret := s.first(0)
	server := httptest.NewServer(s.Platform)
	defer server.Close()
	const shops, payments, rounds = 8, 50, 20
	send := func(r *http.Request, err error) int {
		if err != nil {
			t.Error(err)
			return 0
		}
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Error(err)
			return 0
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	var all sync.WaitGroup
	for shop := range shops {
		all.Go(func() {
			for n := range payments {
				body := fmt.Appendf(nil, `{"order":"%d/%d","amount":1,"currency":"CNY"}`, shop, n/2) // each order twice
				r, err := http.NewRequest("POST", server.URL+"/v1/payments", bytes.NewReader(body))
				if err == nil {
					r.Header.Set("Pay-Key", id)
					r.Header.Set("Pay-Signature", paysim.Sign([]byte(secret), body))
				}
				if status := send(r, err); status != 200 {
					t.Errorf("a payment is answered with %d", status)
				}
			}
		})
	}
	codes := make([]map[int]int, 4)
	for i := range codes {
		codes[i] = map[int]int{}
		all.Go(func() {
			for range rounds {
				r, err := http.NewRequest("POST", server.URL+"/v1/keys", strings.NewReader(`{"name":"x"}`))
				if err == nil {
					r.Header.Set("Authorization", "Bearer "+s.admin)
				}
				codes[i][send(r, err)]++
				for _, life := range s.Lives() {
					if life.Name == "x" && !life.Ended() {
						r, err := http.NewRequest("DELETE", server.URL+"/v1/keys/"+life.ID, nil)
						if err == nil {
							r.Header.Set("Authorization", "Bearer "+s.admin)
						}
						send(r, err)
					}
				}
			}
		})
	}
	all.Wait()
	made := 0
	for _, c := range codes {
		made += c[201]
		if sum := c[201] + c[409]; sum != rounds {
			t.Errorf("creating is answered with %v", maps.Collect(maps.All(c)))
		}
	}
	living := 0
	for _, life := range s.Lives() {
		if !life.Ended() {
			living++
		}
	}
	if lives := s.Lives(); len(lives) != made+1 || living != 1 || lives[0].Uses != shops*payments {
		t.Errorf("%d keys were made, %d live, the first was used %d times", len(lives)-1, living, lives[0].Uses)
	}
	want := paysim.Tally{Paid: shops * payments / 2, Repeated: shops * payments / 2}
	if diff := cmp.Diff(want, s.Tally()); diff != "" {
		t.Error(diff)
	}
}

func TestDefinitionHolds(t *testing.T) {
	if err := contract.Holds(paysim.Definition()); err != nil {
		t.Error(err)
	}
}
