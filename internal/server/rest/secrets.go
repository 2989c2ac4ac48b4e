package rest

import (
	"context"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/server/rest/words"
	"github.com/keyward/keyward/internal/sink"
)

func secretRoutes() []route {
	return []route{
		{"POST", "/v1/secrets", "CreateSecret", "kms:CreateSecret", "Makes a secret with its first value.", takes((*dialect).createSecret)},
		{"GET", "/v1/secrets", "ListSecrets", "kms:ListSecrets", "Answers one page of the account's secrets that match, by name.", takes((*dialect).listSecrets)},
		{"GET", "/v1/secrets/{secret}", "DescribeSecret", "kms:DescribeSecret", "Answers a secret without any value.", takes((*dialect).describeSecret)},
		{"PUT", "/v1/secrets/{secret}", "UpdateSecret", "kms:UpdateSecret", "Changes a secret's description, and the key for the versions to come.", takes((*dialect).updateSecret)},
		{"GET", "/v1/secrets/{secret}/value", "GetSecretValue", "kms:GetSecretValue", "Answers a value in the clear, after it is on record who got it.", takes((*dialect).getSecretValue)},
		{"POST", "/v1/secrets/{secret}/versions", "PutSecretValue", "kms:PutSecretValue", "Adds a version with a new value.", takes((*dialect).putSecretValue)},
		{"GET", "/v1/secrets/{secret}/versions", "ListSecretVersions", "kms:ListSecretVersionIds", "Answers one page of a secret's versions without their values, newest first.", takes((*dialect).listSecretVersions)},
		{"POST", "/v1/secrets/{secret}/rollback", "RollbackSecret", "kms:UpdateSecretVersionStage", "Makes an older version current again.", takes((*dialect).rollbackSecret)},
		{"PUT", "/v1/secrets/{secret}/stages/{stage}", "MoveSecretStage", "kms:UpdateSecretVersionStage", "Moves a stage to another version, or takes it away.", takes((*dialect).moveSecretStage)},
		{"POST", "/v1/secrets/{secret}/delete", "DeleteSecret", "kms:DeleteSecret", "Deletes a secret: after some days in which it can be restored, or at once.", takes((*dialect).deleteSecret)},
		{"POST", "/v1/secrets/{secret}/restore", "RestoreSecret", "kms:RestoreSecret", "Keeps a secret that is about to be deleted.", takes((*dialect).restoreSecret)},
		{"POST", "/v1/secrets/{secret}/tags", "TagSecret", "kms:TagResource", "Adds tags to a secret.", takes((*dialect).tagSecret)},
		{"GET", "/v1/secrets/{secret}/policy", "GetSecretPolicy", "kms:GetSecretPolicy", "Answers who may do what with a secret, beside what identity policies say.", takes((*dialect).secretPolicy)},
		{"PUT", "/v1/secrets/{secret}/policy", "SetSecretPolicy", "kms:SetSecretPolicy", "Says who may do what with a secret, from the next request on.", takesPolicy((*dialect).setSecretPolicy)},
		{"POST", "/v1/random-password", "MakeRandomPassword", "kms:GetRandomPassword", "Answers a new password, which is not kept.", takes((*dialect).makeRandomPassword)},
		{"DELETE", "/v1/secrets/{secret}/tags", "UntagSecret", "kms:UntagResource", "Removes tags from a secret.", takes((*dialect).untagSecret)},
	}
}

func (d *dialect) createSecret(ctx context.Context, q request, in api.CreateSecretRequest) (api.Secret, error) {
	s, err := d.Secrets.Create(ctx, q.call, secret.CreateInput{
		Name: in.Name, Key: in.Key, Description: in.Description, Tags: tagsOf(in.Tags),
		Version: in.Version, Kind: secret.Kind(in.Type), Data: material.NewBytes(in.Value),
	})
	return d.secret(s), err
}

func (d *dialect) listSecrets(ctx context.Context, q request, in api.ListSecretsRequest) (api.SecretList, error) {
	p := page(in.Limit, in.Cursor)
	secrets, total, err := d.Secrets.List(ctx, q.call, secret.Filter{
		Names: in.Names, Prefix: in.StartsWith, TagKeys: in.TagKeys, TagValues: in.TagValues, Deleting: in.Deleting,
	}, p)
	return api.SecretList{Secrets: words.Each(secrets, d.secret), Total: total, Next: next(p, total)}, err
}

func (d *dialect) describeSecret(ctx context.Context, q request, _ none) (api.Secret, error) {
	s, err := d.Secrets.Describe(ctx, q.call, q.vars["secret"])
	return d.secret(s), err
}

