package accesskey

import (
	"context"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
)

// MaxPage is how many keys one page of a list has at most, MaxCalendar how many a calendar.
const (
	MaxPage     = 1000
	MaxCalendar = 10_000
)

// Keys answers the keys of the account that match, and the cursor of the rest, "" if there
// is none.
func (s *Service) Keys(ctx context.Context, c *authz.Call, q Query) (keys []AccessKey, next string, err error) {
	err = s.do(ctx, c, "keyward:ListAccessKeys", func(rec *audit.Record) error {
		if err := s.may(c, rec, "accesskey/*"); err != nil {
			return err
		}
		switch q.Order {
		case "":
			q.Order = ByDue
		case ByDue, ByAge, ByUse, BySubject:
		default:
			return fault.InvalidParameter.New("keys cannot be ordered by %q; use due, age, use or name", q.Order)
		}
		switch q.Status {
		case "", Active, Inactive, Expired, Deleted, Gone:
		default:
			return fault.InvalidParameter.New("there is no status %q; use active, inactive, expired, deleted or gone", q.Status)
		}
		for _, f := range []struct {
			name fault.Text
			text string
		}{{fault.Say("provider"), q.Source}, {fault.Say("owner"), q.Owner}, {fault.Say("text"), q.Text}, {fault.Say("cursor"), q.After}} {
			if err := checkText(f.name, f.text, 2*MaxText); err != nil { // no database looks for what is no text
				return err
			}
		}
		if q.Limit < 1 || q.Limit > MaxPage {
			return fault.InvalidParameter.New("a page has 1 to %d keys", MaxPage)
		}
		if keys, next, err = s.o.Keys.Keys(ctx, c.Account, q); err != nil {
			return err
		}
		return s.equip(ctx, c.Account, keys)
	})
	return keys, next, err
}

// Each calls fn with every key of the account that is not gone, or only with those due
// before a time if it is not zero, for keyward itself and without a record, until fn
// answers an error.
func (s *Service) Each(ctx context.Context, account string, before time.Time, fn func(AccessKey) error) error {
	q := Query{Order: BySubject, Limit: MaxPage, DueBefore: before}
	if !before.IsZero() {
		q.Order = ByDue // which has an index
	}
	return s.each(ctx, account, q, fn)
}

// each calls fn with every key that matches until it answers an error.
func (s *Service) each(ctx context.Context, account string, q Query, fn func(AccessKey) error) error {
	for {
		keys, next, err := s.o.Keys.Keys(ctx, account, q)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if err := fn(k); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		q.After = next
	}
}

// Calendar answers the keys of the account for which a date is known, the most urgent
// first, at most [MaxCalendar].
func (s *Service) Calendar(ctx context.Context, c *authz.Call) (dated []AccessKey, err error) {
	err = s.do(ctx, c, "keyward:GetCalendar", func(rec *audit.Record) error {
		if err := s.may(c, rec, "accesskey/*"); err != nil {
			return err
		}
		for q := (Query{Order: ByDue, Limit: MaxPage}); ; {
			keys, next, err := s.o.Keys.Keys(ctx, c.Account, q)
			if err != nil {
				return err
			}
			for _, k := range keys {
				if k.Due.At.IsZero() || len(dated) == MaxCalendar {
					return nil // what never is due comes last
				}
				dated = append(dated, k)
			}
			if q.After = next; next == "" {
				return nil
			}
		}
	})
	return dated, err
}

// Urgent answers the keys of the account that are due before a time, the most urgent
// first, at most limit, for keyward itself and without a record.
func (s *Service) Urgent(ctx context.Context, account string, before time.Time, limit int) ([]AccessKey, error) {
	keys, _, err := s.o.Keys.Keys(ctx, account, Query{Order: ByDue, DueBefore: before, Limit: min(limit, MaxPage)})
	return keys, err
}

// Key answers one key.
func (s *Service) Key(ctx context.Context, c *authz.Call, source, id string) (k AccessKey, err error) {
	err = s.do(ctx, c, "keyward:GetAccessKey", func(rec *audit.Record) error {
		k, err = s.key(ctx, c, rec, source, id)
		return err
	})
	return k, err
}

