package rest

import (
	"cmp"
	"context"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/server/rest/words"
	"github.com/keyward/keyward/internal/watch"
)

func repositoryRoutes() []route {
	return []route{
		{"POST", "/v1/repositories", "AddRepository", "keyward:AddRepository", "Has a git repository watched for leaked credentials, after it let itself be read.", takesPolicy((*dialect).addRepository)},
		{"GET", "/v1/repositories", "ListRepositories", "keyward:ListRepositories", "Answers all watched repositories of the account, by name.", takes((*dialect).listRepositories)},
		{"GET", "/v1/repositories/{repository}", "GetRepository", "keyward:GetRepository", "Answers a watched repository and how the last looks at it went.", takes((*dialect).getRepository)},
		{"PATCH", "/v1/repositories/{repository}", "UpdateRepository", "keyward:UpdateRepository", "Changes a watched repository, or its place with the token.", takesPolicy((*dialect).updateRepository)},
		{"PUT", "/v1/repositories/{repository}/issuers", "SetRepositoryIssuers", "keyward:SetRepositoryIssuers", "Says which issuers are asked whether what is found in a watched repository works.", takes((*dialect).setRepositoryIssuers)},
		{"POST", "/v1/repositories/{repository}/scan", "ScanRepository", "keyward:ScanRepository", "Has a watched repository looked at now; its state tells when it was.", takes((*dialect).scanRepository)},
		{"DELETE", "/v1/repositories/{repository}", "RemoveRepository", "keyward:RemoveRepository", "Forgets a watched repository; what was found in it stays known.", takes((*dialect).removeRepository)},
	}
}

func (d *dialect) addRepository(ctx context.Context, q request, in api.AddRepositoryRequest) (api.Repository, error) {
	draft := watch.Draft{Place: repositoryPlace(in.Place), Refs: in.Refs, Owner: in.Owner}
	defer draft.Token.Zero()
	pace, err := words.Duration(&in.Pace)
	if err == nil {
		draft.Pace = *pace
		draft.Severity, err = severity(cmp.Or(in.Severity, finding.Medium.String()))
	}
	if err != nil {
		return api.Repository{}, d.refuse(ctx, q.call, "keyward:AddRepository", err)
	}
	r, err := d.Watched.Add(ctx, q.call, in.Name, draft)
	return d.repository(r), err
}

func (d *dialect) updateRepository(ctx context.Context, q request, in api.UpdateRepositoryRequest) (api.Repository, error) {
	ch := watch.Change{Refs: in.Refs, Owner: in.Owner}
	if in.Place != nil {
		place := repositoryPlace(*in.Place)
		defer place.Token.Zero()
		ch.Place = &place
	}
	var err error
	if ch.Pace, err = words.Duration(in.Pace); err == nil && in.Severity != nil {
		var s finding.Severity
		s, err = severity(*in.Severity)
		ch.Severity = &s
	}
	if err != nil {
		return api.Repository{}, d.refuse(ctx, q.call, "keyward:UpdateRepository", err)
	}
	r, err := d.Watched.Update(ctx, q.call, q.vars["repository"], ch)
	return d.repository(r), err
}

func (d *dialect) setRepositoryIssuers(ctx context.Context, q request, in api.SetRepositoryIssuersRequest) (api.Repository, error) {
	r, err := d.Watched.SetIssuers(ctx, q.call, q.vars["repository"], in.Issuers)
	return d.repository(r), err
}

// severity reads a severity.
func severity(word string) (finding.Severity, error) {
	s, ok := finding.ParseSeverity(word)
	if !ok {
		return 0, fault.InvalidParameter.New("there is no severity %q; use critical, high, medium or low", word)
	}
	return s, nil
}

// repositoryPlace answers a place. The caller erases the token.
func repositoryPlace(p api.RepositoryPlace) watch.Place {
	return watch.Place{URL: p.URL, CA: p.CA, User: p.User, Token: material.NewBytes([]byte(p.Token))}
}

func (d *dialect) listRepositories(ctx context.Context, q request, _ none) (api.RepositoryList, error) {
	all, err := d.Watched.List(ctx, q.call)
	return api.RepositoryList{Repositories: words.Each(all, d.repository)}, err
}

func (d *dialect) getRepository(ctx context.Context, q request, _ none) (api.Repository, error) {
	r, err := d.Watched.Show(ctx, q.call, q.vars["repository"])
	return d.repository(r), err
}

func (d *dialect) scanRepository(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Watched.Scan(ctx, q.call, q.vars["repository"])
}

func (d *dialect) removeRepository(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Watched.Remove(ctx, q.call, q.vars["repository"])
}

// repository answers a repository as the API words it.
func (d *dialect) repository(r watch.Standing) api.Repository {
	st := r.State
	return api.Repository{
		Name: r.Name, ARN: d.Watched.ARN(r.Account, r.Name), URL: r.URL, CA: r.CA, Refs: append([]string{}, r.Refs...), LoggedIn: len(r.Sealed) > 0,
		Pace: api.FormatDuration(r.Pace), Severity: r.Severity.String(), Owner: r.Owner, Issuers: append([]string{}, r.Issuers...), CreatedAt: r.CreatedAt,
		State: api.RepositoryState{
			Status: string(st.Status), Error: st.Error, ErrorZh: st.Chinese, StartedAt: st.StartedAt, Took: words.Took(st.Took), CompleteAt: st.CompleteAt, RewrittenAt: st.Rewritten, Failures: st.Failures,
			Head: st.Head, Refs: st.Refs, Objects: st.Objects, Bytes: st.Bytes, Found: st.Found, Unread: st.Unread, Problems: append([]string{}, st.Problems...),
		},
	}
}
