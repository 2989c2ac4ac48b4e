// Package liveness asks the issuers of credentials that somebody found whether they still
// work: by one call that reads, needs no right and changes nothing.
//
// A credential is *live* if its issuer says whose it is, *dead* if the issuer says that it is
// no valid one, and *unknown* whatever else happens: what cannot be reached, is overloaded or
// answers something new has said nothing. Where an issuer has several sites that do not know
// each other, dead takes the word of all.
//
// Only credentials whose issuer is certain by their form are tried, and at that issuer only: a
// token whose form several hosts share would be given to strangers. Webhooks are never tried,
// for whoever calls one sends a message. What the call cannot judge is not tried either: keys
// that work with a session token only, tokens of installations and those that fetch other
// tokens, of which issuers say no although they work.
//
//	rule                         tried                     call                                source
//	aws-secret-access-key        with an id AKIA…          sts:GetCallerIdentity               package cloud/aws
//	alibaba-access-key-secret    with an id LTAI…          sts:GetCallerIdentity               package cloud/alibaba
//	tencent-secret-key           with an id AKID…, IKID…   sts:GetCallerIdentity               package cloud/tencent
//	github-token                 ghp_, gho_, ghu_          GET https://api.github.com/user     GitHub REST API, "Get the authenticated user"
//	github-fine-grained-token    github_pat_               the same
//	gitlab-token                 glpat-                    GET https://gitlab.com/api/v4/personal_access_tokens/self  GitLab REST API, "Personal access tokens"
//	huggingface-token            hf_                       GET https://huggingface.co/api/whoami-v2  huggingface_hub, whoami
//	npm-token                    npm_                      GET https://registry.npmjs.org/-/whoami  npm CLI, npm whoami
//	slack-token                  xoxb-, xoxp-              POST https://slack.com/api/auth.test  Slack Web API, auth.test
//
// GitLab's tokens look the same wherever GitLab runs, so that its word is "gitlab.com": whoever
// names it says that tokens may be given to that host. npm refuses a token that is bound to
// networks as one that is none, so that its no is unknown.
//
// The keys of clouds stay here: they sign the call, and where a key works the same call is made
// again for whose it is. A token is sent, over TLS.
//
// Who may call: package watch, which records before it does. Requests go through the guard of
// package egress. Nothing is stored, and nothing that an issuer says is trusted but whose the
// credential is, which is cleaned and bounded.
package liveness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/alibaba"
	"github.com/keyward/keyward/internal/cloud/aws"
	"github.com/keyward/keyward/internal/cloud/tencent"
	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/exposure"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/watch"
)

const (
	patience = 10 * time.Second // for one call
	maxBody  = 64 << 10         // bytes of an answer
	maxName  = 128              // bytes of whose a credential is
)

// Options says what an Asker is made of. Now is required.
type Options struct {
	Now   func() time.Time
	Allow []netip.Prefix // networks that may be reached although they are not public
	// Elsewhere answers where to ask instead of an issuer's usual address, by the word for it
	// ([Asker.Issuers]): a test's server. Nil is nowhere else.
	Elsewhere map[string]string
}

// An Asker asks issuers. It may be used concurrently.
type Asker struct {
	o     Options
	http  *http.Client
	rules map[string]issuer
}

// An issuer tells whether credentials that one rule finds work.
type issuer struct {
	word     string   // "aws"
	prefixes []string // of what is tried: of the identifier, if ids is set, else of the secret
	ids      bool
	ask      func(ctx context.Context, c watch.Candidate) exposure.Verdict
}

// Why it is unknown whether a credential works.
const (
	unavailable = "unavailable" // the issuer did not answer, or is overloaded
	unclear     = "unclear"     // what it answered says neither
)

func live(as string) exposure.Verdict {
	return exposure.Verdict{Liveness: exposure.Live, As: clean(as)}
}

func dead() exposure.Verdict { return exposure.Verdict{Liveness: exposure.Dead} }

func unknown(why string) exposure.Verdict {
	return exposure.Verdict{Liveness: exposure.Unknown, Why: why}
}

