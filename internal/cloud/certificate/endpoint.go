package certificate

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/emmansun/gmsm/smx509"

	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
)

const (
	patience    = 15 * time.Second // for one endpoint
	maxGreeting = 64 << 10         // bytes that a server may say before TLS begins
)

// An endpoint is where certificates are presented.
type endpoint struct {
	text   string // as it was entered
	scheme string // "tls", "smtp" or "imap"
	host   string
	port   string
	name   string // that is asked for, and that the certificate must carry
}

// ports are those of the schemes if an endpoint names none.
var ports = map[string]string{"tls": "443", "smtp": "587", "imap": "143"}

// endpoints reads a setting: [scheme://]host[:port][#name], several of them.
func endpoints(setting string) ([]endpoint, error) {
	var out []endpoint
	for _, text := range split(setting) {
		e := endpoint{text: text, scheme: "tls"}
		address := text
		if scheme, rest, ok := strings.Cut(text, "://"); ok {
			e.scheme, address = scheme, rest
		}
		if ports[e.scheme] == "" {
			return nil, fault.InvalidParameter.New("the endpoint %q begins with an unknown scheme; use host:port, smtp://host:port or imap://host:port", text)
		}
		address, e.name, _ = strings.Cut(address, "#")
		e.host, e.port = address, ports[e.scheme]
		if host, port, err := net.SplitHostPort(address); err == nil {
			e.host, e.port = host, port
		} else if strings.HasPrefix(address, "[") && strings.HasSuffix(address, "]") {
			e.host = address[1 : len(address)-1]
		}
		if e.name == "" {
			e.name = e.host
		}
		n, err := strconv.ParseUint(e.port, 10, 16)
		_, notIP := netip.ParseAddr(e.host)
		if err != nil || n == 0 || e.host == "" || strings.ContainsAny(e.host+e.name, "/@?#[]\\%") || notIP != nil && strings.Contains(e.host, ":") {
			return nil, fault.InvalidParameter.New("the endpoint %q is malformed; use host:port or host:port#name", text)
		}
		out = append(out, e)
	}
	return out, nil
}

// chain answers what an endpoint presents, verified or not.
func (e endpoint) chain(ctx context.Context, allow []netip.Prefix) ([]*X509, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := egress.Guard{Allow: allow}.Dialer().DialContext(ctx, "tcp", net.JoinHostPort(e.host, e.port))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // nothing was written that could be lost
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := upgrade(conn, e.scheme); err != nil {
		return nil, fmt.Errorf("asking for STARTTLS: %w", err)
	}
	presented, err := handshake(ctx, conn, e.name)
	if len(presented) == 0 {
		return nil, errors.Join(errors.New("no certificate was presented"), err)
	}
	var out []*X509
	for _, seen := range presented {
		cert, err := smx509.ParseCertificate(seen.Raw)
		if err != nil {
			return out, fmt.Errorf("a certificate that it presents is malformed: %w", err)
		}
		out = append(out, cert)
	}
	return out, nil
}

// handshake answers what a server presents for a name. It verifies as every client does; a
// certificate that does not verify comes with the error that says so, and what is wrong
// with it is found out afterwards. Nothing is sent over the connection.
func handshake(ctx context.Context, conn net.Conn, name string) (presented []*x509.Certificate, err error) {
	err = tls.Client(conn, &tls.Config{
		ServerName: name, MinVersion: tls.VersionTLS10, CipherSuites: suites(),
		VerifyConnection: func(s tls.ConnectionState) error {
			presented = s.PeerCertificates // now, because the server may yet ask for a certificate of ours
			return nil
		},
	}).HandshakeContext(ctx)
	if unverified := (*tls.CertificateVerificationError)(nil); errors.As(err, &unverified) {
		presented = unverified.UnverifiedCertificates
	}
	return presented, err
}

// suites are all that the library has: an old server must be seen, too.
func suites() []uint16 {
	var out []uint16
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		out = append(out, s.ID)
	}
	return out
}

// upgrade asks a mail server to begin TLS: RFC 3207 for SMTP, RFC 9051 6.2.1 for IMAP.
func upgrade(conn net.Conn, scheme string) error {
	if scheme == "tls" {
		return nil
	}
	// The server is silent until TLS begins, so the buffer holds nothing of TLS.
	in := bufio.NewReader(io.LimitReader(conn, maxGreeting))
	// expect reads lines up to the last one of an answer, which begins with what is wanted.
	expect := func(want string, last func(line string) bool) error {
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return fmt.Errorf("the server ended the conversation: %w", err)
			}
			if last(line) {
				if strings.HasPrefix(line, want) {
					return nil
				}
				return errors.New("the server does not offer it")
			}
		}
	}
	say := func(line string) error {
		_, err := io.WriteString(conn, line+"\r\n")
		return err
	}
	if scheme == "imap" {
		err := expect("* OK", func(string) bool { return true })
		if err == nil {
			err = say("a STARTTLS")
		}
		if err == nil {
			err = expect("a OK", func(line string) bool { return strings.HasPrefix(line, "a ") })
		}
		return err
	}
	last := func(line string) bool { return len(line) < 4 || line[3] != '-' }
	err := expect("220", last)
	if err == nil {
		err = say("EHLO keyward")
	}
	if err == nil {
		err = expect("250", last)
	}
	if err == nil {
		err = say("STARTTLS")
	}
	if err == nil {
		err = expect("220", last)
	}
	return err
}

// verify answers what is wrong with a chain that an endpoint presented, for a person.
func (e endpoint) verify(chain []*X509, roots *smx509.CertPool, now time.Time) []string {
	var out []string
	leaf := chain[0]
	if err := leaf.VerifyHostname(e.name); err != nil {
		out = append(out, fmt.Sprintf("the certificate is not for %s but for %s; correct the name after # or the server's certificate", e.name, orNone(list(Names(leaf)))))
	}
	intermediates := smx509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(smx509.VerifyOptions{Roots: roots, Intermediates: intermediates, CurrentTime: now}); err != nil {
		out = append(out, fmt.Sprintf("the chain does not verify (%s); the server should present its intermediate certificates, and the source's roots name an authority of your own", cut(err.Error())))
	}
	return out
}

func orNone(text string) string {
	if text == "" {
		return "no name at all"
	}
	return text
}
