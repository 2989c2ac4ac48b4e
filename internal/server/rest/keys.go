package rest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/byok"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/key/csr"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/server/rest/words"
)

func keyRoutes() []route {
	return []route{
		{"POST", "/v1/keys", "CreateKey", "kms:CreateKey", "Makes a key with its first version.", takesPolicy((*dialect).createKey)},
		{"GET", "/v1/keys", "ListKeys", "kms:ListKeys", "Answers one page of the account's keys that match, oldest first.", takes((*dialect).listKeys)},
		{"GET", "/v1/keys/{key}", "DescribeKey", "kms:DescribeKey", "Answers a key.", takes((*dialect).describeKey)},
		{"PUT", "/v1/keys/{key}/description", "UpdateKeyDescription", "kms:UpdateKeyDescription", "Sets a key's description.", takes((*dialect).updateDescription)},
		{"POST", "/v1/keys/{key}/enable", "EnableKey", "kms:EnableKey", "Allows a key to be used.", takes((*dialect).enableKey)},
		{"POST", "/v1/keys/{key}/disable", "DisableKey", "kms:DisableKey", "Forbids a key to be used, from the moment it answers.", takes((*dialect).disableKey)},
		{"POST", "/v1/keys/{key}/delete", "DeleteKey", "kms:ScheduleKeyDeletion", "Schedules a key's deletion; until then it cannot be used but restored.", takes((*dialect).deleteKey)},
		{"POST", "/v1/keys/{key}/restore", "RestoreKey", "kms:CancelKeyDeletion", "Cancels a key's deletion and enables it.", takes((*dialect).restoreKey)},
		{"PUT", "/v1/keys/{key}/protection", "ProtectKey", "kms:SetDeletionProtection", "Switches a key's deletion protection.", takes((*dialect).protectKey)},
		{"PUT", "/v1/keys/{key}/rotation", "SetKeyRotation", "kms:UpdateRotationPolicy", "Switches a key's automatic rotation.", takes((*dialect).setRotation)},
		{"GET", "/v1/keys/{key}/policy", "GetKeyPolicy", "kms:GetKeyPolicy", "Answers who may do what with a key, beside what identity policies say.", takes((*dialect).keyPolicy)},
		{"PUT", "/v1/keys/{key}/policy", "SetKeyPolicy", "kms:SetKeyPolicy", "Says who may do what with a key, from the next request on.", takesPolicy((*dialect).setKeyPolicy)},
		{"POST", "/v1/keys/{key}/versions", "CreateKeyVersion", "kms:CreateKeyVersion", "Rotates a key by hand: the new version becomes the primary one.", takes((*dialect).createVersion)},
		{"GET", "/v1/keys/{key}/versions", "ListKeyVersions", "kms:ListKeyVersions", "Answers one page of a key's versions, newest first.", takes((*dialect).listVersions)},
		{"GET", "/v1/keys/{key}/versions/{version}", "DescribeKeyVersion", "kms:DescribeKeyVersion", "Answers one version of a key.", takes((*dialect).describeVersion)},
		{"GET", "/v1/keys/{key}/versions/{version}/public-key", "GetPublicKey", "kms:GetPublicKey", "Answers the public half of a version of an asymmetric key.", takes((*dialect).publicKey)},
		{"POST", "/v1/keys/{key}/versions/{version}/csr", "GenerateCSR", "kms:GenerateCsr", "Makes a certificate signing request for a version of a key that signs.", takes((*dialect).generateCSR)},
		{"POST", "/v1/keys/{key}/import-parameters", "GetImportParameters", "kms:GetParametersForImport", "Answers a fresh public key to wrap the material of a key under.", takes((*dialect).importParameters)},
		{"PUT", "/v1/keys/{key}/material", "ImportKeyMaterial", "kms:ImportKeyMaterial", "Gives a key its material; the same only if it had some before.", takes((*dialect).importMaterial)},
		{"DELETE", "/v1/keys/{key}/material", "DeleteKeyMaterial", "kms:DeleteKeyMaterial", "Deletes the imported material of a key, which cannot be used until the same is imported again.", takes((*dialect).deleteMaterial)},
		{"POST", "/v1/keys/{key}/tags", "TagKey", "kms:TagResource", "Adds tags to a key.", takes((*dialect).tagKey)},
		{"DELETE", "/v1/keys/{key}/tags", "UntagKey", "kms:UntagResource", "Removes tags from a key.", takes((*dialect).untagKey)},
		{"GET", "/v1/keys/{key}/aliases", "ListKeyAliases", "kms:ListAliasesByKeyId", "Answers one page of a key's aliases, by name.", takes((*dialect).listKeyAliases)},
		{"POST", "/v1/aliases", "CreateAlias", "kms:CreateAlias", "Gives a key another name.", takes((*dialect).createAlias)},
		{"GET", "/v1/aliases", "ListAliases", "kms:ListAliases", "Answers one page of the account's aliases, by name.", takes((*dialect).listAliases)},
		{"PUT", "/v1/aliases/{alias}", "PointAlias", "kms:UpdateAlias", "Points an existing alias at another key.", takes((*dialect).pointAlias)},
		{"DELETE", "/v1/aliases/{alias}", "DeleteAlias", "kms:DeleteAlias", "Removes an alias; its key stays.", takes((*dialect).deleteAlias)},
	}
}

