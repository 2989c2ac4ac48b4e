// Package contract holds a definition of package httpapi against what its service says:
// against exchanges that are recorded in the definition's own file, or against the service
// itself, where it only reads.
//
// The recorded part needs no network. Each case is a conversation, request by request: what
// the definition sends must be what was recorded, and what it makes of the answers must be
// what the case expects. From the cases that succeed the ways to fail are derived – a
// credential that is refused, a right that is missing, throttling, a broken service, a
// redirect, an answer that is too long or no JSON, a connection that is lost – so that
// every definition is tried with all of them, and so that no error shows a secret. Of what
// changes something they hold more: it is sent once and never again, and no error says of
// a call that nothing happened where something may have.
//
// Who may call: package httpapi, which uses a definition to change keys only if it passes,
// the command that tests definitions, tests, and simulators, which answer with recorded
// exchanges. Nothing is stored. A report holds no secret.
package contract

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/cloud/httpapi/answer"
	"github.com/keyward/keyward/internal/cloud/httpapi/definition"
	"github.com/keyward/keyward/internal/cloud/httpapi/document"
	"github.com/keyward/keyward/internal/rotation"
)

//go:embed schema.json
var schemaText []byte

// Schema answers the JSON Schema of a contract.
func Schema() []byte { return slices.Clone(schemaText) }

var schema = sync.OnceValues(func() (*document.Schema, error) { return document.Compile(schemaText) })

// A File is the recorded exchanges of a definition.
type File struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Now        time.Time         `json:"now"` // the moment at which the cases play
	Vars       map[string]string `json:"vars"`
	Credential map[string]string `json:"credential"` // obviously no real one
	Cases      []Case            `json:"cases"`
}

// A Case is one use of an operation.
type Case struct {
	Name      string                   `json:"name"`
	Operation definition.OperationName `json:"operation"`
	Source    string                   `json:"source"` // page of the vendor's documentation
	Key       struct {
		ID     string `json:"id"`
		Secret string `json:"secret"`
	} `json:"key"` // that is verified, disabled, ...
	Attempt   Attempt    `json:"attempt"` // of create and rotate
	Exchanges []Exchange `json:"exchanges"`
	Expect    struct {
		Keys     []Key            `json:"keys"`
		Verdict  rotation.Verdict `json:"verdict"`
		Minted   *Minted          `json:"minted"`
		Done     bool             `json:"done"`     // what has no answer to read
		Problems int              `json:"problems"` // of single keys
		Error    string           `json:"error"`    // a kind of package fault
		Effect   string           `json:"effect"`   // of a call that ends with an error: none, refused, full, absent, unknown
	} `json:"expect"`
}

// An Attempt is what a key is made with, as [rotation.Attempt].
type Attempt struct {
	ID     string    `json:"id"`
	Tag    string    `json:"tag"`
	Old    string    `json:"old"`
	Expire time.Time `json:"expire"`
}

// A Minted is a key that was made.
type Minted struct {
	ID        string    `json:"id"`
	Secret    string    `json:"secret"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// An Exchange is a request and its answer.
type Exchange struct {
	Request struct {
		Method  string            `json:"method"` // "" for GET
		URL     string            `json:"url"`
		Headers map[string]string `json:"headers"` // that must be there
		JSON    json.RawMessage   `json:"json"`    // the body
		Form    map[string]string `json:"form"`    // the body, if there is no JSON
	} `json:"request"`
	Response Response `json:"response"`
}

// A Response is an answer.
type Response struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	JSON    json.RawMessage   `json:"json"`
	Text    string            `json:"text"` // if there is no JSON
}

// Body answers the bytes of the answer.
func (r Response) Body() []byte {
	if len(r.JSON) > 0 {
		return r.JSON
	}
	return []byte(r.Text)
}

// A Key is what a case expects to be seen of one key. What is empty is not compared, but
// for ExpiresAt: without one the key must have no expiry.
type Key struct {
	ID         string    `json:"id"`
	Status     string    `json:"status"`
	Name       string    `json:"name"`
	Principal  string    `json:"principal"`
	ExpiresAt  time.Time `json:"expiresAt"`
	CreatedAt  time.Time `json:"createdAt"`
	LastUsedAt time.Time `json:"lastUsedAt"`
}

// ErrNoContract is answered for a definition without recorded exchanges.
var ErrNoContract = errors.New("the file has no document of kind HTTPContract")

// Read reads the contract in a definition's file: its second document. It answers
// [ErrNoContract] if there is none.
func Read(text []byte) (*File, error) {
	s, err := schema()
	if err != nil {
		return nil, err
	}
	documents, err := document.Parse(text)
	if err != nil {
		return nil, err
	}
	if len(documents) < 2 {
		return nil, ErrNoContract
	}
	var f File
	if err := documents[1].Decode(s, &f); err != nil {
		return nil, err
	}
	return &f, nil
}

// Matches tells whether a request is the recorded one: the same method, URL – its query in
// any order –, headers and body. It reads the body.
func (e Exchange) Matches(r *http.Request) bool {
	want, err := url.Parse(e.Request.URL)
	if err != nil || r.Method != e.Method() || r.URL.EscapedPath() != want.EscapedPath() || r.URL.Query().Encode() != want.Query().Encode() {
		return false
	}
	for name, value := range e.Request.Headers {
		if r.Header.Get(name) != value {
			return false
		}
	}
	body, err := content(r)
	return err == nil && e.says(body)
}

// Method answers the method of the request.
func (e Exchange) Method() string { return cmp.Or(e.Request.Method, http.MethodGet) }

// says tells whether a body is the recorded one.
func (e Exchange) says(body []byte) bool {
	switch {
	case len(e.Request.JSON) > 0:
		var got, want any
		return answer.Decode(body, &got) == nil && answer.Decode(e.Request.JSON, &want) == nil && reflect.DeepEqual(got, want)
	case e.Request.Form != nil:
		want := url.Values{}
		for name, value := range e.Request.Form {
			want.Set(name, value)
		}
		got, err := url.ParseQuery(string(body))
		return err == nil && got.Encode() == want.Encode()
	}
	return len(body) == 0
}

// content reads the body of a request and puts it back.
func content(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, err
}
