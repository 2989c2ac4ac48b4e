package rest

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/accesskey/subscription"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/server/feed"
	"github.com/keyward/keyward/internal/server/rest/words"
)

func inventoryRoutes() []route {
	return []route{
		{"GET", "/v1/provider-kinds", "ListProviderKinds", "keyward:ListProviderKinds", "Answers the kinds of providers and what each needs.", takes((*dialect).listProviderKinds)},
		{"POST", "/v1/providers", "AddProvider", "keyward:AddProvider", "Watches the access keys of an account at a vendor, after the vendor accepted the credential.", takesPolicy((*dialect).addProvider)},
		{"GET", "/v1/providers", "ListProviders", "keyward:ListProviders", "Answers all providers of the account and how their synchronisations go, by name.", takes((*dialect).listProviders)},
		{"GET", "/v1/providers/{provider}", "GetProvider", "keyward:GetProvider", "Answers a provider and how its synchronisations go.", takes((*dialect).getProvider)},
		{"PATCH", "/v1/providers/{provider}", "UpdateProvider", "keyward:UpdateProvider", "Changes a provider, or its settings and its credential together.", takesPolicy((*dialect).updateProvider)},
		{"DELETE", "/v1/providers/{provider}", "RemoveProvider", "keyward:RemoveProvider", "Forgets a provider and what was read of it; what people said of its keys stays.", takes((*dialect).removeProvider)},
		{"POST", "/v1/providers/{provider}/sync", "SyncProvider", "keyward:SyncProvider", "Has a provider read as soon as possible; its state tells when it was.", takes((*dialect).syncProvider)},
		{"GET", "/v1/inventory", "ListInventory", "keyward:ListAccessKeys", "Answers one page of the access keys that others issued.", takes((*dialect).listInventory)},
		{"GET", "/v1/inventory/calendar", "GetCalendar", "keyward:GetCalendar", "Answers the dates of the inventory as a calendar.", takes((*dialect).calendar)},
		{"POST", "/v1/calendar-subscriptions", "SubscribeCalendar", "keyward:SubscribeCalendar", "Makes a link with which a calendar program follows the dates of the inventory with the caller's rights.", takes((*dialect).subscribe)},
		{"GET", "/v1/calendar-subscriptions", "ListCalendarSubscriptions", "keyward:ListCalendarSubscriptions", "Answers all calendar subscriptions of the account, by name.", takes((*dialect).listSubscriptions)},
		{"DELETE", "/v1/calendar-subscriptions/{subscription}", "UnsubscribeCalendar", "keyward:UnsubscribeCalendar", "Ends a calendar subscription: its link leads nowhere from then on.", takes((*dialect).unsubscribe)},
		{"GET", "/v1/inventory/{provider}/{id}", "GetInventoryKey", "keyward:GetAccessKey", "Answers an access key that others issued.", takes((*dialect).getInventoryKey)},
		{"POST", "/v1/inventory/{provider}", "EnterKey", "keyward:EnterAccessKey", "Adds a key that a person made, after it passed the checks of its guide; what is secret of it becomes a secret.", takesPolicy((*dialect).enterKey)},
		{"DELETE", "/v1/inventory/{provider}/{id}", "ForgetKey", "keyward:ForgetAccessKey", "Removes an entered or gone key from the inventory.", takes((*dialect).forgetKey)},
		{"PATCH", "/v1/inventory/{provider}/{id}", "RemarkInventoryKey", "keyward:RemarkAccessKey", "Changes what people say of an access key.", takes((*dialect).remarkInventoryKey)},
		{"GET", "/v1/expiry-scan", "GetExpiryScan", "keyward:GetExpiryScan", "Answers how the last look at all expiries went.", takes((*dialect).expiryScan)},
	}
}

func (d *dialect) listProviderKinds(ctx context.Context, q request, _ none) (out api.ProviderKindList, err error) {
	err = d.read(ctx, q.call, "keyward:ListProviderKinds", "provider/*", func(*audit.Record) error {
		out.Kinds = words.Each(d.Stock.Kinds(), words.ProviderKind)
		for i := range out.Kinds {
			out.Kinds[i].Rotation = d.Rotations.Policy(out.Kinds[i].Name)
		}
		return nil
	})
	return out, err
}

