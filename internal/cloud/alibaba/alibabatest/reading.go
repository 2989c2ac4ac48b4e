package alibabatest

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Versions of the APIs.
const (
	imsVersion = "2019-08-15"
	ramVersion = "2015-05-01"
	stsVersion = "2015-04-01"
)

// operations are what the services do, by version and action.
var operations = map[string]map[string]func(*Cloud, call) (object, *refusal){
	stsVersion: {"GetCallerIdentity": (*Cloud).getCallerIdentity},
	imsVersion: {
		"GetUser": (*Cloud).getUser, "ListUsers": (*Cloud).listUsers, "ListUsersInRecycleBin": (*Cloud).listUsersInRecycleBin,
		"ListAccessKeys": (*Cloud).listAccessKeys, "ListAccessKeysInRecycleBin": (*Cloud).listAccessKeysInRecycleBin,
		"GetAccessKeyInfoInRecycleBin": (*Cloud).getAccessKeyInfoInRecycleBin, "GetAccessKeyLastUsed": (*Cloud).getAccessKeyLastUsed,
		"GetLoginProfile": (*Cloud).getLoginProfile, "GetUserMFAInfo": (*Cloud).getUserMFAInfo,
		"GetAccountMFAInfo": (*Cloud).getAccountMFAInfo, "GetAccountSummary": (*Cloud).getAccountSummary,
		"GetAccountSecurityPracticeReport": (*Cloud).getAccountSecurityPracticeReport,
		"GetSecurityPreference":            (*Cloud).getSecurityPreference, "GetPasswordPolicy": (*Cloud).getPasswordPolicy,
		"GenerateCredentialReport": (*Cloud).generateCredentialReport, "GetCredentialReport": (*Cloud).getCredentialReport,
		"CreateAccessKey": (*Cloud).createAccessKey, "UpdateAccessKey": (*Cloud).updateAccessKey,
		"DeleteAccessKey": (*Cloud).deleteAccessKey, "RestoreAccessKeyFromRecycleBin": (*Cloud).restoreAccessKey,
		"DeleteAccessKeyInRecycleBin": (*Cloud).deleteAccessKeyInRecycleBin,
	},
	ramVersion: {
		"ListPoliciesForUser": (*Cloud).listPoliciesForUser, "ListGroupsForUser": (*Cloud).listGroupsForUser,
		"ListPoliciesForGroup": (*Cloud).listPoliciesForGroup, "GetPolicy": (*Cloud).getPolicy,
	},
}

// date writes a time as the service does; none is an empty text.
func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

func (c *Cloud) upn(u *User) string { return u.Name + "@" + c.Domain }

func (c *Cloud) getCallerIdentity(a call) (object, *refusal) {
	out := object{
		"AccountId": c.Account, "UserId": a.caller.ID, "PrincipalId": a.caller.ID, "IdentityType": "RAMUser",
		"Arn": "acs:ram::" + c.Account + ":user/" + a.caller.Name,
	}
	if a.caller == c.root {
		out["IdentityType"], out["Arn"] = "Account", "acs:ram::"+c.Account+":root"
	}
	return out, nil
}

func (c *Cloud) listUsers(a call) (object, *refusal) {
	status := a.param("Status")
	if status == "" {
		status = "active"
	}
	var users []*User
	for _, u := range c.users {
		if u.Deleted.IsZero() && slices.Contains(strings.Split(status, ","), state(u)) {
			users = append(users, u)
		}
	}
	return c.page(a, users, 1000)
}

func state(u *User) string {
	if u.Disabled {
		return "freeze"
	}
	return "active"
}

func (c *Cloud) listUsersInRecycleBin(a call) (object, *refusal) {
	var users []*User
	for _, u := range c.users {
		if !u.Deleted.IsZero() && c.Now().Before(u.Deleted.Add(BinTime)) {
			users = append(users, u)
		}
	}
	return c.page(a, users, 100)
}

