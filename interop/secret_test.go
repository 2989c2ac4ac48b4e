package interop_test

import (
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"

	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
	"github.com/alibabacloud-go/tea/tea"
	secretsmanager "github.com/aliyun/aliyun-secretsmanager-client-go/sdk"
	"github.com/aliyun/aliyun-secretsmanager-client-go/sdk/logger"
	"github.com/aliyun/aliyun-secretsmanager-client-go/sdk/models"
	"github.com/aliyun/aliyun-secretsmanager-client-go/sdk/service"
	"github.com/google/go-cmp/cmp"
)

const (
	resourceNotFound = "Forbidden.ResourceNotFound"
	inDeleteWindow   = "Rejected.ResourceInDeleteWindow"
)

// A shelf is the secrets of one account, as the Go SDK shows them.
type shelf struct {
	*kms.Client
	t *testing.T
}

func (s shelf) make(name, version, value string) *kms.CreateSecretResponseBody {
	s.t.Helper()
	return must(s.CreateSecret(&kms.CreateSecretRequest{SecretName: &name, VersionId: &version, SecretData: &value}))(s.t).Body
}

func (s shelf) put(name, version, value string) (*kms.PutSecretValueResponse, error) {
	return s.PutSecretValue(&kms.PutSecretValueRequest{SecretName: &name, VersionId: &version, SecretData: &value})
}

func (s shelf) get(name string) (*kms.GetSecretValueResponse, error) {
	return s.GetSecretValue(&kms.GetSecretValueRequest{SecretName: &name})
}

// value checks the current value of a secret and its version.
func (s shelf) value(name, version, want string) {
	s.t.Helper()
	got := must(s.get(name))(s.t).Body
	if *got.SecretData != want || *got.VersionId != version {
		s.t.Errorf("secret %s has %q as version %s, want %q as %s", name, *got.SecretData, *got.VersionId, want, version)
	}
}

// versions answers the versions of a secret with their stages, the newest first.
func (s shelf) versions(name string, all bool) (out []string) {
	s.t.Helper()
	got := must(s.ListSecretVersionIds(&kms.ListSecretVersionIdsRequest{SecretName: &name, IncludeDeprecated: new(map[bool]string{true: "true", false: "false"}[all])}))(s.t).Body
	for _, v := range got.VersionIds.VersionId {
		out = append(out, *v.VersionId+":"+strings.Join(tea.StringSliceValue(v.VersionStages.VersionStage), ","))
	}
	if int(*got.TotalCount) != len(out) {
		s.t.Errorf("%d versions of %d", len(out), *got.TotalCount)
	}
	return out
}

// TestSecrets takes a secret through its life.
func TestSecrets(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		s := shelf{srv.account(t).sdk(t), t}
		const name = "db/生" // not a name
		refused(s.CreateSecret(&kms.CreateSecretRequest{SecretName: new(name), VersionId: new("v1"), SecretData: new("x")}))(t, 400, invalidParameter)

		refused(s.CreateSecret(&kms.CreateSecretRequest{SecretName: new("db/kept"), VersionId: new("v1"), SecretData: new("x"), Policy: new("{}")}))(t, 400, invalidParameter)
		policy := *must(s.GetSecretPolicy(&kms.GetSecretPolicyRequest{SecretName: s.make("db/plain", "v1", "x").SecretName}))(t).Body.Policy
		must(s.CreateSecret(&kms.CreateSecretRequest{SecretName: new("db/kept"), VersionId: new("v1"), SecretData: new("x"), Policy: &policy}))(t)

		made := s.make("db/prod", "v1", "first, 一")
		if *made.SecretName != "db/prod" || *made.VersionId != "v1" || *made.SecretType != "Generic" || *made.AutomaticRotation != "Disabled" || !strings.HasSuffix(*made.Arn, ":secret/db/prod") {
			t.Errorf("made %v", made)
		}
		refused(s.CreateSecret(&kms.CreateSecretRequest{SecretName: new("db/prod"), VersionId: new("v1"), SecretData: new("x")}))(t, 409, "Rejected.ResourceExist")
		s.value("db/prod", "v1", "first, 一")
		must(s.put("db/prod", "v2", "second"))(t)
		must(s.put("db/prod", "v2", "second"))(t) // once more
		refused(s.put("db/prod", "v2", "another"))(t, 409, "Rejected.ResourceExist")
		must(s.put("db/prod", "v3", "third"))(t)
		if diff := cmp.Diff([]string{"v3:ACSCurrent", "v2:ACSPrevious"}, s.versions("db/prod", false)); diff != "" {
			t.Errorf("versions (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"v3:ACSCurrent", "v2:ACSPrevious", "v1:"}, s.versions("db/prod", true)); diff != "" {
			t.Errorf("all versions (-want +got):\n%s", diff)
		}
		old := must(s.GetSecretValue(&kms.GetSecretValueRequest{SecretName: new("db/prod"), VersionStage: new("ACSPrevious")}))(t).Body
		if *old.SecretData != "second" || *old.SecretDataType != "text" {
			t.Errorf("the previous value is %v", old)
		}
		refused(s.GetSecretValue(&kms.GetSecretValueRequest{SecretName: new("db/prod"), VersionId: new("v9")}))(t, 404, resourceNotFound)
		refused(s.GetSecretValue(&kms.GetSecretValueRequest{SecretName: new("db/prod"), DryRun: new("true")}))(t, 400, "DryRunOperationError")
		refused(s.get("db/none"))(t, 404, resourceNotFound)
	})
}

