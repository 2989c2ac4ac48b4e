package rest

import "reflect"

// A Route is a row of the table, for tests and for what they generate.
type Route struct {
	Method, Pattern, Name, Action, Summary string
	In, Out                                reflect.Type // nil for none
}

// Routes answers the table.
func Routes() []Route {
	var out []Route
	for _, r := range routes() {
		out = append(out, Route{r.method, r.pattern, r.name, r.action, r.summary, named(r.in), named(r.out)})
	}
	return out
}

func named(t reflect.Type) reflect.Type {
	if t == reflect.TypeFor[none]() {
		return nil
	}
	return t
}
