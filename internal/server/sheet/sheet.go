// Package sheet is what the server's pages have in common: how they look, which language they
// speak, and what they forbid the browser. A page is one document that loads nothing; what it
// brings of style and script stands in it, and its policy names both by their hash, so that
// nothing that got in otherwise is executed.
package sheet

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"

	"github.com/keyward/keyward/internal/message"
)

//go:embed sheet.css
var css string

// CSS answers the style of all pages.
func CSS() string { return css }

// Policy answers the Content-Security-Policy of a page: it may be framed by nobody, has this
// style and, unless that is empty, this script, and may do what the directives in more say.
func Policy(script, more string) string {
	policy := "default-src 'none'; style-src " + hash(css) + "; base-uri 'none'; frame-ancestors 'none'; " + more
	if script != "" {
		policy += "; script-src " + hash(script) + "; require-trusted-types-for 'script'"
	}
	return policy
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Protect sets the headers of a page's answers. The address of a page is a permission: no
// other site may learn it, and no robot keep it.
func Protect(h http.Header, policy string) {
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Robots-Tag", "noindex, nofollow")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// Write answers with a page. A template that does not fit its view panics: every test of the
// page meets it.
func Write(w http.ResponseWriter, page *template.Template, view any, status int) {
	var b bytes.Buffer
	if err := page.Execute(&b, view); err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // who hung up reads nothing
}

// Language answers what the visitor reads: what the page's own link says, or else the
// browser.
func Language(r *http.Request) message.Language {
	l := r.URL.Query().Get("lang")
	if l == "" {
		l = strings.ToLower(r.Header.Get("Accept-Language"))
	}
	if strings.HasPrefix(l, "zh") {
		return message.Chinese
	}
	return message.English
}

// Other answers the other language.
func Other(l message.Language) message.Language {
	if l == message.Chinese {
		return message.English
	}
	return message.Chinese
}
