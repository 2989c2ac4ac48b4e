package usage

import (
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/lazy"
)

// A Report is who uses a key, as far as it was counted.
type Report struct {
	Key       key.Key
	At        time.Time // of the report
	Since     time.Time // when the counting of this key began
	Uses      []Count   // of the last 365 days, those seen last first
	Versions  []VersionCount
	Resources []Resource
}

// A Status is the answer to: may this key be disabled?
type Status string

// The statuses.
const (
	InUse  Status = "InUse"  // it was used within [Recent], or a resource is registered
	Idle   Status = "Idle"   // it was used before that
	Unused Status = "Unused" // no use was counted since counting began
)

// Status answers whether the key may be disabled.
func (r Report) Status() Status {
	last := r.LastUsed()
	switch {
	case len(r.Resources) > 0 || !last.IsZero() && r.At.Sub(last) < Recent:
		return InUse
	case !last.IsZero():
		return Idle
	}
	return Unused
}

// LastUsed answers when the key was last used; zero if that was not counted.
func (r Report) LastUsed() (last time.Time) {
	for _, v := range r.Versions {
		if v.UsedAt.After(last) {
			last = v.UsedAt
		}
	}
	return last
}

// Made answers how much was made, with all versions, that only this key opens.
func (r Report) Made() (n int64) {
	for _, v := range r.Versions {
		n += v.Made
	}
	return n
}

// Plus answers two counts of one use together.
func (c Count) Plus(more Count) Count {
	c.N += more.N
	c.First = earlier(c.First, more.First)
	c.Last = later(c.Last, more.Last)
	return c
}

// Plus answers the count of a version together with that of a use.
func (v VersionCount) Plus(c Count) VersionCount {
	v.Used += c.N
	v.UsedAt = later(v.UsedAt, c.Last)
	if c.Makes() {
		v.Made += c.N
		v.MadeAt = later(v.MadeAt, c.Last)
	}
	return v
}

// Join answers two counts of one version together.
func (v VersionCount) Join(more VersionCount) VersionCount {
	v.Used, v.Made = v.Used+more.Used, v.Made+more.Made
	v.UsedAt, v.MadeAt = later(v.UsedAt, more.UsedAt), later(v.MadeAt, more.MadeAt)
	return v
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// earlier answers the earlier of two times, of which a zero one is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// The limits of a registered resource.
const (
	maxName = 512 // bytes
	maxNote = 256
)

var productName = lazy.Regexp(`^[a-z0-9][a-z0-9-]{0,63}$`)

func (r Resource) check() error {
	if !productName().MatchString(r.Product) {
		return fault.InvalidParameter.New("The specified parameter Product is not valid. It has lower-case letters, digits and hyphens, at most 64.")
	}
	if r.Name == "" || len(r.Name) > maxName || !readable(r.Name) {
		return fault.InvalidParameter.New("The specified parameter Resource is not valid. It has 1 to %d bytes of UTF-8, without control characters.", maxName)
	}
	if len(r.Note) > maxNote || !readable(r.Note) {
		return fault.InvalidParameter.New("The specified parameter Note is not valid. It may have %d bytes of UTF-8, without control characters.", maxNote)
	}
	return nil
}

func readable(s string) bool {
	for _, c := range s {
		if unicode.IsControl(c) {
			return false
		}
	}
	return utf8.ValidString(s)
}

// same tells whether two resources of a key have the same name.
func (r Resource) same(other Resource) bool {
	return r.Product == other.Product && r.Name == other.Name
}
