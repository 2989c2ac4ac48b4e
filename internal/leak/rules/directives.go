package rules

import (
	"bytes"
	"path"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/judge"
)

// identifiedBy is of SQL, where a password has quotes, and of English, where it has none.
const identifiedBy = "identified by"

// directives are words that a password follows with no sign between: of Redis's configuration and
// of SQL's statements.
var directives = []string{"requirepass", "masterauth", identifiedBy}

// pgpassPorts stand in lines of PostgreSQL's password file, hostname:port:database:username:password
// (its manual, "The Password File"): the usual port, and that of all.
var pgpassPorts = []string{":5432:", ":*:"}

// passwordAnchors answers where a password may stand without a name of its own.
func passwordAnchors() []string {
	anchors := append(commandAnchors(), directives...)
	return append(anchors, pgpassPorts...)
}

// unnamedPassword looks for a password that has no name: an argument of a command, what follows a
// directive, the last column of a line of a password file.
func unnamedPassword(p leak.Part, start, end int) (leak.Found, bool) {
	if p.Text[start] == ':' {
		return pgpass(p, start)
	}
	for _, d := range directives {
		if bytes.EqualFold(p.Text[start:end], []byte(d)) {
			return directive(p, start, end)
		}
	}
	return commandPassword(p, start, end)
}

// directive looks behind a directive that stands by itself.
func directive(p leak.Part, start, end int) (leak.Found, bool) {
	if end == len(p.Text) || p.Text[end] != ' ' && p.Text[end] != '\t' || start > 0 && nameBytes[p.Text[start-1]] {
		return leak.Found{}, false
	}
	w := words{text: p.Text[:min(len(p.Text), end+maxCommand)], at: end}
	if !w.skip() || bytes.EqualFold(p.Text[start:end], []byte(identifiedBy)) && bytes.IndexByte([]byte(`'"`), w.text[w.at-1]) < 0 {
		return leak.Found{}, false
	}
	return password(w.at, w.end(), p.Text)
}

// pgpass looks at the line of a password file in which a port stands.
func pgpass(p leak.Part, start int) (leak.Found, bool) {
	if name := path.Base(p.Path); name != ".pgpass" && name != "pgpass.conf" {
		return leak.Found{}, false
	}
	begin := bytes.LastIndexByte(p.Text[:start], '\n') + 1
	line, _, _ := bytes.Cut(p.Text[begin:], []byte("\n"))
	columns := bytes.SplitN(line, []byte(":"), 5)
	if len(columns) < 5 {
		return leak.Found{}, false
	}
	last := bytes.TrimRight(columns[4], "\r")
	at := begin + len(line) - len(columns[4])
	return password(at, at+len(last), p.Text)
}

// password answers a stretch of a text, if it can be a password.
func password(from, to int, text []byte) (leak.Found, bool) {
	return leak.Found{Start: from, End: to, Confidence: leak.Likely, Yields: true}, judge.Password(text[from:to])
}
