// Package xks has keys used that stay at an external key manager, over the XKS Proxy API,
// whose wire format package xks below internal has.
//
// A [Client] speaks to one proxy. It believes the server by its certificate, which comes from an
// authority and may be pinned, presents one of its own if it has one, bounds every request in time and size,
// follows no redirect, and takes no answer that the specification does not allow. A proxy that
// fails again and again is left alone for a while (breaker.go), so that callers are not kept
// waiting for it.
//
// A [Cipher] is one key on top of it, and encrypts twice: with a key of its own that is kept
// here, and around that with the manager's. Neither side can decrypt without the other, and the
// manager sees neither plaintexts nor anything that helps to find them.
//
// A [Keystore] is the keystore of external keys: it has a Client for each external instance,
// made from the connection that the instance keeps (package key/instance).
//
// Nothing that a proxy answers is trusted, repeated or cached. Errors are faults whose
// messages may be shown: [fault.KeyUnavailable] when the manager cannot or will not do its
// work, or does it wrongly; then nothing has changed.
package xks

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	protocol "github.com/keyward/keyward/internal/xks"
)

// DefaultTimeout is how long a proxy may take for an answer: AWS KMS waits a quarter of it.
const DefaultTimeout = time.Second

const region = "us-east-1" // of signatures, which any proxy must take

// Options says how a proxy is reached. Endpoint, Configuration and Now are required.
type Options struct {
	Endpoint      string         // https://host[:port]; http only for networks in Allow
	Configuration material.Bytes // path and credential, as the console of AWS KMS takes them from a file
	Fingerprint   string         // SHA-256 of the server's certificate in hexadecimal, which must be believed besides; "" for any
	Authorities   []byte         // PEM; those that this machine trusts if empty
	Certificate   []byte         // PEM of the client's own certificate, with Key; empty for none
	Key           material.Bytes
	Timeout       time.Duration // of one request; 0 for [DefaultTimeout]
	Now           func() time.Time
	Allow         []netip.Prefix // networks that may be reached although they are not public
}

// A Client has keys used by one proxy. Its methods may be called concurrently.
type Client struct {
	http       *http.Client
	base       *url.URL
	prefix     string
	credential protocol.Credential
	timeout    time.Duration
	now        func() time.Time
	breaker    breaker
}

// New makes a Client. It does not reach out; what is wrong with the options is InvalidParameter.
func New(o Options) (*Client, error) {
	base, err := url.Parse(o.Endpoint)
	if err != nil || base.Scheme != "https" && (base.Scheme != "http" || len(o.Allow) == 0) || base.Hostname() == "" ||
		base.User != nil || base.Path != "" && base.Path != "/" || base.RawQuery != "" || base.Fragment != "" {
		return nil, fault.InvalidParameter.New("the endpoint must look like https://host or https://host:port, without the path, which the configuration has; http is for networks that the operator allowed with egress.allow")
	}
	c := &Client{base: base, timeout: o.Timeout, now: o.Now}
	if c.timeout == 0 {
		c.timeout = DefaultTimeout
	}
	if err := c.configure(o.Configuration); err != nil {
		return nil, err
	}
	config, err := o.tls()
	if err != nil {
		return nil, err
	}
	c.http = egress.TLS(o.Allow, config)
	return c, nil
}

// configure reads the file that proxies are described by.
func (c *Client) configure(file material.Bytes) error {
	var in struct {
		XksProxyUriPath                  string //nolint:revive // the file's spelling
		XksProxyAuthenticationCredential struct{ AccessKeyId, RawSecretAccessKey string }
	}
	if err := json.Unmarshal(file.Expose(), &in); err != nil {
		return fault.InvalidParameter.New("the configuration must be the JSON file with path and credential that the console of AWS KMS takes for an external key store, such as keyward xks create --out writes")
	}
	prefix, ok := strings.CutSuffix(in.XksProxyUriPath, "/kms/xks/v1")
	if !ok || !protocol.ValidPrefix(prefix) {
		return fault.InvalidParameter.New("XksProxyUriPath of the configuration must end in /kms/xks/v1 and have at most %d letters, digits, hyphens, underscores and slashes", protocol.MaxPath)
	}
	c.prefix = prefix
	c.credential = protocol.Credential{ID: in.XksProxyAuthenticationCredential.AccessKeyId, Secret: material.NewBytes([]byte(in.XksProxyAuthenticationCredential.RawSecretAccessKey))}
	return c.credential.Check()
}

var errPinned = errors.New("the server has another certificate than the pinned one")

