package tencent

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/fault"
)

// pageSize is for lists in pages, maxPages their end if a list has none.
const (
	pageSize = 100
	maxPages = 1000
)

// A person is a user in the three lists of users.
type person struct {
	Uin          id
	Name         text
	Remark       text
	ConsoleLogin *int
	CreateTime   text
}

func (p person) principal(kind accesskey.Kind) accesskey.Principal {
	out := accesskey.Principal{ID: string(p.Uin), Name: string(p.Name), Kind: kind, Remark: string(p.Remark), CreatedAt: p.CreateTime.moment()}
	if p.ConsoleLogin != nil {
		out.Console = accesskey.FactOf(*p.ConsoleLogin != 0)
	}
	return out
}

// users lists everybody who may have keys, but the account itself.
func (p *Provider) users(ctx context.Context) (out []accesskey.Principal, problems []accesskey.Problem) {
	seen := map[id]bool{}
	add := func(op Operation, kind accesskey.Kind, people []person, err error) {
		for _, one := range people {
			if !seen[one.Uin] {
				seen[one.Uin] = true
				out = append(out, one.principal(kind))
			}
		}
		if err != nil {
			problem := missing(op, "", err)
			problem.Lists = true // whoever is not listed is not asked about
			problems = append(problems, problem)
		}
	}
	people, err := p.everybody(ctx)
	add(listUsers, accesskey.User, people, err)
	people, err = p.pages(ctx, listCollaborators)
	add(listCollaborators, accesskey.Collaborator, people, err)
	people, err = p.pages(ctx, listWeChatWorkSubAccounts)
	if code := codeOf(err); code == "InvalidAction" || code == "InvalidParameter.ActionNotExist" {
		err = nil // the international site has no such users
	}
	add(listWeChatWorkSubAccounts, accesskey.User, people, err)
	return out, problems
}

// everybody lists the sub-users, which come at once.
func (p *Provider) everybody(ctx context.Context) ([]person, error) {
	var a struct{ Data *[]person }
	if err := p.call(ctx, listUsers, struct{}{}, &a); err != nil {
		return nil, err
	}
	if a.Data == nil || slices.ContainsFunc(*a.Data, func(one person) bool { return one.Uin == "" }) {
		return nil, incomplete(listUsers)
	}
	return *a.Data, nil
}

// pages reads a list of users page by page. If it cannot be read to its end, or changes
// meanwhile so that somebody may have been missed, it answers those that it has read, and
// an error.
func (p *Provider) pages(ctx context.Context, op Operation) ([]person, error) {
	var out []person
	seen := map[id]bool{}
	for page := range maxPages {
		var a struct {
			Data       *[]person
			TotalNum   *int // of ListCollaborators
			TotalCount *int // of ListWeChatWorkSubAccounts
		}
		if err := p.call(ctx, op, struct{ Offset, Limit int }{page * pageSize, pageSize}, &a); err != nil {
			return out, err
		}
		total := a.TotalNum
		if total == nil {
			total = a.TotalCount
		}
		if total == nil || a.Data == nil && *total > 0 {
			return out, incomplete(op)
		}
		if a.Data == nil {
			return out, nil
		}
		before := len(out)
		for _, one := range *a.Data {
			if one.Uin == "" {
				return out, incomplete(op)
			}
			if !seen[one.Uin] {
				seen[one.Uin] = true
				out = append(out, one)
			}
		}
		if (page+1)*pageSize >= *total || len(out) == before {
			if len(out) < *total {
				return out, fault.Unavailable.New("the list of %s changed while it was read; try again", op)
			}
			return out, nil
		}
	}
	return out, fault.Unavailable.New("the list of %s has no end", op)
}

// grants reads the policies of a user, those of its groups among them.
func (p *Provider) grants(ctx context.Context, user string) ([]accesskey.Grant, error) {
	uin, err := id(user).uin()
	if err != nil {
		return nil, fault.Unavailable.Wrap(err, "the user's number could not be read")
	}
	type question struct {
		TargetUin            uint64
		Page, Rp, AttachType int
	}
	out, seen := []accesskey.Grant{}, 0
	for page := 1; page <= 20; page++ { // far more than the policies that a user may have
		var a struct {
			TotalNum   *int
			PolicyList *[]attached
		}
		if err := p.call(ctx, listAttachedUserAllPolicies, question{uin, page, pageSize, 0}, &a); err != nil {
			return nil, err
		}
		if a.TotalNum == nil || a.PolicyList == nil && *a.TotalNum > 0 {
			return nil, incomplete(listAttachedUserAllPolicies)
		}
		if a.PolicyList != nil {
			for _, one := range *a.PolicyList {
				out = append(out, one.grants()...)
			}
			seen += len(*a.PolicyList)
		}
		if seen >= *a.TotalNum {
			return out, nil
		}
		if a.PolicyList == nil || len(*a.PolicyList) == 0 {
			break
		}
	}
	return nil, fault.Unavailable.New("the list of %s changed while it was read; try again", listAttachedUserAllPolicies)
}

