package main

import "strings"

// A language is one that keyward speaks.
type language string

const (
	english language = "en"
	chinese language = "zh"
)

// A text says the same thing in every language.
type text struct{ en, zh string }

// in answers the text in l.
func (t text) in(l language) string {
	if l == chinese {
		return t.zh
	}
	return t.en
}

// languageOf chooses a language: by name if one is given (flag or KEYWARD_LANG),
// otherwise by the locale, in the order in which POSIX looks at its variables.
func languageOf(name string, getenv func(string) string) language {
	for _, source := range []string{name, getenv("KEYWARD_LANG"), getenv("LC_ALL"), getenv("LC_MESSAGES"), getenv("LANG")} {
		if source == "" {
			continue
		}
		if strings.HasPrefix(strings.ToLower(source), "zh") {
			return chinese
		}
		return english
	}
	return english
}
