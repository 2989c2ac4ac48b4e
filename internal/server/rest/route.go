package rest

import (
	"context"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/keyward/keyward/internal/authn"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/server/wire"
)

// A route is one operation of the API.
type route struct {
	method  string
	pattern string // of the path; {name} stands for one segment
	name    string // of the operation, in metrics and logs and in package client
	action  string // as policies and the audit log know it
	summary string // for the documentation
	handler
}

// A handler is the part of a route that knows the types.
type handler struct {
	in, out reflect.Type
	prepare func(*dialect, request) (act, error)
	large   bool // takes bodies of up to MaxBody
}

// An act is a decoded request, ready to be performed by a service.
type act func(context.Context) (any, error)

// none is the request or the answer of operations that have none.
type none struct{}

// takes makes a handler of a method that takes a request type of package api and
// answers another of its types.
func takes[In, Out any](do func(*dialect, context.Context, request, In) (Out, error)) handler {
	prepare := func(d *dialect, q request) (act, error) {
		var in In
		if err := q.decode(&in); err != nil {
			return nil, err
		}
		return func(ctx context.Context) (any, error) {
			out, err := do(d, ctx, q, in)
			if _, ok := any(out).(none); ok || err != nil {
				return nil, err
			}
			return out, nil
		}, nil
	}
	return handler{in: reflect.TypeFor[In](), out: reflect.TypeFor[Out](), prepare: prepare}
}

// takesPolicy is takes for an operation whose body carries a policy or a credential.
func takesPolicy[In, Out any](do func(*dialect, context.Context, request, In) (Out, error)) handler {
	h := takes(do)
	h.large = true
	return h
}

// A request is an authenticated and admitted request. Everything in it was signed.
type request struct {
	call   *authz.Call
	vars   map[string]string // the segments of the path that stand for names
	method string
	params authn.Params
	header http.Header
	body   []byte
}

// decode reads the request into a request type, from where the method has it.
func (q request) decode(into any) error {
	_, empty := into.(*none)
	if empty || queried(q.method) {
		if err := wire.CheckNoBody(q.body); err != nil {
			return err
		}
		return wire.DecodeQuery(q.params.All(), into)
	}
	if err := wire.CheckNoQuery(q.params.All()); err != nil {
		return err
	}
	return wire.DecodeBody(q.header, q.body, into)
}

// queried tells whether requests of a method have their members in the query.
func queried(method string) bool {
	return method == http.MethodGet || method == http.MethodDelete
}

// routes answers the table of the whole API, which only servers and their clients' documents
// need: it is made when it is first asked for, see package lazy.
var routes = sync.OnceValue(func() []splitRoute {
	return split(slices.Concat(keyRoutes(), cryptoRoutes(), usageRoutes(), secretRoutes(), sinkRoutes(), rolloutRoutes(), targetRoutes(), offerRoutes(), instanceRoutes(), rotationRoutes(), accessRoutes(), roleRoutes(), loginRoutes(), federationRoutes(), auditRoutes(), inventoryRoutes(), alertRoutes(), findingRoutes(), leakRoutes(), repositoryRoutes(), approvalRoutes()))
})

// Actions answers the actions of the whole API, as policies know them.
func Actions() []string {
	table := routes()
	out := make([]string, len(table))
	for i := range table {
		out[i] = table[i].action
	}
	return out
}

// A splitRoute is a route whose pattern is ready to be compared.
type splitRoute struct {
	route
	segments []string
}

func split(table []route) []splitRoute {
	out := make([]splitRoute, len(table))
	for i, r := range table {
		out[i] = splitRoute{r, strings.Split(r.pattern, "/")}
	}
	return out
}

// A match is what the table says about a request line.
type match struct {
	route
	vars    map[string]string
	missing error  // why there is no route
	allow   string // the methods that the path has, if it has not this one
}

// unknown stands for what is no operation, in the log and in records.
var unknown = route{name: "-", action: "keyward:UnknownOperation"}

// find looks a request up in the table.
func find(method, path string) match {
	segments := strings.Split(path, "/")
	var allow []string
	table := routes()
	for i := range table {
		r := &table[i]
		if !r.leads(segments) {
			continue
		}
		if r.method != method {
			allow = append(allow, r.method)
			continue
		}
		if vars, ok := r.read(segments); ok {
			return match{route: r.route, vars: vars}
		}
	}
	if len(allow) > 0 {
		list := strings.Join(allow, ", ")
		return match{route: unknown, allow: list, missing: fault.MethodNotAllowed.New("this path takes %s only", list)}
	}
	return match{route: unknown, missing: fault.ActionNotFound.New("there is no such path; docs/api.md lists them")}
}

// leads tells whether the fixed segments of the pattern are those of a path.
func (r *splitRoute) leads(segments []string) bool {
	if len(segments) != len(r.segments) {
		return false
	}
	for i, want := range r.segments {
		if !strings.HasPrefix(want, "{") && segments[i] != want {
			return false
		}
	}
	return true
}

// read answers the names in a path. In those of keys, aliases and secrets "~" stands for a
// slash, which cannot be encoded in a path.
func (r *splitRoute) read(segments []string) (map[string]string, bool) {
	vars := map[string]string{}
	for i, want := range r.segments {
		if !strings.HasPrefix(want, "{") {
			continue
		}
		value, err := url.PathUnescape(segments[i])
		if err != nil || value == "" {
			return nil, false
		}
		name := strings.Trim(want, "{}")
		if name == "key" || name == "alias" || name == "secret" {
			value = strings.ReplaceAll(value, "~", "/")
		}
		vars[name] = value
	}
	return vars, true
}
