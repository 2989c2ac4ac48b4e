// Package egress reaches out to addresses that somebody configured, without letting
// them lead to where they must not: the machine itself, the private network around it,
// a cloud's metadata service.
//
// A [Guard] looks at the address that is about to be dialled, after the name has been
// resolved, so a name that answers differently the second time gains nothing. What is
// not a plain public address is refused unless the operator allowed its network.
// Requests follow no redirect and use no proxy from the environment. Those of a [Client]
// are bounded in time and size; who has only an HTTP client bounds both.
//
// Who may call: whatever dials an address that a person entered: a witness, a provider, a
// channel, a repository, a sink. What is trusted: the address that the kernel is about to
// connect to, and the networks that the operator allowed; no name and no answer is.
package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	patience = 10 * time.Second // for one request, from the name to the last byte
	maxBody  = 1 << 20          // bytes of an answer
)

// ErrRefused is wrapped by the error of an address that may not be reached.
var ErrRefused = errors.New("refused by the guard of outgoing connections")

// special are the networks that are not plainly public: of the machine, of its site, of
// the provider, or ways to write one of these as something else (RFC 6890 and others).
var special = prefixes(
	"0.0.0.0/8",        // this network
	"10.0.0.0/8",       // private
	"100.64.0.0/10",    // carrier-grade NAT; Alibaba Cloud's metadata is 100.100.100.200
	"127.0.0.0/8",      // loopback
	"168.63.129.16/32", // the metadata of Azure, at an address that is public otherwise
	"169.254.0.0/16",   // link-local; the metadata of AWS, Tencent Cloud and others
	"172.16.0.0/12",    // private
	"192.0.0.0/24",     // IETF protocols
	"192.0.2.0/24",     // documentation
	"192.88.99.0/24",   // 6to4 relays
	"192.168.0.0/16",   // private
	"198.18.0.0/15",    // benchmarks
	"198.51.100.0/24",  // documentation
	"203.0.113.0/24",   // documentation
	"224.0.0.0/4",      // multicast
	"240.0.0.0/4",      // reserved, broadcast
	"::/96",            // unspecified, loopback, IPv4-compatible
	"64:ff9b::/96",     // NAT64
	"64:ff9b:1::/48",   // NAT64 of the site
	"100::/64",         // discard
	"2001::/23",        // IETF protocols, among them Teredo
	"2001:db8::/32",    // documentation
	"2002::/16",        // 6to4
	"3fff::/20",        // documentation
	"5f00::/16",        // segment routing
	"fc00::/7",         // unique local
	"fe80::/10",        // link-local
	"fec0::/10",        // site-local, as it was once
	"ff00::/8",         // multicast
)

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		out[i] = netip.MustParsePrefix(text)
	}
	return out
}

// A Guard says what may be reached. The zero Guard allows public addresses at any port.
type Guard struct {
	Allow []netip.Prefix // networks that may be reached although they are not public
	Ports []uint16       // that may be reached; none means all
	// Plain is set for a scheme without encryption. Then only what Allow names is reached.
	Plain bool
	// Own answers the addresses of this machine, which are reached only if Allow names
	// them; nil means what the network interfaces have.
	Own func() ([]net.Addr, error)
}

// Check answers nil if the address may be reached, or an error that wraps [ErrRefused].
func (g Guard) Check(to netip.AddrPort) error {
	ip := to.Addr().Unmap() // an IPv4 address in IPv6's clothes is that IPv4 address
	refuse := func(why string) error {
		return fmt.Errorf("connecting to %s: %s: %w; an operator may allow its network by name", to, why, ErrRefused)
	}
	if len(g.Ports) > 0 && !slices.Contains(g.Ports, to.Port()) {
		return refuse("another port was named")
	}
	if ip.Zone() != "" {
		return refuse("it is not a public address")
	}
	contains := func(p netip.Prefix) bool { return p.Contains(ip) }
	if slices.ContainsFunc(g.Allow, contains) {
		return nil
	}
	if g.Plain {
		return refuse("without https only allowed networks are reached")
	}
	if !ip.IsGlobalUnicast() || slices.ContainsFunc(special, contains) {
		return refuse("it is not a public address")
	}
	interfaces := g.Own
	if interfaces == nil {
		interfaces = net.InterfaceAddrs
	}
	own, err := interfaces()
	if err != nil {
		return fmt.Errorf("connecting to %s: looking for this machine's own addresses: %w", to, err)
	}
	for _, a := range own {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap() == ip {
			return refuse("it is this machine")
		}
	}
	return nil
}