func (d *dialect) updateSecret(ctx context.Context, q request, in api.UpdateSecretRequest) (api.Secret, error) {
	s, err := d.Secrets.Update(ctx, q.call, secret.UpdateInput{Secret: q.vars["secret"], Description: in.Description, Key: in.Key})
	return d.secret(s), err
}

func (d *dialect) getSecretValue(ctx context.Context, q request, in api.GetSecretRequest) (api.SecretValue, error) {
	v, err := d.Secrets.Get(ctx, q.call, secret.GetInput{Secret: q.vars["secret"], Version: in.Version, Stage: secret.Stage(in.Stage)})
	return api.SecretValue{Name: v.Secret.Name, Version: secretVersion(v.Version, v.Stages), Value: v.Data.Expose()}, err
}

func (d *dialect) putSecretValue(ctx context.Context, q request, in api.PutSecretRequest) (api.SecretVersion, error) {
	stages := make([]secret.Stage, len(in.Stages))
	for i, stage := range in.Stages {
		stages[i] = secret.Stage(stage)
	}
	v, at, err := d.Secrets.Put(ctx, q.call, secret.PutInput{
		Secret: q.vars["secret"], Version: in.Version, Kind: secret.Kind(in.Type), Data: material.NewBytes(in.Value), Stages: stages,
	})
	return secretVersion(v, at), err
}

func (d *dialect) listSecretVersions(ctx context.Context, q request, in api.PageRequest) (api.SecretVersionList, error) {
	p := page(in.Limit, in.Cursor)
	of, versions, total, err := d.Secrets.ListVersions(ctx, q.call, q.vars["secret"], p)
	list := words.Each(versions, func(v secret.Version) api.SecretVersion { return secretVersion(v, of.On(v.ID)) })
	return api.SecretVersionList{Versions: list, Total: total, Next: next(p, total)}, err
}

func (d *dialect) rollbackSecret(ctx context.Context, q request, in api.RollbackSecretRequest) (api.Secret, error) {
	s, err := d.Secrets.Rollback(ctx, q.call, q.vars["secret"], in.Version)
	return d.secret(s), err
}

func (d *dialect) moveSecretStage(ctx context.Context, q request, in api.MoveStageRequest) (api.Secret, error) {
	s, err := d.Secrets.MoveStage(ctx, q.call, secret.MoveInput{
		Secret: q.vars["secret"], Stage: secret.Stage(q.vars["stage"]), From: in.From, To: in.To,
	})
	return d.secret(s), err
}

func (d *dialect) deleteSecret(ctx context.Context, q request, in api.DeleteSecretRequest) (api.Secret, error) {
	s, err := d.Secrets.Delete(ctx, q.call, secret.DeleteInput{Secret: q.vars["secret"], Days: in.Days, Force: in.Force})
	return d.secret(s), err
}

func (d *dialect) restoreSecret(ctx context.Context, q request, _ none) (api.Secret, error) {
	s, err := d.Secrets.Restore(ctx, q.call, q.vars["secret"])
	return d.secret(s), err
}

func (d *dialect) tagSecret(ctx context.Context, q request, in api.TagRequest) (none, error) {
	return none{}, d.Secrets.Tag(ctx, q.call, q.vars["secret"], tagsOf(in.Tags))
}

func (d *dialect) untagSecret(ctx context.Context, q request, in api.UntagRequest) (none, error) {
	return none{}, d.Secrets.Untag(ctx, q.call, q.vars["secret"], in.Keys)
}

func (d *dialect) secretPolicy(ctx context.Context, q request, _ none) (api.SecretPolicy, error) {
	document, err := d.Secrets.GetPolicy(ctx, q.call, q.vars["secret"], "")
	return api.SecretPolicy{Document: document}, err
}

func (d *dialect) setSecretPolicy(ctx context.Context, q request, in api.SecretPolicy) (none, error) {
	return none{}, d.Secrets.SetPolicy(ctx, q.call, q.vars["secret"], "", in.Document)
}

func (d *dialect) makeRandomPassword(ctx context.Context, q request, in api.RandomPasswordRequest) (api.RandomPassword, error) {
	password, err := d.Secrets.RandomPassword(ctx, q.call, secret.PasswordInput(in))
	defer password.Zero()
	return api.RandomPassword{Password: api.SecretText(password.Expose())}, err
}

// secret answers a secret as the API words it.
func (d *dialect) secret(s secret.Secret) api.Secret {
	stages := make(map[string]string, len(s.Stages))
	for _, l := range s.Stages {
		stages[string(l.Stage)] = l.Version
	}
	return api.Secret{
		Name: s.Name, ARN: d.Secrets.ARN(s.Account, s.Name), Description: s.Description, Key: string(s.Key), Creator: s.Creator,
		CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt, DeleteAt: s.DeleteAt, Versions: s.Versions, Stages: stages, Tags: tagMap(s.Tags),
	}
}

