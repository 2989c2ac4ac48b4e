package abuse

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
)

// A generator makes requests from one seed.
type generator struct {
	*rand.Rand
	w   *world
	ops []operation
}

func newGenerator(w *world, ops []operation, seed, stream uint64) *generator {
	return &generator{rand.New(rand.NewPCG(seed, stream)), w, ops}
}

func (g *generator) chance(p float64) bool { return g.Float64() < p }

func pick[T any](g *generator, of ...T) T { return of[g.IntN(len(of))] }

func (g *generator) raw(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return string(b)
}

func (g *generator) nonce() string { return hex.EncodeToString([]byte(g.raw(16))) }

func base64Of(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// odd answers a text that nobody expects. It may be right by chance only where anything is.
func (g *generator) odd() string {
	switch g.IntN(14) {
	case 0:
		return ""
	case 1:
		return strings.Repeat(pick(g, "a", "A", "é", "密", "\U0001F511", "%00", "../", "[", `{"a":`), 1<<g.IntN(13))
	case 2:
		return pick(g, "-1", "0", "99999999999999999999999", "-9223372036854775808", "9223372036854775807", "1e9", "0x7f", "NaN", "３", "+1", "01", "1_000", " 1", "1 ")
	case 3:
		return "a\x00b"
	case 4:
		return string(rune(g.IntN(32))) + "x" + string(rune(0x80+g.IntN(32)))
	case 5:
		return pick(g, "\xff\xfe", "\xc0\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80", "ok\x80")
	case 6:
		return pick(g, "\u202e", "\u200b", "\ufeff", "\ufffd", "\u2028", "\u0130", "ſ", "K", "ﬀ", "a\u0301")
	case 7:
		return pick(g, "' OR 1=1 --", "'; DROP TABLE kms_key; --", "%s%s%n", "${jndi:ldap://127.0.0.1/a}", "{{7*7}}", "$(id)", "`id`", "|id", "<script>alert(1)</script>", "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]>")
	case 8:
		return pick(g, "../../../etc/passwd", "..\\..\\windows", "/etc/shadow", "file:///etc/passwd", "/dev/zero", "C:\\", "~/.ssh/id_rsa")
	case 9:
		return "a\r\nX-Injected: 1\r\n\r\nHTTP/1.1 200 OK"
	case 10:
		return pick(g, "null", "true", "undefined", "[]", "{}", `""`, `"`, `{"$gt":""}`, `[[[[[[[[`)
	case 11:
		return g.raw(1 + g.IntN(64))
	case 12:
		return g.w.names[pick(g, "key", "foreign", "foreign.arn", "foreign.alias", "foreign.blob", "account", "foreign.account", "stranger.ak")]
	default:
		return strings.Repeat("x", pick(g, 255, 256, 257, 1023, 1025, 4097, 8193, 30_000))
	}
}

// wrong answers a value that is certainly wrong for a field, as text.
func (g *generator) wrong(f field) string {
	if f.required && f.kind != description && f.kind != plaintext && f.name != "document" && g.chance(0.1) { // these three may be empty
		return ""
	}
	if g.chance(0.1) {
		return pick(g, "\x00", "a\x00", "\x00b") // nowhere
	}
	switch f.kind {
	case keyName:
		return g.wrongKey()
	case oldAlias:
		return pick(g, "alias/missing", "alias/Key", "alias/key/", "alias//key", "ALIAS/key", "key", g.w.names["foreign.alias"], " alias/key", "alias/"+strings.Repeat("a", 300))
	case newAlias:
		return pick(g, "reports", "alias/", "alias/acs/mine", "alias/a b", "alias/密钥", "alias/a.b", "Alias/a", "alias/a%2fb", "alias/a\n", "alias/"+strings.Repeat("a", 250), g.w.names["key.alias"])
	case versionID, accessKey, userName, policyName, newName, secretName, newSecret, secretVersion, newVersion, stageName, sinkName, nodeName, tokenID, rolloutName, targetName, offerName, repositoryName, instanceName, roleName:
		return g.wrongName(f)
	case plaintext, digest, blob, signature, passphrase, secretValue:
		return g.wrongBytes(f.kind)
	case encContext, tags, tagList, filters, document, rotation:
		return g.wrongDocument(f.kind)
	case flag:
		return pick(g, "yes", "1", "TRUE", "tRue", " true", "true ", "on", "是", "null", "truefalse")
	case small, count, days, bytes1K, seconds, sequence:
		return g.wrongNumber(f.kind)
	case lasting:
		return pick(g, "1 d", "-30d", "-1h", "30", "30w", "d", "99999999999999999999d", "３０d", "30dd", "0x1ed", "1e3d", "30.5d", "P30D", "soon")
	case shape:
		return pick(g, "{", "17", "true", `"text"`, "null", `[17]`, `{"a":1}`, `{"settings":[]}`, `[["a"],17]`, `{"from":1}`, `{} {}`)
	case interval:
		return pick(g, "1d", "-30d", "30", "30w", "30 d", "d", "99999999999999999999d", "400d", "３０d", "30dd", "0x1ed", "1e3d", "6d", "366d", "30.5d", "P30D")
	case word:
		return pick(g, "NO_SUCH", strings.ToLower("NO_"+g.nonce()[:4]), "aes", "RSA_1024", "Aliyun_AES_512", "SIGN", "ENCRYPT", "EXTERNAL", "SM2DSA ", "ecdsa_sha_256", "nought", "\n", strings.Repeat("A", 9000))
	case instant:
		return pick(g, "yesterday", "2099-13-01T00:00:00Z", "2099-01-01", "2099-01-01 00:00:00", "1", "2099-02-30T00:00:00Z", "2099-01-01T00:00:00+99:00", "99999-01-01T00:00:00Z", "２０９９-01-01T00:00:00Z")
	case token:
		return pick(g, "1", "AAAA", g.nonce(), base64Of(g.raw(60)), strings.Repeat("A", 5000))
	case tagName:
		return pick(g, "aliyun\x00", "a<b", "a\nb", "a;b", strings.Repeat("t", 129), "\u200b", "🔑", "a\xffb")
	case description:
		return strings.Repeat("d", 8193+g.IntN(100)) // all else is a description
	case remark:
		return pick(g, strings.Repeat("r", 2000), "a\nb", "\x1b[31m", "a\u0085b", "\x7f")
	default: // cursor, texts
		return pick(g, "\x00", "a\x00b", "\xff")
	}
}

func (g *generator) wrongKey() string {
	w := g.w.names
	return pick(g, "key-missing", "key-"+strings.Repeat("a", 26), strings.ToUpper(w["key"]), w["key"]+" ", " "+w["key"], w["key"]+"/", "/"+w["key"], w["key"]+"\n",
		"key/"+w["key"], w["foreign"], w["foreign.arn"], w["foreign.alias"], "alias/missing", "alias/KEY", "alias/", "alias", "*", "key-*", "..", "%", "_", "key\u200b", "密钥",
		strings.Replace(w["key.arn"], w["account"], w["foreign.account"], 1), strings.Replace(w["key.arn"], w["account"], "*", 1), strings.Replace(w["key.arn"], "acs:kms:", "acs:kms:x", 1),
		strings.Replace(w["key.arn"], "acs:", "ACS:", 1), w["key.arn"]+"/", w["key.version"], strings.Repeat("k", 5000), "' OR '1'='1", "key-\xff", w["key"][:len(w["key"])-1])
}

func (g *generator) wrongName(f field) string {
	w := g.w.names
	switch f.kind {
	case versionID:
		return pick(g, w["foreign.version"], "00000000-0000-4000-8000-000000000000", strings.ToUpper(w["key.version"]), "1", "latest", w["key.version"]+" ", "{"+w["key.version"]+"}", strings.ReplaceAll(w["key.version"], "-", ""), "' OR 1=1", strings.Repeat("v", 3000), "*", "\xff")
	case accessKey:
		return pick(g, w["stranger.ak"], "KWAKMISSING", strings.ToLower(w["nobody.ak"]), w["nobody.ak"]+" ", "*", "%", strings.Repeat("K", 3000), w["nobody.ak"][:10], "\xff")
	case userName:
		return pick(g, "missing", "Nobody", "NOBODY", "nobody ", "stranger", "no body", "é", strings.Repeat("u", 65), "*", "%", "....", "nobody\u200b", "' OR 1=1", "\xff")
	case policyName:
		return pick(g, "missing", "Spare", "SPARE", "spare ", "foreign-policy", "sp are", "é", strings.Repeat("p", 129), "*", "%", "spare_", "' OR 1=1", "\xff")
	}
	switch f.kind {
	case secretName:
		return pick(g, "missing", "Secret/read", "secret/read ", "secret", "secret/", "foreign-secret", w["foreign.secret"], w["key.arn"], "é", strings.Repeat("s", 193), "*", "%", "secret/re_d", "' OR 1=1", "\xff")
	case newSecret:
		return pick(g, "secret/read", "a b", "é", "a\nb", strings.Repeat("s", 193), "a\u200bb", "<b>", "a:b", "\xff", "a\\b", "名")
	case secretVersion:
		return pick(g, "missing", "V1", "v1 ", "v", "1", "*", "%", "é", "a/b", strings.Repeat("v", 65), "' OR 1=1", "\xff")
	case newVersion:
		return pick(g, "a b", "a/b", "é", "a\nb", strings.Repeat("v", 65), "<b>", "a:b", "\xff", "版本")
	case nodeName, rolloutName:
		return pick(g, "missing", "Idle", "idle ", "foreign-node", "foreign-rollout", "é", strings.Repeat("s", 129), "*", "%", "id_e", "' OR 1=1", "\xff")
	case targetName:
		return pick(g, "missing", "Idle-target", "idle", "foreign-target", "é", strings.Repeat("s", 129), "*", "%", "idle_target", "' OR 1=1", "\xff")
	case offerName:
		return pick(g, "missing", "Idle-offer", "idle", "foreign-offer", "é", strings.Repeat("s", 129), "*", "%", "idle_offer", "' OR 1=1", "\xff")
	case roleName:
		return pick(g, "missing", "Idle-role", "idle", "foreign-role", "é", strings.Repeat("s", 129), "*", "%", "idle_role", "' OR 1=1", "\xff")
	case instanceName:
		return pick(g, "missing", "Idle-instance", "kst-aaaaaaaaaaaaaaaaaaaaaaaaaa", "foreign-instance", "é", strings.Repeat("s", 129), "*", "%", "idle_instance", "' OR 1=1", "\xff")
	case repositoryName:
		return pick(g, "missing", "Idle-repository", "idle", "foreign-repository", "é", strings.Repeat("s", 64), "*", "%", "idle_repository", "' OR 1=1", "\xff")
	case tokenID:
		return pick(g, "0000000000000000", w["foreign.token"], strings.ToUpper(w["token"])+"A", "*", "%", "' OR 1=1", "é", "\xff")
	case sinkName:
		return pick(g, "missing", "Idle", "idle ", "foreign-sink", "é", strings.Repeat("s", 64), "*", "%", "id_e", "' OR 1=1", "\xff")
	case stageName:
		return pick(g, "ACSMissing", "ACS", "a b", "é", "a/b", strings.Repeat("s", 65), "a:b", "\xff", "当前")
	}
	if f.required && g.IntN(12) == 0 {
		return ""
	}
	return pick(g, "a b", "a/b", "é", "a\nb", strings.Repeat("n", 129), "a\u200bb", "<b>", "a:b", "\xff", "a\\b", "名")
}

func (g *generator) wrongBytes(k kind) string {
	plain := pick(g, "%%%%", "abc", "a===", "-_-_", "aGk", "aGk=aGk=", " aGk=", "aGk=\n", "a\tGk=", "aG=k", "é", "aGl=", strings.Repeat("A", 9001))
	switch k {
	case plaintext:
		return pick(g, plain, base64Of(strings.Repeat("p", 6145)), base64Of(strings.Repeat("p", 9000)))
	case digest:
		return pick(g, plain, base64Of("short"), base64Of(g.raw(31)), base64Of(g.raw(33)), base64Of(g.raw(64)))
	case blob:
		return pick(g, plain, base64Of(g.raw(1+g.IntN(200))), base64Of(strings.Repeat("\x00", 300)), g.flipped("blob"), g.flipped("rsa.blob"), g.shortened("blob"), g.shortened("rsa.blob"), g.w.names["foreign.blob"], base64Of(g.raw(20_000)))
	case secretValue:
		return pick(g, plain, base64Of(strings.Repeat("s", 30_721)), base64Of("\xff"))
	case passphrase:
		return pick(g, plain, "!")
	}
	return plain
}

func (g *generator) flipped(name string) string {
	b, _ := base64.StdEncoding.DecodeString(g.w.names[name])
	b[g.IntN(len(b))] ^= byte(1 + g.IntN(255))
	return base64.StdEncoding.EncodeToString(b)
}

func (g *generator) shortened(name string) string {
	b, _ := base64.StdEncoding.DecodeString(g.w.names[name])
	return base64.StdEncoding.EncodeToString(b[:g.IntN(len(b))])
}

func (g *generator) wrongNumber(k kind) string {
	most := map[kind]string{small: "101", count: "0", days: "367", bytes1K: "1025", seconds: "31536001", sequence: "9999999999"}[k]
	least := map[kind]string{small: "-1", count: "-1", days: "6", bytes1K: "-1", seconds: "604799", sequence: "-1"}[k]
	return pick(g, most, least, "-1", "1.5", "1e3", "0x10", "９", "99999999999999999999", "-99999999999999999999", "+7", "007", " 7", "7 ", "NaN", "Infinity", "1,000", "seven", "7\n")
}

func (g *generator) wrongDocument(k kind) string {
	deep := strings.Repeat(pick(g, "[", `{"a":`), 1+g.IntN(3000))
	broken := pick(g, "{", "[", "}", deep, `{"a"}`, `{"a":1,}`, `nul`, `"text"`, "17", "true", `{"a":"\ud800"}`, "{'a':'1'}", "\ufeff{}", "{} {}", "[]]", "{\"a\":\"\xff\"}", "<a/>")
	switch k {
	case encContext:
		return pick(g, broken, "[]", `{"a":1}`, `{"a":null}`, `{"a":"1","a":"2"}`, `{"a":{"b":"c"}}`, `{"a":"`+strings.Repeat("x", 8200)+`"}`, "null")
	case rotation:
		return pick(g, broken, "[]", `{"enabled":"true"}`, `{"enabled":true,"intervalSeconds":1}`, `{"enabled":true,"intervalSeconds":-1}`, `{"enabled":true,"Enabled":true}`, `{"intervalSeconds":604800}`, `{"enabled":true,"intervalSeconds":1.5}`, `{"enabled":true,"x":1}`)
	case tagList:
		return pick(g, broken, "{}", "[1]", `[["a"]]`, `[null]`, "null", `["a\u0000"]`)
	case filters:
		return pick(g, broken, "{}", `[{"Key":"NoSuch","Values":["a"]}]`, `[{"Key":"KeyState"}]`, `[{"Key":"KeyState","Values":[]}]`, `[{"Key":"KeyState","Values":"Enabled"}]`, `[{"Key":"KeyState","Values":["a"]},{"Key":"KeyState","Values":["b"]}]`,
			`[{"key":"KeyState","Values":["Enabled"]}]`, `[`+strings.Repeat(`{"Key":"KeyState","Values":["a"]},`, 10)+`{"Key":"KeyState","Values":["a"]}]`)
	case document:
		return pick(g, broken, "{}", "[]", `{"Version":"2","Statement":[]}`, `{"Version":"1","Statement":[{"Effect":"Maybe","Action":"*","Resource":"*"}]}`, `{"Version":"1","Statement":[{"Effect":"Allow","Action":"*"}]}`,
			`{"Version":"1","Statement":[{"Effect":"Allow","Effect":"Deny","Action":"*","Resource":"*"}]}`, `{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}]}`,
			`{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NoSuch":{"a":"b"}}}]}`, `{"Version":"1","Statement":[{"effect":"Allow","Action":"*","Resource":"*"}]}`, strings.Repeat(" ", 40_000))
	}
	// tags
	many := make([]string, 21)
	for i := range many {
		many[i] = fmt.Sprintf(`{"TagKey":"k%d","TagValue":""}`, i)
	}
	return pick(g, broken, `[{"TagKey":"a<","TagValue":""}]`, `[{"TagKey":"","TagValue":"x"}]`, `[{"TagKey":"a","TagValue":"`+strings.Repeat("v", 129)+`"}]`, `[{"TagKey":"aliyunx","TagValue":""}]`, `[{"TagKey":"acs:x","TagValue":""}]`,
		`[{"TagKey":"a","TagValue":""},{"TagKey":"a","TagValue":""}]`, `[{"TagKey":"a","TagValue":"","Other":""}]`, `[{"tagKey":"a","TagValue":""}]`, `[{"TagKey":"a","TagKey":"b","TagValue":""}]`, `[{"TagKey":null,"TagValue":""}]`, `[`+strings.Join(many, ",")+`]`, `{"a<":"1"}`, `{"a":1}`, `{"a":"1","a":"2"}`, `{"":"x"}`)
}

// wrongJSON answers JSON, or what is none, that is certainly wrong for a member.
func (g *generator) wrongJSON(f field) string {
	switch f.kind {
	case tags, encContext, rotation:
		if g.chance(0.5) {
			return g.wrongDocument(f.kind)
		}
		return pick(g, "1", `"a"`, "null", "[]", "true", `{"a":["b"]}`, `{"a":null}`, `[{"a":"b"}]`, `{"a\ud800":"b"}`, `{"a":"b"`)
	case flag:
		return pick(g, `"true"`, "1", "0", "null", "[]", "{}", "True", "tru", "")
	case small, count, days, bytes1K, seconds, sequence:
		if g.chance(0.5) {
			return strings.ReplaceAll(strings.ReplaceAll(g.wrongNumber(f.kind), " ", "x"), "\n", "x") // JSON has space around numbers
		}
		return pick(g, `"7"`, "7.0", "7e0", "null", "[7]", "{}", "true", "1E400", "-0", "")
	case shape:
		return g.wrong(f)
	case texts:
		return pick(g, "1", `"a"`, "null", "{}", "[1]", "[null]", `[["a"]]`, `["\ud800"]`, `["\u0000"]`)
	}
	if g.chance(0.4) {
		return pick(g, "1", "null", "true", "[]", "{}", `["a"]`, `{"a":"b"}`, `"\ud800"`, `"\u0000"`, `"a`, `'a'`, "", `"\x41"`, strings.Repeat("[", 1+g.IntN(5000)))
	}
	return quote(g.wrong(f))
}
