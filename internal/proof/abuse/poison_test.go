package abuse

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A poison makes a valid request certainly wrong, before it is signed. It answers false
// if it does not fit the request.
type poison struct {
	name string
	do   func(*generator, *request) bool
}

// poisons go into what is then signed rightly.
var poisons = []poison{
	{"a wrong value", (*generator).wrongValue},
	{"a wrong value", (*generator).wrongValue}, // it has the most to it
	{"a wrong value", (*generator).wrongValue},
	{"a wrong value", (*generator).wrongValue},
	{"something missing", (*generator).missing},
	{"something unknown", (*generator).unknown},
	{"something twice", (*generator).twice},
	{"a misspelt name", (*generator).misspelt},
	{"a wrong operation", (*generator).wrongOperation},
	{"a wrong path", (*generator).wrongPath},
	{"a wrong method", (*generator).wrongMethod},
	{"a wrong body", (*generator).wrongBody},
	{"a wrong time or nonce", (*generator).wrongTime},
	{"an incomplete signature", (*generator).incomplete},
	{"not signed", (*generator).unsigned},
	{"a wrong caller", (*generator).wrongCaller},
	{"a caller without permission", (*generator).powerless},
	{"too much", (*generator).tooMuch},
}

func (g *generator) wrongValue(r *request) bool {
	if len(r.op.fields) == 0 {
		return false
	}
	f := pick(g, r.op.fields...)
	switch i := memberOf(r.members, f.name); {
	case strings.HasPrefix(f.name, "{"):
		return g.wrongSegment(r, f)
	case i >= 0:
		r.members[i].value = g.wrongJSON(f)
	case r.op.hasBody():
		r.members, r.body = append(r.members, pair{f.name, g.wrongJSON(f)}), ""
	default:
		value := g.wrong(f)
		if value == "" && (!f.required || f.kind == texts) {
			return false // the same as nothing
		}
		r.query = drop(r.query, f.name)
		r.form = drop(r.form, f.name)
		r.put(g, f, value)
	}
	return true
}

// wrongSegment puts a wrong name into the path.
func (g *generator) wrongSegment(r *request, f field) bool {
	name := g.wrong(f)
	if f.kind == policyName && r.op.name == "DetachPolicy" && g.chance(0.5) {
		name = "../../keys"
	}
	path := r.op.path
	for _, other := range r.op.fields {
		value := g.w.text(other.value)
		if other.name == f.name {
			value = name
		}
		path = strings.Replace(path, other.name, pathText(value, other.kind), 1)
	}
	r.path = path
	return true
}

func memberOf(list []pair, name string) int {
	return slices.IndexFunc(list, func(p pair) bool { return p.name == name })
}

func drop(list []pair, name string) []pair {
	return slices.DeleteFunc(list, func(p pair) bool { return p.name == name })
}

func (g *generator) missing(r *request) bool {
	needed := slices.DeleteFunc(slices.Clone(r.op.fields), func(f field) bool { return !f.required || strings.HasPrefix(f.name, "{") })
	if len(needed) == 0 {
		return false
	}
	f := pick(g, needed...)
	r.query, r.form, r.members = drop(r.query, f.name), drop(r.form, f.name), drop(r.members, f.name)
	if len(r.members) == 0 && r.op.hasBody() {
		r.body = "{}"
	}
	return true
}

func (g *generator) unknown(r *request) bool {
	name := pick(g, "Other", "keyid ", "Key-Id", "KeyId[]", "KeyId.0", "__proto__", "constructor", "admin", "Path", "File", "AuditPath", "Plugin", "密", "\u200b", strings.Repeat("n", 1<<g.IntN(12)), "a=b", "a&b", "\x00", "Debug", "Prefix", "x-acs-action")
	return g.add(r, name, pick(g, "1", "", "true", "/etc/passwd", g.odd()))
}

func (g *generator) add(r *request, name, value string) bool {
	switch {
	case r.op.hasBody():
		r.members, r.body = append(r.members, pair{name, quote(value)}), ""
	case r.op.dialect == rpcDialect && r.method == "POST" && g.chance(0.5):
		r.form = append(r.form, pair{name, value})
	default:
		r.query = append(r.query, pair{name, value})
	}
	return true
}

func (g *generator) twice(r *request) bool {
	all := slices.Concat(r.query, r.form)
	if len(r.members) > 0 {
		m := pick(g, r.members...)
		r.members = slices.Insert(r.members, g.IntN(len(r.members)), m)
		return true
	}
	if len(all) == 0 {
		return false
	}
	p := pick(g, all...)
	if g.chance(0.5) {
		p.value = g.odd()
	}
	if r.op.dialect == rpcDialect && r.method == "POST" && g.chance(0.5) { // once in the query and once in the form
		r.query, r.form = append(drop(r.query, p.name), p), append(drop(r.form, p.name), p)
		return true
	}
	r.query = slices.Insert(slices.Concat(drop(slices.Clone(r.query), p.name), []pair{p}), 0, p)
	return true
}

