// Package vault copies secrets into a KV version 2 mount of a HashiCorp Vault or an
// OpenBao, which speak the same API.
//
// A secret becomes the field "value" of the entry with its name, below a path that the
// sink may have. Every write carries cas, the number of the version that it follows, so
// that nothing is lost that somebody else wrote in between; the version numbers, and the
// values themselves, tell whether somebody did.
//
// Who may call: package sink, through the kind that [Kind] answers. What is trusted:
// nothing that Vault answers but for numbers and values that are compared; answers are
// bounded and no part of them is repeated in an error.
package vault

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/sink"
)

const (
	patience = 10 * time.Second // for one request
	maxBody  = 1 << 20          // bytes of an answer
)

// Kind answers the kind of sink for package sink.
func Kind() sink.KindOfSink {
	return sink.KindOfSink{Name: "vault", Form: fields(), Place: []string{"address", "mount", "path", "namespace"}, Open: open}
}

func fields() form.Form {
	return form.Form{
		Settings: []form.Field{
			{Name: "address", Required: true, Example: "https://vault.example.com:8200", Help: form.Text{English: "URL of the server", Chinese: "服务器的 URL"}},
			{Name: "mount", Example: "secret", Help: form.Text{English: "KV version 2 mount; secret if empty", Chinese: "KV v2 挂载点；默认 secret"}},
			{Name: "path", Example: "keyward", Help: form.Text{English: "path below the mount to which names are added", Chinese: "挂载点下的路径，凭据名称接在其后"}},
			{Name: "namespace", Example: "team", Help: form.Text{English: "namespace, if the server has some", Chinese: "命名空间（如有）"}},
			{Name: "auth_mount", Example: "approle", Help: form.Text{English: "where AppRole is mounted; approle if empty", Chinese: "AppRole 的挂载点；默认 approle"}},
			{Name: "ca", Lines: true, Help: form.Text{English: "certificates of the authority that the server's comes from, in PEM; those that this machine trusts if empty", Chinese: "签发服务器证书的 CA 证书（PEM）；留空则使用本机信任的 CA"}},
		},
		Credential: []form.Field{
			{Name: "token", Help: form.Text{English: "a token, or else role_id and secret_id", Chinese: "令牌；或使用 role_id 和 secret_id"}},
			{Name: "role_id", Help: form.Text{English: "of an AppRole", Chinese: "AppRole 的 role_id"}},
			{Name: "secret_id", Help: form.Text{English: "of an AppRole", Chinese: "AppRole 的 secret_id"}},
		},
	}
}

// A target is one mount.
type target struct {
	http       *http.Client
	base       *url.URL
	mount      string
	path       string
	namespace  string
	authMount  string
	credential map[string]material.Bytes
	token      string // that the credential has got or is; "" before it was needed
}

