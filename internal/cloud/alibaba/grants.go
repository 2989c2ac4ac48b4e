package alibaba

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/alibaba/rpc"
	"github.com/keyward/keyward/internal/fault"
)

const (
	reportPolls = 15 // how often it is asked whether the report is there
	reportPause = 2 * time.Second
	reportRows  = "1000" // of one page
	reportPages = 100
)

// A memo is read once, by whoever needs it first; the others wait.
type memo[T any] struct {
	mu      sync.Mutex // guards entries
	entries map[string]*entry[T]
}

type entry[T any] struct {
	read  chan struct{} // closed when the rest is there
	value T
	err   error
}

func (m *memo[T]) get(name string, load func() (T, error)) (T, error) {
	m.mu.Lock()
	if m.entries == nil {
		m.entries = map[string]*entry[T]{}
	}
	e := m.entries[name]
	if e != nil {
		m.mu.Unlock()
		<-e.read
		return e.value, e.err
	}
	e = &entry[T]{read: make(chan struct{})}
	m.entries[name] = e
	m.mu.Unlock()
	defer close(e.read)
	e.value, e.err = load()
	return e.value, e.err
}

// grants reads the policies of a user, its own and those of its groups; nil if that was
// not possible. A part is answered if only a part could be read.
func (r *reading) grants(ctx context.Context, subject, name string) ([]accesskey.Grant, error) {
	whose := map[string]string{"UserName": name}
	own, err := ask[policyList](ctx, r, r.askRAM("ListPoliciesForUser", subject, whose))
	if err != nil {
		return nil, err
	}
	out := []accesskey.Grant{}
	if out, err = r.add(ctx, out, own.Policies.Policy, ""); err != nil {
		return out, err
	}
	groups, err := ask[groupList](ctx, r, r.askRAM("ListGroupsForUser", subject, whose))
	if err != nil {
		return out, err
	}
	for _, g := range groups.Groups.Group {
		policies, err := r.groups.get(g.GroupName, func() ([]attached, error) {
			list, err := ask[policyList](ctx, r, r.askRAM("ListPoliciesForGroup", "", map[string]string{"GroupName": g.GroupName}))
			if err != nil {
				return nil, err
			}
			return list.Policies.Policy, nil
		})
		if fatal(err) {
			return out, err
		}
		if out, err = r.add(ctx, out, policies, rpc.Clean(g.GroupName, maxName)); err != nil {
			return out, err
		}
	}
	return out, nil
}

// add makes grants of policies. The error is a fatal one.
func (r *reading) add(ctx context.Context, out []accesskey.Grant, policies []attached, via string) ([]accesskey.Grant, error) {
	for _, p := range policies {
		b, err := r.breadth(ctx, p)
		if fatal(err) {
			return out, err
		}
		name := rpc.Clean(p.PolicyName, maxName)
		out = append(out, accesskey.Grant{Name: name, ID: rpc.Clean(p.PolicyType, maxName) + "/" + name, Via: via, Admin: b.admin, Wide: b.wide})
	}
	return out, nil
}

// breadth answers how much a policy grants; of one that could not be read, nothing.
func (r *reading) breadth(ctx context.Context, p attached) (breadth, error) {
	if p.PolicyType == "System" {
		return systemBreadth(p.PolicyName), nil
	}
	return r.policies.get(p.PolicyName, func() (breadth, error) {
		q := r.askRAM("GetPolicy", "", map[string]string{"PolicyName": p.PolicyName, "PolicyType": p.PolicyType})
		version, err := ask[policyVersion](ctx, r, q)
		if err != nil {
			return breadth{}, err
		}
		b, err := documentBreadth(version.DefaultPolicyVersion.PolicyDocument)
		if err != nil {
			r.note(q, fault.Unavailable.Wrap(err, "the document of the policy %s makes no sense", rpc.Clean(p.PolicyName, maxName)), false)
			return breadth{}, errUnanswered
		}
		return b, nil
	})
}

// report reads the credential report, which tells of a thousand users' logins in one
// answer. That there is none is no problem: each user is then asked for. Of the account's
// own keys the practice report tells as well.
func (r *reading) report(ctx context.Context) error {
	reported, err := r.readReport(ctx)
	if ctx.Err() != nil || rpc.ErrorOf(err).OfCredential() {
		return err
	}
	if err == nil {
		r.reported = reported
	}
	if root, ok := r.reported[rootRow]; ok {
		r.rootKeys = accesskey.FactOf(len(root.keys) > 0)
		return nil
	}
	practice, err := ask[practiceReport](ctx, r, r.askIMS("GetAccountSecurityPracticeReport", "", nil))
	if fatal(err) {
		return err
	}
	if err == nil {
		r.rootKeys = accesskey.FactOf(*practice.AccountSecurityPracticeInfo.AccountSecurityPracticeUserInfo.RootWithAccessKey > 0)
	}
	return nil
}

var errNoReport = errors.New("the credential report is not there in time")

// readReport has the report made, which takes a while and happens at most every four
// hours, and reads it to its end: a part of it is none.
func (r *reading) readReport(ctx context.Context) (map[string]facts, error) {
	for poll := 0; ; poll++ {
		state, err := rpc.Read[reportState](ctx, r.client, r.askIMS("GenerateCredentialReport", "", nil).operation())
		if err != nil {
			return nil, err
		}
		if state.State == "COMPLETE" {
			break
		}
		if poll == reportPolls {
			return nil, errNoReport
		}
		if err := rpc.Sleep(ctx, reportPause); err != nil {
			return nil, err
		}
	}
	out := map[string]facts{}
	params := map[string]string{"MaxItems": reportRows}
	var header []string
	for range reportPages {
		page, err := rpc.Read[reportPage](ctx, r.client, r.askIMS("GetCredentialReport", "", params).operation())
		if err != nil {
			return nil, err
		}
		rows, names, err := readReport(*page.Content, header)
		if err != nil {
			return nil, err
		}
		header = names
		for name, f := range rows {
			out[name] = f
		}
		if !page.IsTruncated {
			return out, nil
		}
		params["NextToken"] = page.NextToken
	}
	return nil, errNoReport
}