func (g *generator) misspelt(r *request) bool {
	for _, list := range [][]pair{r.query, r.form, r.members} {
		if len(list) == 0 {
			continue
		}
		i := g.IntN(len(list))
		name := list[i].name
		list[i].name = pick(g, strings.ToUpper(name[:1])+name[1:]+"s", strings.ToUpper(name)+"_", name+" ", " "+name, name+"\u200b", name[:len(name)-1]+"-", name+".1", "\ufeff"+name)
		return true
	}
	return false
}

func (g *generator) wrongOperation(r *request) bool {
	if r.op.dialect != rpcDialect {
		return false
	}
	if g.chance(0.3) {
		r.version = pick(g, "2016-01-21", "2014-08-28", "1", "v1", "２０１６-01-20", g.odd()+"x")
		r.version = header(r.version)
		return true
	}
	r.action = header(pick(g, "NoSuch", strings.ToLower(r.action), strings.ToUpper(r.action), r.action+"s", r.action+" x", "kms:"+r.action, r.action+"/", "../"+r.action, r.action+"%00", "Initialize", "Unseal", "CreateUser", "GetSecretValues", "x"+g.odd()))
	return true
}

// header makes a text such that it can stand in a header.
func header(s string) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c > 0x7e {
			return '?'
		}
		return c
	}, s)
	s = strings.TrimSpace(s[:min(len(s), 3000)])
	if s == "" {
		return "x"
	}
	return s
}

func (g *generator) wrongPath(r *request) bool {
	if r.op.dialect == rpcDialect {
		r.path = pick(g, "//", "/./", "/../", "/%2f", "/%2F", "/index.html", "/;a", "/x", "/%00", "/.", "/?", "/v2/", "/v1", "/V1/keys", "/%76%31/keys/", "/metrics/", "/healthz/", "/debug/pprof/", "/.git/config", "/v1/../", "/\\", "/"+strings.Repeat("a/", 200))
		return r.path != "/?"
	}
	segments := strings.Split(r.path, "/")
	i := 1 + g.IntN(len(segments)-1)
	if slices.ContainsFunc(r.op.fields, func(f field) bool {
		return f.kind == newName && strings.HasPrefix(f.name, "{") && f.value == segments[i]
	}) {
		return false // another name is as good as that one
	}
	switch g.IntN(9) {
	case 0:
		r.path += "/"
	case 1:
		r.path = "/" + r.path
	case 2:
		segments[i] = pick(g, ".", "..", "%2e", "%2e%2e", "", "%2f", "a%2fb", "%5c", "%00", "x", ";", "*") + pick(g, "", "/"+segments[i])
		r.path = strings.Join(segments, "/")
	case 3:
		segments[i] = strings.ToUpper(segments[i]) + "X"
		r.path = strings.Join(segments, "/")
	case 4:
		r.path = strings.Join(slices.Insert(segments, i, pick(g, "", ".", "..", "v1", "keys")), "/")
	case 5:
		r.path = strings.Join(slices.Delete(segments, 1, 2), "/") + "/none"
	case 6:
		r.path += pick(g, "%20", "%09", ";x=y", ".json", "~x", "/..", "/.", "/%2e%2e", "%2f", "%ff", "%c0%af")
		last := r.op.fields
		if len(last) == 0 || strings.HasPrefix(last[0].name, "{") {
			r.path += "/x/y/z"
		}
	case 7:
		r.path = strings.Repeat("/a", 1+g.IntN(3000))
	default:
		r.path = strings.Replace(r.path, "/v1/", pick(g, "/V1/", "/v1//", "/v1/./", "/v2/", "/v1%2f", "/%76%31x/", "/v1/../v1/", "/v1;/", "/v01/"), 1)
	}
	return true
}

func (g *generator) wrongMethod(r *request) bool {
	was := r.method
	r.method = pick(g, "HEAD", "TRACE", "OPTIONS", "PATCHES", "BREW", "PROPFIND", "LINK", "X", "DELETED")
	if r.op.dialect == rpcDialect {
		r.method = pick(g, "PUT", "PATCH", "DELETE", r.method)
	}
	return r.method != was
}