func open(o sink.Opening) (sink.Target, error) {
	base, err := url.Parse(o.Settings["address"])
	if err != nil || base.Scheme != "https" && base.Scheme != "http" || base.Hostname() == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, fault.InvalidParameter.New("the address of Vault must be a URL such as https://vault.example.com:8200, without user, query or fragment")
	}
	if base.Scheme == "http" && len(o.Allow) == 0 {
		return nil, fault.InvalidParameter.New("the address of Vault must begin with https; http is for networks that the operator allowed with egress.allow")
	}
	byToken := o.Credential["token"].Len() > 0
	byRole := o.Credential["role_id"].Len() > 0 && o.Credential["secret_id"].Len() > 0
	if byToken == byRole {
		return nil, fault.InvalidParameter.New("give either a token, or the role_id and the secret_id of an AppRole")
	}
	client := egress.HTTP(o.Allow)
	if ca := o.Settings["ca"]; ca != "" {
		if client, err = egress.Private(o.Allow, []byte(ca)); err != nil {
			return nil, fault.InvalidParameter.Wrap(err, "the field %q is not one certificate or more in PEM, and nothing else", "ca")
		}
	}
	t := &target{
		http: client, base: base, mount: cmp.Or(o.Settings["mount"], "secret"), path: o.Settings["path"],
		namespace: o.Settings["namespace"], authMount: cmp.Or(o.Settings["auth_mount"], "approle"), credential: o.Credential,
	}
	for _, place := range []string{t.mount, t.authMount, cmp.Or(t.path, "ok")} {
		if _, err := segments(place); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// segments splits a place into the segments of a path, which may not be empty or lead
// elsewhere.
func segments(place string) ([]string, error) {
	parts := strings.Split(place, "/")
	for _, s := range parts {
		if s == "" || s == "." || s == ".." || !utf8.ValidString(s) {
			return nil, fault.InvalidParameter.New("%.80q is no place in Vault: no part between slashes may be empty, . or ..", place)
		}
	}
	return parts, nil
}

// An envelope is what every answer is.
type envelope struct {
	Data struct {
		Data     map[string]any `json:"data"`
		Metadata struct {
			Version      int    `json:"version"`
			DeletionTime string `json:"deletion_time"`
			Destroyed    bool   `json:"destroyed"`
		} `json:"metadata"`
		Version int               `json:"version"` // after a write
		Type    string            `json:"type"`    // of a mount
		Options map[string]string `json:"options"` // of a mount
	} `json:"data"`
	Errors []string `json:"errors"`
	Auth   struct {
		ClientToken string `json:"client_token"`
	} `json:"auth"`
}

// Check implements sink.Target.
func (t *target) Check(ctx context.Context) error {
	status, mount, err := t.call(ctx, http.MethodGet, []string{"sys", "internal", "ui", "mounts", t.mount}, nil)
	switch {
	case err != nil:
		return err
	case status == http.StatusForbidden || status == http.StatusBadRequest || status == http.StatusNotFound:
		return t.away(fault.NoPermission, nil, fault.Say("Vault does not accept the credential, or it gives no rights on a mount %s; the policy needs: %s", t.mount, t.statement()))
	case status != http.StatusOK:
		return t.refused(status)
	case mount.Data.Type != "kv" || mount.Data.Options["version"] != "2":
		return t.away(fault.InvalidParameter, nil, fault.Say("the mount %s of Vault is not of the kind kv version 2", t.mount))
	}
	return nil
}

// statement answers what a policy in Vault must say.
func (t *target) statement() string {
	place := t.mount + "/data/"
	if t.path != "" {
		place += t.path + "/"
	}
	return `path "` + place + `*" { capabilities = ["create", "update", "read"] }`
}

// Read implements sink.Target.
func (t *target) Read(ctx context.Context, name string) (sink.Remote, error) {
	place, err := t.place(name)
	if err != nil {
		return sink.Remote{}, err
	}
	status, e, err := t.call(ctx, http.MethodGet, place, nil)
	if err != nil {
		return sink.Remote{}, err
	}
	m := e.Data.Metadata
	switch {
	case status == http.StatusNotFound && m.Version < 1:
		return sink.Remote{}, nil
	case status == http.StatusNotFound:
		return sink.Remote{Number: m.Version, Gone: true}, nil
	case status != http.StatusOK:
		return sink.Remote{}, t.refused(status)
	case m.Version < 1:
		return sink.Remote{}, t.away(fault.Unavailable, nil, fault.Say("Vault answered what is no entry of a KV version 2 mount"))
	}
	return sink.Remote{Number: m.Version, Gone: m.Destroyed || m.DeletionTime != "" && e.Data.Data == nil, Value: decode(e.Data.Data)}, nil
}

// Write implements sink.Target.
func (t *target) Write(ctx context.Context, name string, value material.Bytes, after int) (int, error) {
	place, err := t.place(name)
	if err != nil {
		return 0, err
	}
	status, e, err := t.call(ctx, http.MethodPost, place, map[string]any{"options": map[string]int{"cas": after}, "data": encode(value)})
	switch {
	case err != nil:
		return 0, err
	case status == http.StatusBadRequest && strings.Contains(strings.Join(e.Errors, " "), "check-and-set"):
		return 0, fault.Changed.New("Vault did not take the value: somebody wrote there meanwhile")
	case status == http.StatusNotFound:
		return 0, t.away(fault.ResourceNotFound, nil, fault.Say("Vault has no KV version 2 mount %s", t.mount))
	case status != http.StatusOK:
		return 0, t.refused(status)
	case e.Data.Version != after+1:
		return 0, t.away(fault.Unavailable, nil, fault.Say("Vault answered a write with version %d, which does not follow %d", e.Data.Version, after))
	}
	return e.Data.Version, nil
}

// Close implements sink.Target.
func (t *target) Close() { t.http.CloseIdleConnections() }

// place answers the path of a secret's entry.
func (t *target) place(name string) ([]string, error) {
	if t.path != "" {
		name = t.path + "/" + name
	}
	parts, err := segments(name)
	return append([]string{t.mount, "data"}, parts...), err
}

// The fields of an entry. What is not UTF-8 is kept as base64, which a second field tells.
const (
	valueField    = "value"
	encodingField = "encoding"
)

func encode(value material.Bytes) map[string]string {
	if utf8.Valid(value.Expose()) {
		return map[string]string{valueField: string(value.Expose())}
	}
	return map[string]string{valueField: base64.StdEncoding.EncodeToString(value.Expose()), encodingField: "base64"}
}

// decode reads an entry. One that has other fields than keyward writes has no value: it is
// somebody else's.
func decode(entry map[string]any) material.Bytes {
	text, ok := entry[valueField].(string)
	encoding, encoded := entry[encodingField].(string)
	if !ok || len(entry) > 1 && (!encoded || len(entry) > 2) {
		return material.Bytes{}
	}
	if !encoded {
		return material.NewBytes([]byte(text))
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || encoding != "base64" {
		return material.Bytes{}
	}
	return material.NewBytes(raw)
}

// call makes a request with the token, for which it logs in first if it must.
func (t *target) call(ctx context.Context, method string, place []string, body any) (int, envelope, error) {
	if t.token == "" {
		if err := t.login(ctx); err != nil {
			return 0, envelope{}, err
		}
	}
	return t.send(ctx, method, place, body)
}

func (t *target) login(ctx context.Context) error {
	if token := t.credential["token"]; token.Len() > 0 {
		t.token = strings.TrimSpace(string(token.Expose()))
		return nil
	}
	status, e, err := t.send(ctx, http.MethodPost, []string{"auth", t.authMount, "login"}, map[string]string{
		"role_id": strings.TrimSpace(string(t.credential["role_id"].Expose())), "secret_id": strings.TrimSpace(string(t.credential["secret_id"].Expose())),
	})
	switch {
	case err != nil:
		return err
	case status >= 400 && status < 500 && status != http.StatusTooManyRequests:
		return t.away(fault.NoPermission, nil, fault.Say("Vault does not accept the AppRole; check its role_id, its secret_id and where it is mounted (auth_mount)"))
	case status != http.StatusOK || e.Auth.ClientToken == "":
		return t.refused(status)
	}
	t.token = e.Auth.ClientToken
	return nil
}

// send makes one request. What is no JSON is an empty envelope: the status tells enough.
func (t *target) send(ctx context.Context, method string, place []string, body any) (int, envelope, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	encoded, err := json.Marshal(body)
	if err != nil {
		return 0, envelope{}, fmt.Errorf("encoding a request to Vault: %w", err)
	}
	defer clear(encoded)
	if body == nil {
		encoded = nil
	}
	r, err := http.NewRequestWithContext(ctx, method, t.base.JoinPath(append([]string{"v1"}, escaped(place)...)...).String(), bytes.NewReader(encoded))
	if err != nil {
		return 0, envelope{}, fmt.Errorf("making a request to Vault: %w", err)
	}
	r.Header.Set("X-Vault-Request", "true")
	r.Header.Set("User-Agent", "keyward")
	for name, value := range map[string]string{"X-Vault-Token": t.token, "X-Vault-Namespace": t.namespace} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	resp, err := t.http.Do(r)
	if err != nil {
		return 0, envelope{}, t.away(fault.Unavailable, err, fault.Say("Vault at %s cannot be reached, or is not allowed: see egress.allow", t.base.Host))
	}
	content, err := egress.ReadBody(resp, maxBody)
	if err != nil {
		return 0, envelope{}, t.away(fault.Unavailable, err, fault.Say("Vault at %s broke off its answer", t.base.Host))
	}
	defer clear(content)
	var e envelope
	if json.Unmarshal(content, &e) != nil {
		e = envelope{}
	}
	return resp.StatusCode, e, nil
}

func escaped(place []string) []string {
	out := make([]string, len(place))
	for i, s := range place {
		for j, part := range strings.Split(s, "/") { // a mount may have several segments
			if j > 0 {
				out[i] += "/"
			}
			out[i] += url.PathEscape(part)
		}
	}
	return out
}

// refused answers what a status means that no operation expects.
func (t *target) refused(status int) error {
	switch {
	case status == http.StatusForbidden:
		return fault.NoPermission.New("Vault does not permit it; the policy needs: %s", t.statement())
	case status == http.StatusServiceUnavailable:
		return t.away(fault.Unavailable, nil, fault.Say("Vault is sealed or under maintenance"))
	case status == http.StatusTooManyRequests:
		return t.away(fault.Throttled, nil, fault.Say("Vault is busy"))
	case status >= 300 && status < 400:
		return t.away(fault.Unavailable, nil, fault.Say("Vault answers with a redirect; use the address of the active server or of the load balancer"))
	}
	return t.away(fault.Unavailable, nil, fault.Say("Vault answered with status %s", strconv.Itoa(status)))
}

// away makes an error that concerns Vault as a whole.
func (t *target) away(kind fault.Kind, cause error, why fault.Text) error {
	wrapped := sink.ErrAway
	if cause != nil {
		wrapped = fmt.Errorf("%w: %w", sink.ErrAway, cause)
	}
	return kind.Wrap(wrapped, "%s", why)
}
