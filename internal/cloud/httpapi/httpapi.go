// Package httpapi reads and replaces the keys of any service with an HTTP API, by a
// definition: a YAML file that says how to ask, where in the answers the facts stand, and
// what they mean.
//
// A definition is data. Its templates (package template) have names and filters and no
// control; its answers are read through JSON pointers (package answer); its schema is the
// one that is published and the one that is enforced, with line and column (packages
// document and definition). A definition reaches the hosts that its base URLs name and no
// other, and places a credential in a header, never in a URL. Package client asks by it;
// package contract holds it against recorded exchanges.
//
// [Kind] reads: list, status and verify are sent, which are GET, and nothing else is.
// [Issuer] makes and ends keys, too. It takes a definition of somebody's own only if its
// contract passes, every way to lose an answer included: what is wrong in a file that only
// reads costs a synchronisation, what is wrong in one that writes costs a key.
//
// Who may call: packages accesskey and rotation, through Kind and Issuer. Nothing is
// stored. Not trusted: the answers, which are bounded, cleaned and cut of every secret, and
// the values of variables, which templates keep where they stand. The author of a
// definition is trusted to say what is true of the service, and with the credential, which
// is sent to the host that the definition names.
package httpapi

import (
	"crypto/sha256"
	"embed"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/httpapi/client"
	"github.com/keyward/keyward/internal/cloud/httpapi/contract"
	"github.com/keyward/keyward/internal/cloud/httpapi/definition"
	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/rotation"
)

//go:embed shipped/*.yaml
var shipped embed.FS

// Shipped answers the names of the definitions that keyward brings.
func Shipped() []string {
	entries, err := shipped.ReadDir("shipped")
	if err != nil {
		return nil // the directory is compiled in
	}
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = strings.TrimSuffix(e.Name(), ".yaml")
	}
	slices.Sort(out)
	return out
}

// ShippedText answers the file of a shipped definition, contract included; ok is false if
// there is none of this name.
func ShippedText(name string) (text []byte, ok bool) {
	if !slices.Contains(Shipped(), name) {
		return nil, false
	}
	text, err := shipped.ReadFile("shipped/" + name + ".yaml")
	return text, err == nil
}

// Kind is the kind of provider that is configured by a definition.
func Kind() accesskey.KindOfProvider {
	return accesskey.KindOfProvider{
		Name:  "http",
		Title: form.Text{English: "Any service with an HTTP API, by a definition", Chinese: "任何提供 HTTP API 的服务，由定义文件描述"},
		Form: form.Form{
			Settings: []form.Field{
				{Name: "definition", Example: "cloudflare", Help: form.Text{
					English: "name of a shipped definition: " + strings.Join(Shipped(), ", "),
					Chinese: "内置定义的名称：" + strings.Join(Shipped(), "、")}},
				{Name: "vars", Example: `{"account":"0123456789abcdef0123456789abcdef"}`, Help: form.Text{
					English: "variables of the definition, as one JSON object",
					Chinese: "定义所需的变量，写成一个 JSON 对象"}},
			},
			Credential: []form.Field{
				{Name: "credential", Required: true, Help: form.Text{
					English: "the credential; if the definition names several parts, a line NAME=VALUE for each",
					Chinese: "凭据；若定义包含多个部分，每行写一个 NAME=VALUE"}},
				{Name: "definition_file", Help: form.Text{
					English: "text of a definition of your own, instead of a shipped one",
					Chinese: "自定义定义文件的内容，用于替代内置定义"}},
			},
		},
		Capabilities: accesskey.Capabilities{Expiry: true},
		Varies:       true, // as each definition declares
		Pace:         time.Hour,
		Open:         newShelf().open,
	}
}

// Issuer is the kind of issuer that is configured by a definition.
func Issuer() rotation.KindOfIssuer {
	return rotation.KindOfIssuer{Name: Kind().Name, Open: newShelf().openIssuer}
}

// maxRemembered is how many definitions are remembered with what was found out about them.
const maxRemembered = 1000

// A shelf remembers definitions by their text: to parse one takes a millisecond, to hold it
// against its contract several, and those that change keys are opened for every step of a
// rotation.
type shelf struct {
	mu     sync.Mutex // guards the rest
	parsed map[[sha256.Size]byte]*definition.Definition
	held   map[[sha256.Size]byte]bool // against their contracts, which they keep
}

func newShelf() *shelf {
	return &shelf{parsed: map[[sha256.Size]byte]*definition.Definition{}, held: map[[sha256.Size]byte]bool{}}
}

// definition answers the definition that a text is of.
func (s *shelf) definition(text []byte) (*definition.Definition, error) {
	sum := sha256.Sum256(text)
	s.mu.Lock()
	known := s.parsed[sum]
	s.mu.Unlock()
	if known != nil {
		return known, nil
	}
	def, err := definition.Parse(text)
	if err != nil {
		return nil, fault.InvalidParameter.New("the definition: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	remember(s.parsed, sum, def)
	return def, nil
}

// holds tells why a definition does not keep its contract.
func (s *shelf) holds(text []byte) error {
	sum := sha256.Sum256(text)
	s.mu.Lock()
	known := s.held[sum]
	s.mu.Unlock()
	if known {
		return nil
	}
	if err := contract.Holds(text); err != nil {
		return fault.InvalidParameter.New("the definition is not used to change keys: %v; see keyward provider test", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	remember(s.held, sum, true)
	return nil
}

// remember keeps a value, and begins anew when there are too many.
func remember[T any](in map[[sha256.Size]byte]T, sum [sha256.Size]byte, value T) {
	if len(in) >= maxRemembered {
		clear(in)
	}
	in[sum] = value
}

func (s *shelf) open(o accesskey.Opening) (accesskey.Provider, error) {
	text, err := chosen(o)
	if err != nil {
		return nil, err
	}
	c, err := s.connect(o, text)
	if err != nil {
		return nil, err
	}
	return c.Provider(), nil
}

func (s *shelf) openIssuer(o accesskey.Opening, principal string) (rotation.Issuer, error) {
	text, err := chosen(o)
	if err != nil {
		return nil, err
	}
	c, err := s.connect(o, text)
	if err != nil {
		return nil, err
	}
	i, err := client.NewIssuer(c, principal)
	if err != nil {
		return nil, err
	}
	if o.Settings["definition"] == "" { // the shipped ones are held against theirs when keyward is built
		if err := s.holds(text); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// connect opens the definition of a source.
func (s *shelf) connect(o accesskey.Opening, text []byte) (*client.Client, error) {
	def, err := s.definition(text)
	if err != nil {
		return nil, err
	}
	vars, err := definition.ReadVars(o.Settings["vars"])
	if err != nil {
		return nil, err
	}
	credential, err := def.ReadCredential(o.Credential["credential"])
	if err != nil {
		return nil, err
	}
	return client.Open(def, client.Target{Vars: vars, Credential: credential, HTTP: egress.HTTP(o.Allow), Once: egress.Single(o.Allow), Now: o.Now})
}

// chosen answers the text of the definition that a source names or brings.
func chosen(o accesskey.Opening) ([]byte, error) {
	name, text := o.Settings["definition"], o.Credential["definition_file"].Expose()
	if (name == "") == (len(text) == 0) {
		return nil, fault.InvalidParameter.New("give either definition, the name of a shipped one, or definition_file, the text of your own")
	}
	if name == "" {
		return text, nil
	}
	text, ok := ShippedText(name)
	if !ok {
		return nil, fault.InvalidParameter.New("there is no shipped definition %q; there are %s", name, strings.Join(Shipped(), ", "))
	}
	return text, nil
}
