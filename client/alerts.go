package client

import (
	"context"

	"github.com/keyward/keyward/api"
)

// ListChannelKinds answers the kinds of channels and what each needs.
func (c *Client) ListChannelKinds(ctx context.Context) (api.ChannelKindList, error) {
	return call[api.ChannelKindList](ctx, c.server, "GET", at("channel-kinds"), nil)
}

// AddChannel makes a channel, over which people are told.
func (c *Client) AddChannel(ctx context.Context, in api.AddChannelRequest) (api.Channel, error) {
	return call[api.Channel](ctx, c.server, "POST", at("channels"), in)
}

// ListChannels answers all channels of the account and how they do, by name.
func (c *Client) ListChannels(ctx context.Context) (api.ChannelList, error) {
	return call[api.ChannelList](ctx, c.server, "GET", at("channels"), nil)
}

// UpdateChannel changes a channel.
func (c *Client) UpdateChannel(ctx context.Context, channel string, in api.UpdateChannelRequest) (api.Channel, error) {
	return call[api.Channel](ctx, c.server, "PATCH", at("channels", channel), in)
}

// RemoveChannel forgets a channel and what waits for it.
func (c *Client) RemoveChannel(ctx context.Context, channel string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("channels", channel), nil)
	return err
}

// TestChannel sends a test message over a channel at once.
func (c *Client) TestChannel(ctx context.Context, channel string, in api.TestChannelRequest) (api.ChannelReceipt, error) {
	return call[api.ChannelReceipt](ctx, c.server, "POST", at("channels", channel, "test"), in)
}

// ConfirmChannel notes that a person read a channel's test message.
func (c *Client) ConfirmChannel(ctx context.Context, channel string, in api.ConfirmChannelRequest) error {
	_, err := call[none](ctx, c.server, "POST", at("channels", channel, "confirm"), in)
	return err
}

// ListPeople answers the people of the account, by name.
func (c *Client) ListPeople(ctx context.Context) (api.PersonList, error) {
	return call[api.PersonList](ctx, c.server, "GET", at("people"), nil)
}

// SetPerson stores how a person can be told.
func (c *Client) SetPerson(ctx context.Context, person string, in api.SetPersonRequest) (api.Person, error) {
	return call[api.Person](ctx, c.server, "PUT", at("people", person), in)
}

// RemovePerson forgets a person whom no rota and no level of the escalation names.
func (c *Client) RemovePerson(ctx context.Context, person string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("people", person), nil)
	return err
}

// ListRotas answers the rotas of the account, by name.
func (c *Client) ListRotas(ctx context.Context) (api.RotaList, error) {
	return call[api.RotaList](ctx, c.server, "GET", at("rotas"), nil)
}

// SetRota stores who is on call when.
func (c *Client) SetRota(ctx context.Context, rota string, in api.SetRotaRequest) (api.Rota, error) {
	return call[api.Rota](ctx, c.server, "PUT", at("rotas", rota), in)
}

// RemoveRota forgets a rota that no level of the escalation names.
func (c *Client) RemoveRota(ctx context.Context, rota string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("rotas", rota), nil)
	return err
}

// GetEscalation answers when people are told, over what, and who comes next.
func (c *Client) GetEscalation(ctx context.Context) (api.Escalation, error) {
	return call[api.Escalation](ctx, c.server, "GET", at("escalation"), nil)
}

// SetEscalation sets when people are told, over what, and who comes next.
func (c *Client) SetEscalation(ctx context.Context, in api.Escalation) (api.Escalation, error) {
	return call[api.Escalation](ctx, c.server, "PUT", at("escalation"), in)
}

// ListIncidents answers the open incidents, or those that ended last.
func (c *Client) ListIncidents(ctx context.Context, in api.ListIncidentsRequest) (api.IncidentList, error) {
	return call[api.IncidentList](ctx, c.server, "GET", at("incidents"), in)
}

// GetIncident answers an incident with what was sent of it.
func (c *Client) GetIncident(ctx context.Context, incident string) (api.IncidentFile, error) {
	return call[api.IncidentFile](ctx, c.server, "GET", at("incidents", incident), nil)
}

// AcknowledgeIncident takes an incident on, which holds the escalation for a while.
func (c *Client) AcknowledgeIncident(ctx context.Context, incident string, in api.AcknowledgeRequest) (api.Incident, error) {
	return call[api.Incident](ctx, c.server, "POST", at("incidents", incident, "acknowledge"), in)
}
