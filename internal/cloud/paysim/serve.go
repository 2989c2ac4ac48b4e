package paysim

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	maxBody = 16 << 10  // bytes of a request
	maxLife = 100 * 365 // days that a key may be asked to live
)

// A shown is a key as the platform tells of it.
type shown struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Status    string     `json:"status"`   // active, disabled, or expired, disabled or not
	Disabled  bool       `json:"disabled"` // an expired key, too, can be
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt time.Time  `json:"expires_at"`
	LastUsed  *time.Time `json:"last_used"`
	Secret    string     `json:"secret,omitempty"` // when it is made, and never again
}

// show tells of a key. The caller holds mu.
func (p *Platform) show(k *key) shown {
	s := shown{ID: k.ID, Name: k.Name, Status: k.status(p.moment()), Disabled: k.disabled, CreatedAt: k.Created(), ExpiresAt: k.ExpiresAt}
	if at := k.LastUse; !at.IsZero() {
		s.LastUsed = &at
	}
	return s
}

// serveKeys answers what the administrator of a merchant asks.
func (p *Platform) serveKeys(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(w, http.StatusBadRequest, "bad_request")
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.administrator(r)
	if m == nil {
		refuse(w, http.StatusUnauthorized, "unauthorized")
		return
	}
	id, act, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/v1/keys"), "/"), "/")
	switch {
	case id == "" && r.Method == http.MethodGet:
		p.list(w, m)
	case id == "" && r.Method == http.MethodPost:
		p.create(w, m, body)
	default:
		k := p.byID[id]
		if k == nil || k.Merchant != m.name || k.Ended() {
			refuse(w, http.StatusNotFound, "no_such_key")
			return
		}
		p.change(w, k, r.Method+" "+act)
	}
}

// administrator answers whose administrator asks, nil for nobody's. The caller holds mu.
func (p *Platform) administrator(r *http.Request) *merchant {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil
	}
	for _, m := range p.merchants {
		if same(m.admin, token) {
			return m
		}
	}
	return nil
}

// list tells of a merchant's keys. The caller holds mu.
func (p *Platform) list(w http.ResponseWriter, m *merchant) {
	all := []shown{}
	for _, k := range p.of(m) {
		all = append(all, p.show(k))
	}
	reply(w, http.StatusOK, map[string]any{"keys": all, "total": len(all)})
}

// create makes a key and shows its secret, for the only time. The caller holds mu.
func (p *Platform) create(w http.ResponseWriter, m *merchant, body []byte) {
	var in struct {
		Name     string `json:"name"`
		Lifetime int64  `json:"lifetime_seconds"`
	}
	if err := json.Unmarshal(body, &in); err != nil || in.Name == "" || len(in.Name) > 64 || in.Lifetime < 0 || in.Lifetime > maxLife*86400 {
		refuse(w, http.StatusBadRequest, "bad_request")
		return
	}
	k := p.mint(m, in.Name, time.Duration(in.Lifetime)*time.Second)
	if k == nil {
		refuse(w, http.StatusConflict, "too_many_keys")
		return
	}
	p.reveal(w, http.StatusCreated, k)
}

// reveal tells of a key with its secret. The caller holds mu.
func (p *Platform) reveal(w http.ResponseWriter, status int, k *key) {
	s := p.show(k)
	s.Secret = k.secret
	reply(w, status, s)
}

// change does to a key what is asked. The caller holds mu.
func (p *Platform) change(w http.ResponseWriter, k *key, what string) {
	now := p.moment()
	switch what {
	case "POST disable", "POST enable":
		if off := what == "POST disable"; off != k.disabled {
			k.disabled = off
			k.happens(map[bool]Happening{true: Disabled, false: Enabled}[off], now)
		}
		reply(w, http.StatusOK, p.show(k))
	case "POST reset":
		k.secret = newSecret() // the old one is dead from here on
		k.happens(Reset, now)
		p.reveal(w, http.StatusOK, k)
	case "DELETE ":
		k.happens(Deleted, now)
		w.WriteHeader(http.StatusNoContent)
	default:
		refuse(w, http.StatusNotFound, "not_found")
	}
}

// serveShop answers what the holder of a key asks.
func (p *Platform) serveShop(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "GET /v1/whoami":
		p.whoami(w, r)
	case "POST /v1/payments":
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			refuse(w, http.StatusBadRequest, string(BadRequest))
			return
		}
		p.pay(w, r, body)
	default:
		refuse(w, http.StatusNotFound, "not_found")
	}
}

// admit looks whether a key is accepted; proves tells whether the request was made with its
// secret. It writes down the use or the refusal. The caller holds mu.
func (p *Platform) admit(id string, proves func(k *key) bool) (*key, Refusal) {
	k, now := p.byID[id], p.moment()
	if k == nil {
		return nil, UnknownKey
	}
	why := k.refusal(now)
	switch {
	case k.Ended():
		why = UnknownKey
	case !proves(k): // who does not have the secret learns nothing of the key
		why = BadSignature
	}
	if why != "" {
		k.Refusals++
		k.LastRefusal = now
		return nil, why
	}
	k.Uses++
	k.LastUse = now
	return k, ""
}

// whoami tells whose key it is.
func (p *Platform) whoami(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	p.mu.Lock()
	defer p.mu.Unlock()
	k, why := p.admit(id, func(k *key) bool { return same(k.secret, secret) })
	if k == nil {
		refuse(w, http.StatusUnauthorized, string(why))
		return
	}
	reply(w, http.StatusOK, map[string]any{"merchant": k.Merchant, "key": k.ID, "status": "active", "expires_at": k.ExpiresAt})
}

// pay takes a payment; an order that was paid is paid once.
func (p *Platform) pay(w http.ResponseWriter, r *http.Request, body []byte) {
	var in struct {
		Order    string `json:"order"`
		Amount   int64  `json:"amount"`
		Currency string `json:"currency"`
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	k, why := p.admit(r.Header.Get("Pay-Key"), func(k *key) bool { return same(Sign([]byte(k.secret), body), r.Header.Get("Pay-Signature")) })
	if k == nil {
		p.refused(w, http.StatusUnauthorized, why)
		return
	}
	if err := json.Unmarshal(body, &in); err != nil || in.Order == "" || in.Amount <= 0 || in.Currency == "" {
		p.refused(w, http.StatusBadRequest, BadRequest)
		return
	}
	orders := p.merchants[k.Merchant].orders
	done, paid := orders[in.Order]
	switch {
	case paid && (done.Amount != in.Amount || done.Currency != in.Currency):
		p.refused(w, http.StatusConflict, BadRequest) // another payment under the number of one that was made
		return
	case paid:
		p.tally.Repeated++
	default:
		done = payment{in.Amount, in.Currency, k.ID, p.moment()}
		orders[in.Order] = done
		p.tally.Paid++
	}
	reply(w, http.StatusOK, map[string]any{"order": in.Order, "payment": done})
}

// refused counts a payment that was refused. The caller holds mu.
func (p *Platform) refused(w http.ResponseWriter, status int, why Refusal) {
	if p.tally.Refused == nil {
		p.tally.Refused = map[Refusal]int{}
	}
	p.tally.Refused[why]++
	refuse(w, status, string(why))
}

func refuse(w http.ResponseWriter, status int, why string) {
	reply(w, status, map[string]any{"error": why})
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that is gone does not mind
}