// TestSecretStages moves stages from version to version.
func TestSecretStages(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		s := shelf{srv.account(t).sdk(t), t}
		s.make("a", "v1", "1")
		must(s.PutSecretValue(&kms.PutSecretValueRequest{SecretName: new("a"), VersionId: new("v2"), SecretData: encoded("\x00\xff"), SecretDataType: new("binary"), VersionStages: new(`["mine"]`)}))(t)
		bytes := must(s.GetSecretValue(&kms.GetSecretValueRequest{SecretName: new("a"), VersionStage: new("mine")}))(t).Body
		if *bytes.SecretDataType != "binary" || string(decoded(t, bytes.SecretData)) != "\x00\xff" {
			t.Errorf("the bytes are %v", bytes)
		}
		move := func(stage, from, to string) (*kms.UpdateSecretVersionStageResponse, error) {
			in := &kms.UpdateSecretVersionStageRequest{SecretName: new("a"), VersionStage: &stage}
			if from != "" {
				in.RemoveFromVersion = &from
			}
			if to != "" {
				in.MoveToVersion = &to
			}
			return s.UpdateSecretVersionStage(in)
		}
		must(move("ACSCurrent", "v1", "v2"))(t)
		if diff := cmp.Diff([]string{"v2:ACSCurrent,mine", "v1:ACSPrevious"}, s.versions("a", false)); diff != "" {
			t.Errorf("versions (-want +got):\n%s", diff)
		}
		refused(move("ACSCurrent", "v1", "v2"))(t, 400, "Rejected.InvalidRequest")
		refused(move("ACSCurrent", "v2", "v9"))(t, 404, resourceNotFound)
		refused(move("mine", "", ""))(t, 400, missingParameter)
		must(move("mine", "v2", ""))(t)
		refused(s.GetSecretValue(&kms.GetSecretValueRequest{SecretName: new("a"), VersionStage: new("mine")}))(t, 404, resourceNotFound)
	})
}

// TestSecretMetadata lists, describes, tags and changes secrets.
func TestSecretMetadata(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		c := srv.account(t).sdk(t)
		s := shelf{c, t}
		k := create(t, c, aes256, "")
		must(s.CreateSecret(&kms.CreateSecretRequest{
			SecretName: new("a"), VersionId: new("v1"), SecretData: new("x"), Description: new("first"), EncryptionKeyId: &k.id,
			SecretType: new("Generic"), Tags: document(t, labels{"team": "pay"}),
		}))(t)
		s.make("b", "v1", "x")
		must(c.TagResource(&kms.TagResourceRequest{SecretName: new("b"), Tags: document(t, labels{"team": "risk", "gone": "1"})}))(t)
		must(c.UntagResource(&kms.UntagResourceRequest{SecretName: new("b"), TagKeys: new(`["gone"]`)}))(t)
		must(s.UpdateSecret(&kms.UpdateSecretRequest{SecretName: new("a"), Description: new("second")}))(t)
		d := must(s.DescribeSecret(&kms.DescribeSecretRequest{SecretName: new("a"), FetchTags: new("true")}))(t).Body
		if *d.Description != "second" || *d.EncryptionKeyId != k.id || *d.SecretType != "Generic" || len(d.Tags.Tag) != 1 || *d.Tags.Tag[0].TagValue != "pay" {
			t.Errorf("described %v", d)
		}
		list := func(filters string) (names []string) {
			got := must(s.ListSecrets(&kms.ListSecretsRequest{Filters: &filters, FetchTags: new("true")}))(t).Body
			for _, e := range got.SecretList.Secret {
				names = append(names, *e.SecretName+"/"+*e.Tags.Tag[0].TagValue)
			}
			return names
		}
		for filters, want := range map[string][]string{
			"": {"a/pay", "b/risk"}, `[{"Key":"SecretName","Values":["b","z"]}]`: {"b/risk"}, `[{"Key":"TagValue","Values":["pay"]}]`: {"a/pay"},
			`[{"Key":"SecretType","Values":["Rds"]}]`: nil, `[{"Key":"SecretType","Values":["Generic"]}]`: {"a/pay", "b/risk"},
		} {
			if diff := cmp.Diff(want, list(filters)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", filters, diff)
			}
		}
		refused(s.ListSecrets(&kms.ListSecretsRequest{Filters: new(`[{"Key":"Colour","Values":["red"]}]`)}))(t, 400, invalidParameter)
		must(c.DisableKey(&kms.DisableKeyRequest{KeyId: &k.id}))(t)
		refused(s.get("a"))(t, 409, rejectedDisabled)
	})
}

