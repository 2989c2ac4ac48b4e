package channeltest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"slices"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// A Mailbox is a mail server. Its fields are set before it serves.
type Mailbox struct {
	Log
	User, Password string
	Mechanisms     []string // of AUTH; none means that nobody has to say who they are
	Plain          bool     // offers no STARTTLS
	Implicit       bool     // speaks TLS from the first byte

	answers []error // guarded by Log: what the next messages get
	known   []string
}

// ErrDrop, as an answer, takes the message and breaks the connection without a word.
var ErrDrop = errors.New("the connection breaks")

// Greylisted is the answer to whoever is not known yet.
var Greylisted = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "Greylisted, try again later"}

// Next makes the next messages get these answers, at their end; nil takes one.
func (b *Mailbox) Next(answers ...error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers = append(b.answers, answers...)
}

// Serve serves until close is called. Address is where, authority the certificate in PEM
// that a client has to trust.
func (b *Mailbox) Serve() (address string, authority []byte, close func(), err error) {
	certificate, authority, err := issue()
	if err != nil {
		return "", nil, nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, nil, err
	}
	s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{box: b, conn: c}, nil }))
	s.Domain, s.ErrorLog, s.MaxMessageBytes = "localhost", log.New(io.Discard, "", 0), 1<<20
	s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
	if b.Implicit {
		listener = tls.NewListener(listener, s.TLSConfig)
	}
	if b.Plain {
		s.TLSConfig = nil
	}
	done := make(chan struct{})
	go func() {
		defer func() { done <- struct{}{} }()
		_ = s.Serve(listener) // ends by Close
	}()
	return listener.Addr().String(), authority, func() {
		_ = s.Close()
		_ = listener.Close() // which the server does not know of yet if it has only just begun
		<-done
	}, nil
}

func issue() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// A session is one conversation.
type session struct {
	box  *Mailbox
	conn *smtp.Conn
	user string
}

// AuthMechanisms implements smtp.AuthSession.
func (s *session) AuthMechanisms() []string { return s.box.Mechanisms }

// Auth implements smtp.AuthSession.
func (s *session) Auth(mechanism string) (sasl.Server, error) {
	check := func(user, password string) error {
		if user != s.box.User || password != s.box.Password {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "Authentication failed for password " + password}
		}
		s.user = user
		return nil
	}
	switch {
	case !slices.Contains(s.box.Mechanisms, mechanism):
		return nil, smtp.ErrAuthUnknownMechanism
	case mechanism == sasl.Plain:
		return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) }), nil
	}
	return &loginServer{check: check}, nil
}

// A loginServer speaks the mechanism LOGIN.
type loginServer struct {
	check func(user, password string) error
	said  []string
}

// Next implements sasl.Server.
func (l *loginServer) Next(response []byte) ([]byte, bool, error) {
	if response != nil {
		l.said = append(l.said, string(response))
	}
	if len(l.said) < 2 {
		return []byte([]string{"User Name", "Password"}[len(l.said)]), false, nil
	}
	return nil, true, l.check(l.said[0], l.said[1])
}

// Mail implements smtp.Session.
func (s *session) Mail(string, *smtp.MailOptions) error {
	if len(s.box.Mechanisms) > 0 && s.user == "" {
		return smtp.ErrAuthRequired
	}
	return nil
}

// Rcpt implements smtp.Session. There is no mailbox "nobody", and "new" is greylisted once.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.box.mu.Lock()
	defer s.box.mu.Unlock()
	switch {
	case to == "nobody@example.com":
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such user here"}
	case to == "new@example.com" && !slices.Contains(s.box.known, to):
		s.box.known = append(s.box.known, to)
		return Greylisted
	}
	return nil
}

// Data implements smtp.Session.
func (s *session) Data(r io.Reader) error {
	body, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.box.mu.Lock()
	defer s.box.mu.Unlock()
	var answer error
	if len(s.box.answers) > 0 {
		answer, s.box.answers = s.box.answers[0], s.box.answers[1:]
	}
	if answer == nil || errors.Is(answer, ErrDrop) {
		s.box.take(body)
	}
	if errors.Is(answer, ErrDrop) {
		return s.conn.Conn().Close()
	}
	return answer
}

// Reset implements smtp.Session.
func (s *session) Reset() {}

// Logout implements smtp.Session.
func (s *session) Logout() error { return nil }
