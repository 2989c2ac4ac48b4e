package rest

import (
	"context"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/sink"
)

var sinkRoutes = []route{
	{"POST", "/v1/sinks", "AddSink", "keyward:AddSink", "Adds a place at another keeper of secrets, after it has accepted the credential.", takesPolicy((*dialect).addSink)},
	{"GET", "/v1/sinks", "ListSinks", "keyward:ListSinks", "Answers all sinks of the account, by name.", takes((*dialect).listSinks)},
	{"GET", "/v1/sinks/{sink}", "DescribeSink", "keyward:DescribeSink", "Answers a sink with one page of its copies.", takes((*dialect).describeSink)},
	{"POST", "/v1/sinks/{sink}/sync", "SyncSink", "keyward:SyncSink", "Has a sink looked at now.", takes((*dialect).syncSink)},
	{"DELETE", "/v1/sinks/{sink}", "RemoveSink", "keyward:RemoveSink", "Forgets a sink; what was copied stays where it is.", takes((*dialect).removeSink)},
}

func (d *dialect) addSink(ctx context.Context, q request, in api.AddSinkRequest) (api.Sink, error) {
	filling := form.Filling{Settings: in.Settings, Credential: make(map[string]material.Bytes, len(in.Credential))}
	for name, part := range in.Credential {
		filling.Credential[name] = material.NewBytes([]byte(part))
	}
	defer filling.Erase()
	s, err := d.Sinks.Add(ctx, q.call, in.Name, sink.Draft{Filling: filling, Kind: in.Kind, Secrets: in.Secrets, Tags: in.TagKeys})
	return d.sink(s), err
}

func (d *dialect) listSinks(ctx context.Context, q request, _ none) (api.SinkList, error) {
	all, err := d.Sinks.List(ctx, q.call)
	return api.SinkList{Sinks: each(all, d.sink)}, err
}

func (d *dialect) describeSink(ctx context.Context, q request, in api.PageRequest) (api.SinkStatus, error) {
	p := page(in.Limit, in.Cursor)
	s, copies, total, err := d.Sinks.Show(ctx, q.call, q.vars["sink"], p)
	return api.SinkStatus{Sink: d.sink(s), Copies: each(copies, secretCopy), Total: total, Next: next(p, total)}, err
}

func (d *dialect) syncSink(ctx context.Context, q request, in api.SyncSinkRequest) (none, error) {
	return none{}, d.Sinks.Sync(ctx, q.call, q.vars["sink"], in.Overwrite)
}

func (d *dialect) removeSink(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Sinks.Remove(ctx, q.call, q.vars["sink"])
}

// sink answers a sink as the API words it.
func (d *dialect) sink(s sink.Sink) api.Sink {
	settings := make(map[string]string, len(s.Settings))
	for _, p := range s.Settings {
		settings[p.Name] = p.Value
	}
	same := func(s string) string { return s }
	return api.Sink{
		Name: s.Name, ARN: d.Sinks.ARN(s.Account, s.Name), Kind: s.Kind, Settings: settings,
		Secrets: each(s.Secrets, same), TagKeys: each(s.Tags, same), OverwriteAt: s.Overwrite, CreatedAt: s.CreatedAt,
	}
}

func secretCopy(c sink.Copy) api.SecretCopy {
	return api.SecretCopy{
		Secret: c.Secret, Status: string(c.Status), Version: c.Version, Remote: c.Remote, At: c.At, SyncedAt: c.SyncedAt, Failures: c.Failures, Error: c.Error,
	}
}