// TestSecretDeletion deletes secrets, and takes one back.
func TestSecretDeletion(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		s := shelf{srv.account(t).sdk(t), t}
		s.make("a", "v1", "x")
		refused(s.RestoreSecret(&kms.RestoreSecretRequest{SecretName: new("a")}))(t, 409, "Rejected.ResourceInUse")
		refused(s.DeleteSecret(&kms.DeleteSecretRequest{SecretName: new("a"), RecoveryWindowInDays: new("31")}))(t, 400, invalidParameter)
		gone := must(s.DeleteSecret(&kms.DeleteSecretRequest{SecretName: new("a"), RecoveryWindowInDays: new("7")}))(t).Body
		if *gone.PlannedDeleteTime == "" || *gone.SecretName != "a" {
			t.Errorf("deleted %v", gone)
		}
		refused(s.CreateSecret(&kms.CreateSecretRequest{SecretName: new("a"), VersionId: new("v1"), SecretData: new("x")}))(t, 409, inDeleteWindow)
		refused(s.DeleteSecret(&kms.DeleteSecretRequest{SecretName: new("a")}))(t, 409, inDeleteWindow)
		refused(s.UpdateSecret(&kms.UpdateSecretRequest{SecretName: new("a"), Description: new("y")}))(t, 409, inDeleteWindow)
		refused(s.UpdateSecretVersionStage(&kms.UpdateSecretVersionStageRequest{SecretName: new("a"), VersionStage: new("mine"), MoveToVersion: new("v1")}))(t, 409, inDeleteWindow)
		refused(s.put("a", "v2", "y"))(t, 409, inDeleteWindow)
		refused(s.get("a"))(t, 409, inDeleteWindow)
		must(s.RestoreSecret(&kms.RestoreSecretRequest{SecretName: new("a")}))(t)
		s.value("a", "v1", "x")
		must(s.DeleteSecret(&kms.DeleteSecretRequest{SecretName: new("a"), ForceDeleteWithoutRecovery: new("true")}))(t)
		refused(s.DescribeSecret(&kms.DescribeSecretRequest{SecretName: new("a")}))(t, 404, resourceNotFound)
		s.make("a", "v1", "anew")
		s.value("a", "v1", "anew")
	})
}

// TestRandomPassword asks for passwords of many kinds.
func TestRandomPassword(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		c := srv.account(t).sdk(t)
		ask := func(in *kms.GetRandomPasswordRequest) string {
			return *must(c.GetRandomPassword(in))(t).Body.RandomPassword
		}
		if a, b := ask(&kms.GetRandomPasswordRequest{}), ask(&kms.GetRandomPasswordRequest{}); len(a) != 32 || a == b {
			t.Errorf("passwords are %q and %q", a, b)
		}
		digits := ask(&kms.GetRandomPasswordRequest{PasswordLength: new("128"), ExcludeLowercase: new("true"), ExcludeUppercase: new("true"), ExcludePunctuation: new("true"), ExcludeCharacters: new("0")})
		if len(digits) != 128 || strings.Trim(digits, "123456789") != "" {
			t.Errorf("digits are %q", digits)
		}
		for _, in := range []*kms.GetRandomPasswordRequest{
			{PasswordLength: new("7")}, {PasswordLength: new("129")}, {PasswordLength: new("x")}, {ExcludeCharacters: new("0123456789")},
			{ExcludeLowercase: new("true"), ExcludeUppercase: new("true"), ExcludeNumbers: new("true"), ExcludePunctuation: new("true")},
		} {
			refused(c.GetRandomPassword(in))(t, 400, invalidParameter)
		}
	})
}

