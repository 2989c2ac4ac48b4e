// Package wechatpay watches the certificates of one merchant of WeChat Pay (APIv3): the
// platform certificates, with which WeChat Pay signs its answers and callbacks, and the
// merchant's own API certificate. It is the provider kind "wechatpay".
//
// The platform certificates come from GET /v3/certificates. WeChat Pay replaces them by
// itself: a new one appears in the list days before the old one ends (about ten; the
// documents promise one), and for some time both are in use. So a merchant needs both, and
// this package tells which is the newest. A date of ending stands in the answer and in the
// certificate, and they may differ: the earlier one counts, both are told. A merchant who
// has switched to the WeChat Pay public key has no platform certificate any more; that key
// does not expire. The merchant's certificate has no API: it comes with the credential.
//
// A request is signed with the merchant's key (WECHATPAY2-SHA256-RSA2048). Each
// certificate in the answer is encrypted with the APIv3 key (AES-256-GCM), which only the
// merchant and WeChat Pay have; the answer is signed by one of these certificates, and the
// signature is checked with it.
//
// Who may call: app, which makes the kind. What is trusted: what the APIv3 key decrypts.
package wechatpay

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/certificate"
	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
)

const (
	defaultURL = "https://api.mch.weixin.qq.com/v3/certificates"
	patience   = 15 * time.Second
	maxBody    = 256 << 10 // bytes; a certificate takes about 3 KiB
	maxSkew    = 5 * time.Minute
	pace       = 6 * time.Hour // the documents ask for less than twelve
)

// Kind answers the provider kind "wechatpay".
func Kind() accesskey.KindOfProvider {
	return accesskey.KindOfProvider{
		Name:  "wechatpay",
		Title: form.Text{English: "WeChat Pay platform certificates and the merchant's API certificate", Chinese: "微信支付平台证书与商户 API 证书"},
		Form: form.Form{
			Settings: []form.Field{
				{Name: "mchid", Required: true, Help: form.Text{English: "merchant id", Chinese: "商户号"}, Example: "1900000001"},
				{Name: "url", Help: form.Text{
					English: "address of the list of certificates, if it is not that of mainland China",
					Chinese: "平台证书接口地址;境外商户填写 apihk 的地址"}, Example: "https://apihk.mch.weixin.qq.com/v3/global/certificates"},
			},
			Credential: []form.Field{
				{Name: "certificate", Required: true, Help: form.Text{English: "the merchant's API certificate, apiclient_cert.pem", Chinese: "商户 API 证书 apiclient_cert.pem"}},
				{Name: "private_key", Required: true, Help: form.Text{English: "its private key, apiclient_key.pem", Chinese: "商户 API 私钥 apiclient_key.pem"}},
				{Name: "api_v3_key", Required: true, Help: form.Text{English: "the APIv3 key, 32 characters", Chinese: "APIv3 密钥,32 个字符"}},
			},
		},
		Capabilities: accesskey.Capabilities{Expiry: true, Manual: true, OwnClock: true},
		Pace:         pace,
		Open:         open,
	}
}

type provider struct {
	url    *url.URL
	mchid  string
	cert   *certificate.X509
	key    *rsa.PrivateKey
	apiKey []byte
	http   *http.Client
	now    func() time.Time
}

func open(o accesskey.Opening) (accesskey.Provider, error) {
	p := &provider{mchid: o.Settings["mchid"], apiKey: o.Credential["api_v3_key"].Expose(), http: egress.HTTP(o.Allow), now: o.Now}
	for _, r := range p.mchid {
		if r < '0' || r > '9' {
			return nil, fault.InvalidParameter.New("the merchant id (mchid) consists of digits, such as 1900000001")
		}
	}
	address := o.Settings["url"]
	if address == "" {
		address = defaultURL
	}
	var err error
	if p.url, err = url.Parse(address); err != nil || p.url.Host == "" || p.url.Scheme != "https" && p.url.Scheme != "http" || p.url.User != nil || p.url.RawQuery != "" || p.url.Fragment != "" {
		return nil, fault.InvalidParameter.New("the url is malformed; leave it out, or use https://host/path")
	}
	certs, err := certificate.Parse(o.Credential["certificate"].Expose())
	if err != nil {
		return nil, fault.InvalidParameter.New("the merchant's certificate cannot be used: %v; paste the whole of apiclient_cert.pem", err)
	}
	p.cert = certs[0]
	key, err := certificate.ParseKey(o.Credential["private_key"].Expose())
	if err != nil {
		return nil, fault.InvalidParameter.New("the merchant's private key cannot be used: %v; paste the whole of apiclient_key.pem", err)
	}
	if err := certificate.Proves(key, p.cert.PublicKey); err != nil {
		return nil, fault.InvalidParameter.New("certificate and private key do not belong together: %v; take both from one issue", err)
	}
	var ok bool
	if p.key, ok = key.(*rsa.PrivateKey); !ok {
		return nil, fault.InvalidParameter.New("the merchant's private key is not of RSA, which WECHATPAY2-SHA256-RSA2048 needs")
	}
	if len(p.apiKey) != 32 {
		return nil, fault.InvalidParameter.New("the APIv3 key has %d bytes and needs 32; set it anew in the merchant platform if it is lost", len(p.apiKey))
	}
	return p, nil
}

