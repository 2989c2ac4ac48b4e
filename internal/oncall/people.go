package oncall

import (
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/lazy"
	"github.com/keyward/keyward/internal/message"
)

// Limits. docs/alerts.md tells them to users.
const (
	MaxPeople   = 1000 // of one account
	MaxRotas    = 100
	MaxRotaSize = 50 // people of one rota
)

var (
	nameForm   = lazy.Regexp(`^[a-z0-9][a-z0-9._-]{0,62}$`)
	mobileForm = lazy.Regexp(`^\+[1-9][0-9]{6,14}$`)
	emailForm  = lazy.Regexp(`^[^\s@<>()",;:\\\x00-\x1f]{1,64}@[a-zA-Z0-9.-]{1,190}$`)
)

// ValidName tells whether a person, a rota or a channel may be called so.
func ValidName(name string) bool { return nameForm().MatchString(name) }

// A Person can be told.
type Person struct {
	Account  string
	Name     string
	Email    string
	Mobile   string
	IDs      []form.Pair // by kind of channel
	Language message.Language
	Rev      int64
}

// Check refuses a person who cannot be named or written to with [fault.InvalidParameter].
func (p Person) Check() error {
	switch {
	case !ValidName(p.Name):
		return fault.InvalidParameter.New("a name has lower-case letters, digits, dots, hyphens and underscores, at most 63")
	case p.Email != "" && !emailForm().MatchString(p.Email):
		return fault.InvalidParameter.New("that is no e-mail address")
	case p.Mobile != "" && !mobileForm().MatchString(p.Mobile):
		return fault.InvalidParameter.New("a mobile number begins with + and the country: +8613800000000")
	case p.Language != "" && p.Language != message.English && p.Language != message.Chinese:
		return fault.InvalidParameter.New("the language is en or zh")
	case len(p.IDs) > 20:
		return fault.LimitExceeded.New("a person has at most 20 ids at channels")
	case p.Email == "" && p.Mobile == "" && len(p.IDs) == 0:
		return fault.MissingParameter.New("nothing could reach this person: give an e-mail address, a mobile number or an id at a channel")
	}
	for _, id := range p.IDs {
		if id.Name == "" || id.Value == "" || len(id.Value) > 128 || strings.ContainsAny(id.Value, " \t\r\n<>") {
			return fault.InvalidParameter.New("an id at a channel is a kind of channel and one word")
		}
	}
	return nil
}

// Recipient answers the person as channels know one.
func (p Person) Recipient() message.Recipient {
	r := message.Recipient{Person: p.Name, Email: p.Email, Mobile: p.Mobile, IDs: map[string]string{}}
	for _, id := range p.IDs {
		r.IDs[id.Name] = id.Value
	}
	return r
}

// A Rota says who is on call when: its people take turns of equal length.
type Rota struct {
	Account string
	Name    string
	People  []string
	Start   time.Time     // of the first turn of the first person
	Turn    time.Duration // whole hours
	Rev     int64
}

// Check refuses a rota in which nobody would ever be on call.
func (r Rota) Check() error {
	switch {
	case !ValidName(r.Name):
		return fault.InvalidParameter.New("a name has lower-case letters, digits, dots, hyphens and underscores, at most 63")
	case len(r.People) == 0 || len(r.People) > MaxRotaSize:
		return fault.InvalidParameter.New("a rota has 1 to %d people", MaxRotaSize)
	case r.Turn < time.Hour || r.Turn > 366*day || r.Turn%time.Hour != 0:
		return fault.InvalidParameter.New("a turn takes whole hours, 366 days at most")
	case r.Start.IsZero():
		return fault.MissingParameter.New("a rota needs the time at which the first turn begins")
	}
	return nil
}

// OnCall answers whose turn it is. Before the first turn it is the first person's.
func (r Rota) OnCall(now time.Time) string {
	turns := max(now.Sub(r.Start)/r.Turn, 0)
	return r.People[int(turns%time.Duration(len(r.People)))]
}

// A Directory is the people and rotas of an account.
type Directory struct {
	People []Person
	Rotas  []Rota
}

// Person answers the person of a name.
func (d Directory) Person(name string) (Person, bool) {
	i := slices.IndexFunc(d.People, func(p Person) bool { return p.Name == name })
	if i < 0 {
		return Person{}, false
	}
	return d.People[i], true
}

// Rota answers the rota of a name.
func (d Directory) Rota(name string) (Rota, bool) {
	i := slices.IndexFunc(d.Rotas, func(r Rota) bool { return r.Name == name })
	if i < 0 {
		return Rota{}, false
	}
	return d.Rotas[i], true
}

// Unknown answers whom levels name and the directory does not have, each once, as the
// levels name them.
func (d Directory) Unknown(levels []Level) (out []string) {
	for _, who := range slices.Concat(levels...) {
		kind, name, _ := strings.Cut(who, ":")
		known := true
		switch kind {
		case "person":
			_, known = d.Person(name)
		case "rota":
			_, known = d.Rota(name)
		}
		if !known && !slices.Contains(out, who) {
			out = append(out, who)
		}
	}
	return out
}

// Told answers the people of the levels up to one, at a time. An owner that is no known
// person is replaced by the next level that has somebody.
func (d Directory) Told(levels []Level, upTo int, owner string, now time.Time) []Person {
	var out []Person
	add := func(name string) {
		i := slices.IndexFunc(d.People, func(p Person) bool { return p.Name == name || p.Email != "" && strings.EqualFold(p.Email, name) })
		if i >= 0 && !slices.ContainsFunc(out, func(p Person) bool { return p.Name == d.People[i].Name }) {
			out = append(out, d.People[i])
		}
	}
	for n, level := range levels {
		if n > upTo && len(out) > 0 {
			break
		}
		for _, who := range level {
			kind, name, _ := strings.Cut(who, ":")
			switch kind {
			case "owner":
				add(owner)
			case "everybody":
				return d.People
			case "person":
				add(name)
			case "rota":
				if r, ok := d.Rota(name); ok {
					add(r.OnCall(now))
				}
			}
		}
	}
	return out
}
