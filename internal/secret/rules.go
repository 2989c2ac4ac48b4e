package secret

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/lazy"
)

// The limits of secrets. Those of names, values and windows are as Alibaba Cloud KMS
// documents them.
const (
	MaxValue     = 30_720 // bytes
	MaxName      = 192    // characters
	MaxVersionID = 64     // characters of a version's id and of a stage
	MaxVersions  = 100    // of one secret: beyond them the oldest without a stage are dropped
	MaxStages    = 20     // of one secret, those of keyward among them
	MinWindow    = 7      // days in which a deletion can be cancelled at least
	MaxWindow    = 30     // and at most, which is also the default
	maxFilter    = 64     // values in one list of a filter
)

var (
	namePattern    = lazy.Regexp(`^[A-Za-z0-9/_+=.@-]{1,192}$`)
	versionPattern = lazy.Regexp(`^[A-Za-z0-9_+=.@-]{1,64}$`)
)

func checkName(name string) error {
	if name == "" {
		return fault.MissingParameter.New("SecretName is mandatory for this action.")
	}
	if !namePattern().MatchString(name) {
		return fault.InvalidParameter.New("The specified parameter SecretName is not valid. It may have %d letters, digits and / _ + = . @ -.", MaxName)
	}
	return nil
}

// CheckVersion refuses what cannot be the id of a version.
func CheckVersion(id string) error {
	if !versionPattern().MatchString(id) {
		return fault.InvalidParameter.New("The specified parameter VersionId is not valid. It may have %d letters, digits and _ + = . @ -.", MaxVersionID)
	}
	return nil
}

// checkStage refuses what cannot be a stage, and what callers may not move by hand.
func checkStage(stage Stage) error {
	switch {
	case stage == Current || stage == Pending:
		return nil
	case stage == Previous:
		return fault.InvalidParameter.New("The specified parameter VersionStage is not valid. %s follows %s by itself.", Previous, Current)
	case !versionPattern().MatchString(string(stage)) || strings.HasPrefix(string(stage), "ACS"):
		return fault.InvalidParameter.New(`The specified parameter VersionStage is not valid. It is %s, %s, or one of your own: %d letters, digits and _ + = . @ -, not beginning with "ACS".`, Current, Pending, MaxVersionID)
	}
	return nil
}

func checkStages(stages []Stage) error {
	for i, stage := range stages {
		if err := checkStage(stage); err != nil {
			return err
		}
		if slices.Contains(stages[:i], stage) {
			return fault.InvalidParameter.New("The specified parameter VersionStages is not valid. Name each stage once.")
		}
	}
	return nil
}

// checkValue refuses what is no value of the kind; nothing of it is repeated.
func checkValue(kind Kind, value []byte) error {
	if kind != Text && kind != Binary {
		return fault.InvalidParameter.New("The specified parameter SecretDataType is not valid. It must be %s or %s.", Text, Binary)
	}
	if n := len(value); n < 1 || n > MaxValue {
		return fault.InvalidParameter.New("The specified parameter SecretData is not valid. It must have 1 to %d bytes; encrypt larger data with keyward encrypt and keep the file elsewhere.", MaxValue)
	}
	if kind == Text && !utf8.Valid(value) {
		return fault.InvalidParameter.New("The specified parameter SecretData is not valid. It is not UTF-8; put it as binary.")
	}
	return nil
}

// check refuses a filter that cannot match anything and would only cost.
func (f Filter) check() error {
	values := slices.Concat(f.Names, f.TagKeys, f.TagValues, f.Instances, []string{f.Prefix})
	for _, t := range f.Tags {
		values = append(values, t.Key, t.Value)
	}
	long := func(v string) bool { return len(v) > 4*MaxName || !utf8.ValidString(v) || strings.ContainsRune(v, 0) }
	if max(len(f.Names), len(f.TagKeys), len(f.TagValues), len(f.Tags), len(f.Instances)) > maxFilter || slices.ContainsFunc(values, long) {
		return fault.InvalidParameter.New("The specified filter is not valid. It may have %d values, each of %d bytes of UTF-8.", maxFilter, 4*MaxName)
	}
	return nil
}

// Usable refuses a secret that is about to be deleted, as [fault.StateConflict].
func (s Secret) Usable() error {
	if s.DeleteAt.IsZero() {
		return nil
	}
	return fault.StateConflict.New("secret %s is about to be deleted, on %s; restore it first", s.Name, s.DeleteAt.Format(time.RFC3339))
}

// label puts a stage on a version. When what is current changes, the one before becomes
// the previous one.
func (s *Secret) label(stage Stage, version string) error {
	if stage == Current {
		if was := s.At(Current); was != "" && was != version {
			s.set(Previous, was)
		}
	}
	s.set(stage, version)
	if stage == Current && s.At(Pending) == version {
		s.unlabel(Pending) // it is in use now
	}
	if s.At(Previous) == s.At(Current) {
		s.unlabel(Previous)
	}
	if len(s.Stages) > MaxStages {
		return fault.LimitExceeded.New("a secret has at most %d stages; remove some first", MaxStages)
	}
	return nil
}

func (s *Secret) set(stage Stage, version string) {
	s.unlabel(stage)
	s.Stages = append(s.Stages, Label{stage, version})
	slices.SortFunc(s.Stages, func(a, b Label) int { return strings.Compare(string(a.Stage), string(b.Stage)) })
}

// unlabel takes a stage away.
func (s *Secret) unlabel(stage Stage) {
	s.Stages = slices.DeleteFunc(slices.Clone(s.Stages), func(l Label) bool { return l.Stage == stage })
}

// describe names a version as records and messages do.
func (v Version) describe() string { return fmt.Sprintf("version %s of secret %s", v.ID, v.Name) }
