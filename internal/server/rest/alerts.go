package rest

import (
	"context"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/oncall"
	"github.com/keyward/keyward/internal/server/rest/words"
)

func alertRoutes() []route {
	return []route{
		{"GET", "/v1/channel-kinds", "ListChannelKinds", "keyward:ListChannelKinds", "Answers the kinds of channels and what each needs.", takes((*dialect).listChannelKinds)},
		{"POST", "/v1/channels", "AddChannel", "keyward:AddChannel", "Makes a channel, over which people are told.", takesPolicy((*dialect).addChannel)},
		{"GET", "/v1/channels", "ListChannels", "keyward:ListChannels", "Answers all channels of the account and how they do, by name.", takes((*dialect).listChannels)},
		{"PATCH", "/v1/channels/{channel}", "UpdateChannel", "keyward:UpdateChannel", "Changes a channel, or its settings and its credential together.", takesPolicy((*dialect).updateChannel)},
		{"DELETE", "/v1/channels/{channel}", "RemoveChannel", "keyward:RemoveChannel", "Forgets a channel and what waits for it.", takes((*dialect).removeChannel)},
		{"POST", "/v1/channels/{channel}/test", "TestChannel", "keyward:TestChannel", "Sends a test message over a channel at once.", takes((*dialect).testChannel)},
		{"POST", "/v1/channels/{channel}/confirm", "ConfirmChannel", "keyward:ConfirmChannel", "Notes that a person read a channel's test message.", takes((*dialect).confirmChannel)},
		{"GET", "/v1/people", "ListPeople", "keyward:ListPeople", "Answers the people of the account, by name.", takes((*dialect).listPeople)},
		{"PUT", "/v1/people/{person}", "SetPerson", "keyward:SetPerson", "Stores how a person can be told, a new one or a known one.", takes((*dialect).setPerson)},
		{"DELETE", "/v1/people/{person}", "RemovePerson", "keyward:RemovePerson", "Forgets a person whom no rota and no level of the escalation names.", takes((*dialect).removePerson)},
		{"GET", "/v1/rotas", "ListRotas", "keyward:ListPeople", "Answers the rotas of the account, by name.", takes((*dialect).listRotas)},
		{"PUT", "/v1/rotas/{rota}", "SetRota", "keyward:SetRota", "Stores who is on call when, a new rota or a known one.", takes((*dialect).setRota)},
		{"DELETE", "/v1/rotas/{rota}", "RemoveRota", "keyward:RemoveRota", "Forgets a rota that no level of the escalation names.", takes((*dialect).removeRota)},
		{"GET", "/v1/escalation", "GetEscalation", "keyward:GetEscalation", "Answers when people are told, over what, and who comes next.", takes((*dialect).getEscalation)},
		{"PUT", "/v1/escalation", "SetEscalation", "keyward:SetEscalation", "Sets when people are told, over what, and who comes next.", takes((*dialect).setEscalation)},
		{"GET", "/v1/incidents", "ListIncidents", "keyward:ListIncidents", "Answers the open incidents, or those that ended last.", takes((*dialect).listIncidents)},
		{"GET", "/v1/incidents/{incident}", "GetIncident", "keyward:GetIncident", "Answers an incident with what was sent of it.", takes((*dialect).getIncident)},
		{"POST", "/v1/incidents/{incident}/acknowledge", "AcknowledgeIncident", "keyward:AcknowledgeIncident", "Takes an incident on, which holds the escalation for a while.", takes((*dialect).acknowledge)},
	}
}

func (d *dialect) listChannelKinds(ctx context.Context, q request, _ none) (out api.ChannelKindList, err error) {
	err = d.read(ctx, q.call, "keyward:ListChannelKinds", "channel/*", func(*audit.Record) error {
		out.Kinds = words.Each(d.Alerts.Kinds(), words.ChannelKind)
		return nil
	})
	return out, err
}

func (d *dialect) addChannel(ctx context.Context, q request, in api.AddChannelRequest) (api.Channel, error) {
	filling := fillingOf(in.Connection)
	defer filling.Erase()
	heartbeat, err := words.Duration(&in.Heartbeat)
	if err != nil {
		return api.Channel{}, d.refuse(ctx, q.call, "keyward:AddChannel", err)
	}
	ch, err := d.Alerts.AddChannel(ctx, q.call, in.Name, in.Kind, notify.Draft{Filling: &filling, Heartbeat: heartbeat})
	return words.Channel(notify.Standing{Channel: ch}), err
}

func (d *dialect) listChannels(ctx context.Context, q request, _ none) (api.ChannelList, error) {
	list, err := d.Alerts.ListChannels(ctx, q.call)
	return api.ChannelList{Channels: words.Each(list, words.Channel)}, err
}

func (d *dialect) updateChannel(ctx context.Context, q request, in api.UpdateChannelRequest) (api.Channel, error) {
	draft := notify.Draft{Paused: in.Paused}
	if in.Connection != nil {
		filling := fillingOf(*in.Connection)
		defer filling.Erase()
		draft.Filling = &filling
	}
	var err error
	if draft.Heartbeat, err = words.Duration(in.Heartbeat); err != nil {
		return api.Channel{}, d.refuse(ctx, q.call, "keyward:UpdateChannel", err)
	}
	ch, err := d.Alerts.UpdateChannel(ctx, q.call, q.vars["channel"], draft)
	return words.Channel(notify.Standing{Channel: ch}), err
}

