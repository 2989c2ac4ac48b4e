package manual

import (
	"bytes"
	"crypto"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/certificate"
	"github.com/keyward/keyward/internal/cloud/pkcs12"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
)

const (
	soon  = 30 * 24 * time.Hour // a new certificate that ends so soon is perhaps the old one
	china = 8 * 60 * 60         // seconds that China is ahead of UTC

	maxChain = 10 // certificates from one to its root

	decimal      = "0123456789"
	alphanumeric = decimal + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

func checkWechatPayCertificate(e entered) (accesskey.Evidence, error) {
	mchid, err := digits(e, "mchid", 8, 10)
	if err != nil {
		return accesskey.Evidence{}, err
	}
	out, cert, err := e.pair("certificate", "private_key")
	if err != nil {
		return accesskey.Evidence{}, err
	}
	out.Detail["mchid"] = mchid
	switch name, bits := certificate.Algorithm(cert.PublicKey); {
	case name != "SM2" && (name != "RSA" || bits < 2048):
		return accesskey.Evidence{}, fault.InvalidParameter.New("the certificate is of %s with %d bits, WeChat Pay's are of RSA with 2048 or of SM2; enter apiclient_cert.pem", name, bits)
	case cert.IsCA:
		return accesskey.Evidence{}, fault.InvalidParameter.New("the certificate is an authority's; enter apiclient_cert.pem")
	case cert.Subject.CommonName != mchid:
		return accesskey.Evidence{}, fault.InvalidParameter.New("the certificate is of %q, not of merchant %s; log in as that merchant, or correct mchid", cert.Subject.CommonName, mchid)
	}
	return out, nil
}

func checkWechatPayKey(e entered) (accesskey.Evidence, error) {
	mchid, err := digits(e, "mchid", 8, 10)
	if err != nil {
		return accesskey.Evidence{}, err
	}
	key := e.secret("api_v3_key")
	if trimmed := bytes.TrimSpace(key); len(trimmed) != len(key) {
		return accesskey.Evidence{}, fault.InvalidParameter.New("there is white space around the APIv3 key; enter its 32 characters only")
	}
	if len(key) != 32 {
		return accesskey.Evidence{}, fault.InvalidParameter.New("the APIv3 key has %d bytes and needs 32; make one with: openssl rand -hex 16", len(key))
	}
	if strings.Trim(string(key), alphanumeric) != "" {
		return accesskey.Evidence{}, fault.InvalidParameter.New("the APIv3 key may hold letters and digits only; make one with: openssl rand -hex 16")
	}
	kinds := map[byte]bool{}
	for _, c := range key {
		kinds[c] = true
	}
	out := accesskey.Evidence{ID: "wechatpay/" + mchid + "/apiv3", Shared: true, Name: "APIv3 " + mchid, Detail: map[string]string{"mchid": mchid, "length": "32"}}
	if len(kinds) < 8 { // which never happens to 32 random hexadecimal digits
		warn(&out, "the key does not look random: few of its characters differ", "该密钥看起来不是随机生成的:不同的字符太少")
	}
	return out, nil
}

func checkAlipayKey(e entered) (accesskey.Evidence, error) {
	app, err := digits(e, "app_id", 16, 16)
	if err != nil {
		return accesskey.Evidence{}, err
	}
	key, err := e.key("private_key")
	if err != nil {
		return accesskey.Evidence{}, err
	}
	public, err := certificate.ParsePublicKey(e.secret("public_key"))
	if err != nil {
		return accesskey.Evidence{}, fault.InvalidParameter.New("the application's public key cannot be used: %v", err)
	}
	if err := certificate.Proves(key, public); err != nil {
		return accesskey.Evidence{}, fault.InvalidParameter.New("the application's keys do not belong together: %v; take both from one pair of the key tool, and not Alipay's public key", err)
	}
	name, err := alipayAlgorithm(key.Public())
	if err != nil {
		return accesskey.Evidence{}, err
	}
	out := accesskey.Evidence{ID: certificate.Fingerprint(public), Name: app + " " + name, Detail: map[string]string{"app_id": app, "sign_type": name, "public_key_sha256": certificate.Fingerprint(public)}}
	text := e.secret("alipay_public_key")
	if len(text) == 0 {
		warn(&out, "Alipay's public key is missing: programs need it to verify answers", "缺少支付宝公钥:程序验签时需要它")
		return out, nil
	}
	theirs, err := certificate.ParsePublicKey(text)
	switch {
	case err != nil:
		return accesskey.Evidence{}, fault.InvalidParameter.New("Alipay's public key cannot be used: %v", err)
	case certificate.SameKey(theirs, public):
		return accesskey.Evidence{}, fault.InvalidParameter.New("what was entered as Alipay's public key is the application's own; copy the one that the console shows as 支付宝公钥")
	}
	if other, err := alipayAlgorithm(theirs); err != nil || other != name {
		return accesskey.Evidence{}, fault.InvalidParameter.New("Alipay's public key is of another algorithm than the application's; copy the one that the console shows for %s", name)
	}
	out.Detail["alipay_public_key_sha256"] = certificate.Fingerprint(theirs)
	return out, nil
}

// alipayAlgorithm answers the sign_type of a key.
func alipayAlgorithm(key crypto.PublicKey) (string, error) {
	switch name, bits := certificate.Algorithm(key); {
	case name == "RSA" && bits >= 2048:
		return "RSA2", nil
	case name == "SM2":
		return "SM2", nil
	default:
		return "", fault.InvalidParameter.New("the key is of %s with %d bits; Alipay takes RSA2 (RSA with 2048 bits) and SM2", name, bits)
	}
}

func checkAlipayCertificates(e entered) (accesskey.Evidence, error) {
	app, err := digits(e, "app_id", 16, 16)
	if err != nil {
		return accesskey.Evidence{}, err
	}
	out, cert, err := e.pair("app_certificate", "private_key")
	if err != nil {
		return accesskey.Evidence{}, err
	}
	name, err := alipayAlgorithm(cert.PublicKey)
	if err != nil {
		return accesskey.Evidence{}, err
	}
	theirs, err := e.leaf("alipay_certificate")
	if err != nil {
		return accesskey.Evidence{}, err
	}
	if certificate.SameKey(theirs[0].PublicKey, cert.PublicKey) {
		return accesskey.Evidence{}, fault.InvalidParameter.New("what was entered as Alipay's certificate is the application's own; enter alipayCertPublicKey_RSA2.crt")
	}
	roots, err := certificate.Parse(e.secret("alipay_root"))
	if err != nil {
		return accesskey.Evidence{}, fault.InvalidParameter.New("the field %q cannot be used: %v; enter the whole of alipayRootCert.crt", "alipay_root", err)
	}
	if !reaches(theirs, roots) {
		return accesskey.Evidence{}, fault.InvalidParameter.New("Alipay's certificate was not issued under the root certificates that were entered; download all three files anew")
	}
	for key, value := range map[string]string{
		"app_id": app, "sign_type": name, "app_cert_sn": alipaySN(cert), "alipay_cert_sn": alipaySN(theirs[0]),
		"alipay_not_after": theirs[0].NotAfter.UTC().Format(time.RFC3339),
	} {
		out.Detail[key] = value
	}
	if theirs[0].NotAfter.Before(out.Expiry.At) { // whichever ends first stops the payments
		out.Expiry.At = theirs[0].NotAfter.UTC()
		warn(&out, "Alipay's own certificate ends before the application's", "支付宝公钥证书早于应用公钥证书到期")
	}
	return out, nil
}

// reaches answers whether a chain leads to one of the roots, by signatures.
func reaches(chain, roots []*certificate.X509) bool {
	at := chain[0]
	for range min(len(chain), maxChain) {
		for _, root := range roots {
			if at.Equal(root) || at.CheckSignatureFrom(root) == nil {
				return true
			}
		}
		next := at
		for _, c := range chain {
			if c != at && at.CheckSignatureFrom(c) == nil {
				next = c
			}
		}
		if next == at {
			return false
		}
		at = next
	}
	return false
}

// alipaySN answers the serial number that Alipay's requests carry (app_cert_sn): the MD5
// of the issuer and the decimal serial number. MD5 is Alipay's choice; it protects nothing.
func alipaySN(c *certificate.X509) string {
	sum := md5.Sum([]byte(c.Issuer.String() + c.SerialNumber.String()))
	return hex.EncodeToString(sum[:])
}

func checkUnionPayCertificate(e entered) (accesskey.Evidence, error) {
	merchant := e.setting("mer_id")
	if len(merchant) != 15 || strings.Trim(merchant, alphanumeric) != "" {
		return accesskey.Evidence{}, fault.InvalidParameter.New("the merchant number (merId) has 15 digits or letters; copy it from the mail about your admission")
	}
	content := e.secret("pfx")
	if !pkcs12.Is(content) {
		if decoded, err := base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(content), nil))); err == nil {
			content = decoded
		}
	}
	key, certs, err := certificate.Open(content, e.secret("password"))
	switch {
	case errors.Is(err, pkcs12.ErrPassword):
		return accesskey.Evidence{}, fault.InvalidParameter.New("the password does not open the .pfx file; enter the one under which it was exported")
	case err != nil:
		return accesskey.Evidence{}, fault.InvalidParameter.New("the .pfx file cannot be used: %v", err)
	case key == nil:
		return accesskey.Evidence{}, fault.InvalidParameter.New("the .pfx file holds no private key; export it again with the private key")
	}
	for _, cert := range certs {
		if certificate.Proves(key, cert.PublicKey) != nil {
			continue
		}
		out, err := e.evidence("pfx", cert)
		if err != nil {
			return accesskey.Evidence{}, err
		}
		out.Detail["mer_id"] = merchant
		out.Detail["cert_id"] = cert.SerialNumber.String() // as certId in messages: decimal
		return out, nil
	}
	return accesskey.Evidence{}, fault.InvalidParameter.New("no certificate in the .pfx file fits its private key; export it again from where it was applied for")
}

