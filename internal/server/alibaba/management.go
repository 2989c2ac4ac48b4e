package alibaba

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/server/alibaba/rpc"
)

// done is the answer of an operation that has nothing to say.
func done(err error) (rpc.Response, error) { return &rpc.Reply{}, err }

// onKey is an operation that takes a KeyId and answers nothing.
func onKey(method func(*lifecycle.Service, context.Context, *authz.Call, string) error) func(*Dialect, *authz.Call, *rpc.Values) act {
	return func(d *Dialect, c *authz.Call, v *rpc.Values) act {
		id := v.Need("KeyId")
		return func(ctx context.Context) (rpc.Response, error) { return done(method(d.Keys, ctx, c, id)) }
	}
}

// keyMetadata is a key on the wire. Members that do not apply are left out.
type keyMetadata struct {
	Arn                           string
	AutomaticRotation             string
	CreationDate                  string
	Creator                       string
	DKMSInstanceId                string `json:",omitempty" xml:",omitempty"`
	DeleteDate                    string `json:",omitempty" xml:",omitempty"`
	DeletionProtection            string `json:",omitempty" xml:",omitempty"`
	DeletionProtectionDescription string `json:",omitempty" xml:",omitempty"`
	Description                   string
	ExternalKeyId                 string `json:",omitempty" xml:",omitempty"`
	KeyId                         string
	KeySpec                       string
	KeyState                      string
	KeyUsage                      string
	AdditionalKeyUsages           string `json:",omitempty" xml:",omitempty"` // keyward's own
	LastRotationDate              string
	MaterialExpireTime            string
	NextRotationDate              string `json:",omitempty" xml:",omitempty"`
	Origin                        string
	PrimaryKeyVersion             string
	ProtectionLevel               string
	RotationInterval              string `json:",omitempty" xml:",omitempty"`
}

func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

func inSeconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) + "s" }

func (d *Dialect) metadata(k key.Key) keyMetadata {
	m := keyMetadata{
		Arn: d.Keys.ARN(k), AutomaticRotation: string(k.RotationStatus()), CreationDate: date(k.CreatedAt), Creator: k.Creator,
		DeleteDate: date(k.DeleteAt), Description: k.Description, KeyId: string(k.ID), KeySpec: string(k.Spec), KeyState: string(k.State),
		KeyUsage: string(k.Usage), LastRotationDate: date(k.Rotation.Last), MaterialExpireTime: date(k.ExpireAt), Origin: k.Origin, PrimaryKeyVersion: string(k.Primary),
		ProtectionLevel: k.ProtectionLevel, NextRotationDate: date(k.NextRotation()),
		DKMSInstanceId: k.Instance, ExternalKeyId: k.External,
	}
	for i, u := range k.More {
		if i > 0 {
			m.AdditionalKeyUsages += ","
		}
		m.AdditionalKeyUsages += string(u)
	}
	if k.Rotation.Enabled {
		m.RotationInterval = inSeconds(k.Rotation.Interval)
	}
	return m
}

type keyReply struct {
	rpc.Reply
	KeyMetadata keyMetadata
}

func createKey(d *Dialect, c *authz.Call, v *rpc.Values) act {
	in := lifecycle.CreateInput{
		Spec: material.Spec(v.Text("KeySpec")), Usage: key.Usage(v.Text("KeyUsage")), Origin: v.Text("Origin"),
		ProtectionLevel: v.Text("ProtectionLevel"), Description: v.Text("Description"), Tags: v.Tags("Tags"), Policy: v.Text("Policy"),
		Rotate: v.Boolean("EnableAutomaticRotation"), Interval: v.Interval("RotationInterval"),
		Instance: v.Text("DKMSInstanceId"), External: v.Text("ExternalKeyId"), // the latter is keyward's own
	}
	switch v.Text("KeyStorageMechanism") {
	case "":
	case "HsmInternal":
		in.InToken = true
	case "HsmEncryptedDatabase":
		v.Fail(fault.UnsupportedOperation.New("The keys of a hardware token stay in it, which is KeyStorageMechanism=HsmInternal."))
	default:
		v.Invalid("KeyStorageMechanism", "It must be HsmInternal.")
	}
	if more := v.Text("AdditionalKeyUsages"); more != "" { // keyward's own: Alibaba Cloud's console has them, its API does not
		for u := range strings.SplitSeq(more, ",") {
			in.More = append(in.More, key.Usage(u))
		}
	}
	return func(ctx context.Context) (rpc.Response, error) {
		k, err := d.Keys.Create(ctx, c, in)
		return &keyReply{KeyMetadata: d.metadata(k)}, err
	}
}