// page answers the users after the marker, which is the id of the last one before.
func (c *Cloud) page(a call, users []*User, most int) (object, *refusal) {
	size := most
	if text := a.param("MaxItems"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > most {
			return nil, refuse(http.StatusBadRequest, "InvalidParameter.MaxItems", `The parameter - "MaxItems" is incorrect.`)
		}
		size = n
	}
	if c.Page > 0 {
		size = min(size, c.Page)
	}
	marker := a.param("Marker")
	users = slices.DeleteFunc(slices.Clone(users), func(u *User) bool { return u.ID <= marker })
	out := object{"IsTruncated": len(users) > size}
	if len(users) > size {
		users = users[:size]
		out["Marker"] = users[size-1].ID
	}
	list := []object{}
	for _, u := range users {
		list = append(list, c.describe(u))
	}
	out["Users"] = object{"User": list}
	return out, nil
}

func (c *Cloud) describe(u *User) object {
	o := object{
		"UserId": u.ID, "UserPrincipalName": c.upn(u), "DisplayName": u.DisplayName, "Comments": u.Comments,
		"CreateDate": date(u.Created), "UpdateDate": date(u.Created), "LastLoginDate": date(u.LastLogin),
		"ProvisionType": "Manual", "Status": state(u),
	}
	if !u.Deleted.IsZero() {
		o["RecycleDate"], o["DeleteDate"] = date(u.Deleted), date(u.Deleted.Add(BinTime))
		delete(o, "Status")
	}
	return o
}

// getUser finds a user by one of three names, of which a call gives one.
func (c *Cloud) getUser(a call) (object, *refusal) {
	id, upn, key := a.param("UserId"), a.param("UserPrincipalName"), a.param("UserAccessKeyId")
	for _, u := range c.users {
		has := slices.ContainsFunc(u.Keys, func(k Key) bool { return k.ID == key && k.Deleted.IsZero() })
		if u.Deleted.IsZero() && (id == u.ID || upn == c.upn(u) || has) {
			return object{"User": c.describe(u)}, nil
		}
	}
	return nil, noUser
}

// subject is the user that a call is about: the caller, if it names none.
func (c *Cloud) subject(a call) (*User, *refusal) {
	upn := a.param("UserPrincipalName")
	if upn == "" {
		return a.caller, nil
	}
	for _, u := range c.users {
		if c.upn(u) == upn && u.Deleted.IsZero() {
			return u, nil
		}
	}
	return nil, noUser
}

func (c *Cloud) listAccessKeys(a call) (object, *refusal) {
	u, refused := c.subject(a)
	if refused != nil {
		return nil, refused
	}
	list := []object{}
	for _, k := range u.Keys {
		if k.Deleted.IsZero() && k.Token == "" {
			list = append(list, object{"AccessKeyId": k.ID, "Status": status(k), "CreateDate": date(k.Created), "UpdateDate": date(k.Updated)})
		}
	}
	return object{"AccessKeys": object{"AccessKey": list}}, nil
}

func status(k Key) string {
	if k.Inactive {
		return "Inactive"
	}
	return "Active"
}

// binned tells whether a key lies in the recycle bin, where its user's deletion brings it, too.
func (c *Cloud) binned(u *User, k Key) (since time.Time, ok bool) {
	since = k.Deleted
	if since.IsZero() {
		since = u.Deleted
	}
	return since, !since.IsZero() && c.Now().Before(since.Add(BinTime))
}

func (c *Cloud) listAccessKeysInRecycleBin(a call) (object, *refusal) {
	id := a.param("UserId")
	list, known := []object{}, false
	for _, u := range c.users {
		if u.ID != id && (id != "" || u != a.caller) {
			continue
		}
		known = true
		for _, k := range u.Keys {
			if since, ok := c.binned(u, k); ok {
				list = append(list, object{
					"AccessKeyId": k.ID, "CreateDate": date(k.Created), "RecycleDate": date(since), "DeleteDate": date(since.Add(BinTime)),
				})
			}
		}
	}
	if !known {
		return nil, noUser
	}
	return object{"AccessKeys": object{"AccessKey": list}}, nil
}

func (c *Cloud) getAccessKeyInfoInRecycleBin(a call) (object, *refusal) {
	for _, u := range c.users {
		for _, k := range u.Keys {
			if since, ok := c.binned(u, k); ok && k.ID == a.param("UserAccessKeyId") {
				return object{"AccessKey": object{
					"AccessKeyId": k.ID, "UserId": u.ID, "UserPrincipalName": c.upn(u), "UserRecycled": !u.Deleted.IsZero(),
					"CreateDate": date(k.Created), "RecycleDate": date(since), "DeleteDate": date(since.Add(BinTime)),
				}}, nil
			}
		}
	}
	return nil, noKey
}

