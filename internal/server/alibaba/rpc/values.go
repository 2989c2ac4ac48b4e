// Package rpc is the form of the RPC API: parameters come as texts in a query or a form, and
// answers and errors leave as JSON or XML with a request id. It knows no operation.
package rpc

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/material"
)

// Values reads an operation's parameters. It keeps the first error, so that a decoder
// reads all of them in a row; Finish answers it, or the name of a parameter that
// nobody asked for.
type Values struct {
	params Parameters
	read   []string // names of the parameters that the operation has
	DryRun bool     // what Dry read
	err    error
	usual  [8]string // memory for read
}

// NewValues answers a reader of p.
func NewValues(p Parameters) *Values {
	v := &Values{params: p}
	v.read = v.usual[:0]
	return v
}

// Parameters are an authenticated request's; authn.Params are some.
type Parameters interface {
	Value(name string) (string, bool)
	Len() int
	At(i int) (name, value string)
}

// everywhere are parameters that clients send with every action.
var everywhere = map[string]bool{"RegionId": true, "OwnerId": true, "OwnerAccount": true, "ResourceOwnerId": true, "ResourceOwnerAccount": true}

// Finish answers the first error, or refuses a parameter that was not read.
func (v *Values) Finish() error {
	if v.err != nil {
		return v.err
	}
	for i := range v.params.Len() {
		name, value := v.params.At(i)
		if !slices.Contains(v.read, name) && !everywhere[name] {
			return fault.InvalidParameter.New("The specified parameter %.64q is not valid: this action does not have it.", name)
		}
		if strings.Contains(value, "\x00") { // PostgreSQL keeps and compares no such text
			return fault.InvalidParameter.New("The specified parameter %.64q is not valid. It must not have a null byte.", name)
		}
	}
	return nil
}

// Fail keeps err if it is the first.
func (v *Values) Fail(err error) {
	if v.err == nil {
		v.err = err
	}
}

// Invalid refuses a parameter; want is a sentence that says how it must be.
func (v *Values) Invalid(name, want string) {
	v.Fail(fault.InvalidParameter.New("The specified parameter %s is not valid. %s", name, want))
}

// Text answers an optional parameter, "" if it is absent.
func (v *Values) Text(name string) string {
	v.read = append(v.read, name)
	s, _ := v.params.Value(name)
	return s
}

// Need answers a mandatory parameter.
func (v *Values) Need(name string) string {
	s := v.Text(name)
	if s == "" {
		v.Fail(fault.MissingParameter.New("%s is mandatory for this action.", name))
	}
	return s
}

// Unsupported refuses a documented parameter that is not served, for a reason.
func (v *Values) Unsupported(name, reason string) {
	if v.Text(name) != "" {
		v.Fail(fault.UnsupportedOperation.New("The parameter %s is not supported: %s. Leave it out.", name, reason))
	}
}

// Integer reads an optional whole number.
func (v *Values) Integer(name string, absent int) int {
	s := v.Text(name)
	if s == "" {
		return absent
	}
	n, err := strconv.Atoi(s)
	if err != nil || strconv.Itoa(n) != s {
		v.Invalid(name, "It must be a whole number.")
	}
	return n
}

// Boolean reads an optional switch. The SDK for Python capitalizes it.
func (v *Values) Boolean(name string) bool {
	switch v.Text(name) {
	case "true", "True":
		return true
	case "false", "False", "":
		return false
	}
	v.Invalid(name, "It must be true or false.")
	return false
}

// Dry reads the DryRun parameter.
func (v *Values) Dry() bool {
	v.DryRun = v.Boolean("DryRun")
	return v.DryRun
}

// Binary reads a mandatory base64 parameter.
func (v *Values) Binary(name string) []byte {
	s := v.Need(name)
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		v.Invalid(name, "It must be base64 with padding.")
		return nil
	}
	return b
}

// Secret reads a mandatory base64 parameter that is a secret.
func (v *Values) Secret(name string) material.Bytes { return material.NewBytes(v.Binary(name)) }

