package authz

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/fault"
)

// A fact is what is known about a request under one condition key.
type fact struct {
	text string
	time time.Time  // set for acs:CurrentTime only, which has no text
	addr netip.Addr // set for acs:SourceIp only, which has no text
}

// A test compares a fact with one value of a condition. It answers ok = false when
// the fact is not of the operator's type, which counts as if it were absent.
type test func(f fact) (holds, ok bool)

// A condition is one key under one operator.
type condition struct {
	operator string
	key      string
	negative bool
	tests    []test // one per value; any of them is enough
}

// A family is the type of value that an operator compares.
type family string

const (
	text    family = "String"
	number  family = "Numeric"
	date    family = "Date"
	boolean family = "Bool"
	address family = "IpAddress"
)

// An operator is a RAM condition operator. A negative one holds when none of the
// values compares equal.
type operator struct {
	family   family
	negative bool
	compile  func(value string) (test, error)
}

// operators has every operator of the RAM language. RAM knows no IfExists forms.
var operators = map[string]operator{
	"StringEquals":              {text, false, compileEquals},
	"StringNotEquals":           {text, true, compileEquals},
	"StringEqualsIgnoreCase":    {text, false, compileEqualsFold},
	"StringNotEqualsIgnoreCase": {text, true, compileEqualsFold},
	"StringLike":                {text, false, compileLike},
	"StringNotLike":             {text, true, compileLike},

	"NumericEquals":            {number, false, compileNumeric(func(have, want float64) bool { return have == want })},
	"NumericNotEquals":         {number, true, compileNumeric(func(have, want float64) bool { return have == want })},
	"NumericLessThan":          {number, false, compileNumeric(func(have, want float64) bool { return have < want })},
	"NumericLessThanEquals":    {number, false, compileNumeric(func(have, want float64) bool { return have <= want })},
	"NumericGreaterThan":       {number, false, compileNumeric(func(have, want float64) bool { return have > want })},
	"NumericGreaterThanEquals": {number, false, compileNumeric(func(have, want float64) bool { return have >= want })},

	"DateEquals":            {date, false, compileDate(func(order int) bool { return order == 0 })},
	"DateNotEquals":         {date, true, compileDate(func(order int) bool { return order == 0 })},
	"DateLessThan":          {date, false, compileDate(func(order int) bool { return order < 0 })},
	"DateLessThanEquals":    {date, false, compileDate(func(order int) bool { return order <= 0 })},
	"DateGreaterThan":       {date, false, compileDate(func(order int) bool { return order > 0 })},
	"DateGreaterThanEquals": {date, false, compileDate(func(order int) bool { return order >= 0 })},

	"Bool": {boolean, false, compileBool},

	"IpAddress":    {address, false, compileAddress},
	"NotIpAddress": {address, true, compileAddress},
}

// keys has the condition keys that are supplied, with the one family of operators
// that can compare each; none means any. A key that nobody supplies would leave a
// Deny without effect, so Compile refuses it.
var keys = map[string]family{
	SourceIP:            address,
	CurrentTime:         date,
	SecureTransport:     boolean,
	MFAPresent:          boolean,
	KeySpec:             "",
	KeyUsage:            "",
	EncryptionAlgorithm: "",
	PrincipalARN:        "",
	ExternalID:          "",
	SessionName:         "",
}

func compileConditions(v any) ([]condition, error) {
	o, ok := v.(object)
	if !ok || len(o) == 0 {
		return nil, fault.Say("it must be an object with at least one operator")
	}
	var conditions []condition
	for _, m := range o {
		op, ok := operators[m.name]
		if !ok {
			return nil, fault.Say("the operator %q is unknown", m.name)
		}
		pairs, ok := m.value.(object)
		if !ok || len(pairs) == 0 {
			return nil, fault.Say("%s: it must be an object with at least one condition key", m.name)
		}
		for _, pair := range pairs {
			c, err := compileCondition(op, pair)
			if err != nil {
				return nil, fault.Say("%s: %q: %v", m.name, pair.name, err)
			}
			c.operator = m.name
			conditions = append(conditions, c)
		}
	}
	return conditions, nil
}

func compileCondition(op operator, pair member) (condition, error) {
	family, ok := keyFamily(pair.name)
	if !ok {
		return condition{}, fault.Say("the condition key is unknown")
	}
	if family != "" && family != op.family {
		return condition{}, fault.Say("the condition key takes operators of the type %s only", family)
	}
	values, err := scalars(pair.value)
	if err != nil {
		return condition{}, err
	}
	c := condition{key: pair.name, negative: op.negative}
	for _, value := range values {
		t, err := op.compile(value)
		if err != nil {
			return condition{}, err
		}
		c.tests = append(c.tests, t)
	}
	return c, nil
}

