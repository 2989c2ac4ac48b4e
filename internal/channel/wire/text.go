package wire

import (
	"slices"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/message"
)

const maxTitle = 150 // runes of a title; Slack's headings have the least room

// Tidy answers the message with texts that are what they look like: one line each,
// without control characters or marks that turn the direction of writing, the title of
// bounded length. Names in a message were chosen by others.
func Tidy(m message.Message) message.Message {
	m.Title = message.Cut(oneLine(m.Title), maxTitle)
	m.Short = oneLine(m.Short)
	m.Lines = slices.Clone(m.Lines)
	for i, line := range m.Lines {
		m.Lines[i] = oneLine(line)
	}
	return m
}

func oneLine(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) { // among them the overrides of direction
			return -1
		}
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD")))
}

// Clip answers the text in at most n runes on one line, the last an ellipsis if it had more.
func Clip(text string, n int) string { return message.Cut(oneLine(text), n) }

// Fit answers the message with as much of its lines as a channel takes, and a note if that
// is not all of them. Size tells how large a message would be there, with all its markup:
// so nothing is ever cut after markup was put around it. Title, link and ticket stay; if
// it must be, people at the end of a long list are not named.
func Fit(m message.Message, limit int, size func(message.Message) int) (message.Message, error) {
	if size(m) <= limit {
		return m, nil
	}
	total := 0
	for _, line := range m.Lines {
		total += len(line)
	}
	short := cut(m, sort.Search(total, func(n int) bool { return size(cut(m, n+1)) > limit }))
	if size(short) <= limit {
		return short, nil
	}
	named := func(n int) message.Message {
		short.To = m.To[:n]
		return short
	}
	fewer := named(sort.Search(len(m.To), func(n int) bool { return size(named(n+1)) > limit }))
	if size(fewer) > limit {
		return m, Permanent("the title and the link of the message are longer than the channel's limit of %d bytes", limit)
	}
	return fewer, nil
}

// cut answers the message with the first n bytes of its lines, or less, so that no
// character is halved, and a note.
func cut(m message.Message, n int) message.Message {
	var lines []string
	for _, line := range m.Lines {
		if len(line) <= n {
			lines, n = append(lines, line), n-len(line)
			continue
		}
		for n > 0 && !utf8.RuneStart(line[n]) {
			n--
		}
		if n > 0 {
			lines = append(lines, line[:n])
		}
		break
	}
	m.Lines = append(lines, m.Language.Pick("… (shortened)", "……（内容过长，已截断）"))
	return m
}

// Headline answers the title with what kind of message it is before it.
func Headline(m message.Message) string {
	label := m.Language.Pick([...]string{"Info", "Warning", "Critical", "Emergency"}[m.Severity], [...]string{"提醒", "警告", "严重", "紧急"}[m.Severity])
	switch m.Event {
	case message.Acknowledge:
		label = m.Language.Pick("Acknowledged", "已确认")
	case message.Resolve:
		label = m.Language.Pick("Resolved", "已恢复")
		if m.Unwatched {
			label = m.Language.Pick("Ended", "已结束")
		}
	case message.Test:
		label = m.Language.Pick("Test", "测试")
	case message.Digest:
		label = m.Language.Pick("Digest", "汇总")
	case message.Heartbeat:
		label = m.Language.Pick("Heartbeat", "心跳")
	}
	return m.Language.Pick(label+": ", "【"+label+"】") + m.Title
}

// Open answers the words on the message's link.
func Open(m message.Message) string {
	if m.Event == message.Acknowledge || m.Event == message.Resolve {
		return m.Language.Pick("Open", "查看")
	}
	return m.Language.Pick("Open and acknowledge", "查看并确认")
}

// Ticket answers the line with the incident's number, or "" if it has none.
func Ticket(m message.Message) string {
	if m.Values.Ticket == "" {
		return ""
	}
	return m.Language.Pick("Incident ", "事件编号 ") + oneLine(m.Values.Ticket)
}

// Plain answers the lines and the ticket as text without any markup.
func Plain(m message.Message) string {
	lines := slices.Clone(m.Lines)
	if ticket := Ticket(m); ticket != "" {
		lines = append(lines, ticket)
	}
	return strings.Join(lines, "\n")
}