func (d *dialect) removeChannel(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Alerts.RemoveChannel(ctx, q.call, q.vars["channel"])
}

func (d *dialect) testChannel(ctx context.Context, q request, in api.TestChannelRequest) (api.ChannelReceipt, error) {
	r, err := d.Alerts.Test(ctx, q.call, q.vars["channel"], in.Person)
	return api.ChannelReceipt{ID: r.ID, State: string(r.State)}, err
}

func (d *dialect) confirmChannel(ctx context.Context, q request, in api.ConfirmChannelRequest) (none, error) {
	by := in.By
	if by == "" {
		by = q.call.ARN()
	}
	return none{}, d.Alerts.Confirm(ctx, q.call, q.vars["channel"], by)
}

func (d *dialect) listPeople(ctx context.Context, q request, _ none) (api.PersonList, error) {
	directory, err := d.Alerts.Directory(ctx, q.call)
	return api.PersonList{People: words.Each(directory.People, words.Person)}, err
}

func (d *dialect) setPerson(ctx context.Context, q request, in api.SetPersonRequest) (api.Person, error) {
	p, err := d.Alerts.SetPerson(ctx, q.call, oncall.Person{
		Name: q.vars["person"], Email: in.Email, Mobile: in.Mobile, IDs: words.Pairs(in.IDs), Language: message.Language(in.Language),
	})
	return words.Person(p), err
}

func (d *dialect) removePerson(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Alerts.RemovePerson(ctx, q.call, q.vars["person"])
}

func (d *dialect) listRotas(ctx context.Context, q request, _ none) (api.RotaList, error) {
	directory, err := d.Alerts.Directory(ctx, q.call)
	return api.RotaList{Rotas: words.Each(directory.Rotas, func(r oncall.Rota) api.Rota { return words.Rota(r, q.call.Time) })}, err
}

func (d *dialect) setRota(ctx context.Context, q request, in api.SetRotaRequest) (api.Rota, error) {
	turn, err := words.Duration(&in.Turn)
	if err != nil {
		return api.Rota{}, d.refuse(ctx, q.call, "keyward:SetRota", err)
	}
	r, err := d.Alerts.SetRota(ctx, q.call, oncall.Rota{Name: q.vars["rota"], People: in.People, Start: in.Start, Turn: *turn})
	if err != nil {
		return api.Rota{}, err
	}
	return words.Rota(r, q.call.Time), nil
}

func (d *dialect) removeRota(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Alerts.RemoveRota(ctx, q.call, q.vars["rota"])
}

func (d *dialect) getEscalation(ctx context.Context, q request, _ none) (api.Escalation, error) {
	p, err := d.Alerts.Plan(ctx, q.call)
	return words.Escalation(p), err
}

func (d *dialect) setEscalation(ctx context.Context, q request, in api.Escalation) (api.Escalation, error) {
	p, err := words.EscalationOf(in)
	if err != nil {
		return api.Escalation{}, d.refuse(ctx, q.call, "keyward:SetEscalation", err)
	}
	p, err = d.Alerts.SetPlan(ctx, q.call, p)
	return words.Escalation(p), err
}

func (d *dialect) listIncidents(ctx context.Context, q request, in api.ListIncidentsRequest) (api.IncidentList, error) {
	list, err := d.Alerts.Incidents(ctx, q.call, in.Ended)
	if err != nil {
		return api.IncidentList{}, err
	}
	p, err := d.Alerts.Ladder(ctx, q.call.Account)
	return api.IncidentList{Incidents: words.Each(list, func(i notify.Incident) api.Incident { return words.Incident(i, p, q.call.Time) })}, err
}

func (d *dialect) getIncident(ctx context.Context, q request, _ none) (api.IncidentFile, error) {
	f, err := d.Alerts.Incident(ctx, q.call, q.vars["incident"])
	if err != nil {
		return api.IncidentFile{}, err
	}
	p, err := d.Alerts.Ladder(ctx, q.call.Account)
	return api.IncidentFile{Incident: words.Incident(f.Incident, p, q.call.Time), Deliveries: words.Each(f.Deliveries, words.Delivery)}, err
}

func (d *dialect) acknowledge(ctx context.Context, q request, in api.AcknowledgeRequest) (api.Incident, error) {
	hold, err := words.Duration(&in.Hold)
	if err != nil {
		return api.Incident{}, d.refuse(ctx, q.call, "keyward:AcknowledgeIncident", err)
	}
	p, err := d.Alerts.Ladder(ctx, q.call.Account)
	if err != nil {
		return api.Incident{}, d.refuse(ctx, q.call, "keyward:AcknowledgeIncident", err)
	}
	i, err := d.Alerts.Acknowledge(ctx, q.call, q.vars["incident"], in.By, in.Note, *hold)
	return words.Incident(i, p, q.call.Time), err
}