func (g *generator) wrongBody(r *request) bool {
	if r.op.dialect == rpcDialect {
		r.form, r.method = nil, "POST"
		r.body = pick(g, "%", "a=%zz", "a=1&a=2", "&=x", "a=\xff", "{}", g.raw(1+g.IntN(500)), "a=1;b=2&%", "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--")
		if g.chance(0.5) {
			r.kind = pick(g, "application/json", "multipart/form-data; boundary=x", "text/plain", "application/xml", "application/x-www-form-urlencoded-not", "application/octet-stream")
		}
		if r.body == "{}" || !strings.ContainsAny(r.body, "%&") { // no form would be right by chance
			r.kind = "text/plain"
		}
		return true
	}
	if !r.op.hasBody() {
		r.body = pick(g, "{}", "null", "x", g.raw(100), `{"key":"x"}`)
		return true
	}
	valid := r.payload()
	if g.chance(0.2) {
		r.kind = pick(g, "text/plain", "application/xml", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "application/json, application/json", "application/jsonp", "json", "application/json; a=b", "application/problem+json")
		r.body = valid
		return true
	}
	deep := strings.Repeat(pick(g, "[", `{"a":`, `{"key":{`, "[["), 1+g.IntN(10_000))
	r.body = pick(g, valid+valid, valid+"x", valid+" null", valid[:len(valid)-1], "["+valid+"]", "null", "[]", "17", `"x"`, "true", deep, "\ufeff"+valid, valid[:len(valid)/2]+"\xff"+valid[len(valid)/2:],
		valid+"\x00", strings.Replace(valid, ":", "=", 1), strings.Replace(valid, "{", "{,", 1), "{"+strings.Repeat(`"a":1,`, 600)+`"b":1}`, valid[:len(valid)-1]+`,"KEY\ud800":1}`, "/**/"+valid, valid+"//", g.raw(1+g.IntN(300)), strings.Repeat(" ", 500))
	return true
}

func (g *generator) wrongTime(r *request) bool {
	if r.scheme == "" {
		return false
	}
	now := time.Now()
	switch g.IntN(3) {
	case 0:
		r.date = timestamp(now.Add(pick(g, -16*time.Minute, 16*time.Minute, -24*time.Hour, 24*time.Hour, -10*365*24*time.Hour, 250*365*24*time.Hour)))
	case 1:
		r.date = pick(g, "", "now", strconv.FormatInt(now.Unix(), 10), now.UTC().Format(time.RFC1123), now.UTC().Format("2006-01-02T15:04:05.000Z"), now.UTC().Format("2006-01-02T15:04:05+00:00"), timestamp(now)+"x", strings.Repeat("2", 500), "0000-00-00T00:00:00Z", "9999-99-99T99:99:99Z")
	default:
		r.nonce = pick(g, "", strings.Repeat("n", 129), strings.Repeat("n", 2000))
	}
	return true
}

func (g *generator) incomplete(r *request) bool {
	switch r.scheme {
	case "":
		return false
	case rpc10:
		r.unsent = []string{pick(g, "AccessKeyId", "Action", "Version", "Timestamp", "SignatureMethod", "SignatureVersion", "SignatureNonce", "Signature")}
	default:
		names := []string{"x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256"}
		if r.op.dialect == rpcDialect {
			names = append(names, "x-acs-action", "x-acs-version")
		}
		r.unsent = []string{pick(g, names...)}
	}
	return true
}

func (g *generator) unsigned(r *request) bool {
	if r.op.dialect == operatorDialect {
		return false
	}
	r.scheme = ""
	if r.op.dialect == rpcDialect && g.chance(0.5) {
		r.query = append(r.query, pair{"Action", r.op.name}, pair{"AccessKeyId", g.w.root.id}, pair{"Format", pick(g, "xml", "json", g.odd())})
	}
	return true
}

func (g *generator) wrongCaller(r *request) bool {
	if r.scheme == "" {
		return false
	}
	r.who = pick(g, caller{g.w.root.id, g.w.foreign.secret}, caller{g.w.root.id, "wrong"}, caller{g.w.root.id, ""}, caller{strings.ToLower(g.w.root.id), g.w.root.secret}, caller{"KWAKMISSING", g.w.root.secret},
		caller{g.w.root.id + " ", g.w.root.secret}, caller{"*", ""}, caller{g.w.root.id + "\x00", g.w.root.secret}, caller{strings.Repeat("K", 129), "x"}, caller{g.w.root.id[:10], g.w.root.secret}, caller{"'OR 1=1", "x"}, caller{g.w.root.secret, g.w.root.id})
	r.who.id = header(r.who.id)
	return r.who != g.w.root
}

// powerless has somebody who may do nothing send anything at all.
func (g *generator) powerless(r *request) bool {
	if r.scheme == "" || r.op.open {
		return false
	}
	r.who = g.w.nobody
	for i := range r.members {
		if g.chance(0.3) {
			r.members[i].value = pick(g, quote(g.odd()), g.odd())
		}
	}
	for _, list := range [][]pair{r.query, r.form} {
		for i := range list {
			if g.chance(0.3) {
				list[i].value = g.odd()
			}
		}
	}
	return true
}

