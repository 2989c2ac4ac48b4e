package xks

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/cache"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/instance"
	"github.com/keyward/keyward/internal/material"
)

const maxClients = 1000 // that are kept at hand

// KeystoreOptions says what a Keystore is made of. All but Timeout and Allow are required.
type KeystoreOptions struct {
	Inner     key.Keystore // of the half that is kept here
	Instances interface {
		// Instance answers the instance with an id.
		Instance(ctx context.Context, id string) (instance.Instance, error)
	}
	Tenants instance.Tenants
	Timeout time.Duration // of one request; 0 for [DefaultTimeout]
	Now     func() time.Time
	Fresh   func() bool    // whether cached values may be used
	Allow   []netip.Prefix // networks that may be reached although they are not public
}

// A Keystore implements [key.Keystore] for external keys. What it keeps of a version is the
// half that is keyward's, in Inner.
type Keystore struct {
	o       KeystoreOptions
	clients *cache.Cache[string, *Client] // by the instance
}

// NewKeystore makes a Keystore.
func NewKeystore(o KeystoreOptions) *Keystore {
	s := &Keystore{o: o}
	s.clients = cache.New(maxClients, o.Fresh, s.dial)
	return s
}

// Manager answers how instances try their connections.
func (s *Keystore) Manager() instance.Manager {
	return instance.Manager{Form: fields(), Check: s.check}
}

func fields() form.Form {
	return form.Form{
		Settings: []form.Field{
			{Name: "endpoint", Required: true, Example: "https://xks.example.com", Help: form.Text{English: "URL of the proxy, without a path", Chinese: "代理的 URL，不含路径"}},
			{Name: "fingerprint", Help: form.Text{English: "SHA-256 of its certificate, which alone is believed then", Chinese: "其证书的 SHA-256 指纹；设置后只信任该证书"}},
			{Name: "authorities", Lines: true, Help: form.Text{English: "certificates of the authority that its own comes from, in PEM; those that this machine trusts if empty", Chinese: "签发其证书的 CA 证书（PEM）；留空则使用本机信任的 CA"}},
			{Name: "certificate", Lines: true, Help: form.Text{English: "certificate to present, in PEM", Chinese: "向其出示的证书（PEM）"}},
		},
		Credential: []form.Field{
			{Name: "configuration", Required: true, Help: form.Text{English: "path and credential, the file that AWS KMS takes", Chinese: "路径和凭证，即 AWS KMS 所用的配置文件"}},
			{Name: "certificate_key", Help: form.Text{English: "private key of the certificate, in PEM", Chinese: "所出示证书的私钥（PEM）"}},
		},
	}
}

func (s *Keystore) open(f form.Filling) (*Client, error) {
	return New(Options{
		Endpoint: f.Settings["endpoint"], Fingerprint: f.Settings["fingerprint"], Authorities: []byte(f.Settings["authorities"]),
		Certificate: []byte(f.Settings["certificate"]), Key: f.Credential["certificate_key"], Configuration: f.Credential["configuration"],
		Timeout: s.o.Timeout, Now: s.o.Now, Allow: s.o.Allow,
	})
}

func (s *Keystore) check(ctx context.Context, account string, f form.Filling) error {
	c, err := s.open(f)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Health(ctx, Origin{Account: account})
	return err
}

// dial makes the client of an instance.
func (s *Keystore) dial(ctx context.Context, id string) (*Client, error) {
	i, err := s.o.Instances.Instance(ctx, id)
	if err != nil {
		return nil, err
	}
	f, err := i.Open(ctx, s.o.Tenants)
	if err != nil {
		return nil, fmt.Errorf("opening the connection of instance %s: %w", id, err)
	}
	defer f.Erase()
	return s.open(f)
}

// Changed forgets the client of an instance that was changed; table "" means everything. The
// store's change feed calls it.
func (s *Keystore) Changed(table, id string) {
	switch table {
	case "", "iam_account": // its tenant key may be gone
		s.clients.Clear()
	case "kms_instance":
		_, id, _ = strings.Cut(id, "/")
		s.clients.Forget(id)
	}
}

// Age drops the clients, with their credentials, that were not used since the last call, and
// answers how many.
func (s *Keystore) Age() int { return s.clients.Age() }

func origin(k key.Key) Origin { return Origin{Account: k.Account, Key: string(k.ID)} }

// Offers implements [key.Keystore]: the manager's key must be there and work.
func (s *Keystore) Offers(ctx context.Context, k key.Key) error {
	c, err := s.clients.Get(ctx, k.Instance)
	if err != nil {
		return err
	}
	return c.Check(ctx, origin(k), k.External)
}

// Generate implements [key.Keystore]: it makes the half that is kept here.
func (s *Keystore) Generate(ctx context.Context, k key.Key, v *key.Version) error {
	return s.o.Inner.Generate(ctx, k, v)
}

// Open implements [key.Keystore]. It does not reach out.
func (s *Keystore) Open(ctx context.Context, k key.Key, v key.Version) (key.Material, error) {
	inner, err := s.o.Inner.Open(ctx, k, v)
	if err != nil {
		return key.Material{}, err
	}
	id, _ := k.ID.Bytes() // Inner has looked at them
	version, _ := v.ID.Bytes()
	return key.Material{Cipher: placed{s, k.Instance, Cipher{
		Origin: origin(k), External: k.External, Inner: inner.Cipher,
		Header: material.Header{Suite: material.SuiteExternal, Key: id, Version: version},
	}}}, nil
}

// Destroy implements [key.Keystore]: without the half that is kept here, which goes with the
// rows, the other one decrypts nothing. The manager's key is the manager's.
func (s *Keystore) Destroy(context.Context, key.Key) error { return nil }

// placed is a Cipher whose client is that which the instance has now: its connection may
// change while the version is in use.
type placed struct {
	keystore *Keystore
	instance string
	cipher   Cipher
}

// Seal implements [key.Cipher].
func (p placed) Seal(ctx context.Context, plaintext []byte, of material.Context) (_ []byte, err error) {
	if p.cipher.Client, err = p.keystore.clients.Get(ctx, p.instance); err != nil {
		return nil, err
	}
	return p.cipher.Seal(ctx, plaintext, of)
}

// Open implements [key.Cipher].
func (p placed) Open(ctx context.Context, ciphertext []byte, of material.Context) (_ material.Bytes, err error) {
	if p.cipher.Client, err = p.keystore.clients.Get(ctx, p.instance); err != nil {
		return material.Bytes{}, err
	}
	return p.cipher.Open(ctx, ciphertext, of)
}
