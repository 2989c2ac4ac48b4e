package aws

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/fault"
)

const (
	reportPolls = 30 // asked whether the report is ready, that often
	reportWait  = 2 * time.Second
	maxProblems = 1000
	maxTags     = 64 // of one user; AWS allows 50
)

// Check implements accesskey.Provider.
func (p *provider) Check(ctx context.Context) (accesskey.Identity, error) {
	var who struct {
		Account, Arn string
	}
	if err := p.client.call(ctx, p.sts, "GetCallerIdentity", nil, &who); err != nil {
		return accesskey.Identity{}, explain(err)
	}
	_, name, ok := strings.Cut(who.Arn, ":"+who.Account+":")
	if !ok || who.Account == "" {
		return accesskey.Identity{}, fault.Unavailable.New("what answered sts:GetCallerIdentity is not AWS")
	}
	id := accesskey.Identity{Account: clean(who.Account, 64), Principal: clean(name, 256), Root: name == "root", KeyID: p.client.id}
	if p.client.token.Len() > 0 {
		id.KeyID = "" // a temporary key is in no inventory
	}
	return id, nil
}

// Observe implements accesskey.Provider.
func (p *provider) Observe(ctx context.Context) (accesskey.Snapshot, error) {
	p.client.calls, p.client.lost = 0, 0
	identity, err := p.Check(ctx)
	if err != nil {
		return accesskey.Snapshot{}, err
	}
	o := &observation{provider: p, Snapshot: accesskey.Snapshot{Identity: identity, Account: accesskey.Account{Detail: map[string]string{}}}}
	o.account(ctx)
	o.readReport(ctx)
	users := o.users(ctx)
	for _, u := range users {
		if !o.user(ctx, u) {
			break
		}
	}
	o.root(ctx)
	if err := ctx.Err(); err != nil {
		return accesskey.Snapshot{}, fmt.Errorf("reading an account of AWS: %w", err)
	}
	o.Calls = p.client.calls
	return o.Snapshot, nil
}

// An observation is a snapshot in the making.
type observation struct {
	*provider
	accesskey.Snapshot
	report   map[string]reportRow         // by ARN, root by rootUser; empty if it could not be read
	grants   map[string][]accesskey.Grant // by user id; nil if they could not be read
	rootKeys int                          // as the account's summary tells; -1 if it does not
	noUse    bool                         // the credential may not ask for last uses
	noKeys   bool                         // it was noted that it may not list keys of others
}

// problem notes what could not be read. The notes are bounded; a last one stands for all
// that follow, and it says that keys may be missing.
func (o *observation) problem(p accesskey.Problem, err error) {
	switch n := len(o.Problems); {
	case n > maxProblems:
		return
	case n == maxProblems:
		o.Problems = append(o.Problems, accesskey.Problem{What: "iam", Reason: "there are more problems than are told", Lists: true})
		return
	}
	p.Denied = codeOf(err) == accessDenied
	p.Reason = fault.Message(err)
	o.Problems = append(o.Problems, p)
}

func incomplete(action, why string) error {
	return fault.Unavailable.New("the answer to iam:%s is not whole: %s", action, why)
}

// account reads what concerns the account itself.
func (o *observation) account(ctx context.Context) {
	var summary struct {
		Entries []struct {
			Key   string `xml:"key"`
			Value string `xml:"value"`
		} `xml:"SummaryMap>entry"`
	}
	o.rootKeys = -1
	if err := o.client.call(ctx, o.iam, "GetAccountSummary", nil, &summary); err != nil {
		o.problem(accesskey.Problem{What: "iam:GetAccountSummary"}, explain(err))
	}
	for _, e := range summary.Entries {
		n, err := strconv.Atoi(e.Value)
		if err != nil || n < 0 {
			continue
		}
		switch e.Key {
		case "AccountMFAEnabled":
			o.Account.RootMFA = accesskey.FactOf(n > 0)
		case "AccountAccessKeysPresent":
			o.Account.RootKey, o.rootKeys = accesskey.FactOf(n > 0), n
		case "AccessKeysPerUserQuota":
			o.Account.Quota = n
		}
	}
	var policy struct {
		Length   int  `xml:"PasswordPolicy>MinimumPasswordLength"`
		Reuse    int  `xml:"PasswordPolicy>PasswordReusePrevention"`
		MaxAge   int  `xml:"PasswordPolicy>MaxPasswordAge"`
		Symbols  bool `xml:"PasswordPolicy>RequireSymbols"`
		Numbers  bool `xml:"PasswordPolicy>RequireNumbers"`
		Capitals bool `xml:"PasswordPolicy>RequireUppercaseCharacters"`
	}
	err := o.client.call(ctx, o.iam, "GetAccountPasswordPolicy", nil, &policy)
	switch {
	case codeOf(err) == noSuchEntity:
		o.Account.Detail["password_policy"] = "none"
	case err != nil:
		o.problem(accesskey.Problem{What: "iam:GetAccountPasswordPolicy"}, explain(err))
	default:
		o.Account.Detail["password_min_length"] = strconv.Itoa(policy.Length)
		o.Account.Detail["password_reuse_prevention"] = strconv.Itoa(policy.Reuse)
		o.Account.Detail["password_max_age_days"] = strconv.Itoa(policy.MaxAge)
		o.Account.Detail["password_mixed"] = strconv.FormatBool(policy.Symbols && policy.Numbers && policy.Capitals)
	}
}

