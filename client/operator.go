package client

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/keyward/keyward/api"
)

// operatorTimeout bounds one call: unsealing takes seconds, because guessing a
// passphrase must.
const operatorTimeout = 2 * time.Minute

// An OperatorClient calls the operator API over the server's Unix socket. Nothing is
// signed: whoever may open the socket is the operator.
type OperatorClient struct {
	server transport
}

// Operator makes a client of the server whose operator socket is at path. It does not
// connect.
func Operator(path string) *OperatorClient {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &OperatorClient{transport{
		http:    withoutRedirects(&http.Client{Transport: &http.Transport{DialContext: dial}}),
		base:    "http://operator",
		timeout: operatorTimeout,
	}}
}

// In answers a client that differs in the language in which the server says what it
// refuses: "en" or "zh".
func (c *OperatorClient) In(language string) *OperatorClient {
	other := *c
	other.server.language = language
	return &other
}

// Status answers how the server stands.
func (c *OperatorClient) Status(ctx context.Context) (api.OperatorStatus, error) {
	return call[api.OperatorStatus](ctx, c.server, "GET", at("status"), nil)
}

// Initialize gives the server its root key and its first account, and leaves it unsealed.
func (c *OperatorClient) Initialize(ctx context.Context, in api.InitializeRequest) (api.FoundedAccount, error) {
	return call[api.FoundedAccount](ctx, c.server, "POST", at("init"), in)
}

// Unseal lets the server work.
func (c *OperatorClient) Unseal(ctx context.Context, in api.UnsealRequest) error {
	_, err := call[none](ctx, c.server, "POST", at("unseal"), in)
	return err
}

// OpenRootKey opens the root key for an act, with a passphrase or one share. The act is
// done when the answer is complete.
func (c *OperatorClient) OpenRootKey(ctx context.Context, in api.RootKeyRequest) (api.RootKeySession, error) {
	return call[api.RootKeySession](ctx, c.server, "POST", at("root-key"), in)
}

// ShowSession answers how a session of shares stands and what it is for.
func (c *OperatorClient) ShowSession(ctx context.Context, in api.RootKeySessionRequest) (api.RootKeySession, error) {
	return call[api.RootKeySession](ctx, c.server, "POST", at("session"), in)
}

// CancelSession ends a session of shares.
func (c *OperatorClient) CancelSession(ctx context.Context, in api.RootKeySessionRequest) error {
	_, err := call[none](ctx, c.server, "POST", at("cancel"), in)
	return err
}

// Seal erases the keys from the server's memory; it refuses everything until unsealed.
func (c *OperatorClient) Seal(ctx context.Context) error {
	_, err := call[none](ctx, c.server, "POST", at("seal"), nil)
	return err
}

// AcceptClock has the server believe its clock, which jumped, as it is.
func (c *OperatorClient) AcceptClock(ctx context.Context) error {
	_, err := call[none](ctx, c.server, "POST", at("clock"), nil)
	return err
}

// HSM answers how the hardware token stands; a server without one is an error.
func (c *OperatorClient) HSM(ctx context.Context) (api.HSMStatus, error) {
	return call[api.HSMStatus](ctx, c.server, "GET", at("hsm"), nil)
}

// CreateAccount makes a new account.
func (c *OperatorClient) CreateAccount(ctx context.Context, in api.CreateAccountRequest) (api.FoundedAccount, error) {
	return call[api.FoundedAccount](ctx, c.server, "POST", at("accounts"), in)
}

// ListAccounts answers one page of accounts, by id.
func (c *OperatorClient) ListAccounts(ctx context.Context, in api.PageRequest) (api.AccountList, error) {
	return call[api.AccountList](ctx, c.server, "GET", at("accounts"), in)
}

// ListAuditLogs answers the public key and the newest signed head of every log.
func (c *OperatorClient) ListAuditLogs(ctx context.Context) (api.AuditLogList, error) {
	return call[api.AuditLogList](ctx, c.server, "GET", at("audit", "logs"), nil)
}

// ProveAuditRecord answers a proof that a log holds a record, of whichever account.
func (c *OperatorClient) ProveAuditRecord(ctx context.Context, in api.AuditProofRequest) (api.AuditProof, error) {
	return call[api.AuditProof](ctx, c.server, "GET", at("audit", "proof"), in)
}

// Scrub has the server look at everything that it keeps; only ctx bounds how long that takes.
func (c *OperatorClient) Scrub(ctx context.Context) (api.ScrubReport, error) {
	patient := c.server
	patient.timeout = 24 * time.Hour
	return call[api.ScrubReport](ctx, patient, "POST", at("scrub"), nil)
}

// ExportAudit writes every record of every log to w, as keyward audit verify reads
// them; only ctx bounds how long that takes. What is in w after an error is cut off and
// must not be kept as an export.
func (c *OperatorClient) ExportAudit(ctx context.Context, w io.Writer) error {
	export, err := c.server.open(ctx, "GET", at("audit", "export"), nil)
	if err != nil {
		return err
	}
	defer export.Close()
	if _, err := io.Copy(w, export); err != nil {
		return fmt.Errorf("exporting audit log: %w", err)
	}
	return nil
}

// SuspendApprovalRule has a rule about approvals demand nothing for a while.
func (c *OperatorClient) SuspendApprovalRule(ctx context.Context, in api.SuspendApprovalRuleRequest) (api.SuspendedApprovalRule, error) {
	return call[api.SuspendedApprovalRule](ctx, c.server, "POST", at("approval-rules", "suspend"), in)
}
