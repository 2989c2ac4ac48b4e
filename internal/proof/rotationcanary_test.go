package proof

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

// useRotation passes secrets through targets, tokens of nodes, rollouts and a rotation by
// hand, of which somebody without any right asks, too. What is answered is noted as errors
// are: it holds no secret. It answers the secrets that were made on the way.
func useRotation(t *testing.T, s *server, c *client.Client, fresh func() api.SecretBytes, note func(error)) (secrets []string) {
	ctx := t.Context()
	told := func(v any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(v)
		note(fmt.Errorf("%s, %v", text, err))
	}
	_, err := c.AddTarget(ctx, api.AddTargetRequest{Name: "cluster", Kind: "kubernetes", Connection: api.Connection{
		Settings:   map[string]string{"server": "https://127.0.0.1:1", "namespace": "shop", "secret": "pay", "selector": "app=shop"},
		Credential: map[string]api.SecretBytes{"token": fresh()},
	}})
	note(err)
	_, err = c.AddTarget(ctx, api.AddTargetRequest{Name: "cluster", Kind: "none", Connection: api.Connection{Credential: map[string]api.SecretBytes{"token": fresh()}}})
	note(err)
	token, err := c.CreateNodeToken(ctx, api.CreateNodeTokenRequest{Labels: map[string]string{"app": "shop"}})
	if err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, string(token.Token))

	old, pasted := string(fresh()), string(fresh())
	_, err = c.CreateSecret(ctx, api.CreateSecretRequest{Name: "pay", Value: []byte(`{"id":"AK1","secret":"` + old + `"}`)})
	note(err)
	told(c.AddProvider(ctx, api.AddProviderRequest{Name: "hand", Kind: "manual"}))
	told(c.CreateRollout(ctx, api.CreateRolloutRequest{Name: "pay", Secret: "pay", Members: map[string]string{"app": "none"}, Waves: []api.RolloutWave{{Name: "all"}}}))
	told(c.CreateSecret(ctx, api.CreateSecretRequest{Name: "text", Value: fresh()}))
	_, err = c.CreateRotationPlan(ctx, api.CreateRotationPlanRequest{Name: "bad", Provider: "hand", Principal: "m", Secret: "text", Key: "AK1"})
	note(err)
	told(c.CreateRotationPlan(ctx, api.CreateRotationPlanRequest{Name: "pay", Provider: "hand", Principal: "m", Secret: "pay", Key: "AK1"}))
	told(c.StartRotation(ctx, "pay", api.StartRotationRequest{}))
	enter := func(c *client.Client, id, value string) error {
		_, err := c.EnterRotationKey(ctx, "pay", api.EnterRotationKeyRequest{ID: id, Credential: map[string]api.SecretText{"id": "AK2", "secret": api.SecretText(value)}})
		return err
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		r, err := c.DescribeRotation(ctx, "pay")
		if err == nil && r.Trouble == "needs-key" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the rotation waits for no key: %+v, %v", r, err)
		}
	}
	note(enter(c, "AK1", pasted))
	note(enter(c, "AK3", pasted))
	note(enter(c, "AK2", old))
	note(enter(c, "AK2", pasted))
	told(c.DescribeRotation(ctx, "pay"))
	told(c.ListRotations(ctx, api.ListRotationsRequest{Limit: 10}))
	told(c.GetRolloutCoverage(ctx, "pay", api.PageRequest{}))
	told(c.ListNodeTokens(ctx))
	told(c.ListIncidents(ctx, api.ListIncidentsRequest{}))

	poor := s.stranger(t, c)
	note(enter(poor, "AK2", string(fresh())))
	for _, ask := range []func() error{
		func() error { _, err := poor.GetSecretValue(ctx, "pay", api.GetSecretRequest{}); return err },
		func() error { _, err := poor.DescribeRotation(ctx, "pay"); return err },
		func() error { _, err := poor.GetRolloutCoverage(ctx, "pay", api.PageRequest{}); return err },
		func() error { _, err := poor.ListTargets(ctx); return err },
		func() error { _, err := poor.ListNodeTokens(ctx); return err },
	} {
		err := ask()
		if err == nil {
			t.Error("somebody without any right is answered")
		}
		note(err)
	}
	return secrets
}

// stranger answers a client for somebody who has no right to anything.
func (s *server) stranger(t *testing.T, c *client.Client) *client.Client {
	t.Helper()
	if _, err := c.CreateUser(t.Context(), api.CreateUserRequest{Name: "stranger"}); err != nil {
		t.Fatal(err)
	}
	issued, err := c.CreateAccessKey(t.Context(), "stranger", api.CreateAccessKeyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	out, err := client.New(client.Config{Endpoint: "http://" + s.address, AccessKeyID: issued.AccessKey.ID, AccessKeySecret: string(issued.Secret)})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// searchMarket looks, after a campaign, that no secret of the platform, of the account or of
// its nodes is in what servers and agents have stored, logged or told: every file of theirs,
// every row of PostgreSQL, the metrics.
func (m *market) searchMarket(metrics []byte) {
	m.t.Helper()
	canaries := append(m.platform.Secrets(), passphrase)
	canaries = append(canaries, m.given...)
	places := map[string][]byte{"metrics": metrics}
	for _, s := range m.servers {
		for _, dir := range []string{s.home, s.dir} {
			for name, content := range readDir(m.t, dir) {
				places[filepath.Join(dir, name)] = content
			}
		}
	}
	for _, a := range m.agents {
		for name, content := range readDir(m.t, a.dir) {
			if name != "token" { // which the test itself wrote
				places[filepath.Join(a.dir, name)] = content
			}
		}
	}
	if url := m.servers[0].url; strings.HasPrefix(url, "postgres") {
		places["PostgreSQL"] = rowsOf(m.t, url)
	}
	searchCanaries(m.t, places, canaries)
	m.t.Logf("%d secrets were looked for in %d places", len(canaries), len(places))
}

// metrics answers the metrics of all servers that run.
func (m *market) metrics() (out []byte) {
	m.t.Helper()
	for _, s := range m.servers {
		resp, err := http.Get("http://" + s.address + "/metrics")
		m.must(err)
		text, err := io.ReadAll(resp.Body)
		m.must(err)
		_ = resp.Body.Close()
		out = append(out, text...)
	}
	return out
}

// rowsOf answers every row of a database as PostgreSQL spells it.
func rowsOf(t *testing.T, url string) (out []byte) {
	t.Helper()
	ctx := context.Background()
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(ctx) //nolint:errcheck // it was only read
	texts := func(query string) (out []string) {
		t.Helper()
		rows, err := db.Query(ctx, query)
		if err != nil {
			t.Fatal(err)
		}
		if out, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			t.Fatal(err)
		}
		return out
	}
	tables := texts(`SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'`)
	for _, table := range tables {
		for _, row := range texts(`SELECT x::text FROM ` + table + ` x`) {
			out = append(append(out, row...), '\n')
		}
	}
	if len(tables) < 20 || len(out) < 10_000 {
		t.Fatalf("the dump of %d tables has %d bytes", len(tables), len(out))
	}
	return out
}
