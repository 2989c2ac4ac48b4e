// Package mail sends messages by e-mail.
//
// A message is handed to the site's mail server, over TLS unless the administrator said
// otherwise, and from then on it is that server's: accepted is not delivered, delivered is
// not read, and a spam folder is a place, too. That is why mail never stands alone in an
// escalation.
//
// Until the last dot of the message was sent, nothing was; after it, only an answer tells.
// The Message-ID is made of the message's id, so that a mailbox that got it twice may show
// it once; not all do, so mail does not count as recognising what it has seen.
package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"html/template"
	"io"
	"net"
	"net/mail"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/keyward/keyward/internal/channel/wire"
	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/message"
)

const (
	patience   = 30 * time.Second // for one command
	lastAnswer = 2 * time.Minute  // for the answer after the message, which servers scan before it
	maxTalk    = 1 << 20          // bytes that a server may say in one connection
	mailLimit  = 256 << 10        // bytes of a message
)

// SMTP is a mail server. Each recipient gets a message of their own.
func SMTP() message.Kind {
	return message.Kind{
		Name:  "smtp",
		Title: form.Text{English: "e-mail", Chinese: "电子邮件"},
		Form: form.Form{
			Settings: []form.Field{
				{Name: "host", Required: true, Help: form.Text{English: "the mail server's name", Chinese: "邮件服务器地址"}, Example: "smtp.example.com"},
				{Name: "from", Required: true, Help: form.Text{English: "the sender's address", Chinese: "发件人地址"}, Example: "keyward <keyward@example.com>"},
				{Name: "security", Help: form.Text{English: "starttls (if empty), tls, or none within allowed networks", Chinese: "starttls（默认）、tls，或 none（仅限允许的内网）"}, Example: "tls"},
				{Name: "port", Help: form.Text{English: "the port; if empty 587, for tls 465, for none 25", Chinese: "端口；留空时为 587，tls 为 465，none 为 25"}, Example: "465"},
				{Name: "user", Help: form.Text{English: "the user to authenticate as, with a password", Chinese: "登录用户名，与 password 一起使用"}, Example: "keyward@example.com"},
			},
			Credential: []form.Field{
				{Name: "password", Help: form.Text{English: "the user's password, or the one that the service makes for programs", Chinese: "登录密码，或邮箱服务的客户端授权码"}},
				{Name: "ca", Help: form.Text{English: "certificates in PEM of the site's own authority, if it signed the server's", Chinese: "服务器证书由自有 CA 签发时，该 CA 的 PEM 证书"}},
			},
		},
		Traits: message.Traits{Family: message.Mail, Burst: 10, PerMinute: 60, Reaches: func(r message.Recipient) bool { return address(r.Email) != "" }},
		Open:   open,
	}
}

// address answers what is nothing but a plain e-mail address, or "".
func address(text string) string {
	a, err := mail.ParseAddress(text)
	if err != nil || a.Name != "" || a.Address != text || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return text
}

type mailer struct {
	opening    message.Opening
	host, port string
	security   string
	from       mail.Address
	tls        *tls.Config
	dialer     *net.Dialer
	page       *template.Template
}

