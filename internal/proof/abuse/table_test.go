package abuse

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/keyward/keyward/api"
)

// The dialects, as the server's metrics name them.
const (
	rpcDialect      = "alibaba"
	restDialect     = "rest"
	operatorDialect = "operator"
)

// An operation is one operation of a dialect with all that it takes.
type operation struct {
	dialect string
	name    string // in RPC the action
	method  string
	path    string
	fields  []field
	thing   string // a key of its own that it changes
	refused bool   // refused even when it is valid, in this world
	open    bool   // nobody needs a permission for it
}

// A field is a parameter, a member of the body or a name in the path.
type field struct {
	name     string
	kind     kind
	value    string // valid, or "$name" of the world; "" leaves the field out
	required bool
}

// A kind says what is wrong for a field.
type kind int

const (
	keyName   kind = iota // a key
	versionID             // a version of it
	oldAlias              // an alias that is there
	newAlias
	plaintext
	digest
	blob // a ciphertext
	signature
	encContext // an encryption context; JSON in RPC, an object in REST
	flag
	small    // an integer of 1 to 100
	count    // an integer from 1 on
	days     // 7 to 366
	bytes1K  // 1 to 1024
	seconds  // of a rotation interval
	interval // "30d"
	word     // one of a fixed set
	tags
	tagList
	tagName // of the lists of RPC
	filters
	token
	description
	remark
	newName
	userName
	policyName
	document // a policy
	accessKey
	instant
	sequence
	passphrase
	cursor
	rotation // objects of REST
	texts    // any texts; only what is no text at all is wrong
	secretName
	newSecret
	secretValue
	secretVersion // of a secret that has v1 and v2
	newVersion
	stageName
	sinkName
	nodeName
	tokenID
	rolloutName
	targetName
	offerName
	repositoryName
	instanceName
	roleName
	label   // any text; only what is no Unicode is wrong
	lasting // "30d"
	shape   // objects of REST that are made of others
)