// readReport has the credential report made, unless there is one of the last four hours,
// and reads it. Without it keys of users are seen all the same; those of root are not.
func (o *observation) readReport(ctx context.Context) {
	rows, what, err := o.fetchReport(ctx)
	o.report = make(map[string]reportRow, len(rows))
	for _, row := range rows {
		if row.user == rootUser {
			row.arn = rootUser
		}
		o.report[row.arn] = row
	}
	if _, ok := o.report[rootUser]; err == nil && !ok {
		err = incomplete("GetCredentialReport", "the root user is not in it")
	}
	if err != nil {
		o.problem(accesskey.Problem{What: what, Subject: o.Identity.Account, Lists: o.rootKeys != 0 && !o.Identity.Root}, explain(err))
	}
}

func (o *observation) fetchReport(ctx context.Context) (rows []reportRow, what string, err error) {
	what = "iam:GenerateCredentialReport"
	for poll := 0; ; poll++ {
		var making struct{ State string }
		if err := o.client.call(ctx, o.iam, "GenerateCredentialReport", nil, &making); err != nil {
			return nil, what, err
		}
		if making.State == "COMPLETE" {
			break
		}
		if poll == reportPolls {
			return nil, what, fault.Unavailable.New("the credential report was not ready within %s; the next synchronization will find it", reportPolls*reportWait)
		}
		if err := sleep(ctx, reportWait); err != nil {
			return nil, what, err
		}
	}
	what = "iam:GetCredentialReport"
	var report struct{ Content string }
	if err := o.client.call(ctx, o.iam, "GetCredentialReport", nil, &report); err != nil {
		return nil, what, err
	}
	content, err := base64.StdEncoding.DecodeString(strings.TrimSpace(report.Content))
	if err == nil {
		rows, err = parseReport(content)
	}
	if err != nil {
		return nil, what, fault.Unavailable.Wrap(err, "the credential report cannot be read: %s", clean(err.Error(), 256))
	}
	return rows, what, nil
}

// A keyXML is one of ListAccessKeys.
type keyXML struct {
	ID      string    `xml:"AccessKeyId"`
	Status  string    `xml:"Status"`
	Created time.Time `xml:"CreateDate"`
}

type keysXML struct {
	page
	Keys *list[keyXML] `xml:"AccessKeyMetadata"`
}

func (k *keysXML) whole() bool { return k.Truncated != nil || k.Keys != nil }

// user reads one user's keys. It answers false when there is no sense in going on.
func (o *observation) user(ctx context.Context, u userXML) bool {
	keys, err := o.keys(ctx, u.ID, url.Values{"UserName": {u.Name}})
	if codeOf(err) == noSuchEntity {
		return true // deleted since the users were listed, and the keys with them
	}
	o.Principals = append(o.Principals, o.principal(u))
	o.describe(u, keys)
	o.Keys = append(o.Keys, keys...)
	switch p := (accesskey.Problem{What: "iam:ListAccessKeys", Subject: clean(u.ID, 128), Lists: true}); {
	case err == nil:
	case ctx.Err() != nil || o.client.lost >= maxLost:
		p.Subject = "" // nor will the users that follow be read
		o.problem(p, err)
		return false
	case codeOf(err) == accessDenied:
		p.Subject = "" // one note for all users, though each is tried: a right may hold for some
		if !o.noKeys {
			o.problem(p, err)
		}
		o.noKeys = true
	default:
		o.problem(p, err)
	}
	return true
}

// keys lists the keys of a user, or of the credential's owner, with their last uses.
func (o *observation) keys(ctx context.Context, principal string, whose url.Values) ([]accesskey.Observed, error) {
	var found []keyXML
	err := pages(ctx, o, "ListAccessKeys", whose, func(part *keysXML) { found = append(found, part.Keys.all()...) })
	keys := make([]accesskey.Observed, 0, len(found))
	for _, k := range found {
		key := accesskey.Observed{ID: clean(k.ID, 128), Principal: clean(principal, 128), CreatedAt: k.Created.UTC()}
		switch k.Status {
		case "Active":
			key.Status = accesskey.Active
		case "Inactive":
			key.Status = accesskey.Inactive
		case "Expired":
			key.Status = accesskey.Expired
		default:
			o.problem(accesskey.Problem{What: "iam:ListAccessKeys", Subject: key.ID}, incomplete("ListAccessKeys", "the key has a status that is not known; it is taken for active"))
			key.Status = accesskey.Active
		}
		key.Use = o.lastUse(ctx, key)
		keys = append(keys, key)
	}
	return keys, err
}