func (d *dialect) createKey(ctx context.Context, q request, in api.CreateKeyRequest) (api.Key, error) {
	new := lifecycle.CreateInput{
		Spec: material.Spec(in.Spec), Usage: key.Usage(in.Usage), Origin: in.Origin, Description: in.Description, Tags: tagsOf(in.Tags), Alias: in.Alias, Policy: in.Policy,
		ProtectionLevel: in.ProtectionLevel, Instance: in.Instance, External: in.ExternalKeyID,
		More: words.Each(in.AdditionalUsages, func(u string) key.Usage { return key.Usage(u) }),
	}
	if in.Rotation != nil {
		new.Rotate, new.Interval = in.Rotation.Enabled, words.Seconds(in.Rotation.IntervalSeconds)
	}
	k, err := d.Keys.Create(ctx, q.call, new)
	return d.key(k), err
}

func (d *dialect) keyPolicy(ctx context.Context, q request, _ none) (api.KeyPolicy, error) {
	document, err := d.Keys.GetPolicy(ctx, q.call, q.vars["key"], "")
	return api.KeyPolicy{Document: document}, err
}

func (d *dialect) setKeyPolicy(ctx context.Context, q request, in api.KeyPolicy) (none, error) {
	return none{}, d.Keys.SetPolicy(ctx, q.call, q.vars["key"], "", in.Document)
}

func (d *dialect) listKeys(ctx context.Context, q request, in api.ListKeysRequest) (api.KeyList, error) {
	p := page(in.Limit, in.Cursor)
	keys, total, err := d.Keys.List(ctx, q.call, key.Filter{
		States: in.States, Specs: in.Specs, Usages: in.Usages, Aliases: in.Aliases, TagKeys: in.TagKeys, TagValues: in.TagValues, Instances: in.Instances,
	}, p)
	return api.KeyList{Keys: words.Each(keys, d.key), Total: total, Next: next(p, total)}, err
}

func (d *dialect) describeKey(ctx context.Context, q request, _ none) (api.Key, error) {
	k, err := d.Keys.Describe(ctx, q.call, q.vars["key"])
	return d.key(k), err
}

func (d *dialect) updateDescription(ctx context.Context, q request, in api.DescriptionRequest) (none, error) {
	return none{}, d.Keys.UpdateDescription(ctx, q.call, q.vars["key"], in.Description)
}

func (d *dialect) enableKey(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Keys.Enable(ctx, q.call, q.vars["key"])
}

