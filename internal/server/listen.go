package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"
)

// LimitConnections bounds the connections that one address may hold at once; those
// beyond it are closed. A limit of 0 is none. The addresses of IPv6 are counted by the first 64
// bits, of which the rest is any host's to choose (RFC 4291, 2.5.1).
func LimitConnections(l net.Listener, perAddress int) net.Listener {
	if perAddress == 0 {
		return l
	}
	return &limitedListener{Listener: l, limit: perAddress, open: map[netip.Prefix]int{}}
}

type limitedListener struct {
	net.Listener
	limit int

	mu   sync.Mutex // guards open
	open map[netip.Prefix]int
}

// Accept implements net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer, err := netip.ParseAddrPort(c.RemoteAddr().String())
		if err != nil {
			return c, nil //nolint:nilerr // not an IP connection: nothing to count
		}
		holder := holderOf(peer.Addr())
		if l.take(holder) {
			return &limitedConn{Conn: c, release: sync.OnceFunc(func() { l.release(holder) })}, nil
		}
		_ = c.Close() // it was not promised anything
	}
}

// holderOf answers whose connection one from this address is.
func holderOf(a netip.Addr) netip.Prefix {
	bits := 64
	if a = a.Unmap(); a.Is4() {
		bits = 32
	}
	return netip.PrefixFrom(a.WithZone(""), bits).Masked()
}

func (l *limitedListener) take(p netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[p] >= l.limit {
		return false
	}
	l.open[p]++
	return true
}

func (l *limitedListener) release(p netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[p]--; l.open[p] == 0 {
		delete(l.open, p)
	}
}

type limitedConn struct {
	net.Conn
	release func()
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	c.release()
	return c.Conn.Close()
}

// EraseRequests makes the listener's connections erase what the last request left in the
// buffer of its reader before they wait for the next one, so that an idle connection
// keeps no plaintext of requests. Over TLS the buffer that it can reach holds ciphertext
// only. It calls closed after each connection.
func EraseRequests(l net.Listener, closed func()) net.Listener { return erasingListener{l, closed} }

type erasingListener struct {
	net.Listener
	closed func()
}

// Accept implements net.Listener.
func (l erasingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return erasingConn{c, l.closed}, nil
}

type erasingConn struct {
	net.Conn
	closed func()
}

// Read implements net.Conn. An io.Reader may use all of p as scratch space.
func (c erasingConn) Read(p []byte) (int, error) {
	clear(p)
	return c.Conn.Read(p)
}

// Close implements net.Conn. net/http has put its buffers away when it calls it.
func (c erasingConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

// TLS answers a configuration that reads the certificate again when its file changes.
// minVersion is "1.3" or "1.2".
func TLS(certFile, keyFile, minVersion string, logger *slog.Logger) *tls.Config {
	r := &certificate{certFile: certFile, keyFile: keyFile, logger: logger}
	c := &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return r.current() }}
	if minVersion == "1.2" {
		c.MinVersion = tls.VersionTLS12
	}
	return c
}

// OnlyClients makes a configuration refuse, in the handshake, whoever does not present a
// certificate that comes from one of the authorities, in PEM, and has this name.
func OnlyClients(c *tls.Config, authorities []byte, name string) error {
	c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !c.ClientCAs.AppendCertsFromPEM(authorities) {
		return errors.New("reading the authorities of clients: there is no certificate in PEM")
	}
	c.VerifyConnection = func(s tls.ConnectionState) error {
		leaf := s.PeerCertificates[0]
		if leaf.Subject.CommonName != name && !slices.Contains(leaf.DNSNames, name) {
			return errors.New("the client's certificate is for somebody else")
		}
		return nil
	}
	return nil
}

// A certificate is a certificate that follows its files.
type certificate struct {
	certFile, keyFile string
	logger            *slog.Logger

	mu      sync.Mutex // guards the fields below
	loaded  *tls.Certificate
	changed time.Time // of the files that are loaded
	looked  time.Time
}

// current answers the newest certificate that could be loaded; it looks at the files
// once a second at most.
func (c *certificate) current() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); c.loaded == nil || now.Sub(c.looked) >= time.Second {
		c.looked = now
		if err := c.reload(); err != nil {
			if c.loaded == nil {
				return nil, err
			}
			c.logger.Error("reading the TLS certificate again; the old one is served on", "error", err)
		}
	}
	return c.loaded, nil
}

func (c *certificate) reload() error {
	var newest time.Time
	for _, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	if c.loaded != nil && newest.Equal(c.changed) {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.loaded, c.changed = &pair, newest
	return nil
}