// keyFamily looks a condition key up, one with a variable part by its prefix.
func keyFamily(name string) (family, bool) {
	for _, prefix := range []string{TagPrefix, EncryptionContextPrefix} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			return "", rest != ""
		}
	}
	f, ok := keys[name]
	return f, ok
}

// scalars is stringList that also takes JSON numbers and booleans, so that
// {"Bool": {"acs:SecureTransport": true}} means what it seems to.
func scalars(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	texts := make([]any, len(list))
	for i, v := range list {
		switch v := v.(type) {
		case json.Number:
			texts[i] = v.String()
		case bool:
			texts[i] = strconv.FormatBool(v)
		default:
			texts[i] = v
		}
	}
	return stringList(texts)
}

// holds tells whether a request meets the condition. A fact that is absent meets no
// condition of an Allow, and every negative condition of a Deny: what is not known
// must never widen what a principal may do.
func (c *condition) holds(q *query, deny bool) bool {
	f, ok := q.fact(c.key)
	if !ok {
		return deny && c.negative
	}
	for _, t := range c.tests {
		holds, ok := t(f)
		if !ok {
			return deny && c.negative
		}
		if holds {
			return !c.negative
		}
	}
	return c.negative
}

func compileEquals(value string) (test, error) {
	return func(f fact) (bool, bool) { return f.text == value, true }, nil
}

func compileEqualsFold(value string) (test, error) {
	return func(f fact) (bool, bool) { return strings.EqualFold(f.text, value), true }, nil
}

func compileLike(value string) (test, error) {
	g := compileGlob(value)
	return func(f fact) (bool, bool) { return g.match(f.text), true }, nil
}

func compileNumeric(compare func(have, want float64) bool) func(string) (test, error) {
	return func(value string) (test, error) {
		want, ok := parseNumber(value)
		if !ok {
			return nil, fault.Say("%q is not a decimal number", value)
		}
		return func(f fact) (bool, bool) {
			have, ok := parseNumber(f.text)
			return ok && compare(have, want), ok
		}, nil
	}
}

// parseNumber reads a decimal number; it leaves out what else strconv would take,
// such as hexadecimal digits, infinities and NaN, which equals nothing.
func parseNumber(s string) (float64, bool) {
	if !consists(s, "0123456789+-.eE") {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil
}

func compileDate(compare func(order int) bool) func(string) (test, error) {
	return func(value string) (test, error) {
		want, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return nil, fault.Say("%q is not a time like 2006-01-02T15:04:05Z or 2006-01-02T15:04:05+08:00", value)
		}
		return func(f fact) (bool, bool) {
			have := f.time
			if have.IsZero() {
				var err error
				if have, err = time.Parse(time.RFC3339, f.text); err != nil {
					return false, false
				}
			}
			return compare(have.Compare(want)), true
		}, nil
	}
}

func compileBool(value string) (test, error) {
	if value != "true" && value != "false" {
		return nil, fault.Say("%q must be true or false", value)
	}
	return func(f fact) (bool, bool) { return f.text == value, f.text == "true" || f.text == "false" }, nil
}

func compileAddress(value string) (test, error) {
	want, err := parseRange(value)
	if err != nil {
		return nil, fault.Say("%q is not an IP address or a range like 192.0.2.0/24", value)
	}
	return func(f fact) (bool, bool) {
		have := f.addr
		if !have.IsValid() {
			var err error
			if have, err = netip.ParseAddr(f.text); err != nil {
				return false, false
			}
		}
		return want.Contains(have.Unmap().WithZone("")), true
	}, nil
}

// parseRange reads an address or a prefix. It refuses those that could never match an
// address without a zone that is written as IPv4 wherever it is one.
func parseRange(value string) (netip.Prefix, error) {
	if !strings.Contains(value, "/") {
		addr, err := netip.ParseAddr(value)
		if err != nil || addr.Zone() != "" || addr.Is4In6() {
			return netip.Prefix{}, fault.Say("not an address")
		}
		return addr.Prefix(addr.BitLen())
	}
	prefix, err := netip.ParsePrefix(value)
	if err != nil || prefix.Addr().Is4In6() {
		return netip.Prefix{}, fault.Say("not a range")
	}
	return prefix, nil
}
