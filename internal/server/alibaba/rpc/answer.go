package rpc

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"

	"github.com/keyward/keyward/internal/authn"
	"github.com/keyward/keyward/internal/fault"
)

// A Response is an operation's answer. Its exported fields are the wire's members.
type Response interface{ Stamp(requestID string) }

// Reply is the member that every answer has.
type Reply struct{ RequestId string } //nolint:revive // the wire's spelling

// Stamp implements [Response].
func (r *Reply) Stamp(id string) { r.RequestId = id }

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

// Succeed writes the answer of an action.
func (a Answer) Succeed(action string, body Response) {
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

// Fail writes err. An operation may document names of its own for kinds of faults, and a call
// with DryRun has others.
func (a Answer) Fail(err error, own map[fault.Kind]string, dryRun bool) {
	c := codeOf(err, own, dryRun)
	if c.status == http.StatusServiceUnavailable || c.status == http.StatusTooManyRequests {
		a.Writer.Header().Set("Retry-After", "1")
	}
	a.write(c.status, "Error", &failure{
		RequestId: a.RequestID, HostId: a.Host, Code: c.name, Message: fault.Message(err),
		Recommend: "See docs/errors.md, or search the server's log and audit log for this request id.",
	})
}

func (a Answer) write(status int, root string, body any) {
	contentType, encode := typeJSON, appendJSON
	if a.Format == authn.XML {
		contentType, encode = typeXML, appendXML
	}
	b := encode(make([]byte, 0, usualAnswer), root, body)
	header := a.Writer.Header()
	header["Content-Type"] = contentType
	if len(b) > usualAnswer { // else net/http counts it itself, for less
		header["Content-Length"] = []string{strconv.Itoa(len(b))}
	}
	a.Writer.WriteHeader(status)
	_, _ = a.Writer.Write(b) // a client that has gone needs no answer
}

// The types of answers, as values of a header.
var (
	typeJSON = []string{"application/json;charset=utf-8"}
	typeXML  = []string{"text/xml;charset=utf-8"}
)

// usualAnswer is the size in bytes that answers of the data plane seldom exceed.
const usualAnswer = 512

// A Quick answer encodes itself, as package json would, without reflection: those of
// the data plane do.
type Quick interface{ AppendJSON([]byte) []byte }

func appendJSON(b []byte, _ string, body any) []byte {
	if q, ok := body.(Quick); ok {
		return append(q.AppendJSON(b), '\n')
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

// AppendObject appends a JSON object of names and values in turn, which are all of
// characters that JSON writes as they are: identifiers and base64.
func AppendObject(b []byte, members ...string) []byte {
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
