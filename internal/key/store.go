package key

import (
	"context"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/job"
)

// A Store keeps keys and their versions.
//
// Each mutation commits in one transaction with its audit record and with the jobs
// that it schedules, or does nothing. A key or alias that changed since it was read is
// refused with [fault.Changed]; one that is not there is [fault.KeyNotFound],
// [fault.KeyVersionNotFound] or [fault.AliasNotFound]. Reads answer only rows whose
// binding holds. Methods may be called concurrently.
type Store interface {
	// CreateKey stores a new key with its first version and, unless it is nil, an alias,
	// which may be taken: [fault.AliasExists]. Its instance must be there still.
	CreateKey(ctx context.Context, rec *audit.Record, k *Key, v *Version, a *Alias, jobs []job.Job) error
	// UpdateKeys stores the changed metadata of keys, all or none.
	UpdateKeys(ctx context.Context, rec *audit.Record, jobs []job.Job, keys ...*Key) error
	// StoreVersion stores a new or changed version and the key's changed metadata.
	StoreVersion(ctx context.Context, rec *audit.Record, k *Key, v *Version, jobs []job.Job) error
	// DeleteKey removes the key, its versions and its aliases, or, where there are many,
	// some of them; gone tells whether the key is. Material that was removed is lost.
	DeleteKey(ctx context.Context, rec *audit.Record, k *Key) (gone bool, err error)
	// Key answers one key.
	Key(ctx context.Context, account string, id ID) (Key, error)
	// Keys answers the page of the account's keys that match, oldest first, and their number.
	Keys(ctx context.Context, account string, f Filter, p Page) ([]Key, int, error)
	// Version answers one version of a key.
	Version(ctx context.Context, account string, key ID, id VersionID) (Version, error)
	// Versions answers the page of a key's versions, newest first, and their number.
	Versions(ctx context.Context, account string, key ID, p Page) ([]Version, int, error)
}

// An AliasStore keeps aliases, with the same rules as [Store].
type AliasStore interface {
	// CreateAlias stores a new alias, or answers [fault.AliasExists].
	CreateAlias(ctx context.Context, rec *audit.Record, a *Alias) error
	// UpdateAlias stores where an alias points.
	UpdateAlias(ctx context.Context, rec *audit.Record, a *Alias) error
	// DeleteAlias removes an alias.
	DeleteAlias(ctx context.Context, rec *audit.Record, a *Alias) error
	// Alias answers one alias.
	Alias(ctx context.Context, account, name string) (Alias, error)
	// Aliases answers the page of the account's aliases by name, only those of one key
	// if key is not empty, and their number.
	Aliases(ctx context.Context, account string, key ID, p Page) ([]Alias, int, error)
}

// A Page chooses a part of a list.
type Page struct {
	Number int // from 1
	Size   int // 1 to 100
}

// A Filter chooses keys. A list that is empty chooses all; otherwise a key matches
// when, for each list, one of its entries does.
type Filter struct {
	IDs              []ID
	States           []string
	Specs            []string
	Usages           []string
	ProtectionLevels []string
	Creators         []string
	CreatorTypes     []string // User, Service
	Aliases          []string // names of aliases that point at the key
	TagKeys          []string
	TagValues        []string
	Tags             []Tag    // all of these; an empty value stands for any
	Instances        []string // ids
	Default          bool     // only keys in no instance
}