func describeKey(d *Dialect, c *authz.Call, v *rpc.Values) act {
	id := v.Need("KeyId")
	return func(ctx context.Context) (rpc.Response, error) {
		k, err := d.Keys.Describe(ctx, c, id)
		m := d.metadata(k)
		m.DeletionProtection, m.DeletionProtectionDescription = "Disabled", k.ProtectionNote
		if k.Protected {
			m.DeletionProtection = "Enabled"
		}
		return &keyReply{KeyMetadata: m}, err
	}
}

// paged are the members of every answer that is one page of a list.
type paged struct {
	PageNumber int
	PageSize   int
	TotalCount int
}

type keyEntry struct{ KeyArn, KeyId string }

func listKeys(d *Dialect, c *authz.Call, v *rpc.Values) act {
	p, filter := v.Page(), filter(v)
	return func(ctx context.Context) (rpc.Response, error) {
		keys, total, err := d.Keys.List(ctx, c, filter, p)
		out := &struct {
			rpc.Reply
			paged
			Keys struct{ Key []keyEntry }
		}{paged: paged{p.Number, p.Size, total}}
		out.Keys.Key = []keyEntry{}
		for _, k := range keys {
			out.Keys.Key = append(out.Keys.Key, keyEntry{d.Keys.ARN(k), string(k.ID)})
		}
		return out, err
	}
}

// A choice is one entry of the Filters of a list.
type choice struct {
	Key    string
	Values []string
}

// choices reads Filters.
func choices(v *rpc.Values) (list []choice) {
	v.Document("Filters", &list, `It must be a JSON list such as [{"Key":"KeyState","Values":["Enabled"]}].`, "Key", "Values")
	if len(list) > 10 {
		v.Invalid("Filters", "It may have ten entries.")
	}
	seen := map[string]bool{}
	for _, entry := range list {
		if seen[entry.Key] {
			v.Invalid("Filters", "Each key may stand in one entry; it can have several values.")
		}
		seen[entry.Key] = true
		if len(entry.Values) == 0 || len(entry.Values) > 100 {
			v.Invalid("Filters", "Each entry needs 1 to 100 values.")
		}
	}
	return list
}

// filter reads the Filters of ListKeys.
func filter(v *rpc.Values) (f key.Filter) {
	for _, entry := range choices(v) {
		switch entry.Key {
		case "KeyState":
			f.States = entry.Values
		case "KeySpec":
			f.Specs = entry.Values
		case "KeyUsage":
			f.Usages = entry.Values
		case "ProtectionLevel":
			f.ProtectionLevels = entry.Values
		case "Creator":
			f.Creators = entry.Values
		case "AliasName":
			f.Aliases = entry.Values
		case "TagKey":
			f.TagKeys = entry.Values
		case "TagValue":
			f.TagValues = entry.Values
		case "KeyId":
			for _, id := range entry.Values {
				f.IDs = append(f.IDs, key.ID(id))
			}
		case "CreatorType":
			f.CreatorTypes = entry.Values
		case "DKMSInstanceId":
			f.Instances = entry.Values
		default:
			v.Invalid("Filters", "KeyState, KeySpec, KeyUsage, ProtectionLevel, CreatorType, DKMSInstanceId, KeyId, AliasName, Creator, TagKey and TagValue are known.")
		}
	}
	return f
}

func updateKeyDescription(d *Dialect, c *authz.Call, v *rpc.Values) act {
	id, description := v.Need("KeyId"), v.Text("Description")
	return func(ctx context.Context) (rpc.Response, error) {
		return done(d.Keys.UpdateDescription(ctx, c, id, description))
	}
}

func scheduleKeyDeletion(d *Dialect, c *authz.Call, v *rpc.Values) act {
	id, days := v.Need("KeyId"), v.Integer("PendingWindowInDays", 0)
	v.Need("PendingWindowInDays")
	return func(ctx context.Context) (rpc.Response, error) {
		return done(d.Keys.ScheduleDeletion(ctx, c, id, days))
	}
}

// setDeletionProtection takes the key's ARN (API of SDK v3) or its id (v4).
func setDeletionProtection(d *Dialect, c *authz.Call, v *rpc.Values) act {
	id := v.Text("ProtectedResourceArn")
	if other := v.Text("KeyId"); id == "" {
		id = other
	}
	if id == "" {
		v.Need("ProtectedResourceArn")
	}
	v.Need("EnableDeletionProtection")
	on, note := v.Boolean("EnableDeletionProtection"), v.Text("DeletionProtectionDescription")
	return func(ctx context.Context) (rpc.Response, error) {
		return done(d.Keys.SetDeletionProtection(ctx, c, id, on, note))
	}
}