func (p *provider) identity() accesskey.Identity {
	return accesskey.Identity{Account: p.mchid, Principal: p.cert.Subject.CommonName, KeyID: certificate.ID(p.cert)}
}

// Check implements accesskey.Provider.
func (p *provider) Check(ctx context.Context) (accesskey.Identity, error) {
	if _, err := p.platform(ctx); err != nil && !errors.Is(err, errNone) {
		return accesskey.Identity{}, err
	}
	return p.identity(), nil
}

// The principals of a merchant's certificates.
const (
	platformID = "platform"
	merchantID = "merchant"
)

// Observe implements accesskey.Provider.
func (p *provider) Observe(ctx context.Context) (accesskey.Snapshot, error) {
	out := accesskey.Snapshot{Identity: p.identity(), Calls: 1, Principals: []accesskey.Principal{
		{ID: merchantID, Name: p.mchid, Kind: accesskey.Program}, {ID: platformID, Name: "WeChat Pay", Kind: accesskey.Program},
	}}
	merchant := certificate.Observe(p.cert, p.now())
	merchant.Principal = merchantID
	merchant.Detail["mchid"] = p.mchid
	out.Keys = append(out.Keys, merchant)
	certs, err := p.platform(ctx)
	if errors.Is(err, errNone) {
		out.Problems = append(out.Problems, accesskey.Problem{
			What: "GET " + p.url.Path, Subject: platformID,
			Reason: "this merchant has no platform certificate: it uses the WeChat Pay public key (微信支付公钥), which does not expire",
		})
		return out, nil
	}
	if err != nil {
		return accesskey.Snapshot{}, err
	}
	newest := certs[0]
	for _, c := range certs {
		if c.effective.After(newest.effective) {
			newest = c
		}
	}
	for _, c := range certs {
		out.Keys = append(out.Keys, p.observe(c, newest))
	}
	return out, nil
}

// observe answers a platform certificate as a key of the inventory.
func (p *provider) observe(c, newest platform) accesskey.Observed {
	out := certificate.Observe(c.cert, p.now())
	out.Principal = platformID
	out.Detail["mchid"] = p.mchid
	out.Detail["effective_time"] = c.effective.UTC().Format(time.RFC3339)
	out.Detail["expire_time"] = c.expire.UTC().Format(time.RFC3339)
	out.Detail["newest"] = certificate.Serial(newest.cert)
	if apart := c.cert.NotAfter.Sub(c.expire); apart != 0 {
		out.Detail["not_after"] = c.cert.NotAfter.UTC().Format(time.RFC3339)
		out.Detail["difference"] = apart.String() // by which the certificate lives longer than the answer says
		if apart > 0 {
			out.Expiry = accesskey.Expiry{At: c.expire.UTC(), Basis: accesskey.Provided}
		}
	}
	switch now := p.now(); {
	case now.After(out.Expiry.At):
		out.Status = accesskey.Expired
	case now.Before(c.effective):
		out.Status = accesskey.Inactive
	}
	return out
}

// errNone says that WeChat Pay has no platform certificate for this merchant.
var errNone = errors.New("there is no platform certificate")

