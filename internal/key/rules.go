package key

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/lazy"
	"github.com/keyward/keyward/internal/material"
)

// The limits of keys, as Alibaba Cloud KMS documents them.
const (
	MaxDescription = 8192 // bytes
	MaxAlias       = 255  // characters, with "alias/"
	MaxPlaintext   = 6144 // bytes that Encrypt takes
	MaxBatch       = 100  // items of one batch
	MaxDataKey     = 1024 // bytes of a data key
	MaxMessage     = 6144 // bytes of a message that GenerateMac takes
	MaxRandom      = 1024 // bytes that GenerateRandom answers
	MaxVersions    = 50   // of one key before CreateVersion refuses; automatic rotation goes on
	MaxName        = 512  // bytes of a key's id, alias or ARN
	MinWindow      = 7    // days that a deletion is pending at least
	MaxWindow      = 366  // and at most

	VersionPause = 7 * 24 * time.Hour // between two versions made by hand

	minInterval = 7 * 24 * time.Hour
	maxInterval = 365 * 24 * time.Hour
)

// An alias is matched whole; Go's regular expressions run in linear time.
var aliasPattern = lazy.Regexp(`^alias/[A-Za-z0-9_/-]{1,249}$`)

// usages answers what keys of the spec may be used for, the default first.
func usages(s material.Spec) []Usage {
	var out []Usage
	if len(s.SigningAlgorithms()) > 0 {
		out = append(out, SignVerify)
	}
	if s.Symmetric() || len(s.EncryptionAlgorithms()) > 0 {
		out = append(out, EncryptDecrypt)
	}
	if s.MAC() {
		out = append(out, MakeMAC)
	}
	return out
}

// CheckSpec fills in the defaults of spec and usage and refuses what is not offered.
func CheckSpec(spec material.Spec, usage Usage) (material.Spec, Usage, error) {
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

// CheckMore refuses usages beside the first that a key of the spec cannot have.
func CheckMore(spec material.Spec, first Usage, more []Usage) error {
	seen := []Usage{first}
	for _, u := range more {
		if !spec.Asymmetric() || slices.Contains(seen, u) || !slices.Contains(usages(spec), u) {
			return fault.InvalidParameter.New("The specified parameter AdditionalKeyUsages is not valid. A key of spec %s can be used for %v, and asymmetric ones for several of these, each named once.", spec, usages(spec))
		}
		seen = append(seen, u)
	}
	return nil
}

// CheckDescription refuses a text that no key may have as its description or note.
func CheckDescription(s string) error {
	if len(s) > MaxDescription || !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return fault.InvalidParameter.New("The specified parameter Description is not valid. It may have %d bytes of UTF-8.", MaxDescription)
	}
	return nil
}

// CheckAlias refuses what is no name of an alias that a person may choose.
func CheckAlias(name string) error {
	if !aliasPattern().MatchString(name) || strings.HasPrefix(name, "alias/acs") {
		return fault.InvalidParameter.New(`The specified parameter AliasName is not valid. It must begin with "alias/", not with "alias/acs", and have at most %d letters, digits, underscores, hyphens and slashes.`, MaxAlias)
	}
	return nil
}

// Check refuses a filter that cannot match anything and would only cost.
func (f Filter) Check() error {
	lists := [][]string{f.States, f.Specs, f.Usages, f.ProtectionLevels, f.Creators, f.CreatorTypes, f.Aliases, f.TagKeys, f.TagValues, f.Instances}
	for _, id := range f.IDs {
		lists = append(lists, []string{string(id)})
	}
	for _, t := range f.Tags {
		lists = append(lists, []string{t.Key, t.Value})
	}
	for _, values := range lists {
		for _, v := range values {
			if len(v) > MaxName || !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
				return fault.InvalidParameter.New("The specified filter is not valid. A value may have %d bytes of UTF-8.", MaxName)
			}
		}
	}
	return nil
}

// SetRotation sets the rotation policy. An interval of zero keeps the one that was set before.
func (k *Key) SetRotation(on bool, interval time.Duration) error {
	if on && k.Spec.Asymmetric() {
		return fault.UnsupportedOperation.New("Unsupported operation. Asymmetric keys do not rotate automatically; create a version instead.")
	}
	if on && k.Owned() {
		return fault.UnsupportedOperation.New("Unsupported operation. The key %s belongs to a service, so that it does not rotate automatically; create a version instead.", k.ID)
	}
	if on {
		if err := k.CheckRotates(); err != nil {
			return err
		}
	}
	if on && interval == 0 {
		interval = k.Rotation.Interval
	}
	if on || interval != 0 {
		if err := checkInterval(interval); err != nil {
			return err
		}
		k.Rotation.Interval = interval
	}
	k.Rotation.Enabled = on
	return nil
}

// CheckRotates refuses a key that has one version for ever.
func (k *Key) CheckRotates() error {
	switch {
	case k.Spec.MAC():
		return fault.UnsupportedOperation.New("Unsupported operation. HMAC keys do not rotate, because no MAC tells which version made it; create a new key and move the alias.")
	case k.Origin == OriginExternal:
		return fault.UnsupportedOperation.New("Unsupported operation. Imported material does not rotate; import other material into a new key and move the alias.")
	case k.Origin == OriginManager:
		return fault.UnsupportedOperation.New("Unsupported operation. A key at an external manager is rotated there, or make a new key with another external id and move the alias.")
	}
	return nil
}

func checkInterval(d time.Duration) error {
	if d < minInterval || d > maxInterval || d%time.Second != 0 {
		return fault.InvalidParameter.New("The specified parameter RotationInterval is not valid. It must be between 7 and 365 days.")
	}
	return nil
}

// Check refuses a page that no list has.
func (p Page) Check() error {
	if p.Number < 1 || p.Number > 1_000_000 {
		return fault.InvalidParameter.New("The specified parameter PageNumber is not valid. It counts from 1.")
	}
	if p.Size < 1 || p.Size > 100 {
		return fault.InvalidParameter.New("The specified parameter PageSize is not valid. It must be between 1 and 100.")
	}
	return nil
}
