package operator_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/approval"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/audit/export"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/custody"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/hsm"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/server/operator"
	"github.com/keyward/keyward/internal/store/storetest"
)

const (
	origin     = "keyward.test/node"
	passphrase = "fake passphrase for tests"
)

var created = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// A control keeps the contract of operator.Control with variables instead of keys.
type control struct {
	node        storetest.Node
	initialized bool
	sealed      bool
	held        []material.Bytes // the passphrases that it was given
	page        iam.Page         // that accounts were last listed by
	exportFails error            // after the first bytes
	opening     operator.Opening // last
	cancelled   string           // session
	accepted    int              // how often the clock was
	suspended   string
}

func (c *control) Token(context.Context) (hsm.Status, error) {
	return hsm.Status{State: hsm.Ready, Label: "token", Since: created, Offers: []hsm.Offer{{Spec: "EC_SM2", Reason: "it cannot"}}}, nil
}

func (c *control) Status(context.Context) (operator.Status, error) {
	return operator.Status{
		Initialized: c.initialized, Sealed: c.sealed, Version: "v1", Node: "node", Epoch: 2, Rewrapping: true,
		Checkpoint: c.node.Log.Checkpoint(), PublicKey: "key",
		Envelopes: []seal.Envelope{
			{ID: "1", Name: "daily", Provider: "passphrase", CreatedAt: created}, {ID: "2", Name: "rescue", Provider: "passphrase", Recovery: true, CreatedAt: created},
		},
		Tests: []custody.TestRow{{Envelope: "2", At: created}},
	}, nil
}

func (c *control) Found(ctx context.Context, first custody.Intent, account string) (iam.Founded, []custody.Delivery, error) {
	if c.initialized {
		return iam.Founded{}, nil, fault.ResourceExists.New("it is initialised")
	}
	if err := c.Unseal(ctx, first.Protection.Passphrase); err != nil {
		return iam.Founded{}, nil, err
	}
	c.initialized = true
	founded, err := c.CreateAccount(ctx, account)
	return founded, nil, err
}

func (c *control) OpenRootKey(_ context.Context, in operator.Opening) (operator.Opened, error) {
	c.opening = in
	c.held = append(c.held, in.Passphrase, in.Share, in.Intent.Protection.Passphrase)
	return operator.Opened{
		Complete: true, Progress: custody.Progress{Session: "S", Intent: in.Intent, Envelope: "board", Threshold: 2, Given: []int{3, 1}, Ends: created},
		Deliveries: []custody.Delivery{{Index: 1, Recipient: "age1", Text: material.NewBytes([]byte("fake secret share"))}},
	}, nil
}

func (c *control) ShowSession(_ context.Context, session string) (custody.Progress, error) {
	if session != "S" {
		return custody.Progress{}, fault.ResourceNotFound.New("there is no such session")
	}
	return custody.Progress{Session: "S", Intent: custody.Intent{Act: custody.Remove, Envelope: "old"}, Envelope: "board", Threshold: 2, Given: []int{3}}, nil
}

func (c *control) CancelSession(_ context.Context, session string) error {
	c.cancelled = session
	return nil
}

func (c *control) Unseal(_ context.Context, p material.Bytes) error {
	c.held = append(c.held, p)
	if !p.Equal(material.NewBytes([]byte(passphrase))) {
		return fault.InvalidParameter.New("the passphrase is wrong")
	}
	c.sealed = false
	return nil
}

func (c *control) Seal(context.Context) error {
	c.sealed = true
	return nil
}

func (c *control) AcceptClock(context.Context) error {
	c.accepted++
	return nil
}

func (c *control) CreateAccount(_ context.Context, name string) (iam.Founded, error) {
	if c.sealed {
		return iam.Founded{}, fault.Sealed.New("it is sealed")
	}
	return iam.Founded{
		Account: iam.Account{ID: "1", Name: name},
		Key:     iam.IssuedKey{AccessKey: iam.AccessKey{ID: "K", User: "admin"}, Secret: material.NewBytes([]byte("fake secret of " + name))},
	}, nil
}

func (c *control) ListAccounts(_ context.Context, page iam.Page) (iam.List[iam.Account], error) {
	c.page = page
	return iam.List[iam.Account]{Items: []iam.Account{{ID: "1", Name: "Example", CreatedAt: created}}, Next: "1"}, nil
}

func (c *control) SuspendApprovalRule(_ context.Context, account, rule string, while time.Duration) (approval.Rule, error) {
	c.suspended = fmt.Sprint(account, " ", rule, " ", while)
	return approval.Rule{Account: account, Name: rule, SuspendedUntil: created}, nil
}

