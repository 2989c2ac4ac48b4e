package engine_test

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emmansun/gmsm/smx509"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/certificate/certificatetest"
	"github.com/keyward/keyward/internal/cloud/manual"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/engine"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A hand is how the keys of a guide are replaced in a test.
type hand struct {
	guide    string
	old, new map[string]string   // what is entered, settings and credential
	wrong    []map[string]string // what is not taken in the place of new
	expires  time.Duration       // of the new key, from its entry; 0 for never
	shared   bool                // both keys have one id
	tasks    []string            // words of what a person is asked after the entry
}

func with(values map[string]string, change ...string) map[string]string {
	out := maps.Clone(values)
	for i := 0; i < len(change); i += 2 {
		out[change[i]] = change[i+1]
	}
	return out
}

func publicLine(t *testing.T, i *certificatetest.Issued) string {
	t.Helper()
	der, err := smx509.MarshalPKIXPublicKey(i.Key.Public())
	check(t, err)
	return base64.StdEncoding.EncodeToString(der)
}

func hands(t *testing.T, now time.Time) []hand {
	const mchid, app = "1900000001", "2021000000000001"
	issue := func(name, algorithm string, left time.Duration, by *certificatetest.Issued) *certificatetest.Issued {
		return certificatetest.Issue(t, certificatetest.Template{Name: name, Algorithm: algorithm, NotAfter: now.Add(left)}, by)
	}
	const soon, year, decade = 60 * 24 * time.Hour, 365 * 24 * time.Hour, 10 * 365 * 24 * time.Hour
	wechat := func(name string, left time.Duration) map[string]string {
		c := issue(name, "SM2", left, nil)
		return map[string]string{"certificate": string(c.PEM()), "private_key": string(c.KeyPEM(t))}
	}
	wxOld, wxNew := with(wechat(mchid, soon), "mchid", mchid), wechat(mchid, year)
	alipayKey := func() map[string]string {
		c := issue("app", "SM2", year, nil)
		return map[string]string{"private_key": base64.StdEncoding.EncodeToString(c.KeyDER(t)), "public_key": publicLine(t, c)}
	}
	aliOld, aliNew := with(alipayKey(), "app_id", app), alipayKey()
	root := certificatetest.Issue(t, certificatetest.Template{Name: "root", Authority: true, Algorithm: "SM2"}, nil)
	theirs := string(issue("alipay", "SM2", decade, root).PEM())
	alipayCertificates := func(left time.Duration) map[string]string {
		c := issue(app, "SM2", left, root)
		return map[string]string{
			"app_certificate": string(c.PEM()), "private_key": base64.StdEncoding.EncodeToString(c.KeyDER(t)), "alipay_certificate": theirs, "alipay_root": string(root.PEM()),
		}
	}
	certOld, certNew := with(alipayCertificates(soon), "app_id", app), alipayCertificates(year)
	union := func(left time.Duration, password string) map[string]string {
		return map[string]string{"pfx": string(issue("union", "", left, nil).PKCS12(t, password)), "password": password}
	}
	unionOld, unionNew := with(union(soon, "one"), "mer_id", "777290000000001"), union(year, "two")
	const v3, client = "CANARY0123456789abcdefFAKE01234", "Afake-client-id-of-a-rest-application"
	byHand := []string{"disable", "delete"}
	return []hand{
		{guide: "wechatpay-merchant-certificate", old: wxOld, new: wxNew, expires: year, tasks: byHand, wrong: []map[string]string{
			wechat("1900000002", year), with(wxNew, "private_key", wxOld["private_key"]), with(wxNew, "mchid", "1900000002"), with(wxNew, "id", "JUNKSERIAL"),
		}},
		{guide: "wechatpay-apiv3-key", old: map[string]string{"mchid": mchid, "api_v3_key": v3 + "1"}, new: map[string]string{"api_v3_key": v3 + "2"}, shared: true,
			tasks: []string{"change the key"}, wrong: []map[string]string{{"api_v3_key": "short"}, {"api_v3_key": v3 + "1"}, {"api_v3_key": v3 + "2", "mchid": "1900000002"}}},
		{guide: "alipay-signing-key", old: aliOld, new: aliNew, tasks: []string{"by itself"}, wrong: []map[string]string{with(aliNew, "private_key", aliOld["private_key"])}},
		{guide: "alipay-certificates", old: certOld, new: certNew, expires: year, tasks: []string{"by itself"}, wrong: []map[string]string{
			with(certNew, "private_key", certOld["private_key"]), with(certNew, "alipay_root", certNew["app_certificate"]),
		}},
		{guide: "unionpay-merchant-certificate", old: unionOld, new: unionNew, expires: year, tasks: byHand, wrong: []map[string]string{
			with(unionNew, "password", "one"), with(unionOld, "mer_id", "777290000000001"),
		}},
		{guide: "paypal-rest-secret", old: map[string]string{"client_id": client, "secret": "ECANARY-fake-secret-of-a-rest-application-number-1"}, shared: true,
			new: map[string]string{"secret": "ECANARY-fake-secret-of-a-rest-application-number-2"}, tasks: byHand, wrong: []map[string]string{{"secret": "cut off"}}},
		{guide: "other", old: map[string]string{"name": "acquirer/1", "value": "CANARY-1", "expires_at": now.Add(soon).Format(time.RFC3339)},
			new: map[string]string{"name": "acquirer/2", "value": "CANARY-2", "expires_at": now.Add(year).Format(time.RFC3339)}, expires: year, tasks: byHand,
			wrong: []map[string]string{{"name": "acquirer/2", "value": "CANARY-2", "expires_at": "tomorrow"}}},
	}
}

