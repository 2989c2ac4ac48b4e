package manual_test

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emmansun/gmsm/smx509"
	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/certificate"
	"github.com/keyward/keyward/internal/cloud/certificate/certificatetest"
	"github.com/keyward/keyward/internal/cloud/manual"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
)

var now = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

func filling(g accesskey.Guide, values map[string]string) form.Filling {
	in := form.Filling{Settings: map[string]string{}, Credential: map[string]material.Bytes{}}
	for name, value := range values {
		if slices.ContainsFunc(g.Form.Settings, func(f form.Field) bool { return f.Name == name }) {
			in.Settings[name] = value
		} else {
			in.Credential[name] = material.NewBytes([]byte(value))
		}
	}
	return in
}

func check(t testing.TB, guide string, values map[string]string) (accesskey.Evidence, error) {
	t.Helper()
	g, err := find(guide)
	if err != nil {
		t.Fatal(err)
	}
	return g.Check(filling(g, values), now)
}

// line answers a key as Alipay's tool shows it: one line of Base64.
func line(der []byte) string { return base64.StdEncoding.EncodeToString(der) }

func public(t testing.TB, i *certificatetest.Issued) []byte {
	t.Helper()
	der, err := smx509.MarshalPKIXPublicKey(i.Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// A set is what passes the check of a guide.
type set struct {
	guide  string
	values map[string]string
}

// made are the sets of all tests: making RSA keys takes time. No test changes them.
var made struct{ good, other []set }

// sets answers good fillings of all guides, and others of the same kind to confuse them with.
func sets(t testing.TB) (good, other []set) {
	t.Helper()
	if made.good == nil {
		made.good, made.other = makeSets(t)
	}
	return made.good, made.other
}

func makeSets(t testing.TB) (good, other []set) {
	t.Helper()
	root := certificatetest.Issue(t, certificatetest.Template{Name: "Ant Financial Certification Authority R1", Authority: true}, nil)
	smRoot := certificatetest.Issue(t, certificatetest.Template{Name: "SM2 root", Authority: true, Algorithm: "SM2"}, nil)
	middle := certificatetest.Issue(t, certificatetest.Template{Name: "Class 2 R1", Authority: true}, root)
	make := func(password string) []set {
		merchant := certificatetest.Issue(t, certificatetest.Template{Name: "1900000001", Algorithm: "RSA"}, nil)
		app := certificatetest.Issue(t, certificatetest.Template{Name: "2021000000000001", Algorithm: "RSA", NotAfter: now.AddDate(3, 0, 0)}, middle)
		alipay := certificatetest.Issue(t, certificatetest.Template{Name: "支付宝(中国)网络技术有限公司", Algorithm: "RSA"}, middle)
		union := certificatetest.Issue(t, certificatetest.Template{Name: "041@fake@SIGN", Algorithm: "RSA"}, root)
		return []set{
			{"wechatpay-merchant-certificate", map[string]string{"mchid": "1900000001", "certificate": string(merchant.PEM()), "private_key": string(merchant.KeyPEM(t))}},
			{"wechatpay-apiv3-key", map[string]string{"mchid": "1900000001", "api_v3_key": "CANARY0123456789abcdefFAKE012345"}},
			{"alipay-signing-key", map[string]string{"app_id": "2021000000000001", "private_key": line(app.KeyDER(t)), "public_key": line(public(t, app)), "alipay_public_key": line(public(t, alipay))}},
			{"alipay-certificates", map[string]string{
				"app_id": "2021000000000001", "private_key": line(app.KeyDER(t)), "app_certificate": string(append(app.PEM(), middle.PEM()...)),
				"alipay_certificate": string(append(alipay.PEM(), middle.PEM()...)), "alipay_root": string(append(smRoot.PEM(), root.PEM()...))}},
			{"unionpay-merchant-certificate", map[string]string{"mer_id": "777290000000001", "pfx": string(union.PKCS12(t, password, "-legacy")), "password": password}},
			{"paypal-rest-secret", map[string]string{"client_id": "Afake-client-id-of-a-rest-application-which-is-rather-long", "secret": "ECANARY-fake-secret-of-a-rest-application-which-is-rather-long"}},
			{"other", map[string]string{"name": "acquirer/2", "value": "CANARY-fake", "expires_at": "2027-04-30T23:59:59+08:00"}},
		}
	}
	return make("CANARY-1"), make("CANARY-2")
}

func TestGoodFillings(t *testing.T) {
	good, _ := sets(t)
	if len(good) != len(manual.Guides()) {
		t.Fatal("a guide is not tried")
	}
	for _, s := range good {
		out, err := check(t, s.guide, s.values)
		if err != nil || out.ID == "" || out.Name == "" || len(out.Warnings) != 0 {
			t.Errorf("%s: %+v, %v", s.guide, out, err)
			continue
		}
		shown := fmt.Sprintf("%+v", out)
		for name, value := range s.values {
			if secret := name != "mchid" && name != "app_id" && name != "mer_id" && name != "client_id" && name != "name" && name != "expires_at"; secret && strings.Contains(shown, value) {
				t.Errorf("%s shows %s", s.guide, name)
			}
		}
		if strings.Contains(shown, "CANARY") {
			t.Errorf("%s shows a secret: %s", s.guide, shown)
		}
	}
}

func TestWhatIsFound(t *testing.T) {
	good, _ := sets(t)
	found := map[string]accesskey.Evidence{}
	for _, s := range good {
		out, err := check(t, s.guide, s.values)
		if err != nil {
			t.Fatal(err)
		}
		found[s.guide] = out
	}
	cert := func(text string) *certificate.X509 {
		certs, err := certificate.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return certs[0]
	}
	merchant := cert(good[0].values["certificate"])
	detail := certificate.Describe(merchant)
	detail["mchid"] = "1900000001"
	if diff := cmp.Diff(accesskey.Evidence{
		ID: certificate.ID(merchant), Name: "1900000001", Expiry: accesskey.Expiry{At: merchant.NotAfter, Basis: accesskey.Certificate}, Detail: detail,
	}, found["wechatpay-merchant-certificate"]); diff != "" {
		t.Error(diff)
	}
	if a := found["alipay-certificates"]; !a.Expiry.At.Equal(now.AddDate(3, 0, 0)) || len(a.Detail["app_cert_sn"]) != 32 || a.Detail["app_cert_sn"] == a.Detail["alipay_cert_sn"] || a.Detail["sign_type"] != "RSA2" {
		t.Errorf("%+v", a)
	}
	if u := found["unionpay-merchant-certificate"]; u.Detail["cert_id"] == "" || strings.Trim(u.Detail["cert_id"], "0123456789") != "" || u.Expiry.Basis != accesskey.Certificate {
		t.Errorf("%+v", u)
	}
	if o := found["other"]; o.Expiry != (accesskey.Expiry{At: time.Date(2027, 4, 30, 15, 59, 59, 0, time.UTC), Basis: accesskey.Declared}) {
		t.Errorf("%+v", o)
	}
}

// Each field of each guide is exchanged for nothing, for nonsense, and for the one of
// another key: none of it passes, and no answer shows a secret.
func TestEachFieldIsVerified(t *testing.T) {
	good, other := sets(t)
	free := map[string]bool{ // what nothing can be checked against
		"wechatpay-apiv3-key/api_v3_key": true, "wechatpay-apiv3-key/mchid": true, "alipay-signing-key/alipay_public_key": true, "alipay-signing-key/app_id": true,
		"alipay-certificates/app_id": true, "alipay-certificates/alipay_certificate": true, "alipay-certificates/alipay_root": true, "unionpay-merchant-certificate/mer_id": true,
		"paypal-rest-secret/client_id": true, "paypal-rest-secret/secret": true, "other/name": true, "other/value": true, "other/expires_at": true,
		"wechatpay-merchant-certificate/mchid": true, // the same in both
	}
	optional := map[string]bool{"alipay-signing-key/alipay_public_key": true, "other/expires_at": true}
	for i, s := range good {
		for field := range s.values {
			name := s.guide + "/" + field
			try := func(value string) error {
				values := maps.Clone(s.values)
				values[field] = value
				_, err := check(t, s.guide, values)
				if err != nil && (strings.Contains(err.Error(), "CANARY") || strings.Contains(err.Error(), s.values[field]) && len(s.values[field]) > 20) {
					t.Errorf("%s is shown: %v", name, err)
				}
				return err
			}
			if err := try(""); (err == nil) != optional[name] || err != nil && !fault.Is(err, fault.MissingParameter) {
				t.Errorf("%s missing: %v", name, err)
			}
			if err := try("CANARY nonsense"); !fault.Is(err, fault.InvalidParameter) && s.guide != "other" {
				t.Errorf("%s nonsense: %v", name, err)
			}
			if err := try(other[i].values[field]); !fault.Is(err, fault.InvalidParameter) && !free[name] {
				t.Errorf("%s of another key: %v", name, err)
			}
		}
	}
}

func TestParticularMistakes(t *testing.T) {
	good, _ := sets(t)
	old := certificatetest.Issue(t, certificatetest.Template{Name: "1900000001", Algorithm: "RSA", NotAfter: now.Add(-time.Hour)}, nil)
	early := certificatetest.Issue(t, certificatetest.Template{Name: "1900000001", Algorithm: "RSA", NotBefore: now.Add(time.Hour)}, nil)
	curve := certificatetest.Issue(t, certificatetest.Template{Name: "1900000001"}, nil)
	weak := certificatetest.Issue(t, certificatetest.Template{Name: "1900000001", Algorithm: "RSA1024"}, nil)
	authority := certificatetest.Issue(t, certificatetest.Template{Name: "1900000001", Algorithm: "RSA", Authority: true}, nil)
	sm := certificatetest.Issue(t, certificatetest.Template{Name: "sm", Algorithm: "SM2"}, nil)
	foreign := certificatetest.Issue(t, certificatetest.Template{Name: "root", Authority: true}, nil)
	wechat := func(i *certificatetest.Issued) map[string]string {
		return map[string]string{"certificate": string(i.PEM()), "private_key": string(i.KeyPEM(t))}
	}
	certOnly := old.PKCS12(t, "x", "-nokeys")
	for i, c := range []struct {
		guide  int
		change map[string]string
		says   string
	}{
		{0, map[string]string{"mchid": "1900000002"}, `is of "1900000001", not of merchant 1900000002`},
		{0, map[string]string{"mchid": "19000000x1"}, "digits"},
		{0, wechat(old), "expired on 2026-06-01 07:00 UTC+08:00"},
		{0, wechat(early), "not valid before 2026-06-01 09:00 UTC+08:00"},
		{0, wechat(curve), "ECDSA"},
		{0, wechat(weak), "1024 bits"},
		{0, wechat(authority), "authority"},
		{0, map[string]string{"private_key": good[0].values["certificate"]}, "no private key"},
		{0, map[string]string{"certificate": good[0].values["private_key"]}, "no certificate"},
		{1, map[string]string{"api_v3_key": "CANARY"}, "6 bytes"},
		{1, map[string]string{"api_v3_key": good[1].values["api_v3_key"] + "\n"}, "white space"},
		{1, map[string]string{"api_v3_key": "CANARY0123456789abcdefFAKE01234!"}, "letters and digits"},
		{2, map[string]string{"alipay_public_key": good[2].values["public_key"]}, "the application's own"},
		{2, map[string]string{"public_key": good[2].values["alipay_public_key"]}, "not belong together"},
		{2, map[string]string{"alipay_public_key": line(public(t, sm))}, "another algorithm"},
		{2, map[string]string{"private_key": line(weak.KeyDER(t)), "public_key": line(public(t, weak))}, "1024 bits"},
		{3, map[string]string{"alipay_certificate": good[3].values["app_certificate"]}, "the application's own"},
		{3, map[string]string{"alipay_root": string(foreign.PEM())}, "not issued under"},
		{3, map[string]string{"alipay_certificate": string(old.PEM())}, "expired"},
		{4, map[string]string{"password": "CANARY-wrong"}, "password does not open"},
		{4, map[string]string{"pfx": string(old.PKCS12(t, "x")), "password": "x"}, "expired"},
		{4, map[string]string{"pfx": string(certOnly), "password": "x"}, "no private key"},
		{4, map[string]string{"mer_id": "1"}, "15"},
		{5, map[string]string{"secret": good[5].values["client_id"]}, "are the same"},
		{5, map[string]string{"secret": "E CANARY"}, "white space"},
		{5, map[string]string{"secret": "ECANARY"}, "too few"},
		{6, map[string]string{"expires_at": "2027-03-31"}, "a zone"},
		{6, map[string]string{"expires_at": "2025-03-31T00:00:00Z"}, "has ended"},
		{6, map[string]string{"name": "CANARY-fake"}, "give it a name"},
	} {
		values := maps.Clone(good[c.guide].values)
		maps.Copy(values, c.change)
		_, err := check(t, good[c.guide].guide, values)
		if !fault.Is(err, fault.InvalidParameter) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%d: %v, which does not say %q", i, err, c.says)
		}
	}
}

func TestWarnings(t *testing.T) {
	good, _ := sets(t)
	late := certificatetest.Issue(t, certificatetest.Template{Name: "1900000001", Algorithm: "RSA", NotAfter: now.AddDate(0, 0, 20)}, nil)
	sm := certificatetest.Issue(t, certificatetest.Template{Name: "1900000001", Algorithm: "SM2"}, nil)
	weak := certificatetest.Issue(t, certificatetest.Template{Name: "u", Algorithm: "RSA1024"}, nil)
	for i, c := range []struct {
		guide  int
		change map[string]string
		says   string
	}{
		{0, map[string]string{"certificate": string(late.PEM()), "private_key": string(late.KeyPEM(t))}, "旧证书"},
		{0, map[string]string{"certificate": string(sm.PEM()), "private_key": string(sm.KeyPEM(t))}, ""},
		{1, map[string]string{"api_v3_key": "11111111111111111111111111111111"}, "随机"},
		{2, map[string]string{"alipay_public_key": ""}, "验签"},
		{2, map[string]string{"private_key": line(sm.KeyDER(t)), "public_key": line(public(t, sm)), "alipay_public_key": ""}, "验签"},
		{2, map[string]string{"public_key": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: mustDecode(t, good[2].values["public_key"])}))}, ""},
		{4, map[string]string{"pfx": line([]byte(good[4].values["pfx"]))}, ""},
		{4, map[string]string{"pfx": string(weak.PKCS12(t, "x")), "password": "x"}, "强度"},
		{5, map[string]string{"client_id": good[5].values["secret"], "secret": good[5].values["client_id"]}, "填反"},
		{6, map[string]string{"value": "CANARY\n"}, "换行"},
	} {
		values := maps.Clone(good[c.guide].values)
		maps.Copy(values, c.change)
		out, err := check(t, good[c.guide].guide, values)
		if err != nil || (c.says == "") != (len(out.Warnings) == 0) || c.says != "" && !strings.Contains(out.Warnings[0].Chinese, c.says) {
			t.Errorf("%d: %+v, %v", i, out.Warnings, err)
		}
	}
}