func (c *control) Prove(ctx context.Context, log string, seq int64) ([]byte, error) {
	return audit.Prove(ctx, c.node.DB, log, seq)
}

func (c *control) Scrub(context.Context) (api.ScrubReport, error) {
	if c.sealed {
		return api.ScrubReport{}, fault.Sealed.New("it is sealed")
	}
	return scrubbed, nil
}

var scrubbed = api.ScrubReport{
	StartedAt: created, Milliseconds: 1500, Rows: 7, Records: 8, More: 9,
	Findings: []api.Finding{{Problem: "stale", Table: "kms_key", ID: "1/key-x", Detail: "put back"}},
}

func (c *control) Export(ctx context.Context, w io.Writer) error {
	ids, err := c.node.DB.Logs(ctx)
	if err != nil {
		return err
	}
	return errors.Join(export.Write(ctx, c.node.DB, ids[0], w), c.exportFails)
}

// A world is the API on a Unix socket, over a real audit log with one record.
type world struct {
	*control
	*client.OperatorClient
	log  strings.Builder // to be read when the server has stopped
	stop func()
	http *http.Client
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{control: &control{sealed: true}}
	w.node = storetest.Start(t, storetest.Options{
		URL: storetest.SQLite(t), Origin: origin, Keys: sealtest.Keyring(t), Now: time.Now, Changed: func(string, string) {},
	})
	rec := audit.NewRecord(&authz.Call{Time: time.Now(), Principal: authz.Principal{Account: "1", Kind: authz.Root}}, "kms:Encrypt")
	rec.Result = audit.ResultOK
	if err := w.node.Log.Append(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	none := func() float64 { return 0 }
	edge := &server.Edge{
		Logger: slog.New(slog.NewTextHandler(&w.log, nil)), Now: time.Now,
		Metrics: server.NewMetrics("test", server.Gauges{Sealed: none, AuditSize: none, TamperedRows: none}),
	}
	s := httptest.NewUnstartedServer(edge.Handle("operator", server.MaxBody, operator.New(w.control, w.node.DB)))
	socket := filepath.Join(t.TempDir(), "operator.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Listener.Close() // of TCP, which is not wanted
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	w.stop = s.Close
	w.OperatorClient = client.Operator(socket)
	w.http = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	return w
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func codeOf(err error) string {
	var e *client.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return fmt.Sprint(err)
}

func TestLifeOfAServer(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	if s := must(w.OperatorClient.Status(ctx))(t); s.Initialized || !s.Sealed {
		t.Errorf("a new server is %+v", s)
	}
	if _, err := w.OperatorClient.CreateAccount(ctx, api.CreateAccountRequest{Name: "Early"}); codeOf(err) != "Sealed" {
		t.Errorf("an account of a sealed server: %v", err)
	}
	f := must(w.OperatorClient.Initialize(ctx, api.InitializeRequest{Passphrase: []byte(passphrase), Account: "Example"}))(t)
	if want := (api.FoundedAccount{AccountID: "1", UserName: "admin", AccessKeyID: "K", AccessKeySecret: "fake secret of Example"}); !cmp.Equal(f, want) {
		t.Errorf("initialising answers another account")
	}
	if _, err := w.OperatorClient.Initialize(ctx, api.InitializeRequest{Passphrase: []byte(passphrase), Account: "Other"}); codeOf(err) != "ResourceExists" {
		t.Errorf("a second time: %v", err)
	}
	want := api.OperatorStatus{
		Initialized: true, Version: "v1", Envelopes: 2, Node: "node", AuditCheckpoint: string(w.node.Log.Checkpoint()), PublicKey: "key",
		RecoveryTested: true, Epoch: 2, Rewrapping: true, Witnesses: []api.WitnessStatus{},
		RootEnvelopes: []api.RootEnvelope{
			{Name: "daily", Kind: "passphrase", CreatedAt: created}, {Name: "rescue", Kind: "passphrase", Recovery: true, CreatedAt: created, TestedAt: &created},
		},
	}
	if diff := cmp.Diff(want, must(w.OperatorClient.Status(ctx))(t)); diff != "" {
		t.Error(diff)
	}
	if err := w.OperatorClient.AcceptClock(ctx); err != nil || w.accepted != 1 {
		t.Errorf("accepting the clock: %v, accepted %d times", err, w.accepted)
	}
	suspended := must(w.OperatorClient.SuspendApprovalRule(ctx, api.SuspendApprovalRuleRequest{Account: "1", Rule: "two", For: "2h"}))(t)
	if want := (api.SuspendedApprovalRule{Name: "two", SuspendedUntil: created}); suspended != want || w.suspended != "1 two 2h0m0s" {
		t.Errorf("suspending a rule answers %+v of %q", suspended, w.suspended)
	}
	if err := w.OperatorClient.Seal(ctx); err != nil || !w.sealed {
		t.Errorf("sealing: %v, sealed: %t", err, w.sealed)
	}
	if err := w.OperatorClient.Unseal(ctx, api.UnsealRequest{Passphrase: []byte("wrong")}); codeOf(err) != "InvalidParameter" || !w.sealed {
		t.Errorf("a wrong passphrase: %v, sealed: %t", err, w.sealed)
	}
	if err := w.OperatorClient.Unseal(ctx, api.UnsealRequest{Passphrase: []byte(passphrase)}); err != nil || w.sealed {
		t.Errorf("unsealing: %v, sealed: %t", err, w.sealed)
	}
	if f := must(w.OperatorClient.CreateAccount(ctx, api.CreateAccountRequest{Name: "Second"}))(t); f.AccessKeySecret != "fake secret of Second" {
		t.Error("creating an account answers another one")
	}
	accounts := must(w.OperatorClient.ListAccounts(ctx, api.PageRequest{Limit: 1, Cursor: "0"}))(t)
	if diff := cmp.Diff(api.AccountList{Accounts: []api.Account{{ID: "1", Name: "Example", CreatedAt: created}}, Next: "1"}, accounts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(iam.Page{After: "0", Limit: 1}, w.page); diff != "" {
		t.Error(diff)
	}
	for i, p := range w.held {
		if p.Len() != 0 {
			t.Errorf("passphrase %d was not erased", i)
		}
	}
	w.stop()
	if log := w.log.String(); strings.Contains(log, passphrase) || strings.Contains(log, "fake secret") || !strings.Contains(log, "operation=Unseal") {
		t.Errorf("the log is\n%s", log)
	}
}

func TestScrubIsReported(t *testing.T) {
	w := newWorld(t)
	w.sealed = false
	if diff := cmp.Diff(scrubbed, must(w.OperatorClient.Scrub(t.Context()))(t)); diff != "" {
		t.Error(diff)
	}
	w.sealed = true
	if _, err := w.OperatorClient.Scrub(t.Context()); codeOf(err) != "Sealed" {
		t.Errorf("sealed: %v", err)
	}
}

func TestTheRootKey(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	got := must(w.OperatorClient.OpenRootKey(ctx, api.RootKeyRequest{
		Act: "add", Share: "fake share", Name: "rescue", Recovery: true, NewPassphrase: []byte("fake new one"), Shares: 5, Threshold: 3, Recipients: []string{"age1"},
	}))(t)
	want := api.RootKeySession{
		Session: "S", Act: "add", Envelope: "board", Threshold: 2, Given: []int{3, 1}, Complete: true, EndsAt: &created,
		Deliveries: []api.Delivery{{Share: 1, Recipient: "age1", Text: "fake secret share"}},
		Name:       "rescue", Recovery: true, NewShares: 5, NewThreshold: 3, Recipients: []string{"age1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	must(w.OperatorClient.OpenRootKey(ctx, api.RootKeyRequest{Act: "remove", Passphrase: []byte(passphrase), Name: "old", AcceptUntested: true, Session: "S"}))(t)
	if i := w.opening.Intent; i.Act != custody.Remove || i.Envelope != "old" || !i.Untested || w.opening.Session != "S" {
		t.Errorf("removing asks for %+v", i)
	}
	for i, secret := range w.held {
		if secret.Len() != 0 {
			t.Errorf("secret %d was not erased", i)
		}
	}
	for _, in := range []api.RootKeyRequest{{Act: "test"}, {Act: "test", Passphrase: []byte(passphrase), Share: "fake share"}} {
		if _, err := w.OperatorClient.OpenRootKey(ctx, in); codeOf(err) != "InvalidParameter" {
			t.Errorf("neither or both of passphrase and share: %v", err)
		}
	}
	shown := must(w.OperatorClient.ShowSession(ctx, api.RootKeySessionRequest{Session: "S"}))(t)
	if diff := cmp.Diff(api.RootKeySession{Session: "S", Act: "remove", Name: "old", Envelope: "board", Threshold: 2, Given: []int{3}}, shown); diff != "" {
		t.Error(diff)
	}
	if _, err := w.OperatorClient.ShowSession(ctx, api.RootKeySessionRequest{Session: "T"}); codeOf(err) != "ResourceNotFound" {
		t.Errorf("another session: %v", err)
	}
	if err := w.OperatorClient.CancelSession(ctx, api.RootKeySessionRequest{Session: "S"}); err != nil || w.cancelled != "S" {
		t.Errorf("cancelling %q: %v", w.cancelled, err)
	}
	w.stop()
	if log := w.log.String(); strings.Contains(log, "fake") || strings.Contains(log, passphrase) || !strings.Contains(log, "operation=OpenRootKey") {
		t.Errorf("the log is\n%s", log)
	}
}

func TestAuditLogIsShownWhole(t *testing.T) {
	w := newWorld(t)
	logs := must(w.ListAuditLogs(t.Context()))(t).Logs
	if len(logs) != 1 || logs[0].Origin != origin || logs[0].Size != 1 || logs[0].Checkpoint != string(w.node.Log.Checkpoint()) {
		t.Fatalf("the logs are %+v", logs)
	}
	proof := must(w.ProveAuditRecord(t.Context(), api.AuditProofRequest{Log: origin, Seq: 0}))(t)
	if entry, _, err := audit.VerifyProof([]byte(proof.Proof), logs[0].PublicKey); err != nil || entry.Account != "1" {
		t.Errorf("the proof shows %+v: %v", entry, err)
	}
	if _, err := w.ProveAuditRecord(t.Context(), api.AuditProofRequest{Log: origin, Seq: 1}); codeOf(err) != "ResourceNotFound" {
		t.Errorf("a record that is not there: %v", err)
	}
	var exported strings.Builder
	if err := w.ExportAudit(t.Context(), &exported); err != nil {
		t.Fatal(err)
	}
	reports := must(export.Verify(strings.NewReader(exported.String()), func(_, claimed string) audit.Trust {
		return audit.Trust{PublicKey: logs[0].PublicKey}
	}, nil))(t)
	if len(reports) != 1 {
		t.Errorf("the export has %d logs", len(reports))
	}
	w.exportFails = errors.New("the disk is gone")
	if err := w.ExportAudit(t.Context(), io.Discard); err == nil {
		t.Error("an export that failed on its way looks whole")
	}
}

func TestBadInput(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		method, target, contentType, body string
		status                            int
		code                              string
	}{
		{"GET", "/v1/nothing", "", "", 404, "ActionNotFound"},
		{"DELETE", "/v1/status", "", "", 404, "ActionNotFound"},
		{"GET", "/v1/status?x=y", "", "", 400, "InvalidParameter"},
		{"GET", "/v1/status", "application/json", "{}", 400, "InvalidParameter"},
		{"GET", "/v1/accounts?limit=1&limit=2", "", "", 400, "InvalidParameter"},
		{"GET", "/v1/accounts?limit=%zz", "", "", 400, "InvalidParameter"},
		{"GET", "/v1/accounts?limit=x", "", "", 400, "InvalidParameter"},
		{"GET", "/v1/audit/proof", "", "", 400, "MissingParameter"},
		{"GET", "/v1/audit/proof?log=x&seq=0", "", "", 404, "ResourceNotFound"},
		{"GET", "/v1/audit/logs?x=", "", "", 400, "InvalidParameter"},
		{"GET", "/v1/audit/export?x=", "", "", 400, "InvalidParameter"},
		{"GET", "/v1/audit/export", "application/json", "{}", 400, "InvalidParameter"},
		{"POST", "/v1/init", "application/json", "{}", 400, "MissingParameter"},
		{"POST", "/v1/init", "text/plain", `{"passphrase":"","account":"a"}`, 400, "InvalidParameter"},
		{"POST", "/v1/unseal", "application/json", `{"passphrase":"plain text"}`, 400, "InvalidParameter"},
		{"POST", "/v1/unseal?passphrase=eA==", "application/json", `{"passphrase":"eA=="}`, 400, "InvalidParameter"},
		{"POST", "/v1/seal", "application/json", `{}`, 400, "InvalidParameter"},
		{"POST", "/v1/accounts", "application/json", `{"name":1}`, 400, "InvalidParameter"},
		{"POST", "/v1/unseal", "application/json", `{"passphrase":"` + strings.Repeat("A", server.MaxBody) + `"}`, 413, "TooLarge"},
	} {
		r := must(http.NewRequestWithContext(t.Context(), c.method, "http://operator"+c.target, strings.NewReader(c.body)))(t)
		if c.contentType != "" {
			r.Header.Set("Content-Type", c.contentType)
		}
		resp := must(w.http.Do(r))(t)
		body := string(must(io.ReadAll(resp.Body))(t))
		_ = resp.Body.Close() // it was read
		if resp.StatusCode != c.status || !strings.Contains(body, `"code":"`+c.code+`"`) {
			t.Errorf("%s %s %.60s: answered %d %s, want %d %s", c.method, c.target, c.body, resp.StatusCode, body, c.status, c.code)
		}
	}
	if len(w.held) != 0 {
		t.Error("a passphrase was tried")
	}
}
