// Package wechatpaytest simulates the part of WeChat Pay that package wechatpay asks: the
// list of platform certificates of one merchant. It verifies the signature, time and nonce
// of each request as strictly as the real service, encrypts and signs what it answers, and
// replaces its certificates as the clock of the test goes on.
package wechatpaytest

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/cloud/certificate"
	"github.com/keyward/keyward/internal/cloud/certificate/certificatetest"
	"github.com/keyward/keyward/internal/lazy"
)

const (
	life     = 5 * 365 * 24 * time.Hour // of a platform certificate
	early    = 10 * 24 * time.Hour      // a new one appears so long before the old one ends
	switches = 5 * 24 * time.Hour       // answers are signed with the new one so long before
	maxSkew  = 5 * time.Minute
)

// A Service is WeChat Pay for one merchant. It is an http.Handler and may be used
// concurrently; its fields are set before the first request.
type Service struct {
	MchID  string
	APIKey []byte            // 32 bytes
	Client *certificate.X509 // the merchant's
	Now    func() time.Time  // the virtual clock
	// Apart is by how much the answer lets a certificate end earlier than the certificate does.
	Apart time.Duration
	// Key is that of all platform certificates; a test that makes many services gives one.
	Key crypto.Signer
	// PublicKey makes the merchant one that uses the WeChat Pay public key.
	PublicKey bool

	tb     testing.TB
	mu     sync.Mutex // guards what follows
	certs  []*certificatetest.Issued
	nonces map[string]bool
}

// New makes the service of a merchant. Its first certificate begins at the clock's time.
func New(tb testing.TB, mchid string, apiKey []byte, client *certificate.X509, now func() time.Time) *Service {
	return &Service{
		MchID: mchid, APIKey: apiKey, Client: client, Now: now,
		tb: tb, nonces: map[string]bool{},
	}
}

// Current answers the platform certificates of this moment, the oldest first.
func (s *Service) Current() []*certificate.X509 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rotate()
	var out []*certificate.X509
	for _, c := range s.certs {
		out = append(out, c.Certificate)
	}
	return out
}

// rotate makes the certificates that the clock asks for and drops those that have ended.
func (s *Service) rotate() {
	now := s.Now()
	if s.Key == nil {
		s.Key = certificatetest.Key(s.tb, "RSA")
	}
	issue := func(from time.Time) {
		s.certs = append(s.certs, certificatetest.Issue(s.tb, certificatetest.Template{
			Name: "Tenpay.com sign", NotBefore: from.UTC().Truncate(time.Second), NotAfter: from.Add(life).UTC().Truncate(time.Second), Key: s.Key,
		}, nil))
	}
	if len(s.certs) == 0 {
		issue(now)
	}
	for ends := s.ends(len(s.certs) - 1); !now.Before(ends.Add(-early)); ends = s.ends(len(s.certs) - 1) {
		issue(ends.Add(-early))
	}
	for len(s.certs) > 1 && !now.Before(s.ends(0)) {
		s.certs = s.certs[1:]
	}
}

func (s *Service) ends(i int) time.Time { return s.certs[i].Certificate.NotAfter.Add(-s.Apart) }

var authorization = lazy.Regexp(`^WECHATPAY2-SHA256-RSA2048 mchid="(\d+)",nonce_str="(\w{1,32})",timestamp="(\d+)",serial_no="([0-9A-F]+)",signature="([A-Za-z0-9+/=]+)"$`)

// ServeHTTP implements http.Handler.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.Method != http.MethodGet || r.URL.Path != "/v3/certificates":
		refuse(w, http.StatusNotFound, "NOT_FOUND", "there is no such path")
	case !strings.Contains(r.Header.Get("Accept"), "application/json") && r.Header.Get("Accept") != "*/*" || r.Header.Get("User-Agent") == "":
		refuse(w, http.StatusBadRequest, "PARAM_ERROR", "Accept and User-Agent are required")
	case !s.signed(r):
		refuse(w, http.StatusUnauthorized, "SIGN_ERROR", "错误的签名,验签失败")
	case s.PublicKey:
		refuse(w, http.StatusNotFound, "RESOURCE_NOT_EXISTS", "无可用的平台证书")
	default:
		s.answer(w)
	}
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"code":%q,"message":%q}`, code, message)
}

// signed answers whether the merchant signed the request, now and for the first time.
func (s *Service) signed(r *http.Request) bool {
	m := authorization().FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil || m[1] != s.MchID || m[4] != certificate.Serial(s.Client) || s.nonces[m[2]] {
		return false
	}
	seconds, err := strconv.ParseInt(m[3], 10, 64)
	if err != nil || s.Now().Sub(time.Unix(seconds, 0)).Abs() > maxSkew {
		return false
	}
	signature, err := base64.StdEncoding.DecodeString(m[5])
	if err != nil {
		return false
	}
	s.nonces[m[2]] = true
	sum := sha256.Sum256([]byte(strings.Join([]string{r.Method, r.URL.RequestURI(), m[3], m[2], "", ""}, "\n")))
	return rsa.VerifyPKCS1v15(s.Client.PublicKey.(*rsa.PublicKey), crypto.SHA256, sum[:], signature) == nil
}

// Answer writes the list as the service would answer it to a request that is in order.
func (s *Service) Answer(w http.ResponseWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer(w)
}

// answer writes the list, encrypted for the merchant and signed by the certificate in use.
func (s *Service) answer(w http.ResponseWriter) {
	s.rotate()
	china := time.FixedZone("", 8*60*60)
	type object = map[string]any
	var data []object
	for i, c := range s.certs {
		nonce := rand.Text()[:12]
		block, err := aes.NewCipher(s.APIKey)
		if err != nil {
			panic(err)
		}
		gcm, err := cipher.NewGCM(block)
		if err != nil {
			panic(err)
		}
		plain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate.Raw})
		data = append(data, object{
			"serial_no": certificate.Serial(c.Certificate), "effective_time": c.Certificate.NotBefore.In(china).Format(time.RFC3339),
			"expire_time": s.ends(i).In(china).Format(time.RFC3339),
			"encrypt_certificate": object{
				"algorithm": "AEAD_AES_256_GCM", "nonce": nonce, "associated_data": "certificate",
				"ciphertext": base64.StdEncoding.EncodeToString(gcm.Seal(nil, []byte(nonce), plain, []byte("certificate"))),
			},
		})
	}
	body, err := json.Marshal(object{"data": data})
	if err != nil {
		panic(err)
	}
	signer := s.certs[0]
	if s.Now().After(s.ends(0).Add(-switches)) {
		signer = s.certs[len(s.certs)-1]
	}
	at, nonce := strconv.FormatInt(s.Now().Unix(), 10), rand.Text()
	sum := sha256.Sum256([]byte(at + "\n" + nonce + "\n" + string(body) + "\n"))
	signature, err := rsa.SignPKCS1v15(nil, signer.Key.(*rsa.PrivateKey), crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Wechatpay-Timestamp", at)
	h.Set("Wechatpay-Nonce", nonce)
	h.Set("Wechatpay-Serial", certificate.Serial(signer.Certificate))
	h.Set("Wechatpay-Signature", base64.StdEncoding.EncodeToString(signature))
	_, _ = w.Write(body)
}
