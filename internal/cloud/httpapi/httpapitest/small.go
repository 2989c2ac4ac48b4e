package httpapitest

import (
	"strings"
	"testing"
)

// Small is the least that a definition can be.
const Small = `apiVersion: keyward/v1
kind: HTTPProvider
metadata: {name: small, version: 1, title: {en: Small, zh: 小}}
spec:
  capabilities: {archetype: multi}
  vars:
    account: {type: string, pattern: "[0-9]+", help: {en: account, zh: 账户}}
  credential:
    token: {help: {en: token, zh: 令牌}}
  endpoint: {base: "https://api.example.com/v1"}
  auth:
    admin: {headers: {Authorization: "Bearer {{secret.token}}"}}
  operations:
    list:
      request: {method: GET, path: "/accounts/{{vars.account}}/keys"}
      items: /keys
      map:
        id: /id
        name: {pointer: /name, optional: true}
        status: {pointer: /state, optional: true}
        expiresAt: {pointer: /expires, optional: true}
      statusMap: {"on": active, "off": inactive, "": active}
`

// Edit answers [Small] with texts replaced, each with the one after it; each old one must be there.
func Edit(t testing.TB, pairs ...string) string {
	t.Helper()
	text := Small
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the definition has no %q", pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}