// rpcOperations is the RPC API: name, fields as "Name:kind=value", "!" for required.
var rpcOperations = []operation{
	rpc("CreateKey", "", f("KeySpec", word, "Aliyun_AES_256"), f("KeyUsage", word, "ENCRYPT/DECRYPT"), f("Origin", word, "Aliyun_KMS"),
		f("ProtectionLevel", word, "SOFTWARE"), f("Description", description, "made"), f("Tags", tags, `[{"TagKey":"team","TagValue":"pay"}]`),
		f("EnableAutomaticRotation", flag, "true"), f("RotationInterval", interval, "30d"), f("Policy", document, "$key.policy"), f("DKMSInstanceId", instanceName, "idle-instance")),
	rpc("DescribeKey", "", need("KeyId", keyName, "$key")),
	rpc("ListKeys", "", f("PageNumber", count, "1"), f("PageSize", small, "10"), f("Filters", filters, `[{"Key":"KeyState","Values":["Enabled"]}]`)),
	rpc("ListKmsInstances", "", f("PageNumber", count, "1"), f("PageSize", small, "10")),
	rpc("GetKmsInstance", "", need("KmsInstanceId", instanceName, "idle-instance")),
	rpc("GetKmsInstanceQuotaInfos", "", need("KmsInstanceId", instanceName, "idle-instance"), f("ResourceType", label, "")),
	rpc("ReleaseKmsInstance", "", need("KmsInstanceId", instanceName, "removed-instance-rpc")),
	rpc("UpdateKeyDescription", "describe.rpc", need("KeyId", keyName, "$describe.rpc"), f("Description", description, "changed")),
	rpc("EnableKey", "enable.rpc", need("KeyId", keyName, "$enable.rpc")),
	rpc("DisableKey", "disable.rpc", need("KeyId", keyName, "$disable.rpc")),
	rpc("ScheduleKeyDeletion", "delete.rpc", need("KeyId", keyName, "$delete.rpc"), need("PendingWindowInDays", days, "7")),
	rpc("CancelKeyDeletion", "restore.rpc", need("KeyId", keyName, "$restore.rpc")),
	rpc("SetDeletionProtection", "protect.rpc", need("ProtectedResourceArn", keyName, "$protect.rpc.arn"), need("EnableDeletionProtection", flag, "true"),
		f("DeletionProtectionDescription", description, "why")),
	rpc("GetKeyPolicy", "", need("KeyId", keyName, "$key"), f("PolicyName", texts, "default")),
	rpc("SetKeyPolicy", "policy.rpc", need("KeyId", keyName, "$policy.rpc"), need("Policy", document, "$key.policy"), f("PolicyName", texts, "default")),
	rpc("ListKeyPolicies", "", need("KeyId", keyName, "$key"), f("PageNumber", count, "1"), f("PageSize", small, "10")),
	rpc("CreateAlias", "", need("AliasName", newAlias, "alias/new/rpc"), need("KeyId", keyName, "$key")),
	rpc("UpdateAlias", "point.rpc", need("AliasName", oldAlias, "$point.rpc.alias"), need("KeyId", keyName, "$key")),
	rpc("DeleteAlias", "unalias.rpc", need("AliasName", oldAlias, "$unalias.rpc.alias")),
	rpc("ListAliases", "", f("PageNumber", count, "1"), f("PageSize", small, "10")),
	rpc("ListAliasesByKeyId", "", need("KeyId", keyName, "$key"), f("PageNumber", count, "1"), f("PageSize", small, "10")),
	rpc("TagResource", "tag.rpc", need("KeyId", keyName, "$tag.rpc"), need("Tags", tags, `[{"TagKey":"team","TagValue":"pay"}]`)),
	rpc("TagResources", "tags.rpc", need("ResourceType", word, "key"), need("ResourceId.1", keyName, "$tags.rpc"), need("Tag.1.Key", tagName, "team"), f("Tag.1.Value", tagName, "pay")),
	rpc("UntagResource", "untag.rpc", need("KeyId", keyName, "$untag.rpc"), need("TagKeys", tagList, `["old"]`)),
	rpc("UntagResources", "untags.rpc", need("ResourceType", word, "key"), need("ResourceId.1", keyName, "$untags.rpc"), need("TagKey.1", texts, "old")),
	rpc("ListTagResources", "", need("ResourceType", word, "key"), f("ResourceId.1", texts, "$key"), f("NextToken", token, "")),
	rpc("ListResourceTags", "", need("KeyId", keyName, "$key")),
	refused(rpc("CreateKeyVersion", "", need("KeyId", keyName, "$key"))), // its newest version is younger than seven days
	rpc("DescribeKeyVersion", "", need("KeyId", keyName, "$key"), need("KeyVersionId", versionID, "$key.version")),
	rpc("ListKeyVersions", "", need("KeyId", keyName, "$key"), f("PageNumber", count, "1"), f("PageSize", small, "10")),
	rpc("UpdateRotationPolicy", "rotate.rpc", need("KeyId", keyName, "$rotate.rpc"), need("EnableAutomaticRotation", flag, "true"), f("RotationInterval", interval, "30d")),
	rpc("Encrypt", "", need("KeyId", keyName, "$key"), need("Plaintext", plaintext, "a25vd24="), f("EncryptionContext", encContext, `{"a":"1"}`), f("DryRun", flag, "false")),
	rpc("Decrypt", "", need("CiphertextBlob", blob, "$blob"), f("EncryptionContext", encContext, `{}`), f("DryRun", flag, "false")),
	rpc("ReEncrypt", "", need("CiphertextBlob", blob, "$blob"), need("DestinationKeyId", keyName, "$key"), f("SourceEncryptionContext", encContext, `{}`),
		f("DestinationEncryptionContext", encContext, `{"a":"1"}`)),
	rpc("GenerateDataKey", "", need("KeyId", keyName, "$key"), f("KeySpec", word, "AES_256"), f("NumberOfBytes", bytes1K, "32"), f("EncryptionContext", encContext, `{"a":"1"}`)),
	rpc("GenerateDataKeyWithoutPlaintext", "", need("KeyId", keyName, "$key"), f("KeySpec", word, "AES_128"), f("NumberOfBytes", bytes1K, "32"), f("EncryptionContext", encContext, `{"a":"1"}`)),
	rpc("ExportDataKey", "", need("CiphertextBlob", blob, "$blob"), f("EncryptionContext", encContext, `{}`), need("PublicKeyBlob", secretValue, "$crypt.public"), need("WrappingAlgorithm", word, "RSAES_OAEP_SHA_256"), need("WrappingKeySpec", word, "RSA_2048")),
	rpc("GenerateAndExportDataKey", "", need("KeyId", keyName, "$key"), f("KeySpec", word, "AES_256"), f("NumberOfBytes", bytes1K, "32"), f("EncryptionContext", encContext, `{"a":"1"}`),
		need("PublicKeyBlob", secretValue, "$crypt.public"), need("WrappingAlgorithm", word, "RSAES_OAEP_SHA_256"), need("WrappingKeySpec", word, "RSA_2048")),
	rpc("AsymmetricSign", "", need("KeyId", keyName, "$sign"), need("KeyVersionId", versionID, "$sign.version"), need("Algorithm", word, "ECDSA_SHA_256"), need("Digest", digest, "$digest")),
	rpc("AsymmetricVerify", "", need("KeyId", keyName, "$sign"), need("KeyVersionId", versionID, "$sign.version"), need("Algorithm", word, "ECDSA_SHA_256"), need("Digest", digest, "$digest"), need("Value", signature, "$signature")),
	rpc("AsymmetricEncrypt", "", need("KeyId", keyName, "$crypt"), need("KeyVersionId", versionID, "$crypt.version"), need("Algorithm", word, "RSAES_OAEP_SHA_256"), need("Plaintext", plaintext, "a25vd24=")),
	rpc("AsymmetricDecrypt", "", need("KeyId", keyName, "$crypt"), need("KeyVersionId", versionID, "$crypt.version"), need("Algorithm", word, "RSAES_OAEP_SHA_256"), need("CiphertextBlob", blob, "$rsa.blob")),
	rpc("GenerateMac", "", need("KeyId", keyName, "$hmac"), need("Algorithm", word, "HMAC_SHA_256"), need("Message", plaintext, "a25vd24="), f("DryRun", flag, "false")),
	rpc("VerifyMac", "", need("KeyId", keyName, "$hmac"), need("Algorithm", word, "HMAC_SHA_256"), need("Message", plaintext, "a25vd24="), need("Mac", signature, "$mac"), f("DryRun", flag, "false")),
	rpc("GetPublicKey", "", need("KeyId", keyName, "$sign"), need("KeyVersionId", versionID, "$sign.version")),
	rpc("GenerateCsr", "", need("KeyId", keyName, "$sign"), need("KeyVersionId", versionID, "$sign.version"), f("Algorithm", word, "ECDSA_SHA_256"), need("CommonName", remark, "pay.example.com"),
		f("Organization", remark, "Example"), f("OrganizationUnit", remark, "Pay"), f("State", remark, "Zhejiang"), f("Locality", remark, "Hangzhou"), f("Country", word, "CN"), f("Email", remark, "keys@example.com"),
		f("SubjectAlternativeNames", tagList, `["pay.example.com"]`)),
	// No key of this world waits for material.
	refused(rpc("GetParametersForImport", "", need("KeyId", keyName, "$key"), need("WrappingAlgorithm", word, "RSAES_OAEP_SHA_256"), need("WrappingKeySpec", word, "RSA_2048"))),
	refused(rpc("ImportKeyMaterial", "", need("KeyId", keyName, "$key"), need("ImportToken", secretValue, "a25vd24="), need("EncryptedKeyMaterial", secretValue, "a25vd24="), f("KeyMaterialExpireUnix", sequence, "4102444800"))),
	refused(rpc("DeleteKeyMaterial", "", need("KeyId", keyName, "$key"))),
	rpc("DescribeSecret", "", need("SecretName", secretName, "secret/read"), f("FetchTags", flag, "true")),
	rpc("GetSecretValue", "", need("SecretName", secretName, "secret/read"), f("VersionId", secretVersion, "v1"), f("VersionStage", stageName, "ACSPrevious")),
	rpc("ListSecretVersionIds", "", need("SecretName", secretName, "secret/read"), f("PageNumber", count, "1"), f("PageSize", small, "10"), f("IncludeDeprecated", flag, "true")),
	rpc("CreateSecret", "", need("SecretName", newSecret, "secret/made.rpc"), need("VersionId", newVersion, "v1"), need("SecretData", texts, "known"), f("SecretDataType", word, "text"),
		f("EncryptionKeyId", keyName, "$key"), f("Description", description, "made"), f("Tags", tags, `[{"TagKey":"team","TagValue":"pay"}]`)),
	rpc("ListSecrets", "", f("PageNumber", count, "1"), f("PageSize", small, "10"), f("FetchTags", flag, "true")),
	rpc("UpdateSecret", "", need("SecretName", secretName, "secret/update.rpc"), f("Description", description, "changed")),
	rpc("PutSecretValue", "", need("SecretName", secretName, "secret/put.rpc"), need("VersionId", newVersion, "v3"), need("SecretData", texts, "known"), f("SecretDataType", word, "text"), f("VersionStages", tagList, `["blue"]`)),
	rpc("UpdateSecretVersionStage", "", need("SecretName", secretName, "secret/stage.rpc"), need("VersionStage", stageName, "ACSCurrent"), f("RemoveFromVersion", secretVersion, "v2"), need("MoveToVersion", secretVersion, "v1")),
	rpc("DeleteSecret", "", need("SecretName", secretName, "secret/delete.rpc"), f("RecoveryWindowInDays", days, "7"), f("ForceDeleteWithoutRecovery", flag, "false")),
	rpc("RestoreSecret", "", need("SecretName", secretName, "secret/restore.rpc")),
	rpc("GetRandomPassword", "", f("ExcludeLowercase", flag, "true"), f("ExcludePunctuation", flag, "true"), f("RequireEachIncludedType", flag, "false")),
	refused(rpc("UpdateSecretRotationPolicy", "", need("SecretName", secretName, "secret/read"), need("EnableAutomaticRotation", flag, "true"), need("RotationInterval", interval, "30d"))), // no plan writes it
	refused(rpc("RotateSecret", "", need("SecretName", secretName, "secret/read"), need("VersionId", newVersion, "v3"))),
	rpc("GetSecretPolicy", "", need("SecretName", secretName, "secret/read")),
	rpc("SetSecretPolicy", "", need("SecretName", secretName, "secret/policy.rpc"), need("Policy", document, "$secret.policy")),
	rpc("RegisterKeyAssociation", "register.rpc", need("KeyId", keyName, "$register.rpc"), need("Product", newName, "oss"), need("Resource", label, "bucket/a")),
	refused(rpc("DeregisterKeyAssociation", "", need("KeyId", keyName, "$key"), need("Product", newName, "oss"), need("Resource", label, "bucket/none"))),
	rpc("StartKeyAssociationDetection", "", need("KeyId", keyName, "$key")),
	rpc("ListKeyAssociations", "", need("KeyId", keyName, "$key"), f("PageNumber", count, "1"), f("PageSize", small, "10")),
	public(rpc("DescribeRegions", "")),
	rpc("DescribeAccountKmsStatus", ""),
	refused(rpc("OpenKmsService", "")), // it is open
}

