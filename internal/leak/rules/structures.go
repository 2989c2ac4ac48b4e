package rules

import (
	"bytes"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/judge"
)

// structures are credentials that a parser recognises, whoever issued them.
func structures() []leak.Rule {
	keys := &privateKeys{}
	return []leak.Rule{
		{ID: "private-key", Provider: anybody, Title: title("private key", "私钥"), Severity: leak.Critical,
			Find: &leak.Finder{Anchors: []string{"private key-----", "private key block-----"}, Look: keys.pem}},
		{ID: "private-key-bare", Provider: anybody, Title: title("private key without its PEM lines", "无 PEM 头的私钥"), Severity: leak.Critical,
			Find: &leak.Finder{Anchors: bareKeys, Look: keys.bare}, Whole: keys.file},
		{ID: "pkcs12", Provider: anybody, Title: title("PKCS#12 file with a private key", "含私钥的 PKCS#12 证书文件"), Severity: leak.High,
			Whole: func(content []byte) (leak.Found, bool) {
				return leak.Found{End: len(content), Confidence: leak.Certain, Identity: content}, judge.PKCS12(content)
			}},
		{ID: "jwt", Provider: anybody, Title: title("JSON Web Token", "JSON Web Token"), Severity: leak.Medium,
			Tokens: token("eyJ", from(dotted, 60, 4000)), Judge: proof(judge.JWT)},
		{ID: "url-password", Provider: anybody, Title: title("password in a URL", "URL 中的密码"), Severity: leak.High,
			Find: &leak.Finder{Anchors: []string{"://"}, Look: urlPassword}},
	}
}

const maxKey = 7000 // characters of the largest private key in base64, RSA with 8,192 bits

// privateKeys is what the rules of private keys share: the keys that were met before.
type privateKeys struct{ judge judge.Keys }

// pem looks at "PRIVATE KEY-----" as the end of a first line.
func (k *privateKeys) pem(p leak.Part, start, end int) (leak.Found, bool) {
	text := p.Text
	before := text[max(0, start-24):start]
	mark := []byte("-----BEGIN ")
	at := bytes.LastIndex(before, mark)
	if at < 0 {
		return leak.Found{}, false
	}
	kind := string(before[at+len(mark):])
	body := text[end:min(len(text), end+maxKey)]
	stop := bytes.Index(body, []byte("-----END "))
	if stop < 0 {
		return leak.Found{}, false
	}
	key, ok := k.judge.PEM(kind, body[:stop])
	if !ok || judge.Placeholder(body[:min(stop, 200)]) && len(key.Identity) < 100 {
		return leak.Found{}, false
	}
	found := leak.Found{Start: end, End: end + stop, Confidence: leak.Certain, Identity: key.Identity}
	if key.Encrypted {
		found.Weak, found.Severity = true, leak.Medium
	}
	return found, true
}

// bareKeys are what stands at a fixed place of private keys in base64, whatever the key:
// the algorithm of PKCS#8 with RSA and the private key's first bytes behind it (a public key
// goes on otherwise), PKCS#1's version, and the same for elliptic curves.
var bareKeys = []string{"BADANBgkqhkiG9w0BAQEFAASC", "IBAAKC", "AgEAMBMGByqGSM49AgEG", "AgEAMIGHAgEAMBMGByqGSM49", "MC4CAQAwBQYDK2VwBCIEI", "MHcCAQEEI"}

// bare looks at the run of base64 around an anchor.
func (k *privateKeys) bare(p leak.Part, start, end int) (leak.Found, bool) {
	text := p.Text
	from := start
	for from > 0 && start-from < 40 && base64[text[from-1]] {
		from--
	}
	i := bytes.IndexByte(text[from:end], 'M') // SEQUENCE, in base64
	if i < 0 {
		return leak.Found{}, false
	}
	from += i
	stop, data := end, end
	for stop < len(text) && stop-from < maxKey {
		c := text[stop]
		if base64[c] || c == '=' {
			stop++
			data = stop
			continue
		}
		if breakLength := lineBreak(text[stop:]); breakLength > 0 {
			stop += breakLength
			continue
		}
		break
	}
	key, ok := k.judge.Base64DER(text[from:data])
	if !ok {
		return leak.Found{}, false
	}
	return leak.Found{Start: from, End: data, Confidence: leak.Certain, Identity: key.Identity}, true
}