func open(o message.Opening) (message.Sender, error) {
	m := &mailer{opening: o, host: o.Settings["host"], port: o.Settings["port"], security: o.Settings["security"], page: template.Must(template.New("mail").Parse(page))}
	if m.security == "" {
		m.security = "starttls"
	}
	usual, ok := map[string]string{"starttls": "587", "tls": "465", "none": "25"}[m.security]
	if !ok {
		return nil, fault.InvalidParameter.New("the field \"security\" is starttls, tls or none")
	}
	if m.port == "" {
		m.port = usual
	}
	port, err := strconv.ParseUint(m.port, 10, 16)
	if err != nil || port == 0 {
		return nil, fault.InvalidParameter.New("the field \"port\" is a number from 1 to 65535")
	}
	if strings.ContainsAny(m.host, " /:@[]") {
		return nil, fault.InvalidParameter.New("the field \"host\" is a name such as smtp.example.com, without a port")
	}
	from, err := mail.ParseAddress(o.Settings["from"])
	if err != nil || address(from.Address) == "" {
		return nil, fault.InvalidParameter.New("the field \"from\" is an address such as keyward@example.com")
	}
	m.from = *from
	user, password := o.Settings["user"] != "", o.Credential["password"].Len() > 0
	switch {
	case user != password:
		return nil, fault.InvalidParameter.New("give a user and a password, or neither")
	case user && m.security == "none":
		return nil, fault.InvalidParameter.New("a password is sent over TLS only; choose starttls or tls")
	case m.security == "none" && len(o.Allow) == 0:
		return nil, fault.InvalidParameter.New("security none is for networks that the operator allowed; choose starttls or tls")
	}
	m.tls = &tls.Config{ServerName: m.host, MinVersion: tls.VersionTLS12}
	if ca := o.Credential["ca"].Expose(); len(ca) > 0 {
		m.tls.RootCAs = x509.NewCertPool()
		if !m.tls.RootCAs.AppendCertsFromPEM(ca) {
			return nil, fault.InvalidParameter.New("the field \"ca\" holds no certificate in PEM")
		}
	}
	plain := m.security == "none"
	m.dialer = egress.Guard{Allow: o.Allow, Ports: []uint16{uint16(port)}, Plain: plain}.Dialer()
	return m, wire.Look(o, "host", m.host, uint16(port), plain)
}

// Send implements message.Sender. The message has one recipient.
func (s *mailer) Send(ctx context.Context, m message.Message) (message.Receipt, error) {
	if len(m.To) != 1 || address(m.To[0].Email) == "" {
		return message.Receipt{}, wire.Permanent("mail needs one recipient with an e-mail address; enter the person's")
	}
	m, err := wire.Fit(wire.Tidy(m), mailLimit, func(m message.Message) int { return len(s.compose(m)) })
	if err != nil {
		return message.Receipt{}, err
	}
	c, err := s.connect(ctx)
	if err != nil {
		return message.Receipt{}, err
	}
	defer context.AfterFunc(ctx, func() { _ = c.Close() })() // whoever waits for an answer gets the error
	defer func() { _ = c.Close() }()                         // after QUIT it is closed already
	if err := s.hand(c, m); err != nil {
		return message.Receipt{}, err
	}
	_ = c.Quit() // the message is accepted, whatever comes of this
	return message.Receipt{ID: s.messageID(m.ID), State: message.Accepted}, nil
}

// connect answers an authenticated connection.
func (s *mailer) connect(ctx context.Context) (*smtp.Client, error) {
	plain, err := s.dialer.DialContext(ctx, "tcp", net.JoinHostPort(s.host, s.port))
	if err != nil {
		if errors.Is(err, egress.ErrRefused) {
			return nil, s.sort(err, message.Permanent, fault.Say("the mail server is not at a public address; if that is right, an operator must allow its network"))
		}
		return nil, s.sort(err, message.Retry, fault.Say("the mail server cannot be reached; check its name, the port and the firewall"))
	}
	defer context.AfterFunc(ctx, func() { _ = plain.Close() })()
	c, err := s.greet(ctx, &bounded{plain, maxTalk})
	if err != nil {
		_ = plain.Close() // nothing was sent on it
		return nil, err
	}
	if s.opening.Settings["user"] != "" {
		if err := s.authenticate(c); err != nil {
			_ = c.Close() // nothing was sent on it
			return nil, err
		}
	}
	return c, nil
}