// tls answers how the proxy proves who it is, and keyward to it.
func (o Options) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(o.Authorities) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(o.Authorities) {
			return nil, fault.InvalidParameter.New("there is no certificate in PEM among the authorities")
		}
	}
	if o.Fingerprint != "" {
		want, err := hex.DecodeString(strings.ReplaceAll(o.Fingerprint, ":", ""))
		if err != nil || len(want) != sha256.Size {
			return nil, fault.InvalidParameter.New("the fingerprint must be the SHA-256 of a certificate in hexadecimal")
		}
		config.VerifyConnection = func(s tls.ConnectionState) error {
			if have := sha256.Sum256(s.PeerCertificates[0].Raw); !bytes.Equal(have[:], want) {
				return errPinned
			}
			return nil
		}
	}
	if len(o.Certificate) > 0 {
		own, err := tls.X509KeyPair(o.Certificate, o.Key.Expose())
		if err != nil {
			return nil, fault.InvalidParameter.New("certificate and key of the client, both in PEM, do not belong together")
		}
		config.Certificates = []tls.Certificate{own}
	}
	return config, nil
}

// Close gives back what the client holds.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// An Origin says on whose behalf a proxy is asked.
type Origin struct {
	Account string
	Key     string // of keyward; "" when it is no key's
}

func (o Origin) metadata(operation string) protocol.RequestMetadata {
	var id [16]byte
	rand.Read(id[:])
	m := protocol.RequestMetadata{Principal: "acs:ram::" + o.Account + ":service/keyward", Operation: operation, RequestID: hex.EncodeToString(id[:])}
	if o.Key != "" {
		m.Key = "acs:kms::" + o.Account + ":key/" + o.Key
	}
	return m
}

// Health answers how the proxy and the managers behind it say that they are. One of which
// nobody can do its work is an error.
func (c *Client) Health(ctx context.Context, o Origin) (out protocol.HealthResponse, err error) {
	err = c.call(ctx, protocol.Path{Operation: protocol.GetHealthStatus}, protocol.HealthRequest{Metadata: o.metadata("KmsHealthCheck")}, &out, func() error {
		if err := out.Check(); err != nil || out.Serves() {
			return err
		}
		return fault.Say("no key manager behind the proxy is available")
	})
	return out, err
}

// Check proves that an external key can encrypt and decrypt, with something that is nobody's.
func (c *Client) Check(ctx context.Context, o Origin, id string) error {
	var out protocol.MetadataResponse
	err := c.call(ctx, protocol.Path{Key: id, Operation: protocol.GetKeyMetadata}, protocol.MetadataRequest{Metadata: o.metadata("CreateKey")}, &out, func() error { return nil })
	if err != nil {
		return err
	}
	if why := out.Check(); why != nil {
		return fault.KeyUnavailable.New("the external key manager at %s has a key of this id that cannot be used: %s", c.base.Host, why)
	}
	probe := material.Random(32)
	defer probe.Zero()
	_, err = c.encrypt(ctx, o, id, probe.Expose(), []byte("keyward-check"))
	return err
}

// encrypt has the manager encrypt, and decrypt what it answered before it is believed.
func (c *Client) encrypt(ctx context.Context, o Origin, id string, plaintext, data []byte) (out protocol.EncryptResponse, err error) {
	in := protocol.EncryptRequest{Metadata: o.metadata("Encrypt"), Data: data, Plaintext: plaintext, Algorithm: protocol.Algorithm, CDIVAlgorithm: protocol.CDIVAlgorithm}
	err = c.call(ctx, protocol.Path{Key: id, Operation: protocol.Encrypt}, in, &out, func() error { return out.Check(len(plaintext), data) })
	if err != nil {
		return out, err
	}
	back, err := c.decrypt(ctx, o, id, out, data)
	defer back.Zero()
	if err == nil && !back.Equal(material.NewBytes(plaintext)) || fault.Is(err, fault.InvalidCiphertext) {
		err = fault.KeyUnavailable.New("the external key manager does not decrypt what it has just encrypted; nothing was encrypted, tell its administrator")
	}
	return out, err
}

// decrypt has the manager decrypt. What it does not accept is InvalidCiphertext.
func (c *Client) decrypt(ctx context.Context, o Origin, id string, of protocol.EncryptResponse, data []byte) (material.Bytes, error) {
	var out protocol.DecryptResponse
	in := protocol.DecryptRequest{
		Metadata: o.metadata("Decrypt"), Data: data, Algorithm: protocol.Algorithm,
		Ciphertext: of.Ciphertext, CiphertextMetadata: of.CiphertextMetadata, IV: of.IV, Tag: of.Tag,
	}
	if in.Check() != nil || in.TooLarge() {
		return material.Bytes{}, errInvalid()
	}
	err := c.call(ctx, protocol.Path{Key: id, Operation: protocol.Decrypt}, in, &out, func() error {
		if len(out.Plaintext) != len(of.Ciphertext) {
			return fault.Say("the plaintext is not as long as the ciphertext")
		}
		return nil
	})
	return material.NewBytes(out.Plaintext), err
}

