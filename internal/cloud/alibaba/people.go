package alibaba

import (
	"context"
	"errors"
	"maps"
	"strconv"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/alibaba/rpc"
	"github.com/keyward/keyward/internal/fault"
)

// users reads everybody. The service leaves the disabled users out unless they are asked
// for, and their keys would be missing.
func (r *reading) users(ctx context.Context) error {
	q := r.askIMS("ListUsers", "", map[string]string{"Status": "active,freeze", "MaxItems": "1000"})
	q.lists = true
	list, err := r.pages(ctx, q)
	if fatal(err) {
		return err
	}
	return r.each(ctx, list, r.user)
}

// recycledUsers reads the users in the recycle bin, whose keys lie there as well.
func (r *reading) recycledUsers(ctx context.Context) error {
	q := r.askIMS("ListUsersInRecycleBin", "", map[string]string{"MaxItems": "100"})
	q.lists = true
	list, err := r.pages(ctx, q)
	if fatal(err) {
		return err
	}
	return r.each(ctx, list, func(ctx context.Context, u user) (f found, err error) {
		f.principal = principal(u)
		f.principal.Disabled, f.principal.Console = accesskey.Yes, accesskey.No
		f.keys, err = r.recycled(ctx, u)
		return f, err
	})
}

func principal(u user) accesskey.Principal {
	p := accesskey.Principal{
		ID: u.UserId, Name: rpc.Clean(u.UserPrincipalName, maxName), Kind: accesskey.User,
		Remark: rpc.Clean(u.Comments, maxRemark), CreatedAt: moment(u.CreateDate), ConsoleAt: moment(u.LastLoginDate),
	}
	if p.Remark == "" && u.DisplayName != userName(u.UserPrincipalName) {
		p.Remark = rpc.Clean(u.DisplayName, maxRemark)
	}
	switch u.Status {
	case "active":
		p.Disabled = accesskey.No
	case "freeze":
		p.Disabled = accesskey.Yes
	}
	return p
}

// user reads one user. Who was deleted meanwhile is found in the recycle bin, later.
func (r *reading) user(ctx context.Context, u user) (found, error) {
	f := found{principal: principal(u)}
	keys, err := r.keys(ctx, f.principal.ID, u.UserPrincipalName)
	if errors.Is(err, errAbsent) {
		return found{}, nil
	}
	if fatal(err) {
		return f, err
	}
	recycled, err := r.recycled(ctx, u)
	if fatal(err) {
		return f, err
	}
	f.keys = append(keys, recycled...)
	if err := r.login(ctx, &f.principal, u); err != nil {
		return f, err
	}
	f.principal.Grants, err = r.grants(ctx, f.principal.ID, userName(u.UserPrincipalName))
	return f, err
}

// keys reads the keys of a user, or with no logon name those of the credential's owner.
func (r *reading) keys(ctx context.Context, subject, upn string) ([]accesskey.Observed, error) {
	whose := map[string]string{}
	if upn != "" {
		whose["UserPrincipalName"] = upn
	}
	q := r.askIMS("ListAccessKeys", subject, whose)
	q.lists = true
	list, err := ask[accessKeyList](ctx, r, q)
	if err != nil {
		return nil, err
	}
	var out []accesskey.Observed
	for _, k := range list.AccessKeys.AccessKey {
		o := observed(k, subject)
		params := maps.Clone(whose)
		params["UserAccessKeyId"] = k.AccessKeyId
		used, err := ask[lastUsed](ctx, r, r.askIMS("GetAccessKeyLastUsed", o.ID, params))
		if fatal(err) {
			return nil, err
		}
		if err == nil {
			o.Use = use(used.AccessKeyLastUsed.LastUsedDate, used.AccessKeyLastUsed.ServiceName)
		}
		out = append(out, o)
	}
	return out, nil
}

// observed reads a key. A state that is not known counts as one in which the key works,
// which is the worse mistake to make the other way.
func observed(k accessKey, subject string) accesskey.Observed {
	o := accesskey.Observed{
		ID: k.AccessKeyId, Principal: subject, Status: accesskey.Active,
		CreatedAt: moment(k.CreateDate), ChangedAt: moment(k.UpdateDate),
	}
	switch k.Status {
	case "Active":
	case "Inactive":
		o.Status = accesskey.Inactive
	default:
		o.Detail = map[string]string{"status": rpc.Clean(k.Status, maxName)}
	}
	return o
}

// use reads a last use. The service writes of a key that was never used no date, or "-".
func use(date, service string) accesskey.Use {
	u := accesskey.Use{Lag: useLag}
	switch at := moment(date); {
	case !at.IsZero():
		u.Known, u.At, u.Service = accesskey.Yes, at, rpc.Clean(service, maxName)
	case date == "" || date == "-" || date == "N/A":
		u.Known = accesskey.No
	}
	return u
}

// recycled reads the keys of a user that lie in the recycle bin.
func (r *reading) recycled(ctx context.Context, u user) ([]accesskey.Observed, error) {
	q := r.askIMS("ListAccessKeysInRecycleBin", u.UserId, map[string]string{"UserId": u.UserId})
	q.lists = true
	list, err := ask[accessKeyList](ctx, r, q)
	if err != nil {
		return nil, err
	}
	var out []accesskey.Observed
	for _, k := range list.AccessKeys.AccessKey {
		out = append(out, accesskey.Observed{
			ID: k.AccessKeyId, Principal: u.UserId, Status: accesskey.Deleted,
			CreatedAt: moment(k.CreateDate), ChangedAt: moment(k.RecycleDate), UndoUntil: moment(k.DeleteDate),
		})
	}
	return out, nil
}

