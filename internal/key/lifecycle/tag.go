package lifecycle

import (
	"context"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/tag"
)

// Tag adds tags to one key; a tag with a known key gets the new value.
func (s *Service) Tag(ctx context.Context, c *authz.Call, name string, tags []key.Tag) error {
	return s.do(ctx, c, "kms:TagResource", func(rec *audit.Record) error {
		return s.retag(ctx, c, rec, []string{name}, adding(tags))
	})
}

// TagMany adds tags to up to fifty keys, to all or to none.
func (s *Service) TagMany(ctx context.Context, c *authz.Call, keys []string, tags []key.Tag) error {
	return s.do(ctx, c, "kms:TagResources", func(rec *audit.Record) error {
		return s.retag(ctx, c, rec, keys, adding(tags))
	})
}

// Untag removes tags from one key; a tag that it does not have is passed over.
func (s *Service) Untag(ctx context.Context, c *authz.Call, name string, tagKeys []string) error {
	return s.do(ctx, c, "kms:UntagResource", func(rec *audit.Record) error {
		return s.retag(ctx, c, rec, []string{name}, removing(tagKeys, false))
	})
}

// UntagMany removes tags, or all tags, from up to fifty keys, from all or from none.
func (s *Service) UntagMany(ctx context.Context, c *authz.Call, keys, tagKeys []string, all bool) error {
	return s.do(ctx, c, "kms:UntagResources", func(rec *audit.Record) error {
		return s.retag(ctx, c, rec, keys, removing(tagKeys, all))
	})
}

func adding(tags []key.Tag) func(*key.Key) error {
	return func(k *key.Key) (err error) {
		k.Tags, err = tag.Merge(k.Tags, tags)
		return err
	}
}

func removing(tagKeys []string, all bool) func(*key.Key) error {
	return func(k *key.Key) error {
		k.Tags = tag.Without(k.Tags, tagKeys, all)
		return nil
	}
}

// retag edits the tags of several keys in one transaction.
func (s *Service) retag(ctx context.Context, c *authz.Call, rec *audit.Record, names []string, edit func(*key.Key) error) error {
	if len(names) == 0 || len(names) > tag.MaxMany {
		return fault.InvalidParameter.New("The specified parameter ResourceId is not valid. Name 1 to %d keys.", tag.MaxMany)
	}
	var found []key.Key
	for _, name := range names {
		e, err := s.resolve(ctx, c, rec, name)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(found, func(k key.Key) bool { return k.Account == e.Key.Account && k.ID == e.Key.ID }) {
			found = append(found, e.Key)
		}
	}
	return rec.Again(func() error {
		keys := make([]*key.Key, len(found))
		for i, f := range found {
			k, err := s.store.Key(ctx, f.Account, f.ID)
			if err != nil {
				return err
			}
			if err := k.Allow(key.ActEdit); err != nil {
				return err
			}
			if err := edit(&k); err != nil {
				return err
			}
			keys[i] = &k
		}
		return s.store.UpdateKeys(ctx, rec, nil, keys...)
	})
}

// Tags answers a key to whoever may see its tags.
func (s *Service) Tags(ctx context.Context, c *authz.Call, name string) (key.Key, error) {
	return s.look(ctx, c, "kms:ListResourceTags", name)
}

// Tagged answers one page of the keys that have all of the tags, of which an empty value stands
// for any, and how many there are. With ids, ARNs among them, it answers of these only; each
// must be one of the account's keys.
func (s *Service) Tagged(ctx context.Context, c *authz.Call, names []string, tags []key.Tag, p key.Page) (out []key.Key, total int, err error) {
	err = s.do(ctx, c, "kms:ListTagResources", func(rec *audit.Record) error {
		if err := s.may(c, rec, "key/*"); err != nil {
			return err
		}
		f := key.Filter{Tags: tags}
		for _, name := range names {
			f.IDs = append(f.IDs, key.ID(strings.TrimPrefix(name, s.ring.Name(c.Account, "key/"))))
		}
		if err := f.Check(); err != nil {
			return err
		}
		if err := tag.Distinct(tags); err != nil {
			return err
		}
		for _, id := range f.IDs {
			if _, err := s.store.Key(ctx, c.Account, id); err != nil {
				return err
			}
		}
		out, total, err = s.store.Keys(ctx, c.Account, f, p)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return out, total, nil
}
