// Package usage answers who uses a key, so that somebody can decide whether it may be
// disabled, and what breaks if it is.
//
// Every operation with a key that succeeded is a [Use]: who did it, for which product, from
// where, which action. [Counter.Note] counts it in memory, which is all that the hot path
// pays; [Service.Run] stores what was counted every [Every], in small portions, where it is
// added to what all the other servers of the cluster have counted. Of each version of a key
// it is counted for ever how many operations used it and how many of them made something
// that only this version opens again; of each Use, how often and when, until it was last
// seen [Kept] ago.
//
// All of it is bounded: a key has at most [MaxUses] uses, and what comes beyond is counted
// under [Others]; of what a server has counted and not stored it keeps at most maxPending,
// and what comes beyond that is counted in its sum only. A server that crashes loses what it
// counted since it last stored: at most [Every] and the time of one storing. The audit log
// has every use for ever; what is here can be compared with it.
//
// Products can register what they keep under a key ([Resource]), also what nobody has used
// yet. [Service.Usage] puts all of this into a [Report].
//
// Who may call: package cryptography notes uses; the API dialects ask and register. Stored
// rows are bound by a MAC each, but not to the audit log: who can write the database cannot
// invent or change a use, but can put back or delete one. No decision of keyward's own is
// made on them. What is trusted of a product's name: see [ProductOf].
package usage

import (
	"encoding/hex"
	"hash/fnv"
	"net/netip"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/material"
)

const (
	// Every is the longest time between two storings.
	Every = 10 * time.Second
	// Kept is how long a use is kept after it was last seen.
	Kept = 365 * 24 * time.Hour
	// Recent is how long after its last use a key counts as in use.
	Recent = 90 * 24 * time.Hour
	// MaxUses is how many uses of one key are told apart.
	MaxUses = 1000
	// MaxResources is how many resources can be registered with one key.
	MaxResources = 1000
	// Others is the principal, product and action under which uses beyond MaxUses are counted.
	Others = "(others)"

	maxPending = 65_536 // uses that are counted in memory and told apart
	maxProduct = 64     // bytes of a product's name
)

// A Use is what was done with a key, as far as uses are told apart.
type Use struct {
	Account   string // of the key
	Key       key.ID
	Version   key.VersionID
	Principal string // ARN
	Product   string // "" for none
	Source    string // IP address; "" for keyward's own work
	Action    string // as policies name it
}

// A Count is how often a use was seen.
type Count struct {
	Use
	N     int64
	First time.Time
	Last  time.Time
}

// ID answers what tells a stored use from the others of its key. The version is not part of
// it: versions are counted by themselves.
func (u Use) ID() string {
	h := fnv.New128a()
	for _, s := range []string{u.Principal, u.Product, u.Source, u.Action} {
		_, _ = h.Write([]byte(s + "\x00")) // never fails
	}
	return hex.EncodeToString(h.Sum(nil))
}

// rest is the use as which others of the same key and version are counted.
func (u Use) rest() Use {
	return Use{Account: u.Account, Key: u.Key, Version: u.Version, Principal: Others, Product: Others, Action: Others}
}

// Rest answers c as one of the uses that are not told apart.
func (c Count) Rest() Count {
	c.Use = c.rest()
	return c
}

// A VersionCount is how often a version of a key was used.
type VersionCount struct {
	Account string
	Key     key.ID
	Version key.VersionID
	Used    int64     // operations
	UsedAt  time.Time // the last of them
	Made    int64     // those of them that made a ciphertext which only this version opens
	MadeAt  time.Time // the last of them
}

// A Resource is something that a product keeps under a key.
type Resource struct {
	Account   string
	Key       key.ID
	Product   string // "oss"
	Name      string // what the product calls it: "bucket/invoices"
	Note      string // for people
	Creator   string // ARN
	CreatedAt time.Time
	Rev       int64
}

// made are the actions that leave something which only the same key opens. That of others,
// whose action is not known any more, is counted with them: rather too many than too few.
var made = map[string]bool{
	"kms:Encrypt": true, "kms:GenerateDataKey": true, "kms:GenerateDataKeyWithoutPlaintext": true,
	"kms:GenerateAndExportDataKey": true, "kms:ReEncryptTo": true, "kms:AsymmetricEncrypt": true, Others: true,
}

// Makes tells whether the use leaves something that only the same key opens.
func (u Use) Makes() bool { return made[u.Action] }

// ProductOf answers the product for which a principal uses a key, "" if nothing tells.
// keyward's own services, and service roles of cloud products by their documented names,
// are known by who they are. Otherwise the encryption context tells, as products name
// themselves in it ("acs:oss:arn", "aws:s3:arn", "keyward:secret"): that is what the caller
// says, and nobody proves it.
func ProductOf(p authz.Principal, of material.Context) string {
	if _, ok := of["keyward:secret"]; ok {
		return "keyward/secrets"
	}
	if p.Kind == authz.Service {
		return "keyward/" + p.Name
	}
	for _, prefix := range []string{"AliyunServiceRoleFor", "AWSServiceRoleFor"} {
		if rest, ok := strings.CutPrefix(p.Name, prefix); ok {
			role, _, _ := strings.Cut(rest, "/")
			return product(role)
		}
	}
	found := ""
	for name := range of {
		vendor, rest, _ := strings.Cut(name, ":")
		service, _, ok := strings.Cut(rest, ":")
		if ok && (vendor == "acs" || vendor == "aws") && service != "" && (found == "" || service < found) {
			found = service
		}
	}
	return product(found)
}

// product spells the name of a product.
func product(s string) string {
	return strings.ToLower(strings.ToValidUTF8(s[:min(len(s), maxProduct)], ""))
}

// source spells where a call comes from.
func source(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.WithZone("").String()
}