func (o *observation) lastUse(ctx context.Context, key accesskey.Observed) accesskey.Use {
	if o.noUse {
		return accesskey.Use{}
	}
	var answer struct {
		Last *struct {
			Region  string
			Service string    `xml:"ServiceName"`
			At      time.Time `xml:"LastUsedDate"`
		} `xml:"AccessKeyLastUsed"` // absent, it must not be taken for "never"
	}
	err := o.client.call(ctx, o.iam, "GetAccessKeyLastUsed", url.Values{"AccessKeyId": {key.ID}}, &answer)
	if last := answer.Last; err == nil && last != nil {
		return used(last.At.UTC(), key.CreatedAt, last.Region, last.Service)
	}
	if err == nil {
		err = incomplete("GetAccessKeyLastUsed", "nothing of a use is in it")
	}
	p := accesskey.Problem{What: "iam:GetAccessKeyLastUsed", Subject: key.ID}
	if o.noUse = codeOf(err) == accessDenied; o.noUse {
		p.Subject = "" // nor of any other key
	}
	o.problem(p, explain(err))
	return accesskey.Use{}
}

// describe adds what the credential report and the user's tags tell of the keys. AWS's
// console keeps the description of a key as a tag of its user, by the key's id.
func (o *observation) describe(u userXML, keys []accesskey.Observed) {
	row := o.report[u.ARN] // the zero row matches no key
	slots := match(keys, row.slots)
	for i := range keys {
		k := &keys[i]
		if slots[i] >= 0 {
			s := row.slots[slots[i]]
			k.ChangedAt = s.rotated
			if k.Use == (accesskey.Use{}) {
				k.Use = s.use
				k.Use.Lag += reportAge
			}
		}
		for _, t := range u.Tags[:min(len(u.Tags), maxTags)] {
			switch {
			case t.Key == k.ID:
				k.Name = clean(t.Value, 256)
			case !keyForm().MatchString(t.Key) || !strings.HasPrefix(t.Key, "AKIA"):
				if k.Tags == nil {
					k.Tags = map[string]string{}
				}
				k.Tags[clean(t.Key, 128)] = clean(t.Value, 256)
			}
		}
	}
}

// reportAge is how old a credential report may be.
const reportAge = 4 * time.Hour

// root reads the account's own user. Its keys have ids only for itself; for others they
// are told apart by their place in the report.
func (o *observation) root(ctx context.Context) {
	account := o.Identity.Account
	row, told := o.report[rootUser]
	o.Principals = append(o.Principals, accesskey.Principal{
		ID: account, Name: "root", Kind: accesskey.Root, CreatedAt: row.created,
		Disabled: accesskey.No, Console: row.console, ConsoleAt: row.consoleAt, ConsoleMFA: row.mfa,
	})
	if told && o.Account.RootMFA == accesskey.Unknown {
		o.Account.RootMFA = row.mfa
	}
	if o.Identity.Root {
		keys, err := o.keys(ctx, account, nil)
		if err != nil {
			o.problem(accesskey.Problem{What: "iam:ListAccessKeys", Subject: account, Lists: true}, err)
		}
		o.Keys = append(o.Keys, keys...)
		return
	}
	seen := 0
	for i, s := range row.slots {
		if s.rotated.IsZero() || o.rootKeys == 0 {
			continue // none, or deleted since the report was made
		}
		seen++
		status := accesskey.Inactive
		if s.active {
			status = accesskey.Active
		}
		s.use.Lag += reportAge
		o.Keys = append(o.Keys, accesskey.Observed{
			ID: fmt.Sprintf("%s/root/%d", account, i+1), Principal: account, Name: "root access key", Status: status, ChangedAt: s.rotated, Use: s.use,
			Detail: map[string]string{"id": "told only to root; this is its place in the credential report"},
		})
	}
	if told && o.Account.RootKey == accesskey.Unknown {
		o.Account.RootKey = accesskey.FactOf(seen > 0)
	}
	if told && seen < o.rootKeys {
		o.problem(accesskey.Problem{What: "iam:GetCredentialReport", Subject: account, Lists: true},
			incomplete("GetCredentialReport", "the root user has an access key that the report does not show yet"))
	}
}
