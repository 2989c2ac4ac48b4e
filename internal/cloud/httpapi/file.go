package httpapi

import (
	"encoding/json"
	"fmt"

	"github.com/keyward/keyward/internal/cloud/httpapi/answer"
	"github.com/keyward/keyward/internal/form"
)

// The types of this file are what schema.json describes, field by field; [Parse] makes a
// [Definition] of them.

type file struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   Metadata `json:"metadata"`
	Spec       spec     `json:"spec"`
}

// Metadata says which definition it is.
type Metadata struct {
	Name    string    `json:"name"`
	Version int       `json:"version"`
	Title   form.Text `json:"title"`
	Sources []string  `json:"sources"` // of the facts in it: pages of the vendor's documentation
}

type spec struct {
	Capabilities Capabilities                `json:"capabilities"`
	Rights       form.Text                   `json:"rights"`
	Vars         map[string]Var              `json:"vars"`
	Credential   map[string]CredentialPart   `json:"credential"`
	Endpoint     endpoint                    `json:"endpoint"`
	Auth         map[string]placing          `json:"auth"`
	Operations   map[OperationName]operation `json:"operations"`
	Errors       map[errorClass]errorRule    `json:"errors"`
}

// Capabilities are what a service lets one do with its keys, as its definition declares
// them; plans of rotation are derived from them. Durations are such as "24h".
type Capabilities struct {
	Archetype string `json:"archetype"`
	MaxKeys   int    `json:"maxKeys"`
	Reveal    string `json:"reveal"` // of the secret: once, always, encrypted
	Tag       struct {
		Field string `json:"field"`
		Max   int    `json:"max"`
	} `json:"tag"`
	Idempotency struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	} `json:"idempotency"`
	ActivationDelay duration `json:"activationDelay"`
	Overlap         struct {
		Kind string   `json:"kind"`
		For  duration `json:"for"`
		Max  duration `json:"max"`
	} `json:"overlap"`
	Undo     duration `json:"undo"`
	LastUsed struct {
		Granularity duration `json:"granularity"`
	} `json:"lastUsed"`
	SelfOnly bool `json:"selfOnly"` // a key can rotate only itself
}

// A Var is a setting of a definition that is no secret.
type Var struct {
	Type    string    `json:"type"` // string, integer, url, json
	Pattern string    `json:"pattern"`
	Default scalar    `json:"default"` // "" makes the variable required
	Help    form.Text `json:"help"`
}

// A CredentialPart is one secret that the definition needs.
type CredentialPart struct {
	Help form.Text `json:"help"`
}

type endpoint struct {
	Base    string   `json:"base"`
	Timeout duration `json:"timeout"`
	MaxBody string   `json:"maxBody"`
	Rate    string   `json:"rate"`
}

// placing is how a credential stands in a request: in headers, or as HTTP Basic. There is
// no way to write one into a URL.
type placing struct {
	Headers map[string]string `json:"headers"`
	Basic   *struct {
		User     string `json:"user"`
		Password string `json:"password"`
	} `json:"basic"`
}

// An OperationName names what is done at the service.
type OperationName string

// The operations. Only the first three are ever sent by this package.
const (
	List    OperationName = "list"   // all keys that the credential may see
	Status  OperationName = "status" // the key that the credential itself is
	Verify  OperationName = "verify" // that a key works, sent as its consumer would
	Create  OperationName = "create" // a second key
	Rotate  OperationName = "rotate" // a new secret in the place of the old one
	Disable OperationName = "disable"
	Enable  OperationName = "enable"
	Delete  OperationName = "delete"
	Promote OperationName = "promote" // the second secret to the first
	Abandon OperationName = "abandon" // the second secret
)

// reads tells whether an operation changes nothing.
func (n OperationName) reads() bool { return n == List || n == Status || n == Verify }

type operation struct {
	As      string `json:"as"`
	Request struct {
		Method  string            `json:"method"`
		Base    string            `json:"base"`
		Path    string            `json:"path"`
		Query   map[string]string `json:"query"`
		Headers map[string]string `json:"headers"`
		JSON    any               `json:"json"`
		Form    map[string]string `json:"form"`
	} `json:"request"`
	Success struct {
		Status []int `json:"status"`
		Test   *test `json:"test"`
	} `json:"success"`
	Page      page              `json:"page"`
	Items     string            `json:"items"`
	Map       fields            `json:"map"`
	StatusMap map[string]string `json:"statusMap"`
	Redact    []string          `json:"redact"`
	Identity  string            `json:"identity"` // where the id of the key stands that was accepted
	Refused   struct {
		Status []int `json:"status"`
	} `json:"refused"`
}

type test struct {
	Pointer string `json:"pointer"`
	Equals  scalar `json:"equals"`
}

type page struct {
	Kind  string `json:"kind"`
	First *int   `json:"first"` // nil for 1
	Pages string `json:"pages"`
	Size  int    `json:"size"`
	Next  string `json:"next"`
	More  string `json:"more"`
	Total string `json:"total"`
}

type fields struct {
	ID         *field            `json:"id"`
	Name       *field            `json:"name"`
	Status     *field            `json:"status"`
	Principal  *field            `json:"principal"`
	Account    *field            `json:"account"`
	Tag        *field            `json:"tag"`
	Secret     *field            `json:"secret"`
	CreatedAt  *field            `json:"createdAt"`
	ChangedAt  *field            `json:"changedAt"`
	ExpiresAt  *field            `json:"expiresAt"`
	LastUsedAt *field            `json:"lastUsedAt"`
	Detail     map[string]*field `json:"detail"`
}

// A field is where a value stands in an answer: a pointer alone, or one with more said.
type field struct {
	Pointer  string   `json:"pointer"`
	Value    string   `json:"value"` // fixed, instead of a pointer
	Optional bool     `json:"optional"`
	Layout   string   `json:"layout"`
	Zone     string   `json:"zone"`
	Round    string   `json:"round"`
	Never    []scalar `json:"never"`

	clock *answer.Clock // of a time
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *field) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, &f.Pointer)
	}
	type plain field
	return json.Unmarshal(text, (*plain)(f))
}

type errorClass string

const (
	quota     errorClass = "quota" // of creating; what only reads does not meet it
	throttled errorClass = "throttled"
	permanent errorClass = "permanent"
)

type errorRule struct {
	Status  []int    `json:"status"`
	Pointer string   `json:"pointer"`
	In      []scalar `json:"in"`
}

// A scalar is a string, a number or a truth, as text.
type scalar string

// UnmarshalJSON implements json.Unmarshaler.
func (s *scalar) UnmarshalJSON(text []byte) error {
	var v any
	if err := answer.Decode(text, &v); err != nil {
		return err
	}
	written, ok := answer.Text(v)
	if !ok {
		return fmt.Errorf("it is no single value")
	}
	*s = scalar(written)
	return nil
}
