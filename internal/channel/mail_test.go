package channel_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/channel/channeltest"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/message"
)

// mailbox starts a mail server and answers what fits it.
func mailbox(t testing.TB, b *channeltest.Mailbox) form.Filling {
	t.Helper()
	address, authority, stop, err := b.Serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	f := form.Filling{
		Settings:   map[string]string{"host": "localhost", "port": port, "from": "密钥平台 <keyward@example.com>"},
		Credential: map[string]material.Bytes{"ca": material.NewBytes(authority)},
	}
	if b.Implicit {
		f.Settings["security"] = "tls"
	}
	if b.Plain {
		f.Settings["security"] = "none"
	}
	if b.User != "" {
		f.Settings["user"] = b.User
		f.Credential["password"] = material.NewBytes([]byte(b.Password))
	}
	return f
}

func letter(l message.Language, to string) message.Message {
	m := trouble(l)
	m.To = []message.Recipient{{Person: "li.lei", Email: to}}
	return m
}

func TestMailArrives(t *testing.T) {
	c := &clock{start}
	for name, b := range map[string]*channeltest.Mailbox{
		"starttls": {}, "implicit": {Implicit: true}, "plain": {Plain: true},
		"auth plain": {User: "keyward", Password: "fakepassword", Mechanisms: []string{"LOGIN", "PLAIN"}},
		"auth login": {User: "keyward", Password: "fakepassword", Mechanisms: []string{"LOGIN"}, Implicit: true},
	} {
		t.Run(name, func(t *testing.T) {
			sender := open(t, "smtp", mailbox(t, b), c)
			for _, l := range []message.Language{message.English, message.Chinese} {
				r, err := sender.Send(t.Context(), letter(l, "li.lei@example.com"))
				if err != nil || r.State != message.Accepted || r.ID != "<01JDMSG0001@example.com>" {
					t.Fatal(r, err)
				}
				taken := b.Taken()
				golden(t, "smtp-"+string(l)+".txt", bytes.ReplaceAll(taken[len(taken)-1], []byte("\r\n"), []byte("\n")))
			}
		})
	}
}

// A letter is one.
type parsed struct {
	header      mail.Header
	plain, html string
}

func parse(t rapid.TB, raw []byte) parsed {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(raw), "\r\n") {
		if len(line) > 998 || strings.ContainsAny(line, "\r\n") {
			t.Fatalf("a line is too long or ends alone: %.100q", line)
		}
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	out := parsed{header: m.Header}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for _, into := range []*string{&out.plain, &out.html} {
		p, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		*into = string(text)
	}
	if _, err := parts.NextRawPart(); !errors.Is(err, io.EOF) {
		t.Fatalf("more than two parts: %v", err)
	}
	return out
}

// Whatever the texts hold, the header has the fields that we made and the subject says
// what the title did.
func TestMailCannotBeInjectedInto(t *testing.T) {
	c := &clock{start}
	b := &channeltest.Mailbox{Plain: true}
	sender := open(t, "smtp", mailbox(t, b), c)
	want := []string{"Auto-Submitted", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "References", "Subject", "To"}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`(a|密|\r\n|\n|Bcc: x@example\.com|\.\r\n|--keyward|<script>|🔑){0,60}`))
		m := letter(message.Chinese, "li.lei@example.com")
		m.Title, m.Lines, m.Values.Ticket = text.Draw(t, "title"), []string{text.Draw(t, "line")}, text.Draw(t, "ticket")
		m.ID, m.Incident = "id"+text.Draw(t, "id"), "in"+text.Draw(t, "incident")
		if _, err := sender.Send(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		taken := b.Taken()
		p := parse(t, taken[len(taken)-1])
		var names []string
		for name, values := range p.header {
			if names = append(names, name); len(values) != 1 {
				t.Fatalf("%s: %q", name, values)
			}
		}
		slices.Sort(names)
		if !slices.Equal(names, want) {
			t.Fatalf("the header has %q", names)
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(p.header.Get("Subject"))
		if err != nil || !strings.HasPrefix(subject, "【严重】") || strings.ContainsAny(subject, "\r\n") {
			t.Fatalf("subject %q: %v", subject, err)
		}
		if strings.Contains(p.html, "<script>") || !strings.Contains(p.plain, m.Link) {
			t.Fatalf("markup or a lost link: %s", p.html)
		}
	})
}

// What the server answers, and when, decides whether the message may be sent again.
func TestMailOutcomes(t *testing.T) {
	c := &clock{start}
	answer := func(code int) error { return &smtp.SMTPError{Code: code, Message: "because of fakepassword"} }
	for _, test := range []struct {
		name, to string
		answer   error
		class    message.Class // "" is taken
		taken    int
	}{
		{"taken", "li.lei@example.com", nil, "", 1},
		{"greylisted", "new@example.com", nil, message.Retry, 0},
		{"no such user", "nobody@example.com", nil, message.Permanent, 0},
		{"later, after the message", "li.lei@example.com", channeltest.Greylisted, message.Retry, 0},
		{"never, after the message", "li.lei@example.com", answer(554), message.Permanent, 0},
		{"the connection breaks after the message", "li.lei@example.com", channeltest.ErrDrop, message.Unclear, 1},
		{"not an address", "li.lei@example.com>\r\nRCPT TO:<x@example.com", nil, message.Permanent, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := &channeltest.Mailbox{User: "keyward", Password: "fakepassword", Mechanisms: []string{"PLAIN"}}
			b.Next(test.answer)
			sender := open(t, "smtp", mailbox(t, b), c)
			_, err := sender.Send(t.Context(), letter(message.English, test.to))
			if test.class == "" && err != nil {
				t.Fatal(err)
			}
			if test.class != "" {
				if e := sendError(t, err); e.Class != test.class {
					t.Errorf("%v", e)
				}
			}
			if n := len(b.Taken()); n != test.taken {
				t.Errorf("%d were taken, not %d", n, test.taken)
			}
			if test.name == "greylisted" {
				if _, err := sender.Send(t.Context(), letter(message.English, test.to)); err != nil || len(b.Taken()) != 1 {
					t.Errorf("the second attempt: %v", err)
				}
			}
		})
	}
}