func secretVersion(v secret.Version, at []secret.Stage) api.SecretVersion {
	stages := words.Each(at, func(stage secret.Stage) string { return string(stage) })
	return api.SecretVersion{ID: v.ID, Number: v.Number, Type: string(v.Kind), Stages: stages, Key: string(v.Key), CreatedAt: v.CreatedAt}
}

func tagMap(tags []key.Tag) map[string]string {
	out := make(map[string]string, len(tags))
	for _, t := range tags {
		out[t.Key] = t.Value
	}
	return out
}

func sinkRoutes() []route {
	return []route{
		{"POST", "/v1/sinks", "AddSink", "keyward:AddSink", "Adds a place at another keeper of secrets, after it has accepted the credential.", takesPolicy((*dialect).addSink)},
		{"GET", "/v1/sinks", "ListSinks", "keyward:ListSinks", "Answers all sinks of the account, by name.", takes((*dialect).listSinks)},
		{"GET", "/v1/sinks/{sink}", "DescribeSink", "keyward:DescribeSink", "Answers a sink with one page of its copies.", takes((*dialect).describeSink)},
		{"PATCH", "/v1/sinks/{sink}", "UpdateSink", "keyward:UpdateSink", "Changes a sink, or its settings and its credential together.", takesPolicy((*dialect).updateSink)},
		{"POST", "/v1/sinks/{sink}/sync", "SyncSink", "keyward:SyncSink", "Has a sink looked at now.", takes((*dialect).syncSink)},
		{"DELETE", "/v1/sinks/{sink}", "RemoveSink", "keyward:RemoveSink", "Forgets a sink; what was copied stays where it is.", takes((*dialect).removeSink)},
	}
}

func (d *dialect) addSink(ctx context.Context, q request, in api.AddSinkRequest) (api.Sink, error) {
	filling := filled(in.Settings, in.Credential)
	defer filling.Erase()
	s, err := d.Sinks.Add(ctx, q.call, in.Name, sink.Draft{Filling: filling, Kind: in.Kind, Secrets: in.Secrets, Tags: in.TagKeys})
	return d.sink(s), err
}

func (d *dialect) updateSink(ctx context.Context, q request, in api.UpdateSinkRequest) (api.Sink, error) {
	change := sink.Change{Secrets: in.Secrets, Tags: in.TagKeys}
	if in.Connection != nil {
		filling := filled(in.Connection.Settings, in.Connection.Credential)
		defer filling.Erase()
		change.Filling = &filling
	}
	s, err := d.Sinks.Update(ctx, q.call, q.vars["sink"], change)
	return d.sink(s), err
}

func (d *dialect) listSinks(ctx context.Context, q request, _ none) (api.SinkList, error) {
	all, err := d.Sinks.List(ctx, q.call)
	return api.SinkList{Sinks: words.Each(all, d.sink)}, err
}

func (d *dialect) describeSink(ctx context.Context, q request, in api.PageRequest) (api.SinkStatus, error) {
	p := page(in.Limit, in.Cursor)
	s, copies, total, err := d.Sinks.Show(ctx, q.call, q.vars["sink"], p)
	return api.SinkStatus{Sink: d.sink(s), Copies: words.Each(copies, secretCopy), Total: total, Next: next(p, total)}, err
}

func (d *dialect) syncSink(ctx context.Context, q request, in api.SyncSinkRequest) (none, error) {
	return none{}, d.Sinks.Sync(ctx, q.call, q.vars["sink"], in.Overwrite)
}

func (d *dialect) removeSink(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Sinks.Remove(ctx, q.call, q.vars["sink"])
}

// sink answers a sink as the API words it.
func (d *dialect) sink(s sink.Sink) api.Sink {
	return api.Sink{
		Name: s.Name, ARN: d.Sinks.ARN(s.Account, s.Name), Kind: s.Kind, Settings: words.Settings(s.Settings),
		Secrets: append([]string{}, s.Secrets...), TagKeys: append([]string{}, s.Tags...), OverwriteAt: s.Overwrite, CreatedAt: s.CreatedAt,
	}
}

func secretCopy(c sink.Copy) api.SecretCopy {
	return api.SecretCopy{
		Secret: c.Secret, Status: string(c.Status), Version: c.Version, Remote: c.Remote, At: c.At, SyncedAt: c.SyncedAt, Failures: c.Failures, Error: c.Error, ErrorZh: c.Chinese,
	}
}