// lineBreak answers the length of a line break within base64: a real or an escaped one,
// with the signs of programs that join strings.
func lineBreak(text []byte) int {
	n := 0
	for n < len(text) && n < 60 {
		switch c := text[n]; {
		case c == '\r' || c == '\n' || c == ' ' || c == '\t' || c == '"' || c == '\'' || c == '\\':
			n++
		case c == 'n' && n > 0 && text[n-1] == '\\', c == 'r' && n > 0 && text[n-1] == '\\':
			n++
		case c == '+' && n > 0 && (text[n-1] == ' ' || text[n-1] == '"'), c == '.' && n > 0 && text[n-1] == ' ':
			n++
		default:
			if n > 0 && bytes.IndexByte(text[:n], '\n') < 0 && !bytes.Contains(text[:n], []byte(`\n`)) && bytes.IndexByte(text[:n], '+') < 0 {
				return 0 // a quote alone ends the value
			}
			return n
		}
	}
	return 0
}

// file tells whether a file is a private key in DER.
func (k *privateKeys) file(content []byte) (leak.Found, bool) {
	key, ok := k.judge.DER(content)
	if !ok || key.Algorithm == "unknown" && !key.Encrypted {
		return leak.Found{}, false
	}
	found := leak.Found{End: len(content), Confidence: leak.Certain, Identity: key.Identity}
	if key.Encrypted {
		found.Weak, found.Severity = true, leak.Medium
	}
	return found, true
}

// urlEnd has what ends a URL's host, or its user and password if there is no host behind them.
var urlEnd = leak.NewSet("/?# \t\r\n\"'`<>\\,;)]}|")

// urlPassword looks behind "://" for user:password@host.
func urlPassword(p leak.Part, _, end int) (leak.Found, bool) {
	rest := p.Text[end:min(len(p.Text), end+300)]
	at, colon := -1, -1
	for i, c := range rest {
		if c == ':' && colon < 0 {
			colon = i
		}
		if c == '@' {
			at = i
		}
		if urlEnd[c] && (at >= 0 || c == '/' || c == ' ' || c == '\n' || c == '"' || colon < 0) {
			break
		}
	}
	if colon < 0 || at <= colon+1 {
		return leak.Found{}, false
	}
	user, password, host := rest[:colon], rest[colon+1:at], rest[at+1:]
	if !secretInURL(user, password, host) {
		return leak.Found{}, false
	}
	return leak.Found{Start: end + colon + 1, End: end + at, Confidence: leak.Likely, Yields: true}, true
}

func secretInURL(user, password, host []byte) bool {
	switch {
	case len(host) == 0 || len(password) < 5 || bytes.EqualFold(user, password):
		return false
	case madeUp(host):
		return false
	case judge.Common(password) || judge.Placeholder(password) || password[0] == '$' || password[0] == '{' || password[0] == '<' || password[0] == '%' && len(password) < 8:
		return false
	}
	m := judge.MixOf(password)
	return m.Distinct >= 4 && (m.Digit > 0 || m.Other > 0 || len(password) >= 8 && !judge.Words(password)) && m.Lower+m.Upper+m.Digit > 0
}

// madeUp tells whether a host is one of documents and tests.
func madeUp(host []byte) bool {
	host = bytes.ToLower(host[:min(len(host), 60)])
	for _, name := range []string{"example.", "foo.", "bar.", "dummy", "host:", "host/", "hostname", "domain.", "your", "<", "{", "$", "%s", "test.com", "mydomain", "myhost", "someserver"} {
		if bytes.HasPrefix(host, []byte(name)) {
			return true
		}
	}
	return bytes.Contains(host, []byte(".example")) || bytes.Contains(host, []byte("example.com")) || bytes.Contains(host, []byte("example.org"))
}