func (d *dialect) disableKey(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Keys.Disable(ctx, q.call, q.vars["key"])
}

func (d *dialect) deleteKey(ctx context.Context, q request, in api.DeleteKeyRequest) (none, error) {
	return none{}, d.Keys.ScheduleDeletion(ctx, q.call, q.vars["key"], in.Days)
}

func (d *dialect) restoreKey(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Keys.CancelDeletion(ctx, q.call, q.vars["key"])
}

func (d *dialect) protectKey(ctx context.Context, q request, in api.Protection) (none, error) {
	return none{}, d.Keys.SetDeletionProtection(ctx, q.call, q.vars["key"], in.Enabled, in.Note)
}

func (d *dialect) setRotation(ctx context.Context, q request, in api.RotationRequest) (none, error) {
	return none{}, d.Keys.UpdateRotationPolicy(ctx, q.call, q.vars["key"], in.Enabled, words.Seconds(in.IntervalSeconds))
}

func (d *dialect) createVersion(ctx context.Context, q request, _ none) (api.KeyVersion, error) {
	v, err := d.Keys.CreateVersion(ctx, q.call, q.vars["key"])
	return version(v), err
}

func (d *dialect) listVersions(ctx context.Context, q request, in api.PageRequest) (api.KeyVersionList, error) {
	p := page(in.Limit, in.Cursor)
	versions, total, err := d.Keys.ListVersions(ctx, q.call, q.vars["key"], p)
	return api.KeyVersionList{Versions: words.Each(versions, version), Total: total, Next: next(p, total)}, err
}

func (d *dialect) describeVersion(ctx context.Context, q request, _ none) (api.KeyVersion, error) {
	v, err := d.Keys.DescribeVersion(ctx, q.call, q.vars["key"], key.VersionID(q.vars["version"]))
	return version(v), err
}

func (d *dialect) publicKey(ctx context.Context, q request, _ none) (api.PublicKey, error) {
	k, err := d.Crypto.PublicKey(ctx, q.call, q.vars["key"], key.VersionID(q.vars["version"]), false)
	return api.PublicKey{Key: string(k.Key), Version: string(k.Version), PEM: k.PEM, DER: k.DER, JWK: (*api.JWK)(k.JWK)}, err
}

func (d *dialect) generateCSR(ctx context.Context, q request, in api.CSRRequest) (api.CSR, error) {
	out, err := d.Crypto.GenerateCSR(ctx, q.call, cryptography.CSRInput{
		Key: q.vars["key"], Version: key.VersionID(q.vars["version"]), Algorithm: material.Algorithm(in.Algorithm),
		Subject: csr.Request{
			CommonName: in.CommonName, Organization: in.Organization, Unit: in.Unit, State: in.State, Locality: in.Locality,
			Country: in.Country, Email: in.Email, Names: in.Names,
		},
	})
	return api.CSR{Key: string(out.Key), Version: string(out.Version), PEM: out.PEM}, err
}

func (d *dialect) importParameters(ctx context.Context, q request, in api.ImportParametersRequest) (api.ImportParameters, error) {
	p, err := d.Imports.Parameters(ctx, q.call, q.vars["key"], material.Wrapping(in.Wrapping))
	return api.ImportParameters{Key: string(p.Key), PublicKey: p.PublicKey, Token: p.Token, ExpireAt: p.ExpireAt}, err
}

func (d *dialect) importMaterial(ctx context.Context, q request, in api.ImportRequest) (none, error) {
	return none{}, d.Imports.Import(ctx, q.call, byok.Input{Key: q.vars["key"], Token: in.Token, Material: in.Material, ExpireAt: in.ExpireAt})
}

func (d *dialect) deleteMaterial(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Imports.Delete(ctx, q.call, q.vars["key"])
}

func (d *dialect) tagKey(ctx context.Context, q request, in api.TagRequest) (none, error) {
	return none{}, d.Keys.Tag(ctx, q.call, q.vars["key"], tagsOf(in.Tags))
}