// call makes one request and has its answer checked. Only what check accepts is success.
func (c *Client) call(ctx context.Context, p protocol.Path, in, out any, check func() error) error {
	if !c.breaker.enter(c.now()) {
		return fault.KeyUnavailable.New("the external key manager failed again and again and is left alone for a moment; try again")
	}
	answered, err := c.exchange(ctx, p, in, out)
	if err == nil {
		if wrong := check(); wrong != nil {
			answered, err = false, fault.KeyUnavailable.New("the external key manager at %s answers wrongly: %s", c.base.Host, wrong)
		}
	}
	if ctx.Err() != nil {
		c.breaker.abandon() // who asked went away: that says nothing of the proxy
		return err
	}
	c.breaker.leave(c.now(), answered)
	return err
}

// exchange sends a request; answered tells whether the proxy did its work, be it by refusing.
func (c *Client) exchange(ctx context.Context, p protocol.Path, in, out any) (answered bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	p.Prefix = c.prefix
	body, err := json.Marshal(in)
	if err != nil {
		return true, fmt.Errorf("encoding a request: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.Scheme+"://"+c.base.Host+p.String(), bytes.NewReader(body))
	if err != nil {
		return true, fmt.Errorf("making a request: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	c.credential.Sign(protocol.Request{Host: r.Host, Path: p.String(), Header: r.Header, Body: body}, region, c.now())
	resp, err := c.http.Do(r)
	if err != nil {
		return false, c.unreachable(ctx, err)
	}
	answer, err := egress.ReadBody(resp, protocol.MaxBody)
	defer clear(answer)
	if err != nil {
		return false, c.unreachable(ctx, err)
	}
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests, c.refused(resp.StatusCode, answer)
	}
	if json.Unmarshal(answer, out) != nil {
		return false, fault.KeyUnavailable.New("the external key manager at %s answers what is not of its protocol", c.base.Host)
	}
	return true, nil
}

func (c *Client) unreachable(ctx context.Context, err error) error {
	why := fault.Say("cannot be reached; check its name and port, and the firewalls on the way")
	var unbelieved *tls.CertificateVerificationError
	switch {
	case errors.Is(err, egress.ErrRefused):
		why = fault.Say("is at an address that is not public; an operator may allow its network with egress.allow")
	case errors.Is(err, egress.ErrTooLong):
		why = fault.Say("answers more than its protocol has")
	case ctx.Err() != nil:
		why = fault.Say("did not answer in time")
	case errors.Is(err, errPinned):
		why = fault.Say("has another certificate than the one with the fingerprint")
	case errors.As(err, &unbelieved):
		why = fault.Say("has a certificate that is not believed: it expired, is for another name, or comes from an authority that is not known here; name its authority")
	case errors.Is(err, http.ErrSchemeMismatch):
		why = fault.Say("does not speak TLS; check its port")
	}
	var address *url.Error
	if errors.As(err, &address) {
		err = address.Err // which has no URL
	}
	return fault.KeyUnavailable.Wrap(err, "the external key manager at %s %s", c.base.Host, why)
}

// refusals say what each error name means, for whoever does not know the protocol.
var refusals = map[protocol.ErrorName]fault.Text{
	protocol.ValidationException:           fault.Say("it does not understand the request; perhaps it has another version of the protocol"),
	protocol.InvalidStateException:         fault.Say("the key, or whoever may use it, is disabled or about to be deleted there"),
	protocol.InvalidKeyUsageException:      fault.Say("the key may not be used for this there"),
	protocol.AuthenticationFailedException: fault.Say("the credential of the configuration is wrong or was removed, or the clocks are more than five minutes apart"),
	protocol.AccessDeniedException:         fault.Say("its policies do not allow this"),
	protocol.KeyNotFoundException:          fault.Say("it has no key of this id"),
	protocol.InvalidURIPathException:       fault.Say("it has nothing at the path of the configuration, XksProxyUriPath"),
	protocol.ThrottlingException:           fault.Say("it is asked too often; try again later"),
	protocol.UnsupportedOperationException: fault.Say("it cannot do this, or not with so much data"),
	protocol.DependencyTimeoutException:    fault.Say("it waits in vain for what it needs itself; try again"),
	protocol.InternalException:             fault.Say("it failed; its administrator finds the reason in its log"),
}

// refused answers an error of the proxy. Of its text only a name that the protocol has is
// repeated.
func (c *Client) refused(status int, answer []byte) error {
	var e protocol.ErrorResponse
	if json.Unmarshal(answer, &e) != nil || protocol.Statuses[e.Name] != status {
		return fault.KeyUnavailable.New("the external key manager at %s answers with the status %d, and not as its protocol has it; check the endpoint, and XksProxyUriPath in the configuration", c.base.Host, status)
	}
	if e.Name == protocol.InvalidCiphertextException {
		return errInvalid()
	}
	return fault.KeyUnavailable.New("the external key manager at %s refuses with %s: %s", c.base.Host, e.Name, refusals[e.Name])
}
