package syntax_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/leak/syntax"
)

func TestAt(t *testing.T) {
	const no = "\x00"
	for text, want := range map[string][2]string{
		`DB_PASSWORD=a#b!c&d`:                                   {"DB_PASSWORD", "a#b!c&d"},
		`export password="a b"`:                                 {"password", "a b"},
		`  password: abc # comment`:                             {"password", "abc"},
		`"password": "ab\"c"`:                                   {"password", `ab\"c`},
		`{\"password\":\"abc\"}`:                                {"password", "abc"},
		`<string name="password">abc</string>`:                  {"password", "abc"},
		`<password>abc</password>`:                              {"password", "abc"},
		"<key>password</key>\n\t<string>abc</string>":           {"password", "abc"},
		`<add key="password" value="abc" />`:                    {"password", "abc"},
		"- name: password\n  value: \"abc\"":                    {"password", "abc"},
		`{"name": "password", "value": "abc"}`:                  {"password", "abc"},
		`| password | abc |`:                                    {"password", "abc"},
		`| made of a password | abc |`:                          {no, no},
		"**password**: `abc`":                                   {"password", "abc"},
		`private static final String password = "abc";`:         {"password", "abc"},
		`const password: string = 'abc'`:                        {"password", "abc"},
		`client.setPassword("abc")`:                             {"client.setPassword", "abc"},
		`map.put("password", "abc")`:                            {"password", "abc"},
		`os.getenv('password', 'abc')`:                          {"password", "abc"},
		`@"password": @"abc"`:                                   {"password", "abc"},
		`password := []byte("abc")`:                             {"password", "abc"},
		`variable "password" { type = string default = "abc" }`: {"password", "abc"},
		`${password:abc}`:                                       {"password", "abc"},
		`${password:-abc}`:                                      {"password", "abc"},
		`buildConfigField "String", "password", "\"abc\""`:      {"password", "abc"},
		`buildConfigField 'String' , 'password' , '"abc"'`:      {"password", "abc"},
		`password = ""`:                                         {no, no},
		`password ::= abc`:                                      {"password", "abc"},
		`${password:?is not set}`:                               {no, no},
		`password: ${DB:abc}`:                                   {"password", "abc"},
		`password: "${DB_X:-abc}" # x`:                          {"password", "abc"},
		`password=${a.b:${C:abc}}`:                              {"password", "abc"},
		`password: ${OTHER}`:                                    {"password", "${OTHER}"},
		`数据库password：abc`:                                       {"password", "abc"},
		`$config['password'] = 'abc';`:                          {"password", "abc"},
		`GET /?password=abc&t=1`:                                {"password", "abc"},
		`--password abc`:                                        {"--password", "abc"},
		`Authorization-password: Bearer abc`:                    {"Authorization-password", "abc"},
		`f(password, other)`:                                    {"password", "other"},
		`if (password) {`:                                       {no, no},
		`password::new()`:                                       {no, no},
		`"password", "x" + y`:                                   {"password", "x"},
		`{{password}}`:                                          {no, no},
		"password: |\n  abc\n":                                  {"password", "abc"},
		"password: >-\r\n    abc":                               {"password", "abc"},
		"password: |\nabc":                                      {no, no},
		`password`:                                              {no, no},
		"password\n":                                            {no, no},
	} {
		i := bytes.Index(bytes.ToLower([]byte(text)), []byte("password"))
		a, ok := syntax.At([]byte(text), i, i+len("password"))
		got := [2]string{no, no}
		if ok {
			got = [2]string{string(a.Name.In([]byte(text))), string(a.Value.In([]byte(text)))}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestLastWord(t *testing.T) {
	for name, want := range map[string]string{"sk": "sk", "cos_sk": "sk", "cosSk": "Sk", "COS-SK": "SK", "a.b.key": "key", "": ""} {
		if got := string(syntax.LastWord([]byte(name))); got != want {
			t.Errorf("%s: %q, not %q", name, got, want)
		}
	}
}

func FuzzAt(f *testing.F) {
	f.Add([]byte(`<key>password</key><string>`), 5)
	f.Add([]byte(`variable "password" { default = `), 10)
	f.Fuzz(func(t *testing.T, text []byte, at int) {
		if at < 0 || at >= len(text) {
			return
		}
		a, ok := syntax.At(text, at, min(at+3, len(text)))
		if ok && !(0 <= a.Name.Start && a.Name.Start <= a.Name.End && a.Name.End <= a.Value.Start && a.Value.Start < a.Value.End && a.Value.End <= len(text)) {
			t.Fatalf("%+v of %d", a, len(text))
		}
	})
}
