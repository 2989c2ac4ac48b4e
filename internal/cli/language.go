package cli

import (
	"strings"
)

// A Language is one that keyward speaks.
type Language string

// The languages.
const (
	English Language = "en"
	Chinese Language = "zh"
)

// A text says the same thing in every language.
type text struct{ en, zh string }

// in answers the text in l.
func (t text) in(l Language) string {
	if l == Chinese {
		return t.zh
	}
	return t.en
}

// languageOf chooses a language: by name if one is given (flag or KEYWARD_LANG),
// otherwise by the locale, in the order in which POSIX looks at its variables.
func languageOf(name string, getenv func(string) string) Language {
	for _, source := range []string{name, getenv("KEYWARD_LANG"), getenv("LC_ALL"), getenv("LC_MESSAGES"), getenv("LANG")} {
		if source == "" {
			continue
		}
		if strings.HasPrefix(strings.ToLower(source), "zh") {
			return Chinese
		}
		return English
	}
	return English
}
