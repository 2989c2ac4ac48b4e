package judge

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// placeholders are what people write where a credential shall stand. They are compared in
// lower case.
var placeholders = []string{
	"example", "your", "changeme", "change_me", "change-me", "placeholder", "replace", "dummy", "sample", "redacted",
	"xxxx", "****", "....", "----", "____", "todo", "fixme", "insert", "enter_", "my_secret", "mysecret", "my-secret", "mypassword", "my_password",
	"notreal", "not-real", "not_real", "fakekey", "fake_", "fake-", "fakefake", "deadbeef", "cafebabe", "foobar", "abcdef", "abc123", "123456789", "987654321", "qwerty",
	"secret_key", "access_key", "secretkey", "accesskey", "secret-key", "access-key", "api_key", "apikey", "api-key", "testtest", "secret_here", "key_here", "here>",
	"lorem", "undefined", "environ", "getenv", "process.", "示例", "你的", "您的", "替换", "请填写", "占位",
}

// templates are what programs replace before anybody uses the value.
var templates = []string{"${", "#{", "{{", "}}", "<%", "%>", "$(", "%(", "[[", "@@", "<<", "%s", "%v", "%d", "%0", "\\("}

// reference is how the name of a secret of keyward begins, which `keyward scan --fix` leaves
// where a value was.
const reference = "keyward:"

// Placeholder tells whether a value stands for a credential without being one, as it is or
// in base64.
func Placeholder(value []byte) bool {
	if len(value)%4 == 0 && len(value) >= 8 && len(value) <= 64 {
		if plain, err := base64.StdEncoding.DecodeString(string(value)); err == nil && printable(plain) && placeholder(plain) {
			return true
		}
	}
	return placeholder(value)
}

