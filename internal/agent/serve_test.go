package agent_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/agent"
	"github.com/keyward/keyward/internal/agent/agenttest"
	"github.com/keyward/keyward/internal/material"
)

// ask asks a handler.
func ask(t *testing.T, h http.Handler, method, target, body string, change func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	r.Host = "localhost"
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const keyURL = "/v1/keys/pay%2Fprimary"

func TestEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, "")
		m.server.Publish(rollout, 1, version(1), agenttest.Version{})
		m.server.Publish(rollout, 2, version(2), version(1))
		m.start()
		h := m.agent.Handler(material.Bytes{})
		if w := ask(t, h, "GET", keyURL+"?wait=1m", "", nil); w.Code != 200 || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%d %v", w.Code, w.Header())
		} else {
			var got delivery.Key
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			part := func(n string) map[string]api.SecretText {
				return map[string]api.SecretText{"access_key_id": api.SecretText("AKEXAMPLE" + n), "access_key_secret": api.SecretText(canary + n)}
			}
			want := delivery.Key{
				Rollout: rollout, Generation: 2,
				Primary:  delivery.Credential{Version: version(2).ID, Parts: part("2")},
				Fallback: delivery.Credential{Version: version(1).ID, Parts: part("1")},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		}
		begun := time.Now()
		if w := ask(t, h, "GET", keyURL+"?after=2&wait=30s", "", nil); w.Code != 200 || time.Since(begun) != 30*time.Second {
			t.Errorf("%d after %v", w.Code, time.Since(begun))
		}
		time.AfterFunc(time.Second, func() { m.server.Publish(rollout, 3, version(3), version(2)) })
		if w := ask(t, h, "GET", keyURL+"?after=2&wait=1m", "", nil); !strings.Contains(w.Body.String(), canary+"3") || time.Since(begun) != 31*time.Second {
			t.Errorf("%s after %v", w.Body, time.Since(begun))
		}
		use := func(version, result string) string { return `{"version":"` + version + `","result":"` + result + `"}` }
		for _, c := range []struct {
			method, target, body string
			want                 int
		}{
			{"GET", "/v1/keys/nothing", "", 404},
			{"GET", keyURL + "?after=-1", "", 400},
			{"GET", keyURL + "?wait=2m", "", 400},
			{"GET", keyURL + "?wait=soon", "", 400},
			{"PUT", keyURL, "", 405},
			{"POST", keyURL + "/report", use(version(3).ID, "used"), 204},
			{"POST", keyURL + "/report", use(version(2).ID, "refused"), 204},
			{"POST", keyURL + "/report", use(version(1).ID, "used"), 409},
			{"POST", keyURL + "/report", use("", "used"), 400},
			{"POST", keyURL + "/report", use(version(3).ID, "liked"), 400},
			{"POST", keyURL + "/report", `{"version":"x","result":"used","times":-1}`, 400},
			{"POST", keyURL + "/report", `{"version":"x","result":"used","more":1}`, 400},
			{"POST", keyURL + "/report", strings.Repeat(" ", 5000) + use(version(3).ID, "used"), 400},
			{"POST", "/v1/keys/nothing/report", use(version(3).ID, "used"), 409},
		} {
			if w := ask(t, h, c.method, c.target, c.body, nil); w.Code != c.want {
				t.Errorf("%s %s %.60s: %d, want %d: %s", c.method, c.target, c.body, w.Code, c.want, w.Body)
			}
		}
		if a := m.await(3, delivery.LevelUsed); a.Refused != 0 || a.Fallbacks != 0 {
			t.Errorf("%+v", a)
		}
		var s delivery.Status
		if w := ask(t, h, "GET", "/v1/status", "", nil); json.Unmarshal(w.Body.Bytes(), &s) != nil || strings.Contains(w.Body.String(), canary) || len(s.Rollouts) != 1 || s.Rollouts[0].Level != delivery.LevelUsed || s.Node != "acme/shop-1" {
			t.Errorf("%+v", s)
		}
		m.stop()
	})
}

