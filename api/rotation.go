package api

import "time"

// A RotationPlan says how one access key at a provider is replaced, whenever it has to be.
type RotationPlan struct {
	Name      string       `json:"name"`
	ARN       string       `json:"arn"`
	Provider  string       `json:"provider"`          // name
	Principal string       `json:"principal"`         // id of the one whose key it is
	Key       string       `json:"key"`               // id of the key that is in use now
	Secret    string       `json:"secret"`            // name of the secret that holds its credential
	Rollout   string       `json:"rollout,omitempty"` // name of the one that delivers the secret to nodes
	Care      RotationCare `json:"care"`
	Auto      bool         `json:"auto"`   // rotations begin by themselves
	LastAt    time.Time    `json:"lastAt"` // when the last rotation ended well, or the plan was made
	CreatedAt time.Time    `json:"createdAt"`
}

// RotationCare is how carefully a key is replaced. Times are durations such as "24h"; "" is none.
type RotationCare struct {
	Every        string          `json:"every"`   // the age that a key may reach; "" for any
	Call         string          `json:"call"`    // the longest that a call to the provider may take; an answer that is lost is waited out for twice as long
	Confirm      string          `json:"confirm"` // by when every node of a wave should use the new key
	Grace        string          `json:"grace"`   // how long both keys work after the last node uses the new one
	Quiet        string          `json:"quiet"`   // how long the old key was not used before it is touched
	Observe      string          `json:"observe"` // how long the old key is off before it is deleted
	Waves        []RotationWave  `json:"waves"`   // of the rollout, in order
	MaxRefused   int             `json:"maxRefused"`
	MaxFallbacks int             `json:"maxFallbacks"`
	Approve      bool            `json:"approve"` // a person approves the start
	OnLeak       bool            `json:"onLeak"`  // an emergency rotation begins by itself when the key in use leaked
	Windows      RotationWindows `json:"windows"`
}

// A RotationWave says how one wave of a rollout is taken.
type RotationWave struct {
	Name    string `json:"name"`
	Bake    string `json:"bake"`    // after all its nodes use the new key, before the next wave
	Approve bool   `json:"approve"` // a person approves it
}

// RotationWindows say when a rotation may do what can be felt. A span is written as
// "Mon-Fri 22:00-06:00", "Sat,Sun", "11-11", "01-28..02-04" or "02:00-04:00".
type RotationWindows struct {
	Zone   string   `json:"zone"`   // IANA name of the time zone; "" for UTC
	Allow  []string `json:"allow"`  // spans; none for always
	Deny   []string `json:"deny"`   // spans, which win over those that allow
	Unless string   `json:"unless"` // when less is left until the key expires, windows do not matter; "" for 72 hours
}

// RotationCareRequest sets parts of a plan's care; what is left out stays, or is as usual.
type RotationCareRequest struct {
	Every        *string                `json:"every,omitempty"` // "" for any age
	Call         *string                `json:"call,omitempty"`  // "1s" to "5m"; "" for "30s"
	Confirm      *string                `json:"confirm,omitempty"`
	Grace        *string                `json:"grace,omitempty"`
	Quiet        *string                `json:"quiet,omitempty"`
	Observe      *string                `json:"observe,omitempty"`
	Waves        *[]RotationWaveRequest `json:"waves,omitempty"` // a wave that is not named bakes for ten minutes
	MaxRefused   *int                   `json:"maxRefused,omitempty"`
	MaxFallbacks *int                   `json:"maxFallbacks,omitempty"`
	Approve      *bool                  `json:"approve,omitempty"`
	OnLeak       *bool                  `json:"onLeak,omitempty"`
	Zone         *string                `json:"zone,omitempty"`   // of the windows
	Allow        *[]string              `json:"allow,omitempty"`  // spans
	Deny         *[]string              `json:"deny,omitempty"`   // spans
	Unless       *string                `json:"unless,omitempty"` // "" for 72 hours
}

// A RotationWaveRequest sets how one wave is taken.
type RotationWaveRequest struct {
	Name    string  `json:"name"`
	Bake    *string `json:"bake,omitempty"` // left out for ten minutes
	Approve bool    `json:"approve,omitempty"`
}

// CreateRotationPlanRequest makes a plan.
type CreateRotationPlanRequest struct {
	Name      string              `json:"name"` // lower-case letters, digits and hyphens, at most 63
	Provider  string              `json:"provider"`
	Principal string              `json:"principal"`
	Secret    string              `json:"secret"`        // which holds the credential as one JSON object of texts
	Key       string              `json:"key,omitempty"` // "" for the one whose id stands in the secret
	Rollout   string              `json:"rollout,omitempty"`
	Care      RotationCareRequest `json:"care,omitzero"`
	Auto      bool                `json:"auto,omitempty"`
}

// UpdateRotationPlanRequest changes a plan of which no rotation is under way. What is left out stays.
type UpdateRotationPlanRequest struct {
	Key     *string             `json:"key,omitempty"`     // that is in use now
	Rollout *string             `json:"rollout,omitempty"` // "" for none
	Care    RotationCareRequest `json:"care,omitzero"`
	Auto    *bool               `json:"auto,omitempty"`
}

