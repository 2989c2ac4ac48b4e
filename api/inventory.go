package api

import "time"

// In all requests here durations are texts such as "30d", "12h" or "90m".

// A Text is for people, in both languages.
type Text struct {
	English string `json:"en"`
	Chinese string `json:"zh"`
}

// A Field is one thing to fill in to connect keyward with something.
type Field struct {
	Name     string `json:"name"`
	Required bool   `json:"required"`
	Help     Text   `json:"help"`
	Example  string `json:"example,omitempty"`
}

// A Connection is what was filled in. The credential is taken and never answered.
type Connection struct {
	Settings   map[string]string      `json:"settings,omitempty"`
	Credential map[string]SecretBytes `json:"credential,omitempty"` // each part in base64, so that it may be a file
}

// A ProviderKind is one way to read access keys, such as Tencent Cloud's CAM.
type ProviderKind struct {
	Name     string  `json:"name"` // "tencent"
	Title    Text    `json:"title"`
	Settings []Field `json:"settings"`
	Parts    []Field `json:"parts"`                    // of the credential
	Pace     string  `json:"pace"`                     // between two synchronisations unless the provider says otherwise
	Policy   string  `json:"policy,omitempty"`         // the least rights of the credential, in the vendor's own form
	Rotation string  `json:"rotationPolicy,omitempty"` // the rights that replacing keys needs besides
	MaxKeys  int     `json:"maxKeys,omitempty"`        // of one principal at once; absent for no limit that matters
	Disable  bool    `json:"disable"`                  // a key can be switched off and on again
	Undo     string  `json:"undo,omitempty"`           // how long a deleted key can be restored
	UseLag   string  `json:"useLag,omitempty"`         // how late the vendor tells of a use; absent if it does not tell
	Expiry   bool    `json:"expiry"`                   // the vendor knows when a key expires
	Manual   bool    `json:"manual"`                   // only a person can change a key
	Guides   []Guide `json:"guides,omitempty"`         // of a manual kind
}

// A Guide is how one kind of key is changed by a person at a console.
type Guide struct {
	Name     string  `json:"name"`
	Title    Text    `json:"title"`
	Steps    []Text  `json:"steps"`    // what to do, in order
	Settings []Field `json:"settings"` // what to enter afterwards
	Parts    []Field `json:"parts"`    // of it, what is secret
}

// EnterKeyRequest is a key that a person made at a console.
type EnterKeyRequest struct {
	Guide      string     `json:"guide"`
	Connection Connection `json:"connection"` // what the guide asks for
	Owner      string     `json:"owner,omitempty"`
	Purpose    string     `json:"purpose,omitempty"`
	System     string     `json:"system,omitempty"`
}

// An EnteredKey is a key that passed the checks of its guide.
type EnteredKey struct {
	Key      InventoryKey `json:"key"`
	Warnings []Text       `json:"warnings"` // what a person should look at before going on
}

// A ProviderKindList is all kinds of providers.
type ProviderKindList struct {
	Kinds []ProviderKind `json:"kinds"`
}

// A Provider is one account at a vendor whose access keys are watched.
type Provider struct {
	Name      string            `json:"name"`
	Kind      string            `json:"kind"`
	Settings  map[string]string `json:"settings"`
	Owner     string            `json:"owner"`            // of keys that nobody else owns
	MaxAge    string            `json:"maxAge,omitempty"` // the age that its keys may reach; absent for any
	Pace      string            `json:"pace"`
	Paused    bool              `json:"paused"`
	CreatedAt time.Time         `json:"createdAt"`
	Sync      ProviderSync      `json:"sync"`
}

// A ProviderSync is how the last synchronisations of a provider went.
type ProviderSync struct {
	StartedAt   time.Time         `json:"startedAt,omitzero"`   // of the last attempt
	SucceededAt time.Time         `json:"succeededAt,omitzero"` // end of the last attempt that answered anything that was believed
	Took        string            `json:"took,omitempty"`       // the last attempt
	Failures    int               `json:"failures"`             // attempts in a row that answered nothing that was believed
	Error       string            `json:"error,omitempty"`      // why the last attempt answered nothing that was believed
	ErrorZh     string            `json:"errorZh,omitempty"`    // Error in Chinese
	Identity    ProviderIdentity  `json:"identity"`             // whose the credential is
	Keys        int               `json:"keys"`
	Principals  int               `json:"principals"`
	Calls       int               `json:"calls"`    // requests that were made
	Problems    []ProviderProblem `json:"problems"` // what could not be read
}

// A ProviderIdentity is whose credential a provider was given.
type ProviderIdentity struct {
	Account   string `json:"account,omitempty"` // at the vendor
	Principal string `json:"principal,omitempty"`
	Root      bool   `json:"root"` // the credential is the account's own, which nobody should use
	KeyID     string `json:"keyId,omitempty"`
}

