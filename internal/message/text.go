package message

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/form"
)

// Of answers a text in the language.
func (l Language) Of(t form.Text) string {
	if l == Chinese {
		return t.Chinese
	}
	return t.English
}

// Pick answers one of two texts.
func (l Language) Pick(english, chinese string) string {
	return l.Of(form.Text{English: english, Chinese: chinese})
}

// Left spells how long is left until a deadline, rounded down: nobody is told of time
// that is not there.
func Left(d time.Duration, l Language) string {
	const day = 24 * time.Hour
	switch {
	case d <= 0:
		return l.Pick("expired", "已过期")
	case d < time.Hour:
		return fmt.Sprintf(l.Pick("%d min", "%d 分钟"), int(d/time.Minute))
	case d < 2*day:
		return fmt.Sprintf(l.Pick("%d h", "%d 小时"), int(d/time.Hour))
	}
	return fmt.Sprintf(l.Pick("%d days", "%d 天"), int(d/day))
}

// Line answers a text as one line of at most so many characters, without what moves the
// cursor or turns the direction of writing.
func Line(text string, most int) string {
	return Cut(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), r == utf8.RuneError, r >= 0x200b && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2060 && r <= 0x206f, r == 0xfeff:
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "")), most)
}

// Cut shortens a text to a number of characters.
func Cut(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}
