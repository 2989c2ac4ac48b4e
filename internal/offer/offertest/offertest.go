// Package offertest starts a keyward with an offer, served over HTTP as the product serves it,
// for the tests of whatever stands at either end of the XKS Proxy API.
package offertest

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/keytest"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/offer"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/server/xks"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/kms"
	"github.com/keyward/keyward/internal/store/storetest"
	protocol "github.com/keyward/keyward/internal/xks"
)

// What every world has.
const (
	Name = "aws"     // of the offer
	User = "aws-kms" // as whom its other side acts
)

// policy is what the user may do.
const policy = `{"Version":"1","Statement":[{"Effect":"Allow","Action":["kms:DescribeKey","kms:Encrypt","kms:Decrypt"],"Resource":"*"}]}`

// A World is one keyward with an offer of no keys, and a clock of its own.
type World struct {
	*offer.Service
	Node       storetest.Node
	IAM        *iam.Service
	Keys       *keytest.Services
	Account    string
	Credential protocol.Credential // of the offer
	Handler    http.Handler        // serves the offer
	clock      atomic.Int64
}

// Now answers the time of the world.
func (w *World) Now() time.Time { return time.UnixMicro(w.clock.Load()).UTC() }

// Pass lets time pass.
func (w *World) Pass(d time.Duration) { w.clock.Add(d.Microseconds()) }

// Root answers a call of the account itself.
func (w *World) Root() *authz.Call {
	return &authz.Call{Principal: authz.Principal{Account: w.Account, Kind: authz.Root, Name: "root"}, Time: w.Now()}
}

// Start starts a world on a database.
func Start(t testing.TB, url string) *World {
	t.Helper()
	w, keyring, logger := &World{}, sealtest.Keyring(t), slog.New(slog.DiscardHandler)
	w.clock.Store(time.Now().UnixMicro())
	w.Node = storetest.Start(t, storetest.Options{URL: url, Origin: "keyward/test", Keys: keyring, Now: w.Now, Changed: func(table, id string) {
		w.IAM.Changed(table, id)
		w.Keys.Ring.Changed(table, id)
		w.Changed(table, id)
	}})
	fresh := func() bool { return true }
	var err error
	w.IAM, err = iam.New(iam.Options{Store: identity.Store{Store: w.Node.Store}, Log: w.Node.Log, Keyring: keyring, Logger: logger, Now: w.Now, Fresh: fresh})
	check(t, err)
	w.Keys = keytest.New(keytest.Options{Store: kms.Store{Store: w.Node.Store}, Tenants: w.IAM, Log: w.Node.Log, Now: w.Now})
	w.Service = offer.New(offer.Options{
		Store: kms.Store{Store: w.Node.Store}, Users: w.IAM, Keys: w.Keys, Log: w.Node.Log, Region: "cn-test", Now: w.Now, Fresh: fresh, Version: "test",
	})
	dialect := &xks.Dialect{Offers: w.Service, Log: w.Node.Log, Refusals: refusal.New(w.Node.Log), Limiter: &server.Limiter{}}
	edge := &server.Edge{Logger: logger, Metrics: server.NewMetrics("test", server.Gauges{}), Now: w.Now}
	w.Handler = edge.Handle("xks", server.MaxBody, dialect.Serve)
	w.found(t)
	return w
}

// found makes account, user and offer.
func (w *World) found(t testing.TB) {
	founded, err := w.IAM.CreateAccount(t.Context(), &authz.Call{Principal: authz.Principal{Kind: authz.Service, Name: "operator"}, Time: w.Now()}, "acme")
	check(t, err)
	w.Account = founded.Account.ID
	_, err = w.IAM.CreateUser(t.Context(), w.Root(), User, "")
	check(t, err)
	_, err = w.IAM.CreatePolicy(t.Context(), w.Root(), iam.NewPolicy{Name: User, Document: policy})
	check(t, err)
	check(t, w.IAM.AttachPolicy(t.Context(), w.Root(), User, User))
	_, w.Credential, err = w.Create(t.Context(), w.Root(), Name, User)
	check(t, err)
}

// NewKey makes a key and publishes it.
func (w *World) NewKey(t testing.TB, id string, use offer.Use) key.Key {
	t.Helper()
	k, err := w.Keys.Create(t.Context(), w.Root(), lifecycle.CreateInput{})
	check(t, err)
	_, err = w.Publish(t.Context(), w.Root(), Name, offer.Key{ID: id, Key: k.ID, Use: use})
	check(t, err)
	return k
}

// Prefix answers the path of the offer.
func (w *World) Prefix() string { return offer.Offer{Account: w.Account, Name: Name}.Prefix() }

// Configuration answers path and credential as AWS KMS takes them from a file.
func (w *World) Configuration(t testing.TB) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{"XksProxyUriPath": w.Prefix() + "/kms/xks/v1", "XksProxyAuthenticationCredential": map[string]string{
		"AccessKeyId": w.Credential.ID, "RawSecretAccessKey": string(w.Credential.Secret.Expose()),
	}})
	check(t, err)
	return b
}

// Records answers the records of the audit log, oldest first.
func (w *World) Records(t testing.TB) (out []audit.Entry) {
	t.Helper()
	check(t, w.Node.DB.Batches(t.Context(), w.Node.Log.Origin(), 0, func(b audit.Batch) error {
		for line := range bytes.Lines(b.Leaves) {
			e, err := audit.ParseEntry(line)
			if err != nil {
				return err
			}
			out = append(out, e)
		}
		return nil
	}))
	return out
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
