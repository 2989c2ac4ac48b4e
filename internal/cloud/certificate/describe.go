package certificate

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
)

// The names of what is told of a certificate, in Observed.Detail.
const (
	DetailSubject   = "subject"
	DetailIssuer    = "issuer"
	DetailSerial    = "serial" // hex, upper case, as consoles show it
	DetailNames     = "names"  // DNS names, addresses, mail addresses; a comma and a space between two
	DetailAlgorithm = "algorithm"
	DetailBits      = "key_bits"
	DetailSignature = "signature"
	DetailNotBefore = "not_before" // RFC 3339, UTC
	DetailPosition  = "position"   // "leaf", "intermediate" or "root"
	DetailFound     = "found"      // the places, a comma and a space between two
	DetailWeak      = "weak"       // why; absent if nothing is
)

const (
	maxNames = 50  // that are told of one certificate
	maxText  = 512 // bytes of a subject or an issuer
)

// Describe answers what is told of a certificate, without where it was found.
func Describe(c *X509) map[string]string {
	name, bits := Algorithm(c.PublicKey)
	out := map[string]string{
		DetailSubject: cut(c.Subject.String()), DetailIssuer: cut(c.Issuer.String()), DetailSerial: Serial(c),
		DetailAlgorithm: name, DetailSignature: c.SignatureAlgorithm.String(),
		DetailNotBefore: c.NotBefore.UTC().Format(time.RFC3339), DetailPosition: position(c),
	}
	if bits > 0 {
		out[DetailBits] = strconv.Itoa(bits)
	}
	if names := Names(c); len(names) > 0 {
		out[DetailNames] = list(names)
	}
	if weak := Weakness(c); weak != "" {
		out[DetailWeak] = weak
	}
	return out
}

// Serial answers the serial number in hex, upper case and whole bytes, as WeChat Pay and
// most consoles write it.
func Serial(c *X509) string {
	sign := ""
	if c.SerialNumber.Sign() < 0 {
		sign = "-"
	}
	return sign + strings.ToUpper(hex.EncodeToString(c.SerialNumber.Bytes()))
}

// Names answers the names that a certificate is for.
func Names(c *X509) []string {
	out := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		out = append(out, ip.String())
	}
	return append(out, c.EmailAddresses...)
}

func position(c *X509) string {
	switch {
	case !c.IsCA:
		return "leaf"
	case string(c.RawSubject) == string(c.RawIssuer):
		return "root"
	default:
		return "intermediate"
	}
}

// list joins texts, but not endlessly many.
func list(texts []string) string {
	if more := len(texts) - maxNames; more > 0 {
		return strings.Join(texts[:maxNames], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(texts, ", ")
}

func cut(text string) string {
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return text
}

// Observe answers a certificate as a key of the inventory, without where it was found.
func Observe(c *X509, now time.Time) accesskey.Observed {
	status := accesskey.Active
	switch {
	case now.After(c.NotAfter):
		status = accesskey.Expired
	case now.Before(c.NotBefore):
		status = accesskey.Inactive // it will be usable
	}
	name := c.Subject.CommonName
	if name == "" {
		name = list(Names(c))
	}
	return accesskey.Observed{
		ID: ID(c), Name: cut(name), Status: status, CreatedAt: c.NotBefore.UTC(),
		Expiry: accesskey.Expiry{At: c.NotAfter.UTC(), Basis: accesskey.Certificate}, Detail: Describe(c),
	}
}
