package certificate

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/emmansun/gmsm/smx509"
	"golang.org/x/sync/errgroup"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
)

const (
	maxPasswords = 16
	dials        = 8      // endpoints that are reached at once
	maxKeys      = 10_000 // certificates of one source
)

// Kind answers the provider kind "x509", which reads files in these directories only;
// none means that no file is read.
func Kind(directories []string) accesskey.KindOfProvider {
	directories = slices.Clone(directories)
	return accesskey.KindOfProvider{
		Name:  "x509",
		Title: form.Text{English: "X.509 certificates in files and at TLS endpoints", Chinese: "X.509 证书:文件与 TLS 端点"},
		Form: form.Form{
			Settings: []form.Field{
				{Name: "files", Help: form.Text{
					English: "certificate files on the server, with wildcards; a comma or a space between two",
					Chinese: "服务器上的证书文件,可用通配符;多个以逗号或空格分隔"}, Example: "/etc/letsencrypt/live/*/fullchain.pem, /etc/pay/*.pfx"},
				{Name: "endpoints", Help: form.Text{
					English: "TLS endpoints: host:port, host:port#name to ask for another name, smtp:// or imap:// for STARTTLS",
					Chinese: "TLS 端点:host:port;host:port#名称 可指定 SNI;STARTTLS 用 smtp:// 或 imap://"}, Example: "pay.example.com:443, 10.0.0.7:8443#pay.example.com, smtp://mail.example.com:587"},
				{Name: "roots", Help: form.Text{
					English: "files with the certificates of your own authorities, which chains may verify up to beside the system's",
					Chinese: "自建 CA 的证书文件;校验证书链时与系统信任的根证书一并使用"}, Example: "/etc/pki/corp-root.pem"},
			},
			Credential: []form.Field{
				{Name: "passwords", Help: form.Text{
					English: "passwords of the PKCS#12 files, one in a line; each is tried",
					Chinese: "PKCS#12(.pfx/.p12)文件的密码,每行一个,逐个尝试"}},
			},
		},
		Capabilities: accesskey.Capabilities{Expiry: true, Manual: true},
		Pace:         time.Hour,
		Open:         func(o accesskey.Opening) (accesskey.Provider, error) { return open(o, directories) },
	}
}

type provider struct {
	files     []pattern
	roots     []pattern
	endpoints []endpoint
	passwords [][]byte
	allow     []netip.Prefix
	now       func() time.Time
}

func open(o accesskey.Opening, directories []string) (accesskey.Provider, error) {
	p := &provider{allow: o.Allow, now: o.Now}
	var err error
	if p.files, err = patterns(o.Settings["files"], directories); err != nil {
		return nil, err
	}
	if p.roots, err = patterns(o.Settings["roots"], directories); err != nil {
		return nil, err
	}
	if p.endpoints, err = endpoints(o.Settings["endpoints"]); err != nil {
		return nil, err
	}
	if len(p.files)+len(p.endpoints) == 0 {
		return nil, fault.MissingParameter.New("nothing is watched yet: name files or endpoints")
	}
	for line := range bytes.Lines(o.Credential["passwords"].Expose()) {
		p.passwords = append(p.passwords, bytes.TrimRight(line, "\r\n"))
	}
	if p.passwords == nil {
		p.passwords = [][]byte{nil} // some files have an empty password
	}
	if len(p.passwords) > maxPasswords {
		return nil, fault.InvalidParameter.New("there are %d passwords, at most %d are tried; make a second source", len(p.passwords), maxPasswords)
	}
	return p, nil
}

// identity is the same for all sources of this kind: nobody's account is read.
var identity = accesskey.Identity{Account: "x509"}

// Check implements accesskey.Provider: at least one certificate can be seen.
func (p *provider) Check(ctx context.Context) (accesskey.Identity, error) {
	snapshot, err := p.Observe(ctx)
	if err != nil {
		return accesskey.Identity{}, err
	}
	if len(snapshot.Keys) == 0 {
		first := snapshot.Problems[0]
		return accesskey.Identity{}, fault.InvalidParameter.New("no certificate can be seen: %s: %s", first.What, first.Reason)
	}
	return identity, nil
}

// Observe implements accesskey.Provider.
func (p *provider) Observe(ctx context.Context) (accesskey.Snapshot, error) {
	c := collection{now: p.now(), places: map[string][]string{}, certs: map[string]*X509{}}
	p.readFiles(&c)
	p.readEndpoints(ctx, &c)
	if err := ctx.Err(); err != nil {
		return accesskey.Snapshot{}, fault.Unavailable.Wrap(err, "looking at certificates was interrupted; try again")
	}
	return c.snapshot(len(p.endpoints)), nil
}

