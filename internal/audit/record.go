// Package audit keeps the log that proves itself.
//
// Every operation of keyward ends in exactly one [Record]. A record is durable
// before the answer leaves the process; a mutation and its record commit in one
// transaction; where the log cannot be written the operation is refused. The
// records of one node form one [Log]: an RFC 6962 Merkle tree whose leaves are the
// records' JSON lines. The head of the tree is signed with every commit (a C2SP
// checkpoint), in the same transaction, so no durable record is ever unsigned.
//
// What is stored is public within the operator's team: a record never holds a
// secret, a plaintext or free text of the caller; services put parameters into it
// one by one ([Record.Param]). What is trusted is only the public key, and the
// checkpoints that somebody remembered: a [Prover] recomputes everything else from the
// leaves and finds any edit, deletion, reordering, insertion or truncation, offline.
// [VerifyStore] does so with a store, package export with text, package tiles with files.
//
// A Log needs a [Store]; internal/store implements it beside the domain stores, so
// that both take part in the same transactions. What a commit of unknown outcome does to
// a Log is drawn in docs/design/audit.md.
package audit

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
)

// MaxLeaf is the most bytes that a leaf has, the limit of c2sp.org/tlog-tiles.
const MaxLeaf = 1<<16 - 1

const (
	formatVersion = 1
	maxValue      = 256  // bytes of a parameter, and of what else callers may choose
	maxResource   = 1024 // bytes of a resource name, which may hold a caller's text
	maxParams     = 16
)

// ResultOK is the Result of an operation that succeeded; any other Result is a [fault.Kind].
const ResultOK = "OK"

// A Record is what the log keeps of one operation.
type Record struct {
	Time      time.Time // when the log wrote it, UTC, microseconds; set by the log
	RequestID string
	Account   string
	Principal string // ARN
	AccessKey string
	Scheme    string // how the caller was authenticated
	Source    string // IP address of the caller
	UserAgent string
	Action    string // as policies name it: "kms:Encrypt"
	Resource  string // ARN
	Version   string // key version that did the work
	Params    []Param
	Decision  string // what allowed or denied it: "policy/statement" or a reason
	Result    string
	Effects   []Effect // of a mutation: the rows it wrote, filled by the store
	Nonce     []byte   // digest of the replay nonce; claimed with the record, nil for none

	approval Approval // nil for none
	written  bool
}

// An Approval of others lets one operation through, once: what uses it up happens in the
// transaction that makes the operation, and its record, durable.
type Approval interface {
	authz.Approval
	// Use answers what uses the approval up; nil if the operation did not need it.
	Use() Change
}

// A Param is one parameter that the operation's author chose to record.
type Param struct{ Name, Value string }

// An Effect is one row that a mutation wrote or removed.
type Effect struct {
	Table  string
	ID     string
	Rev    int64  // revision after the write; a removal counts as one more revision
	Digest []byte // SHA-256 of the canonical row after the write; nil when it was removed
}

// NewRecord begins the record of one call.
func NewRecord(c *authz.Call, action string) *Record {
	r := &Record{
		RequestID: c.RequestID, Account: c.Account, AccessKey: c.AccessKey,
		Scheme: c.Scheme, UserAgent: c.UserAgent, Action: action, Nonce: c.Nonce, Source: c.From(),
	}
	if c.Account != "" {
		r.Principal = c.ARN()
	}
	if c.Fresh && c.Key != "" {
		r.Param("MFA", "security key "+c.Key)
	} else if c.Fresh {
		r.Param("MFA", "code")
	}
	r.approval, _ = c.Approval.(Approval)
	return r
}

// Permit asks the caller's policies whether the record's action may be done with what the
// request names, notes what they said and answers [fault.NoPermission],
// [fault.MFARequired] or [fault.ApprovalRequired] if it may not.
func (r *Record) Permit(c *authz.Call, q authz.Request) error {
	q.Action, r.Resource = r.Action, q.Resource
	d, err := c.Check(q)
	r.Decision = d.String()
	return err
}

// Defer answers a refusal, but for one that others could approve: with that the operation goes
// on, so that they are asked about all of its permissions at once. The log then makes no
// change of it and answers no success, and so refuses it in the end.
func (r *Record) Defer(refusal error) error {
	if r.approval != nil && fault.Is(refusal, fault.ApprovalRequired) {
		return nil
	}
	return refusal
}

// uses answers what uses up the approval that let the operation through, nil if none did.
func (r *Record) uses() Change {
	if r.approval == nil {
		return nil
	}
	return r.approval.Use()
}

// Again is [fault.Again]. What an attempt noted as parameters is not there in the next.
func (r *Record) Again(change func() error) error {
	given := len(r.Params)
	return fault.Again(func() error {
		r.Params = r.Params[:given]
		return change()
	})
}

// Param notes one parameter; of several with one name the later ones are numbered.
// Never pass it a secret.
func (r *Record) Param(name, value string) {
	if value == "" || len(r.Params) == maxParams {
		return
	}
	same := 1
	for _, p := range r.Params {
		if base, _, _ := strings.Cut(p.Name, "#"); base == name {
			same++
		}
	}
	if same > 1 {
		name += "#" + strconv.Itoa(same)
	}
	r.Params = append(r.Params, Param{name, value})
}

// secretPrefix is how every secret of an access key begins; package iam makes them so
// that a leaked one can be found in any text.
const secretPrefix = "kwsk_"

// hidden stands where such a secret was.
const hidden = "kwsk_[redacted]"