// An attached is a policy of a user.
type attached struct {
	PolicyID     text `json:"PolicyId"`
	PolicyName   text
	StrategyType text // 1 custom, 2 preset
	Groups       []struct{ GroupName text }
}

// grants answers the policy once for each way in which the user has it.
func (a attached) grants() []accesskey.Grant {
	g := accesskey.Grant{Name: string(a.PolicyName), ID: string(a.PolicyID)}
	if a.StrategyType == "2" {
		name := strings.ToLower(g.Name)
		service, whole := strings.CutSuffix(strings.TrimPrefix(name, "qcloud"), "fullaccess")
		// Whoever may write all of CAM may give itself everything else.
		g.Admin = name == "administratoraccess" || whole && service == "cam"
		if whole && service != "" && strings.HasPrefix(name, "qcloud") {
			g.Wide = []string{service}
		}
	}
	if len(a.Groups) == 0 {
		return []accesskey.Grant{g}
	}
	var out []accesskey.Grant
	for _, group := range a.Groups {
		g.Via = string(group.GroupName)
		out = append(out, g)
	}
	return out
}

// factors reads whether a second factor guards the login and sensitive operations.
func (p *Provider) factors(ctx context.Context, user string) (login, action accesskey.Fact, err error) {
	uin, err := id(user).uin()
	if err != nil {
		return 0, 0, fault.Unavailable.Wrap(err, "the user's number could not be read")
	}
	var a struct{ LoginFlag, ActionFlag map[string]*int } // by the kind of factor
	if err := p.call(ctx, describeSafeAuthFlagColl, struct{ SubUin uint64 }{uin}, &a); err != nil {
		return 0, 0, err
	}
	return guarded(a.LoginFlag), guarded(a.ActionFlag), nil
}

func guarded(by map[string]*int) accesskey.Fact {
	if by == nil {
		return accesskey.Unknown
	}
	for _, flag := range by {
		if flag != nil && *flag != 0 {
			return accesskey.Yes
		}
	}
	return accesskey.No
}

// logins fills in when users last logged in, fifty at a time.
func (p *Provider) logins(ctx context.Context, users []accesskey.Principal) (problems []accesskey.Problem) {
	at := map[string]*accesskey.Principal{}
	var uins []uint64
	for i := range users {
		if uin, err := id(users[i].ID).uin(); err == nil { // the others are problems already
			uins = append(uins, uin)
			at[users[i].ID] = &users[i]
		}
	}
	for part := range slices.Chunk(uins, 50) {
		var a struct {
			SubAccounts *[]struct {
				Uin           id
				LastLoginTime text
			}
		}
		err := p.call(ctx, describeSubAccounts, struct{ FilterSubAccountUin []uint64 }{part}, &a)
		if err == nil && a.SubAccounts == nil {
			err = incomplete(describeSubAccounts)
		}
		if err != nil {
			problem := missing(describeSubAccounts, "", err)
			if !slices.Contains(problems, problem) {
				problems = append(problems, problem)
			}
			continue
		}
		for _, one := range *a.SubAccounts {
			if user := at[string(one.Uin)]; user != nil {
				user.ConsoleAt = one.LastLoginTime.moment()
			}
		}
	}
	return problems
}

// uses fills in when keys were last used, ten at a time.
func (p *Provider) uses(ctx context.Context, keys []accesskey.Observed) (problems []accesskey.Problem) {
	for part := range slices.Chunk(keys, 10) {
		ids := make([]string, len(part))
		for i, k := range part {
			ids[i] = k.ID
		}
		var a struct {
			SecretIDLastUsedRows *[]struct {
				SecretID           text `json:"SecretId"`
				LastUsedDate       text
				LastSecretUsedDate text
			} `json:"SecretIdLastUsedRows"`
		}
		err := p.call(ctx, getSecurityLastUsed, struct {
			SecretIDList []string `json:"SecretIdList"`
		}{ids}, &a)
		if err == nil && a.SecretIDLastUsedRows == nil {
			err = incomplete(getSecurityLastUsed)
		}
		if err != nil {
			for _, k := range part {
				problems = append(problems, missing(getSecurityLastUsed, k.ID, err))
			}
			continue
		}
		for _, row := range *a.SecretIDLastUsedRows {
			for i := range part {
				if part[i].ID == string(row.SecretID) {
					part[i].Use = use(row.LastSecretUsedDate, row.LastUsedDate)
				}
			}
		}
	}
	return together(problems, len(keys))
}

// use reads a row of last uses: the moment if there is one, else the day, of which the
// beginning is taken and the length added to how far behind the provider may be. A row
// with neither is of a key that was never used, as far as the provider knows.
func use(moment, day text) accesskey.Use {
	if at := moment.milliseconds(); !at.IsZero() {
		return accesskey.Use{Known: accesskey.Yes, At: at, Lag: useLag}
	}
	if at := day.day(); !at.IsZero() {
		return accesskey.Use{Known: accesskey.Yes, At: at, Lag: useLag + 24*time.Hour}
	}
	return accesskey.Use{Known: accesskey.No, Lag: useLag}
}
