package exposure

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"unicode"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/judge"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/secret"
)

// A Key is an account's key of marks, as it is stored.
type Key struct {
	Account string
	Sealed  []byte // the seed, wrapped under the tenant's key
	Rev     int64
}

const seedSize = 32

func (k Key) binding() []byte { return material.Binding("keyward-leak-key/v1", k.Account) }

// keys are what the seed of an account is expanded to.
type keys struct{ scan, match leak.Hasher }

// expand derives the two keys: who has the one learns nothing about the other. They are
// used as the 64 hexadecimal digits that they are written with.
func expand(seed []byte) (k keys, scan string) {
	derive := func(label string) string {
		return leak.NewHasher(nil).Sharing(seed).Mark([]byte("keyward-leak/v1 " + label))
	}
	scan = derive("scan")
	return keys{leak.NewHasher(nil).Sharing([]byte(scan)), leak.NewHasher(nil).Sharing([]byte(derive("match")))}, scan
}

// mark answers the mark of what was reported blinded.
func (k keys) mark(blind string) string { return k.match.Mark([]byte(blind)) }

const (
	maxMarks = 64 // of one value
	minPart  = 8  // bytes of a part of a credential that is marked
)

// marks answers the marks of a value, without the secret that it belongs to.
func (k keys) marks(scanner *leak.Scanner, value []byte) (out []secret.Mark) {
	found, id := identities(scanner, value)
	for _, identity := range found {
		out = append(out, secret.Mark{Mark: k.mark(k.scan.Mark(identity)), KeyID: clean(id, maxText), Strong: strong(identity)})
	}
	return out
}

// strong tells whether nobody guesses what a mark is of.
func strong(identity []byte) bool {
	const long, various = 20, 10
	return len(identity) >= long && judge.MixOf(identity).Distinct >= various
}

// identities answers what a search may see of a value that got out, in the form in which it
// would hash it, and the identifier that the value has, "" if it has none or several.
func identities(scanner *leak.Scanner, value []byte) (found [][]byte, id string) {
	var ids []string
	public := func(text []byte) bool { return slices.Contains(ids, string(text)) }
	texts := [][]byte{value}
	var object any
	if json.Unmarshal(value, &object) == nil {
		for _, part := range leaves("", object, nil) {
			texts = append(texts, part.text)
		}
	}
	var matched [][]byte
	worker := scanner.Worker()
	for _, text := range texts {
		for _, m := range worker.Scan(leak.Part{Text: text, To: len(text)}) {
			switch at := text[m.Start:m.End]; {
			case m.Rule.Class != leak.Secret:
				ids = append(ids, string(at))
			case m.Identity != nil:
				matched = append(matched, m.Identity)
			default:
				matched = append(matched, at)
			}
		}
	}
	add := func(identity []byte) {
		identity = bytes.TrimSpace(identity)
		if len(identity) > 0 && len(found) < maxMarks && !public(identity) && !slices.ContainsFunc(found, func(f []byte) bool { return bytes.Equal(f, identity) }) {
			found = append(found, identity)
		}
	}
	add(value)
	for _, part := range leaves("", object, nil) {
		if !part.public() && len(part.text) >= minPart {
			add(part.text)
		}
	}
	for _, m := range matched {
		add(m)
	}
	slices.Sort(ids)
	if ids = slices.Compact(ids); len(ids) == 1 {
		id = ids[0]
	}
	return found, id
}

// A part is a text in a JSON value, and the name under which it stands.
type part struct {
	name string
	text []byte
}

// leaves answers the texts in a JSON value.
func leaves(name string, v any, out []part) []part {
	switch v := v.(type) {
	case string:
		return append(out, part{name, []byte(v)})
	case []any:
		for _, item := range v {
			out = leaves(name, item, out)
		}
	case map[string]any:
		for member, item := range v {
			out = leaves(member, item, out)
		}
	}
	return out
}

// Names of what stands beside a secret and is none. A mark of one would have whoever
// publishes it take it for the secret.
var publicNames = []string{
	"id", "user", "username", "name", "host", "hostname", "address", "port", "url", "uri", "endpoint", "region", "zone", "database", "db", "engine",
	"account", "email", "provider", "kind", "type", "certificate", "cert", "publickey", "serial",
}

// public tells whether the part's name says that it is no secret.
func (p part) public() bool {
	name := strings.ToLower(strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, p.name))
	return slices.ContainsFunc(publicNames, func(end string) bool { return strings.HasSuffix(name, end) })
}

// Mark answers the marks of a value that is about to be stored, for package secret; none
// where the account has no key yet or it cannot be opened now. The next look makes those
// that are missing.
func (s *Service) Mark(ctx context.Context, account string, value material.Bytes) []secret.Mark {
	k, _, err := s.keys(ctx, account)
	if err != nil {
		return nil
	}
	return k.marks(s.o.Scanner, value.Expose())
}