// restFields is what valid requests to the REST API say, by operation of the OpenAPI
// document. A name in braces stands in the path.
var restFields = map[string]operation{
	"CreateKey": rest("", f("spec", word, "Aliyun_AES_256"), f("usage", word, "ENCRYPT/DECRYPT"), f("description", description, "made"),
		f("rotation", rotation, `{"enabled":true,"intervalSeconds":2592000}`), f("tags", tags, `{"team":"pay"}`), f("alias", newAlias, "alias/new/made"), f("policy", document, "$key.policy"), f("instance", instanceName, "idle-instance")),
	"ListKeys":             rest("", f("limit", small, "10"), f("cursor", cursor, ""), f("states", texts, "Enabled"), f("specs", texts, ""), f("usages", texts, ""), f("aliases", texts, ""), f("tagKeys", texts, ""), f("tagValues", texts, ""), f("instances", texts, "")),
	"DescribeKey":          rest("", need("{key}", keyName, "$key")),
	"UpdateKeyDescription": rest("describe.rest", need("{key}", keyName, "$describe.rest"), need("description", description, "changed")),
	"EnableKey":            rest("enable.rest", need("{key}", keyName, "$enable.rest")),
	"DisableKey":           rest("disable.rest", need("{key}", keyName, "$disable.rest")),
	"DeleteKey":            rest("delete.rest", need("{key}", keyName, "$delete.rest"), need("days", days, "7")),
	"RestoreKey":           rest("restore.rest", need("{key}", keyName, "$restore.rest")),
	"ProtectKey":           rest("protect.rest", need("{key}", keyName, "$protect.rest"), need("enabled", flag, "true"), f("note", description, "why")),
	"SetKeyRotation":       rest("rotate.rest", need("{key}", keyName, "$rotate.rest"), need("enabled", flag, "true"), f("intervalSeconds", seconds, "2592000")),
	"GetKeyPolicy":         rest("", need("{key}", keyName, "$key")),
	"SetKeyPolicy":         rest("policy.rest", need("{key}", keyName, "$policy.rest"), need("document", document, "$key.policy")),
	"CreateKeyVersion":     refused(rest("", need("{key}", keyName, "$key"))),
	"ListKeyVersions":      rest("", need("{key}", keyName, "$key"), f("limit", small, "10"), f("cursor", cursor, "")),
	"DescribeKeyVersion":   rest("", need("{key}", keyName, "$key"), need("{version}", versionID, "$key.version")),
	"GetPublicKey":         rest("", need("{key}", keyName, "$sign"), need("{version}", versionID, "$sign.version")),
	"GenerateCSR": rest("", need("{key}", keyName, "$sign"), need("{version}", versionID, "$sign.version"), f("algorithm", word, "ECDSA_SHA_256"), need("commonName", remark, "pay.example.com"),
		f("organization", remark, "Example"), f("unit", remark, "Pay"), f("state", remark, "Zhejiang"), f("locality", remark, "Hangzhou"), f("country", word, "CN"), f("email", remark, "keys@example.com"),
		f("names", texts, "pay.example.com")),
	"GetImportParameters": refused(rest("", need("{key}", keyName, "$key"), need("wrapping", word, "RSAES_OAEP_SHA_256"))),
	"ImportKeyMaterial":   refused(rest("", need("{key}", keyName, "$key"), need("token", secretValue, "a25vd24="), need("material", secretValue, "a25vd24="), f("expireAt", instant, "2099-01-01T00:00:00Z"))),
	"DeleteKeyMaterial":   refused(rest("", need("{key}", keyName, "$key"))),
	"TagKey":              rest("tag.rest", need("{key}", keyName, "$tag.rest"), need("tags", tags, `{"team":"pay"}`)),
	"UntagKey":            rest("untag.rest", need("{key}", keyName, "$untag.rest"), need("keys", texts, "old")),
	"ListKeyAliases":      rest("", need("{key}", keyName, "$key"), f("limit", small, "10"), f("cursor", cursor, "")),
	"CreateAlias":         rest("", need("name", newAlias, "alias/new/rest"), need("key", keyName, "$key")),
	"ListAliases":         rest("", f("limit", small, "10"), f("cursor", cursor, "")),
	"PointAlias":          rest("point.rest", need("{alias}", oldAlias, "$point.rest.alias"), need("key", keyName, "$key")),
	"DeleteAlias":         rest("unalias.rest", need("{alias}", oldAlias, "$unalias.rest.alias")),

	"Encrypt":                         rest("", need("key", keyName, "$key"), need("plaintext", plaintext, "a25vd24="), f("context", encContext, `{"a":"1"}`), f("dryRun", flag, "false")),
	"Decrypt":                         rest("", need("ciphertext", blob, "$blob"), f("context", encContext, `{}`), f("dryRun", flag, "false")),
	"EncryptBatch":                    rest("", need("key", keyName, "$key"), need("plaintexts", shape, `["a25vd24="]`), f("context", encContext, `{"a":"1"}`), f("dryRun", flag, "false")),
	"DecryptBatch":                    rest("", need("key", keyName, "$key"), need("ciphertexts", shape, `["a25vd24="]`), f("context", encContext, `{"a":"1"}`), f("dryRun", flag, "false")),
	"ReEncrypt":                       rest("", need("ciphertext", blob, "$blob"), need("destinationKey", keyName, "$key"), f("sourceContext", encContext, `{}`), f("destinationContext", encContext, `{"a":"1"}`)),
	"GenerateDataKey":                 rest("", need("key", keyName, "$key"), f("size", bytes1K, "32"), f("context", encContext, `{"a":"1"}`)),
	"GenerateDataKeyWithoutPlaintext": rest("", need("key", keyName, "$key"), f("size", bytes1K, "32"), f("context", encContext, `{"a":"1"}`)),
	"ExportDataKey":                   rest("", need("ciphertext", blob, "$blob"), f("context", encContext, `{}`), need("wrapping", word, "RSAES_OAEP_SHA_256"), need("publicKey", secretValue, "$crypt.public")),
	"GenerateAndExportDataKey":        rest("", need("key", keyName, "$key"), f("size", bytes1K, "32"), f("context", encContext, `{"a":"1"}`), need("wrapping", word, "RSAES_OAEP_SHA_256"), need("publicKey", secretValue, "$crypt.public")),
	"Sign":                            rest("", need("key", keyName, "$sign"), need("version", versionID, "$sign.version"), need("algorithm", word, "ECDSA_SHA_256"), need("digest", digest, "$digest")),
	"Verify":                          rest("", need("key", keyName, "$sign"), need("version", versionID, "$sign.version"), need("algorithm", word, "ECDSA_SHA_256"), need("digest", digest, "$digest"), need("signature", signature, "$signature")),
	"AsymmetricEncrypt":               rest("", need("key", keyName, "$crypt"), need("version", versionID, "$crypt.version"), need("algorithm", word, "RSAES_OAEP_SHA_256"), need("plaintext", plaintext, "a25vd24=")),
	"AsymmetricDecrypt":               rest("", need("key", keyName, "$crypt"), need("version", versionID, "$crypt.version"), need("algorithm", word, "RSAES_OAEP_SHA_256"), need("ciphertext", blob, "$rsa.blob")),
	"GenerateMAC":                     rest("", need("key", keyName, "$hmac"), f("algorithm", word, "HMAC_SHA_256"), need("message", plaintext, "a25vd24="), f("dryRun", flag, "false")),
	"VerifyMAC":                       rest("", need("key", keyName, "$hmac"), f("algorithm", word, "HMAC_SHA_256"), need("message", plaintext, "a25vd24="), need("mac", signature, "$mac"), f("dryRun", flag, "false")),
	"GenerateRandom":                  rest("", f("size", bytes1K, "16")),

	"GetKeyUsage":           rest("", need("{key}", keyName, "$key")),
	"RegisterKeyResource":   rest("register.rest", need("{key}", keyName, "$register.rest"), need("product", newName, "oss"), need("name", label, "bucket/a")),
	"DeregisterKeyResource": refused(rest("", need("{key}", keyName, "$key"), need("product", newName, "oss"), need("name", label, "bucket/none"))),

	"CreateSecret": rest("", need("name", newSecret, "secret/made"), need("value", secretValue, "a25vd24="), f("type", word, "text"), f("version", newVersion, "v1"), f("key", keyName, "$key"),
		f("description", description, "made"), f("tags", tags, `{"team":"pay"}`)),
	"ListSecrets":        rest("", f("limit", small, "10"), f("cursor", cursor, ""), f("names", texts, ""), f("startsWith", texts, "secret/"), f("tagKeys", texts, ""), f("tagValues", texts, ""), f("deleting", flag, "false")),
	"DescribeSecret":     rest("", need("{secret}", secretName, "secret/read")),
	"UpdateSecret":       rest("", need("{secret}", secretName, "secret/update"), f("description", description, "changed"), f("key", keyName, "$key")),
	"GetSecretValue":     rest("", need("{secret}", secretName, "secret/read"), f("version", secretVersion, "v1"), f("stage", stageName, "ACSPrevious")),
	"PutSecretValue":     rest("", need("{secret}", secretName, "secret/put"), need("value", secretValue, "a25vd24="), f("type", word, "text"), f("version", newVersion, "v3"), f("stages", texts, "blue")),
	"ListSecretVersions": rest("", need("{secret}", secretName, "secret/read"), f("limit", small, "10"), f("cursor", cursor, "")),
	"RollbackSecret":     rest("", need("{secret}", secretName, "secret/rollback"), f("version", secretVersion, "v1")),
	"MoveSecretStage":    rest("", need("{secret}", secretName, "secret/stage"), need("{stage}", stageName, "ACSCurrent"), f("from", secretVersion, "v2"), f("to", secretVersion, "v1")),
	"DeleteSecret":       rest("", need("{secret}", secretName, "secret/delete"), f("days", days, "7"), f("force", flag, "false")),
	"RestoreSecret":      rest("", need("{secret}", secretName, "secret/restore")),
	"TagSecret":          rest("", need("{secret}", secretName, "secret/tag"), need("tags", tags, `{"team":"pay"}`)),
	"GetSecretPolicy":    rest("", need("{secret}", secretName, "secret/read")),
	"SetSecretPolicy":    rest("", need("{secret}", secretName, "secret/policy"), f("document", document, "$secret.policy")),
	"MakeRandomPassword": rest("", f("noLower", flag, "true"), f("noPunctuation", flag, "true"), f("any", flag, "true")),
	"UntagSecret":        rest("", need("{secret}", secretName, "secret/untag"), need("keys", texts, "old")),

	"AddSink": rest("", need("name", newName, "made"), need("kind", word, "vault"), need("settings", tags, "$vault.settings"), need("credential", tags, "$vault.credential"),
		f("secrets", texts, "nothing/here"), f("tagKeys", texts, "")),
	"ListSinks":    rest(""),
	"DescribeSink": rest("", need("{sink}", sinkName, "idle"), f("limit", small, "10"), f("cursor", cursor, "")),
	"UpdateSink":   rest("", need("{sink}", sinkName, "synced"), f("connection", shape, "$vault.connection"), f("secrets", texts, "nothing/here"), f("tagKeys", texts, "")),
	"SyncSink":     rest("", need("{sink}", sinkName, "synced"), f("overwrite", flag, "true")),
	"RemoveSink":   rest("", need("{sink}", sinkName, "removed")),

	"AddRepository":        rest("", need("name", newName, "made"), need("place", shape, "$git.place"), f("refs", texts, "main"), f("pace", lasting, "1h"), f("severity", word, "low"), f("owner", label, "ops")),
	"ListRepositories":     rest(""),
	"GetRepository":        rest("", need("{repository}", repositoryName, "idle-repository")),
	"UpdateRepository":     rest("", need("{repository}", repositoryName, "updated-repository"), f("place", shape, "$git.place"), f("refs", texts, "main"), f("pace", lasting, "1h"), f("severity", word, "high"), f("owner", label, "ops")),
	"SetRepositoryIssuers": rest("", need("{repository}", repositoryName, "updated-repository"), f("issuers", texts, "aws")),
	"ScanRepository":       rest("", need("{repository}", repositoryName, "updated-repository")),
	"RemoveRepository":     rest("", need("{repository}", repositoryName, "removed-repository")),

	"CreateNodeToken": rest("", f("node", newName, "made"), f("labels", tags, `{"tier":"web"}`), f("uses", sequence, "2"), f("life", lasting, "1h")),
	"ListNodeTokens":  rest(""),
	"RevokeNodeToken": rest("", need("{token}", tokenID, "$token")),
	"ListNodes":       rest("", f("labels", texts, "tier=web"), f("state", word, "live"), f("limit", small, "10"), f("cursor", cursor, "")),
	"GetNode":         rest("", need("{node}", nodeName, "idle")),
	"LabelNode":       rest("", need("{node}", nodeName, "labelled"), need("labels", tags, `{"tier":"web"}`)),
	"DrainNode":       rest("", need("{node}", nodeName, "drained")),
	"UndrainNode":     rest("", need("{node}", nodeName, "undrained")),
	"RemoveNode":      rest("", need("{node}", nodeName, "removed")),

	"CreateRollout": rest("", need("name", newName, "made"), need("secret", secretName, "secret/read"), f("members", tags, `{"tier":"web"}`),
		f("waves", shape, `[{"name":"all"}]`), f("level", word, "used")),
	"ListRollouts":       rest(""),
	"GetRollout":         rest("", need("{rollout}", rolloutName, "idle")),
	"UpdateRollout":      rest("", need("{rollout}", rolloutName, "updated"), f("members", tags, `{"tier":"web"}`), f("waves", shape, `[{"name":"all"}]`), f("level", word, "used")),
	"PublishRollout":     rest("", need("{rollout}", rolloutName, "published"), f("version", secretVersion, "v1")),
	"GetRolloutCoverage": rest("", need("{rollout}", rolloutName, "idle"), f("limit", small, "10"), f("cursor", cursor, "")),
	"RemoveRollout":      rest("", need("{rollout}", rolloutName, "removed")),

	// Nothing is rotated in this world, for that goes on by itself: whoever starts or orders something is refused.
	"CreateRotationPlan": rest("", need("name", newName, "made"), need("provider", userName, "hand"), need("principal", label, "payments"), need("secret", secretName, "rotated/made"), f("key", label, "old-made"),
		f("care", shape, `{"every":"90d"}`), f("auto", flag, "false")),
	"ListRotationPlans":    rest(""),
	"DescribeRotationPlan": rest("", need("{plan}", userName, "kept")),
	"UpdateRotationPlan":   rest("", need("{plan}", userName, "kept"), f("key", label, "old-kept"), f("rollout", label, ""), f("care", shape, `{"grace":"1h"}`), f("auto", flag, "false")),
	"DeleteRotationPlan":   rest("", need("{plan}", userName, "dropped")),
	"StartRotation":        refused(rest("", need("{plan}", userName, "missing"), f("profile", word, "planned"), f("cause", label, "a leak"), f("late", flag, "true"))),
	"ListRotations":        rest("", f("plan", label, ""), f("limit", bytes1K, "10")),
	"DescribeRotation":     refused(rest("", need("{rotation}", userName, "missing"))),
	"ApproveRotation":      refused(rest("", need("{plan}", userName, "missing"))),
	"PauseRotation":        refused(rest("", need("{plan}", userName, "missing"))),
	"ResumeRotation":       refused(rest("", need("{plan}", userName, "missing"))),
	"ConfirmRotation":      refused(rest("", need("{plan}", userName, "missing"))),
	"RollBackRotation":     refused(rest("", need("{plan}", userName, "missing"), need("reason", label, "a test"))),
	"EnterRotationKey":     refused(rest("", need("{plan}", userName, "missing"), f("id", label, "new"), f("settings", shape, `{}`), need("credential", shape, `{"id":"new"}`))),

	"ListTargetKinds": rest(""),
	"AddTarget": rest("", need("name", newName, "made"), need("kind", word, "edge"), f("labels", tags, `{"tier":"edge"}`),
		need("connection", shape, "$edge.connection")),
	"ListTargets":  rest(""),
	"GetTarget":    rest("", need("{target}", targetName, "idle-target")),
	"UpdateTarget": rest("", need("{target}", targetName, "updated-target"), need("connection", shape, "$edge.connection")),
	"SyncTarget":   rest("", need("{target}", targetName, "updated-target"), f("overwrite", flag, "false")),
	"RemoveTarget": rest("", need("{target}", targetName, "removed-target")),

	"CreateInstance":  rest("", need("name", newName, "made"), need("class", word, "software")),
	"ListInstances":   rest(""),
	"GetInstance":     rest("", need("{instance}", instanceName, "idle-instance")),
	"ConnectInstance": refused(rest("", need("{instance}", instanceName, "idle-instance"), need("connection", shape, `{"settings":{}}`))),
	"ShareInstance":   refused(rest("", need("{instance}", instanceName, "idle-instance"), need("{account}", userName, "missing"))),
	"UnshareInstance": refused(rest("", need("{instance}", instanceName, "idle-instance"), need("{account}", userName, "missing"))),
	"DeleteInstance":  rest("", need("{instance}", instanceName, "removed-instance-rest")),

	"CreateIdentityProvider": rest("", need("name", newName, "made"), need("issuer", label, "$idp.issuer"), need("clientId", label, "keyward"), f("clientSecret", label, "fake"), f("claim", label, "sub"), f("mfa", label, "amr")),
	"ListIdentityProviders":  rest(""),
	"GetIdentityProvider":    rest("", need("{idp}", userName, "idle-idp")),
	"DeleteIdentityProvider": rest("", need("{idp}", userName, "removed-idp")),
	"LinkUser":               refused(rest("", need("{idp}", userName, "missing"), need("{user}", userName, "nobody"), need("value", label, "00u"))),
	"UnlinkUser":             refused(rest("", need("{idp}", userName, "idle-idp"), need("{user}", userName, "nobody"))),

	"CreateOffer":           rest("", need("name", newName, "made"), need("user", userName, "nobody")),
	"ListOffers":            rest(""),
	"GetOffer":              rest("", need("{offer}", offerName, "idle-offer")),
	"RemoveOffer":           rest("", need("{offer}", offerName, "removed-offer")),
	"PublishKey":            rest("", need("{offer}", offerName, "updated-offer"), need("{id}", newName, "made"), need("key", keyName, "$key"), f("use", word, "encrypt")),
	"WithdrawKey":           refused(rest("", need("{offer}", offerName, "idle-offer"), need("{id}", userName, "missing"))),
	"AddOfferCredential":    rest("", need("{offer}", offerName, "updated-offer")),
	"RemoveOfferCredential": refused(rest("", need("{offer}", offerName, "idle-offer"), need("{credential}", userName, "missing"))),

	"CreateUser":      rest("", need("name", newName, "made"), f("remark", remark, "a remark")),
	"ListUsers":       rest("", f("limit", small, "10"), f("cursor", cursor, "")),
	"GetUser":         rest("", need("{user}", userName, "nobody")),
	"UpdateUser":      rest("", need("{user}", userName, "updated"), f("remark", remark, "changed"), f("enabled", flag, "true")),
	"DeleteUser":      rest("", need("{user}", userName, "idle")),
	"AttachPolicy":    rest("", need("{user}", userName, "updated"), need("{policy}", policyName, "spare-update")),
	"DetachPolicy":    rest("", need("{user}", userName, "holder"), need("{policy}", policyName, "AliyunKMSReadOnlyAccess")),
	"CreateAccessKey": rest("", need("{user}", userName, "updated"), f("remark", remark, "a remark"), f("expiresAt", instant, "2099-01-01T00:00:00Z")),
	"ListAccessKeys":  rest("", f("user", userName, "nobody"), f("limit", small, "10"), f("cursor", cursor, "")),
	"GetAccessKey":    rest("", need("{id}", accessKey, "$nobody.ak")),
	"UpdateAccessKey": rest("", need("{id}", accessKey, "$updated.ak"), f("remark", remark, "changed"), f("enabled", flag, "true"), f("expiresAt", instant, "2099-01-01T00:00:00Z")),
	"ResetAccessKey":  rest("", need("{id}", accessKey, "$reset.ak")),
	"DeleteAccessKey": rest("", need("{id}", accessKey, "$deleted.ak")),
	// The root user's access key is nobody who logged in.
	"GetUserLogin":       rest("", need("{user}", userName, "nobody")),
	"SetUserPassword":    rest("", need("{user}", userName, "updated")),
	"RemoveUserPassword": rest("", need("{user}", userName, "holder")),
	"RemoveUserMFA":      refused(rest("", need("{user}", userName, "updated"), f("factor", label, "app"))),
	"EndUserSessions":    rest("", need("{user}", userName, "updated")),
	"EnrollMFA":          refused(rest("")),
	"ConfirmMFA":         refused(rest("", need("code", label, "123456"))),
	"GetMFA":             refused(rest("")),
	"AddSecurityKey":     refused(rest("", need("name", newName, "made"))),
	"ConfirmSecurityKey": refused(rest("", need("proof", label, "kwproof_FAKE"))),
	"BeginProof":         refused(rest("", need("method", word, "POST"), need("target", label, "/v1/keys/alias~a/disable"), f("body", remark, ""))),
	"Logout":             refused(rest("")),

	"CreatePolicy": rest("", need("name", newName, "made"), f("description", remark, "made"), need("document", document, `{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:List*","Resource":"*"}]}`)),
	"ListPolicies": rest("", f("limit", small, "10"), f("cursor", cursor, "")),
	"GetPolicy":    rest("", need("{policy}", policyName, "AliyunKMSReadOnlyAccess")),
	"SimulatePolicy": rest("", need("user", userName, "nobody"), need("action", label, "kms:Encrypt"), need("resource", label, "$key.arn"), f("source", word, "192.0.2.1"), f("time", instant, "2026-01-02T15:04:05Z"),
		f("insecure", flag, "true"), f("attributes", shape, `{"kms:EncryptionContext:a":"1"}`)),
	"UpdatePolicy": rest("", need("{policy}", policyName, "spare-update"), f("document", document, `{"Version":"1","Statement":[{"Effect":"Deny","Action":"kms:List*","Resource":"*"}]}`)),
	"DeletePolicy": rest("", need("{policy}", policyName, "spare")),

	"CreateRole":           rest("", need("name", newName, "made"), need("trustPolicy", document, "$trust"), f("description", remark, "made"), f("maxSessionSeconds", seconds, "7200")),
	"ListRoles":            rest("", f("limit", small, "10"), f("cursor", cursor, "")),
	"GetRole":              rest("", need("{role}", roleName, "idle-role")),
	"UpdateRole":           rest("", need("{role}", roleName, "updated-role"), f("description", remark, "changed"), f("trustPolicy", document, "$trust"), f("maxSessionSeconds", seconds, "7200")),
	"DeleteRole":           rest("", need("{role}", roleName, "removed-role")),
	"AttachPolicyToRole":   rest("", need("{role}", roleName, "updated-role"), need("{policy}", policyName, "spare-update")),
	"DetachPolicyFromRole": rest("", need("{role}", roleName, "holder-role"), need("{policy}", policyName, "AliyunKMSReadOnlyAccess")),
	"EndRoleSessions":      rest("", need("{role}", roleName, "updated-role")),
	"AssumeRole":           rest("", need("role", roleName, "idle-role"), need("sessionName", newName, "ci-1"), f("durationSeconds", seconds, "900"), f("policy", document, "$session.policy"), f("externalId", label, "e-1")),
	"Federate":             rest("", need("sessionName", newName, "batch"), f("durationSeconds", seconds, "900"), f("policy", document, "$session.policy")),

	// Nothing was found in this world: whoever names a finding is told so.
	"ListFindings": rest("", f("state", word, "open"), f("severity", word, "high"), f("rule", word, "AK03"), f("provider", texts, ""), f("subject", texts, ""), f("limit", bytes1K, "10"), f("cursor", cursor, "")),
	"GetFinding":   refused(rest("", need("{id}", texts, "ak03-aaaaaaaaaaaaaaaa"))),
	"SuppressFinding": refused(rest("", need("{id}", texts, "ak03-aaaaaaaaaaaaaaaa"), need("owner", remark, "alice"), need("reason", description, "moves"),
		need("until", instant, "2027-01-01T00:00:00Z"))),
	"ResolveFinding": refused(rest("", need("{id}", texts, "ak03-aaaaaaaaaaaaaaaa"))),
	"ListChecks":     rest(""),
	"GetScanKey":     rest(""),
	"ReportLeaks": rest("", need("origin", remark, "shop"), need("seen", shape,
		`[{"keyId":"AKIDnone","rule":"tencent-secret-id","severity":"low","places":[{"path":"a.go","line":1}]}]`), f("stopped", flag, "false"), f("reason", remark, "")),
	"ListAcceptedLeaks": rest("", need("blinds", shape, `["x"]`)),

	"WhoAmI": public(rest("")),
	"ListAuditRecords": rest("", f("action", texts, "kms:CreateKey"), f("resource", texts, ""), f("principal", texts, ""), f("accessKey", texts, ""), f("result", texts, "OK"), f("requestId", texts, ""),
		f("from", instant, "2026-01-02T15:04:05Z"), f("to", instant, "2099-01-02T15:04:05Z"), f("oldest", flag, "true"), f("limit", bytes1K, "1"), f("cursor", cursor, "")),
	"ListProviderKinds": rest(""),
	"AddProvider": rest("", need("name", newName, "made"), need("kind", word, "keyward"), f("connection", shape, `{"settings":{}}`), f("owner", label, "ann"),
		f("maxAge", lasting, "180d"), f("pace", lasting, "1h"), f("unchecked", flag, "true")),
	"ListProviders": rest(""),
	"GetProvider":   rest("", need("{provider}", userName, "own")),
	"UpdateProvider": rest("", need("{provider}", userName, "own"), f("connection", shape, `{}`), f("owner", label, "ann"), f("maxAge", lasting, "90d"), f("pace", lasting, "2h"),
		f("paused", flag, "false")),
	"EnterKey":       refused(rest("", need("{provider}", userName, "own"), need("guide", word, "other"), f("connection", shape, `{}`), f("owner", label, "ann"), f("purpose", label, "tests"), f("system", label, "pay"))),
	"ForgetKey":      refused(rest("", need("{provider}", userName, "own"), need("{id}", accessKey, "$nobody.ak"))),
	"RemoveProvider": rest("", need("{provider}", userName, "spare")),
	"SyncProvider":   rest("", need("{provider}", userName, "own")),
	"ListInventory": rest("", f("provider", label, "own"), f("status", word, "active"), f("owner", label, ""), f("text", label, ""), f("dueBefore", instant, "2099-01-01T00:00:00Z"),
		f("order", word, "age"), f("limit", bytes1K, "10"), f("cursor", cursor, "")),
	"GetInventoryKey": rest("", need("{provider}", userName, "own"), need("{id}", accessKey, "$nobody.ak")),
	"RemarkInventoryKey": rest("", need("{provider}", userName, "own"), need("{id}", accessKey, "$nobody.ak"), f("owner", label, "ann"), f("purpose", label, "tests"),
		f("consumers", texts, "a"), f("tags", encContext, `{"team":"pay"}`), f("expiresAt", instant, "2099-01-01T00:00:00Z"), f("permanent", flag, "true"), f("note", label, "n")),
	"GetCalendar":   rest("", f("language", word, "en")),
	"GetExpiryScan": rest(""),

	"SubscribeCalendar":         refused(rest("", need("name", newName, "made"), f("language", word, "en"))), // this world has no public_url
	"ListCalendarSubscriptions": rest(""),
	"UnsubscribeCalendar":       refused(rest("", need("{subscription}", userName, "missing"))),

	"ListChannelKinds":    rest(""),
	"AddChannel":          refused(rest("", need("name", newName, "made"), need("kind", word, "none"), f("connection", shape, `{}`), f("heartbeat", lasting, "5m"))), // this world has no kinds
	"ListChannels":        rest(""),
	"UpdateChannel":       refused(rest("", need("{channel}", userName, "missing"), f("heartbeat", lasting, "5m"), f("paused", flag, "true"))),
	"RemoveChannel":       refused(rest("", need("{channel}", userName, "missing"))),
	"TestChannel":         refused(rest("", need("{channel}", userName, "missing"), f("person", label, "ann"))),
	"ConfirmChannel":      refused(rest("", need("{channel}", userName, "missing"), f("by", label, "ann"))),
	"ListPeople":          rest(""),
	"SetPerson":           rest("", need("{person}", newName, "ann"), f("email", label, "ann@example.com"), f("ids", encContext, `{"robot":"1"}`), f("language", word, "en")),
	"RemovePerson":        rest("", need("{person}", userName, "leaver")),
	"ListRotas":           rest(""),
	"SetRota":             rest("", need("{rota}", newName, "night"), need("people", texts, "bo"), need("start", instant, "2026-01-05T01:00:00Z"), need("turn", lasting, "7d")),
	"RemoveRota":          rest("", need("{rota}", userName, "old")),
	"GetEscalation":       rest(""),
	"SetEscalation":       rest("", need("rungs", shape, `[{"left":"7d","severity":"warning","families":["mail"],"wait":"24h"}]`), need("levels", shape, `[["owner"]]`), f("quiet", shape, `{"from":"22:00","to":"08:00","zone":"UTC"}`), need("language", word, "en")),
	"ListIncidents":       rest("", f("ended", flag, "true")),
	"GetIncident":         refused(rest("", need("{incident}", userName, "MISSING"))),
	"AcknowledgeIncident": refused(rest("", need("{incident}", userName, "MISSING"), f("by", label, "ann"), f("note", label, "n"), f("hold", lasting, "1h"))),

	"ListApprovalRules": rest(""),
	"SetApprovalRule": rest("", need("{rule}", newName, "made"), need("need", count, "1"), need("approvers", shape, `["approver"]`), need("actions", shape, `["ram:DeleteUser"]`),
		f("resources", shape, `["acs:ram::*:user/none"]`), f("exempt", shape, `["user/none"]`), f("life", lasting, "2d")),
	"DeleteApprovalRule": refused(rest("", need("{rule}", userName, "kept"))), // others must approve that
	"ListApprovals":      public(rest("", f("all", flag, "true"))),
	"GetApproval":        rest("", need("{approval}", label, "$approval")),
	"Approve":            refused(rest("", need("{approval}", label, "$approval"))), // by nobody who asked for it
	"Reject":             rest("", need("{approval}", label, "$approval")),

	"ListAuditLogs":    rest(""),
	"ProveAuditRecord": rest("", need("log", texts, "$log"), need("seq", sequence, "$seq")),
}

