package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/cli"
)

// What the flags of targets say is what is asked for; the credential comes from a file, and
// overwriting asks first.
func TestTargetsAskForWhatTheFlagsSay(t *testing.T) {
	const kinds, credential = "GET /v1/target-kinds", `"credential":{"hmac_key":"ZmFrZS1rZXktb2YtdGhlLWVkZ2U="}`
	urls := []string{"--set", "put_url=https://cdn.example.com/{rollout}", "--set", "pops_url=https://cdn.example.com/pops"}
	for _, test := range []struct {
		args   []string
		status int
		want   []string
	}{
		{append([]string{"node", "target", "add", "edge", "cdn", "--label", "tier=edge", "--credential", "FILE"}, urls...), cli.ExitOK, []string{
			kinds, `POST /v1/targets {"name":"cdn","kind":"edge","labels":{"tier":"edge"},"connection":{"settings":{"pops_url":"https://cdn.example.com/pops","put_url":"https://cdn.example.com/{rollout}"},` + credential + `}}`,
		}},
		{append([]string{"node", "target", "add", "edge", "cdn", "--label", "tier"}, urls...), cli.ExitLocal, nil},
		{[]string{"node", "target", "add", "edge", "cdn", "--set", "put_url=x", "--credential", "FILE"}, cli.ExitLocal, []string{kinds}},
		{[]string{"node", "target", "add", "edge", "cdn", "--set", "hmac_key=x"}, cli.ExitLocal, []string{kinds}},
		{[]string{"node", "target", "add", "ftp", "cdn"}, cli.ExitLocal, []string{kinds}},
		{[]string{"node", "target", "update", "cdn", "--credential", "FILE"}, cli.ExitOK, []string{
			"GET /v1/targets/cdn", kinds,
			`PUT /v1/targets/cdn {"connection":{"settings":{"ca":"-----BEGIN\nfake","pops_url":"https://cdn.example.com/{rollout}/pops","put_url":"https://cdn.example.com/{rollout}"},` + credential + `}}`,
		}},
		{[]string{"node", "target", "sync", "cdn"}, cli.ExitOK, []string{`POST /v1/targets/cdn/sync {}`}},
		{[]string{"node", "target", "sync", "cdn", "--overwrite"}, cli.ExitLocal, nil},
		{[]string{"node", "target", "sync", "cdn", "--overwrite", "--yes"}, cli.ExitOK, []string{`POST /v1/targets/cdn/sync {"overwrite":true}`}},
		{[]string{"node", "target", "remove", "cdn"}, cli.ExitOK, []string{`DELETE /v1/targets/cdn`}},
	} {
		s := newSession(t, cli.English)
		file := filepath.Join(s.Home, "credential")
		if err := os.WriteFile(file, []byte("hmac_key=fake-key-of-the-edge\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for path, answer := range map[string]any{
			kinds: targetKinds(), "POST /v1/targets": aTarget(), "GET /v1/targets/cdn": aTarget(), "PUT /v1/targets/cdn": aTarget(),
			"POST /v1/targets/cdn/sync": struct{}{}, "DELETE /v1/targets/cdn": struct{}{},
		} {
			s.Answers[path] = answer
		}
		for i := range test.args {
			test.args[i] = strings.Replace(test.args[i], "FILE", file, 1)
		}
		if status := s.Do(test.args...); status != test.status {
			t.Errorf("%v: status %d: %s", test.args, status, &s.Stderr)
		}
		if diff := cmp.Diff(test.want, s.Requests); diff != "" {
			t.Errorf("%v: %s", test.args, diff)
		}
	}
}