// fill sorts what is entered into settings and credential.
func filled(g accesskey.Guide, values map[string]string) form.Filling {
	f := form.Filling{Settings: map[string]string{}, Credential: map[string]material.Bytes{}}
	for name, value := range values {
		switch {
		case name == "id":
		case slices.ContainsFunc(g.Form.Settings, func(f form.Field) bool { return f.Name == name }):
			f.Settings[name] = value
		default:
			f.Credential[name] = material.NewBytes([]byte(value))
		}
	}
	return f
}

// Of every guide: what the guide refuses is refused when a rotation waits for it, too, before
// anything is kept; what passes becomes the secret's version and the inventory's key, with its
// own date, and the one before is gone; the person is asked what the guide's keys need.
func TestKeysThatAPersonMakes(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	_, _, err := w.stock.Add(t.Context(), root(), "hand", manual.Kind().Name, accesskey.Draft{})
	check(t, err)
	guides := manual.Guides()
	all := hands(t, w.clock())
	if len(all) != len(guides) {
		t.Fatal("a guide is not tried")
	}
	for i, h := range all {
		t.Run(h.guide, func(t *testing.T) { w.replace(t, guides[i], h) })
	}
}

func (w *world) replace(t *testing.T, g accesskey.Guide, h hand) {
	ctx, plan := t.Context(), "plan-"+h.guide
	owner := "li"
	old, _, err := w.stock.Enter(ctx, root(), "hand", accesskey.Entry{Guide: h.guide, Filling: filled(g, h.old), Note: accesskey.Note{Owner: &owner}})
	check(t, err)
	name := old.Observed.Detail["secret"]
	care := rotation.Care{Confirm: time.Second, Grace: time.Hour}
	f, err := w.SavePlan(ctx, root(), rotation.Plan{Name: plan, Source: "hand", Principal: "merchant", Key: old.Observed.ID, Secret: name, Care: care})
	check(t, err)
	if f.Means.Guide != h.guide || (f.Means.Overlap > 0) != g.Capabilities.OwnClock {
		t.Errorf("the plan knows %+v", f.Means)
	}
	_, err = w.Start(ctx, root(), engine.StartInput{Plan: plan})
	check(t, err)
	w.asked(t, plan, "guide "+h.guide)
	before := w.stages(t, name)
	for _, values := range append(h.wrong, h.old) {
		if _, _, err := w.Enter(ctx, root(), plan, engine.EnterInput{ID: values["id"], Filling: filled(g, values)}); !fault.Is(err, fault.InvalidParameter) && !fault.Is(err, fault.MissingParameter) {
			t.Errorf("what does not pass is answered by %v", err)
		}
	}
	if after := w.stages(t, name); after != before {
		t.Errorf("of what does not pass the secret has %s, before %s", after, before)
	}
	r, _, err := w.Enter(ctx, root(), plan, engine.EnterInput{Filling: filled(g, h.new)})
	check(t, err)
	entered := w.clock()
	if (r.New.ID == old.Observed.ID) != h.shared {
		t.Errorf("the new key is %s, the old one %s", r.New.ID, old.Observed.ID)
	}
	for _, task := range h.tasks {
		w.asked(t, plan, task)
		_, err := w.Confirm(ctx, root(), plan)
		check(t, err)
	}
	w.asked(t, plan, "")
	k, err := w.stock.Key(ctx, root(), "hand", r.New.ID)
	check(t, err)
	if k.Observed.Status != accesskey.Active || k.Observed.Detail["guide"] != h.guide || k.Observed.Detail["secret"] != name || k.Owner != owner {
		t.Errorf("the inventory has %+v", k)
	}
	f, err = w.Plan(ctx, root(), plan)
	check(t, err)
	if late := f.Expires.Sub(entered.Add(h.expires)).Abs(); h.expires > 0 && late > 24*time.Hour || h.expires == 0 && !f.Expires.IsZero() || f.Plan.Key != r.New.ID {
		t.Errorf("the plan has key %s, which expires at %s", f.Plan.Key, f.Expires)
	}
	if was, err := w.stock.Key(ctx, root(), "hand", old.Observed.ID); !h.shared && (err != nil || was.Observed.Status != accesskey.Gone || !was.Due.At.IsZero()) {
		t.Errorf("of the old key it has %+v, %v", was, err)
	}
}

// asked lets the plan's rotation go on until a person is asked for something, "" for its end.
func (w *world) asked(t *testing.T, plan, what string) {
	t.Helper()
	for range 200 {
		r, err := w.Rotation(t.Context(), root(), plan)
		check(t, err)
		asked := r.Trouble == rotation.NeedsKey || r.Trouble == rotation.NeedsHand
		if what == "" && r.Step == rotation.Done || what != "" && asked && strings.Contains(r.Detail, what) {
			_, err := w.jobs.Step(t.Context()) // what is left to do when it is over
			check(t, err)
			return
		}
		w.mu.Lock()
		w.now = w.now.Add(10 * time.Minute)
		w.mu.Unlock()
		_, err = w.jobs.Step(t.Context())
		check(t, err)
	}
	r, err := w.Rotation(t.Context(), root(), plan)
	t.Fatalf("nobody is asked to %q: it is %s, %s: %s %s, %v", what, r.Step, r.Trouble, r.Detail, history(r), err)
}

// stages answers what versions a secret has.
func (w *world) stages(t *testing.T, name string) string {
	t.Helper()
	found, err := w.secrets.AllFor(t.Context(), account, secret.Filter{Names: []string{name}})
	check(t, err)
	return found[0].At(secret.Current) + " " + found[0].At(secret.Pending)
}