func mustDecode(t *testing.T, text string) []byte {
	t.Helper()
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// Alipay's certificate that ends first decides when the payments stop.
func TestTheEarlierOfAlipaysCertificatesCounts(t *testing.T) {
	good, _ := sets(t)
	root := certificatetest.Issue(t, certificatetest.Template{Name: "root", Authority: true}, nil)
	alipay := certificatetest.Issue(t, certificatetest.Template{Name: "alipay", Algorithm: "RSA", NotAfter: now.AddDate(1, 0, 0)}, root)
	values := maps.Clone(good[3].values)
	values["alipay_certificate"], values["alipay_root"] = string(alipay.PEM()), string(root.PEM())
	out, err := check(t, "alipay-certificates", values)
	if err != nil || !out.Expiry.At.Equal(now.AddDate(1, 0, 0)) || len(out.Warnings) != 1 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestGuidesAreComplete(t *testing.T) {
	names := map[string]bool{}
	both := func(where string, text form.Text) {
		if text.English == "" || text.Chinese == "" {
			t.Errorf("%s lacks a language: %+v", where, text)
		}
	}
	for _, g := range manual.Guides() {
		if names[g.Name] {
			t.Errorf("two guides have the name %s", g.Name)
		}
		names[g.Name] = true
		both(g.Name, g.Title)
		for _, s := range g.Steps {
			both(g.Name, s)
		}
		for _, f := range slices.Concat(g.Form.Settings, g.Form.Credential) {
			both(g.Name+"/"+f.Name, f.Help)
		}
		if len(g.Steps) == 0 || len(g.Form.Credential) == 0 || !g.Capabilities.Manual {
			t.Errorf("%s is not a guide", g.Name)
		}
	}
}

func TestTheProviderSeesNothing(t *testing.T) {
	p, err := manual.Kind().Open(accesskey.Opening{Filling: form.Filling{Settings: map[string]string{"account": "收单-华东"}}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.Observe(t.Context())
	if err != nil || len(s.Keys) != 0 || len(s.Problems) != 1 || !s.Problems[0].Lists {
		t.Errorf("%+v, %v", s, err)
	}
	if identity, err := p.Check(t.Context()); err != nil || identity.Account != "收单-华东" {
		t.Errorf("%+v, %v", identity, err)
	}
}

func FuzzCheck(f *testing.F) {
	good, _ := sets(f)
	guides := manual.Guides()
	for i, s := range good {
		var fields []string
		for _, field := range slices.Concat(guides[i].Form.Settings, guides[i].Form.Credential) {
			fields = append(fields, s.values[field.Name])
		}
		fields = append(fields, "", "", "", "")[:5]
		f.Add(uint8(i), fields[0], fields[1], fields[2], fields[3], fields[4])
	}
	f.Fuzz(func(t *testing.T, guide uint8, a, b, c, d, e string) {
		g := guides[int(guide)%len(guides)]
		values, given := map[string]string{}, []string{a, b, c, d, e}
		for i, field := range slices.Concat(g.Form.Settings, g.Form.Credential) {
			values[field.Name] = given[i]
		}
		out, err := g.Check(filling(g, values), now)
		if (err == nil) != (out.ID != "") {
			t.Errorf("%+v, %v", out, err)
		}
		if err != nil && fault.KindOf(err) == fault.Internal {
			t.Error(err)
		}
	})
}

// find answers the guide of a name.
func find(name string) (accesskey.Guide, error) {
	for _, g := range manual.Guides() {
		if g.Name == name {
			return g, nil
		}
	}
	return accesskey.Guide{}, fmt.Errorf("there is no guide %q", name)
}