// Context reads an optional encryption context, a JSON object.
func (v *Values) Context(name string) material.Context {
	s := v.Text(name)
	if s == "" {
		return nil
	}
	ctx, err := material.ParseContext([]byte(s))
	if err != nil {
		v.Fail(err)
	}
	return ctx
}

// Interval reads a rotation interval: a whole number with its unit.
func (v *Values) Interval(name string) time.Duration {
	s := v.Text(name)
	if s == "" {
		return 0
	}
	unit := time.Second
	switch s[len(s)-1] {
	case 'd':
		unit = 24 * time.Hour
	case 'h':
		unit = time.Hour
	case 'm':
		unit = time.Minute
	}
	n, err := strconv.ParseUint(strings.TrimRight(s, "dhms"), 10, 31)
	if err != nil || n == 0 || len(strings.TrimRight(s, "dhms")) != len(s)-1 || n > uint64(10*365*24*time.Hour/unit) {
		v.Invalid(name, "It must be a whole number followed by d, h, m or s, such as 30d.")
		return 0
	}
	return time.Duration(n) * unit
}

// Page reads the page of a list: number 1 and size 10, if they are absent.
func (v *Values) Page() key.Page {
	return key.Page{Number: v.Integer("PageNumber", 1), Size: v.Integer("PageSize", 10)}
}

// List reads Name.1, Name.2, …
func (v *Values) List(name string, most int) []string {
	var out []string
	for i := 1; i <= most; i++ {
		s := v.Text(name + "." + strconv.Itoa(i))
		if s == "" {
			break
		}
		out = append(out, s)
	}
	return out
}

// Pairs reads Name.1.Key, Name.1.Value, …
func (v *Values) Pairs(name string, most int) []key.Tag {
	var out []key.Tag
	for i := 1; i <= most; i++ {
		prefix := name + "." + strconv.Itoa(i)
		k, value := v.Text(prefix+".Key"), v.Text(prefix+".Value")
		if k == "" {
			break
		}
		out = append(out, key.Tag{Key: k, Value: value})
	}
	return out
}

// Tags reads a JSON list of {"TagKey","TagValue"}.
func (v *Values) Tags(name string) []key.Tag {
	var list []struct{ TagKey, TagValue string }
	v.Document(name, &list, `It must be a JSON list such as [{"TagKey":"team","TagValue":"pay"}].`, "TagKey", "TagValue")
	out := make([]key.Tag, len(list))
	for i, t := range list {
		out[i] = key.Tag{Key: t.TagKey, Value: t.TagValue}
	}
	return out
}

// Document reads an optional parameter that is JSON, whose objects may have the members.
func (v *Values) Document(name string, into any, want string, members ...string) {
	s := v.Text(name)
	if s == "" {
		return
	}
	if json.Unmarshal([]byte(s), into) != nil || !exact(json.NewDecoder(strings.NewReader(s)), members) {
		v.Invalid(name, want)
	}
}

// exact tells whether the objects of the next value in d have none but the members, each
// once and spelt as here, and nothing in it is null, not Unicode (which package json turns
// into U+FFFD) or a text that no database keeps. Package json lets all of that pass; it
// must have taken the value before, which bounds the depth.
func exact(d *json.Decoder, members []string) bool {
	token, err := d.Token()
	switch token {
	case json.Delim('['):
		for d.More() {
			if !exact(d, members) {
				return false
			}
		}
	case json.Delim('{'):
		seen := map[string]bool{}
		for d.More() {
			token, _ := d.Token()
			name, _ := token.(string)
			if seen[name] || !slices.Contains(members, name) || !exact(d, members) {
				return false
			}
			seen[name] = true
		}
	default:
		text, isText := token.(string)
		return err == nil && isText && !strings.ContainsAny(text, "\x00\ufffd")
	}
	_, err = d.Token() // the end
	return err == nil
}
