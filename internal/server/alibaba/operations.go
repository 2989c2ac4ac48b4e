package alibaba

import (
	"context"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/key/csr"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/server/alibaba/rpc"
)

// An act is an operation with its parameters decoded, ready to be performed.
type act func(context.Context) (rpc.Response, error)

// An operation is one action of the API.
type operation struct {
	action string                // as policies name it
	codes  map[fault.Kind]string // error codes that this action documents under other names
	decode func(*Dialect, *authz.Call, *rpc.Values) act
}

var (
	plainUnsupported = map[fault.Kind]string{fault.UnsupportedOperation: "UnsupportedOperation"}
	inInstance       = map[fault.Kind]string{fault.UnsupportedOperation: "UnsupportedOperation", fault.ResourceNotFound: noInstance, fault.KeyUnavailable: instanceState}
	ofInstance       = map[fault.Kind]string{fault.ResourceNotFound: noInstance}
	ofSecret         = map[fault.Kind]string{fault.UnsupportedOperation: "UnsupportedOperation", fault.StateConflict: "Rejected.ResourceInDeleteWindow"}
	valueOfSecret    = map[fault.Kind]string{fault.StateConflict: "Rejected.ResourceInDeleteWindow", fault.KeyUnavailable: instanceState}
	newSecret        = map[fault.Kind]string{fault.UnsupportedOperation: "UnsupportedOperation", fault.StateConflict: "Rejected.ResourceInDeleteWindow", fault.ResourceNotFound: noInstance}
	stageOfSecret    = map[fault.Kind]string{fault.StateConflict: "Rejected.ResourceInDeleteWindow", fault.Changed: "Rejected.InvalidRequest"}
	noSuchResource   = map[fault.Kind]string{fault.KeyNotFound: "InvalidResourceId.NotFound", fault.ResourceNotFound: "InvalidResourceId.NotFound"}
)