// Look tells before anything is sent whether a host may be reached at a port: nil if one of
// the addresses that it has now may be, or an error that wraps [ErrRefused], or that of the
// name service. Whoever dials later is guarded all the same.
func (g Guard) Look(ctx context.Context, host string, port uint16) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host) // which takes an address for itself
	if err != nil {
		return fmt.Errorf("looking up a host: %w", err)
	}
	for _, ip := range addrs {
		if err = g.Check(netip.AddrPortFrom(ip, port)); err == nil {
			return nil
		}
	}
	return err
}

// control is called for each connection, when its address is known and before it is made.
func (g Guard) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("connecting to %q: it is not an IP address: %w", address, ErrRefused)
	}
	return g.Check(to)
}

// Dialer answers a dialer that reaches only what the guard allows.
func (g Guard) Dialer() *net.Dialer { return &net.Dialer{Timeout: patience, Control: g.control} }

// transport answers what requests go over: connections of the dialer, no proxy.
func (g Guard) transport() *http.Transport {
	return &http.Transport{DialContext: g.Dialer().DialContext, TLSHandshakeTimeout: patience, MaxResponseHeaderBytes: 64 << 10}
}

// stay is [http.Client.CheckRedirect] of who follows none.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// idle is how long a connection stays open that nobody uses.
const idle = 5 * time.Second

// HTTP answers a client for requests to whatever addresses a person entered: https to
// public addresses, and both https and http to the networks in allow. It follows no
// redirect, uses no proxy and never repeats a request by itself once its body was sent.
// The caller bounds the time and the body of the answer ([ReadBody]). A connection stays open
// for some seconds, for the next page of an answer. It may be used concurrently.
func HTTP(allow []netip.Prefix) *http.Client {
	return client(allow, func(t *http.Transport) http.RoundTripper {
		t.ForceAttemptHTTP2, t.MaxIdleConnsPerHost, t.IdleConnTimeout = true, 4, idle
		return t
	})
}

// ErrUnsent is wrapped by the error of a request of which certainly nothing was sent.
var ErrUnsent = errors.New("nothing was sent")

// Single answers a client as [HTTP] does, for requests that must not arrive twice: each
// has a new connection of its own, over which net/http repeats nothing, not even a request
// without a body. The error of a request that got no connection, for want of an address,
// of somebody who listens or of TLS, wraps [ErrUnsent]; any other leaves open what arrived.
func Single(allow []netip.Prefix) *http.Client {
	return client(allow, func(t *http.Transport) http.RoundTripper {
		t.DisableKeepAlives = true // and no HTTP/2, which repeats what a server put back
		return single{t}
	})
}

// single tells errors before a request was sent from those after.
type single struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (s single) RoundTrip(r *http.Request) (*http.Response, error) {
	var connected atomic.Bool // TLS is part of it
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}
	resp, err := s.RoundTripper.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	if err != nil && !connected.Load() {
		return nil, fmt.Errorf("%w: %w", ErrUnsent, err)
	}
	return resp, err
}

func client(allow []netip.Prefix, shape func(*http.Transport) http.RoundTripper) *http.Client {
	over := schemes{https: shape(Guard{Allow: allow}.transport()), http: shape(Guard{Allow: allow, Plain: true}.transport())}
	return &http.Client{CheckRedirect: stay, Transport: over}
}

