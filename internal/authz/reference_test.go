package authz_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/authz"
)

// reference decides from the JSON itself, with regular expressions and rational
// numbers, as slowly as the language's description reads. It shares nothing with
// the compiled evaluator but the types of the question.
type reference struct {
	call    *authz.Call
	request authz.Request
}

type referenceDocument struct {
	Statement []struct {
		Effect    string
		Action    any
		NotAction any
		Resource  any
		Condition map[string]map[string]any
	}
}

func (r reference) allowed(t *rapid.T, documents []string) bool {
	fields := strings.SplitN(r.request.Resource, ":", 5)
	if len(fields) != 5 || fields[0] != "acs" || fields[1] == "" || fields[4] == "" || fields[3] != r.call.Account {
		return false
	}
	if r.call.Kind != authz.User {
		return true
	}
	allows, denies := 0, 0
	for _, text := range documents {
		var document referenceDocument
		if err := json.Unmarshal([]byte(text), &document); err != nil {
			t.Fatalf("reading %s: %v", text, err)
		}
		for _, s := range document.Statement {
			deny := s.Effect == "Deny"
			if !r.action(s.Action, s.NotAction, deny) || !r.resource(s.Resource) || !r.conditions(s.Condition, deny) {
				continue
			}
			if deny {
				denies++
			} else {
				allows++
			}
		}
	}
	return allows > 0 && denies == 0
}

func (r reference) action(action, except any, deny bool) bool {
	if action != nil {
		return anyOf(action, func(p string) bool { return wildcard("(?i)", p, r.request.Action) })
	}
	if anyOf(except, func(p string) bool { return wildcard("(?i)", p, r.request.Action) }) {
		return false
	}
	service := strings.ToLower(strings.Split(r.request.Action, ":")[0])
	return deny || service != "ram" && service != "keyward"
}

func (r reference) resource(patterns any) bool {
	return anyOf(patterns, func(pattern string) bool {
		if pattern == "*" {
			return true
		}
		want, have := strings.SplitN(pattern, ":", 5), strings.SplitN(r.request.Resource, ":", 5)
		for i := range want {
			if !wildcard("", want[i], have[i]) {
				return false
			}
		}
		return true
	})
}

func (r reference) conditions(block map[string]map[string]any, deny bool) bool {
	for operator, pairs := range block {
		for key, values := range pairs {
			if !r.condition(operator, key, values, deny) {
				return false
			}
		}
	}
	return true
}

func (r reference) condition(operator, key string, values any, deny bool) bool {
	positive := operator
	negative := strings.Contains(operator, "Not")
	if negative {
		positive = strings.Replace(operator, "Not", "", 1)
	}
	have, known := r.value(key)
	if known {
		_, known = compareValues(positive, have, have)
	}
	if !known {
		return negative && deny
	}
	some := anyOf(values, func(want string) bool {
		holds, _ := compareValues(positive, have, want)
		return holds
	})
	return some != negative
}

func (r reference) value(key string) (string, bool) {
	switch key {
	case "acs:SourceIp":
		return r.call.Source.String(), r.call.Source.IsValid()
	case "acs:CurrentTime":
		return r.call.Time.Format(time.RFC3339Nano), !r.call.Time.IsZero()
	case "acs:SecureTransport":
		return fmt.Sprint(r.call.Secure), true
	case "acs:MFAPresent":
		return "false", true
	}
	for _, a := range r.request.Attributes {
		if a.Key == key {
			return a.Value, true
		}
	}
	return "", false
}

// compareValues tells whether the positive operator holds, and whether have is of its type.
func compareValues(operator, have, want string) (holds, typed bool) {
	switch operator {
	case "StringEquals":
		return have == want, true
	case "StringEqualsIgnoreCase":
		return strings.EqualFold(have, want), true
	case "StringLike":
		return wildcard("", want, have), true
	case "Bool":
		return have == want, have == "true" || have == "false"
	case "IpAddress":
		addr, err := netip.ParseAddr(have)
		if err != nil {
			return false, false
		}
		if addr.Is4In6() {
			addr = netip.AddrFrom4(addr.As4())
		}
		if prefix, err := netip.ParsePrefix(want); err == nil {
			return prefix.Contains(addr), true
		}
		return addr.String() == want, true
	}
	if family, ok := strings.CutPrefix(operator, "Numeric"); ok {
		a, okA := new(big.Rat).SetString(have)
		b, okB := new(big.Rat).SetString(want)
		return okA && okB && ordered(family, a.Cmp(b)), okA
	}
	a, errA := time.Parse(time.RFC3339, have)
	b, errB := time.Parse(time.RFC3339, want)
	return errA == nil && errB == nil && ordered(strings.TrimPrefix(operator, "Date"), a.Compare(b)), errA == nil
}