// A ProviderProblem is something that could not be read.
type ProviderProblem struct {
	What    string `json:"what"`
	Subject string `json:"subject,omitempty"` // a principal or a key; absent for the whole account
	Reason  string `json:"reason"`
	Denied  bool   `json:"denied"` // a right is missing
}

// AddProviderRequest says which account is to be watched.
type AddProviderRequest struct {
	Name       string     `json:"name"` // lower-case letters, digits and hyphens, at most 63
	Kind       string     `json:"kind"`
	Connection Connection `json:"connection,omitzero"`
	Owner      string     `json:"owner,omitempty"`
	MaxAge     string     `json:"maxAge,omitempty"`
	Pace       string     `json:"pace,omitempty"`
	Unchecked  bool       `json:"unchecked,omitempty"` // store it without asking the vendor first
}

// UpdateProviderRequest says what to change of a provider.
type UpdateProviderRequest struct {
	Connection *Connection `json:"connection,omitempty"` // settings and credential, both anew
	Owner      *string     `json:"owner,omitempty"`
	MaxAge     *string     `json:"maxAge,omitempty"` // "" for any
	Pace       *string     `json:"pace,omitempty"`
	Paused     *bool       `json:"paused,omitempty"`
	Unchecked  bool        `json:"unchecked,omitempty"`
}

// A ProviderList is all providers of the account, by name.
type ProviderList struct {
	Providers []Provider `json:"providers"`
}

// An InventoryKey is everything that is known of one access key that others issued.
type InventoryKey struct {
	Provider  string             `json:"provider"` // name of the provider
	Kind      string             `json:"kind"`     // of the provider
	ID        string             `json:"id"`
	Name      string             `json:"name"`
	Status    string             `json:"status"` // "active", "inactive", "expired", "deleted" or "gone"
	Principal InventoryPrincipal `json:"principal"`
	Owner     string             `json:"owner"`              // of the remark, or else of the provider
	CreatedAt time.Time          `json:"createdAt,omitzero"` // absent if the vendor does not tell
	ChangedAt time.Time          `json:"changedAt,omitzero"` // when its status was last changed
	Expiry    KeyExpiry          `json:"expiry"`             // as the vendor or a certificate says
	Due       KeyExpiry          `json:"due"`                // by when something must be done: the earliest of all dates
	Use       KeyUse             `json:"use"`
	Tags      map[string]string  `json:"tags"`               // at the vendor
	Detail    map[string]string  `json:"detail"`             // what only this kind of key has
	UndoUntil time.Time          `json:"undoUntil,omitzero"` // of a deleted key: until when it can be restored
	Undo      *KeyUndo           `json:"undo,omitempty"`     // absent if nobody told
	Remark    KeyRemark          `json:"remark"`
	SeenFirst time.Time          `json:"seenFirst"`
	GoneAt    time.Time          `json:"goneAt,omitzero"`
}

// KeyUndo is what can be taken back of ending a key, as its vendor does it.
type KeyUndo struct {
	Disable  bool   `json:"disable"`           // it can be switched off and on again
	OffFirst bool   `json:"offFirst"`          // only when it is switched off can it be deleted
	Restore  string `json:"restore,omitempty"` // for how long it can be restored once it is deleted; absent for not at all
	Overlap  string `json:"overlap,omitempty"` // how long it works on once it is replaced, where its vendor ends it then
}

// KeyExpiry is a date and who says so.
type KeyExpiry struct {
	At    time.Time `json:"at,omitzero"`     // absent for never
	Basis string    `json:"basis,omitempty"` // "provider", "certificate", "declared" or "policy", which is an age that the key should not reach
}

// KeyUse is the last use of a key, as its vendor tells.
type KeyUse struct {
	Known   string    `json:"known"` // "yes", "no" if it was never used, "unknown" if the vendor does not tell
	At      time.Time `json:"at,omitzero"`
	Lag     string    `json:"lag,omitempty"` // how far the vendor's knowledge may be behind
	Service string    `json:"service,omitempty"`
	Region  string    `json:"region,omitempty"`
	Source  string    `json:"source,omitempty"` // IP address
}

// An InventoryPrincipal is who holds keys at a vendor.
type InventoryPrincipal struct {
	ID         string         `json:"id"`
	Name       string         `json:"name,omitempty"`
	Kind       string         `json:"kind,omitempty"` // "root", "user", "collaborator" or "program"
	Remark     string         `json:"remark,omitempty"`
	CreatedAt  time.Time      `json:"createdAt,omitzero"`
	Disabled   string         `json:"disabled"` // "yes", "no" or "unknown"
	Console    string         `json:"console"`  // can log in to the console
	ConsoleAt  time.Time      `json:"consoleAt,omitzero"`
	ConsoleMFA string         `json:"consoleMfa"`
	Grants     []GrantedRight `json:"grants"`
}