// operatorOperations is the operator's API.
var operatorOperations = []operation{
	{dialect: operatorDialect, name: "Status", method: "GET", path: "/v1/status"},
	{dialect: operatorDialect, name: "Initialize", method: "POST", path: "/v1/init", refused: true, fields: []field{need("passphrase", passphrase, "bm90IHRoaXMgb25lIGVpdGhlcg=="), need("account", newName, "another")}},
	{dialect: operatorDialect, name: "Unseal", method: "POST", path: "/v1/unseal", refused: true, fields: []field{need("passphrase", passphrase, "bm90IHRoaXMgb25lIGVpdGhlcg==")}},
	{dialect: operatorDialect, name: "CreateAccount", method: "POST", path: "/v1/accounts", fields: []field{need("name", newName, "made")}},
	{dialect: operatorDialect, name: "ListAccounts", method: "GET", path: "/v1/accounts", fields: []field{f("limit", small, "10"), f("cursor", cursor, "")}},
	{dialect: operatorDialect, name: "SuspendApprovalRule", method: "POST", path: "/v1/approval-rules/suspend", refused: true, fields: []field{need("account", userName, "missing"), need("rule", userName, "missing"), f("for", lasting, "1h")}},
	{dialect: operatorDialect, name: "ListAuditLogs", method: "GET", path: "/v1/audit/logs"},
	{dialect: operatorDialect, name: "ProveAuditRecord", method: "GET", path: "/v1/audit/proof", fields: []field{need("log", texts, "$log"), need("seq", sequence, "$seq")}},
	{dialect: operatorDialect, name: "ExportAudit", method: "GET", path: "/v1/audit/export"},
	{dialect: operatorDialect, name: "Seal", method: "POST", path: "/v1/seal"}, // last: nothing works after it
}

