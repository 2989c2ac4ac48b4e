package mail

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"html/template"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"

	"github.com/keyward/keyward/internal/channel/wire"
	"github.com/keyward/keyward/internal/message"
)

// page is the message for readers with markup. It loads nothing: what a mail fetches tells
// others that it was opened.
const page = `<!DOCTYPE html>
<html lang="{{.Language}}"><head><meta charset="utf-8"><title>{{.Headline}}</title></head>
<body style="font-family:sans-serif">
<h2 style="color:{{.Colour}}">{{.Headline}}</h2>
<ul>{{range .Lines}}
<li>{{.}}</li>{{end}}
</ul>{{if .Ticket}}
<p>{{.Ticket}}</p>{{end}}{{if .Link}}
<p><a href="{{.Link}}">{{.Open}}</a></p>{{end}}
</body></html>
`

// compose answers a message in the format of RFC 5322 with lines that end in CRLF. Every
// field is either made here or encoded: no text of others can add one.
func (s *mailer) compose(m message.Message) []byte {
	var b bytes.Buffer
	field := func(name, value string) { b.WriteString(name + ": " + value + "\r\n") }
	sum := sha256.Sum256([]byte(m.ID))
	boundary := "keyward-" + hex.EncodeToString(sum[:12])
	field("From", s.from.String())
	field("To", (&mail.Address{Address: m.To[0].Email}).String())
	field("Subject", subject(wire.Headline(m)))
	field("Date", s.opening.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	field("Message-ID", s.messageID(m.ID))
	if m.Incident != "" {
		field("References", s.messageID("incident."+m.Incident)) // joins what belongs together
	}
	field("Auto-Submitted", "auto-generated")
	field("MIME-Version", "1.0")
	field("Content-Type", `multipart/alternative; boundary="`+boundary+`"`)
	b.WriteString("\r\n")

	parts := multipart.NewWriter(&b)
	_ = parts.SetBoundary(boundary) // it has the right characters
	text := wire.Headline(m) + "\n\n" + wire.Plain(m) + "\n"
	if m.Link != "" {
		text += "\n" + wire.Open(m) + ":\n" + m.Link + "\n"
	}
	part(parts, "text/plain", text)
	part(parts, "text/html", s.html(m))
	_ = parts.Close() // a buffer takes everything
	return b.Bytes()
}

func (s *mailer) html(m message.Message) string {
	var b strings.Builder
	colour := [...]string{"#1f5fa8", "#b45f06", "#b00020", "#7a0016"}[m.Severity]
	if m.Event == message.Resolve {
		colour = "#1b7a3d"
	}
	if err := s.page.Execute(&b, map[string]any{
		"Language": m.Language, "Headline": wire.Headline(m), "Colour": template.CSS(colour),
		"Lines": m.Lines, "Ticket": wire.Ticket(m), "Link": m.Link, "Open": wire.Open(m),
	}); err != nil {
		panic(err) // the template and its fields are both above
	}
	return b.String()
}

// part adds a text. A buffer takes everything, so nothing here can fail.
func part(parts *multipart.Writer, kind, text string) {
	w, _ := parts.CreatePart(textproto.MIMEHeader{
		"Content-Type":              {kind + "; charset=utf-8"},
		"Content-Transfer-Encoding": {"quoted-printable"},
	})
	q := quotedprintable.NewWriter(w)
	_, _ = q.Write([]byte(strings.ReplaceAll(text, "\n", "\r\n")))
	_ = q.Close()
}

// subject encodes a heading (RFC 2047) and folds it, as no line may be longer than 998
// characters.
func subject(text string) string {
	return strings.ReplaceAll(mime.BEncoding.Encode("utf-8", text), "?= =?", "?=\r\n =?")
}

// messageID answers the id of a message as mail writes it.
func (s *mailer) messageID(id string) string {
	_, domain, _ := strings.Cut(s.from.Address, "@")
	return "<" + strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, id) + "@" + domain + ">"
}
