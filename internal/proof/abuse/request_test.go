package abuse

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emmansun/gmsm/sm3"
)

// A pair is a name and a value: of a parameter, a header or a member of an object.
type pair struct{ name, value string }

// A request is a request before it is signed.
type request struct {
	op      operation
	who     caller
	scheme  string // how it is signed; "" for not at all
	method  string
	path    string // as it is sent
	action  string
	version string
	format  string
	query   []pair
	form    []pair
	members []pair // of the body's object, each value as JSON
	body    string // instead of members
	kind    string // Content-Type
	date    string
	nonce   string
	unsent  []string // headers and parameters of the signature that are left out
	extra   []pair   // headers that are signed, too
}

// A message is a request as it goes over the wire.
type message struct {
	method, target string
	header         []pair
	body           string
}

func (m *message) bytes() []byte {
	b := append([]byte(nil), m.method+" "+m.target+" HTTP/1.1\r\n"...)
	for _, h := range m.header {
		b = append(b, h.name+": "+h.value+"\r\n"...)
	}
	return append(append(b, "\r\n"...), m.body...)
}

// set replaces a header, or adds it.
func (m *message) set(name, value string) {
	for i, h := range m.header {
		if strings.EqualFold(h.name, name) {
			m.header[i].value = value
			return
		}
	}
	m.header = append(m.header, pair{name, value})
}

func (m *message) value(name string) string {
	for _, h := range m.header {
		if strings.EqualFold(h.name, name) {
			return h.value
		}
	}
	return ""
}

// The ways to sign.
const (
	rpc10   = "HMAC-SHA1"
	acs3    = "ACS3-HMAC-SHA256"
	acs3SM3 = "ACS3-HMAC-SM3"
	acs4    = "ACS4-HMAC-SHA256"
)

// message signs and spells a request out. It shares no code with the server.
func (r *request) message(host string) message {
	m := message{method: r.method, body: r.payload()}
	if r.scheme == rpc10 {
		r.signRPC()
		m.body = r.payload()
	}
	m.target = r.path
	if len(r.query) > 0 {
		m.target += "?" + encode(r.query)
	}
	m.header = []pair{{"Host", host}}
	if m.body != "" && r.kind != "" {
		m.header = append(m.header, pair{"Content-Type", r.kind})
	}
	if m.body != "" || r.method == "POST" || r.method == "PUT" || r.method == "PATCH" {
		m.header = append(m.header, pair{"Content-Length", strconv.Itoa(len(m.body))})
	}
	if r.scheme != "" && r.scheme != rpc10 {
		r.signHeader(&m)
	}
	if r.format == "xml" && r.scheme != rpc10 {
		m.header = append(m.header, pair{"Accept", "text/xml"})
	}
	return m
}

func (r *request) payload() string {
	switch {
	case r.body != "":
		return r.body
	case r.op.dialect == rpcDialect:
		return encode(r.form)
	case len(r.members) > 0:
		return object(r.members)
	}
	return ""
}

// object writes a JSON object whose values are JSON already.
func object(members []pair) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, m := range members {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(quote(m.name) + ":" + m.value)
	}
	return b.String() + "}"
}

// quote writes a JSON text as it is, also where it is no Unicode.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(rune(c)))
		case c < ' ':
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func mac(newHash func() hash.Hash, key, data string) string {
	h := hmac.New(newHash, []byte(key))
	h.Write([]byte(data))
	return string(h.Sum(nil))
}

func digestOf(newHash func() hash.Hash, data string) string {
	h := newHash()
	h.Write([]byte(data))
	return hex.EncodeToString(h.Sum(nil))
}

// escape percent-encodes all but the unreserved characters.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func encode(list []pair) string {
	parts := make([]string, len(list))
	for i, p := range list {
		parts[i] = escape(p.name) + "=" + escape(p.value)
	}
	return strings.Join(parts, "&")
}

// canonical is encode in the order of the names.
func canonical(list []pair) string {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b pair) int { return strings.Compare(a.name, b.name) })
	return encode(list)
}

// signRPC signs in the parameters.
func (r *request) signRPC() {
	for _, p := range []pair{
		{"AccessKeyId", r.who.id}, {"Action", r.action}, {"Version", r.version}, {"Timestamp", r.date}, {"SignatureMethod", rpc10},
		{"SignatureVersion", "1.0"}, {"SignatureNonce", r.nonce}, {"Format", r.format},
	} {
		if !slices.Contains(r.unsent, p.name) && (p.name != "Format" || p.value != "") {
			r.query = append(r.query, p)
		}
	}
	text := r.method + "&%2F&" + escape(canonical(slices.Concat(r.query, r.form)))
	signature := base64.StdEncoding.EncodeToString([]byte(mac(sha1.New, r.who.secret+"&", text)))
	if !slices.Contains(r.unsent, "Signature") {
		r.query = append(r.query, pair{"Signature", signature})
	}
}