func (d *dialect) addProvider(ctx context.Context, q request, in api.AddProviderRequest) (api.Provider, error) {
	filling := fillingOf(in.Connection)
	defer filling.Erase()
	draft := accesskey.Draft{Filling: filling, Owner: in.Owner, Unchecked: in.Unchecked}
	var err error
	if draft.MaxAge, draft.Pace, err = words.Durations(in.MaxAge, in.Pace); err != nil {
		return api.Provider{}, d.refuse(ctx, q.call, "keyward:AddProvider", err)
	}
	src, id, err := d.Stock.Add(ctx, q.call, in.Name, in.Kind, draft)
	return words.Provider(accesskey.Standing{Source: src, State: accesskey.State{Identity: id}}), err
}

func (d *dialect) enterKey(ctx context.Context, q request, in api.EnterKeyRequest) (api.EnteredKey, error) {
	filling := fillingOf(in.Connection)
	defer filling.Erase()
	k, warnings, err := d.Stock.Enter(ctx, q.call, q.vars["provider"], accesskey.Entry{
		Guide: in.Guide, Filling: filling, Note: accesskey.Note{Owner: &in.Owner, Purpose: &in.Purpose, System: &in.System},
	})
	return api.EnteredKey{Key: words.InventoryKey(k), Warnings: words.Each(warnings, words.Text)}, err
}

func (d *dialect) forgetKey(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Stock.Forget(ctx, q.call, q.vars["provider"], keyOf(q.vars["id"]))
}

func (d *dialect) listProviders(ctx context.Context, q request, _ none) (api.ProviderList, error) {
	list, err := d.Stock.List(ctx, q.call)
	return api.ProviderList{Providers: words.Each(list, words.Provider)}, err
}

func (d *dialect) getProvider(ctx context.Context, q request, _ none) (api.Provider, error) {
	s, err := d.Stock.Get(ctx, q.call, q.vars["provider"])
	return words.Provider(s), err
}

func (d *dialect) updateProvider(ctx context.Context, q request, in api.UpdateProviderRequest) (api.Provider, error) {
	ch := accesskey.Change{Owner: in.Owner, Paused: in.Paused, Unchecked: in.Unchecked}
	if in.Connection != nil {
		filling := fillingOf(*in.Connection)
		defer filling.Erase()
		ch.Filling = &filling
	}
	var err error
	if ch.MaxAge, err = words.Duration(in.MaxAge); err == nil {
		ch.Pace, err = words.Duration(in.Pace)
	}
	if err != nil {
		return api.Provider{}, d.refuse(ctx, q.call, "keyward:UpdateProvider", err)
	}
	src, err := d.Stock.Update(ctx, q.call, q.vars["provider"], ch)
	return words.Provider(accesskey.Standing{Source: src}), err
}

func (d *dialect) removeProvider(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Stock.Remove(ctx, q.call, q.vars["provider"])
}

func (d *dialect) syncProvider(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Stock.Sync(ctx, q.call, q.vars["provider"])
}

func (d *dialect) listInventory(ctx context.Context, q request, in api.ListInventoryRequest) (api.InventoryList, error) {
	query := accesskey.Query{
		Source: in.Provider, Status: accesskey.Status(in.Status), Owner: in.Owner, Text: in.Text, DueBefore: in.DueBefore,
		Order: accesskey.Order(in.Order), After: in.Cursor, Limit: cmp.Or(in.Limit, defaultLimit),
	}
	keys, next, err := d.Stock.Keys(ctx, q.call, query)
	return api.InventoryList{Keys: words.Each(keys, words.InventoryKey), Next: next}, err
}

func (d *dialect) getInventoryKey(ctx context.Context, q request, _ none) (api.InventoryKey, error) {
	k, err := d.Stock.Key(ctx, q.call, q.vars["provider"], keyOf(q.vars["id"]))
	return words.InventoryKey(k), err
}

