package api

import "time"

// An Offer is keys of the account that others may use over the XKS Proxy API without ever
// holding them, as AWS KMS does with its external key stores.
type Offer struct {
	Name       string         `json:"name"`
	ARN        string         `json:"arn"`
	User       string         `json:"user"`       // as whom the other side acts
	Path       string         `json:"path"`       // of the server, below which the four operations are
	Keys       []PublishedKey `json:"keys"`       // by id
	AccessKeys []string       `json:"accessKeys"` // ids of the credentials
	CreatedAt  time.Time      `json:"createdAt"`
}

// A PublishedKey is a key that an offer publishes.
type PublishedKey struct {
	ID  string `json:"id"`  // external, as the other side calls it
	Key string `json:"key"` // id of the key
	Use string `json:"use"` // "encrypt-decrypt", "encrypt", "decrypt" or "none"
}

// CreateOfferRequest makes an offer without keys.
type CreateOfferRequest struct {
	Name string `json:"name"`
	User string `json:"user"` // whose access keys the caller must be allowed to make
}

// An OfferCredential is a new credential of an offer. Its secret is not shown again.
type OfferCredential struct {
	Offer           Offer      `json:"offer"`
	AccessKeyID     string     `json:"accessKeyId"`
	SecretAccessKey SecretText `json:"secretAccessKey"`
}

// An OfferList is all offers of the account, by name.
type OfferList struct {
	Offers []Offer `json:"offers"`
}

// PublishKeyRequest publishes a key, or changes for what it is published.
type PublishKeyRequest struct {
	Key string `json:"key"` // id, alias or ARN
	Use string `json:"use,omitempty"`
}
