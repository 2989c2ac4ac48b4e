package httpapitest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Zone is where the days of the story's platform begin: UTC+8, as in Shanghai.
var Zone = time.FixedZone("Asia/Shanghai", 8*3600)

// lifetime is how long a key of the platform lives.
const lifetime = 365 * 24 * time.Hour

// A StoryKey is a key of the platform, as [Story.Keys] answers it: without its secret,
// which is shown once, when it is made.
type StoryKey struct {
	ID, Name       string
	Created        time.Time
	Expiry         time.Time // the start of a day in Zone; zero for never
	Reset, Deleted bool

	secret string
}

// A Story is the platform of a story that ended at two in the morning: it tells the day on
// which a key dies as a bare date, its reset kills the old key at once, and it shows a
// secret once. At most two keys live at a time. It may be used concurrently.
type Story struct {
	Now      func() time.Time
	PageSize int // keys on a page of the list; 0 for 50

	mu    sync.Mutex // guards what follows
	keys  []*StoryKey
	count int
}

// NewStory makes a platform with one key, which expires on the day that holds expiry, and
// answers the key's secret. A zero expiry is a year from now.
func NewStory(now func() time.Time, expiry time.Time) (story *Story, secret string) {
	story = &Story{Now: now}
	k := story.mint("first")
	if !expiry.IsZero() {
		k.Expiry = day(expiry)
	}
	return story, k.secret
}

func day(t time.Time) time.Time {
	y, m, d := t.In(Zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, Zone)
}

// mint makes a key. The caller holds mu, or is alone.
func (s *Story) mint(name string) *StoryKey {
	s.count++
	now := s.Now()
	k := &StoryKey{ID: fmt.Sprintf("k%d", s.count), Name: name, Created: now.UTC().Truncate(time.Second), Expiry: day(now.Add(lifetime)), secret: fmt.Sprintf("fake-story-secret-%d", s.count)}
	s.keys = append(s.keys, k)
	return k
}

// Keys answers all keys that there ever were, the oldest first.
func (s *Story) Keys() []StoryKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]StoryKey, len(s.keys))
	for i, k := range s.keys {
		out[i] = *k
		out[i].secret = ""
	}
	return out
}

// Accepts tells whether the platform lets somebody in with a secret at this moment.
func (s *Story) Accepts(secret string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owner(secret) != nil
}

func (s *Story) owner(secret string) *StoryKey {
	i := slices.IndexFunc(s.keys, func(k *StoryKey) bool { return k.secret == secret && s.alive(k) })
	if i < 0 {
		return nil
	}
	return s.keys[i]
}

func (s *Story) alive(k *StoryKey) bool {
	return !k.Reset && !k.Deleted && (k.Expiry.IsZero() || s.Now().Before(k.Expiry))
}

// ServeHTTP implements http.Handler.
func (s *Story) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	secret, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	caller := s.owner(secret)
	if caller == nil {
		reply(w, http.StatusUnauthorized, map[string]any{"error": "unauthorized"})
		return
	}
	id, named := strings.CutPrefix(r.URL.Path, "/keys/")
	switch {
	case r.Method == "GET" && r.URL.Path == "/key/status":
		reply(w, http.StatusOK, s.tell(caller))
	case r.Method == "POST" && r.URL.Path == "/key/reset":
		caller.Reset = true
		s.reveal(w, http.StatusOK, s.mint(caller.Name)) // the old one is dead from here on
	case r.Method == "GET" && r.URL.Path == "/keys":
		s.list(w, r)
	case r.Method == "POST" && r.URL.Path == "/keys":
		s.create(w, r)
	case r.Method == "DELETE" && named:
		s.remove(w, id)
	default:
		reply(w, http.StatusNotFound, map[string]any{"error": "not_found"})
	}
}

func (s *Story) tell(k *StoryKey) map[string]any {
	out := map[string]any{"id": k.ID, "name": k.Name, "status": "active", "created_at": k.Created.Format(time.RFC3339), "expiry_date": nil}
	if k.Reset {
		out["status"] = "reset"
	}
	if !k.Expiry.IsZero() {
		out["expiry_date"] = k.Expiry.Format(time.DateOnly)
	}
	return out
}

// reveal answers a new key with its secret, for the only time.
func (s *Story) reveal(w http.ResponseWriter, status int, k *StoryKey) {
	out := s.tell(k)
	out["key"] = k.secret
	reply(w, status, out)
}

func (s *Story) list(w http.ResponseWriter, r *http.Request) {
	var all []map[string]any
	for _, k := range s.keys {
		if !k.Deleted {
			all = append(all, s.tell(k))
		}
	}
	size := s.PageSize
	if size == 0 {
		size = 50
	}
	page, err := strconv.Atoi(r.URL.Query().Get("page"))
	if err != nil || page < 1 {
		page = 1
	}
	from := min((page-1)*size, len(all))
	reply(w, http.StatusOK, map[string]any{
		"keys": all[from:min(from+size, len(all))], "total": len(all), "pages": (len(all) + size - 1) / size,
	})
}

func (s *Story) create(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Name string `json:"name"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Name == "" {
		reply(w, http.StatusBadRequest, map[string]any{"error": "name_missing"})
		return
	}
	living := 0
	for _, k := range s.keys {
		if s.alive(k) {
			living++
		}
	}
	if living >= 2 {
		reply(w, http.StatusConflict, map[string]any{"error": "too_many_keys"})
		return
	}
	s.reveal(w, http.StatusCreated, s.mint(in.Name))
}

func (s *Story) remove(w http.ResponseWriter, id string) {
	for _, k := range s.keys {
		if k.ID == id && !k.Deleted {
			k.Deleted = true
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	reply(w, http.StatusNotFound, map[string]any{"error": "not_found"})
}

func reply(w http.ResponseWriter, status int, v map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that is gone does not mind
}
