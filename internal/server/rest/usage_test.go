package rest_test

import (
	"context"
	"testing"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

func (s *scene) usageSteps() []step {
	id := s.symmetric.ID
	return []step{
		{"RegisterKeyResource", func(ctx context.Context, c *client.Client) error {
			return c.RegisterKeyResource(ctx, id, api.RegisterKeyResourceRequest{Product: "oss", Name: "bucket/a", Note: "invoices"})
		}, "KeyNotFound"},
		{"GetKeyUsage", func(ctx context.Context, c *client.Client) error { return drop(c.GetKeyUsage(ctx, id)) }, "KeyNotFound"},
		{"DeregisterKeyResource", func(ctx context.Context, c *client.Client) error {
			return c.DeregisterKeyResource(ctx, id, api.DeregisterKeyResourceRequest{Product: "oss", Name: "bucket/a"})
		}, "KeyNotFound"},
	}
}

// What a key was used for comes out as it was counted.
func TestUsageOfAKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, ctx := w.client(t, w.account(t, "Owner")), t.Context()
	k := must(c.CreateKey(ctx, api.CreateKeyRequest{}))(t)
	if u := must(c.GetKeyUsage(ctx, k.ID))(t); u.Status != "Unused" || len(u.Uses) != 0 || !u.LastUsed.IsZero() {
		t.Errorf("a new key: %+v", u)
	}
	sealed := must(c.Encrypt(ctx, api.EncryptRequest{Key: k.ID, Plaintext: []byte("x"), Context: map[string]string{"acs:oss:arn": "bucket"}}))(t)
	for range 3 {
		must(c.Decrypt(ctx, api.DecryptRequest{Ciphertext: sealed.Ciphertext, Context: map[string]string{"acs:oss:arn": "bucket"}}))(t)
	}
	u := must(c.GetKeyUsage(ctx, k.ID))(t)
	if u.Status != "InUse" || u.Made != 1 || len(u.Uses) != 2 || len(u.Versions) != 1 || u.Versions[0].Used != 4 || u.Versions[0].Version != k.PrimaryVersion {
		t.Errorf("after five operations: %+v", u)
	}
	for _, use := range u.Uses {
		if want := map[string]int64{"kms:Encrypt": 1, "kms:Decrypt": 3}[use.Action]; use.Count != want || use.Product != "oss" || use.Source == "" || use.Principal == "" {
			t.Errorf("%+v, want %d", use, want)
		}
	}
}
