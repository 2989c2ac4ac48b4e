package alibaba

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/authn"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/material"
)

// values reads an operation's parameters. It keeps the first error, so that a decoder
// reads all of them in a row; finish answers it, or the name of a parameter that
// nobody asked for.
type values struct {
	params parameters
	read   []string // names of the parameters that the operation has
	dryRun bool
	err    error
	usual  [8]string // memory for read
}

func newValues(p parameters) *values {
	v := &values{params: p}
	v.read = v.usual[:0]
	return v
}

// parameters are an authenticated request's; authn.Params are some.
type parameters interface {
	Value(name string) (string, bool)
	Len() int
	At(i int) (name, value string)
}

// everywhere are parameters that clients send with every action.
var everywhere = map[string]bool{"RegionId": true, "OwnerId": true, "OwnerAccount": true, "ResourceOwnerId": true, "ResourceOwnerAccount": true}

func (v *values) finish() error {
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

func (v *values) fail(err error) {
	if v.err == nil {
		v.err = err
	}
}

func (v *values) invalid(name, want string) {
	v.fail(fault.InvalidParameter.New("The specified parameter %s is not valid. %s", name, want))
}

// text answers an optional parameter, "" if it is absent.
func (v *values) text(name string) string {
	v.read = append(v.read, name)
	s, _ := v.params.Value(name)
	return s
}

// need answers a mandatory parameter.
func (v *values) need(name string) string {
	s := v.text(name)
	if s == "" {
		v.fail(fault.MissingParameter.New("%s is mandatory for this action.", name))
	}
	return s
}

// unsupported refuses a documented parameter that this release does not serve.
func (v *values) unsupported(names ...string) {
	for _, name := range names {
		if v.text(name) != "" {
			v.fail(fault.UnsupportedOperation.New("This release does not support the parameter %s; leave it out.", name))
		}
	}
}

func (v *values) integer(name string, absent int) int {
	s := v.text(name)
	if s == "" {
		return absent
	}
	n, err := strconv.Atoi(s)
	if err != nil || strconv.Itoa(n) != s {
		v.invalid(name, "It must be a whole number.")
	}
	return n
}

// boolean reads an optional switch. The SDK for Python capitalizes it.
func (v *values) boolean(name string) bool {
	switch v.text(name) {
	case "true", "True":
		return true
	case "false", "False", "":
		return false
	}
	v.invalid(name, "It must be true or false.")
	return false
}

// dry reads the DryRun parameter.
func (v *values) dry() bool {
	v.dryRun = v.boolean("DryRun")
	return v.dryRun
}

// binary reads a mandatory base64 parameter.
func (v *values) binary(name string) []byte {
	s := v.need(name)
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		v.invalid(name, "It must be base64 with padding.")
		return nil
	}
	return b
}

func (v *values) secret(name string) material.Bytes { return material.NewBytes(v.binary(name)) }

func (v *values) context(name string) material.Context {
	s := v.text(name)
	if s == "" {
		return nil
	}
	ctx, err := material.ParseContext([]byte(s))
	if err != nil {
		v.fail(err)
	}
	return ctx
}

// interval reads a rotation interval: a whole number with its unit.
func (v *values) interval(name string) time.Duration {
	s := v.text(name)
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
		v.invalid(name, "It must be a whole number followed by d, h, m or s, such as 30d.")
		return 0
	}
	return time.Duration(n) * unit
}

func (v *values) page() key.Page {
	return key.Page{Number: v.integer("PageNumber", 1), Size: v.integer("PageSize", 10)}
}

// list reads Name.1, Name.2, …
func (v *values) list(name string, most int) []string {
	var out []string
	for i := 1; i <= most; i++ {
		s := v.text(name + "." + strconv.Itoa(i))
		if s == "" {
			break
		}
		out = append(out, s)
	}
	return out
}

// pairs reads Name.1.Key, Name.1.Value, …
func (v *values) pairs(name string, most int) []key.Tag {
	var out []key.Tag
	for i := 1; i <= most; i++ {
		prefix := name + "." + strconv.Itoa(i)
		k, value := v.text(prefix+".Key"), v.text(prefix+".Value")
		if k == "" {
			break
		}
		out = append(out, key.Tag{Key: k, Value: value})
	}
	return out
}