// operations is the whole API of this release.
var operations = map[string]operation{
	"CreateKey":             {"kms:CreateKey", inInstance, createKey},
	"DescribeKey":           {"kms:DescribeKey", nil, describeKey},
	"ListKeys":              {"kms:ListKeys", nil, listKeys},
	"UpdateKeyDescription":  {"kms:UpdateKeyDescription", nil, updateKeyDescription},
	"EnableKey":             {"kms:EnableKey", nil, onKey((*lifecycle.Service).Enable)},
	"DisableKey":            {"kms:DisableKey", nil, onKey((*lifecycle.Service).Disable)},
	"ScheduleKeyDeletion":   {"kms:ScheduleKeyDeletion", nil, scheduleKeyDeletion},
	"CancelKeyDeletion":     {"kms:CancelKeyDeletion", nil, onKey((*lifecycle.Service).CancelDeletion)},
	"SetDeletionProtection": {"kms:SetDeletionProtection", nil, setDeletionProtection},

	"ListKmsInstances":         {"kms:ListKmsInstances", nil, listKmsInstances},
	"GetKmsInstance":           {"kms:GetKmsInstance", ofInstance, getKmsInstance},
	"GetKmsInstanceQuotaInfos": {"kms:GetKmsInstanceQuotaInfos", ofInstance, getKmsInstanceQuotaInfos},
	"ReleaseKmsInstance":       {"kms:ReleaseKmsInstance", ofInstance, releaseKmsInstance},

	"GetKeyPolicy":    {"kms:GetKeyPolicy", nil, getKeyPolicy},
	"SetKeyPolicy":    {"kms:SetKeyPolicy", nil, setKeyPolicy},
	"ListKeyPolicies": {"kms:ListKeyPolicies", nil, listKeyPolicies},

	"CreateAlias":          {"kms:CreateAlias", nil, pointAlias((*lifecycle.Service).CreateAlias)},
	"UpdateAlias":          {"kms:UpdateAlias", nil, pointAlias((*lifecycle.Service).UpdateAlias)},
	"DeleteAlias":          {"kms:DeleteAlias", nil, deleteAlias},
	"ListAliases":          {"kms:ListAliases", nil, listAliases},
	"ListAliasesByKeyId":   {"kms:ListAliasesByKeyId", nil, listAliasesByKeyID},
	"TagResource":          {"kms:TagResource", nil, tagResource},
	"TagResources":         {"kms:TagResources", noSuchResource, tagResources},
	"UntagResource":        {"kms:UntagResource", nil, untagResource},
	"UntagResources":       {"kms:UntagResources", noSuchResource, untagResources},
	"ListTagResources":     {"kms:ListTagResources", noSuchResource, listTagResources},
	"ListResourceTags":     {"kms:ListResourceTags", nil, listResourceTags},
	"CreateKeyVersion":     {"kms:CreateKeyVersion", nil, createKeyVersion},
	"DescribeKeyVersion":   {"kms:DescribeKeyVersion", nil, describeKeyVersion},
	"ListKeyVersions":      {"kms:ListKeyVersions", nil, listKeyVersions},
	"UpdateRotationPolicy": {"kms:UpdateRotationPolicy", nil, updateRotationPolicy},

	"Encrypt":                         {"kms:Encrypt", nil, encrypt},
	"Decrypt":                         {"kms:Decrypt", plainUnsupported, decrypt},
	"ReEncrypt":                       {"kms:ReEncryptTo", nil, reEncrypt},
	"GenerateDataKey":                 {"kms:GenerateDataKey", plainUnsupported, generateDataKey},
	"GenerateDataKeyWithoutPlaintext": {"kms:GenerateDataKeyWithoutPlaintext", nil, generateDataKeyWithoutPlaintext},
	"ExportDataKey":                   {"kms:ExportDataKey", nil, exportDataKey},
	"GenerateAndExportDataKey":        {"kms:GenerateAndExportDataKey", nil, generateAndExportDataKey},
	"AsymmetricSign":                  {"kms:AsymmetricSign", nil, asymmetricSign},
	"AsymmetricVerify":                {"kms:AsymmetricVerify", nil, asymmetricVerify},
	"AsymmetricEncrypt":               {"kms:AsymmetricEncrypt", nil, asymmetricEncrypt},
	"AsymmetricDecrypt":               {"kms:AsymmetricDecrypt", nil, asymmetricDecrypt},
	"GetPublicKey":                    {"kms:GetPublicKey", nil, getPublicKey},

	"GenerateMac": {"kms:GenerateMac", nil, generateMAC},
	"VerifyMac":   {"kms:VerifyMac", nil, verifyMAC},

	"GenerateCsr": {"kms:GenerateCsr", nil, generateCSR}, // keyward's own

	"GetParametersForImport": {"kms:GetParametersForImport", nil, getParametersForImport},
	"ImportKeyMaterial":      {"kms:ImportKeyMaterial", nil, importKeyMaterial},
	"DeleteKeyMaterial":      {"kms:DeleteKeyMaterial", nil, deleteKeyMaterial},

	"CreateSecret":               {"kms:CreateSecret", newSecret, createSecret},
	"DescribeSecret":             {"kms:DescribeSecret", nil, describeSecret},
	"ListSecrets":                {"kms:ListSecrets", nil, listSecrets},
	"UpdateSecret":               {"kms:UpdateSecret", ofSecret, updateSecret},
	"PutSecretValue":             {"kms:PutSecretValue", ofSecret, putSecretValue},
	"GetSecretValue":             {"kms:GetSecretValue", valueOfSecret, getSecretValue},
	"ListSecretVersionIds":       {"kms:ListSecretVersionIds", nil, listSecretVersionIDs},
	"UpdateSecretVersionStage":   {"kms:UpdateSecretVersionStage", stageOfSecret, updateSecretVersionStage},
	"DeleteSecret":               {"kms:DeleteSecret", ofSecret, deleteSecret},
	"RestoreSecret":              {"kms:RestoreSecret", map[fault.Kind]string{fault.StateConflict: "Rejected.ResourceInUse"}, restoreSecret},
	"GetRandomPassword":          {"kms:GetRandomPassword", nil, getRandomPassword},
	"UpdateSecretRotationPolicy": {"kms:UpdateSecretRotationPolicy", nil, updateSecretRotationPolicy},
	"GetSecretPolicy":            {"kms:GetSecretPolicy", nil, getSecretPolicy},
	"SetSecretPolicy":            {"kms:SetSecretPolicy", nil, setSecretPolicy},
	"RotateSecret":               {"kms:RotateSecret", nil, rotateSecret},

	"StartKeyAssociationDetection": {"kms:StartKeyAssociationDetection", nil, startKeyAssociationDetection},
	"ListKeyAssociations":          {"kms:ListKeyAssociations", nil, listKeyAssociations},
	"RegisterKeyAssociation":       {"kms:RegisterKeyAssociation", nil, registerKeyAssociation},
	"DeregisterKeyAssociation":     {"kms:DeregisterKeyAssociation", nil, deregisterKeyAssociation},

	"DescribeRegions":          {"kms:DescribeRegions", nil, describeRegions},
	"OpenKmsService":           {"kms:OpenKmsService", map[fault.Kind]string{fault.StateConflict: "Forbidden.Opened"}, openKmsService},
	"DescribeAccountKmsStatus": {"kms:DescribeAccountKmsStatus", nil, describeAccountKmsStatus},
}

