package authz_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/authz"
)

// A reference decides from the JSON itself, as slowly as the language's description reads:
// with regular expressions, rational numbers, calendar arithmetic and package net. It shares
// nothing with the compiled evaluator but the types of question and answer, and none of the
// library functions that matter: no strings.EqualFold, strconv.ParseFloat, time.Parse, netip.
// It is not safe for concurrent use.
type reference struct {
	expressions map[string]*regexp.Regexp
	documents   []referenceDocument
	owned       *referenceDocument // of the resource; nil for none
	session     *referenceDocument // of the session; nil for none

	call    *authz.Call
	request authz.Request
}

type referenceDocument struct {
	name      string
	Statement referenceStatements
}

// referenceStatements are a list in JSON, or one statement.
type referenceStatements []struct {
	Sid       string
	Effect    string
	Principal map[string]any
	Action    any
	NotAction any
	Resource  any
	Condition map[string]map[string]any
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *referenceStatements) UnmarshalJSON(text []byte) error {
	type list referenceStatements // without this method
	if text[0] != '[' {
		text = slices.Concat([]byte{'['}, text, []byte{']'})
	}
	return json.Unmarshal(text, (*list)(s))
}

// read takes the policies that the next questions are about. That of the resource may be
// empty, for none.
func (r *reference) read(documents []string, owned string) error {
	r.documents, r.owned = nil, nil
	for i, text := range documents {
		d := referenceDocument{name: policyName(i)}
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			return fmt.Errorf("reading %s: %w", text, err)
		}
		r.documents = append(r.documents, d)
	}
	if owned == "" {
		return nil
	}
	r.owned = &referenceDocument{name: authz.OfResource}
	if err := json.Unmarshal([]byte(owned), r.owned); err != nil {
		return fmt.Errorf("reading %s: %w", owned, err)
	}
	return nil
}

// readSession takes the session policy that the next questions are about.
func (r *reference) readSession(text string) error {
	r.session = &referenceDocument{name: sessionName}
	return json.Unmarshal([]byte(text), r.session)
}

const sessionName = "session"

func policyName(i int) string { return fmt.Sprint("policy ", i) }

func (r *reference) decide(call *authz.Call, request authz.Request) authz.Decision {
	r.call, r.request = call, request
	d := r.unnarrowed()
	if !d.Allowed || call.Session == nil || call.Session.Policy == nil {
		return d
	}
	switch narrowed := r.byPolicies([]referenceDocument{*r.session}); narrowed.Reason {
	case authz.ByAllow:
		return d
	case authz.ByDeny:
		return narrowed
	}
	return authz.Decision{Reason: authz.BySession}
}

// acts are the kinds of principals that policies decide about, as key policies name them.
var acts = map[authz.Kind]string{authz.User: "user", "assumed-role": "role", "federated-user": "user"}

func (r *reference) unnarrowed() authz.Decision {
	call, request := r.call, r.request
	fields := strings.SplitN(request.Resource, ":", 5)
	if len(fields) != 5 || fields[0] != "acs" || fields[1] == "" || fields[3] == "" || fields[4] == "" {
		return authz.Decision{Reason: authz.Malformed}
	}
	if fields[3] != call.Account {
		return r.across()
	}
	switch call.Kind {
	case authz.Root:
		return authz.Decision{Allowed: true, Reason: authz.ByRoot}
	case authz.Service:
		return authz.Decision{Allowed: true, Reason: authz.ByService}
	case authz.User, "assumed-role", "federated-user":
		return r.inside()
	}
	return authz.Decision{Reason: authz.NoPrincipal}
}

// inside decides in the own account: one policy is enough to allow or to deny.
func (r *reference) inside() authz.Decision {
	all := slices.Clone(r.documents)
	if r.owned != nil {
		all = append(all, *r.owned)
	}
	return r.byPolicies(all)
}

// across decides about a resource of another account: its policy must allow, and a policy
// of the user, too.
func (r *reference) across() authz.Decision {
	out := authz.Decision{Reason: authz.OtherAccount}
	if acts[r.call.Kind] == "" || r.owned == nil && !r.request.Shared || r.owned != nil && !r.byPolicies([]referenceDocument{*r.owned}).Allowed {
		return out
	}
	out = r.byPolicies(r.documents)
	if out.Allowed && r.owned != nil {
		out.Reason = authz.ByBoth
	}
	return out
}