// tags reads a JSON list of {"TagKey","TagValue"}.
func (v *values) tags(name string) []key.Tag {
	var list []struct{ TagKey, TagValue string }
	v.document(name, &list, `It must be a JSON list such as [{"TagKey":"team","TagValue":"pay"}].`, "TagKey", "TagValue")
	out := make([]key.Tag, len(list))
	for i, t := range list {
		out[i] = key.Tag{Key: t.TagKey, Value: t.TagValue}
	}
	return out
}

// document reads an optional parameter that is JSON, whose objects may have the members.
func (v *values) document(name string, into any, want string, members ...string) {
	s := v.text(name)
	if s == "" {
		return
	}
	if json.Unmarshal([]byte(s), into) != nil || !exact(json.NewDecoder(strings.NewReader(s)), members) {
		v.invalid(name, want)
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

// A response is an operation's answer. Its exported fields are the wire's members.
type response interface{ stamp(requestID string) }

// reply is the member that every answer has.
type reply struct{ RequestId string } //nolint:revive // the wire's spelling

func (r *reply) stamp(id string) { r.RequestId = id }

// An answer writes to one request's client.
type answer struct {
	w         http.ResponseWriter
	requestID string
	host      string
	format    authn.Format
}

// formatOf answers the format that a request asks for before its signature is known.
func formatOf(r *http.Request) authn.Format {
	if strings.EqualFold(r.URL.Query().Get("Format"), "xml") {
		return authn.XML
	}
	return authn.JSON
}

func (a answer) succeed(action string, body response) {
	a.write(http.StatusOK, action+"Response", body)
}

// failure is the form of every error.
type failure struct {
	RequestId string //nolint:revive // the wire's spelling
	HostId    string //nolint:revive // the wire's spelling
	Code      string
	Message   string
	Recommend string
}

func (a answer) fail(err error, own map[fault.Kind]string, dryRun bool) {
	c := codeOf(err, own, dryRun)
	if c.status == http.StatusServiceUnavailable || c.status == http.StatusTooManyRequests {
		a.w.Header().Set("Retry-After", "1")
	}
	a.write(c.status, "Error", &failure{
		RequestId: a.requestID, HostId: a.host, Code: c.name, Message: fault.Message(err),
		Recommend: "See docs/errors.md, or search the server's log and audit log for this request id.",
	})
}

func (a answer) write(status int, root string, body any) {
	contentType, encode := typeJSON, appendJSON
	if a.format == authn.XML {
		contentType, encode = typeXML, appendXML
	}
	b := encode(make([]byte, 0, usualAnswer), root, body)
	header := a.w.Header()
	header["Content-Type"] = contentType
	if len(b) > usualAnswer { // else net/http counts it itself, for less
		header["Content-Length"] = []string{strconv.Itoa(len(b))}
	}
	a.w.WriteHeader(status)
	_, _ = a.w.Write(b) // a client that has gone needs no answer
}

// The types of answers, as values of a header.
var (
	typeJSON = []string{"application/json;charset=utf-8"}
	typeXML  = []string{"text/xml;charset=utf-8"}
)

// usualAnswer is the size in bytes that answers of the data plane seldom exceed.
const usualAnswer = 512

// A quick answer encodes itself, as package json would, without reflection: those of
// the data plane do.
type quick interface{ appendJSON([]byte) []byte }

func appendJSON(b []byte, _ string, body any) []byte {
	if q, ok := body.(quick); ok {
		return append(q.appendJSON(b), '\n')
	}
	out := bytes.NewBuffer(b)
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil { // cannot happen: answers are structs of strings and numbers
		panic(err)
	}
	return out.Bytes()
}

func appendXML(b []byte, root string, body any) []byte {
	out := bytes.NewBuffer(append(b, xml.Header...))
	if err := xml.NewEncoder(out).EncodeElement(body, xml.StartElement{Name: xml.Name{Local: root}}); err != nil { // cannot happen, either
		panic(err)
	}
	return out.Bytes()
}

// appendObject appends a JSON object of names and values in turn, which are all of
// characters that JSON writes as they are: identifiers and base64.
func appendObject(b []byte, members ...string) []byte {
	for i, s := range members {
		switch {
		case i == 0:
			b = append(b, '{', '"')
		case i%2 == 0:
			b = append(b, ',', '"')
		default:
			b = append(b, ':', '"')
		}
		b = append(append(b, s...), '"')
	}
	return append(b, '}')
}