// Actions answers the actions of the whole API, as policies know them.
func Actions() []string {
	out := make([]string, 0, len(operations))
	for _, o := range operations {
		out = append(out, o.action)
	}
	return out
}

type ciphertextReply struct {
	rpc.Reply
	KeyId          string //nolint:revive // the wire's spelling, here and below
	KeyVersionId   string
	CiphertextBlob rpc.Binary
}

func (r *ciphertextReply) AppendJSON(o rpc.Object) rpc.Object {
	return o.Text("RequestId", r.RequestId).Text("KeyId", r.KeyId).Text("KeyVersionId", r.KeyVersionId).Binary("CiphertextBlob", r.CiphertextBlob)
}

func ciphertext(c cryptography.Ciphertext, err error) (rpc.Response, error) {
	return &ciphertextReply{KeyId: string(c.Key), KeyVersionId: string(c.Version), CiphertextBlob: c.Blob}, err
}

type plaintextReply struct {
	rpc.Reply
	KeyId        string
	KeyVersionId string
	Plaintext    rpc.Binary
}

func (r *plaintextReply) AppendJSON(o rpc.Object) rpc.Object {
	return o.Text("RequestId", r.RequestId).Text("KeyId", r.KeyId).Text("KeyVersionId", r.KeyVersionId).Binary("Plaintext", r.Plaintext)
}

// Zero implements rpc.Response.
func (r *plaintextReply) Zero() { clear(r.Plaintext) }

func plaintext(p cryptography.Plaintext, err error) (rpc.Response, error) {
	return &plaintextReply{KeyId: string(p.Key), KeyVersionId: string(p.Version), Plaintext: p.Data.Expose()}, err
}

func encrypt(d *Dialect, c *authz.Call, v *rpc.Values) act {
	in := cryptography.EncryptInput{Key: v.Need("KeyId"), Plaintext: v.Secret("Plaintext"), Context: v.Context("EncryptionContext"), DryRun: v.Dry()}
	return func(ctx context.Context) (rpc.Response, error) {
		defer in.Plaintext.Zero()
		return ciphertext(d.Crypto.Encrypt(ctx, c, in))
	}
}

func decrypt(d *Dialect, c *authz.Call, v *rpc.Values) act {
	in := cryptography.DecryptInput{Ciphertext: v.Binary("CiphertextBlob"), Context: v.Context("EncryptionContext"), DryRun: v.Dry()}
	return func(ctx context.Context) (rpc.Response, error) { return plaintext(d.Crypto.Decrypt(ctx, c, in)) }
}

func reEncrypt(d *Dialect, c *authz.Call, v *rpc.Values) act {
	in := cryptography.ReEncryptInput{
		Ciphertext: v.Binary("CiphertextBlob"), SourceKey: v.Text("SourceKeyId"),
		SourceVersion: key.VersionID(v.Text("SourceKeyVersionId")), SourceAlgorithm: material.Algorithm(v.Text("SourceEncryptionAlgorithm")),
		SourceContext: v.Context("SourceEncryptionContext"), Destination: v.Need("DestinationKeyId"),
		DestinationContext: v.Context("DestinationEncryptionContext"), DryRun: v.Dry(),
	}
	return func(ctx context.Context) (rpc.Response, error) { return ciphertext(d.Crypto.ReEncrypt(ctx, c, in)) }
}

// dataKeyInput reads what both GenerateDataKey actions take: NumberOfBytes wins over KeySpec.
func dataKeyInput(v *rpc.Values) cryptography.DataKeyInput {
	in := cryptography.DataKeyInput{Key: v.Need("KeyId"), Size: 32, Context: v.Context("EncryptionContext"), DryRun: v.Dry()}
	switch spec := v.Text("KeySpec"); spec {
	case "", "AES_256":
	case "AES_128":
		in.Size = 16
	default:
		v.Invalid("KeySpec", "It must be AES_256 or AES_128.")
	}
	in.Size = v.Integer("NumberOfBytes", in.Size)
	return in
}

func generateDataKey(d *Dialect, c *authz.Call, v *rpc.Values) act {
	in := dataKeyInput(v)
	return func(ctx context.Context) (rpc.Response, error) {
		out, err := d.Crypto.GenerateDataKey(ctx, c, in)
		return &dataKeyReply{ciphertextReply{KeyId: string(out.Key), KeyVersionId: string(out.Version), CiphertextBlob: out.Blob}, out.Plaintext.Expose()}, err
	}
}

type dataKeyReply struct {
	ciphertextReply
	Plaintext rpc.Binary
}