func (d *dialect) untagKey(ctx context.Context, q request, in api.UntagRequest) (none, error) {
	return none{}, d.Keys.Untag(ctx, q.call, q.vars["key"], in.Keys)
}

func (d *dialect) listKeyAliases(ctx context.Context, q request, in api.PageRequest) (api.AliasList, error) {
	p := page(in.Limit, in.Cursor)
	aliases, total, err := d.Keys.ListKeyAliases(ctx, q.call, q.vars["key"], p)
	return api.AliasList{Aliases: words.Each(aliases, d.alias), Total: total, Next: next(p, total)}, err
}

func (d *dialect) createAlias(ctx context.Context, q request, in api.CreateAliasRequest) (none, error) {
	return none{}, d.Keys.CreateAlias(ctx, q.call, in.Name, in.Key)
}

func (d *dialect) listAliases(ctx context.Context, q request, in api.PageRequest) (api.AliasList, error) {
	p := page(in.Limit, in.Cursor)
	aliases, total, err := d.Keys.ListAliases(ctx, q.call, p)
	return api.AliasList{Aliases: words.Each(aliases, d.alias), Total: total, Next: next(p, total)}, err
}

func (d *dialect) pointAlias(ctx context.Context, q request, in api.PointAliasRequest) (none, error) {
	return none{}, d.Keys.UpdateAlias(ctx, q.call, q.vars["alias"], in.Key)
}

func (d *dialect) deleteAlias(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Keys.DeleteAlias(ctx, q.call, q.vars["alias"])
}

// key answers a key as the API words it.
func (d *dialect) key(k key.Key) api.Key {
	return api.Key{
		ID: string(k.ID), ARN: d.Keys.ARN(k), Spec: string(k.Spec), Usage: string(k.Usage), State: string(k.State),
		Origin: k.Origin, ProtectionLevel: k.ProtectionLevel, Description: k.Description, Creator: k.Creator, Instance: k.Instance, ExternalKeyID: k.External,
		CreatedAt: k.CreatedAt, DeleteAt: k.DeleteAt, PrimaryVersion: string(k.Primary), Versions: k.Versions, ExpireAt: k.ExpireAt,
		Rotation: api.Rotation{
			Status: string(k.RotationStatus()), IntervalSeconds: int64(k.Rotation.Interval / time.Second),
			LastAt: k.Rotation.Last, NextAt: k.NextRotation(),
		},
		Protection: api.Protection{Enabled: k.Protected, Note: k.ProtectionNote},
		Tags:       tagMap(k.Tags),

		AdditionalUsages: words.Each(k.More, func(u key.Usage) string { return string(u) }),
	}
}

func (d *dialect) alias(a key.Alias) api.Alias {
	return api.Alias{Name: a.Name, ARN: d.Keys.AliasARN(a), Key: string(a.Key), CreatedAt: a.CreatedAt}
}

func version(v key.Version) api.KeyVersion {
	return api.KeyVersion{ID: string(v.ID), Key: string(v.Key), Number: v.Number, CreatedAt: v.CreatedAt}
}

func tagsOf(m map[string]string) []key.Tag {
	tags := make([]key.Tag, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		tags = append(tags, key.Tag{Key: name, Value: m[name]})
	}
	return tags
}

// defaultLimit is how many items a page has that was asked for without a limit.
const defaultLimit = 100

// page answers the page of a list whose cursors are the numbers of pages. A cursor that
// is none becomes a number that no page has, for the service to refuse.
func page(limit int, cursor string) key.Page {
	p := key.Page{Number: 1, Size: cmp.Or(limit, defaultLimit)}
	if cursor != "" {
		p.Number, _ = strconv.Atoi(cursor)
	}
	return p
}

// next answers the cursor of the page after p.
func next(p key.Page, total int) string {
	if p.Number*p.Size >= total {
		return ""
	}
	return strconv.Itoa(p.Number + 1)
}