// byPolicies collects all the statements that speak of the request, and only then looks
// for a denial among them.
func (r *reference) byPolicies(documents []referenceDocument) authz.Decision {
	var allows, denies []authz.Decision
	for _, d := range documents {
		for i, s := range d.Statement {
			deny := s.Effect == "Deny"
			if !r.principal(s.Principal, deny) || !r.action(s.Action, s.NotAction, deny) || s.Principal == nil && !r.resource(s.Resource, deny) || !r.conditions(s.Condition, deny) {
				continue
			}
			id := s.Sid
			if id == "" {
				id = strconv.Itoa(i + 1)
			}
			if deny {
				denies = append(denies, authz.Decision{Reason: authz.ByDeny, Policy: d.name, Statement: id})
			} else {
				allows = append(allows, authz.Decision{Allowed: true, Reason: authz.ByAllow, Policy: d.name, Statement: id})
			}
		}
	}
	if len(denies) > 0 {
		return denies[0]
	}
	if len(allows) > 0 {
		return allows[0]
	}
	return authz.Decision{Reason: authz.ByDefault}
}

func (r *reference) action(action, except any, deny bool) bool {
	names := func(patterns any) bool {
		return anyOf(patterns, func(p string) bool { return r.wildcard("(?i)", p, r.request.Action) })
	}
	if action != nil {
		return names(action)
	}
	power := r.expression(`(?i)^(ram:.*|keyward:.*|kms:Set(Key|Secret)Policy)$`).MatchString(r.request.Action)
	return !names(except) && (deny || !power)
}

// principal tells whether a statement speaks of the caller. A policy without principals
// speaks of those who have it; an Allow never speaks of a whole account.
func (r *reference) principal(block map[string]any, deny bool) bool {
	if block == nil {
		return true
	}
	return anyOf(block["RAM"], func(name string) bool {
		whole := "acs:ram::" + r.call.Account + ":*"
		known := "acs:ram::" + r.call.Account + ":" + acts[r.call.Kind] + "/" + r.call.Name
		return name == known || name == whole && deny
	})
}

func (r *reference) resource(patterns any, deny bool) bool {
	have := strings.SplitN(r.request.Resource, ":", 5)
	lent := have[3] != r.call.Account && !deny // an Allow must write the other account out
	return anyOf(patterns, func(pattern string) bool {
		if pattern == "*" {
			return !lent
		}
		want := strings.SplitN(pattern, ":", 5)
		if lent && want[3] != have[3] {
			return false
		}
		for i := range want {
			if !r.wildcard("", want[i], have[i]) {
				return false
			}
		}
		return true
	})
}

func (r *reference) conditions(block map[string]map[string]any, deny bool) bool {
	for operator, pairs := range block {
		for key, values := range pairs {
			if !r.condition(operator, key, values, deny) {
				return false
			}
		}
	}
	return true
}

func (r *reference) condition(operator, key string, values any, deny bool) bool {
	positive := strings.Replace(operator, "Not", "", 1)
	negative := positive != operator
	have, known := r.value(key)
	if !known || !typed(positive, have) {
		return negative && deny
	}
	some := anyOf(values, func(want string) bool { return r.compare(positive, have, want) })
	return some != negative
}

func (r *reference) value(key string) (string, bool) {
	switch key {
	case "acs:SourceIp":
		return r.call.Source.String(), r.call.Source.IsValid()
	case "acs:CurrentTime":
		return r.call.Time.Format(time.RFC3339Nano), !r.call.Time.IsZero()
	case "acs:SecureTransport":
		return fmt.Sprint(r.call.Secure), true
	case "acs:MFAPresent":
		return "false", true
	case "acs:PrincipalARN":
		name := "user/alice"
		if acts[r.call.Kind] != "user" || r.call.Session != nil {
			name = string(r.call.Kind) + "/alice/ci"
		}
		return "acs:ram::" + account + ":" + name, true
	}
	for _, a := range r.request.Attributes {
		if a.Key == key {
			return a.Value, true
		}
	}
	return "", false
}

// typed tells whether a value is of the type that an operator compares.
func typed(positive, have string) bool {
	ok := true
	switch family := positive; {
	case strings.HasPrefix(family, "Numeric"):
		_, ok = decimal(have)
	case strings.HasPrefix(family, "Date"):
		_, ok = instant(have)
	case family == "Bool":
		ok = have == "true" || have == "false"
	case family == "IpAddress":
		ok = address(have) != nil
	}
	return ok
}