func (r *dataKeyReply) AppendJSON(o rpc.Object) rpc.Object {
	return r.ciphertextReply.AppendJSON(o).Binary("Plaintext", r.Plaintext)
}

// Zero implements rpc.Response.
func (r *dataKeyReply) Zero() { clear(r.Plaintext) }

func generateDataKeyWithoutPlaintext(d *Dialect, c *authz.Call, v *rpc.Values) act {
	in := dataKeyInput(v)
	return func(ctx context.Context) (rpc.Response, error) {
		return ciphertext(d.Crypto.GenerateDataKeyWithoutPlaintext(ctx, c, in))
	}
}

func asymmetricInput(v *rpc.Values) cryptography.AsymmetricInput {
	return cryptography.AsymmetricInput{
		Key: v.Need("KeyId"), Version: key.VersionID(v.Need("KeyVersionId")),
		Algorithm: material.Algorithm(v.Need("Algorithm")), DryRun: v.Dry(),
	}
}

func asymmetricSign(d *Dialect, c *authz.Call, v *rpc.Values) act {
	in, digest := asymmetricInput(v), v.Binary("Digest")
	return func(ctx context.Context) (rpc.Response, error) {
		out, err := d.Crypto.AsymmetricSign(ctx, c, in, digest)
		return &signatureReply{KeyId: string(out.Key), KeyVersionId: string(out.Version), Value: out.Value}, err
	}
}

type signatureReply struct {
	rpc.Reply
	KeyId        string
	KeyVersionId string
	Value        rpc.Binary
}

func (r *signatureReply) AppendJSON(o rpc.Object) rpc.Object {
	return o.Text("RequestId", r.RequestId).Text("KeyId", r.KeyId).Text("KeyVersionId", r.KeyVersionId).Binary("Value", r.Value)
}

func asymmetricVerify(d *Dialect, c *authz.Call, v *rpc.Values) act {
	in, digest, signature := asymmetricInput(v), v.Binary("Digest"), v.Binary("Value")
	return func(ctx context.Context) (rpc.Response, error) {
		out, err := d.Crypto.AsymmetricVerify(ctx, c, in, digest, signature)
		return &struct {
			rpc.Reply
			KeyId        string
			KeyVersionId string
			Value        bool
		}{KeyId: string(out.Key), KeyVersionId: string(out.Version), Value: out.Valid}, err
	}
}

func asymmetricEncrypt(d *Dialect, c *authz.Call, v *rpc.Values) act {
	in, plain := asymmetricInput(v), v.Secret("Plaintext")
	return func(ctx context.Context) (rpc.Response, error) {
		defer plain.Zero()
		return ciphertext(d.Crypto.AsymmetricEncrypt(ctx, c, in, plain))
	}
}

func asymmetricDecrypt(d *Dialect, c *authz.Call, v *rpc.Values) act {
	in, blob := asymmetricInput(v), v.Binary("CiphertextBlob")
	return func(ctx context.Context) (rpc.Response, error) {
		return plaintext(d.Crypto.AsymmetricDecrypt(ctx, c, in, blob))
	}
}

func generateCSR(d *Dialect, c *authz.Call, v *rpc.Values) act {
	in := cryptography.CSRInput{
		Key: v.Need("KeyId"), Version: key.VersionID(v.Need("KeyVersionId")), Algorithm: material.Algorithm(v.Text("Algorithm")),
		Subject: csr.Request{
			CommonName: v.Need("CommonName"), Organization: v.Text("Organization"), Unit: v.Text("OrganizationUnit"), State: v.Text("State"),
			Locality: v.Text("Locality"), Country: v.Text("Country"), Email: v.Text("Email"),
		},
	}
	v.Document("SubjectAlternativeNames", &in.Subject.Names, `It must be a JSON list such as ["pay.example.com"].`)
	return func(ctx context.Context) (rpc.Response, error) {
		out, err := d.Crypto.GenerateCSR(ctx, c, in)
		return &struct {
			rpc.Reply
			KeyId        string
			KeyVersionId string
			Csr          string
		}{KeyId: string(out.Key), KeyVersionId: string(out.Version), Csr: out.PEM}, err
	}
}

func getPublicKey(d *Dialect, c *authz.Call, v *rpc.Values) act {
	id, version, dry := v.Need("KeyId"), key.VersionID(v.Need("KeyVersionId")), v.Dry()
	return func(ctx context.Context) (rpc.Response, error) {
		out, err := d.Crypto.PublicKey(ctx, c, id, version, dry)
		return &struct {
			rpc.Reply
			KeyId        string
			KeyVersionId string
			PublicKey    string
		}{KeyId: string(out.Key), KeyVersionId: string(out.Version), PublicKey: out.PEM}, err
	}
}
