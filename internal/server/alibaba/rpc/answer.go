package rpc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/keyward/keyward/internal/authn"
	"github.com/keyward/keyward/internal/fault"
)

// A Response is an operation's answer. Its exported fields are the wire's members.
type Response interface {
	Stamp(requestID string)
	Zero() // overwrites the plaintext in it, once it was written
}

// Reply is the member that every answer has.
type Reply struct{ RequestId string } //nolint:revive // the wire's spelling

// Stamp implements [Response].
func (r *Reply) Stamp(id string) { r.RequestId = id }

// Zero implements [Response], for what has no plaintext.
func (*Reply) Zero() {}

// An Answer writes to one request's client.
type Answer struct {
	Writer    http.ResponseWriter
	RequestID string
	Host      string
	Format    authn.Format
}

// FormatOf answers the format that a request asks for before its signature is known.
func FormatOf(r *http.Request) authn.Format {
	if strings.EqualFold(r.URL.Query().Get("Format"), "xml") {
		return authn.XML
	}
	return authn.JSON
}

// Succeed writes the answer of an action, and overwrites the plaintext in it.
func (a Answer) Succeed(action string, body Response) {
	defer body.Zero()
	body.Stamp(a.RequestID)
	a.write(http.StatusOK, action, body)
}

// failure is the form of every error.
type failure struct {
	RequestId string //nolint:revive // the wire's spelling
	HostId    string //nolint:revive // the wire's spelling
	Code      string
	Message   string
	Recommend string
}

// Fail writes err. An operation may document names of its own for kinds of faults, and a call
// with DryRun has others.
func (a Answer) Fail(err error, own map[fault.Kind]string, dryRun bool) {
	c := codeOf(err, own, dryRun)
	if c.status == http.StatusServiceUnavailable || c.status == http.StatusTooManyRequests {
		a.Writer.Header().Set("Retry-After", "1")
	}
	a.write(c.status, "", &failure{
		RequestId: a.RequestID, HostId: a.Host, Code: c.name, Message: fault.Message(err),
		Recommend: "See docs/errors.md, or search the server's log and audit log for this request id.",
	})
}

// write writes body, which XML calls by the action that it answers, or an error if there is none.
func (a Answer) write(status int, action string, body any) {
	contentType, encode := typeJSON, appendJSON
	if a.Format == authn.XML {
		contentType, encode = typeXML, appendXML
	}
	room := rooms.Get().(*[]byte)
	b := encode((*room)[:0], action, body)
	header := a.Writer.Header()
	header["Content-Type"] = contentType
	if len(b) > usualAnswer { // else net/http counts it itself, for less
		header["Content-Length"] = []string{strconv.Itoa(len(b))}
	}
	a.Writer.WriteHeader(status)
	_, _ = a.Writer.Write(b) // a client that has gone needs no answer
	clear(b)                 // there may be a plaintext in it
	clear((*room)[:usualAnswer])
	rooms.Put(room)
}

// The types of answers, as values of a header.
var (
	typeJSON = []string{"application/json;charset=utf-8"}
	typeXML  = []string{"text/xml;charset=utf-8"}
)

// usualAnswer is the size in bytes that answers of the data plane seldom exceed.
const usualAnswer = 512

// rooms are what answers are written in, each of that size.
var rooms = sync.Pool{New: func() any { b := make([]byte, 0, usualAnswer); return &b }}

// A Quick answer encodes itself, as package json would, without reflection: those of
// the data plane do.
type Quick interface{ AppendJSON(Object) Object }

func appendJSON(b []byte, _ string, body any) []byte {
	if q, ok := body.(Quick); ok {
		return append(q.AppendJSON(b), "}\n"...)
	}
	out := bytes.NewBuffer(b)
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil { // cannot happen: answers are structs of strings and numbers
		panic(err)
	}
	return out.Bytes()
}

func appendXML(b []byte, action string, body any) []byte {
	root := "Error"
	if action != "" {
		root = action + "Response"
	}
	out := bytes.NewBuffer(append(b, xml.Header...))
	if err := xml.NewEncoder(out).EncodeElement(body, xml.StartElement{Name: xml.Name{Local: root}}); err != nil { // cannot happen, either
		panic(err)
	}
	return out.Bytes()
}

// An Object is a JSON object that is being written, up to its last member.
type Object []byte

// Text appends a member. Name and value are of characters that JSON writes as they are.
func (o Object) Text(name, value string) Object {
	return append(append(o.member(name), value...), '"')
}

// Binary appends a member in base64.
func (o Object) Binary(name string, value Binary) Object {
	return append(base64.StdEncoding.AppendEncode(o.member(name), value), '"')
}

func (o Object) member(name string) Object {
	begin := byte(',')
	if len(o) == 0 {
		begin = '{'
	}
	return append(append(append(o, begin, '"'), name...), `":"`...)
}

// Binary is bytes that an answer has in base64, in JSON as in XML.
type Binary []byte

// MarshalText implements encoding.TextMarshaler.
func (b Binary) MarshalText() ([]byte, error) { return base64.StdEncoding.AppendEncode(nil, b), nil }