func checkPayPalSecret(e entered) (accesskey.Evidence, error) {
	id, secret := e.setting("client_id"), string(e.secret("secret"))
	switch {
	case strings.TrimSpace(secret) != secret || strings.ContainsAny(secret, " \t\r\n"):
		return accesskey.Evidence{}, fault.InvalidParameter.New("there is white space in the secret; copy it with the console's copy button")
	case strings.TrimSpace(id) != id || strings.ContainsAny(id, " \t"):
		return accesskey.Evidence{}, fault.InvalidParameter.New("there is white space in the client id; copy it with the console's copy button")
	case id == secret:
		return accesskey.Evidence{}, fault.InvalidParameter.New("the client id and the secret are the same; copy the secret from below the client id")
	case len(secret) < 40:
		return accesskey.Evidence{}, fault.InvalidParameter.New("the secret has %d characters, which is too few; show it whole before you copy it", len(secret))
	}
	out := accesskey.Evidence{ID: "paypal/" + id, Shared: true, Name: "PayPal " + id, Detail: map[string]string{"client_id": id}}
	if !strings.HasPrefix(id, "A") || !strings.HasPrefix(secret, "E") {
		warn(&out, "client ids usually begin with A and secrets with E: were they confused?", "Client ID 通常以 A 开头、secret 以 E 开头:是否填反?")
	}
	return out, nil
}