// login reads how a user logs in, from the credential report if it tells.
func (r *reading) login(ctx context.Context, p *accesskey.Principal, u user) error {
	if f, ok := r.reported[u.UserPrincipalName]; ok {
		p.Console, p.ConsoleMFA = f.console, f.mfa
		if f.at.After(p.ConsoleAt) {
			p.ConsoleAt = f.at
		}
	}
	whose := map[string]string{"UserPrincipalName": u.UserPrincipalName}
	if p.Console == accesskey.Unknown {
		profile, err := ask[loginProfile](ctx, r, r.askIMS("GetLoginProfile", p.ID, whose))
		switch {
		case fatal(err):
			return err
		case errors.Is(err, errAbsent):
			p.Console = accesskey.No
		case err == nil:
			p.Console = accesskey.FactOf(profile.LoginProfile.Status != "Inactive")
			if at := moment(profile.LoginProfile.LastLoginTime); at.After(p.ConsoleAt) {
				p.ConsoleAt = at
			}
		}
	}
	if p.ConsoleMFA == accesskey.Unknown {
		mfa, err := ask[userMFA](ctx, r, r.askIMS("GetUserMFAInfo", p.ID, whose))
		switch {
		case fatal(err):
			return err
		case errors.Is(err, errAbsent):
			p.ConsoleMFA = accesskey.No
		case err == nil:
			p.ConsoleMFA = accesskey.FactOf(mfa.enabled())
		}
	}
	return nil
}

// root reads the account's own keys if the credential is the account's. Nobody else can
// list them: then they are those of the credential report, named by their place in it.
func (r *reading) root(ctx context.Context) error {
	reported := r.reported[rootRow]
	p := accesskey.Principal{
		ID: r.id.Account, Name: "root", Kind: accesskey.Root, Disabled: accesskey.No,
		Console: accesskey.Yes, ConsoleMFA: r.snapshot.Account.RootMFA, ConsoleAt: reported.at,
	}
	var keys []accesskey.Observed
	switch {
	case r.id.Root:
		var err error
		if keys, err = r.keys(ctx, p.ID, ""); fatal(err) {
			return err
		}
		if err == nil {
			r.rootKeys = accesskey.FactOf(len(keys) > 0)
		}
	case len(reported.keys) > 0:
		for i, k := range reported.keys {
			k.ID, k.Principal = p.ID+"/root/"+strconv.Itoa(i+1), p.ID
			keys = append(keys, k)
		}
	case r.rootKeys != accesskey.No:
		q := r.askIMS("GetCredentialReport", p.ID, nil)
		q.lists = true
		r.note(q, fault.UnsupportedOperation.New(
			"the account itself may have access keys: only the credential report tells of them, and it could not be read; it needs the rights ram:GenerateCredentialReport and ram:GetCredentialReport"), false)
	}
	r.snapshot.Account.RootKey = r.rootKeys
	r.snapshot.Principals = append(r.snapshot.Principals, p)
	r.snapshot.Keys = append(r.snapshot.Keys, keys...)
	return nil
}

// account reads what is set for the whole account.
func (r *reading) account(ctx context.Context) error {
	a := &r.snapshot.Account
	a.Detail = map[string]string{}
	mfa, err := ask[accountMFA](ctx, r, r.askIMS("GetAccountMFAInfo", "", nil))
	if fatal(err) {
		return err
	}
	if err == nil {
		a.RootMFA = accesskey.FactOf(bool(*mfa.IsMFAEnable))
	}
	summary, err := ask[accountSummary](ctx, r, r.askIMS("GetAccountSummary", "", nil))
	if fatal(err) {
		return err
	}
	if err == nil {
		a.Quota = max(summary.SummaryMap.AccessKeysPerUserQuota, 0)
	}
	preference, err := ask[securityPreference](ctx, r, r.askIMS("GetSecurityPreference", "", nil))
	if fatal(err) {
		return err
	}
	if err == nil {
		preference.describe(a.Detail)
	}
	policy, err := ask[passwordPolicy](ctx, r, r.askIMS("GetPasswordPolicy", "", nil))
	if fatal(err) {
		return err
	}
	if err == nil {
		p := policy.PasswordPolicy
		a.Detail["password_min_length"] = strconv.Itoa(p.MinimumPasswordLength)
		a.Detail["password_reuse_prevention"] = strconv.Itoa(p.PasswordReusePrevention)
		a.Detail["password_max_attempts"] = strconv.Itoa(p.MaxLoginAttemps)
		a.Detail["password_max_age_days"] = strconv.Itoa(p.MaxPasswordAge)
	}
	return nil
}

// describe adds the settings that matter for keys, those that the service told.
func (a *securityPreference) describe(detail map[string]string) {
	s := a.SecurityPreference
	flag := func(name string, v *truth) {
		if v != nil {
			detail[name] = strconv.FormatBool(bool(*v))
		}
	}
	number := func(name string, v *int) {
		if v != nil {
			detail[name] = strconv.Itoa(*v)
		}
	}
	flag("users_manage_own_keys", s.AccessKeyPreference.AllowUserToManageAccessKeys)
	flag("login_requires_mfa", s.LoginProfilePreference.EnforceMFAForLogin)
	number("max_idle_days_users", s.MaxIdleDays.MaxIdleDaysForUsers)
	number("max_idle_days_keys", s.MaxIdleDays.MaxIdleDaysForAccessKeys)
	for name, v := range map[string]string{"login_mfa": s.LoginProfilePreference.MFAOperationForLogin, "login_networks": s.LoginProfilePreference.LoginNetworkMasks} {
		if v != "" {
			detail[name] = rpc.Clean(v, maxRemark)
		}
	}
}