// greet opens the conversation, encrypted if it is to be.
func (s *mailer) greet(ctx context.Context, conn net.Conn) (c *smtp.Client, err error) {
	reason := fault.Say("no encrypted conversation with the mail server; check that its port and \"security\" belong together and that its certificate is valid")
	switch s.security {
	case "starttls":
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			return nil, s.sort(err, message.Retry, reason)
		}
		if c, err = smtp.NewClientStartTLS(conn, s.tls); err != nil {
			return nil, s.sort(err, message.Retry, reason)
		}
	case "tls":
		secure := tls.Client(conn, s.tls)
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, s.sort(err, message.Retry, reason)
		}
		c = smtp.NewClient(secure)
	default:
		c = smtp.NewClient(conn)
	}
	c.CommandTimeout, c.SubmissionTimeout = patience, lastAnswer
	host, _, err := net.SplitHostPort(conn.LocalAddr().String())
	if err != nil {
		host = "127.0.0.1"
	}
	if strings.Contains(host, ":") {
		host = "IPv6:" + host
	}
	if err := c.Hello("[" + host + "]"); err != nil { // the address in brackets: a name might be refused (RFC 5321, section 4.1.3)
		return nil, s.sort(err, message.Retry, reason)
	}
	return c, nil
}

func (s *mailer) authenticate(c *smtp.Client) error {
	user, password := s.opening.Settings["user"], string(s.opening.Credential["password"].Expose())
	var with sasl.Client
	switch {
	case c.SupportsAuth(sasl.Plain):
		with = sasl.NewPlainClient("", user, password)
	case c.SupportsAuth(sasl.Login):
		with = &login{[]string{user, password}}
	default:
		return wire.Permanent("the mail server offers neither AUTH PLAIN nor AUTH LOGIN; clear the user, or use another port")
	}
	if err := c.Auth(with); err != nil {
		return s.sort(err, message.Retry, fault.Say("the mail server does not let the user in; check the password: many services want one made for programs"))
	}
	return nil
}

// login is the mechanism LOGIN, whose prompts no standard fixes: the user, then the password.
type login struct{ answers []string }

// Start implements sasl.Client.
func (l *login) Start() (string, []byte, error) { return sasl.Login, nil, nil }

// Next implements sasl.Client.
func (l *login) Next([]byte) ([]byte, error) {
	if len(l.answers) == 0 {
		return nil, errors.New("the server asks for more than user and password")
	}
	answer := l.answers[0]
	l.answers = l.answers[1:]
	return []byte(answer), nil
}

// hand gives the message to the server.
func (s *mailer) hand(c *smtp.Client, m message.Message) error {
	if err := c.Mail(s.from.Address, nil); err != nil {
		return s.sort(err, message.Retry, fault.Say("the mail server refuses the sender; check \"from\", and whether it wants a user and a password"))
	}
	if err := c.Rcpt(m.To[0].Email, nil); err != nil {
		return s.sort(err, message.Retry, fault.Say("the mail server refuses the recipient; check the person's address"))
	}
	refused := fault.Say("the mail server refuses the message; its answer says why")
	data, err := c.Data()
	if err != nil {
		return s.sort(err, message.Retry, refused)
	}
	if _, err := data.Write(s.compose(m)); err != nil {
		return s.sort(err, message.Retry, refused) // without the last dot it is no message
	}
	if err := data.Close(); err != nil { // the dot may have arrived
		return s.sort(err, message.Unclear, fault.Say("the mail server did not answer after the message; it may have taken it"))
	}
	return nil
}

// sort makes an error of what went wrong. What the server answered decides: 4xx is for
// now, 5xx for good. Without an answer the class is what the moment says.
func (s *mailer) sort(err error, class message.Class, reason fault.Text) *message.SendError {
	e := &message.SendError{Class: class, Reason: reason}
	var answer *smtp.SMTPError
	if !errors.As(err, &answer) {
		e.Err = errors.New(wire.Clean(err.Error(), s.opening))
		return e
	}
	e.Class = message.Permanent
	switch {
	case answer.Code >= 400 && answer.Code < 500:
		e.Class, reason = message.Retry, fault.Say("the mail server asks to try later")
	case class == message.Unclear:
		reason = fault.Say("the mail server refuses the message; its answer says why")
	}
	e.Reason = fault.Say("%s (%d %s)", reason, answer.Code, wire.Clean(answer.Message, s.opening))
	return e
}

// bounded is a connection on which the other side may say only so much.
type bounded struct {
	net.Conn
	left int
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
