package rest_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/watch"
)

// issuers can be asked, and are not.
type issuers struct{ watch.Verifier }

func (issuers) Issuers() []string { return []string{"aws", "github"} }

// openMirrors are of repositories that let themselves be read and have nothing.
type openMirrors struct{ watch.Mirrors }

func (openMirrors) Allows(string) error { return nil }

func (openMirrors) Keep(func() (map[string]bool, error)) error { return nil }

func (openMirrors) Tips(context.Context, watch.Remote) (watch.Tips, error) { return watch.Tips{}, nil }

const aRepository = "https://git.example.com/shop.git"

// repositorySteps are the operations on repositories, in an order in which they all succeed.
func (s *scene) repositorySteps() []step {
	return []step{
		{"AddRepository", func(ctx context.Context, c *client.Client) error {
			return drop(c.AddRepository(ctx, api.AddRepositoryRequest{Name: "shop", Place: api.RepositoryPlace{URL: aRepository}}))
		}, ""},
		{"ListRepositories", func(ctx context.Context, c *client.Client) error { return drop(c.ListRepositories(ctx)) }, ""},
		{"GetRepository", func(ctx context.Context, c *client.Client) error { return drop(c.GetRepository(ctx, "shop")) }, ""},
		{"UpdateRepository", func(ctx context.Context, c *client.Client) error {
			return drop(c.UpdateRepository(ctx, "shop", api.UpdateRepositoryRequest{Owner: new("ops")}))
		}, ""},
		{"SetRepositoryIssuers", func(ctx context.Context, c *client.Client) error {
			return drop(c.SetRepositoryIssuers(ctx, "shop", api.SetRepositoryIssuersRequest{Issuers: []string{"aws"}}))
		}, ""},
		{"ScanRepository", func(ctx context.Context, c *client.Client) error { return c.ScanRepository(ctx, "shop") }, ""},
		{"RemoveRepository", func(ctx context.Context, c *client.Client) error { return c.RemoveRepository(ctx, "shop") }, ""},
	}
}

func TestRepositoriesOverTheAPI(t *testing.T) {
	w := newWorld(t)
	root := w.account(t, "acme")
	c := w.client(t, root)
	place := api.RepositoryPlace{URL: aRepository, User: "bot", Token: "fake-token-of-a-test"}
	made, err := c.AddRepository(t.Context(), api.AddRepositoryRequest{Name: "shop", Place: place, Refs: []string{"main", "refs/tags/*", "main"}, Owner: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	want := api.Repository{
		Name: "shop", ARN: made.ARN, URL: aRepository, Refs: []string{"refs/heads/main", "refs/tags/*"}, LoggedIn: true, Pace: "1h", Severity: "medium", Owner: "alice", Issuers: []string{}, CreatedAt: made.CreatedAt,
		State: api.RepositoryState{Status: "waiting", Problems: []string{}},
	}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Error(diff)
	}
	changed, err := c.UpdateRepository(t.Context(), "shop", api.UpdateRepositoryRequest{Refs: &[]string{}, Pace: new("5m"), Severity: new("high"), Owner: new("")})
	want.Refs, want.Pace, want.Severity, want.Owner = []string{}, "5m", "high", ""
	if diff := cmp.Diff(want, changed); diff != "" || err != nil {
		t.Error(err, diff)
	}
	changed, err = c.SetRepositoryIssuers(t.Context(), "shop", api.SetRepositoryIssuersRequest{Issuers: []string{"github", "aws"}})
	want.Issuers = []string{"aws", "github"}
	if diff := cmp.Diff(want, changed); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if _, err := c.SetRepositoryIssuers(t.Context(), "shop", api.SetRepositoryIssuersRequest{Issuers: []string{"wecom"}}); err == nil || !strings.Contains(err.Error(), `"wecom"`) {
		t.Error(err)
	}
	for name, in := range map[string]api.AddRepositoryRequest{
		"Shop":                 {Name: "Shop"},
		"severity":             {Name: "a", Severity: "bad"},
		"between 5m0s":         {Name: "a", Pace: "1m"},
		"duration":             {Name: "a", Pace: "often"},
		"at most one star":     {Name: "a", Refs: []string{"a/*/b*"}},
		"pattern of refs":      {Name: "a", Refs: []string{"a:b"}},
		"pattern":              {Name: "a", Refs: []string{"-x"}},
		"name of a branch":     {Name: "a", Refs: []string{"a/../b"}},
		"no text":              {Name: "a", Owner: "a\nb"},
		"token is missing":     {Name: "a", Place: api.RepositoryPlace{User: "bot"}},
		"colons":               {Name: "a", Place: api.RepositoryPlace{User: "b:o", Token: "fake"}},
		"without spaces":       {Name: "a", Place: api.RepositoryPlace{Token: "fa\nke"}},
		"at most 256":          {Name: "a", Place: api.RepositoryPlace{URL: aRepository + strings.Repeat("a", 256)}},
		"printable":            {Name: "a", Place: api.RepositoryPlace{URL: "https://git.example.com/店.git"}},
		"watched already":      {Name: "shop"},
		"20 patterns":          {Name: "a", Refs: make([]string, 21)},
		"lower-case letters, ": {Name: ""},
	} {
		if name == "Shop" {
			name = "lower-case"
		}
		if in.Place.URL == "" {
			in.Place.URL = aRepository
		}
		if _, err := c.AddRepository(t.Context(), in); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v: %v, want %q", in, err, name)
		}
	}
	if log := w.logged(); strings.Contains(log, "fake-token-of-a-test") {
		t.Error("the token is in the log")
	}
}