func checkAnyKey(e entered) (accesskey.Evidence, error) {
	name, value := e.setting("name"), e.secret("value")
	if bytes.Equal([]byte(name), value) {
		return accesskey.Evidence{}, fault.InvalidParameter.New("the name is the key itself; give it a name that may be shown")
	}
	out := accesskey.Evidence{ID: "other/" + name, Shared: true, Name: name, Detail: map[string]string{}}
	if text := e.setting("expires_at"); text != "" {
		at, err := time.Parse(time.RFC3339, text)
		switch {
		case err != nil:
			return accesskey.Evidence{}, fault.InvalidParameter.New("the field %q needs a date, a time and a zone, such as 2027-03-31T23:59:59+08:00", "expires_at")
		case !at.After(e.now):
			return accesskey.Evidence{}, fault.InvalidParameter.New("the key has ended on %s; make a new one", day(at))
		}
		out.Expiry = accesskey.Expiry{At: at.UTC(), Basis: accesskey.Declared}
	}
	if len(bytes.TrimSpace(value)) != len(value) {
		warn(&out, "there is white space around the key: was a line break copied?", "密钥首尾有空白字符:是否多复制了换行?")
	}
	return out, nil
}

// warn adds something to look at.
func warn(e *accesskey.Evidence, english, chinese string) {
	e.Warnings = append(e.Warnings, form.Text{English: english, Chinese: chinese})
}

