// Package edge delivers secrets to the points of presence of a CDN, through a webhook that
// the CDN's team operates. docs/design/edge-webhook.md is its contract.
//
// keyward puts a generation to one URL, sealed to the CDN's public key or as a reference to
// versions that the CDN fetches itself, and reads from another URL how every point of
// presence stands. That inventory is authoritative: a generation is used when each point in
// it has confirmed that generation or is drained, and a point that is added later counts
// from then on. A confirmation counts only with a fingerprint that nobody can make who does
// not hold the value: a controller that says yes for a point that never got it is not
// believed.
//
// Requests are signed with a key that both sides have (HMAC-SHA256, [Signature]); answers
// are believed because TLS says who answers. Who may call: package target, through the kind
// that [Kind] answers. What is trusted: which points there are, and which are drained.
// Answers are bounded, and of what they hold only the names of points are repeated.
package edge

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/lazy"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/target"
)

// The headers of a request.
const (
	TimeHeader      = "Keyward-Time"      // RFC 3339, by keyward's clock
	SignatureHeader = "Keyward-Signature" // of the request, see [Signature]
)

const (
	format   = "keyward-edge-v1"
	patience = 10 * time.Second // for one request
	maxBody  = 8 << 20          // bytes of an answer
	minKey   = 16               // bytes of the key that requests are signed with
)

// Kind answers the kind of target for package target.
func Kind() target.KindOfTarget {
	return target.KindOfTarget{Name: "edge", Form: fields(), Open: open}
}

func fields() form.Form {
	return form.Form{
		Settings: []form.Field{
			{Name: "put_url", Required: true, Example: "https://cdn.example.com/keyward/{rollout}", Help: form.Text{
				English: "URL to which a generation is put; {rollout} stands for the rollout's name", Chinese: "写入新代次的 URL；{rollout} 代表分发的名称"}},
			{Name: "pops_url", Required: true, Example: "https://cdn.example.com/keyward/{rollout}/pops", Help: form.Text{
				English: "URL at which the points of presence are listed; {rollout} stands for the rollout's name", Chinese: "列出接入点的 URL；{rollout} 代表分发的名称"}},
			{Name: "seal_key", Help: form.Text{
				English: "public key to which values are sealed (HPKE, ML-KEM-768 with X25519), in base64; without it only versions are named", Chinese: "用于封装值的公钥（HPKE，ML-KEM-768 与 X25519），base64；留空则只发送版本引用"}},
			{Name: "ca", Lines: true, Help: form.Text{
				English: "certificates of the authority that the server's comes from, in PEM; those that this machine trusts if empty", Chinese: "签发服务器证书的 CA 证书（PEM）；留空则使用本机信任的 CA"}},
		},
		Credential: []form.Field{
			{Name: "hmac_key", Required: true, Help: form.Text{English: "key that requests are signed with, 16 bytes at least", Chinese: "请求签名密钥，至少 16 字节"}},
		},
	}
}

// An edge is one webhook.
type edge struct {
	http    *http.Client
	putURL  string // templates
	popsURL string
	sealKey []byte // nil for none
	key     material.Bytes
	now     func() time.Time
}

func open(o target.Opening) (target.Place, error) {
	e := &edge{putURL: o.Settings["put_url"], popsURL: o.Settings["pops_url"], key: o.Credential["hmac_key"], now: o.Now}
	for _, template := range []string{e.putURL, e.popsURL} {
		u, err := at(template, "x")
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
			return nil, fault.InvalidParameter.New("put_url and pops_url must be URLs such as https://cdn.example.com/keyward/{rollout}, without user or fragment")
		}
		if u.Scheme == "http" && len(o.Allow) == 0 {
			return nil, fault.InvalidParameter.New("put_url and pops_url must begin with https; http is for networks that the operator allowed with egress.allow")
		}
	}
	if e.key.Len() < minKey {
		return nil, fault.InvalidParameter.New("the field hmac_key needs %d bytes at least", minKey)
	}
	if text := o.Settings["seal_key"]; text != "" {
		public, err := base64.StdEncoding.DecodeString(text)
		if err == nil {
			err = material.CheckSealKey(public)
		}
		if err != nil {
			return nil, fault.InvalidParameter.Wrap(err, "the field seal_key is no HPKE public key of ML-KEM-768 with X25519 in base64")
		}
		e.sealKey = public
	}
	e.http = egress.HTTP(o.Allow)
	if ca := o.Settings["ca"]; ca != "" {
		var err error
		if e.http, err = egress.Private(o.Allow, []byte(ca)); err != nil {
			return nil, fault.InvalidParameter.Wrap(err, "the field %q is not one certificate or more in PEM, and nothing else", "ca")
		}
	}
	return e, nil
}

// at fills in a template.
func at(template, rollout string) (*url.URL, error) {
	return url.Parse(strings.ReplaceAll(template, "{rollout}", url.PathEscape(rollout)))
}