func (s *Service) key(ctx context.Context, c *authz.Call, rec *audit.Record, source, id string) (AccessKey, error) {
	if err := s.may(c, rec, "accesskey/"+source+"/"+id); err != nil {
		return AccessKey{}, err
	}
	k, err := s.o.Keys.Key(ctx, c.Account, source, id)
	if err != nil {
		return AccessKey{}, err
	}
	return s.equipped(ctx, k)
}

// equipped answers a key with what [Service.equip] notes at it.
func (s *Service) equipped(ctx context.Context, k AccessKey) (AccessKey, error) {
	one := []AccessKey{k}
	err := s.equip(ctx, k.Account, one)
	return one[0], err
}

// equip notes at keys of the account what can be done with each: what its account told, or
// the guide by which a person made it says, or else its kind. Of keys that only a person
// changes nothing is known that was not declared.
func (s *Service) equip(ctx context.Context, account string, keys []AccessKey) error {
	told := map[string]*Capabilities{} // by source
	for i := range keys {
		k := &keys[i]
		kind, err := s.kind(k.Provider)
		if err != nil {
			continue // this server does not know the kind any more
		}
		can := kind.Capabilities
		if g := slices.IndexFunc(kind.Guides, func(g Guide) bool { return g.Name == k.Observed.Detail["guide"] }); g >= 0 {
			can = kind.Guides[g].Capabilities
		}
		if k.Can = &can; kind.Varies {
			if _, asked := told[k.Source]; !asked {
				st, err := s.o.Sources.State(ctx, account, k.Source)
				if err != nil {
					return err
				}
				told[k.Source] = st.Facts.Can
			}
			k.Can = told[k.Source]
		}
		if k.Can != nil && kind.Capabilities.Manual && !k.Can.Disable && k.Can.Undo == 0 {
			k.Can = nil
		}
	}
	return nil
}

// A Note changes what people say of a key; nil leaves a part as it is.
type Note struct {
	Owner, Purpose, System, Text *string
	Consumers                    *[]string
	Tags                         *map[string]string
	ExpiresAt                    *time.Time // the zero time takes it back
	Permanent                    *bool
}

// Remark changes what people say of a key, and answers the key. Whoever tells people of
// dates looks at them again.
func (s *Service) Remark(ctx context.Context, c *authz.Call, source, id string, n Note) (k AccessKey, err error) {
	err = s.do(ctx, c, "keyward:RemarkAccessKey", func(rec *audit.Record) error {
		if k, err = s.key(ctx, c, rec, source, id); err != nil {
			return err
		}
		src, err := s.o.Sources.Source(ctx, c.Account, source)
		if err != nil {
			return err
		}
		r := k.Remark
		r.Account, r.Source, r.Key = c.Account, source, id
		n.apply(&r)
		r.UpdatedAt = s.now()
		if err := r.check(); err != nil {
			return err
		}
		k.Remark, k.Owner = r, r.Owner
		if k.Owner == "" {
			k.Owner = src.Owner
		}
		k.Due = Due(k.Observed, r, src.MaxAge)
		return s.o.Keys.SaveRemark(ctx, rec, &k, s.o.Follow(c.Account, s.now()))
	})
	return k, err
}

func (n Note) apply(r *Remark) {
	r.Owner, r.Purpose = valueOr(n.Owner, r.Owner), valueOr(n.Purpose, r.Purpose)
	r.System, r.Note = valueOr(n.System, r.System), valueOr(n.Text, r.Note)
	r.Consumers = valueOr(n.Consumers, r.Consumers)
	r.Permanent = valueOr(n.Permanent, r.Permanent)
	if n.Tags != nil {
		r.Tags = form.Pairs(*n.Tags)
	}
	if n.ExpiresAt != nil {
		r.ExpiresAt = n.ExpiresAt.UTC().Truncate(time.Microsecond)
		if n.ExpiresAt.IsZero() {
			r.ExpiresAt = time.Time{}
		}
	}
}
