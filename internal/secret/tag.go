package secret

import (
	"context"
	"slices"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/tag"
)

// Tag adds tags to a secret; a tag with a known key gets the new value.
func (s *Service) Tag(ctx context.Context, c *authz.Call, name string, tags []tag.Tag) error {
	return s.retag(ctx, c, "kms:TagResource", []string{name}, adding(tags))
}

// TagMany adds tags to up to fifty secrets, to all or to none.
func (s *Service) TagMany(ctx context.Context, c *authz.Call, names []string, tags []tag.Tag) error {
	return s.retag(ctx, c, "kms:TagResources", names, adding(tags))
}

// Untag removes tags from a secret; a tag that it does not have is passed over.
func (s *Service) Untag(ctx context.Context, c *authz.Call, name string, tagKeys []string) error {
	return s.retag(ctx, c, "kms:UntagResource", []string{name}, removing(tagKeys, false))
}

// UntagMany removes tags, or all tags, from up to fifty secrets, from all or from none.
func (s *Service) UntagMany(ctx context.Context, c *authz.Call, names, tagKeys []string, all bool) error {
	return s.retag(ctx, c, "kms:UntagResources", names, removing(tagKeys, all))
}

func adding(tags []tag.Tag) func(*Secret) error {
	return func(sec *Secret) (err error) {
		sec.Tags, err = tag.Merge(sec.Tags, tags)
		return err
	}
}

func removing(tagKeys []string, all bool) func(*Secret) error {
	return func(sec *Secret) error {
		sec.Tags = tag.Without(sec.Tags, tagKeys, all)
		return nil
	}
}

// retag edits the tags of several secrets in one transaction.
func (s *Service) retag(ctx context.Context, c *authz.Call, action string, names []string, edit func(*Secret) error) error {
	return s.do(ctx, c, action, func(rec *audit.Record) error {
		if len(names) == 0 || len(names) > tag.MaxMany {
			return fault.InvalidParameter.New("The specified parameter ResourceId is not valid. Name 1 to %d secrets.", tag.MaxMany)
		}
		var found []Secret
		for _, name := range names {
			sec, err := s.Find(ctx, c, rec, name)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(found, func(s Secret) bool { return s.Name == sec.Name }) {
				found = append(found, sec)
			}
		}
		return rec.Again(func() error {
			secrets := make([]*Secret, len(found))
			for i := range found {
				sec, err := s.fresh(ctx, found[i])
				if err != nil {
					return err
				}
				if err := edit(&sec); err != nil {
					return err
				}
				sec.UpdatedAt = s.clock()
				secrets[i] = &sec
			}
			return s.store.UpdateSecrets(ctx, rec, nil, secrets...)
		})
	})
}

// Tagged answers one page of the secrets that match, with their tags, and how many match. Those
// that the filter names must be there.
func (s *Service) Tagged(ctx context.Context, c *authz.Call, f Filter, p key.Page) (out []Secret, total int, err error) {
	err = s.do(ctx, c, "kms:ListTagResources", func(rec *audit.Record) error {
		if err := s.may(c, rec, s.ARN(c.Account, "*")); err != nil {
			return err
		}
		f.Names = slices.Clone(f.Names)
		for i, name := range f.Names {
			f.Names[i] = s.Relative(c, name)
			if err := checkName(f.Names[i]); err != nil {
				return err
			}
		}
		if err := f.check(); err != nil {
			return err
		}
		if err := tag.Distinct(f.Tags); err != nil {
			return err
		}
		for _, name := range f.Names {
			if _, err := s.store.Secret(ctx, c.Account, name); err != nil {
				return err
			}
		}
		out, total, err = s.store.Secrets(ctx, c.Account, f, p)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return out, total, nil
}
