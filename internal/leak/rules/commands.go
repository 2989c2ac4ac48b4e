package rules

import (
	"bytes"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/judge"
)

// A command is a program that takes a password as an argument.
type command struct {
	name    string
	options []option
}

// An option is followed by a password, or by user:password.
type option struct {
	name string
	user bool
	only bool // only what is joined to it is its value, as in mysql -pVALUE
}

var (
	mysqlOptions = []option{{name: "-p", only: true}}
	userOptions  = []option{{name: "--user", user: true}, {name: "--proxy-user", user: true}, {name: "-u", user: true}, {name: "-U", user: true}}
	shortP       = []option{{name: "-p"}}
)

// commands are those that people write into scripts, notes and images, by their documentation.
// What has a name of its own, such as --password, package syntax understands.
var commands = []command{
	{"curl", userOptions}, {"mysql", mysqlOptions}, {"mysqldump", mysqlOptions}, {"mysqladmin", mysqlOptions}, {"mariadb", mysqlOptions}, {"mariadb-dump", mysqlOptions},
	{"sshpass", shortP}, {"mongo", shortP}, {"mongosh", shortP}, {"mongodump", shortP}, {"mongorestore", shortP}, {"docker login", shortP}, {"podman login", shortP}, {"helm registry login", shortP},
	{"redis-cli", []option{{name: "-a"}}}, {"ldapsearch", []option{{name: "-w"}}}, {"ldapmodify", []option{{name: "-w"}}}, {"sqlcmd", []option{{name: "-P"}}},
}

// commandAnchors answers the names of all commands.
func commandAnchors() (names []string) {
	for _, c := range commands {
		names = append(names, c.name)
	}
	return names
}

const maxCommand = 2000 // bytes of a command that are looked at

// commandPassword looks behind a command's name for the password among its arguments: words
// of a shell, or strings of a list as in {"command": ["mysql", "-pVALUE"]}.
func commandPassword(p leak.Part, start, end int) (leak.Found, bool) {
	text := p.Text
	if end == len(text) || bytes.IndexByte([]byte(" \t\"'\\"), text[end]) < 0 || start > 0 && (nameBytes[text[start-1]] || text[start-1] == '-') {
		return leak.Found{}, false
	}
	w := words{text: text[:min(len(text), end+maxCommand)], at: end}
	if text[end] == '"' || text[end] == '\'' {
		w.at++
	}
	for _, c := range commands {
		if !bytes.EqualFold([]byte(c.name), text[start:end]) {
			continue
		}
		for w.next() {
			if found, ok := w.password(c.options); ok {
				return found, true
			}
		}
	}
	return leak.Found{}, false
}

// words goes over the arguments of a command.
type words struct {
	text []byte
	at   int // where the word begins, and behind its quote
}

var nameBytes = leak.NewSet("0-9A-Za-z_")

// next moves to the next word; false at the end of the command.
func (w *words) next() bool {
	for w.at < len(w.text) && bytes.IndexByte([]byte(" \t,]\n|;&"), w.text[w.at]) < 0 {
		w.at++ // to the end of the word before
	}
	return w.skip()
}

// skip moves over what stands between two words: space, a line that goes on, a quote and
// the comma of a list.
func (w *words) skip() bool {
	for w.at < len(w.text) {
		switch rest := w.text[w.at:]; {
		case rest[0] == ' ' || rest[0] == '\t' || rest[0] == ',' || rest[0] == '"' || rest[0] == '\'':
			w.at++
		case bytes.HasPrefix(rest, []byte("\\\n")) || bytes.HasPrefix(rest, []byte(`\"`)):
			w.at += 2
		case bytes.HasPrefix(rest, []byte("\\\r\n")):
			w.at += 3
		default:
			return bytes.IndexByte([]byte("\n\r]|;&"), rest[0]) < 0
		}
	}
	return false
}

// password answers the password that the word is, if it is an option with one.
func (w *words) password(options []option) (leak.Found, bool) {
	for _, o := range options {
		value, ok := w.valueOf(o)
		if !ok {
			continue
		}
		got := w.text[value.at:value.end()]
		if o.user {
			colon := bytes.IndexByte(got, ':')
			if colon < 0 {
				continue
			}
			value.at += colon + 1
			got = got[colon+1:]
		}
		line := w.text[max(0, value.at-maxCommand/4):min(len(w.text), value.at+maxCommand/4)]
		if judge.Password(got) && !bytes.Contains(line, []byte("example.")) {
			return leak.Found{Start: value.at, End: value.at + len(got), Confidence: leak.Likely, Yields: true}, true
		}
	}
	return leak.Found{}, false
}

// valueOf answers the value of an option, if the word is that option: -u VALUE, -uVALUE,
// -sku VALUE, --user VALUE, --user=VALUE.
func (w *words) valueOf(o option) (words, bool) {
	word := w.text[w.at:]
	rest, is := bytes.CutPrefix(word, []byte(o.name))
	long := len(o.name) > 2
	if !is && !long && !o.only { // the last of several letters
		n := 1
		for n < len(word) && (word[n]|0x20 >= 'a' && word[n]|0x20 <= 'z') {
			n++
		}
		is = n > 2 && word[0] == '-' && word[n-1] == o.name[1] && n < len(word) && word[n] == ' '
		rest = word[n:]
	}
	if !is || len(rest) == 0 {
		return words{}, false
	}
	value := words{w.text, len(w.text) - len(rest)}
	switch c := rest[0]; {
	case long && c == '=':
		value.at++
	case c == ' ' || c == '"' && !o.only || c == '\'' && !o.only:
		if o.only || !value.skip() {
			return words{}, false
		}
		return value, true
	case long:
		return words{}, false
	}
	if c := value.text[value.at:]; len(c) > 0 && (c[0] == '"' || c[0] == '\'') {
		value.at++
	}
	return value, true
}

// end answers where the word ends: at space, or at the quote that it stands in.
func (w *words) end() int {
	i := w.at
	stop := []byte(" \t\r\n\"'`\\,;|&)<>")
	if w.at > 0 && (w.text[w.at-1] == '"' || w.text[w.at-1] == '\'') {
		stop = []byte{w.text[w.at-1], '\n', '\\'}
	}
	for i < len(w.text) && bytes.IndexByte(stop, w.text[i]) < 0 {
		i++
	}
	return i
}