func (c *Cloud) getAccessKeyLastUsed(a call) (object, *refusal) {
	_, k, refused := c.key(a)
	if refused != nil {
		return nil, refused
	}
	used := object{"LastUsedDate": "", "ServiceName": ""}
	if at := c.shown(*k); !at.IsZero() {
		used = object{"LastUsedDate": date(at), "ServiceName": k.Service}
	}
	return object{"AccessKeyLastUsed": used}, nil
}

// shown is the last use of a key that shows already. What came before a use that does not
// show yet is forgotten.
func (c *Cloud) shown(k Key) time.Time {
	if k.Used.IsZero() || c.Now().Before(k.Used.Add(c.UseLag)) {
		return time.Time{}
	}
	return k.Used
}

func (c *Cloud) getLoginProfile(a call) (object, *refusal) {
	u, refused := c.subject(a)
	switch {
	case refused != nil:
		return nil, refused
	case !u.Console:
		return nil, noLogin
	}
	return object{"LoginProfile": object{"UserPrincipalName": c.upn(u), "Status": "Active", "LastLoginTime": date(u.LastLogin), "CreateDate": date(u.Created)}}, nil
}

func (c *Cloud) getUserMFAInfo(a call) (object, *refusal) {
	u, refused := c.subject(a)
	switch {
	case refused != nil:
		return nil, refused
	case !u.MFA:
		return nil, noMFA
	}
	return object{"IsMFAEnable": true, "MFADevice": object{"SerialNumber": "acs:ram::" + c.Account + ":mfa/" + u.Name, "Type": "VMFA"}}, nil
}

func (c *Cloud) getAccountMFAInfo(call) (object, *refusal) {
	return object{"IsMFAEnable": c.root.MFA}, nil
}

func (c *Cloud) getAccountSummary(call) (object, *refusal) {
	return object{"SummaryMap": object{"AccessKeysPerUserQuota": MaxKeys, "Users": len(c.users), "Groups": len(c.groups)}}, nil
}

func (c *Cloud) getAccountSecurityPracticeReport(call) (object, *refusal) {
	return object{"AccountSecurityPracticeInfo": object{"AccountSecurityPracticeUserInfo": object{
		"RootWithAccessKey": len(c.root.Keys), "BindMfa": c.root.MFA, "SubUser": len(c.users),
	}}}, nil
}

func (c *Cloud) getSecurityPreference(call) (object, *refusal) {
	return object{"SecurityPreference": object{
		"AccessKeyPreference":    object{"AllowUserToManageAccessKeys": false},
		"LoginProfilePreference": object{"EnforceMFAForLogin": true, "LoginNetworkMasks": ""},
		"MaxIdleDays":            object{"MaxIdleDaysForUsers": 730, "MaxIdleDaysForAccessKeys": 730},
	}}, nil
}

func (c *Cloud) getPasswordPolicy(call) (object, *refusal) {
	return object{"PasswordPolicy": object{"MinimumPasswordLength": 12, "PasswordReusePrevention": 3, "MaxLoginAttemps": 5, "MaxPasswordAge": 90}}, nil
}

// named is the user that a call of RAM is about.
func (c *Cloud) named(a call) (*User, *refusal) {
	for _, u := range c.users {
		if u.Name == a.param("UserName") && u.Deleted.IsZero() {
			return u, nil
		}
	}
	return nil, noUser
}

func listed(policies []Policy) object {
	list := []object{}
	for _, p := range policies {
		list = append(list, object{"PolicyName": p.Name, "PolicyType": kind(p), "DefaultVersion": "v1"})
	}
	return object{"Policies": object{"Policy": list}}
}

func kind(p Policy) string {
	if p.Document == "" {
		return "System"
	}
	return "Custom"
}

func (c *Cloud) listPoliciesForUser(a call) (object, *refusal) {
	u, refused := c.named(a)
	if refused != nil {
		return nil, refused
	}
	return listed(u.Policies), nil
}

func (c *Cloud) listGroupsForUser(a call) (object, *refusal) {
	u, refused := c.named(a)
	if refused != nil {
		return nil, refused
	}
	list := []object{}
	for _, name := range u.Groups {
		list = append(list, object{"GroupName": name})
	}
	return object{"Groups": object{"Group": list}}, nil
}

