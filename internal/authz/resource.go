package authz

import "strings"

// An arn is a resource name, acs:service:region:account:relative, in its parts.
// The relative part may itself contain colons.
type arn struct {
	service, region, account, relative string
}

func parseARN(s string) (arn, bool) {
	var a arn
	var ok bool
	if s, ok = strings.CutPrefix(s, "acs:"); !ok {
		return arn{}, false
	}
	for _, part := range []*string{&a.service, &a.region, &a.account} {
		if *part, s, ok = strings.Cut(s, ":"); !ok {
			return arn{}, false
		}
	}
	a.relative = s
	return a, a.service != "" && a.account != "" && a.relative != ""
}

// A resource is a compiled pattern for names. Each part is matched by itself, so
// that a star never reaches over a colon into the account.
type resource struct {
	any                                bool // the pattern *
	service, region, account, relative glob
}

func compileResource(pattern string) (resource, bool) {
	if pattern == "*" {
		return resource{any: true}, true
	}
	a, ok := parseARN(pattern)
	if !ok || !consists(a.service, alphanumeric+"-*?") || !consists(a.region, alphanumeric+"-*?") || !consists(a.account, "0123456789*?") {
		return resource{}, false
	}
	return resource{
		service:  compileGlob(a.service),
		region:   compileGlob(a.region),
		account:  compileGlob(a.account),
		relative: compileGlob(a.relative),
	}, true
}

func (r *resource) match(a arn) bool {
	return r.any ||
		r.relative.match(a.relative) && r.service.match(a.service) && r.region.match(a.region) && r.account.match(a.account)
}

// names tells whether the pattern writes the account out. Only then may it allow anything
// in another account: a star means the own one.
func (r *resource) names() bool {
	return !r.any && !r.account.star && !r.account.single
}