// A RotationPlanList is all plans of the account, by name.
type RotationPlanList struct {
	Plans []RotationPlan `json:"plans"`
}

// A RotationForecast is a plan with what it comes to.
type RotationForecast struct {
	Plan            RotationPlan `json:"plan"`
	Archetype       string       `json:"archetype"`          // how the provider lets one replace a key: "pair", "manual"
	PointOfNoReturn string       `json:"pointOfNoReturn"`    // step from which on nothing can be undone
	Takes           string       `json:"takes"`              // least time until no node uses the old key, "" for none
	Expires         time.Time    `json:"expires,omitzero"`   // the key, if that is known
	Due             time.Time    `json:"due,omitzero"`       // when the next rotation is to begin; none if nothing says so
	Latest          time.Time    `json:"latest,omitzero"`    // when it can begin at the latest and end well
	UnderWay        string       `json:"underWay,omitempty"` // id of the rotation that is
}

// StartRotationRequest starts a rotation of a plan.
type StartRotationRequest struct {
	Profile string `json:"profile,omitempty"` // "planned" or "emergency"; "" for planned
	Cause   string `json:"cause,omitempty"`   // for people
	Late    bool   `json:"late,omitempty"`    // although it cannot end before the old key expires
}

// ListRotationsRequest asks for rotations, the newest first.
type ListRotationsRequest struct {
	Plan  string `json:"plan,omitempty"`  // only of this plan
	Limit int    `json:"limit,omitempty"` // 1 to 1000; 0 means 100
}

// A RotationRunList is rotations without their events, the newest first.
type RotationRunList struct {
	Rotations []RotationRun `json:"rotations"`
}

// A RotationRun is one replacement of one key. Steps and reasons are words of the protocol.
type RotationRun struct {
	ID              string             `json:"id"`
	Plan            string             `json:"plan"`
	Profile         string             `json:"profile"`   // "planned" or "emergency"
	Archetype       string             `json:"archetype"` // how the provider lets one replace a key
	Step            string             `json:"step"`
	Since           time.Time          `json:"since"` // when the step began
	Route           []string           `json:"route"` // the steps of its way, forward or back, in order
	Waves           []RotationProgress `json:"waves"`
	OldKey          string             `json:"oldKey"`                 // id
	NewKey          string             `json:"newKey,omitempty"`       // id, once there is one
	Cause           string             `json:"cause,omitempty"`        // why it was started
	Paused          string             `json:"paused,omitempty"`       // ARN of who paused it
	Halt            string             `json:"halt,omitempty"`         // reason for which it does not go on until a person says so
	Trouble         string             `json:"trouble,omitempty"`      // reason for which it waits
	Detail          string             `json:"detail,omitempty"`       // of the halt or the trouble, in English
	WindowOpensAt   time.Time          `json:"windowOpensAt,omitzero"` // when it goes on, while it waits for a window
	Back            string             `json:"back,omitempty"`         // why it goes back
	Guide           string             `json:"guide,omitempty"`        // by which a person makes and enters the new key
	Steps           []Text             `json:"steps,omitempty"`        // of the guide, in order; none in lists
	Warnings        []Text             `json:"warnings,omitempty"`     // what a person should look at who has just entered a key
	Late            bool               `json:"late"`                   // it cannot end before the old key expires
	FinishBy        time.Time          `json:"finishBy,omitzero"`      // when the old key expires
	NextTry         time.Time          `json:"nextTry,omitzero"`       // after something failed
	Tries           int                `json:"tries,omitempty"`        // of the step, that failed
	CanRollBack     bool               `json:"canRollBack"`
	PointOfNoReturn string             `json:"pointOfNoReturn"` // step from which on nothing can be undone
	Next            string             `json:"next,omitempty"`  // what a person would run next
	CreatedAt       time.Time          `json:"createdAt"`
	ChangedAt       time.Time          `json:"changedAt"`
	EndedAt         time.Time          `json:"endedAt,omitzero"`
	Events          []RotationEvent    `json:"events"` // none in lists
}

// RotationProgress is how far a rotation is with one wave.
type RotationProgress struct {
	Name        string    `json:"name"`
	Bake        string    `json:"bake"`
	Approve     bool      `json:"approve"`
	PublishedAt time.Time `json:"publishedAt,omitzero"` // when its nodes were given the new key
	ConfirmedAt time.Time `json:"confirmedAt,omitzero"` // when all of them used it
}

// A RotationEvent is one line of a rotation's history.
type RotationEvent struct {
	At    time.Time `json:"at"`
	Step  string    `json:"step"`
	Actor string    `json:"actor,omitempty"` // ARN of who ordered it; "" for keyward itself
	Text  string    `json:"text"`            // a word such as "created", and what it is about
}

// RollBackRotationRequest has a rotation undone.
type RollBackRotationRequest struct {
	Reason string `json:"reason"`
}

// EnterRotationKeyRequest enters the key that a person has made at a provider's console.
type EnterRotationKeyRequest struct {
	ID         string                `json:"id,omitempty"`       // of the key; left out where a guide tells it
	Settings   map[string]string     `json:"settings,omitempty"` // of the guide, as far as they are others than of the old key
	Credential map[string]SecretText `json:"credential"`         // as the secret keeps it; a file is in Base64
}