// New makes an Asker.
func New(o Options) *Asker {
	a := &Asker{o: o, http: egress.Single(o.Allow)}
	clouds := []cloud{
		{
			rule: "aws-secret-access-key", prefixes: []string{"AKIA"}, kind: aws.Kind(), issuer: aws.Issuer(), id: "access_key_id", secret: "secret_access_key", prefix: "aws_", nobody: "AIDA00000000000000000",
			sites: []form.Pair{{Name: "region", Value: "us-east-1"}, {Name: "region", Value: "cn-north-1"}, {Name: "region", Value: "us-gov-west-1"}},
		},
		{
			rule: "alibaba-access-key-secret", prefixes: []string{"LTAI"}, kind: alibaba.Kind(), issuer: alibaba.Issuer(), id: "access_key_id", secret: "access_key_secret", nobody: "100000000000000001",
			sites: []form.Pair{{}},
		},
		{
			rule: "tencent-secret-key", prefixes: []string{"AKID", "IKID"}, kind: tencent.Kind(), issuer: tencent.Issuer(), id: "secret_id", secret: "secret_key", nobody: "1",
			sites: []form.Pair{{}, {Name: "endpoint", Value: "https://cam.intl.tencentcloudapi.com"}},
		},
	}
	github := a.reader("github", "https://api.github.com", "/user", dead(), named("login"))
	a.rules = map[string]issuer{
		"github-token":              {word: "github", prefixes: []string{"ghp_", "gho_", "ghu_"}, ask: github},
		"github-fine-grained-token": {word: "github", prefixes: []string{"github_pat_"}, ask: github},
		"gitlab-token":              {word: "gitlab.com", prefixes: []string{"glpat-"}, ask: a.reader("gitlab.com", "https://gitlab.com", "/api/v4/personal_access_tokens/self", dead(), ofGitLab)},
		"huggingface-token":         {word: "huggingface", prefixes: []string{"hf_"}, ask: a.reader("huggingface", "https://huggingface.co", "/api/whoami-v2", dead(), named("name"))},
		"npm-token":                 {word: "npm", prefixes: []string{"npm_"}, ask: a.reader("npm", "https://registry.npmjs.org", "/-/whoami", unknown(unclear), named("username"))},
		"slack-token":               {word: "slack", prefixes: []string{"xoxb-", "xoxp-"}, ask: a.slack},
	}
	for _, c := range clouds {
		a.rules[c.rule] = issuer{word: c.kind.Name, prefixes: c.prefixes, ids: true, ask: func(ctx context.Context, found watch.Candidate) exposure.Verdict {
			return a.cloud(ctx, c, found)
		}}
	}
	return a
}

