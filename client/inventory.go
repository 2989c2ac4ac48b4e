package client

import (
	"context"
	"strings"

	"github.com/keyward/keyward/api"
)

// ListProviderKinds answers the kinds of providers and what each needs.
func (c *Client) ListProviderKinds(ctx context.Context) (api.ProviderKindList, error) {
	return call[api.ProviderKindList](ctx, c.server, "GET", at("provider-kinds"), nil)
}

// AddProvider watches the access keys of an account at a vendor.
func (c *Client) AddProvider(ctx context.Context, in api.AddProviderRequest) (api.Provider, error) {
	return call[api.Provider](ctx, c.server, "POST", at("providers"), in)
}

// ListProviders answers all providers of the account, by name.
func (c *Client) ListProviders(ctx context.Context) (api.ProviderList, error) {
	return call[api.ProviderList](ctx, c.server, "GET", at("providers"), nil)
}

// GetProvider answers a provider and how its synchronisations go.
func (c *Client) GetProvider(ctx context.Context, provider string) (api.Provider, error) {
	return call[api.Provider](ctx, c.server, "GET", at("providers", provider), nil)
}

// UpdateProvider changes a provider.
func (c *Client) UpdateProvider(ctx context.Context, provider string, in api.UpdateProviderRequest) (api.Provider, error) {
	return call[api.Provider](ctx, c.server, "PATCH", at("providers", provider), in)
}

// RemoveProvider forgets a provider and what was read of it.
func (c *Client) RemoveProvider(ctx context.Context, provider string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("providers", provider), nil)
	return err
}

// SyncProvider has a provider read as soon as possible.
func (c *Client) SyncProvider(ctx context.Context, provider string) error {
	_, err := call[none](ctx, c.server, "POST", at("providers", provider, "sync"), nil)
	return err
}

// ListInventory answers one page of the access keys that others issued.
func (c *Client) ListInventory(ctx context.Context, in api.ListInventoryRequest) (api.InventoryList, error) {
	return call[api.InventoryList](ctx, c.server, "GET", at("inventory"), in)
}

// GetCalendar answers the dates of the inventory as a calendar.
func (c *Client) GetCalendar(ctx context.Context, in api.CalendarRequest) (api.Calendar, error) {
	return call[api.Calendar](ctx, c.server, "GET", at("inventory", "calendar"), in)
}

// SubscribeCalendar makes a link with which a calendar program follows the calendar with the
// caller's rights. The link is answered this once.
func (c *Client) SubscribeCalendar(ctx context.Context, in api.SubscribeCalendarRequest) (api.CalendarLink, error) {
	return call[api.CalendarLink](ctx, c.server, "POST", at("calendar-subscriptions"), in)
}

// ListCalendarSubscriptions answers all calendar subscriptions of the account, by name.
func (c *Client) ListCalendarSubscriptions(ctx context.Context) (api.CalendarSubscriptionList, error) {
	return call[api.CalendarSubscriptionList](ctx, c.server, "GET", at("calendar-subscriptions"), nil)
}

// UnsubscribeCalendar ends a calendar subscription: its link leads nowhere from then on.
func (c *Client) UnsubscribeCalendar(ctx context.Context, subscription string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("calendar-subscriptions", subscription), nil)
	return err
}

// GetInventoryKey answers an access key that others issued.
func (c *Client) GetInventoryKey(ctx context.Context, provider, id string) (api.InventoryKey, error) {
	return call[api.InventoryKey](ctx, c.server, "GET", atKey(provider, id), nil)
}

// EnterKey adds a key that a person made to a manual provider, after it passed the checks
// of its guide; what is secret of it is kept as a secret.
func (c *Client) EnterKey(ctx context.Context, provider string, in api.EnterKeyRequest) (api.EnteredKey, error) {
	return call[api.EnteredKey](ctx, c.server, "POST", at("inventory", provider), in)
}

// ForgetKey removes an entered or gone key from the inventory.
func (c *Client) ForgetKey(ctx context.Context, provider, id string) error {
	_, err := call[none](ctx, c.server, "DELETE", atKey(provider, id), nil)
	return err
}

// RemarkInventoryKey changes what people say of an access key.
func (c *Client) RemarkInventoryKey(ctx context.Context, provider, id string, in api.RemarkKeyRequest) (api.InventoryKey, error) {
	return call[api.InventoryKey](ctx, c.server, "PATCH", atKey(provider, id), in)
}

// atKey makes the path of a key that others issued. Its id may be any printable text: "~"
// is written "~0", a slash "~1" and a dot in front "~2", so that no two are spelt alike
// and none means something to a proxy.
func atKey(provider, id string) string {
	id = strings.NewReplacer("~", "~0", "/", "~1").Replace(id)
	if rest, ok := strings.CutPrefix(id, "."); ok {
		id = "~2" + rest
	}
	return at("inventory", provider, id)
}

// GetExpiryScan answers how the last look at all expiries went.
func (c *Client) GetExpiryScan(ctx context.Context) (api.ExpiryScan, error) {
	return call[api.ExpiryScan](ctx, c.server, "GET", at("expiry-scan"), nil)
}

// ListFindings answers one page of findings, the most severe first.
func (c *Client) ListFindings(ctx context.Context, in api.ListFindingsRequest) (api.FindingList, error) {
	return call[api.FindingList](ctx, c.server, "GET", at("findings"), in)
}

// GetFinding answers a finding.
func (c *Client) GetFinding(ctx context.Context, id string) (api.KeyFinding, error) {
	return call[api.KeyFinding](ctx, c.server, "GET", at("findings", id), nil)
}

// SuppressFinding accepts a finding until a date.
func (c *Client) SuppressFinding(ctx context.Context, id string, in api.SuppressFindingRequest) (api.KeyFinding, error) {
	return call[api.KeyFinding](ctx, c.server, "POST", at("findings", id, "suppress"), in)
}

// ResolveFinding says that a finding was mended. It opens again when what the provider
// tells from now on says otherwise.
func (c *Client) ResolveFinding(ctx context.Context, id string) (api.KeyFinding, error) {
	return call[api.KeyFinding](ctx, c.server, "POST", at("findings", id, "resolve"), nil)
}

// ListChecks answers every check with its thresholds and the number of its findings.
func (c *Client) ListChecks(ctx context.Context) (api.CheckList, error) {
	return call[api.CheckList](ctx, c.server, "GET", at("checks"), nil)
}
