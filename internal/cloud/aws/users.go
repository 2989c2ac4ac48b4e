package aws

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
)

// A page is the end of every answer that is a part of a list.
type page struct {
	Truncated *bool  `xml:"IsTruncated"`
	Marker    string `xml:"Marker"`
}

// next answers where the list goes on; "" with more is a contradiction.
func (p *page) next() (marker string, more bool) {
	return p.Marker, p.Truncated != nil && *p.Truncated
}

// A list is an element with members; a nil one was not in the answer.
type list[T any] struct {
	Members []T `xml:"member"`
}

func (l *list[T]) all() []T {
	if l == nil {
		return nil
	}
	return l.Members
}

// A part is an answer with a part of a list.
type part[T any] interface {
	*T
	// whole is false if neither the list nor its end is there: an answer without either
	// is none, and not the answer that the list is empty.
	whole() bool
	next() (marker string, more bool)
}

// pages calls an action until it has answered the whole list. Only when the error is nil
// was the list whole.
func pages[T any, P part[T]](ctx context.Context, o *observation, action string, params url.Values, each func(P)) error {
	query := url.Values{"MaxItems": {"1000"}}
	for name, values := range params {
		query[name] = values
	}
	for range maxPages {
		answer := P(new(T))
		if err := o.client.call(ctx, o.iam, action, query, answer); err != nil {
			return explain(err)
		}
		if !answer.whole() {
			return incomplete(action, "there is no list in it")
		}
		each(answer)
		marker, more := answer.next()
		switch {
		case !more:
			return nil
		case marker == "" || marker == query.Get("Marker"):
			return incomplete(action, "there is more, and nothing says where")
		}
		query.Set("Marker", marker)
	}
	return incomplete(action, fmt.Sprintf("it has more than %d parts", maxPages))
}

// A userXML is a user of ListUsers and, with the rest, of GetAccountAuthorizationDetails.
type userXML struct {
	ID       string      `xml:"UserId"`
	Name     string      `xml:"UserName"`
	ARN      string      `xml:"Arn"`
	Created  time.Time   `xml:"CreateDate"`
	Boundary string      `xml:"PermissionsBoundary>PermissionsBoundaryArn"`
	Tags     []tagXML    `xml:"Tags>member"`
	Inline   []inlineXML `xml:"UserPolicyList>member"`
	Attached []policyXML `xml:"AttachedManagedPolicies>member"`
	Groups   []string    `xml:"GroupList>member"`
}

type tagXML struct{ Key, Value string }

type inlineXML struct {
	Name     string `xml:"PolicyName"`
	Document string `xml:"PolicyDocument"`
}

type policyXML struct {
	Name string `xml:"PolicyName"`
	ARN  string `xml:"PolicyArn"`
}

type groupXML struct {
	Name     string      `xml:"GroupName"`
	Inline   []inlineXML `xml:"GroupPolicyList>member"`
	Attached []policyXML `xml:"AttachedManagedPolicies>member"`
}

type detailsXML struct {
	page
	Users    *list[userXML] `xml:"UserDetailList"`
	Groups   []groupXML     `xml:"GroupDetailList>member"`
	Policies []struct {
		ARN      string `xml:"Arn"`
		Versions []struct {
			Default  bool   `xml:"IsDefaultVersion"`
			Document string `xml:"Document"`
		} `xml:"PolicyVersionList>member"`
	} `xml:"Policies>member"`
}

func (d *detailsXML) whole() bool { return d.Truncated != nil || d.Users != nil }

type usersXML struct {
	page
	Users *list[userXML] `xml:"Users"`
}

func (u *usersXML) whole() bool { return u.Truncated != nil || u.Users != nil }

// users answers everybody there is and, if it may be read, what they may do.
func (o *observation) users(ctx context.Context) []userXML {
	var users []userXML
	var details detailsXML
	err := pages(ctx, o, "GetAccountAuthorizationDetails", url.Values{
		"MaxItems":        {"200"}, // documents make each item long
		"Filter.member.1": {"User"}, "Filter.member.2": {"Group"},
		"Filter.member.3": {"LocalManagedPolicy"}, "Filter.member.4": {"AWSManagedPolicy"},
	}, func(part *detailsXML) {
		users = append(users, part.Users.all()...)
		details.Groups = append(details.Groups, part.Groups...)
		details.Policies = append(details.Policies, part.Policies...)
	})
	if err == nil {
		o.grants = o.grantsOf(users, &details)
		return users
	}
	o.problem(accesskey.Problem{What: "iam:GetAccountAuthorizationDetails"}, err)
	users = nil // a part of them, perhaps
	if err := pages(ctx, o, "ListUsers", nil, func(part *usersXML) { users = append(users, part.Users.all()...) }); err != nil {
		o.problem(accesskey.Problem{What: "iam:ListUsers", Lists: true}, err)
	}
	return users
}

// grantsOf joins users, groups and policies into the grants of each user, by id.
func (o *observation) grantsOf(users []userXML, d *detailsXML) map[string][]accesskey.Grant {
	managed := make(map[string]breadth, len(d.Policies))
	for _, p := range d.Policies {
		for _, v := range p.Versions {
			if v.Default {
				managed[p.ARN] = o.breadth(p.ARN, v.Document)
			}
		}
	}
	grants := func(via string, attached []policyXML, inline []inlineXML) []accesskey.Grant {
		var out []accesskey.Grant
		for _, p := range attached {
			b, ok := managed[p.ARN]
			if !ok {
				o.problem(accesskey.Problem{What: "iam:GetAccountAuthorizationDetails", Subject: clean(p.ARN, 2048)}, incomplete("GetAccountAuthorizationDetails", "the policy's document was not told"))
			}
			out = append(out, accesskey.Grant{Name: clean(p.Name, 128), ID: clean(p.ARN, 2048), Via: via, Admin: b.admin, Wide: b.wide})
		}
		for _, p := range inline {
			b := o.breadth(p.Name, p.Document)
			out = append(out, accesskey.Grant{Name: clean(p.Name, 128), Via: via, Admin: b.admin, Wide: b.wide})
		}
		return out
	}
	groups := make(map[string][]accesskey.Grant, len(d.Groups))
	for _, g := range d.Groups {
		groups[g.Name] = grants(clean(g.Name, 128), g.Attached, g.Inline)
	}
	out := make(map[string][]accesskey.Grant, len(users))
	for _, u := range users {
		all := append([]accesskey.Grant{}, grants("", u.Attached, u.Inline)...) // not nil: it was read
		for _, g := range u.Groups {
			all = append(all, groups[g]...)
		}
		out[u.ID] = all
	}
	return out
}

func (o *observation) breadth(policy, document string) breadth {
	b, err := breadthOf(document)
	if err != nil {
		o.problem(accesskey.Problem{What: "iam:GetAccountAuthorizationDetails", Subject: clean(policy, 2048)}, incomplete("GetAccountAuthorizationDetails", "the policy's document is none"))
	}
	return b
}

// principal is a user as the inventory knows them. A user of IAM cannot be switched off.
func (o *observation) principal(u userXML) accesskey.Principal {
	p := accesskey.Principal{
		ID: clean(u.ID, 128), Name: clean(u.Name, 128), Kind: accesskey.User, CreatedAt: u.Created.UTC(),
		Disabled: accesskey.No, Grants: o.grants[u.ID], Boundary: clean(u.Boundary[strings.LastIndex(u.Boundary, "/")+1:], 128),
	}
	if row, ok := o.report[u.ARN]; ok {
		p.Console, p.ConsoleAt, p.ConsoleMFA = row.console, row.consoleAt, row.mfa
	}
	return p
}