func (g *generator) tooMuch(r *request) bool {
	if g.chance(0.8) { // they are slow
		return false
	}
	switch g.IntN(4) {
	case 0:
		for i := range 130 {
			g.add(r, "p"+strconv.Itoa(i), "1")
		}
	case 1:
		r.extra = append(r.extra, pair{"x-acs-long", strings.Repeat("h", 17_000)})
		return r.scheme != "" && r.scheme != rpc10
	case 2:
		r.query = append(r.query, pair{"long", strings.Repeat("q", 66_000)})
	default:
		r.form, r.members, r.method = nil, nil, pick(g, "POST", "PUT")
		r.body = strings.Repeat(pick(g, "a=1&", "[", `{"a":"`, "x"), 100_000/4*4)
	}
	return true
}

// A tampering changes a request after it was signed.
type tampering struct {
	name string
	do   func(*generator, *message) bool
}

var tamperings = []tampering{
	{"a changed signature", (*generator).changeSignature},
	{"a changed target", func(g *generator, m *message) bool {
		if strings.Contains(m.target, "?") {
			m.target += pick(g, "&RegionId=x", "&a=b", "&%zz=1", "&a=%f", "&=1", "&Signature=x", "&dryRun=true", "%00")
		} else {
			m.target += pick(g, "?RegionId=x", "?a=b", "?%zz", "?a=%f", "?=1", "?%ff=1")
		}
		return true
	}},
	{"a changed body", func(g *generator, m *message) bool {
		m.body += pick(g, " ", "&a=b", "\n", "\x00", "}", "&RegionId=x")
		m.set("Content-Length", strconv.Itoa(len(m.body)))
		return true
	}},
	{"a header that is not signed", func(g *generator, m *message) bool {
		m.header = append(m.header, pair{pick(g, "x-acs-", "X-Acs-Date", "x-acs-security-token", "X-ACS-Signature-Nonce", "x-acs-action", "X-acs-Version", "x-acs-credentials-provider"), "x"})
		return m.value("Authorization") != ""
	}},
	{"another Authorization", func(g *generator, m *message) bool {
		m.header = append(m.header, pair{"Authorization", pick(g, "Bearer x", "Basic YTpi", m.value("Authorization"), "ACS3-HMAC-SHA256 ", "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=00")})
		return true
	}},
	{"a content encoding", func(g *generator, m *message) bool {
		m.header = append(m.header, pair{"Content-Encoding", pick(g, "gzip", "deflate", "br", "gzip, gzip", "identity, gzip", "x")})
		if g.chance(0.5) {
			m.body = bomb
			m.set("Content-Length", strconv.Itoa(len(m.body)))
		}
		return m.body != ""
	}},
	{"an odd header", func(g *generator, m *message) bool {
		m.set("Authorization", pick(g, "", "x", m.value("Authorization")+"x", strings.Repeat("Z", 10_000), "ACS3-HMAC-SHA256 Credential=,SignedHeaders=,Signature=", "ACS3-HMAC-SHA256 Credential=a,SignedHeaders="+strings.Repeat("h;", 100)+",Signature=b", "acs3-hmac-sha256"+m.value("Authorization")))
		return true
	}},
}

// changeSignature changes the signature, or what names it.
func (g *generator) changeSignature(m *message) bool {
	a := m.value("Authorization")
	if a == "" {
		target, signature, found := strings.Cut(m.target, "&Signature=")
		if !found {
			return false
		}
		m.target = target + "&Signature=" + pick(g, "", "x", signature[1:], signature+"%20", signature+"%3D", "%00"+signature, strings.Repeat("A", 5000))
		return true
	}
	i := strings.LastIndexByte(a, '=') + 1
	signature := a[i:]
	at := g.IntN(len(signature))
	other := []byte(signature)
	other[at] = "0123456789abcdef"[(strings.IndexByte("0123456789abcdef", other[at])+1+g.IntN(15))%16]
	a = pick(g, a[:i]+string(other), a[:i]+strings.ToUpper(signature)+"F", a[:i], a[:i]+signature[1:], a+"0", a+",Signature="+signature, strings.Replace(a, "ACS", "ACSX", 1), strings.Replace(a, ";host", "", 1)+"0",
		strings.Replace(a, "Credential=", "credential=", 1), strings.Replace(a, "SignedHeaders=", "SignedHeaders=a;", 1), strings.Replace(a, "ACS3-HMAC-SHA256 ", "ACS3-HMAC-MD5 ", 1)+"0", a[:i]+fmt.Sprintf("%q", signature))
	m.set("Authorization", a)
	return true
}