// A Generation is what is put: the body of the request.
type Generation struct {
	Format     string   `json:"format"` // "keyward-edge-v1"
	Account    string   `json:"account"`
	Target     string   `json:"target"`
	Rollout    string   `json:"rollout"`
	Secret     string   `json:"secret"`
	Generation int64    `json:"generation"`
	Primary    Version  `json:"primary"`
	Fallback   *Version `json:"fallback,omitempty"` // absent if there is none
}

// A Version names a version of the secret, and holds it for who has the private key.
type Version struct {
	Version string `json:"version"`
	Sealed  []byte `json:"sealed,omitempty"` // base64; absent if the target has no seal_key
}

// Signature answers what authenticates a request: lower-case hexadecimal of HMAC-SHA256
// under the common key.
func Signature(key material.Bytes, method, target, at string, body []byte) string {
	sum := sha256.Sum256(body)
	mac := hmac.New(sha256.New, key.Expose())
	mac.Write([]byte(format + "\n" + method + "\n" + target + "\n" + at + "\n" + hex.EncodeToString(sum[:])))
	return hex.EncodeToString(mac.Sum(nil))
}

// Check implements target.Place: whoever lists points for a rollout that there is not
// accepts the signature.
func (e *edge) Check(ctx context.Context) error {
	_, err := e.inventory(ctx, "keyward-check")
	return err
}

// Look implements target.Place.
func (e *edge) Look(ctx context.Context, d target.Delivery) (target.Progress, error) {
	in, err := e.inventory(ctx, d.Rollout)
	if err != nil {
		return target.Progress{}, err
	}
	return in.progress(d, e.now()), nil
}

// inventory reads the points of presence and how they stand with a rollout.
func (e *edge) inventory(ctx context.Context, rollout string) (Inventory, error) {
	status, body, err := e.send(ctx, http.MethodGet, e.popsURL, rollout, nil)
	if err != nil {
		return Inventory{}, err
	}
	if status != http.StatusOK {
		return Inventory{}, refused(status)
	}
	return parse(body, rollout)
}

// Put implements target.Place.
func (e *edge) Put(ctx context.Context, d target.Delivery) error {
	g := Generation{
		Format: format, Account: d.Account, Target: d.Target, Rollout: d.Rollout, Secret: d.Secret, Generation: d.Due.Generation.Number,
		Primary: Version{Version: d.Due.Generation.Primary},
	}
	if d.Due.Generation.Fallback != "" {
		g.Fallback = &Version{Version: d.Due.Generation.Fallback}
	}
	if e.sealKey != nil {
		var err error
		if g.Primary.Sealed, err = d.Seal(e.sealKey, g.Primary.Version, d.Primary); err != nil {
			return err
		}
		if g.Fallback != nil {
			if g.Fallback.Sealed, err = d.Seal(e.sealKey, g.Fallback.Version, d.Fallback); err != nil {
				return err
			}
		}
	}
	body, err := json.Marshal(g)
	if err != nil {
		return fmt.Errorf("encoding a generation: %w", err)
	}
	status, _, err := e.send(ctx, http.MethodPut, e.putURL, d.Rollout, body)
	switch {
	case err != nil:
		return err
	case status == http.StatusConflict:
		return fault.StateConflict.New("the webhook has a newer generation than %d of rollout %s, and keeps it", g.Generation, d.Rollout)
	case status < 200 || status > 299:
		return refused(status)
	}
	return nil
}

// Close implements target.Place.
func (e *edge) Close() { e.http.CloseIdleConnections() }

// send makes one signed request.
func (e *edge) send(ctx context.Context, method, template, rollout string, body []byte) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	u, err := at(template, rollout)
	if err != nil {
		return 0, nil, fault.InvalidParameter.New("the name of rollout %s makes no URL", rollout)
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, fmt.Errorf("making a request to a webhook: %w", err)
	}
	now := e.now().UTC().Format(time.RFC3339)
	r.Header.Set("User-Agent", "keyward")
	r.Header.Set(TimeHeader, now)
	r.Header.Set(SignatureHeader, Signature(e.key, method, u.RequestURI(), now, body))
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := e.http.Do(r)
	if err != nil {
		return 0, nil, fault.Unavailable.Wrap(err, "the webhook at %s cannot be reached, its certificate is not believed, or it is not allowed: see egress.allow", u.Host)
	}
	content, err := egress.ReadBody(resp, maxBody)
	if err != nil {
		return 0, nil, fault.Unavailable.Wrap(err, "the webhook at %s broke off its answer, or it is longer than %d MiB", u.Host, maxBody>>20)
	}
	return resp.StatusCode, content, nil
}

// refused answers what a status says.
func refused(status int) error {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fault.NoPermission.New("the webhook does not accept the signature (%d); check hmac_key and its clock", status)
	case status == http.StatusTooManyRequests || status >= 500:
		return fault.Unavailable.New("the webhook cannot serve now (%d)", status)
	}
	return fault.StateConflict.New("the webhook answered with status %d, which the contract does not have there; see docs/design/edge-webhook.md", status)
}