func (c *Cloud) listPoliciesForGroup(a call) (object, *refusal) {
	policies, ok := c.groups[a.param("GroupName")]
	if !ok {
		return nil, noGroup
	}
	return listed(policies), nil
}

func (c *Cloud) getPolicy(a call) (object, *refusal) {
	all := slices.Concat(slices.Collect(maps.Values(c.groups))...)
	for _, u := range c.users {
		all = append(all, u.Policies...)
	}
	for _, p := range all {
		if p.Name == a.param("PolicyName") && kind(p) == a.param("PolicyType") {
			return object{
				"Policy":               object{"PolicyName": p.Name, "PolicyType": kind(p), "DefaultVersion": "v1"},
				"DefaultPolicyVersion": object{"VersionId": "v1", "IsDefaultVersion": true, "PolicyDocument": p.Document},
			}, nil
		}
	}
	return nil, noPolicy
}

// A report is the credential report and when it is, or was, ready.
type report struct {
	ready time.Time
	rows  [][]string // the names of the columns first
}

var columns = []string{
	"user", "user_creation_time", "user_last_logon", "password_exist", "password_active", "password_last_changed", "password_next_rotation", "mfa_active",
	"access_key_1_exist", "access_key_1_active", "access_key_1_last_rotated", "access_key_1_last_used",
	"access_key_2_exist", "access_key_2_active", "access_key_2_last_rotated", "access_key_2_last_used",
}

func (c *Cloud) generateCredentialReport(call) (object, *refusal) {
	now := c.Now()
	if len(c.users) > ReportMax {
		return nil, hugeAccount
	}
	if c.report.rows == nil || now.Sub(c.report.ready) >= ReportLife {
		c.report = report{ready: now.Add(c.ReportTakes), rows: [][]string{columns, c.row(c.root)}}
		for _, u := range c.users {
			if u.Deleted.IsZero() {
				c.report.rows = append(c.report.rows, c.row(u))
			}
		}
		if c.ReportTakes > 0 {
			return object{"State": "STARTED"}, nil
		}
	}
	if now.Before(c.report.ready) {
		return object{"State": "INPROGRESS"}, nil
	}
	return object{"State": "COMPLETE"}, nil
}

func (c *Cloud) row(u *User) []string {
	or := func(s, other string) string {
		if s == "" {
			return other
		}
		return s
	}
	flag := func(b bool) string { return strings.ToUpper(strconv.FormatBool(b)) }
	name := root
	if u != c.root {
		name = c.upn(u)
	}
	row := []string{name, date(u.Created), or(date(u.LastLogin), "-"), flag(u.Console), flag(u.Console), "N/A", "-", flag(u.MFA)}
	for _, k := range u.Keys {
		if k.Deleted.IsZero() && k.Token == "" && len(row) < len(columns) {
			row = append(row, "TRUE", flag(!k.Inactive), date(k.Updated), or(date(c.shown(k)), "-"))
		}
	}
	for len(row) < len(columns) {
		row = append(row, "FALSE", "-", "-", "-")
	}
	return row
}

func (c *Cloud) getCredentialReport(a call) (object, *refusal) {
	if c.report.rows == nil || c.Now().Before(c.report.ready) {
		return nil, noReport
	}
	from, size := 1, len(c.report.rows)
	if text := a.param("NextToken"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > size {
			return nil, refuse(http.StatusBadRequest, "InvalidParameter.NextToken", `The parameter - "NextToken" is incorrect.`)
		}
		from = n
	}
	if n, err := strconv.Atoi(a.param("MaxItems")); err == nil && n > 0 {
		size = n
	}
	if c.Page > 0 {
		size = min(size, c.Page)
	}
	to := min(from+size, len(c.report.rows))
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.WriteAll(append([][]string{columns}, c.report.rows[from:to]...)) // a buffer takes everything
	out := object{
		"GeneratedTime": date(c.report.ready), "Content": base64.StdEncoding.EncodeToString(b.Bytes()),
		"IsTruncated": strconv.FormatBool(to < len(c.report.rows)),
	}
	if to < len(c.report.rows) {
		out["NextToken"] = strconv.Itoa(to)
	}
	return out, nil
}