func (d *dialect) remarkInventoryKey(ctx context.Context, q request, in api.RemarkKeyRequest) (api.InventoryKey, error) {
	n := accesskey.Note{
		Owner: in.Owner, Purpose: in.Purpose, System: in.System, Text: in.Note, Consumers: in.Consumers, Tags: in.Tags,
		ExpiresAt: in.ExpiresAt, Permanent: in.Permanent,
	}
	switch {
	case in.NeverExpires && in.ExpiresAt != nil:
		return api.InventoryKey{}, d.refuse(ctx, q.call, "keyward:RemarkAccessKey",
			fault.InvalidParameter.New("the request sets an expiry and takes it back; send one of expiresAt and neverExpires"))
	case in.NeverExpires:
		n.ExpiresAt = &time.Time{}
	}
	k, err := d.Stock.Remark(ctx, q.call, q.vars["provider"], keyOf(q.vars["id"]), n)
	return words.InventoryKey(k), err
}

func (d *dialect) calendar(ctx context.Context, q request, in api.CalendarRequest) (api.Calendar, error) {
	l := message.Language(cmp.Or(in.Language, string(message.Chinese)))
	if l != message.Chinese && l != message.English {
		return api.Calendar{}, d.refuse(ctx, q.call, "keyward:GetCalendar", fault.InvalidParameter.New("the language is en or zh"))
	}
	keys, err := d.Stock.Calendar(ctx, q.call)
	if err != nil {
		return api.Calendar{}, err
	}
	return api.Calendar{Text: feed.Text(keys, l, q.call.Time)}, nil
}

func (d *dialect) subscribe(ctx context.Context, q request, in api.SubscribeCalendarRequest) (api.CalendarLink, error) {
	one, link, err := d.Calendars.Subscribe(ctx, q.call, in.Name, message.Language(cmp.Or(in.Language, string(message.Chinese))))
	if err != nil {
		return api.CalendarLink{}, err
	}
	return api.CalendarLink{Subscription: calendarSubscription(subscription.Standing{Subscription: one}), URL: api.SecretText(link.Expose())}, nil
}

func (d *dialect) listSubscriptions(ctx context.Context, q request, _ none) (api.CalendarSubscriptionList, error) {
	all, err := d.Calendars.List(ctx, q.call)
	return api.CalendarSubscriptionList{Subscriptions: words.Each(all, calendarSubscription)}, err
}

func (d *dialect) unsubscribe(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Calendars.Unsubscribe(ctx, q.call, q.vars["subscription"])
}

func calendarSubscription(s subscription.Standing) api.CalendarSubscription {
	return api.CalendarSubscription{Name: s.Name, User: s.User, Language: string(s.Language), CreatedAt: s.CreatedAt, FetchedAt: s.FetchedAt}
}

func (d *dialect) expiryScan(ctx context.Context, q request, _ none) (out api.ExpiryScan, err error) {
	err = d.read(ctx, q.call, "keyward:GetExpiryScan", "accesskey/*", func(*audit.Record) error {
		s, err := d.Expiry.Last(ctx, q.call.Account)
		out = api.ExpiryScan{At: s.At, Took: words.Took(s.Took), Seen: s.Seen, Of: s.Of, Due: s.Due, Error: s.Error, ErrorZh: s.Chinese}
		return err
	})
	return out, err
}

// keyOf reads the id of a key as it stands in a path: "~1" is a slash, "~2" a dot and
// "~0" the tilde itself. Signatures do not cover paths with encoded slashes or dots.
func keyOf(segment string) string {
	return strings.NewReplacer("~0", "~", "~1", "/", "~2", ".").Replace(segment)
}

// fillingOf takes a connection over; whoever has it erases it.
func fillingOf(c api.Connection) form.Filling { return filled(c.Settings, c.Credential) }

// filled takes over what was filled in; whoever has it erases it.
func filled[Part ~string | ~[]byte](settings map[string]string, credential map[string]Part) form.Filling {
	f := form.Filling{Settings: settings, Credential: make(map[string]material.Bytes, len(credential))}
	for name, part := range credential {
		f.Credential[name] = material.NewBytes([]byte(part))
	}
	return f
}