func pointAlias(method func(*lifecycle.Service, context.Context, *authz.Call, string, string) error) func(*Dialect, *authz.Call, *rpc.Values) act {
	return func(d *Dialect, c *authz.Call, v *rpc.Values) act {
		name, id := v.Need("AliasName"), v.Need("KeyId")
		return func(ctx context.Context) (rpc.Response, error) { return done(method(d.Keys, ctx, c, name, id)) }
	}
}

func deleteAlias(d *Dialect, c *authz.Call, v *rpc.Values) act {
	name := v.Need("AliasName")
	return func(ctx context.Context) (rpc.Response, error) { return done(d.Keys.DeleteAlias(ctx, c, name)) }
}

type aliasEntry struct{ AliasArn, AliasName, KeyId string }

func (d *Dialect) aliasPage(aliases []key.Alias, p key.Page, total int) rpc.Response {
	out := &struct {
		rpc.Reply
		paged
		Aliases struct{ Alias []aliasEntry }
	}{paged: paged{p.Number, p.Size, total}}
	out.Aliases.Alias = []aliasEntry{}
	for _, a := range aliases {
		out.Aliases.Alias = append(out.Aliases.Alias, aliasEntry{d.Keys.AliasARN(a), a.Name, string(a.Key)})
	}
	return out
}

func listAliases(d *Dialect, c *authz.Call, v *rpc.Values) act {
	p := v.Page()
	return func(ctx context.Context) (rpc.Response, error) {
		aliases, total, err := d.Keys.ListAliases(ctx, c, p)
		return d.aliasPage(aliases, p, total), err
	}
}

func listAliasesByKeyID(d *Dialect, c *authz.Call, v *rpc.Values) act {
	id, p := v.Need("KeyId"), v.Page()
	return func(ctx context.Context) (rpc.Response, error) {
		aliases, total, err := d.Keys.ListKeyAliases(ctx, c, id, p)
		return d.aliasPage(aliases, p, total), err
	}
}

type versionEntry struct{ CreationDate, KeyId, KeyVersionId string }

func entryOf(v key.Version) versionEntry {
	return versionEntry{date(v.CreatedAt), string(v.Key), string(v.ID)}
}

type versionReply struct {
	rpc.Reply
	KeyVersion versionEntry
}

func createKeyVersion(d *Dialect, c *authz.Call, v *rpc.Values) act {
	id := v.Need("KeyId")
	return func(ctx context.Context) (rpc.Response, error) {
		version, err := d.Keys.CreateVersion(ctx, c, id)
		return &versionReply{KeyVersion: entryOf(version)}, err
	}
}

func describeKeyVersion(d *Dialect, c *authz.Call, v *rpc.Values) act {
	id, versionID := v.Need("KeyId"), key.VersionID(v.Need("KeyVersionId"))
	return func(ctx context.Context) (rpc.Response, error) {
		version, err := d.Keys.DescribeVersion(ctx, c, id, versionID)
		return &versionReply{KeyVersion: entryOf(version)}, err
	}
}

func listKeyVersions(d *Dialect, c *authz.Call, v *rpc.Values) act {
	id, p := v.Need("KeyId"), v.Page()
	return func(ctx context.Context) (rpc.Response, error) {
		versions, total, err := d.Keys.ListVersions(ctx, c, id, p)
		out := &struct {
			rpc.Reply
			paged
			KeyVersions struct{ KeyVersion []versionEntry }
		}{paged: paged{p.Number, p.Size, total}}
		out.KeyVersions.KeyVersion = []versionEntry{}
		for _, version := range versions {
			out.KeyVersions.KeyVersion = append(out.KeyVersions.KeyVersion, entryOf(version))
		}
		return out, err
	}
}

func updateRotationPolicy(d *Dialect, c *authz.Call, v *rpc.Values) act {
	v.Need("EnableAutomaticRotation")
	id, on, interval := v.Need("KeyId"), v.Boolean("EnableAutomaticRotation"), v.Interval("RotationInterval")
	return func(ctx context.Context) (rpc.Response, error) {
		return done(d.Keys.UpdateRotationPolicy(ctx, c, id, on, interval))
	}
}