func printable(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

func placeholder(value []byte) bool {
	low := bytes.ToLower(value)
	if bytes.HasPrefix(low, []byte(reference)) {
		return true
	}
	for _, p := range placeholders {
		if bytes.Contains(low, []byte(p)) {
			return true
		}
	}
	for _, t := range templates {
		if bytes.Contains(low, []byte(t)) {
			return true
		}
	}
	if bytes.HasPrefix(low, []byte("__")) && bytes.HasSuffix(low, []byte("__")) {
		return true
	}
	if len(low) > 1 && (low[0] == '<' && low[len(low)-1] == '>' || low[0] == '$' || low[0] == '%' && low[len(low)-1] == '%' || low[0] == '[' && low[len(low)-1] == ']' || low[0] == '{' && low[len(low)-1] == '}') {
		return true
	}
	return longestRun(value) >= 6 || 2*longestRun(value) > len(value)
}

// common are values that stand beside a password's name without being one, and passwords
// that everybody knows.
var common = map[string]bool{
	"password": true, "passwd": true, "secret": true, "token": true, "true": true, "false": true, "null": true, "none": true, "nil": true, "string": true,
	"admin": true, "root": true, "test": true, "user": true, "username": true, "guest": true, "default": true, "public": true, "private": true, "required": true,
	"optional": true, "enabled": true, "disabled": true, "hidden": true, "basic": true, "bearer": true, "authorization": true, "object": true, "number": true, "boolean": true,
	"text": true, "input": true, "value": true, "key": true, "pass": true, "pwd": true, "empty": true, "unknown": true, "invalid": true, "missing": true, "static": true, "abc": true, "foo": true, "bar": true,
	"password1": true, "password123": true, "passw0rd": true, "p@ssw0rd": true, "p@ssword": true, "admin123": true, "test123": true, "test1234": true, "pass123": true, "opensesame": true, "open sesame": true, "hunter2": true, "secret123": true,
}

// Common tells whether a value is a word that stands beside such names everywhere, or a
// password that is no secret to anybody.
func Common(value []byte) bool { return common[strings.ToLower(string(value))] }

// Words tells whether a string is made of words of a natural language, as names in
// programs are: parts between changes of case, digits and punctuation that are long and
// have vowels where words have them. Where digits are many, chance made it.
func Words(s []byte) bool {
	if m := MixOf(s); m.Digit > 4 && m.Digit*7 > len(s) {
		return false
	}
	letters, wordy := 0, 0
	for len(s) > 0 {
		n := part(s)
		if isLetter(s[0]) {
			letters += n
			if n >= 4 && pronounceable(s[:n]) || n == 3 && vowels(s[:n]) > 0 && vowels(s[:n]) < 3 {
				wordy += n
			}
		}
		s = s[n:]
	}
	return letters >= 6 && wordy*5 >= letters*4
}

// part answers the length of the first part of a string: letters of which at most the
// first is a capital or all are, or what is no letter.
func part(s []byte) int {
	n := 1
	if !isLetter(s[0]) {
		for n < len(s) && !isLetter(s[n]) {
			n++
		}
		return n
	}
	upper := isUpper(s[0])
	if upper && len(s) > 1 && isUpper(s[1]) {
		for n < len(s) && isUpper(s[n]) {
			n++
		}
		if n < len(s) && isLetter(s[n]) && n > 1 { // HTTPServer is HTTP and Server
			n--
		}
		return n
	}
	for n < len(s) && isLetter(s[n]) && !isUpper(s[n]) {
		n++
	}
	return n
}

// pronounceable tells whether vowels stand as in words: a share of 20 to 65 per cent, and
// never more than four consonants or three vowels together.
func pronounceable(word []byte) bool {
	v, together, last := 0, 0, false
	for i, c := range word {
		is := isVowel(c)
		if is {
			v++
		}
		if i > 0 && is == last {
			together++
		} else {
			together = 1
		}
		last = is
		if is && together > 3 || !is && together > 4 || rare(word, i) {
			return false
		}
	}
	return 5*v >= len(word) && 20*v <= 13*len(word)
}

// rare tells whether a pair of letters ends at i that hardly any word has.
func rare(word []byte, i int) bool {
	if i == 0 {
		return false
	}
	a, b := word[i-1]|0x20, word[i]|0x20
	switch {
	case a == 'q' && b != 'u', b == 'q' && strings.IndexByte("aeicrsq", a) < 0, a == 'j' && !isVowel(b), a == 'x' && strings.IndexByte("bdgjkmnqrvwz", b) >= 0,
		a == 'v' && strings.IndexByte("bcdfghjkmpqtwxz", b) >= 0, a == 'z' && strings.IndexByte("bcdfgjkmnpqrsvwx", b) >= 0, b == 'j' && strings.IndexByte("cfghkmpqtvwxyz", a) >= 0,
		b == 'z' && strings.IndexByte("bcfgjkmpqvwx", a) >= 0, b == 'x' && strings.IndexByte("bcdfghjkmpqrstvwz", a) >= 0, b == 'v' && strings.IndexByte("cfghjkmpqtwxz", a) >= 0:
		return true
	}
	return false
}

func vowels(s []byte) (n int) {
	for _, c := range s {
		if isVowel(c) {
			n++
		}
	}
	return n
}

func isVowel(c byte) bool  { return strings.IndexByte("aeiouyAEIOUY", c) >= 0 }
func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isUpper(c byte) bool  { return 'A' <= c && c <= 'Z' }

// Password tells whether a value beside a password's name can be one: six characters or
// more with two kinds of them, no placeholder, word, path, number, address or call.
func Password(value []byte) bool {
	if len(value) < 6 || len(value) > 128 || Placeholder(value) || Common(value) || CodeLike(value) {
		return false
	}
	m := MixOf(value)
	if m.Distinct < 5 || m.Lower+m.Upper == 0 || sequences(value)*3 > 2*len(value) {
		return false
	}
	if m.Digit == 0 && m.Other == 0 { // letters alone
		return m.Lower > 0 && m.Upper > 0 && len(value) >= 16 && !Words(value)
	}
	if m.Digit == 0 { // letters and punctuation: mostly names
		return m.Distinct >= 8 && !Words(value) && m.Upper > 0 && m.Lower > 0
	}
	return !(Words(value) && m.Other > 0 && m.Digit <= 2 && identifier(bytes.ReplaceAll(value, []byte("/"), nil)))
}

// CodeLike tells whether a value is an expression, a path, a link or a reference and not a
// literal.
func CodeLike(value []byte) bool {
	if len(value) == 0 {
		return true
	}
	switch value[0] {
	case '/', '.', '~', '&', '(', '<', '{', '[', '*', '$', '%':
		return true
	}
	if bytes.Contains(bytes.TrimRight(value, "="), []byte("==")) { // at the end it is base64's
		return true
	}
	for _, mark := range []string{"://", "(", "->", "::", "=>", "../", "\\u", "/etc/", "/var/", "/run/", ".pem", ".key", ".json", ".yaml", ".yml", ".txt", ".crt", "file:", "arn:", "vault:", "env:", "secrets.", "secret/", "base64:"} {
		if bytes.Contains(value, []byte(mark)) {
			return true
		}
	}
	if bytes.IndexByte(value, ' ') >= 0 || bytes.HasPrefix(value, []byte("0x")) && len(value) <= 18 {
		return true
	}
	return dotted(value)
}

// dotted tells whether a value is a path through objects, as config.db.password.
func dotted(value []byte) bool {
	parts := bytes.Split(value, []byte("."))
	if len(parts) < 2 {
		return false
	}
	for _, p := range parts {
		if len(p) == 0 || !isLetter(p[0]) && p[0] != '_' || !identifier(p) || len(p) > 24 {
			return false
		}
	}
	return true
}

// identifier tells whether a value is a name of a program: letters, digits, - and _.
func identifier(value []byte) bool {
	for _, c := range value {
		if !isLetter(c) && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