// compare tells whether a positive operator holds for a value of its type.
func (r *reference) compare(operator, have, want string) bool {
	switch operator {
	case "StringEquals", "Bool":
		return have == want
	case "StringEqualsIgnoreCase":
		return r.expression("(?is)^" + regexp.QuoteMeta(want) + "$").MatchString(have)
	case "StringLike":
		return r.wildcard("", want, have)
	case "IpAddress":
		if _, network, err := net.ParseCIDR(want); err == nil {
			return network.Contains(address(have))
		}
		return address(have).Equal(address(want))
	}
	if relation, ok := strings.CutPrefix(operator, "Numeric"); ok {
		a, _ := decimal(have)
		b, _ := decimal(want)
		return ordered(relation, big.NewFloat(a).Cmp(big.NewFloat(b)))
	}
	a, _ := instant(have)
	b, _ := instant(want)
	return ordered(strings.TrimPrefix(operator, "Date"), a.Cmp(b))
}

func ordered(relation string, order int) bool {
	return map[string]bool{
		"Equals": order == 0, "LessThan": order < 0, "LessThanEquals": order <= 0,
		"GreaterThan": order > 0, "GreaterThanEquals": order >= 0,
	}[relation]
}

var (
	decimals = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$`)
	instants = regexp.MustCompile(`^([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9]+)?(?:Z|([+-])([0-9]{2}):([0-9]{2}))$`)
)

// decimal reads a decimal number exactly and rounds it to a double once.
func decimal(s string) (float64, bool) {
	if !decimals.MatchString(s) {
		return 0, false
	}
	exact, ok := new(big.Rat).SetString(s)
	if !ok {
		return 0, false
	}
	rounded, _ := exact.Float64()
	return rounded, !math.IsInf(rounded, 0)
}

// instant reads an RFC 3339 time as seconds since the year 0.
func instant(s string) (*big.Rat, bool) {
	m := instants.FindStringSubmatch(s)
	if m == nil {
		return nil, false
	}
	n := func(i int) int {
		v, _ := strconv.Atoi(m[i]) // digits, or nothing
		return v
	}
	year, month, day := n(1), n(2), n(3)
	leap := year%4 == 0 && year%100 != 0 || year%400 == 0
	lengths := []int{0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
	if leap {
		lengths[2] = 29
	}
	if month < 1 || month > 12 || day < 1 || day > lengths[month] || n(4) > 23 || n(5) > 59 || n(6) > 59 || n(9) > 24 || n(10) > 60 {
		return nil, false
	}
	days := 365*year + (year+3)/4 - (year+99)/100 + (year+399)/400 + day
	for _, length := range lengths[:month] {
		days += length
	}
	offset := 60 * (60*n(9) + n(10))
	if m[8] == "-" {
		offset = -offset
	}
	seconds := new(big.Rat).SetInt64(int64(86400*days + 3600*n(4) + 60*n(5) + n(6) - offset))
	if m[7] != "" {
		fraction, _ := new(big.Rat).SetString("0" + m[7])
		seconds.Add(seconds, fraction)
	}
	return seconds, true
}

// address reads an address without its zone; IPv4 mapped into IPv6 is IPv4 to package net.
func address(s string) net.IP {
	bare, zone, zoned := strings.Cut(s, "%")
	ip := net.ParseIP(bare)
	if zoned && (zone == "" || !strings.Contains(bare, ":") || strings.Contains(bare, ".")) {
		return nil
	}
	return ip
}

func anyOf(values any, holds func(string) bool) bool {
	list, ok := values.([]any)
	if !ok {
		list = []any{values}
	}
	for _, v := range list {
		if holds(fmt.Sprint(v)) {
			return true
		}
	}
	return false
}

func (r *reference) wildcard(flags, pattern, name string) bool {
	quoted := regexp.QuoteMeta(pattern)
	quoted = strings.ReplaceAll(quoted, `\*`, `.*`)
	quoted = strings.ReplaceAll(quoted, `\?`, `.`)
	return r.expression(`^(?s)` + flags + quoted + `$`).MatchString(name)
}

func (r *reference) expression(text string) *regexp.Regexp {
	if r.expressions[text] == nil {
		if r.expressions == nil || len(r.expressions) > 100_000 { // patterns are random
			r.expressions = map[string]*regexp.Regexp{}
		}
		r.expressions[text] = regexp.MustCompile(text)
	}
	return r.expressions[text]
}