// platform asks for the platform certificates.
func (p *provider) platform(ctx context.Context) ([]platform, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("making a request: %w", err)
	}
	if err := p.sign(r); err != nil {
		return nil, err
	}
	resp, err := p.http.Do(r)
	if err != nil {
		return nil, fault.Unavailable.Wrap(err, "WeChat Pay cannot be reached; check the url and that the operator allowed its network")
	}
	body, err := egress.ReadBody(resp, maxBody)
	if err != nil {
		return nil, fault.Unavailable.Wrap(err, "the answer of WeChat Pay cannot be read; try again")
	}
	if resp.StatusCode != http.StatusOK {
		return nil, refusal(resp.StatusCode, body)
	}
	certs, err := decode(body, p.apiKey)
	if err != nil {
		return nil, err
	}
	if err := p.verify(resp.Header, body, certs); err != nil {
		return nil, err
	}
	return certs, nil
}

// sign signs a request without a body: the method, the path, the time, a nonce and the
// body, each with a line feed after it.
func (p *provider) sign(r *http.Request) error {
	nonce := make([]byte, 16)
	rand.Read(nonce)
	at, once := strconv.FormatInt(p.now().Unix(), 10), strings.ToUpper(hex.EncodeToString(nonce))
	sum := sha256.Sum256([]byte(r.Method + "\n" + r.URL.RequestURI() + "\n" + at + "\n" + once + "\n\n"))
	signature, err := rsa.SignPKCS1v15(nil, p.key, crypto.SHA256, sum[:])
	if err != nil {
		return fmt.Errorf("signing a request: %w", err)
	}
	r.Header.Set("Authorization", fmt.Sprintf(`WECHATPAY2-SHA256-RSA2048 mchid="%s",nonce_str="%s",timestamp="%s",serial_no="%s",signature="%s"`,
		p.mchid, once, at, certificate.Serial(p.cert), base64.StdEncoding.EncodeToString(signature)))
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "keyward")
	return nil
}

// verify checks the signature of an answer with that certificate in it which it names.
func (p *provider) verify(h http.Header, body []byte, certs []platform) error {
	seconds, err := strconv.ParseInt(h.Get("Wechatpay-Timestamp"), 10, 64)
	if err != nil {
		return fault.Unavailable.New("the answer of WeChat Pay is not signed; something between changes it")
	}
	if apart := p.now().Sub(time.Unix(seconds, 0)); apart.Abs() > maxSkew {
		return fault.Unavailable.New("the answer of WeChat Pay is of another time (%s apart); set this server's clock", apart.Round(time.Second))
	}
	signature, err := base64.StdEncoding.DecodeString(h.Get("Wechatpay-Signature"))
	if err != nil {
		return fault.Unavailable.New("the signature of WeChat Pay's answer is malformed; something between changes it")
	}
	serial := h.Get("Wechatpay-Serial")
	if strings.HasPrefix(serial, "PUB_KEY_ID_") {
		return nil // signed with the public key, which is not known here; each certificate proved itself
	}
	sum := sha256.Sum256([]byte(h.Get("Wechatpay-Timestamp") + "\n" + h.Get("Wechatpay-Nonce") + "\n" + string(body) + "\n"))
	for _, c := range certs {
		key, ok := c.cert.PublicKey.(*rsa.PublicKey)
		if !ok || !strings.EqualFold(certificate.Serial(c.cert), serial) {
			continue
		}
		if rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil {
			return nil
		}
		break
	}
	return fault.Unavailable.New("the signature of WeChat Pay's answer does not verify; something between changes it")
}

// refusal answers what a status other than 200 means.
func refusal(status int, body []byte) error {
	var answer struct{ Code, Message string }
	_ = json.Unmarshal(body, &answer) // a proxy's page has neither
	said := clean(answer.Code, 64)
	if m := clean(answer.Message, 200); m != "" {
		said += ": " + m
	}
	switch {
	case status == http.StatusNotFound && answer.Code == "RESOURCE_NOT_EXISTS":
		return errNone
	case status == http.StatusTooManyRequests:
		return fault.Throttled.New("WeChat Pay asks for fewer requests; it is tried again later")
	case status == http.StatusUnauthorized:
		return fault.InvalidParameter.New("WeChat Pay refuses the signature (%s); check mchid, that the certificate is this merchant's and not replaced, and this server's clock", said)
	case status >= 400 && status < 500 && answer.Code != "":
		return fault.InvalidParameter.New("WeChat Pay refuses the request (%s); check the merchant's rights in the merchant platform", said)
	default:
		return fault.Unavailable.New("WeChat Pay answered with status %d; try again later", status)
	}
}

// clean answers one line of at most so many bytes of what somebody else wrote.
func clean(text string, limit int) string {
	if len(text) > limit {
		text = text[:limit]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return -1
		}
		return r
	}, text)
}
