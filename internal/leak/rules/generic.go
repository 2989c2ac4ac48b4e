package rules

import (
	"bytes"
	stdbase64 "encoding/base64"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/judge"
)

// generic are values whose names say that they are secrets, and nothing says whose.
func generic() []leak.Rule {
	return []leak.Rule{
		{ID: "generic-password", Provider: anybody, Title: title("password", "密码"), Severity: leak.Medium,
			Named: []leak.Named{{Names: []string{"password", "passwd", "passwort", "pwd", "passphrase", "密码", "口令", "=pass", "userpass", "dbpass", "mysqlpass"}, Shape: from(anything, 6, 128), Alone: true, Literal: true}},
			Find:  &leak.Finder{Anchors: passwordAnchors(), Look: unnamedPassword}, Judge: func(v []byte) (bool, bool) { return false, judge.Password(v) }},
		{ID: "generic-secret", Provider: anybody, Title: title("secret", "密钥"), Severity: leak.Medium,
			Named: []leak.Named{{Names: []string{"secret", "secretkey", "apikey", "apisecret", "appsecret", "accesskey", "privatekey", "token", "encryptionkey", "encryptkey", "aeskey", "deskey", "signkey", "signingkey", "signsecret",
				"hmackey", "masterkey", "appkey", "sessionkey", "secretaccesskey", "accesskeysecret", "密钥", "私钥", "credential", "credentials", "authkey", "cryptkey", "=sk", "=ak", "storagekey", "licensekey", "secretbase", "sharedkey", "authorization"},
				Shape: leak.Shape{Set: leak.NewSet("0-9A-Za-z_+/.~!@#$%^&*-"), Min: 16, Max: 256, Pad: 2}, Alone: true, Literal: true}},
			Judge: genericSecret},
		{ID: "uuid-key", Provider: anybody, Title: title("key that is a UUID", "UUID 形式的密钥"), Severity: leak.Medium,
			Named: []leak.Named{{Names: []string{"apikey", "apisecret", "apitoken", "appsecret", "clientsecret", "secretkey", "accesstoken"}, Shape: of(leak.NewSet("0-9A-Fa-f-"), 36), Alone: true, Literal: true}}, Judge: uuid},
		{ID: "basic-authorization", Provider: anybody, Title: title("user and password in base64", "Base64 编码的用户名与密码"), Severity: leak.High,
			Named: []leak.Named{{Names: []string{"authorization", "=auth"}, Shape: leak.Shape{Set: base64, Min: 10, Max: 200, Pad: 2}, Alone: true}}, Judge: basic},
	}
}

// genericSecret takes what only a generator makes.
func genericSecret(value []byte) (proven, ok bool) {
	if judge.Placeholder(value) || judge.CodeLike(value) || judge.Words(value) {
		return false, false
	}
	m := judge.MixOf(value)
	switch {
	case m.Digit == 0 || m.Lower+m.Upper == 0:
		return false, false
	case m.Other == 0 && m.Upper == 0 && judge.Hex(value):
		return digest(value)
	case len(value) == 36 && bytes.Count(value, []byte("-")) == 4: // a UUID names things more often than it opens them
		return false, false
	case m.Upper == 0 && m.Digit < 3, judge.Entropy(value) < 3.3:
		return false, false
	}
	return false, judge.Random(value)
}

// basic takes base64 of user:password.
func basic(value []byte) (proven, ok bool) {
	raw, err := stdbase64.StdEncoding.DecodeString(string(value))
	if err != nil {
		return false, false
	}
	user, password, found := bytes.Cut(raw, []byte(":"))
	for _, c := range raw {
		if c < ' ' || c > '~' {
			return false, false
		}
	}
	ok = found && len(user) > 0 && len(password) >= 5 && !judge.Placeholder(password) && !judge.Common(password) && !bytes.Equal(user, password)
	return ok, ok
}