// TestRotateSecret rotates what a secret holds, with a person as the provider.
func TestRotateSecret(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		a := srv.account(t)
		s := shelf{a.sdk(t), t}
		rotate := func(token string) (*kms.RotateSecretResponse, error) {
			return s.RotateSecret(&kms.RotateSecretRequest{SecretName: new("pay"), VersionId: &token})
		}
		schedule := func(on bool, every string) (*kms.UpdateSecretRotationPolicyResponse, error) {
			return s.UpdateSecretRotationPolicy(&kms.UpdateSecretRotationPolicyRequest{SecretName: new("pay"), EnableAutomaticRotation: &on, RotationInterval: &every})
		}
		s.make("pay", "v1", `{"id":"AK1","secret":"fake-one"}`)
		refused(rotate("next"))(t, 400, unsupportedOperation)
		refused(schedule(true, "30d"))(t, 400, unsupportedOperation)

		srv.command(t, a, "provider", "add", "manual", "hand")
		srv.command(t, a, "rotation", "plan", "create", "pay", "--provider", "hand", "--principal", "m", "--secret", "pay", "--key", "AK1", "--grace", "2s", "--quiet", "0", "--observe", "1s")
		must(schedule(true, "30d"))(t)
		d := must(s.DescribeSecret(&kms.DescribeSecretRequest{SecretName: new("pay")}))(t).Body
		if *d.AutomaticRotation != "Enabled" || *d.RotationInterval != "2592000s" || tea.StringValue(d.NextRotationDate) == "" {
			t.Errorf("described %v", d)
		}
		refused(schedule(true, "6h"))(t, 400, invalidParameter)
		refused(schedule(true, ""))(t, 400, missingParameter)
		must(schedule(false, ""))(t)

		begun := must(rotate("next"))(t).Body
		if again := must(rotate("next"))(t).Body; *again.VersionId != *begun.VersionId {
			t.Errorf("the same rotation makes version %s, and then %s", *begun.VersionId, *again.VersionId)
		}
		refused(rotate("other"))(t, 409, stateModifiedFailed)
		file := filepath.Join(t.TempDir(), "new.json")
		succeed(t, os.WriteFile(file, []byte(`{"id":"AK2","secret":"fake-two"}`), 0o600))
		await(t, "the rotation asks for the new key", func() bool {
			_, err := srv.run(a, "rotation", "enter", "pay", "--id", "AK2", "--file", file)
			return err == nil
		})
		await(t, "the secret has the new key", func() bool { return *must(s.get("pay"))(t).Body.VersionId == *begun.VersionId })
		s.value("pay", *begun.VersionId, `{"id":"AK2","secret":"fake-two"}`)
	})
}

// TestSecretsManagerClient reads secrets with the library that Alibaba Cloud has for
// programs, which speaks HTTPS only, to a certificate that it does not check.
func TestSecretsManagerClient(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	srv := newServer(t, options{cert: ca.issue(t, filepath.Join(t.TempDir(), "server.pem"), 1)})
	a := srv.account(t)
	config := a.config()
	config.Protocol, config.Ca = new("HTTPS"), new(string(ca.pem))
	s := shelf{must(kms.NewClient(config))(t), t}
	s.make("db", "v1", "first")
	must(s.CreateSecret(&kms.CreateSecretRequest{SecretName: new("bytes"), VersionId: new("v1"), SecretData: encoded("\x00\xff"), SecretDataType: new("binary")}))(t)

	source := service.NewDefaultSecretManagerClientBuilder().Standard().WithAccessKey(a.id, a.secret).
		AddRegionInfo(models.NewRegionInfoWithEndpoint(region, srv.address)).Build()
	reader := must(secretsmanager.NewSecretCacheClientBuilder(source).WithSecretTTL("db", 3_600_000).
		WithLogger(logger.NewDefaultLogger(log.New(t.Output(), "", 0))).Build())(t)
	defer reader.Close() //nolint:errcheck // nothing is lost with it
	check := func(version, want string) {
		t.Helper()
		info := must(reader.GetSecretInfo("db"))(t)
		text := must(reader.GetStringValue("db"))(t)
		if text != want || info.VersionId != version || info.SecretType != "Generic" || info.AutomaticRotation != "Disabled" || info.CreateTime == "" {
			t.Errorf("the library has %q, %+v", text, info)
		}
	}
	check("v1", "first")
	if got := string(must(reader.GetBinaryValue("bytes"))(t)); got != *encoded("\x00\xff") {
		t.Errorf("the library has the bytes %q", got)
	}
	must(s.put("db", "v2", "second"))(t)
	check("v1", "first") // its cache
	must(reader.RefreshNow("db"))(t)
	check("v2", "second")
	if _, err := reader.GetSecretInfo("none"); refusalOf(err) != (refusal{404, resourceNotFound}) {
		t.Errorf("a secret that is not there: %v", err)
	}
}
