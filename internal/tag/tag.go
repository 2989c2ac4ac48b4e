// Package tag has the labels that keys and secrets carry, and their rules, which are those
// of Alibaba Cloud KMS. Policies can name tags; lists can be filtered by them. A tag is
// public within its account. The package keeps no state.
package tag

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/lazy"
)

// The limits of tags.
const (
	Max       = 20  // of one thing
	MaxLength = 128 // characters of a tag's key and of its value
	MaxMany   = 50  // things that are tagged at once
)

// A tag is matched whole; Go's regular expressions run in linear time.
var pattern = lazy.Regexp(`^[\p{L}\p{N}/\\_\-.+=:@ ]*$`)

// A Tag is a label: a key, unique on what carries it, and a value, which may be empty.
type Tag struct{ Key, Value string }

// Merge adds tags to those that a thing has already, and answers all of them, sorted. A tag
// with a known key replaces it. Its errors are the faults of tags and LimitExceeded.
func Merge(have, add []Tag) ([]Tag, error) {
	if err := Distinct(add); err != nil {
		return nil, err
	}
	merged := slices.Clone(have)
	for _, t := range add {
		if err := t.check(); err != nil {
			return nil, err
		}
		merged = slices.DeleteFunc(merged, func(old Tag) bool { return old.Key == t.Key })
		merged = append(merged, t)
	}
	if len(merged) > Max {
		return nil, fault.LimitExceeded.New("there are at most %d tags on one thing; remove some first", Max)
	}
	slices.SortFunc(merged, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
	return merged, nil
}

// Distinct refuses tags of which two have one key, as [fault.DuplicateTagKey].
func Distinct(tags []Tag) error {
	seen := map[string]bool{}
	for _, t := range tags {
		if seen[t.Key] {
			return fault.DuplicateTagKey.New("The specified tagKey is duplicate: name each tag once.")
		}
		seen[t.Key] = true
	}
	return nil
}

// Without answers the tags that are left when those with the keys, or all, are removed.
func Without(tags []Tag, keys []string, all bool) []Tag {
	return slices.DeleteFunc(slices.Clone(tags), func(t Tag) bool { return all || slices.Contains(keys, t.Key) })
}

func (t Tag) check() error {
	if n := utf8.RuneCountInString(t.Key); n < 1 || n > MaxLength || !pattern().MatchString(t.Key) ||
		strings.HasPrefix(t.Key, "aliyun") || strings.HasPrefix(t.Key, "acs:") {
		return fault.InvalidTagKey.New(`The specified tag key is not valid. It may have 1 to %d letters, digits, spaces and / \ _ - . + = : @, and must not begin with "aliyun" or "acs:".`, MaxLength)
	}
	if utf8.RuneCountInString(t.Value) > MaxLength || !pattern().MatchString(t.Value) {
		return fault.InvalidTagValue.New(`The specified tag value is not valid. It may have %d letters, digits, spaces and / \ _ - . + = : @.`, MaxLength)
	}
	return nil
}

// MarshalJSON keeps a tag as a pair, which is how the store can look it up in text.
func (t Tag) MarshalJSON() ([]byte, error) { return json.Marshal([2]string{t.Key, t.Value}) }

// UnmarshalJSON reads the pair back.
func (t *Tag) UnmarshalJSON(b []byte) error {
	var pair [2]string
	if err := json.Unmarshal(b, &pair); err != nil {
		return err
	}
	t.Key, t.Value = pair[0], pair[1]
	return nil
}
