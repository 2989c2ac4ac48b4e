package accesskey

import (
	"slices"
	"time"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
)

// A Remark is what people say of one key.
type Remark struct {
	Account   string
	Source    string
	Key       string // Observed.ID
	Owner     string // who answers for it
	Purpose   string
	System    string // that it belongs to
	Consumers []string
	Tags      []form.Pair
	ExpiresAt time.Time // as a person says; zero if nobody did
	Permanent bool      // it is accepted that nobody knows an expiry
	Note      string
	UpdatedAt time.Time
	Rev       int64 // 0 if there is none yet
}

// check refuses what is too long or is no text.
func (r *Remark) check() error {
	for _, f := range []struct {
		name fault.Text
		text string
	}{{fault.Say("owner"), r.Owner}, {fault.Say("purpose"), r.Purpose}, {fault.Say("system"), r.System}} {
		if err := checkText(f.name, f.text, MaxText); err != nil {
			return err
		}
	}
	if err := checkText(fault.Say("note"), r.Note, MaxNote); err != nil {
		return err
	}
	if len(r.Consumers) > MaxConsumers || len(r.Tags) > MaxTags {
		return fault.LimitExceeded.New("a key has at most %d consumers and %d tags", MaxConsumers, MaxTags)
	}
	for _, consumer := range r.Consumers {
		if err := checkText(fault.Say("consumer"), consumer, MaxText); err != nil {
			return err
		}
	}
	for i, tag := range r.Tags {
		if tag.Name == "" || slices.IndexFunc(r.Tags, func(p form.Pair) bool { return p.Name == tag.Name }) != i {
			return fault.InvalidParameter.New("a tag has no name, or a name is given twice")
		}
		if err := checkText(fault.Say("tag"), tag.Name+tag.Value, MaxText); err != nil {
			return err
		}
	}
	if !r.ExpiresAt.IsZero() && (r.ExpiresAt.Year() < 2000 || r.ExpiresAt.Year() > 9999) {
		return fault.InvalidParameter.New("the expiry is no sensible date")
	}
	return nil
}

func checkText(name fault.Text, text string, limit int) error {
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > limit {
		return fault.InvalidParameter.New("the %s is not text of at most %d characters", name, limit)
	}
	for _, r := range text {
		if r < ' ' && r != '\n' || r == 0x7f {
			return fault.InvalidParameter.New("the %s has a control character", name)
		}
	}
	return nil
}

// An AccessKey is everything that is known of one key.
type AccessKey struct {
	Account   string
	Source    string
	Provider  string // Source.Kind
	Observed  Observed
	Principal Principal // zero but for its ID if it was not read
	Remark    Remark
	Owner     string // Remark.Owner, or the source's
	Due       Expiry
	SeenFirst time.Time
	GoneAt    time.Time     // when it was found missing; zero if it is there
	Can       *Capabilities // what can be done with it, and undone; nil if nobody told. Operations answer it, the store does not
}

// Due answers by when something must be done about a key: the earliest of the dates that
// are known, and whose date it is. A key that is not in use any more is never due.
func Due(o Observed, r Remark, maxAge time.Duration) Expiry {
	if o.Status != Active && o.Status != Expired && o.Status != "" {
		return Expiry{}
	}
	due := o.Expiry
	earlier := func(at time.Time, basis Basis) {
		if !at.IsZero() && (due.At.IsZero() || at.Before(due.At)) {
			due = Expiry{at, basis}
		}
	}
	earlier(r.ExpiresAt, Declared)
	if maxAge > 0 && !o.CreatedAt.IsZero() {
		earlier(o.CreatedAt.Add(maxAge), Policy)
	}
	return due
}
