package key

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// The limits of keys, as Alibaba Cloud KMS documents them.
const (
	MaxDescription = 8192 // bytes
	MaxAlias       = 255  // characters, with "alias/"
	MaxTags        = 20   // of one key
	MaxTagLength   = 128  // characters of a tag's key and of its value
	MaxPlaintext   = 6144 // bytes that Encrypt takes
	MaxDataKey     = 1024 // bytes of a data key
	MaxVersions    = 50   // of one key before CreateVersion refuses; automatic rotation goes on
	MaxTagged      = 50   // keys that TagResources takes

	minInterval = 7 * 24 * time.Hour
	maxInterval = 365 * 24 * time.Hour
	minWindow   = 7   // days that a deletion is pending at least
	maxWindow   = 366 // and at most

	versionPause = 7 * 24 * time.Hour // between two versions made by hand
)

// An alias or tag is matched whole; Go's regular expressions run in linear time.
var (
	aliasPattern = regexp.MustCompile(`^alias/[A-Za-z0-9_/-]{1,249}$`)
	tagPattern   = regexp.MustCompile(`^[\p{L}\p{N}/\\_\-.+=:@ ]*$`)
)

// usages answers what keys of the spec may be used for, the default first.
func usages(s material.Spec) []Usage {
	var out []Usage
	if len(s.SigningAlgorithms()) > 0 {
		out = append(out, SignVerify)
	}
	if s.Symmetric() || len(s.EncryptionAlgorithms()) > 0 {
		out = append(out, EncryptDecrypt)
	}
	return out
}

// checkSpec fills in the defaults of spec and usage and refuses what is not offered.
func checkSpec(spec material.Spec, usage Usage) (material.Spec, Usage, error) {
	if spec == "" {
		spec = material.AES256
	}
	if !spec.Valid() {
		return "", "", fault.InvalidParameter.New("The specified parameter KeySpec is not valid. It must be one of %v.", material.Specs())
	}
	possible := usages(spec)
	if usage == "" {
		usage = possible[0]
	}
	if !slices.Contains(possible, usage) {
		return "", "", fault.InvalidParameter.New("The specified parameter KeyUsage is not valid. A key of spec %s can be used for %v.", spec, possible)
	}
	return spec, usage, nil
}

func checkDescription(s string) error {
	if len(s) > MaxDescription || !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return fault.InvalidParameter.New("The specified parameter Description is not valid. It may have %d bytes of UTF-8.", MaxDescription)
	}
	return nil
}

func checkAlias(name string) error {
	if !aliasPattern.MatchString(name) || strings.HasPrefix(name, "alias/acs") {
		return fault.InvalidParameter.New(`The specified parameter AliasName is not valid. It must begin with "alias/", not with "alias/acs", and have at most %d letters, digits, underscores, hyphens and slashes.`, MaxAlias)
	}
	return nil
}

// check refuses a filter that cannot match anything and would only cost.
func (f Filter) check() error {
	lists := [][]string{f.States, f.Specs, f.Usages, f.ProtectionLevels, f.Creators, f.Aliases, f.TagKeys, f.TagValues}
	for _, id := range f.IDs {
		lists = append(lists, []string{string(id)})
	}
	for _, t := range f.Tags {
		lists = append(lists, []string{t.Key, t.Value})
	}
	for _, values := range lists {
		for _, v := range values {
			if len(v) > maxName || !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
				return fault.InvalidParameter.New("The specified filter is not valid. A value may have %d bytes of UTF-8.", maxName)
			}
		}
	}
	return nil
}

func checkInterval(d time.Duration) error {
	if d < minInterval || d > maxInterval || d%time.Second != 0 {
		return fault.InvalidParameter.New("The specified parameter RotationInterval is not valid. It must be between 7 and 365 days.")
	}
	return nil
}

// mergeTags adds tags to those that a key has. A tag with a known key replaces it.
func mergeTags(have, add []Tag) ([]Tag, error) {
	merged := slices.Clone(have)
	seen := map[string]bool{}
	for _, t := range add {
		if seen[t.Key] {
			return nil, fault.DuplicateTagKey.New("The specified tagKey is duplicate: name each tag once.")
		}
		seen[t.Key] = true
		if err := checkTag(t); err != nil {
			return nil, err
		}
		merged = slices.DeleteFunc(merged, func(old Tag) bool { return old.Key == t.Key })
		merged = append(merged, t)
	}
	if len(merged) > MaxTags {
		return nil, fault.LimitExceeded.New("a key has at most %d tags; remove some first", MaxTags)
	}
	slices.SortFunc(merged, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
	return merged, nil
}

func checkTag(t Tag) error {
	if n := utf8.RuneCountInString(t.Key); n < 1 || n > MaxTagLength || !tagPattern.MatchString(t.Key) ||
		strings.HasPrefix(t.Key, "aliyun") || strings.HasPrefix(t.Key, "acs:") {
		return fault.InvalidTagKey.New(`The specified tag key is not valid. It may have 1 to %d letters, digits, spaces and / \ _ - . + = : @, and must not begin with "aliyun" or "acs:".`, MaxTagLength)
	}
	if utf8.RuneCountInString(t.Value) > MaxTagLength || !tagPattern.MatchString(t.Value) {
		return fault.InvalidTagValue.New(`The specified tag value is not valid. It may have %d letters, digits, spaces and / \ _ - . + = : @.`, MaxTagLength)
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