func ordered(relation string, order int) bool {
	return map[string]bool{
		"Equals": order == 0, "LessThan": order < 0, "LessThanEquals": order <= 0,
		"GreaterThan": order > 0, "GreaterThanEquals": order >= 0,
	}[relation]
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

func wildcard(flags, pattern, name string) bool {
	quoted := regexp.QuoteMeta(pattern)
	quoted = strings.ReplaceAll(quoted, `\*`, `.*`)
	quoted = strings.ReplaceAll(quoted, `\?`, `.`)
	expression := `^(?s)` + flags + quoted + `$`
	if expressions[expression] == nil {
		expressions[expression] = regexp.MustCompile(expression)
	}
	return expressions[expression].MatchString(name)
}

var expressions = map[string]*regexp.Regexp{}

// Generators. The alphabets are tiny, so that patterns and names meet often.

const account = "1111111111111111"

var (
	actions        = []string{"kms:Encrypt", "kms:Decrypt", "KMS:encrypt", "ram:CreateUser", "keyward:ExportAudit", "kms:ListKeys"}
	actionPatterns = append([]string{"*", "kms:*", "kms:*crypt", "kms:?ncrypt", "*:*", "ram:*", "k*:*", "kms:List*"}, actions...)
	resources      = []string{
		"acs:kms:cn-a:" + account + ":key/a", "acs:kms:cn-a:" + account + ":key/ab", "acs:kms:cn-b:" + account + ":alias/a:b",
		"acs:ram::" + account + ":user/a", "acs:kms:cn-a:2222222222222222:key/a", "acs:kms:cn-a:" + account, "key/a", "acs:kms:cn-a:" + account + ":KEY/a",
	}
	resourcePatterns = []string{
		"*", "acs:*:*:*:*", "acs:kms:*:*:key/*", "acs:kms:cn-?:" + account + ":key/a?", "acs:kms:cn-a:1*1:*a", "acs:kms:*:*:alias/*b",
		"acs:ram::*:user/*", "acs:ram:*:" + account + ":*", "acs:kms:cn-a:" + account + ":key/a", "acs:kms:*:2222222222222222:*",
	}
	stringOperators = []string{"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike"}
	orders          = []string{"Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"}
	attributeKeys   = []string{"kms:tag/team", "kms:EncryptionContext:n", "kms:KeySpec"}
	words           = rapid.OneOf(rapid.StringMatching(`[abAé]{0,4}`), rapid.StringMatching(`-?[0-9]{1,2}(\.5)?`), rapid.SampledFrom([]string{"true", "false"}))
	patterns        = rapid.StringMatching(`[ab*?Aé]{0,6}`)
	numbers         = rapid.StringMatching(`-?[0-9]{1,2}(\.5)?`)
	dates           = rapid.SampledFrom([]string{"2026-01-01T00:00:00Z", "2026-01-01T08:00:00+08:00", "2026-01-02T00:00:00Z", "2025-12-31T23:59:59Z"})
	addresses       = rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.0/24", "198.51.100.7/32", "2001:db8::/32", "0.0.0.0/0", "::/0"})
	booleans        = rapid.SampledFrom([]string{"true", "false"})
)

func oneOrMany(t *rapid.T, g *rapid.Generator[string]) any {
	if rapid.Bool().Draw(t, "list") {
		return rapid.SliceOfN(g, 1, 3).Draw(t, "values")
	}
	return g.Draw(t, "value")
}

func drawConditions(t *rapid.T) map[string]map[string]any {
	block := map[string]map[string]any{}
	for range rapid.IntRange(0, 2).Draw(t, "conditions") {
		key, operator, values := rapid.SampledFrom(attributeKeys).Draw(t, "key"), "", words
		switch rapid.IntRange(0, 7).Draw(t, "family") {
		case 0, 1:
			operator, values = rapid.SampledFrom(stringOperators).Draw(t, "operator"), rapid.OneOf(words, patterns)
		case 2:
			operator, values = "Numeric"+rapid.SampledFrom(orders).Draw(t, "operator"), numbers
		case 3:
			operator, values = "Date"+rapid.SampledFrom(orders).Draw(t, "operator"), dates
			key = rapid.SampledFrom([]string{"acs:CurrentTime", key}).Draw(t, "date key")
		case 4:
			key, operator, values = rapid.SampledFrom([]string{"acs:SecureTransport", "acs:MFAPresent", key}).Draw(t, "bool key"), "Bool", booleans
		case 5, 6:
			key, operator, values = "acs:SourceIp", rapid.SampledFrom([]string{"IpAddress", "NotIpAddress"}).Draw(t, "operator"), addresses
		case 7:
			operator, values = rapid.SampledFrom([]string{"IpAddress", "NotIpAddress"}).Draw(t, "operator"), addresses
		}
		if block[operator] == nil {
			block[operator] = map[string]any{}
		}
		block[operator][key] = oneOrMany(t, values)
	}
	return block
}

func drawDocument(t *rapid.T) string {
	var statements []map[string]any
	for range rapid.IntRange(1, 4).Draw(t, "statements") {
		s := map[string]any{
			"Effect":   rapid.SampledFrom([]string{"Allow", "Allow", "Deny"}).Draw(t, "effect"),
			"Resource": oneOrMany(t, rapid.SampledFrom(resourcePatterns)),
		}
		s[rapid.SampledFrom([]string{"Action", "Action", "NotAction"}).Draw(t, "element")] = oneOrMany(t, rapid.SampledFrom(actionPatterns))
		if block := drawConditions(t); len(block) > 0 {
			s["Condition"] = block
		}
		statements = append(statements, s)
	}
	text, err := json.Marshal(map[string]any{"Version": "1", "Statement": statements})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func drawQuestion(t *rapid.T) (authz.Call, authz.Request) {
	call := authz.Call{
		Principal: authz.Principal{Account: account, Kind: authz.User, Name: "alice"},
		Secure:    rapid.Bool().Draw(t, "secure"),
	}
	if source := rapid.SampledFrom([]string{"", "192.0.2.1", "::ffff:192.0.2.1", "198.51.100.7", "2001:db8::1"}).Draw(t, "source"); source != "" {
		call.Source = netip.MustParseAddr(source)
	}
	if rapid.IntRange(0, 9).Draw(t, "clock") > 0 {
		at, err := time.Parse(time.RFC3339, dates.Draw(t, "now"))
		if err != nil {
			t.Fatal(err)
		}
		call.Time = at
	}
	if rapid.IntRange(0, 19).Draw(t, "kind") == 0 {
		call.Kind = authz.Root
	}
	request := authz.Request{
		Action:   rapid.SampledFrom(actions).Draw(t, "action"),
		Resource: rapid.SampledFrom(resources).Draw(t, "resource"),
	}
	for _, key := range attributeKeys {
		if rapid.IntRange(0, 2).Draw(t, "present") > 0 {
			value := rapid.OneOf(words, dates, addresses).Draw(t, "attribute")
			request.Attributes = append(request.Attributes, authz.Attribute{Key: key, Value: value})
		}
	}
	return call, request
}

// TestAgreesWithReference asks both evaluators the same 20,000 random questions.
func TestAgreesWithReference(t *testing.T) {
	const perCheck = 200 // times rapid's 100 checks
	decisions := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		var documents []string
		var compiled []*authz.Policy
		for i := range rapid.IntRange(0, 3).Draw(t, "policies") {
			documents = append(documents, drawDocument(t))
			p, err := authz.Compile(fmt.Sprint("p", i), []byte(documents[i]))
			if err != nil {
				t.Fatalf("compiling %s: %v", documents[i], err)
			}
			compiled = append(compiled, p)
		}
		for range perCheck {
			call, request := drawQuestion(t)
			call.Policies = compiled
			want := reference{&call, request}.allowed(t, documents)
			got := call.Decide(request)
			if got.Allowed != want {
				t.Fatalf("decided %+v, the reference says %v\ncall %+v\nrequest %+v\npolicies %s", got, want, call, request, documents)
			}
			decisions[want]++
		}
	})
	if decisions[true] < 500 || decisions[false] < 500 {
		t.Errorf("the questions are one-sided: %v", decisions)
	}
}

// TestWildcardsAgreeWithReference compares patterns of few letters with names of few letters.
func TestWildcardsAgreeWithReference(t *testing.T) {
	matches := 0
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[abé*?]{1,7}`).Draw(t, "pattern")
		p, err := authz.Compile("p", []byte(`{"Version":"1","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringLike":{"kms:KeySpec":"`+pattern+`"}}}}`))
		if err != nil {
			t.Fatal(err)
		}
		call := authz.Call{Principal: authz.Principal{Account: account, Kind: authz.User, Policies: []*authz.Policy{p}}}
		for range 100 {
			name := rapid.StringMatching(`[abé]{0,7}`).Draw(t, "name")
			want := wildcard("", pattern, name)
			if want {
				matches++
			}
			r := authz.Request{Action: "kms:Encrypt", Resource: resources[0], Attributes: []authz.Attribute{{Key: authz.KeySpec, Value: name}}}
			if got := call.Decide(r).Allowed; got != want {
				t.Fatalf("%q matches %q: %v, the reference says %v", pattern, name, got, want)
			}
		}
	})
	if matches < 200 {
		t.Errorf("only %d names matched", matches)
	}
}
