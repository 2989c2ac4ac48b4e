package wire

import "github.com/keyward/keyward/internal/fault"

// A place is where a value stands in a request. It becomes a text only when something is
// wrong there.
type place struct {
	kind placeKind
	name string // of a member or a parameter
	in   *place // of an item or an entry
}

type placeKind int

const (
	wholeBody placeKind = iota
	member
	memberName
	parameter
	item  // of a list
	entry // of a map
)

func (p place) text() fault.Text {
	switch p.kind {
	case member:
		return fault.Say("the member %q", p.name)
	case memberName:
		return fault.Say("the name of a member")
	case parameter:
		return fault.Say("the parameter %q", p.name)
	case item:
		return fault.Say("an item of %s", p.in.text())
	case entry:
		return fault.Say("a value in %s", p.in.text())
	}
	return fault.Say("the body")
}
