package fault

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// A Text is a sentence for a person, or a part of one, which can be said in English and in
// Chinese. As an error it is what is wrong without a [Kind], for whoever knows the kind to
// put into a fault. The zero Text says nothing.
type Text struct {
	english string
	chinese string // "" unless it was handed in
	format  string
	args    []any
}

// Say makes a Text. The format is a literal, and chinese.txt has its Chinese. The arguments
// are kept until the text is read, so that they must not change. Among them, a Text or
// anything else with a method Chinese() string is said in the reader's language; all others
// stay what they are.
func Say(format string, args ...any) Text {
	return Text{english: fmt.Sprintf(format, args...), format: format, args: args}
}

// Both makes a Text of what was written in both languages elsewhere.
func Both(english, chinese string) Text { return Text{english: english, chinese: chinese} }

// String answers the text in English.
func (t Text) String() string { return t.english }

// Error answers the text in English.
func (t Text) Error() string { return t.english }

// Chinese answers the text in Chinese. Text that was read elsewhere stays as it is.
func (t Text) Chinese() string {
	switch {
	case t.chinese != "":
		return t.chinese
	case t.format == "":
		return t.english
	}
	format, ok := translations()[t.format]
	if !ok {
		format = t.format
	}
	args := make([]any, len(t.args))
	for i, arg := range t.args {
		if bilingual, ok := arg.(interface{ Chinese() string }); ok {
			arg = bilingual.Chinese()
		}
		args[i] = arg
	}
	return fmt.Sprintf(format, args...)
}

// TextOf answers what the caller may read about err.
func TextOf(err error) Text {
	var f *Error
	if errors.As(err, &f) && f.Kind != Internal {
		return f.Text
	}
	return Say("an internal error occurred; the server's log has the details under this request id")
}

// chineseText has the Chinese of every format that is given to [Say], [Kind.New] and
// [Kind.Wrap]: a line with the format, then one that begins with a tab, sorted.
//
//go:embed chinese.txt
var chineseText string

// translations answers the Chinese formats by the English ones.
var translations = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	english := ""
	for line := range strings.Lines(chineseText) {
		line = strings.TrimSuffix(line, "\n")
		if chinese, ok := strings.CutPrefix(line, "\t"); ok {
			out[english] = chinese
		}
		english = line
	}
	return out
})