func (p *provider) readFiles(c *collection) {
	for _, pattern := range p.files {
		files, err := pattern.read()
		if err != nil {
			// Which files it named before is not known, so nothing at all is gone.
			c.problems = append(c.problems, accesskey.Problem{What: pattern.path, Reason: err.Error(), Lists: true})
		}
		for _, f := range files {
			certs, err := []*X509(nil), f.err
			if err == nil {
				certs, err = p.certificates(f.content)
			}
			clear(f.content) // there may be a private key in it
			if err != nil {
				c.problem(f.path, err.Error())
			}
			c.add(f.path, certs)
		}
	}
}

func (p *provider) readEndpoints(ctx context.Context, c *collection) {
	roots, err := p.trusted(c)
	if err != nil {
		c.problems = append(c.problems, accesskey.Problem{What: "roots", Reason: err.Error()})
	}
	type answer struct {
		chain []*X509
		err   error
	}
	answers := make([]answer, len(p.endpoints))
	var group errgroup.Group
	group.SetLimit(dials)
	for i, e := range p.endpoints {
		group.Go(func() error {
			answers[i].chain, answers[i].err = e.chain(ctx, p.allow)
			return nil // one that does not answer stops no other
		})
	}
	_ = group.Wait() // nothing answers an error
	for i, e := range p.endpoints {
		chain, err := answers[i].chain, answers[i].err
		if err != nil {
			c.problem(e.text, fmt.Sprintf("it cannot be read: %s; check that the server can reach it, and that the operator allowed its network if that is private", cut(err.Error())))
		}
		c.add(e.text, chain)
		if len(chain) > 0 {
			for _, reason := range e.verify(chain, roots, c.now) {
				c.problems = append(c.problems, accesskey.Problem{What: e.text, Subject: ID(chain[0]), Reason: reason})
			}
		}
	}
}

// trusted answers the system's roots and those of the source.
func (p *provider) trusted(c *collection) (*smx509.CertPool, error) {
	pool, err := smx509.SystemCertPool()
	if err != nil {
		pool, err = smx509.NewCertPool(), fmt.Errorf("the system's roots cannot be read: %w", err)
	}
	for _, pattern := range p.roots {
		files, bad := pattern.read()
		if bad != nil {
			c.problems = append(c.problems, accesskey.Problem{What: pattern.path, Reason: bad.Error()})
		}
		for _, f := range files {
			certs, bad := []*X509(nil), f.err
			if bad == nil {
				certs, bad = Parse(f.content)
			}
			if bad != nil {
				c.problems = append(c.problems, accesskey.Problem{What: f.path, Reason: bad.Error()})
			}
			for _, cert := range certs {
				pool.AddCert(cert)
			}
		}
	}
	return pool, err
}

// A collection is what was seen so far.
type collection struct {
	now      time.Time
	order    []string            // ids of certificates
	certs    map[string]*X509    // by id
	places   map[string][]string // by id
	holders  []string            // all places that hold certificates
	problems []accesskey.Problem
}

// problem notes a place that could not be read: what it holds is not gone.
func (c *collection) problem(place, reason string) {
	c.problems = append(c.problems, accesskey.Problem{What: place, Subject: place, Reason: reason, Lists: true})
}

func (c *collection) add(place string, certs []*X509) {
	if len(certs) > 0 && !slices.Contains(c.holders, place) {
		c.holders = append(c.holders, place)
	}
	for _, cert := range certs {
		id := ID(cert)
		if c.certs[id] == nil {
			if len(c.order) == maxKeys {
				c.problem(place, fmt.Sprintf("there are more than %d certificates; make a second source", maxKeys))
				return
			}
			c.order, c.certs[id] = append(c.order, id), cert
		}
		if !slices.Contains(c.places[id], place) {
			c.places[id] = append(c.places[id], place)
		}
	}
}

func (c *collection) snapshot(calls int) accesskey.Snapshot {
	out := accesskey.Snapshot{Identity: identity, Problems: c.problems, Calls: calls}
	for _, place := range c.holders {
		out.Principals = append(out.Principals, accesskey.Principal{ID: place, Name: place, Kind: accesskey.Program})
	}
	for _, id := range c.order {
		seen := Observe(c.certs[id], c.now)
		seen.Principal = c.places[id][0]
		seen.Detail[DetailFound] = list(c.places[id])
		out.Keys = append(out.Keys, seen)
	}
	return out
}