func f(name string, k kind, value string) field { return field{name: name, kind: k, value: value} }

func need(name string, k kind, value string) field {
	return field{name: name, kind: k, value: value, required: true}
}

func rpc(name, thing string, fields ...field) operation {
	return operation{dialect: rpcDialect, name: name, method: "POST", path: "/", fields: fields, thing: thing}
}

func rest(thing string, fields ...field) operation {
	return operation{dialect: restDialect, fields: fields, thing: thing}
}

func refused(o operation) operation { o.refused = true; return o }
func public(o operation) operation  { o.open = true; return o }

// operations answers every operation of every dialect. The table of RPC is held against
// the documentation, that of REST is made from the OpenAPI document.
func operations(t *testing.T) []operation {
	t.Helper()
	documentation, err := os.ReadFile("../../../docs/alibaba.md")
	if err != nil {
		t.Fatal(err)
	}
	out := rpcOperations[:len(rpcOperations):len(rpcOperations)]
	for _, op := range out {
		if !strings.Contains(string(documentation), "`"+op.name+"`") {
			t.Errorf("docs/alibaba.md has no operation %s", op.name)
		}
	}
	_, table, _ := strings.Cut(string(documentation), "|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	if listed := regexp.MustCompile("`[A-Za-z]+`").FindAllString(table, -1); len(listed) != len(out) {
		t.Errorf("docs/alibaba.md lists %d operations, the table has %d", len(listed), len(out))
	}
	var description struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		}
	}
	if err := json.Unmarshal(api.OpenAPI, &description); err != nil {
		t.Fatal(err)
	}
	known := 0
	for _, path := range slices.Sorted(maps.Keys(description.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(description.Paths[path])) {
			o := description.Paths[path][method]
			op, ok := restFields[o.OperationID]
			if !ok {
				t.Fatalf("the operation %s of the OpenAPI document is not tried", o.OperationID)
			}
			op.name, op.method, op.path = o.OperationID, strings.ToUpper(method), path
			out = append(out, op)
			known++
		}
	}
	if known != len(restFields) {
		t.Fatalf("%d operations are tried, the OpenAPI document has %d", len(restFields), known)
	}
	return append(out, operatorOperations...)
}