var popPattern = lazy.Regexp(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// MaxPops is how many points of presence an inventory may have.
const MaxPops = 20_000

// An Inventory is what the webhook lists.
type Inventory struct {
	Format     string `json:"format"`     // "keyward-edge-v1"
	Rollout    string `json:"rollout"`    // the one that was asked for
	Generation int64  `json:"generation"` // highest that was put; 0 for none
	Pops       []Pop  `json:"pops"`       // all that there are, whether they have it or not
}

// A Pop is one point of presence.
type Pop struct {
	Pop         string    `json:"pop"`         // name
	State       string    `json:"state"`       // "confirmed", "pending" or "drained"
	Generation  int64     `json:"generation"`  // that it works with; 0 for none
	Fingerprint string    `json:"fingerprint"` // proof that it holds the primary value of that generation, in hexadecimal
	UsedAt      time.Time `json:"usedAt"`      // last use of the primary version, RFC 3339 with a zone; absent if that is not known
	FallbackAt  time.Time `json:"fallbackAt"`  // last use of the fallback version
}

// The states of a point of presence.
const (
	Confirmed = "confirmed" // requests are, or a probe was, served with the generation
	Pending   = "pending"
	Drained   = "drained" // it serves nothing, and holds nothing
)

// parse reads an inventory. One that is not as the contract has it is refused whole: from
// half a list it would follow that the rest has nothing to confirm.
func parse(body []byte, rollout string) (Inventory, error) {
	broken := func(why fault.Text) (Inventory, error) {
		return Inventory{}, fault.StateConflict.New("the webhook lists points of presence against its contract: %s; see docs/design/edge-webhook.md", why)
	}
	var in Inventory
	if err := json.Unmarshal(body, &in); err != nil {
		return broken(fault.Say("that is no such JSON"))
	}
	if in.Format != format || in.Rollout != rollout || in.Generation < 0 {
		return broken(fault.Say("format is not %s, rollout is not %s, or generation is no number from 0 on", format, rollout))
	}
	if len(in.Pops) > MaxPops {
		return broken(fault.Say("there are more than %d", MaxPops))
	}
	seen := make(map[string]bool, len(in.Pops))
	for i, p := range in.Pops {
		switch {
		case !popPattern().MatchString(p.Pop):
			return broken(fault.Say("the name of number %d is not of letters, digits, dots, hyphens and underscores, 64 at most", i))
		case seen[p.Pop]:
			return broken(fault.Say("%s is there twice", p.Pop))
		case p.State != Confirmed && p.State != Pending && p.State != Drained:
			return broken(fault.Say("the state of %s is none of %s, %s and %s", p.Pop, Confirmed, Pending, Drained))
		}
		seen[p.Pop] = true
	}
	return in, nil
}

// progress answers how far an inventory is with a delivery.
func (in Inventory) progress(d target.Delivery, now time.Time) target.Progress {
	want := d.Due.Generation.Number
	if in.Generation > want {
		return target.Progress{Foreign: true, Waiting: fmt.Sprintf("the webhook has generation %d, which is newer than %d", in.Generation, want)}
	}
	if in.Generation < want {
		return target.Progress{Waiting: fmt.Sprintf("the webhook has generation %d, not %d", in.Generation, want)}
	}
	p := target.Progress{Level: rollout.Received, UsedAt: now}
	var behind, lying []string
	confirmed := 0
	for _, pop := range in.Pops {
		if pop.FallbackAt.After(p.FallbackAt) && !pop.FallbackAt.After(now) {
			p.FallbackAt = pop.FallbackAt
		}
		proof, err := hex.DecodeString(pop.Fingerprint)
		switch {
		case pop.State == Drained:
		case pop.State == Pending || pop.Generation != want:
			behind = append(behind, pop.Pop)
		case err != nil || !d.Proved(pop.Pop, proof):
			lying = append(lying, pop.Pop)
		default:
			if confirmed++; !pop.UsedAt.IsZero() && pop.UsedAt.Before(p.UsedAt) {
				p.UsedAt = pop.UsedAt
			}
		}
	}
	switch {
	case len(behind)+len(lying) > 0:
		p.Waiting = waiting(len(in.Pops), behind, lying)
	case confirmed == 0:
		p.Waiting = "the webhook lists no point of presence that is not drained"
	default:
		p.Level = rollout.Used
		return p
	}
	p.UsedAt = time.Time{}
	return p
}

// waiting names those that are not there.
func waiting(all int, behind, lying []string) string {
	var parts []string
	if len(behind) > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d points of presence have not confirmed: %s", len(behind), all, target.Names(behind)))
	}
	if len(lying) > 0 {
		parts = append(parts, fmt.Sprintf("%d confirmed without holding the value: %s", len(lying), target.Names(lying)))
	}
	return strings.Join(parts, "; ")
}
