package sink

import "time"

// A view is what is known of a secret here and there at one moment.
type view struct {
	remote  int  // number of the newest version there; 0 for nothing
	gone    bool // it was deleted there
	current bool // the value there is the one that is current here
	own     bool // it is one that the copy names
	blind   bool // no value that the copy names is here any more, to be compared
}

// A decision is what to do with a copy.
type decision int

const (
	keep    decision = iota // it is right
	drifted                 // somebody changed it; leave it
	write                   // write what is current here
)

// decide is the whole rule of copies. It is pure.
//
// What is there is keyward's own work if it is a value that keyward wrote or was about to
// write. Only keyward's own work, and nothing at all, is written over without being told to.
func decide(c Copy, v view, overwrite time.Time) decision {
	unknown := c.Version != c.Written // a write that may or may not have happened
	there := v.remote > 0 && !v.gone
	switch {
	case there && v.current:
		return keep
	case there && v.own:
		return write
	case v.remote == 0 && c.Written == "":
		return write // nothing was ever there
	case unknown && v.remote == c.Remote:
		return write // it did not happen; what is there was looked at before
	case there && v.blind && c.Written != "" && v.remote == c.Remote:
		return write // the number says that nobody wrote since
	case c.Status == Drifted && !c.At.After(overwrite):
		return write
	}
	return drifted
}