// Private answers a client as [HTTP] does that believes the servers whose certificates
// come from these authorities, in PEM, and no others.
func Private(allow []netip.Prefix, authorities []byte) (*http.Client, error) {
	roots := x509.NewCertPool()
	rest := bytes.TrimSpace(authorities)
	for first := true; first || len(rest) > 0; first = false {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("reading certificates: that is not PEM of certificates alone")
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("reading certificates: %w", err)
		}
		roots.AddCert(certificate)
		rest = bytes.TrimSpace(rest)
	}
	return TLS(allow, &tls.Config{RootCAs: roots}), nil
}

// TLS answers a client as [HTTP] does whose https connections are made as config says.
func TLS(allow []netip.Prefix, config *tls.Config) *http.Client {
	client := HTTP(allow)
	client.Transport.(schemes).https.(*http.Transport).TLSClientConfig = config
	return client
}

// schemes sends each request over the transport of its scheme.
type schemes struct{ https, http http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (s schemes) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "http" {
		return s.http.RoundTrip(r)
	}
	return s.https.RoundTrip(r)
}

// CloseIdleConnections is what [http.Client.CloseIdleConnections] calls.
func (s schemes) CloseIdleConnections() {
	for _, t := range []http.RoundTripper{s.https, s.http} {
		if c, ok := t.(interface{ CloseIdleConnections() }); ok {
			c.CloseIdleConnections()
		}
	}
}

// ErrTooLong is wrapped by the error of an answer that is longer than its reader allows.
var ErrTooLong = errors.New("too long an answer")

// ReadBody reads an answer of at most limit bytes and closes it.
func ReadBody(resp *http.Response, limit int) ([]byte, error) {
	defer func() { _ = resp.Body.Close() }() // it was only read
	content, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if len(content) > limit {
		return nil, fmt.Errorf("reading the answer: it is longer than %d bytes: %w", limit, ErrTooLong)
	}
	return content, nil
}

// A Client sends requests to one configured URL and what lies below it. It may be used
// concurrently.
type Client struct {
	base *url.URL
	http *http.Client
}

// NewClient makes a client of a URL: https, or http if all its addresses are in allow.
// The URL names a host and perhaps a path; it holds no user, query or fragment.
func NewClient(base string, allow []netip.Prefix) (*Client, error) {
	u, err := url.Parse(base)
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading URL: %w", err)
	case u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "", u.Opaque != "":
		return nil, fmt.Errorf("reading URL %q: use https://host/path", u.Redacted())
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("reading URL %q: it may hold no user, query or fragment", u.Redacted())
	case u.Scheme == "http" && len(allow) == 0:
		return nil, fmt.Errorf("reading URL %q: use https; http needs the network to be allowed", base)
	}
	port := map[string]uint64{"https": 443, "http": 80}[u.Scheme]
	if text := u.Port(); text != "" {
		if port, err = strconv.ParseUint(text, 10, 16); err != nil || port == 0 {
			return nil, fmt.Errorf("reading URL %q: bad port", base)
		}
	}
	t := Guard{Allow: allow, Ports: []uint16{uint16(port)}, Plain: u.Scheme == "http"}.transport()
	t.ForceAttemptHTTP2, t.MaxIdleConns, t.IdleConnTimeout = true, 2, time.Minute
	return &Client{u, &http.Client{Timeout: patience, CheckRedirect: stay, Transport: t}}, nil
}

// An Answer is what came back.
type Answer struct {
	Status      int
	ContentType string
	Body        []byte
}

// Do sends a request to a path below the client's URL and answers what came back,
// whatever its status. A redirect is an answer like others.
func (c *Client) Do(ctx context.Context, method, path string, body []byte) (Answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base.JoinPath(path).String(), bytes.NewReader(body))
	if err != nil {
		return Answer{}, fmt.Errorf("making a request: %w", err)
	}
	r.Header.Set("User-Agent", "keyward")
	resp, err := c.http.Do(r)
	if err != nil {
		return Answer{}, err
	}
	content, err := ReadBody(resp, maxBody)
	if err != nil {
		return Answer{}, err
	}
	return Answer{resp.StatusCode, resp.Header.Get("Content-Type"), content}, nil
}
