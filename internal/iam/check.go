package iam

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/fault"
)

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

const (
	userCharacters   = letters + "0123456789._@-"
	policyCharacters = letters + "0123456789-"
	roleCharacters   = letters + "0123456789.-_"
)

// wellFormed tells whether s has 1 to max characters, all of the set.
func wellFormed(s string, max int, set string) bool {
	return s != "" && len(s) <= max && consists(s, set)
}

func consists(s, set string) bool { return strings.Trim(s, set) == "" }

// ValidUserName tells whether a user could have the name. Names of dots alone no path of an
// API can carry.
func ValidUserName(name string) bool {
	return wellFormed(name, maxUserName, userCharacters) && !consists(name, ".")
}
func validPolicyName(name string) bool { return wellFormed(name, maxPolicyName, policyCharacters) }

// ValidRoleName tells whether a role could have the name.
func ValidRoleName(name string) bool {
	return wellFormed(name, maxUserName, roleCharacters) && !consists(name, ".")
}

func checkUserName(name string) error {
	if !ValidUserName(name) {
		return fault.InvalidParameter.New("a user name has 1 to %d characters, which are letters, digits or one of . _ @ -, not dots alone", maxUserName)
	}
	return nil
}

// checkNewUserName also refuses names that could be taken for root. The characters
// that it allows leave upper and lower case as the only other spelling.
func checkNewUserName(name string) error {
	if err := checkUserName(name); err != nil {
		return err
	}
	if strings.EqualFold(name, RootName) {
		return fault.InvalidParameter.New("the user name %q is reserved; choose another one", name)
	}
	return nil
}

func checkAccountName(name string) error {
	if !ValidUserName(name) {
		return fault.InvalidParameter.New("an account name has 1 to %d characters, which are letters, digits or one of . _ @ -, not dots alone", maxUserName)
	}
	return nil
}

// CheckPolicyName refuses what no policy can be called.
func CheckPolicyName(name string) error {
	if !validPolicyName(name) {
		return fault.InvalidParameter.New("a policy name has 1 to %d characters, which are letters, digits or -", maxPolicyName)
	}
	return nil
}

// CheckText checks what a person wrote about a thing.
func CheckText(what fault.Text, s string, max int) error {
	switch {
	case !utf8.ValidString(s):
		return fault.InvalidParameter.New("the %s is not valid UTF-8", what)
	case utf8.RuneCountInString(s) > max:
		return fault.InvalidParameter.New("the %s is longer than %d characters", what, max)
	case strings.ContainsFunc(s, unicode.IsControl):
		return fault.InvalidParameter.New("the %s contains control characters, such as a line break", what)
	}
	return nil
}

func checkExpiry(at, now time.Time) error {
	if !at.IsZero() && !at.After(now) {
		return fault.InvalidParameter.New("the expiry must lie in the future; to stop an access key now, disable it")
	}
	return nil
}

// A Page says which part of a list is wanted. Lists are in ascending byte order of
// the items' names or ids.
type Page struct {
	After string // the item before the first one wanted; it need not exist
	Limit int    // 1 to MaxPage; 0 means MaxPage
}

// Ask answers the page to ask the store for: one more than wanted shows whether
// anything follows.
func (p Page) Ask() (Page, error) {
	if p.After != "" && !wellFormed(p.After, maxPolicyName, userCharacters) {
		return Page{}, fault.InvalidParameter.New("the position in the list is not one that a list answered")
	}
	switch {
	case p.Limit == 0:
		p.Limit = MaxPage
	case p.Limit < 0, p.Limit > MaxPage:
		return Page{}, fault.InvalidParameter.New("a page has 1 to %d items", MaxPage)
	}
	p.Limit++
	return p, nil
}

// A List is one page of a list.
type List[T any] struct {
	Items []T
	Next  string // Page.After of the following page; empty on the last one
}

// Cut makes a List of what the store answered for a page.
func Cut[T any](items []T, p Page, name func(T) string) List[T] {
	if len(items) < p.Limit {
		return List[T]{Items: items}
	}
	items = items[:p.Limit-1]
	return List[T]{Items: items, Next: name(items[len(items)-1])}
}
