package api

import "time"

// A KeyUsage is who uses a key, as far as it was counted.
type KeyUsage struct {
	Key       string            `json:"key"` // id
	State     string            `json:"state"`
	Status    string            `json:"status"`            // "InUse", "Idle" (not for 90 days), "Unused" (nothing was counted)
	At        time.Time         `json:"at"`                // of this answer
	Since     time.Time         `json:"since"`             // when the counting of this key began
	LastUsed  time.Time         `json:"lastUsed,omitzero"` // none if that was not counted
	Made      int64             `json:"made"`              // ciphertexts and data keys that only this key opens
	Uses      []KeyAssociation  `json:"uses"`              // of the last 365 days, those seen last first
	Versions  []KeyVersionUsage `json:"versions"`          // those used last first
	Resources []KeyResource     `json:"resources"`         // that products registered
}

// A KeyAssociation is what one principal does with a key, for one product, from one address. Beyond a thousand of them the others are one,
// whose principal is "(others)".
type KeyAssociation struct {
	Principal string    `json:"principal"` // ARN
	Product   string    `json:"product,omitempty"`
	Source    string    `json:"source,omitempty"` // IP address; none for keyward's own work
	Action    string    `json:"action"`
	Count     int64     `json:"count"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
}

// A KeyVersionUsage is how often a version of a key was used.
type KeyVersionUsage struct {
	Version string    `json:"version"`
	Used    int64     `json:"used"`
	UsedAt  time.Time `json:"usedAt"`
	Made    int64     `json:"made"` // of these operations, those that made something which only this version opens
	MadeAt  time.Time `json:"madeAt,omitzero"`
}

// A KeyResource is something that a product keeps under a key.
type KeyResource struct {
	Product   string    `json:"product"`
	Name      string    `json:"name"`
	Note      string    `json:"note,omitempty"`
	Creator   string    `json:"creator"` // ARN
	CreatedAt time.Time `json:"createdAt"`
}

// RegisterKeyResourceRequest registers something that a product keeps under a key, or replaces its note.
type RegisterKeyResourceRequest struct {
	Product string `json:"product"` // lower-case letters, digits and hyphens, at most 64
	Name    string `json:"name"`    // what the product calls it, at most 512 bytes
	Note    string `json:"note,omitempty"`
}

// DeregisterKeyResourceRequest names a registered resource.
type DeregisterKeyResourceRequest struct {
	Product string `json:"product"`
	Name    string `json:"name"`
}