// Issuers implements watch.Verifier.
func (a *Asker) Issuers() (words []string) {
	for _, of := range a.rules {
		words = append(words, of.word)
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// Rules implements watch.Verifier.
func (a *Asker) Rules(issuers []string) (rules []string) {
	for rule, of := range a.rules {
		if slices.Contains(issuers, of.word) {
			rules = append(rules, rule)
		}
	}
	slices.Sort(rules)
	return rules
}

// Asks implements watch.Verifier.
func (a *Asker) Asks(c watch.Candidate) string {
	of := a.rules[c.Rule]
	tried := c.Value.Expose()
	if of.ids {
		tried = []byte(c.KeyID)
	}
	if !slices.ContainsFunc(of.prefixes, func(p string) bool { return bytes.HasPrefix(tried, []byte(p)) }) {
		return ""
	}
	return of.word
}

// Try implements watch.Verifier.
func (a *Asker) Try(ctx context.Context, c watch.Candidate) exposure.Verdict {
	v := unknown(unclear)
	if a.Asks(c) != "" {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		v = a.rules[c.Rule].ask(ctx, c)
	}
	v.At = a.o.Now().UTC().Truncate(time.Second)
	return v
}

// A cloud is an issuer of keys with an id and a secret.
type cloud struct {
	rule       string
	prefixes   []string // of ids that work without a session token
	kind       accesskey.KindOfProvider
	issuer     rotation.KindOfIssuer
	id, secret string      // what the kind calls them
	prefix     string      // before these, in what the issuer tries
	nobody     string      // has the form of a principal, and is none
	sites      []form.Pair // settings: those that do not know each other's keys
}

// cloud asks whose a key is, at each site until one knows it.
func (a *Asker) cloud(ctx context.Context, c cloud, found watch.Candidate) exposure.Verdict {
	parts := map[string]material.Bytes{c.id: material.NewBytes([]byte(found.KeyID)), c.secret: found.Value}
	tried := map[string]material.Bytes{c.prefix + c.id: parts[c.id], c.prefix + c.secret: parts[c.secret]}
	for _, site := range c.sites {
		settings := map[string]string{}
		if site.Name != "" {
			settings[site.Name] = site.Value
		}
		if to := a.o.Elsewhere[c.kind.Name]; to != "" {
			settings["endpoint"] = to
		}
		opening := accesskey.Opening{Filling: form.Filling{Settings: settings, Credential: parts}, Now: a.o.Now, Allow: a.o.Allow}
		i, err := c.issuer.Open(opening, c.nobody)
		if err != nil {
			return unknown(unclear)
		}
		verdict, err := i.Verify(ctx, found.KeyID, tried)
		switch {
		case ctx.Err() != nil || fault.Is(err, fault.Unavailable):
			return unknown(unavailable)
		case err != nil:
			return unknown(unclear)
		case verdict != rotation.Refused:
			return live(identity(ctx, c.kind, opening))
		}
	}
	return dead()
}

// identity answers whose a key is that works, as far as that is told.
func identity(ctx context.Context, k accesskey.KindOfProvider, o accesskey.Opening) string {
	p, err := k.Open(o)
	if err != nil {
		return ""
	}
	who, err := p.Check(ctx)
	if err != nil {
		return ""
	}
	return strings.Trim(who.Account+"/"+who.Principal, "/")
}

// bearer makes a call with a token and answers its status and, of 200, the body.
func (a *Asker) bearer(ctx context.Context, method, word, usual, path string, token material.Bytes) (int, []byte, error) {
	base := usual
	if to := a.o.Elsewhere[word]; to != "" {
		base = to
	}
	r, err := http.NewRequestWithContext(ctx, method, base+path, nil)
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+string(token.Expose()))
	r.Header.Set("User-Agent", "keyward")
	answer, err := a.http.Do(r)
	if err != nil {
		return 0, nil, errors.New("no answer") // the other one might hold more than it should
	}
	body, err := egress.ReadBody(answer, maxBody)
	return answer.StatusCode, body, err
}

// other answers what it comes to that an issuer said neither yes nor no.
func other(status int, err error) exposure.Verdict {
	if err != nil || status == http.StatusTooManyRequests || status >= http.StatusInternalServerError {
		return unknown(unavailable)
	}
	return unknown(unclear)
}

// reader asks with a token as a bearer's. whose reads the answer to one that works; one that is
// refused is what refused says.
func (a *Asker) reader(word, usual, path string, refused exposure.Verdict, whose func(body []byte) string) func(context.Context, watch.Candidate) exposure.Verdict {
	return func(ctx context.Context, c watch.Candidate) exposure.Verdict {
		status, body, err := a.bearer(ctx, http.MethodGet, word, usual, path, c.Value)
		switch {
		case err != nil:
		case status == http.StatusUnauthorized:
			return refused
		case status == http.StatusOK:
			if as := whose(body); as != "" {
				return live(as)
			}
		}
		return other(status, err)
	}
}

// named answers what reads a member of a JSON object.
func named(member string) func([]byte) string {
	return func(body []byte) string {
		var who map[string]any
		if json.Unmarshal(body, &who) != nil {
			return ""
		}
		name, _ := who[member].(string)
		return name
	}
}

// ofGitLab answers the user of a token, by number, and what he calls the token.
func ofGitLab(body []byte) string {
	var self struct {
		UserID int64 `json:"user_id"`
		Name   string
		Active bool
	}
	if json.Unmarshal(body, &self) != nil || self.UserID == 0 || !self.Active {
		return ""
	}
	return strings.Trim(strconv.FormatInt(self.UserID, 10)+"/"+self.Name, "/")
}

// over are what Slack says of a token that will not work again.
var over = []string{"invalid_auth", "token_revoked", "token_expired", "account_inactive"}

func (a *Asker) slack(ctx context.Context, c watch.Candidate) exposure.Verdict {
	status, body, err := a.bearer(ctx, http.MethodPost, "slack", "https://slack.com", "/api/auth.test", c.Value)
	var who struct {
		OK                bool
		Error, Team, User string
	}
	switch {
	case err != nil || status != http.StatusOK || json.Unmarshal(body, &who) != nil:
	case who.OK:
		return live(strings.Trim(who.Team+"/"+who.User, "/"))
	case slices.Contains(over, who.Error):
		return dead()
	}
	return other(status, err)
}

// clean makes an identity fit to be shown.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar {
			return '.'
		}
		return r
	}, strings.ToValidUTF8(text, "."))
	if len(text) > maxName {
		text = strings.ToValidUTF8(text[:maxName], "")
	}
	return text
}