// A page in a browser that controls the name of a host, or a user without the token, gets nothing.
func TestEndpointAtAddress(t *testing.T) {
	m := newMachine(t, "")
	m.server.Publish(rollout, 1, version(1), agenttest.Version{})
	m.start()
	defer m.stop()
	m.await(1, delivery.LevelApplied)
	h := m.agent.Handler(material.NewBytes([]byte("EXAMPLE-token")))
	for _, c := range []struct {
		host, token string
		want        int
	}{
		{"localhost:7422", "Bearer EXAMPLE-token", 200},
		{"127.0.0.1:7422", "Bearer EXAMPLE-token", 200},
		{"[::1]:7422", "Bearer EXAMPLE-token", 200},
		{"127.0.0.1", "Bearer EXAMPLE-token", 200},
		{"localhost", "", 401},
		{"localhost", "Bearer EXAMPLE-toke", 401},
		{"localhost", "EXAMPLE-token", 401},
		{"evil.example.com:7422", "Bearer EXAMPLE-token", 421},
		{"127.0.0.1.evil.example.com", "Bearer EXAMPLE-token", 421},
		{"192.0.2.1:7422", "Bearer EXAMPLE-token", 421},
		{"", "Bearer EXAMPLE-token", 421},
	} {
		w := ask(t, h, "GET", keyURL, "", func(r *http.Request) {
			r.Host = c.host
			r.Header.Set("Authorization", c.token)
		})
		if w.Code != c.want {
			t.Errorf("host %q, %q: %d, want %d", c.host, c.token, w.Code, c.want)
		}
	}
}

// real starts an agent where its configuration says.
func (m *machine) real() (stop func()) {
	m.t.Helper()
	a, err := agent.New(agent.Options{Config: m.config, Now: time.Now, Logger: slog.New(slog.NewTextHandler(m.log, nil)), Transport: m.server})
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(m.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	return func() {
		m.t.Helper()
		cancel()
		if err := <-ended; err != nil {
			m.t.Error(err)
		}
	}
}

func TestSocketAndAddress(t *testing.T) {
	m := newMachine(t, "")
	m.server.Publish(rollout, 1, version(1), agenttest.Version{})
	for range 2 { // the second finds the socket of the first
		stop := m.real()
		m.await(1, delivery.LevelApplied)
		m.server.Forget()
		k, err := client.OpenKey(t.Context(), client.KeyOptions{Agent: client.AgentConfig{Address: m.config.Listen}, Rollout: rollout})
		if err != nil || k.Current().Part("access_key_secret") != canary+"1" {
			t.Fatal(err)
		}
		k.Close()
		if info, err := os.Stat(m.config.Listen); err != nil || info.Mode() != 0o660|os.ModeSocket {
			t.Errorf("%v, %v", info, err)
		}
		second, err := agent.New(agent.Options{Config: m.config, Now: time.Now, Logger: slog.New(slog.DiscardHandler), Transport: m.server})
		if err != nil {
			t.Fatal(err)
		}
		if err := second.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "another agent") {
			t.Errorf("a second agent: %v", err)
		}
		stop()
	}
	if err := os.WriteFile(m.dir+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m.config.Listen = m.dir + "/file"
	blocked, err := agent.New(agent.Options{Config: m.config, Now: time.Now, Logger: slog.New(slog.DiscardHandler), Transport: m.server})
	if err != nil {
		t.Fatal(err)
	}
	if err := blocked.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("where a file is: %v", err)
	}
	m.config.Listen, m.config.TokenFile = "127.0.0.1:0", m.dir+"/token"
	var tokens [2]string
	for i := range tokens {
		stop := m.real()
		m.await(1, delivery.LevelApplied)
		m.server.Forget()
		stop()
		tokens[i] = m.file("token")
		if info, err := os.Stat(m.config.TokenFile); err != nil || info.Mode() != 0o640 || len(tokens[i]) != 65 {
			t.Errorf("%v, %v", info, err)
		}
	}
	if tokens[0] != tokens[1] {
		t.Error("a restart changed the token")
	}
	if left, err := filepath.Glob(m.dir + "/.*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func FuzzParts(f *testing.F) {
	for _, s := range []string{`{"a":"b"}`, `{"a":null}`, `{"a":1}`, `{}`, `null`, "text", "\xff", `{"a":"b"}x`, `[]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		parts, err := agent.PartsOf(material.NewBytes(append([]byte{}, value...)))
		if err != nil {
			if utf8.Valid(value) || len(parts) > 0 {
				t.Fatalf("%q: %v", value, err)
			}
			return
		}
		if len(parts) == 0 {
			t.Fatalf("%q has no part", value)
		}
		if whole, ok := parts[delivery.ValuePart]; ok && string(whole) == string(value) {
			return
		}
		var object map[string]string
		if err := json.Unmarshal(value, &object); err != nil || len(object) != len(parts) {
			t.Fatalf("%q: %d parts, %v", value, len(parts), err)
		}
		for name, want := range object {
			if string(parts[name]) != want {
				t.Errorf("%q: part %q", value, name)
			}
		}
	})
}
