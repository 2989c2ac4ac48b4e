package keyring

import (
	"errors"

	"github.com/keyward/keyward/internal/authz"
)

// errHidden says that the key is another account's, which does not let the caller in.
var errHidden = errors.New("the key is hidden from the caller")

// permit asks whether the caller may do what it wants with a key. Everything that names a
// key comes through here.
func (r *Ring) permit(ask Ask, e *Entry) error {
	d, err := ask.Call.Check(authz.Request{Action: ask.Action, Resource: e.ARN, Attributes: e.attributes(ask.Attributes, ask.Usage), Policy: e.Policy})
	if d.Reason == authz.OtherAccount {
		return errHidden // and the record is not told which key it was: the caller reads it
	}
	ask.Record.Resource, ask.Record.Decision = e.ARN, d.String()
	return err
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
