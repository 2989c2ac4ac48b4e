package definition

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/keyward/keyward/internal/cloud/httpapi/template"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/lazy"
)

// A base is the beginning of URLs: a scheme, a host and perhaps a path. Requests reach this
// host and no other, for everything that follows is a path or a query.
type base struct {
	variable string             // of type url; "" for host
	host     *template.Template // a literal, or one with variables in its labels
	path     string
}

var variableBase = lazy.Regexp(`^\{\{\s*(vars\.[a-z][a-zA-Z0-9_]*)\s*\}\}(/[^?#{}]*)?$`)

func (p *parser) parseBase(text, path string) (*base, error) {
	if m := variableBase().FindStringSubmatch(text); m != nil {
		name, _ := strings.CutPrefix(m[1], "vars.")
		if p.spec.Vars[name].Type != "url" {
			return nil, p.at(path, "%s must be a variable of type url", m[1])
		}
		p.used[m[1]] = true
		return &base{variable: m[1], path: strings.TrimSuffix(m[2], "/")}, nil
	}
	rest, ok := strings.CutPrefix(text, "https://")
	if !ok {
		return nil, p.at(path, "it must begin with https:// or be a variable of type url")
	}
	host, below, _ := strings.Cut(rest, "/")
	if host == "" || strings.ContainsAny(host, "@?#\\ ") || strings.ContainsAny(below, "?#{}\\ ") {
		return nil, p.at(path, "it may hold a host, with variables in its labels, and a path; no user, query or fragment")
	}
	t, err := p.parse(host, template.Host, p.scope(), path)
	if err != nil {
		return nil, err
	}
	return &base{host: t, path: "/" + strings.Trim(below, "/")}, nil
}

// url answers the base with its variables filled in.
func (b *base) url(values template.Values) (*url.URL, error) {
	if b.variable != "" {
		text, _ := values[b.variable].(string)
		u, err := parseURL(text)
		if err != nil {
			return nil, fmt.Errorf("filling {{%s}}: %w", b.variable, err)
		}
		u.Path = strings.TrimSuffix(u.Path, "/") + b.path
		return u, nil
	}
	host, err := b.host.Text(values)
	if err != nil {
		return nil, err
	}
	return parseURL("https://" + host + strings.TrimSuffix(b.path, "/"))
}

// parseURL reads the URL of a host, with a path at most.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "", u.Opaque != "", u.RawPath != "":
		return nil, fault.Say("it is not a URL such as https://host/path")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fault.Say("it may hold no user, query or fragment")
	}
	return u, nil
}