// A GrantedRight is a policy that a principal has at a vendor.
type GrantedRight struct {
	Name  string `json:"name"`
	Via   string `json:"via,omitempty"` // name of the group; absent if it is granted directly
	Admin bool   `json:"admin"`         // grants everything
}

// A KeyRemark is what people say of a key.
type KeyRemark struct {
	Owner     string            `json:"owner,omitempty"`
	Purpose   string            `json:"purpose,omitempty"`
	System    string            `json:"system,omitempty"` // that it belongs to
	Consumers []string          `json:"consumers"`
	Tags      map[string]string `json:"tags"`
	ExpiresAt time.Time         `json:"expiresAt,omitzero"`
	Permanent bool              `json:"permanent"` // it is accepted that nobody knows an expiry
	Note      string            `json:"note,omitempty"`
	UpdatedAt time.Time         `json:"updatedAt,omitzero"`
}

// RemarkKeyRequest says what to change of a key's remark.
type RemarkKeyRequest struct {
	Owner        *string            `json:"owner,omitempty"`
	Purpose      *string            `json:"purpose,omitempty"`
	System       *string            `json:"system,omitempty"`
	Consumers    *[]string          `json:"consumers,omitempty"` // all of them
	Tags         *map[string]string `json:"tags,omitempty"`      // all of them
	ExpiresAt    *time.Time         `json:"expiresAt,omitempty"`
	NeverExpires bool               `json:"neverExpires,omitempty"` // takes a declared expiry back
	Permanent    *bool              `json:"permanent,omitempty"`
	Note         *string            `json:"note,omitempty"`
}

// ListInventoryRequest chooses access keys that others issued.
type ListInventoryRequest struct {
	Provider  string    `json:"provider,omitempty"` // name
	Status    string    `json:"status,omitempty"`   // left out for all but "gone"
	Owner     string    `json:"owner,omitempty"`    // "-" for keys that nobody owns
	Text      string    `json:"text,omitempty"`     // in the id or the name
	DueBefore time.Time `json:"dueBefore,omitzero"` // left out for all
	Order     string    `json:"order,omitempty"`    // "due" (the default), "age", "use" or "name"
	Limit     int       `json:"limit,omitempty"`    // keys at most, 1 to 1000; 0 means 100
	Cursor    string    `json:"cursor,omitempty"`   // Next of the page before
}

// An InventoryList is one page of the inventory.
type InventoryList struct {
	Keys []InventoryKey `json:"keys"`
	Next string         `json:"next,omitempty"`
}

// CalendarRequest says how the calendar is worded.
type CalendarRequest struct {
	Language string `json:"language,omitempty"` // "en", or "zh", the default
}

// A Calendar is the expiries of the inventory for calendar programs.
type Calendar struct {
	Text string `json:"text"` // iCalendar, RFC 5545
}

// SubscribeCalendarRequest makes a link with which a calendar program follows the calendar.
type SubscribeCalendarRequest struct {
	Name     string `json:"name"`               // lower-case letters, digits and hyphens, at most 63
	Language string `json:"language,omitempty"` // "en", or "zh", the default
}

// A CalendarSubscription is a link to the calendar, which is followed with the rights of the
// user who made it.
type CalendarSubscription struct {
	Name      string    `json:"name"`
	User      string    `json:"user"`
	Language  string    `json:"language"`
	CreatedAt time.Time `json:"createdAt"`
	FetchedAt time.Time `json:"fetchedAt,omitzero"` // to the minute; absent if never
}

// A CalendarLink is a new subscription with its link, which is never answered again.
type CalendarLink struct {
	Subscription CalendarSubscription `json:"subscription"`
	URL          SecretText           `json:"url"` // who has it can read the calendar
}

// A CalendarSubscriptionList is all calendar subscriptions of the account, by name.
type CalendarSubscriptionList struct {
	Subscriptions []CalendarSubscription `json:"subscriptions"`
}

// An ExpiryScan is how the last look at all expiries went.
type ExpiryScan struct {
	At      time.Time `json:"at,omitzero"` // absent before the first
	Took    string    `json:"took,omitempty"`
	Seen    int       `json:"seen"`              // keys that were looked at
	Of      int       `json:"of"`                // keys that there are
	Due     int       `json:"due"`               // keys that people are told of
	Error   string    `json:"error,omitempty"`   // why it did not end
	ErrorZh string    `json:"errorZh,omitempty"` // Error in Chinese
}
