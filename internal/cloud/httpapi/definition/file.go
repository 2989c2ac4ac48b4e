package definition

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
	Parts        parts                       `json:"parts"`
	Operations   map[OperationName]operation `json:"operations"`
	Errors       map[ErrorClass]errorRule    `json:"errors"`
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

// parts are how the parts of a credential are named for its consumers.
type parts struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
}

// An OperationName names what is done at the service.
type OperationName string

// The operations. The first three only read.
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

// Reads tells whether an operation changes nothing.
func (n OperationName) Reads() bool { return n == List || n == Status || n == Verify }

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
		Test   *Test `json:"test"`
	} `json:"success"`
	Page      Page              `json:"page"`
	Items     string            `json:"items"`
	Map       Fields            `json:"map"`
	StatusMap map[string]string `json:"statusMap"`
	Redact    []string          `json:"redact"`
	Identity  string            `json:"identity"` // where the id of the key stands that was accepted
	Owner     *owner            `json:"owner"`    // whose key it must be that was accepted
	Refused   struct {
		Status []int `json:"status"`
	} `json:"refused"`
}

// An owner is where the answer says whose key it is, and what must stand there.
type owner struct {
	Pointer string `json:"pointer"`
	Equals  string `json:"equals"` // a template
}

// A Test is what must stand at a place of an answer.
type Test struct {
	Pointer string `json:"pointer"`
	Equals  scalar `json:"equals"`
}

// A Page is how a list comes in pages.
type Page struct {
	Kind  string `json:"kind"`
	First *int   `json:"first"` // nil for 1
	Pages string `json:"pages"`
	Size  int    `json:"size"`
	Next  string `json:"next"`
	More  string `json:"more"`
	Total string `json:"total"`
}

// Fields are where the facts about a key stand.
type Fields struct {
	ID         *Field            `json:"id"`
	Name       *Field            `json:"name"`
	Status     *Field            `json:"status"`
	Principal  *Field            `json:"principal"`
	Account    *Field            `json:"account"`
	Tag        *Field            `json:"tag"`
	Secret     *Field            `json:"secret"`
	CreatedAt  *Field            `json:"createdAt"`
	ChangedAt  *Field            `json:"changedAt"`
	ExpiresAt  *Field            `json:"expiresAt"`
	LastUsedAt *Field            `json:"lastUsedAt"`
	Detail     map[string]*Field `json:"detail"`
}

// A Field is where a value stands in an answer: a pointer alone, or one with more said.
type Field struct {
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
func (f *Field) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, &f.Pointer)
	}
	type plain Field
	return json.Unmarshal(text, (*plain)(f))
}

// An ErrorClass is what a service means by an answer that is none of success.
type ErrorClass string

// The classes of errors. None of them has an effect.
const (
	Quota     ErrorClass = "quota"     // there are as many keys as there may be
	Throttled ErrorClass = "throttled" // too many requests; try again later
	Permanent ErrorClass = "permanent" // refused until a person changes something
	Absent    ErrorClass = "absent"    // there is no such key, or not any more
)

// classes are all of them, in the order in which they are looked for.
var classes = []ErrorClass{Quota, Absent, Throttled, Permanent}

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
