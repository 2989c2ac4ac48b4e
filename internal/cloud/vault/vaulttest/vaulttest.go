// Package vaulttest simulates the part of Vault that package vault uses, as Vault's API
// documentation and its KV version 2 engine have it: tokens and AppRole, policies by path,
// check-and-set, versions, soft deletion, destruction, and a server that is sealed.
package vaulttest

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A Server is a simulated Vault with one KV version 2 mount, "secret". It may be used
// concurrently.
type Server struct {
	Token    string // that is accepted
	RoleID   string // and what AppRole exchanges for it; empty for no AppRole
	SecretID string
	Denied   string // a path below the mount that the token may not use; "" for none

	mu      sync.Mutex // guards what follows
	sealed  bool
	entries map[string][]version
	writes  int
}

type version struct {
	data    map[string]any
	deleted string
}

// Seal seals the server, or unseals it.
func (s *Server) Seal(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = on
}

// Put writes an entry as somebody else would, without cas.
func (s *Server) Put(path string, data map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(path, data)
}

func (s *Server) put(path string, data map[string]any) int {
	if s.entries == nil {
		s.entries = map[string][]version{}
	}
	s.entries[path] = append(s.entries[path], version{data: data})
	return len(s.entries[path])
}

// Delete deletes the newest version of an entry softly, as somebody else would.
func (s *Server) Delete(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if all := s.entries[path]; len(all) > 0 {
		all[len(all)-1].deleted = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).Format(time.RFC3339Nano)
	}
}

// Erase removes an entry with all its versions, as somebody else would.
func (s *Server) Erase(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.entries, path)
}

// Entry answers the newest data of an entry and its number; 0 for none.
func (s *Server) Entry(path string) (map[string]any, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.entries[path]
	if len(all) == 0 {
		return nil, 0
	}
	return all[len(all)-1].data, len(all)
}

// Writes answers how many writes were accepted over HTTP.
func (s *Server) Writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sealed {
		fail(w, http.StatusServiceUnavailable, "Vault is sealed")
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	if !ok {
		fail(w, http.StatusNotFound)
		return
	}
	if path == "auth/approle/login" && r.Method == http.MethodPost {
		s.login(w, r)
		return
	}
	if r.Header.Get("X-Vault-Token") != s.Token {
		fail(w, http.StatusForbidden, "permission denied")
		return
	}
	if path == "sys/internal/ui/mounts/secret" {
		answer(w, map[string]any{"type": "kv", "options": map[string]string{"version": "2"}})
		return
	}
	if path == "sys/internal/ui/mounts/old" {
		answer(w, map[string]any{"type": "kv", "options": nil})
		return
	}
	name, ok := strings.CutPrefix(path, "secret/data/")
	if !ok || s.Denied != "" && strings.HasPrefix(name, s.Denied) {
		fail(w, http.StatusForbidden, "permission denied")
		return
	}
	switch r.Method {
	case http.MethodGet:
		s.read(w, name)
	case http.MethodPost, http.MethodPut:
		s.write(w, r, name)
	default:
		fail(w, http.StatusMethodNotAllowed)
	}
}

func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	var in struct {
		RoleID   string `json:"role_id"`
		SecretID string `json:"secret_id"`
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil || s.RoleID == "" || in.RoleID != s.RoleID || in.SecretID != s.SecretID {
		fail(w, http.StatusBadRequest, "invalid role or secret ID")
		return
	}
	write(w, http.StatusOK, map[string]any{"auth": map[string]any{"client_token": s.Token, "lease_duration": 1200}})
}

func (s *Server) read(w http.ResponseWriter, name string) {
	all := s.entries[name]
	if len(all) == 0 {
		fail(w, http.StatusNotFound)
		return
	}
	v := all[len(all)-1]
	metadata := map[string]any{"version": len(all), "deletion_time": v.deleted, "destroyed": false, "created_time": "2026-03-01T00:00:00Z"}
	if v.deleted != "" {
		write(w, http.StatusNotFound, map[string]any{"data": map[string]any{"data": nil, "metadata": metadata}})
		return
	}
	answer(w, map[string]any{"data": v.data, "metadata": metadata})
}

func (s *Server) write(w http.ResponseWriter, r *http.Request, name string) {
	var in struct {
		Options struct {
			CAS *int `json:"cas"`
		} `json:"options"`
		Data map[string]any `json:"data"`
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil || in.Data == nil {
		fail(w, http.StatusBadRequest, "no data provided")
		return
	}
	if in.Options.CAS != nil && *in.Options.CAS != len(s.entries[name]) {
		fail(w, http.StatusBadRequest, "check-and-set parameter did not match the current version")
		return
	}
	s.writes++
	answer(w, map[string]any{"version": s.put(name, in.Data), "deletion_time": "", "destroyed": false})
}

func answer(w http.ResponseWriter, data any) {
	write(w, http.StatusOK, map[string]any{"data": data})
}

func fail(w http.ResponseWriter, status int, texts ...string) {
	if texts == nil {
		texts = []string{}
	}
	write(w, status, map[string]any{"errors": texts})
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // who hung up reads nothing
}
