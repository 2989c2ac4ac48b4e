package keyring

import (
	"github.com/keyward/keyward/internal/authz"
)

// permit asks whether the caller may do what it wants with a key. Everything that names a
// key comes through here.
func (r *Ring) permit(ask Ask, e *Entry) error {
	ask.Attributes = e.attributes(ask.Attributes)
	return r.May(ask, e.ARN)
}

// May asks the policies of the caller whether it may perform the action on a resource
// which is no key that exists, such as a container of keys, and notes in the record what
// they said.
func (r *Ring) May(ask Ask, resource string) error {
	ask.Record.Resource = resource
	d, err := ask.Call.Check(authz.Request{Action: ask.Action, Resource: resource, Attributes: ask.Attributes})
	ask.Record.Decision = d.String()
	return err
}
