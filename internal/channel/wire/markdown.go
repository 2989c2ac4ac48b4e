package wire

import (
	"strings"

	"github.com/keyward/keyward/internal/message"
)

// look maps what robots read as markup, to characters that look like it. Their Markdown
// is undocumented about backslashes, so nothing else is sure to be shown as it stands.
var look = strings.NewReplacer("<", "＜", ">", "＞", "[", "［", "]", "］", "*", "＊", "`", "＇", "#", "＃", "~", "～", "\\", "＼", "|", "｜")

// Unmarked answers a text in which Markdown finds nothing to do.
func Unmarked(text string) string { return look.Replace(text) }

// Markdown answers the message in the little Markdown that all robots know: heading, list,
// ticket, and the link if it is asked for.
func Markdown(m message.Message, link bool) string {
	var b strings.Builder
	b.WriteString("### " + Unmarked(Headline(m)) + "\n")
	for _, line := range m.Lines {
		b.WriteString("\n- " + Unmarked(line))
	}
	if ticket := Ticket(m); ticket != "" {
		b.WriteString("\n\n> " + Unmarked(ticket))
	}
	if link && m.Link != "" {
		b.WriteString("\n\n[" + Open(m) + "](" + strings.NewReplacer("(", "%28", ")", "%29", " ", "%20").Replace(m.Link) + ")")
	}
	return b.String()
}