// signHeader signs in the Authorization header.
func (r *request) signHeader(m *message) {
	newHash := sha256.New
	if r.scheme == acs3SM3 {
		newHash = sm3.New
	}
	sum := digestOf(newHash, m.body)
	signed := slices.Clone(m.header[:1])
	for _, h := range m.header[1:] {
		if h.name == "Content-Type" {
			signed = append(signed, h)
		}
	}
	own := []pair{{"x-acs-date", r.date}, {"x-acs-signature-nonce", r.nonce}, {"x-acs-content-sha256", sum}}
	if r.op.dialect == rpcDialect {
		own = append(own, pair{"x-acs-action", r.action}, pair{"x-acs-version", r.version})
	}
	own = slices.DeleteFunc(append(own, r.extra...), func(p pair) bool { return slices.Contains(r.unsent, p.name) })
	m.header = append(m.header, own...)
	signed = append(signed, own...)
	slices.SortStableFunc(signed, func(a, b pair) int { return strings.Compare(strings.ToLower(a.name), strings.ToLower(b.name)) })
	var names []string
	var lines string
	for _, h := range signed {
		names = append(names, strings.ToLower(h.name))
		lines += strings.ToLower(h.name) + ":" + strings.Trim(h.value, " \t") + "\n"
	}
	query := canonical(r.query)
	if r.scheme == acs4 {
		query = strings.TrimSuffix(strings.ReplaceAll(query+"&", "=&", "&"), "&")
	}
	list := strings.Join(names, ";")
	text := strings.Join([]string{r.method, canonicalPath(r.path), query, lines, list, sum}, "\n")
	key, credential := r.who.secret, r.who.id
	if r.scheme == acs4 {
		day, _, _ := strings.Cut(r.date, "T")
		scope := []string{strings.ReplaceAll(day, "-", ""), "center", "Kms", "aliyun_v4_request"}
		key = "aliyun_v4" + key
		for _, part := range scope {
			key = mac(newHash, key, part)
		}
		credential += "/" + strings.Join(scope, "/")
	}
	signature := hex.EncodeToString([]byte(mac(newHash, key, r.scheme+"\n"+digestOf(newHash, text))))
	m.header = append(m.header, pair{"Authorization", r.scheme + " Credential=" + credential + ",SignedHeaders=" + list + ",Signature=" + signature})
}

// canonicalPath spells a path as signatures cover it, if it can be read.
func canonicalPath(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if plain, err := url.PathUnescape(s); err == nil {
			segments[i] = escape(plain)
		}
	}
	return strings.Join(segments, "/")
}

func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// pathText spells a name so that it can stand in a path: keys, aliases and secrets have "~" for
// a slash.
func pathText(name string, k kind) string {
	if k == keyName || k == oldAlias || k == secretName {
		name = strings.ReplaceAll(name, "/", "~")
	}
	return escape(name)
}

// valid makes the valid request of an operation.
func (w *world) valid(op operation, g *generator) request {
	r := request{
		op: op, who: w.root, method: op.method, path: op.path, action: op.name, version: "2016-01-20",
		date: timestamp(time.Now()), nonce: g.nonce(), kind: "application/json",
	}
	switch op.dialect {
	case rpcDialect:
		r.scheme = pick(g, rpc10, acs3, acs3SM3, acs4)
		r.format, r.kind = pick(g, "json", "xml", ""), "application/x-www-form-urlencoded"
		if g.chance(0.3) {
			r.method = "GET"
		}
	case restDialect:
		r.scheme = acs3
	}
	for _, f := range op.fields {
		if f.value != "" {
			r.put(g, f, w.text(f.value))
		}
	}
	if len(r.members) == 0 && op.hasBody() {
		r.body = "{}"
	}
	return r
}

// hasBody tells whether an operation takes a JSON object.
func (o operation) hasBody() bool {
	return o.dialect != rpcDialect && o.method != "GET" && o.method != "DELETE" &&
		slices.ContainsFunc(o.fields, func(f field) bool { return !strings.HasPrefix(f.name, "{") })
}

// put gives a field a value where the operation has it.
func (r *request) put(g *generator, f field, value string) {
	p := pair{f.name, value}
	switch {
	case strings.HasPrefix(f.name, "{"):
		r.path = strings.Replace(r.path, f.name, pathText(value, f.kind), 1)
	case r.op.hasBody():
		r.members = append(r.members, pair{f.name, asJSON(f, value)})
	case r.op.dialect == rpcDialect && r.method == "POST" && g.chance(0.5):
		r.form = append(r.form, p)
	default:
		r.query = append(r.query, p)
	}
}

// asJSON writes a field's text as the JSON that the REST API wants for it.
func asJSON(f field, value string) string {
	switch f.kind {
	case flag, small, count, days, bytes1K, seconds, sequence, tags, encContext, rotation, shape:
		return value
	case texts:
		return "[" + quote(value) + "]"
	}
	return quote(value)
}
