package client_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/httpapi/client"
	"github.com/keyward/keyward/internal/cloud/httpapi/definition"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/issuertest"
)

// writing is a definition that makes keys, with its capabilities and operations to be said.
const writing = `apiVersion: keyward/v1
kind: HTTPProvider
metadata: {name: small, version: 1, title: {en: Small, zh: 小}}
spec:
  capabilities: {%s}
  credential:
    token: {help: {en: token, zh: 令牌}}
  endpoint: {base: "https://api.example.com", rate: 100/s, timeout: 5s}
  auth:
    admin: {headers: {Authorization: "Bearer {{secret.token}}"}}
    subject: {headers: {X-Key: "{{key.secret}}"}}
  operations:
    list:
      request: {method: GET, path: /keys}
      items: /keys
      map: {id: /id, tag: {pointer: /tag, optional: true}}
    verify:
      as: subject
      request: {method: GET, path: /me}
      identity: /id
      owner: {pointer: /owner, equals: shop}
%s
`

const (
	creates = `    create: {request: {method: POST, path: /keys, json: {tag: "{{tag}}", expires: "{{expire|rfc3339}}"}}, success: {status: [201]}, map: {id: /id, secret: /secret}}
`
	deletes = `    delete: {request: {method: DELETE, path: "/keys/{{key.id}}"}, success: {status: [204]}}
`
	rotates = `    rotate: {request: {method: POST, path: "/keys/{{key.id}}/rotate", json: {tag: "{{tag}}", overlap: "{{overlap|seconds}}"}}, success: {status: [201]}, map: {id: /id, secret: /secret}}
`
)

// plans are definitions of every archetype that lists its keys.
var plans = map[string]struct {
	text  string
	means rotation.Means
}{
	"multi": {
		fmt.Sprintf(writing, "archetype: multi, maxKeys: 3, tag: {field: tag, max: 64}", creates+deletes+"  errors: {quota: {status: [422], pointer: /error, in: [full]}}"),
		rotation.Means{Archetype: rotation.Multi, MaxKeys: 3, Tagged: true, Listed: true, Verifies: true},
	},
	"multi, idempotent by a header": {
		fmt.Sprintf(writing, "archetype: multi, tag: {field: tag, max: 64}, idempotency: {kind: header, name: idempotency-key}", creates+deletes),
		rotation.Means{Archetype: rotation.Multi, Tagged: true, Listed: true, Repeats: true, Verifies: true},
	},
	"multi, with an id of one's own": {
		fmt.Sprintf(writing, "archetype: multi, activationDelay: 60s, idempotency: {kind: client-id}", strings.Replace(creates, `tag: "{{tag}}"`, `id: "{{attempt}}"`, 1)+deletes),
		rotation.Means{Archetype: rotation.Multi, Listed: true, Repeats: true, Activates: time.Minute, Verifies: true},
	},
	"fixed overlap": {
		fmt.Sprintf(writing, "archetype: fixed-overlap, tag: {field: tag, max: 64}, overlap: {kind: parameter, for: 48h, max: 168h}", rotates),
		rotation.Means{Archetype: rotation.FixedOverlap, Overlap: 48 * time.Hour, Tagged: true, Listed: true, Verifies: true},
	},
	"pending": {
		fmt.Sprintf(writing, "archetype: pending, idempotency: {kind: pending}, tag: {field: tag, max: 64}, overlap: {kind: parameter, max: 24h}", rotates),
		rotation.Means{Archetype: rotation.Pending, Overlap: 24 * time.Hour, Tagged: true, Listed: true, Repeats: true, Verifies: true},
	},
}

// A service has the keys of a shop, and a stranger's.
type service struct {
	pending   bool // a key that was made by rotate waits for its first use
	forbidden bool
	keys      []*held
	last      *http.Request
}

type held struct {
	id, secret, tag, owner, attempt string
	dies                            time.Time // zero for never
	replaces                        *held     // until the first use
	overlap                         time.Duration
}

func (s *service) add(k *held) *held {
	if k.id == "" {
		k.id = fmt.Sprintf("k%d", len(s.keys)+1)
	}
	k.secret = fmt.Sprintf("%s-%d", canary, len(s.keys)+1)
	s.keys = append(s.keys, k)
	return k
}

func (k *held) lives() bool { return k.dies.IsZero() || time.Now().Before(k.dies) }

// of answers the living keys of an owner.
func (s *service) of(owner string) (out []*held) {
	for _, k := range s.keys {
		if k.owner == owner && k.lives() {
			out = append(out, k)
		}
	}
	return out
}

