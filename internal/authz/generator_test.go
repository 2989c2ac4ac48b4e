package authz_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/authz"
)

// A generator makes random policies and questions. The alphabets are tiny, so that patterns
// and names meet often, and each has the odd values on which two evaluators could differ.
type generator struct{ *rand.Rand }

const (
	account  = "1111111111111111"
	neighbor = "2222222222222222" // another account with resources that have policies
)

var (
	ownActions     = []string{"kms:*", "kms:*crypt", "KMS:?ncrypt", "kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey*", "kms:Set*", "kms:List*"}
	lentActions    = []string{"kms:Encrypt", "kms:Decrypt", "KMS:encrypt", "kms:GenerateDataKeyWithoutPlaintext"}
	deniedActions  = []string{"kms:*crypt", "kms:Encrypt", "kms:?ecrypt", "kms:List*"}
	people         = []string{"user/alice", "user/alice", "user/Alice", "user/bob", "role/alice", "root", "*"}
	actions        = []string{"kms:Encrypt", "kms:Decrypt", "KMS:encrypt", "ram:CreateUser", "RAM:CreateUser", "keyward:ExportAudit", "kms:ListKeys", "kms:GenerateDataKeyWithoutPlaintext", "kms:SetKeyPolicy"}
	actionPatterns = append([]string{"*", "kms:*", "kms:*crypt", "kms:?ncrypt", "*:*", "ram:*", "k*:*", "kms:List*", "KMS:*KEY*", "kms:Set*", "*:?*c*", "k?s:*t", "k*:?n?r*t", "kms:??crypt", "kms:*e*e*t"}, actions...)
	resources      = []string{
		"acs:kms:cn-a:" + account + ":key/a", "acs:kms:cn-a:" + account + ":key/ab", "acs:kms:cn-b:" + account + ":alias/a:b", "acs:kms:cn-a:" + account + ":key/é",
		"acs:ram::" + account + ":user/a", "acs:kms:cn-a:" + account + ":KEY/a",
	}
	neighbors        = []string{"acs:kms:cn-a:" + neighbor + ":key/a", "acs:kms:cn-b:" + neighbor + ":alias/a:b", "acs:kms:cn-a:" + neighbor + ":key/é"}
	unreachable      = []string{"acs:kms:cn-a:" + account, "key/a", "", "*", "acs:kms:cn-a:" + account + ":", "acs:kms:cn-a::key/a", "acs::cn-a:" + account + ":key/a", "ACS:kms:cn-a:" + account + ":key/a"}
	resourcePatterns = []string{
		"*", "acs:*:*:*:*", "acs:kms:*:*:key/*", "acs:kms:cn-?:" + account + ":key/a?", "acs:kms:cn-a:1*1:*a", "acs:kms:*:*:alias/*b", "acs:kms:*:*:?e?/*",
		"acs:ram::*:user/*", "acs:ram:*:" + account + ":*", "acs:kms:cn-a:" + account + ":key/a", "acs:kms:*:" + neighbor + ":*", "acs:kms:*:*:*:*", "acs:kms:*:*:key/?",
	}
	neighborPatterns = []string{"acs:*:*:" + neighbor + ":*", "acs:kms:*:" + neighbor + ":*", "acs:kms:cn-a:" + neighbor + ":key/?", "acs:kms:*:2*:*", "acs:kms:*:" + neighbor[1:] + "?:*", "*"}
	orders           = []string{"Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"}
	attributeKeys    = []string{"kms:tag/team", "kms:EncryptionContext:n", "kms:KeySpec", "kms:KeyUsage", "kms:EncryptionAlgorithm"}
	numbers          = []string{"0", "-0", "1", "+1", "1.0", "01", "2", "-2", "1.5", ".5", "5.", "1e2", "100", "1E-1", "0.1", "0.1000000000000000055511151231257827", "9007199254740993", "9007199254740992", "1e308"}
	noNumbers        = []string{"", "1e400", "0x10", "1/2", "1_0", "NaN", "Inf", "-", ".", "1e", "١", " 1", "1,0"}
	dates            = []string{"2026-01-01T00:00:00Z", "2026-01-01T08:00:00+08:00", "2026-01-02T00:00:00Z", "2025-12-31T23:59:59Z", "2025-12-31T23:59:59.999999999Z", "2024-02-29T12:00:00-00:30", "0001-01-02T00:00:00Z"}
	noDates          = []string{"2026-01-01", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:60Z", "2026-01-01 00:00:00Z", "2026-01-01T00:00:00"}
	addresses        = []string{"192.0.2.1", "198.51.100.7", "2001:db8::1", "::1", "255.255.255.255"}
	ranges           = append([]string{"192.0.2.0/24", "192.0.2.1/32", "198.51.100.7/31", "2001:db8::/32", "0.0.0.0/0", "::/0", "2001:db8::1/128"}, addresses...)
	oddAddresses     = []string{"::ffff:192.0.2.1", "fe80::1%eth0", "fe80::1%", "192.0.2.1%eth0", "192.0.2", "192.0.2.01", "[::1]", "localhost", "192.0.2.0/24"}
	callers          = []string{"acs:ram::" + account + ":user/alice", "acs:ram::" + account + ":assumed-role/alice/ci", "acs:ram::" + account + ":FEDERATED-user/alice/ci", "acs:ram::*:assumed-role/*", "*/ci"}
	words            = []string{"", "a", "A", "b", "ab", "aB", "aé", "AÉ", "é", "é\n", "ſ", "S", "s", "K", "k", "true", "false", "TRUE", "a*b", "?"}
)

func pick[T any](g generator, list []T) T { return list[g.IntN(len(list))] }

// oneIn is true once in n times.
func (g generator) oneIn(n int) bool { return g.IntN(n) == 0 }

// oneOrMany draws a value, or a list of up to three.
func (g generator) oneOrMany(draw func() any) any {
	if g.oneIn(2) {
		return draw()
	}
	list := make([]any, 1+g.IntN(3))
	for i := range list {
		list[i] = draw()
	}
	return list
}

func (g generator) from(list []string) func() any { return func() any { return pick(g, list) } }

// pattern draws a pattern of few letters.
func (g generator) pattern() any {
	var b strings.Builder
	for range g.IntN(6) {
		b.WriteString(pick(g, []string{"a", "b", "A", "é", "*", "?"}))
	}
	return b.String()
}

// condition draws an operator, a key that it can compare, and values.
func (g generator) condition() (operator, key string, values any) {
	key = pick(g, attributeKeys)
	special := g.oneIn(2)
	switch g.IntN(5) {
	case 0:
		operator = "String" + pick(g, []string{"Equals", "NotEquals", "EqualsIgnoreCase", "NotEqualsIgnoreCase", "Like", "NotLike"})
		if special {
			return operator, "acs:PrincipalARN", g.oneOrMany(g.from(callers))
		}
		if strings.HasSuffix(operator, "Like") {
			return operator, key, g.oneOrMany(g.pattern)
		}
		return operator, key, g.oneOrMany(g.from(words))
	case 1:
		return "Numeric" + pick(g, orders), key, g.oneOrMany(func() any {
			if g.oneIn(4) {
				return g.IntN(3) // a number of JSON
			}
			return pick(g, numbers)
		})
	case 2:
		if special {
			key = "acs:CurrentTime"
		}
		return "Date" + pick(g, orders), key, g.oneOrMany(g.from(dates))
	case 3:
		if special {
			key = pick(g, []string{"acs:SecureTransport", "acs:MFAPresent"})
		}
		return "Bool", key, g.oneOrMany(func() any { return pick(g, []any{"true", "false", true, false}) })
	default:
		if special {
			key = "acs:SourceIp"
		}
		return pick(g, []string{"IpAddress", "NotIpAddress"}), key, g.oneOrMany(g.from(ranges))
	}
}

// document draws an identity policy for questions about what the owner has.
func (g generator) document(owner string) string {
	return g.policy(func(s map[string]any) {
		s["Resource"] = g.oneOrMany(g.from(resourcePatterns))
		if owner == neighbor {
			s["Resource"] = g.oneOrMany(g.from(neighborPatterns))
		}
		element := "Action"
		if g.oneIn(3) {
			element = "NotAction"
		}
		s[element] = g.oneOrMany(g.from(actionPatterns))
	})
}

// owned draws the policy of a resource that the account owns, with people of both accounts.
func (g generator) owned(owner string) string {
	other := neighbor
	if owner == neighbor {
		other = account
	}
	return g.policy(func(s map[string]any) {
		s["Resource"] = pick(g, []any{"*", []string{"*"}})
		names, actions := g.from(people), ownActions
		if s["Effect"] == "Deny" {
			names, actions = g.from([]string{"user/alice", "user/bob", "role/alice", "*"}), deniedActions
		}
		account := owner
		if g.oneIn(2) || owner == neighbor { // of whom nobody asks
			account, names = other, g.from(people[:5])
			if s["Effect"] == "Allow" {
				actions = lentActions
			}
		}
		s["Principal"] = map[string]any{"RAM": g.oneOrMany(func() any { return "acs:ram::" + account + ":" + names().(string) })}
		s["Action"] = actions
		if g.oneIn(2) {
			s["Action"] = g.oneOrMany(g.from(actions))
		}
	})
}

// policy draws what all policies have; fill adds the rest to a statement.
func (g generator) policy(fill func(statement map[string]any)) string {
	statements := make([]map[string]any, 1+g.IntN(4))
	for i := range statements {
		s := map[string]any{"Effect": "Allow"}
		if g.oneIn(3) {
			s["Effect"] = "Deny"
		}
		fill(s)
		if g.oneIn(4) {
			s["Sid"] = fmt.Sprint("sid ", i)
		}
		block := map[string]map[string]any{}
		for range pick(g, []int{0, 0, 1, 2, 3}) {
			operator, key, values := g.condition()
			if block[operator] == nil {
				block[operator] = map[string]any{}
			}
			block[operator][key] = values
		}
		if len(block) > 0 {
			s["Condition"] = block
		}
		statements[i] = s
	}
	var list any = statements
	if len(statements) == 1 && g.oneIn(2) {
		list = statements[0]
	}
	text, err := json.Marshal(map[string]any{"Version": "1", "Statement": list})
	if err != nil {
		panic(err) // strings, numbers and booleans
	}
	return string(text)
}

// value draws the value of an attribute.
func (g generator) value() string {
	return pick(g, pick(g, [][]string{words, numbers, noNumbers, dates, noDates, addresses, oddAddresses}))
}

// question draws who asks, in what circumstances, and for what of the owner's. Each
// circumstance is sometimes not known.
func (g generator) question(owner string) (authz.Call, authz.Request) {
	call := authz.Call{Principal: authz.Principal{Account: account, Kind: authz.User, Name: "alice"}, Secure: g.oneIn(2)}
	if !g.oneIn(5) {
		call.Source = netip.MustParseAddr(pick(g, append([]string{"::ffff:192.0.2.1", "fe80::1%eth0"}, addresses...)))
	}
	if !g.oneIn(5) {
		at, err := time.Parse(time.RFC3339Nano, pick(g, dates))
		if err != nil {
			panic(err) // one of the dates
		}
		call.Time = at
	}
	if g.oneIn(20) {
		call.Kind = pick(g, []authz.Kind{authz.Root, authz.Service, "", "role"})
	}
	request := authz.Request{Action: pick(g, actions), Resource: pick(g, resources), Shared: g.oneIn(3)}
	if owner == neighbor {
		request.Resource = pick(g, neighbors)
	}
	if g.oneIn(20) {
		request.Resource = pick(g, unreachable)
	}
	for _, key := range attributeKeys {
		if g.oneIn(2) {
			request.Attributes = append(request.Attributes, authz.Attribute{Key: key, Value: g.value()})
		}
	}
	return call, request
}