// A password never travels without TLS, and a certificate that nobody vouched for is none.
func TestMailNeedsTLS(t *testing.T) {
	c := &clock{start}
	offersNone := mailbox(t, &channeltest.Mailbox{Plain: true})
	offersNone.Settings["security"] = "starttls"
	untrusted := mailbox(t, &channeltest.Mailbox{})
	delete(untrusted.Credential, "ca")
	implicit := mailbox(t, &channeltest.Mailbox{Implicit: true})
	delete(implicit.Credential, "ca")
	for name, f := range map[string]form.Filling{"offers no STARTTLS": offersNone, "untrusted": untrusted, "untrusted, implicit": implicit} {
		_, err := open(t, "smtp", f, c).Send(t.Context(), letter(message.English, "li.lei@example.com"))
		if e := sendError(t, err); e.Class != message.Retry || !strings.Contains(e.Reason.String(), "encrypted") {
			t.Errorf("%s: %v", name, e)
		}
	}
	k := kind(t, "smtp")
	for name, change := range map[string]func(f form.Filling){
		"password in the clear": func(f form.Filling) {
			f.Settings["security"], f.Settings["user"] = "none", "keyward"
			f.Credential["password"] = material.NewBytes([]byte("fakepassword"))
		},
		"user without password": func(f form.Filling) { f.Settings["user"] = "keyward" },
		"security":              func(f form.Filling) { f.Settings["security"] = "ssl" },
		"port":                  func(f form.Filling) { f.Settings["port"] = "0" },
		"host":                  func(f form.Filling) { f.Settings["host"] = "smtp.example.com:25" },
		"from":                  func(f form.Filling) { f.Settings["from"] = "keyward" },
		"ca":                    func(f form.Filling) { f.Credential["ca"] = material.NewBytes([]byte("x")) },
	} {
		f := form.Filling{Settings: map[string]string{"host": "smtp.example.com", "from": "keyward@example.com"}, Credential: map[string]material.Bytes{}}
		if _, err := k.Open(message.Opening{Filling: f, Now: c.Now, Allow: loopback}); err != nil {
			t.Fatal(err)
		}
		change(f)
		if _, err := k.Open(message.Opening{Filling: f, Now: c.Now, Allow: loopback}); err == nil {
			t.Errorf("%s is not refused", name)
		}
	}
}

func TestMailWrongPassword(t *testing.T) {
	f := mailbox(t, &channeltest.Mailbox{User: "keyward", Password: "right", Mechanisms: []string{"PLAIN"}})
	f.Credential["password"] = material.NewBytes([]byte("fakepassword"))
	_, err := open(t, "smtp", f, &clock{start}).Send(t.Context(), letter(message.English, "li.lei@example.com"))
	if e := sendError(t, err); e.Class != message.Permanent || !strings.Contains(e.Reason.String(), "password") {
		t.Error(e)
	}
}

// A server that says nothing, or too much, holds nobody up.
func TestMailServerMisbehaves(t *testing.T) {
	for name, talk := range map[string]func(net.Conn, context.CancelFunc){
		"silence": func(conn net.Conn, cancel context.CancelFunc) {
			cancel()
			_, _ = io.Copy(io.Discard, conn)
		},
		"flood": func(conn net.Conn, _ context.CancelFunc) {
			for {
				if _, err := conn.Write([]byte(strings.Repeat("220-welcome\r\n", 1000))); err != nil {
					return
				}
			}
		},
		"garbage": func(conn net.Conn, _ context.CancelFunc) {
			_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			done := make(chan struct{})
			go func() {
				defer close(done)
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer func() { _ = conn.Close() }()
				talk(conn, cancel)
			}()
			_, port, _ := net.SplitHostPort(l.Addr().String())
			f := form.Filling{Settings: map[string]string{"host": "localhost", "port": port, "from": "keyward@example.com", "security": "none"}}
			_, err = open(t, "smtp", f, &clock{start}).Send(ctx, letter(message.English, "li.lei@example.com"))
			if e := sendError(t, err); e.Class != message.Retry || name != "silence" && ctx.Err() != nil {
				t.Errorf("%v, %v", e, ctx.Err())
			}
			_ = l.Close()
			<-done
		})
	}
}

func TestMailIsReachedOnlyWhereAllowed(t *testing.T) {
	f := mailbox(t, &channeltest.Mailbox{})
	sender, err := kind(t, "smtp").Open(message.Opening{Filling: f, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	_, err = sender.Send(t.Context(), letter(message.English, "li.lei@example.com"))
	if e := sendError(t, err); e.Class != message.Permanent || !strings.Contains(e.Reason.String(), "operator") {
		t.Error(e)
	}
}