// digits answers a setting that consists of so many digits.
func digits(e entered, name string, least, most int) (string, error) {
	text := e.setting(name)
	if len(text) < least || len(text) > most || strings.Trim(text, decimal) != "" {
		return "", fault.InvalidParameter.New("the field %q does not have the %d to %d digits that it needs; copy it from the console", name, least, most)
	}
	return text, nil
}

// key answers the private key of a field.
func (e entered) key(field string) (crypto.Signer, error) {
	key, err := certificate.ParseKey(e.secret(field))
	if err != nil {
		return nil, fault.InvalidParameter.New("the field %q cannot be used: %v", field, err)
	}
	return key, nil
}

// leaf answers the certificates of a field; the first is valid now.
func (e entered) leaf(field string) ([]*certificate.X509, error) {
	certs, err := certificate.Parse(e.secret(field))
	if err != nil {
		return nil, fault.InvalidParameter.New("the field %q cannot be used: %v", field, err)
	}
	if err := e.valid(field, certs[0]); err != nil {
		return nil, err
	}
	return certs, nil
}

// pair answers what is known of the certificate of one field, which the key of another fits.
func (e entered) pair(certField, keyField string) (accesskey.Evidence, *certificate.X509, error) {
	certs, err := e.leaf(certField)
	if err != nil {
		return accesskey.Evidence{}, nil, err
	}
	key, err := e.key(keyField)
	if err != nil {
		return accesskey.Evidence{}, nil, err
	}
	if err := certificate.Proves(key, certs[0].PublicKey); err != nil {
		return accesskey.Evidence{}, nil, fault.InvalidParameter.New("the fields %q and %q do not belong together: %v; take both from the same application for a certificate", certField, keyField, err)
	}
	out, err := e.evidence(certField, certs[0])
	return out, certs[0], err
}

// valid refuses a certificate that cannot be used now.
func (e entered) valid(field string, cert *certificate.X509) error {
	switch {
	case e.now.Before(cert.NotBefore):
		return fault.InvalidParameter.New("the certificate in %q is not valid before %s; wait until then, or correct this machine's clock", field, day(cert.NotBefore))
	case e.now.After(cert.NotAfter):
		return fault.InvalidParameter.New("the certificate in %q has expired on %s; apply for a new one", field, day(cert.NotAfter))
	}
	return nil
}

// evidence answers what is known of a certificate, if it is valid now.
func (e entered) evidence(field string, cert *certificate.X509) (accesskey.Evidence, error) {
	if err := e.valid(field, cert); err != nil {
		return accesskey.Evidence{}, err
	}
	seen := certificate.Observe(cert, e.now)
	out := accesskey.Evidence{ID: seen.ID, Name: seen.Name, Expiry: seen.Expiry, Detail: seen.Detail}
	if left := cert.NotAfter.Sub(e.now); left < soon {
		warn(&out, fmt.Sprintf("the certificate ends on %s already: is it the old one?", day(cert.NotAfter)), fmt.Sprintf("该证书将于 %s 到期:是否误填了旧证书?", day(cert.NotAfter)))
	}
	if weak := certificate.Weakness(cert); weak != "" {
		warn(&out, "the certificate is weak: "+weak, "该证书强度不足:"+weak)
	}
	return out, nil
}

// day answers a moment as people at these consoles read it: in China's time, saying so.
func day(at time.Time) string {
	return at.In(time.FixedZone("UTC+8", china)).Format("2006-01-02 15:04 UTC-07:00")
}
