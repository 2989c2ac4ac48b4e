package interop_test

import (
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A documented is a code that Alibaba Cloud KMS documents for an operation.
type documented struct{ operation, code string }

// documentedCodes reads them all, each with its status.
func documentedCodes(t *testing.T) map[documented]int {
	t.Helper()
	out := map[documented]int{}
	for line := range strings.Lines(string(must(os.ReadFile("testdata/codes.txt"))(t))) {
		if words := strings.Fields(line); words[0] != "#" {
			out[documented{words[0], words[2]}] = must(strconv.Atoi(words[1]))(t)
		}
	}
	if len(out) < 200 {
		t.Fatalf("%d codes", len(out))
	}
	return out
}

// An inapplicable says why operations never answer a code that is documented for them.
// docs/alibaba.md has the same table.
type inapplicable struct {
	code, operations, why string // "" for all operations that document it
}

var inapplicables = []inapplicable{
	{"CreateLXOrderFailed", "", "nothing is ordered here"},
	{"Forbidden.NoRealNameAuthentication", "", "accounts here belong to whoever runs the server"},
	{"Forbidden.KeyPolicyUnSupported", "", "every key and every secret has a policy"},
	{"Forbidden.AliasNotFound", "Decrypt", "it takes no alias: the ciphertext names its key"},
	{"Forbidden.DKMSInstanceNotFound", "GetSecretValue", "an instance that has keys cannot be deleted"},
	{"Forbidden.DKMSInstanceStateInvalid", "GetSecretPolicy SetKeyPolicy SetSecretPolicy", "policies are kept outside of the instance, so that its state does not matter"},
	{"Rejected.ResourceExist", "UpdateSecret", "it makes nothing that could exist already"},
	{"Rejected.Unavailable", "CreateKeyVersion", "but for keys of a hardware token that is away: keys at an external manager are rotated there"},
	{"Rejected.ShareQuotaExceedLimit", "CreateSecret SetSecretPolicy", "a secret's policy lets no other account in"},
	{"SerivceUnvailableTemporary", "", "it is spelt `ServiceUnavailableTemporary` here, as in the error centre; every operation answers it while the server is sealed"},
	{"InternalFailure", "", "it is what every operation answers to a defect of the server, which no request is known to cause"},
}

// A circumstance is a request and the code that it is answered with.
type circumstance struct {
	code, operations string
	change           map[string]string // of the parameters with which it succeeds; "-" leaves one out
}

// params are those of an operation, changed; a value that begins with "$" names what the test has made.
func (w *codeWorld) params(operation string, change map[string]string) (out []pair) {
	all := maps.Clone(succeeding[operation])
	maps.Copy(all, change)
	for name, value := range all {
		if value == "-" {
			continue
		}
		if strings.HasPrefix(value, "$") {
			if value = w.made[value[1:]]; value == "" {
				w.Fatalf("%s: nobody made %s", operation, all[name])
			}
		}
		out = append(out, pair{name, value})
	}
	return out
}

type p = map[string]string

// succeeding are parameters with which each operation succeeds, or would but for its state.
var succeeding = map[string]p{
	"CreateKey": {}, "DescribeKey": {"KeyId": "$key"}, "EnableKey": {"KeyId": "$key"}, "DisableKey": {"KeyId": "$key"},
	"ScheduleKeyDeletion": {"KeyId": "$key", "PendingWindowInDays": "7"}, "CancelKeyDeletion": {"KeyId": "$key"},
	"ListKmsInstances": {}, "GetKmsInstance": {"KmsInstanceId": "$soft"},
	"GetKeyPolicy": {"KeyId": "$key"}, "SetKeyPolicy": {"KeyId": "$key", "Policy": "$policy"},
	"CreateAlias": {"KeyId": "$key", "AliasName": "alias/made"}, "DeleteAlias": {"AliasName": "alias/made"}, "ListAliases": {}, "ListAliasesByKeyId": {"KeyId": "$key"},
	"TagResource": {"KeyId": "$key", "Tags": `[{"TagKey":"a","TagValue":"b"}]`}, "UntagResource": {"KeyId": "$key", "TagKeys": `["a"]`},
	"TagResources":   {"ResourceType": "key", "ResourceId.1": "$key", "Tag.1.Key": "a", "Tag.1.Value": "b"},
	"UntagResources": {"ResourceType": "key", "ResourceId.1": "$key", "TagKey.1": "a"}, "ListTagResources": {"ResourceType": "key", "ResourceId.1": "$key"}, "ListResourceTags": {"KeyId": "$key"},
	"CreateKeyVersion": {"KeyId": "$key"}, "DescribeKeyVersion": {"KeyId": "$key", "KeyVersionId": "$key.version"}, "ListKeyVersions": {"KeyId": "$key"},
	"UpdateRotationPolicy": {"KeyId": "$key", "EnableAutomaticRotation": "true", "RotationInterval": "7d"},
	"Encrypt":              {"KeyId": "$key", "Plaintext": "eA=="}, "Decrypt": {"CiphertextBlob": "$blob"}, "ReEncrypt": {"CiphertextBlob": "$blob", "DestinationKeyId": "$key"},
	"GenerateDataKey": {"KeyId": "$key"}, "GenerateDataKeyWithoutPlaintext": {"KeyId": "$key"},
	"ExportDataKey":            {"CiphertextBlob": "$blob", "PublicKeyBlob": "$public", "WrappingKeySpec": "RSA_2048", "WrappingAlgorithm": "RSAES_OAEP_SHA_256"},
	"GenerateAndExportDataKey": {"KeyId": "$key", "PublicKeyBlob": "$public", "WrappingKeySpec": "RSA_2048", "WrappingAlgorithm": "RSAES_OAEP_SHA_256"},
	"AsymmetricSign":           {"KeyId": "$signer", "KeyVersionId": "$signer.version", "Algorithm": "ECDSA_SHA_256", "Digest": "$digest"},
	"AsymmetricVerify":         {"KeyId": "$signer", "KeyVersionId": "$signer.version", "Algorithm": "ECDSA_SHA_256", "Digest": "$digest", "Value": "$digest"},
	"AsymmetricEncrypt":        {"KeyId": "$sm2", "KeyVersionId": "$sm2.version", "Algorithm": "SM2PKE", "Plaintext": "eA=="},
	"AsymmetricDecrypt":        {"KeyId": "$sm2", "KeyVersionId": "$sm2.version", "Algorithm": "SM2PKE", "CiphertextBlob": "eA=="},
	"GetPublicKey":             {"KeyId": "$signer", "KeyVersionId": "$signer.version"},
	"GetParametersForImport":   {"KeyId": "$empty", "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"},
	"ImportKeyMaterial":        {"KeyId": "$empty", "ImportToken": "$token", "EncryptedKeyMaterial": "$wrapped"}, "DeleteKeyMaterial": {"KeyId": "$empty"},
	"CreateSecret": {"SecretName": "made", "VersionId": "v1", "SecretData": "x"}, "DescribeSecret": {"SecretName": "kept"}, "ListSecrets": {}, "UpdateSecret": {"SecretName": "kept", "Description": "x"},
	"PutSecretValue": {"SecretName": "kept", "VersionId": "v2", "SecretData": "y"}, "GetSecretValue": {"SecretName": "kept"}, "ListSecretVersionIds": {"SecretName": "kept"},
	"UpdateSecretVersionStage": {"SecretName": "kept", "VersionStage": "mine", "MoveToVersion": "v1"}, "DeleteSecret": {"SecretName": "kept"}, "RestoreSecret": {"SecretName": "going"},
	"GetRandomPassword": {}, "RotateSecret": {"SecretName": "kept", "VersionId": "v2"}, "GetSecretPolicy": {"SecretName": "kept"}, "SetSecretPolicy": {"SecretName": "kept", "Policy": "$secretPolicy"},
	"DescribeRegions": {}, "OpenKmsService": {}, "DescribeAccountKmsStatus": {},
}

var twentyOne = func() string {
	var list []map[string]string
	for i := range 21 {
		list = append(list, map[string]string{"TagKey": fmt.Sprint("k", i), "TagValue": "v"})
	}
	b, _ := json.Marshal(list) // texts: it cannot fail
	return string(b)
}()

// circumstances are what each code is answered in, beside those that need no row: an access key
// that is none, a caller who may not, a key that is not there, a time that is missing.
var circumstances = []circumstance{
	{"InvalidParameter", "AsymmetricSign AsymmetricVerify", p{"Digest": "eA=="}},
	{"InvalidParameter", "CancelKeyDeletion DeleteKeyMaterial DescribeKey DescribeKeyVersion DisableKey EnableKey GetKeyPolicy GetPublicKey ListResourceTags", p{"KeyId": strings.Repeat("k", 513)}},
	{"InvalidParameter", "CreateAlias", p{"AliasName": "alias/acs/x"}},
	{"InvalidParameter", "DeleteAlias", p{"AliasName": "alias/no name"}},
	{"InvalidParameter", "CreateKey", p{"KeySpec": "DES_56"}},
	{"InvalidParameter", "CreateSecret DeleteSecret DescribeSecret GetSecretPolicy ListSecretVersionIds PutSecretValue RestoreSecret RotateSecret SetSecretPolicy UpdateSecret UpdateSecretVersionStage", p{"SecretName": "no name"}},
	{"InvalidParameter", "DescribeAccountKmsStatus DescribeRegions", p{"Unknown": "x"}},
	{"InvalidParameter", "Encrypt", p{"EncryptionContext": `{"a":[1]}`}},
	{"InvalidParameter", "ExportDataKey GenerateAndExportDataKey", p{"PublicKeyBlob": "eA=="}},
	{"InvalidParameter", "GenerateDataKeyWithoutPlaintext", p{"NumberOfBytes": "1025"}},
	{"InvalidParameter", "GetParametersForImport", p{"WrappingAlgorithm": "ROT13"}},
	{"InvalidParameter", "GetRandomPassword", p{"PasswordLength": "7"}},
	{"InvalidParameter", "ImportKeyMaterial", p{"KeyMaterialExpireUnix": "1"}},
	{"InvalidParameter", "ListAliases ListAliasesByKeyId ListKeyVersions ListSecrets", p{"PageSize": "102"}},
	{"InvalidParameter", "ReEncrypt", p{"CiphertextBlob": "eA=="}},
	{"InvalidParameter", "ScheduleKeyDeletion", p{"PendingWindowInDays": "367"}},
	{"InvalidParameter", "SetKeyPolicy", p{"Policy": "{}"}},
	{"InvalidParameter", "TagResource", p{"Tags": "{"}},
	{"InvalidParameter", "UntagResource", p{"TagKeys": "{"}},
	{"InvalidParameter", "UpdateRotationPolicy", p{"RotationInterval": "6d"}},
	{"MissingParameter", "GetKeyPolicy SetKeyPolicy", p{"KeyId": "-"}},
	{"MissingParameter", "GetSecretPolicy SetSecretPolicy", p{"SecretName": "-"}},

	{"Forbidden.KeyNotFound", "Decrypt", p{"CiphertextBlob": "$foreign"}},
	{"Forbidden.KeyNotFound", "ReEncrypt", p{"DestinationKeyId": "$none"}},
	{"Forbidden.ResourceNotFound", "DeleteSecret", p{"SecretName": "none"}},
	{"Forbidden.ResourceNotFound", "GetKeyPolicy", p{"PolicyName": "other"}},
	{"InvalidResourceId.NotFound", "ListTagResources TagResources UntagResources", p{"ResourceId.1": "$none"}},
	{"InvalidResourceId.NotFound", "ListTagResources TagResources UntagResources", p{"ResourceType": "secret", "ResourceId.1": "none"}},
	{"Duplicate.TagKey", "ListTagResources TagResources", p{"Tag.1.Key": "a", "Tag.1.Value": "b", "Tag.2.Key": "a", "Tag.2.Value": "c"}},
	{"InvalidParameter.TagKey", "TagResources", p{"Tag.1.Key": "acs:a"}},
	{"InvalidParameter.TagValue", "TagResources", p{"Tag.1.Value": "<"}},

	{"Forbidden.DKMSInstanceNotFound", "CreateKey", p{"DKMSInstanceId": "kst-none"}},
	{"Forbidden.DKMSInstanceNotFound", "CreateSecret", p{"DKMSInstanceId": "kst-none", "EncryptionKeyId": "$key"}},
	{"Forbidden.DKMSInstanceStateInvalid", "CreateKey", p{"DKMSInstanceId": "$bank", "ExternalKeyId": "master"}},
	{"Forbidden.DKMSInstanceStateInvalid", "GetSecretValue", p{"SecretName": "away"}},
	{"Rejected.Unavailable", "Decrypt", p{"CiphertextBlob": "$awayBlob"}},
	{"Rejected.Unavailable", "GenerateDataKey", p{"KeyId": "$away"}},
	{"Rejected.Disabled", "CreateKeyVersion GenerateDataKey", p{"KeyId": "$disabled"}},
	{"Rejected.Disabled", "Decrypt", p{"CiphertextBlob": "$disabledBlob"}},
	{"Rejected.PendingDeletion", "CreateKeyVersion GenerateDataKey", p{"KeyId": "$pending"}},
	{"Rejected.PendingDeletion", "Decrypt", p{"CiphertextBlob": "$pendingBlob"}},

	{"Rejected.LimitExceeded", "CreateKey CreateSecret", p{"Tags": twentyOne}},
	{"Rejected.LimitExceeded", "PutSecretValue", p{"SecretName": "full", "VersionStages": `["more"]`}},
	{"Rejected.LimitExceeded", "UpdateSecretVersionStage", p{"SecretName": "full"}},
	{"Rejected.ShareQuotaExceedLimit", "CreateKey", p{"DKMSInstanceId": "$soft", "Policy": "$guests"}},
	{"Rejected.ShareQuotaExceedLimit", "SetKeyPolicy", p{"KeyId": "$shared", "Policy": "$guests"}},
	{"Rejected.UnsupportedOperation", "AsymmetricDecrypt AsymmetricEncrypt", p{"KeyId": "$key", "KeyVersionId": "$key.version"}},
	{"Rejected.UnsupportedOperation", "CreateKeyVersion", nil}, // its newest version is young
	{"Rejected.UnsupportedOperation", "UpdateRotationPolicy", p{"KeyId": "$signer"}},
	{"Rejected.UnsupportedOperation", "UpdateSecretVersionStage", p{"VersionStage": "ACSPrevious"}},
	{"UnsupportedOperation", "CreateKey", p{"ProtectionLevel": "HSM"}},
	{"UnsupportedOperation", "CreateSecret", p{"SecretType": "Rds"}},
	{"UnsupportedOperation", "Decrypt", p{"Recipient": "x"}},
	{"UnsupportedOperation", "GenerateDataKey", p{"KeyId": "$signer"}},

	{"InvalidKeyMaterial", "ImportKeyMaterial", p{"EncryptedKeyMaterial": "eA=="}},
	{"InvalidImportToken", "ImportKeyMaterial", p{"ImportToken": "eA=="}},
	{"Unsupported.Origin", "GetParametersForImport ImportKeyMaterial", p{"KeyId": "$key"}},

	{"Rejected.ResourceExist", "CreateSecret", p{"SecretName": "kept"}},
	{"Rejected.ResourceExist", "PutSecretValue", p{"VersionId": "v1"}},
	{"Rejected.ResourceInDeleteWindow", "CreateSecret DeleteSecret UpdateSecret UpdateSecretVersionStage", p{"SecretName": "going"}},
	{"Rejected.ResourceInUse", "RestoreSecret", p{"SecretName": "kept"}},
	{"Rejected.InvalidRequest", "UpdateSecretVersionStage", p{"VersionStage": "ACSCurrent", "RemoveFromVersion": "v9"}},
	{"Forbidden.Opened", "OpenKmsService", nil},
}

// later are those of eight days later.
var later = []circumstance{
	{"ExpiredImportToken", "ImportKeyMaterial", nil},
}

// A codeWorld is an account and what the circumstances name.
type codeWorld struct {
	*testing.T
	account
	nobody account // a user of the account who may do nothing
	made   map[string]string
	at     time.Time
	want   map[documented]int
	seen   map[documented]bool
}

// expect makes a request, which must be answered with the code and its status.
func (w *codeWorld) expect(as account, d documented, params []pair, edit func(*http.Request)) {
	w.Helper()
	got := send(w, acs3(as, call{action: d.operation, params: params, at: w.at, edit: edit}))
	status, known := w.want[d]
	if !known || got.refusal != (refusal{status, d.code}) {
		w.Errorf("%s answers %v (%v), want %d %s", d.operation, got.refusal, got.body["Message"], status, d.code)
	}
	w.seen[d] = true
}

func (w *codeWorld) all(list []circumstance) {
	for _, c := range list {
		for operation := range strings.FieldsSeq(c.operations) {
			w.expect(w.account, documented{operation, c.code}, w.params(operation, c.change), nil)
		}
	}
}

// general are the codes that come of who asks, when, and for which key.
func (w *codeWorld) general() {
	stranger := account{server: w.server, id: "AKIDnobody", secret: "not a secret"}
	for d := range w.want {
		switch d.code {
		case "InvalidAccessKeyId.NotFound":
			w.expect(stranger, d, w.params(d.operation, nil), nil)
		case "Forbidden.NoPermission":
			w.expect(w.nobody, d, w.params(d.operation, nil), nil)
		case "IllegalTimestamp":
			w.expect(w.account, d, w.params(d.operation, nil), func(r *http.Request) {
				r.Header.Del("x-acs-date")
				r.Header.Del("Authorization")
				signACS3(w.account, r)
			})
		case keyNotFound, aliasNotFound:
			if _, takes := succeeding[d.operation]["KeyId"]; takes {
				name := map[string]string{keyNotFound: "$none", aliasNotFound: "alias/none"}[d.code]
				w.expect(w.account, d, w.params(d.operation, p{"KeyId": name}), nil)
			}
		}
	}
}

// do makes a call that succeeds.
func (w *codeWorld) do(operation string, change p) answer {
	w.Helper()
	got := send(w, acs3(w.account, call{action: operation, params: w.params(operation, change)}))
	if got.refusal != ok {
		w.Fatalf("%s answers %v", operation, got.body)
	}
	return got
}

// key makes a key, and answers what it encrypts if it can.
func (w *codeWorld) key(name string, change p) (blob string) {
	w.Helper()
	k := w.do("CreateKey", change)
	w.made[name], w.made[name+".version"] = k.member(w, "KeyMetadata", "KeyId"), k.member(w, "KeyMetadata", "PrimaryKeyVersion")
	if change["KeySpec"] == "" && change["Origin"] == "" {
		blob = w.do("Encrypt", p{"KeyId": "$" + name}).member(w, "CiphertextBlob")
	}
	return blob
}

// prepare makes what the circumstances name.
func (w *codeWorld) prepare() {
	t, foreign := w.T, codeWorld{T: w.T, account: w.server.account(w.T), made: map[string]string{}}
	w.made["foreign"] = foreign.key("key", nil)
	w.made["none"], w.made["digest"] = "key-"+strings.Repeat("a", 26), *encoded(make([]byte, 32))
	public := must(x509.MarshalPKIXPublicKey(&must(rsa.GenerateKey(rand.Reader, 2048))(t).PublicKey))(t)
	w.made["public"] = *encoded(public)
	w.made["blob"] = w.key("key", nil)
	w.key("signer", p{"KeySpec": p256})
	w.key("sm2", p{"KeySpec": sm2Spec, "KeyUsage": encryptDecrypt})
	w.key("empty", p{"Origin": "EXTERNAL"})
	w.made["disabledBlob"], w.made["pendingBlob"] = w.key("disabled", nil), w.key("pending", nil)
	w.do("DisableKey", p{"KeyId": "$disabled"})
	w.do("ScheduleKeyDeletion", p{"KeyId": "$pending"})
	parameters := w.do("GetParametersForImport", nil)
	w.made["token"] = parameters.member(t, "ImportToken")
	to := rsaKey(t, must(base64.StdEncoding.DecodeString(parameters.member(t, "PublicKey")))(t))
	w.made["wrapped"] = *encoded(must(rsa.EncryptOAEP(sha256.New(), rand.Reader, to, make([]byte, 32), nil))(t))

	for _, name := range []string{"kept", "going", "full"} {
		w.do("CreateSecret", p{"SecretName": name})
	}
	w.do("DeleteSecret", p{"SecretName": "going"})
	for i := range 19 { // beside ACSCurrent
		w.do("UpdateSecretVersionStage", p{"SecretName": "full", "VersionStage": fmt.Sprint("s", i)})
	}
	w.made["policy"] = w.do("GetKeyPolicy", nil).member(t, "Policy")
	w.made["secretPolicy"] = w.do("GetSecretPolicy", nil).member(t, "Policy")
	w.instances()
}

// instances makes one in software that is full of guests, and one at a manager that refuses.
func (w *codeWorld) instances() {
	t := w.T
	instance := func(args ...string) string {
		t.Helper()
		var made struct{ ID string }
		succeed(t, json.Unmarshal([]byte(must(w.run(w.account, append([]string{"instance", "create", "-o", "json"}, args...)...))(t)), &made))
		return made.ID
	}
	w.made["soft"] = instance("soft")
	w.key("shared", p{"DKMSInstanceId": "$soft"})
	var guests []string
	for i := range 101 {
		guests = append(guests, fmt.Sprintf("acs:ram::%016d:user/guest", 3_000_000_000_000_000+i))
	}
	w.made["guests"] = string(must(json.Marshal(map[string]any{"Version": "1", "Statement": []any{map[string]any{
		"Effect": "Allow", "Principal": map[string]any{"RAM": guests}, "Action": []string{"kms:Encrypt"}, "Resource": []string{"*"},
	}}}))(t))

	file := filepath.Join(t.TempDir(), "manager.json")
	policy := filepath.Join(t.TempDir(), "policy.json")
	succeed(t, os.WriteFile(policy, []byte(`{"Version":"1","Statement":[{"Effect":"Allow","Action":["kms:DescribeKey","kms:Encrypt","kms:Decrypt"],"Resource":"*"}]}`), 0o600))
	for _, args := range [][]string{
		{"key", "create", "--alias", "alias/master"}, {"user", "create", "tenants"}, {"policy", "create", "tenants", "--file", policy}, {"policy", "attach", "tenants", "tenants"},
		{"xks", "create", "tenants", "tenants", "--out", file}, {"xks", "publish", "tenants", "master", "alias/master"},
	} {
		w.command(t, w.account, args...)
	}
	w.made["bank"] = instance("bank", "--class", "external", "--proxy", "http://"+w.address, "--configuration", file)
	w.made["awayBlob"] = w.key("away", p{"DKMSInstanceId": "$bank", "ExternalKeyId": "master"})
	w.do("CreateSecret", p{"SecretName": "away", "EncryptionKeyId": "$away"})
	w.do("DisableKey", p{"KeyId": "alias/master"})
}

// TestDocumentedCodes has each operation answer each code that is documented for it, or finds
// in docs/alibaba.md why it never does.
func TestDocumentedCodes(t *testing.T) {
	t.Parallel()
	s := newServer(t, options{program: buildPatched(t, fickle, hasty), more: "[egress]\nallow = [\"127.0.0.0/8\"]\n"})
	a := s.account(t)
	_, nobody := s.namedUser(t, a)
	w := &codeWorld{T: t, account: a, nobody: nobody, made: map[string]string{}, want: documentedCodes(t), seen: map[documented]bool{}}
	w.prepare()
	w.general()
	w.all(circumstances)

	const days = 8 * 24 * time.Hour
	f := fickleServer{t, s, a}
	f.set(0, "steady") // a clock that jumps before it is trusted is believed
	f.set(days, "jumped")
	s.command(t, a, "operator", "clock", "accept", "--yes", "--data-dir", filepath.Join(s.dir, "data"))
	w.at = time.Now().Add(days)
	w.all(later)

	page := string(must(os.ReadFile("../docs/alibaba.md"))(t))
	for _, never := range inapplicables {
		if row := fmt.Sprintf("| `%s` | %s | %s |\n", never.code, cmp.Or(quoted(never.operations), "all"), never.why); !strings.Contains(page, row) {
			t.Errorf("docs/alibaba.md does not say\n%s", row)
		}
		for d := range w.want {
			if d.code != never.code || never.operations != "" && !slices.Contains(strings.Fields(never.operations), d.operation) {
				continue
			}
			if w.seen[d] {
				t.Errorf("%v is said never to be answered", d)
			}
			w.seen[d] = true
		}
	}
	for d := range w.want {
		if !w.seen[d] {
			t.Errorf("nobody tried that %s answers %s", d.operation, d.code)
		}
	}
}

func quoted(names string) string {
	if names == "" {
		return ""
	}
	return "`" + strings.Join(strings.Fields(names), "` `") + "`"
}