func (s *service) find(match func(*held) bool) *held {
	i := slices.IndexFunc(s.keys, func(k *held) bool { return k.lives() && match(k) })
	if i < 0 {
		return nil
	}
	return s.keys[i]
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.last = r
	if r.URL.Path == "/me" {
		k := s.find(func(k *held) bool { return k.secret == r.Header.Get("X-Key") })
		if k == nil {
			w.WriteHeader(401)
			return
		}
		if k.replaces != nil {
			k.replaces.dies, k.replaces = time.Now().Add(k.overlap), nil
		}
		say(w, 200, map[string]any{"id": k.id, "owner": k.owner})
		return
	}
	switch id, act, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/keys/"), "/"); {
	case r.Header.Get("Authorization") != "Bearer "+canary:
		w.WriteHeader(401)
	case r.Method == "GET":
		all := []any{}
		for _, k := range s.of("shop") {
			all = append(all, map[string]any{"id": k.id, "tag": k.tag})
		}
		say(w, 200, map[string]any{"keys": all})
	case s.forbidden:
		say(w, 403, map[string]any{"echo": canary})
	case r.Method == "POST":
		s.mint(w, r, s.find(func(k *held) bool { return k.id == id && act == "rotate" }))
	default:
		k := s.find(func(k *held) bool { return k.id == id && k.owner == "shop" })
		if k == nil {
			w.WriteHeader(404)
			return
		}
		k.dies = time.Now()
		w.WriteHeader(204)
	}
}

// mint makes a key, in the place of old if that is not nil.
func (s *service) mint(w http.ResponseWriter, r *http.Request, old *held) {
	var in struct {
		ID, Tag, Expires string
		Overlap          int64
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		w.WriteHeader(400)
		return
	}
	if in.ID == "" {
		in.ID = r.Header.Get("Idempotency-Key")
	}
	k := s.find(func(k *held) bool { return in.ID != "" && k.attempt == in.ID || k.replaces != nil && k.replaces == old })
	overlap := time.Duration(in.Overlap) * time.Second
	switch {
	case k != nil: // that very attempt, or one that is pending
	case len(s.of("shop")) >= 3:
		say(w, 422, map[string]any{"error": "full"})
		return
	case s.pending:
		k = s.add(&held{tag: in.Tag, owner: "shop", replaces: old, overlap: overlap})
	default:
		k = s.add(&held{tag: in.Tag, owner: "shop", attempt: in.ID})
		if old != nil {
			old.dies = time.Now().Add(overlap)
		}
	}
	say(w, 201, map[string]any{"id": k.id, "secret": k.secret})
}

func say(w http.ResponseWriter, status int, v any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// provider answers the service for the suite.
func (s *service) provider(text string) issuertest.Provider {
	consumer := func(k *held) issuertest.Credential {
		return issuertest.Credential{ID: k.id, Parts: map[string]string{"id": k.id, "secret": k.secret}}
	}
	return issuertest.Provider{
		Service: s, Principal: "", Old: consumer(s.add(&held{owner: "shop"})), Stranger: consumer(s.add(&held{owner: "stranger"})),
		Open: func(via http.RoundTripper) (rotation.Issuer, error) { return issue(text, via) },
		Truth: func() map[string]accesskey.Status {
			out := map[string]accesskey.Status{}
			for _, k := range s.of("shop") {
				out[k.id] = accesskey.Active
			}
			return out
		},
		Effect: func(r *http.Request, _ []byte) issuertest.Effect {
			return map[string]issuertest.Effect{"GET": issuertest.Nothing, "POST": issuertest.Creates, "DELETE": issuertest.Deletes}[r.Method]
		},
		Forbid: func() { s.forbidden = true },
	}
}

// issue opens an issuer of a definition.
func issue(text string, via http.RoundTripper) (*client.Issuer, error) {
	def, err := definition.Parse([]byte(text))
	if err != nil {
		return nil, err
	}
	sender := &http.Client{Transport: via, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	target := client.Target{Vars: map[string]string{}, Credential: map[string]material.Bytes{}, HTTP: sender, Once: sender, Now: time.Now}
	for name, v := range def.Vars {
		if v.Default == "" {
			target.Vars[name] = map[string]string{"account": "AC00000000000000000000000000000001", "company": "FakeCompany"}[name]
		}
	}
	for part := range def.Credential {
		target.Credential[part] = secret(canary)
	}
	c, err := client.Open(def, target)
	if err != nil {
		return nil, err
	}
	return client.NewIssuer(c, "")
}
