// Package csr builds certificate signing requests (PKCS #10, RFC 2986) for key pairs that
// sign somewhere else.
//
// A [Request] is what a person says of the subject. It is checked field by field and
// encoded as it was written: texts that are not printable ASCII as UTF-8, nothing trimmed
// or folded. [Request.Encode] has it signed by a function, which may ask a hardware token.
// The package has no state and keeps nothing.
package csr

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/lazy"
	"github.com/keyward/keyward/internal/material"
)

// A Request says for whom a certificate is wanted. CommonName is required.
type Request struct {
	CommonName   string   // CN, 1 to 64 characters
	Organization string   // O, at most 64, verbatim
	Unit         string   // OU, at most 64
	State        string   // ST, at most 128
	Locality     string   // L, at most 128
	Country      string   // C, ISO 3166-1 alpha-2 in capitals
	Email        string   // E, at most 255
	Names        []string // subject alternative names: host names, addresses, e-mail addresses and URIs, at most 100
}

// maxNames is how many alternative names a request has at most.
const maxNames = 100

// The upper bounds are those of RFC 5280, appendix A.1, in characters.
type field struct {
	name  string
	value string
	most  int
}

var (
	emailPattern = lazy.Regexp(`^[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+$`)
	hostPattern  = lazy.Regexp(`^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)
)

// Check refuses, as [fault.InvalidParameter] or [fault.MissingParameter], what no
// certificate should say.
func (r Request) Check() error {
	if r.CommonName == "" {
		return fault.MissingParameter.New("CommonName is mandatory for this action.")
	}
	for _, f := range []field{
		{"CommonName", r.CommonName, 64}, {"Organization", r.Organization, 64}, {"OrganizationUnit", r.Unit, 64},
		{"State", r.State, 128}, {"Locality", r.Locality, 128}, {"Email", r.Email, 255},
	} {
		if !utf8.ValidString(f.value) || utf8.RuneCountInString(f.value) > f.most || strings.ContainsFunc(f.value, unprintable) {
			return fault.InvalidParameter.New("The specified parameter %s is not valid. It may have %d characters, and no control characters.", f.name, f.most)
		}
	}
	if r.Country != "" && !slices.Contains(strings.Fields(countries), r.Country) {
		return fault.InvalidParameter.New("The specified parameter Country is not valid. It must be a code of ISO 3166-1 with two capital letters, such as CN.")
	}
	if r.Email != "" && !emailPattern().MatchString(r.Email) {
		return fault.InvalidParameter.New("The specified parameter Email is not valid. It must look like name@example.com.")
	}
	if len(r.Names) > maxNames {
		return fault.LimitExceeded.New("a request has at most %d subject alternative names", maxNames)
	}
	for _, name := range r.Names {
		if _, ok := generalName(name); !ok {
			return fault.InvalidParameter.New("The specified subject alternative name is not valid. It must be a host name, an IP address, an e-mail address, or a URI with a host.")
		}
	}
	return nil
}

// unprintable tells what has no place in a name: control and format characters, such as
// those that turn the direction of text, which make a name look like another.
func unprintable(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }

// The tags of GeneralName, RFC 5280, section 4.2.1.6.
const (
	tagEmail   = 1
	tagHost    = 2
	tagURI     = 6
	tagAddress = 7
)

func generalName(name string) (asn1.RawValue, bool) {
	tagged := func(tag int, content []byte) (asn1.RawValue, bool) {
		return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: content}, true
	}
	if address, err := netip.ParseAddr(name); err == nil && address.Zone() == "" {
		return tagged(tagAddress, address.Unmap().AsSlice())
	}
	if u, err := url.Parse(name); err == nil && u.Scheme != "" && reachable(u.Hostname()) && len(name) <= 2048 && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return tagged(tagURI, []byte(name))
	}
	if len(name) <= 255 && emailPattern().MatchString(name) {
		return tagged(tagEmail, []byte(name))
	}
	if len(name) <= 253 && hostPattern().MatchString(name) {
		return tagged(tagHost, []byte(name))
	}
	return asn1.RawValue{}, false
}

// reachable tells whether a URI names a host that can exist.
func reachable(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil || hostPattern().MatchString(host) && !strings.HasPrefix(host, "*")
}

var (
	oidCommonName   = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidCountry      = asn1.ObjectIdentifier{2, 5, 4, 6}
	oidLocality     = asn1.ObjectIdentifier{2, 5, 4, 7}
	oidState        = asn1.ObjectIdentifier{2, 5, 4, 8}
	oidOrganization = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidUnit         = asn1.ObjectIdentifier{2, 5, 4, 11}
	oidEmail        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
	oidExtensions   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 14} // extensionRequest of PKCS #9
	oidNames        = asn1.ObjectIdentifier{2, 5, 29, 17}                // subjectAltName
)

// signatures are the AlgorithmIdentifiers, in DER, of what requests are signed with.
// Sources: RFC 4055 (PSS: SHA-256, MGF1 with SHA-256, a salt of 32 bytes), RFC 5758,
// GM/T 0006.
var signatures = map[material.Algorithm]asn1.RawValue{
	material.PKCS1SHA256: {FullBytes: []byte{0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 5, 0}},
	material.PSSSHA256: {FullBytes: []byte{0x30, 0x41, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10,
		0x30, 0x34, 0xa0, 0x0f, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0,
		0xa1, 0x1c, 0x30, 0x1a, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 8, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0,
		0xa2, 3, 2, 1, 32}},
	material.ECDSASHA256: {FullBytes: []byte{0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2}},
	material.SM2DSA:      {FullBytes: []byte{0x30, 0x0a, 6, 8, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 1, 0x83, 0x75}},
}

// What a request is made of, RFC 2986, section 4.
type (
	info struct {
		Version    int
		Subject    asn1.RawValue
		PublicKey  asn1.RawValue
		Attributes []attribute `asn1:"tag:0,set"`
	}
	attribute struct {
		ID     asn1.ObjectIdentifier
		Values [][]pkix.Extension `asn1:"set"`
	}
	envelope struct {
		Info      asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
)

// A Signer signs a digest of 32 bytes.
type Signer func(digest []byte) ([]byte, error)

// Encode answers the request for a public key as a "CERTIFICATE REQUEST" block, signed.
func (r Request) Encode(public *material.Public, a material.Algorithm, sign Signer) (string, error) {
	subject, err := r.subject()
	if err != nil {
		return "", err
	}
	content := info{Subject: asn1.RawValue{FullBytes: subject}, PublicKey: asn1.RawValue{FullBytes: public.SPKI()}, Attributes: []attribute{}}
	if len(r.Names) > 0 {
		names, err := r.names()
		if err != nil {
			return "", err
		}
		content.Attributes = []attribute{{ID: oidExtensions, Values: [][]pkix.Extension{{{Id: oidNames, Value: names}}}}}
	}
	signed, err := asn1.Marshal(content)
	if err != nil {
		return "", fmt.Errorf("encoding a certificate request: %w", err)
	}
	digest, err := public.Digest(a, signed)
	if err != nil {
		return "", err
	}
	signature, err := sign(digest)
	if err != nil {
		return "", err
	}
	der, err := asn1.Marshal(envelope{asn1.RawValue{FullBytes: signed}, signatures[a], asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}})
	if err != nil {
		return "", fmt.Errorf("encoding a certificate request: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), nil
}

// subject encodes the distinguished name, from the country to the common name.
func (r Request) subject() ([]byte, error) {
	var sequence pkix.RDNSequence
	for _, part := range []struct {
		id    asn1.ObjectIdentifier
		value string
	}{
		{oidCountry, r.Country}, {oidState, r.State}, {oidLocality, r.Locality}, {oidOrganization, r.Organization},
		{oidUnit, r.Unit}, {oidCommonName, r.CommonName},
	} {
		if part.value != "" {
			sequence = append(sequence, pkix.RelativeDistinguishedNameSET{{Type: part.id, Value: part.value}})
		}
	}
	if r.Email != "" {
		mail := asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte(r.Email)}
		sequence = append(sequence, pkix.RelativeDistinguishedNameSET{{Type: oidEmail, Value: mail}})
	}
	der, err := asn1.Marshal(sequence)
	if err != nil {
		return nil, fmt.Errorf("encoding a distinguished name: %w", err)
	}
	return der, nil
}

func (r Request) names() ([]byte, error) {
	var all []asn1.RawValue
	for _, name := range r.Names {
		if encoded, ok := generalName(name); ok {
			all = append(all, encoded)
		}
	}
	der, err := asn1.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("encoding alternative names: %w", err)
	}
	return der, nil
}

// countries are the codes of ISO 3166-1 alpha-2 that are officially assigned.
const countries = `
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN
CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN
HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM
MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC
SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS
YE YT ZA ZM ZW`
