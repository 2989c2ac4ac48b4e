package wechatpay

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/cloud/certificate"
	"github.com/keyward/keyward/internal/fault"
)

// maxCertificates bounds an answer; there are one or two.
const maxCertificates = 50

// A platform is a platform certificate as WeChat Pay tells of it.
type platform struct {
	cert      *certificate.X509
	effective time.Time // from when WeChat Pay uses it
	expire    time.Time // until when, as the answer says; the certificate may say otherwise
}

// decode reads the list of platform certificates and decrypts each with the APIv3 key.
func decode(body, apiKey []byte) ([]platform, error) {
	var answer struct {
		Data []struct {
			Serial    string `json:"serial_no"`
			Effective string `json:"effective_time"`
			Expire    string `json:"expire_time"`
			Encrypted struct {
				Algorithm  string
				Nonce      string
				Associated string `json:"associated_data"`
				Ciphertext string
			} `json:"encrypt_certificate"`
		}
	}
	malformed := func(what fault.Text) error {
		return fault.Unavailable.New("the answer of WeChat Pay is malformed: %s", what)
	}
	if json.Unmarshal(body, &answer) != nil || len(answer.Data) == 0 || len(answer.Data) > maxCertificates {
		return nil, malformed(fault.Say("it is no list of certificates"))
	}
	block, err := aes.NewCipher(apiKey)
	if err != nil {
		return nil, fault.InvalidParameter.New("the APIv3 key needs 32 bytes")
	}
	var out []platform
	for _, entry := range answer.Data {
		e := entry.Encrypted
		ciphertext, err := base64.StdEncoding.DecodeString(e.Ciphertext)
		if err != nil || e.Algorithm != "AEAD_AES_256_GCM" || e.Nonce == "" {
			return nil, malformed(fault.Say("a certificate is not encrypted as AEAD_AES_256_GCM"))
		}
		gcm, err := cipher.NewGCMWithNonceSize(block, len(e.Nonce))
		if err != nil {
			return nil, malformed(fault.Say("the nonce of a certificate"))
		}
		plain, err := gcm.Open(nil, []byte(e.Nonce), ciphertext, []byte(e.Associated))
		if err != nil {
			return nil, fault.InvalidParameter.New("the APIv3 key does not decrypt the platform certificates; it was perhaps set anew, so enter the one that holds now")
		}
		certs, err := certificate.Parse(plain)
		if err != nil || !strings.EqualFold(certificate.Serial(certs[0]), entry.Serial) {
			return nil, malformed(fault.Say("a certificate is not what its entry says"))
		}
		p := platform{cert: certs[0]}
		if p.effective, err = time.Parse(time.RFC3339, entry.Effective); err == nil {
			p.expire, err = time.Parse(time.RFC3339, entry.Expire)
		}
		if err != nil {
			return nil, malformed(fault.Say("a time is not of RFC 3339"))
		}
		out = append(out, p)
	}
	return out, nil
}