// hide takes the secrets of access keys out of a text that a caller chose: people paste
// them where a name belongs, and a record is kept for ever. What only begins like one is
// hidden, too, as most of a secret is as bad as all of it.
func hide(s string) string {
	if !strings.Contains(s, secretPrefix) {
		return s
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, secretPrefix)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString(hidden)
		s = strings.TrimLeft(after, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
	}
}

// cut shortens s, without the secrets in it, to at most n bytes of valid UTF-8.
func cut(s string, n int) string {
	if s = hide(s); len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// appendPlace appends how every leaf begins: format, log, sequence number.
func appendPlace(b []byte, log string, seq int64) []byte {
	b = append(b, `{"v":`...)
	b = strconv.AppendInt(b, formatVersion, 10)
	b = append(b, `,"log":`...)
	b = appendString(b, log)
	b = append(b, `,"seq":`...)
	b = strconv.AppendInt(b, seq, 10)
	return append(b, ',')
}

// appendTime appends the member that follows the place.
func appendTime(b []byte, t time.Time) []byte {
	b = append(b, `"time":"`...)
	b = t.UTC().AppendFormat(b, time.RFC3339Nano)
	return append(b, '"')
}

// appendBody appends what follows place and time in the record's leaf: one JSON object
// on one line, its members in a fixed order, empty ones left out. The bytes are what the
// tree hashes. Whatever the caller of the operation sent, a leaf without effects stays
// far below MaxLeaf.
func (r *Record) appendBody(b []byte) []byte {
	for _, m := range [...]struct{ name, value string }{
		{"request", r.RequestID}, {"account", r.Account}, {"principal", r.Principal}, {"accessKey", r.AccessKey},
		{"scheme", r.Scheme}, {"source", r.Source}, {"agent", cut(r.UserAgent, maxValue)}, {"action", r.Action},
		{"resource", cut(r.Resource, maxResource)}, {"version", cut(r.Version, maxValue)},
	} {
		if m.value != "" {
			b = append(b, ',', '"')
			b = append(b, m.name...)
			b = append(b, '"', ':')
			b = appendString(b, m.value)
		}
	}
	if len(r.Params) > 0 {
		b = append(b, `,"params":{`...)
		for i, p := range r.Params {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, p.Name)
			b = append(b, ':')
			b = appendString(b, cut(p.Value, maxValue))
		}
		b = append(b, '}')
	}
	if r.Decision != "" {
		b = append(b, `,"decision":`...)
		b = appendString(b, cut(r.Decision, maxValue))
	}
	b = append(b, `,"result":`...)
	b = appendString(b, r.Result)
	b = appendEffects(b, r.Effects)
	if len(r.Nonce) > 0 {
		b = append(b, `,"nonce":"`...)
		b = hex.AppendEncode(b, r.Nonce)
		b = append(b, '"')
	}
	return append(b, '}')
}

func appendEffects(b []byte, effects []Effect) []byte {
	if len(effects) == 0 {
		return b
	}
	b = append(b, `,"effects":[`...)
	for i, e := range effects {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"table":`...)
		b = appendString(b, e.Table)
		b = append(b, `,"id":`...)
		b = appendString(b, e.ID)
		b = append(b, `,"rev":`...)
		b = strconv.AppendInt(b, e.Rev, 10)
		if e.Digest != nil {
			b = append(b, `,"sha256":"`...)
			b = hex.AppendEncode(b, e.Digest)
			b = append(b, '"')
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

// appendString appends s as a JSON string. Nearly every string here is plain ASCII,
// which needs no escaping; the rest takes encoding/json's way.
func appendString(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			quoted, err := json.Marshal(s)
			if err != nil { // cannot happen: a string always encodes
				panic(err)
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// An Entry is a record as it is read back from its leaf.
type Entry struct {
	V         int               `json:"v"`
	Log       string            `json:"log"`
	Seq       int64             `json:"seq"`
	Time      time.Time         `json:"time"`
	RequestID string            `json:"request,omitempty"`
	Account   string            `json:"account,omitempty"`
	Principal string            `json:"principal,omitempty"`
	AccessKey string            `json:"accessKey,omitempty"`
	Scheme    string            `json:"scheme,omitempty"`
	Source    string            `json:"source,omitempty"`
	UserAgent string            `json:"agent,omitempty"`
	Action    string            `json:"action"`
	Resource  string            `json:"resource,omitempty"`
	Version   string            `json:"version,omitempty"`
	Params    map[string]string `json:"params,omitempty"`
	Decision  string            `json:"decision,omitempty"`
	Result    string            `json:"result"`
	Effects   []EntryEffect     `json:"effects,omitempty"`
	Nonce     string            `json:"nonce,omitempty"`
}

// An EntryEffect is an [Effect] as it is read back, its digest in hexadecimal.
type EntryEffect struct {
	Table  string `json:"table"`
	ID     string `json:"id"`
	Rev    int64  `json:"rev"`
	Digest string `json:"sha256,omitempty"`
}

// ParseEntry reads one leaf. Leaves of every released format version are understood.
func ParseEntry(leaf []byte) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(leaf, &e); err != nil {
		return Entry{}, fmt.Errorf("reading audit record: %w", err)
	}
	if e.V != formatVersion {
		return Entry{}, fmt.Errorf("reading audit record: format version %d is unknown to this release", e.V)
	}
	return e, nil
}

// resultOf answers the Result that records err.
func resultOf(err error) string {
	if err == nil {
		return ResultOK
	}
	return string(fault.KindOf(err))
}
