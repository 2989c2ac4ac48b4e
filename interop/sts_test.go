package interop_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
	sts "github.com/alibabacloud-go/sts-20150401/v2/client"
	classic "github.com/aliyun/alibaba-cloud-sdk-go/services/sts"
	"github.com/google/go-cmp/cmp"
)

// deployer makes the role of that name, which may use keys and trusts the whole account.
func (s *server) deployer(t *testing.T, a account) (arn string) {
	t.Helper()
	id := *must(a.sts(t).GetCallerIdentity())(t).Body.AccountId
	trust := filepath.Join(t.TempDir(), "trust.json")
	succeed(t, os.WriteFile(trust, []byte(`{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":["acs:ram::`+id+`:root"]}}]}`), 0o600))
	s.command(t, a, "role", "create", "deployer", "--trust", trust)
	s.command(t, a, "role", "attach", "AliyunKMSCryptoUserAccess", "deployer")
	return "acs:ram::" + id + ":role/deployer"
}

func (a account) sts(t *testing.T) *sts.Client {
	t.Helper()
	return must(sts.NewClient(a.config()))(t)
}

// TestSTS begins sessions by the official STS SDK and uses them by the KMS SDK, in each of
// the ways in which that signs.
func TestSTS(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.account(t)
		k := create(t, a.sdk(t), aes256, "")
		arn := s.deployer(t, a)
		in := &sts.AssumeRoleRequest{RoleArn: &arn, RoleSessionName: new("ci-7"), DurationSeconds: new(int64(900))}
		out := must(a.sts(t).AssumeRole(in))(t).Body
		expires := must(time.Parse(time.RFC3339, *out.Credentials.Expiration))(t)
		if left := time.Until(expires); left < 14*time.Minute || left > 15*time.Minute {
			t.Errorf("the session lasts %v", left)
		}
		want := strings.Replace(arn, ":role/", ":assumed-role/", 1) + "/ci-7"
		if *out.AssumedRoleUser.Arn != want || !strings.HasSuffix(*out.AssumedRoleUser.AssumedRoleId, ":ci-7") {
			t.Errorf("the session is %v", out.AssumedRoleUser)
		}
		for name, change := range map[string]func(*openapi.Config){
			"ACS3":    func(*openapi.Config) {},
			"RPC 1.0": func(c *openapi.Config) { c.SignatureAlgorithm = new("v2") },
			"ACS4":    func(c *openapi.Config) { c.SignatureVersion = new("v4") },
			"SM3":     func(c *openapi.Config) { c.SignatureAlgorithm = new("ACS3-HMAC-SM3") },
		} {
			t.Run(name, func(t *testing.T) {
				config := a.config()
				config.AccessKeyId, config.AccessKeySecret, config.SecurityToken = out.Credentials.AccessKeyId, out.Credentials.AccessKeySecret, out.Credentials.SecurityToken
				change(config)
				session := must(kms.NewClient(config))(t)
				must(session.Encrypt(&kms.EncryptRequest{KeyId: &k.id, Plaintext: encoded("x")}))(t)
				refused(session.DescribeKey(&kms.DescribeKeyRequest{KeyId: &k.id}))(t, 403, "Forbidden.NoPermission")
			})
		}
		config := a.config()
		config.AccessKeyId, config.AccessKeySecret, config.SecurityToken = out.Credentials.AccessKeyId, out.Credentials.AccessKeySecret, out.Credentials.SecurityToken
		me := must(must(sts.NewClient(config))(t).GetCallerIdentity())(t).Body
		if *me.Arn != want || *me.IdentityType != "AssumedRoleUser" || *me.PrincipalId != *out.AssumedRoleUser.AssumedRoleId || !strings.HasPrefix(*me.PrincipalId, *me.RoleId+":") {
			t.Errorf("the session is %v", me)
		}

		session := must(kms.NewClient(config))(t)
		config.SecurityToken = new("x" + *config.SecurityToken)
		refused(must(kms.NewClient(config))(t).ListKeys(&kms.ListKeysRequest{}))(t, 400, "InvalidSecurityToken.Malformed")
		config.SecurityToken = nil
		refused(must(kms.NewClient(config))(t).ListKeys(&kms.ListKeysRequest{}))(t, 400, "MissingSecurityToken")
		config = a.config()
		config.SecurityToken = out.Credentials.SecurityToken
		refused(must(kms.NewClient(config))(t).ListKeys(&kms.ListKeysRequest{}))(t, 400, "InvalidSecurityToken.MismatchWithAccessKey")
		s.command(t, a, "role", "end-sessions", "deployer")
		refused(session.Encrypt(&kms.EncryptRequest{KeyId: &k.id, Plaintext: encoded("x")}))(t, 400, "InvalidSecurityToken.Malformed")
	})
}

func TestSTSRefuses(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.account(t)
		arn := s.deployer(t, a)
		c := a.sts(t)
		refused(c.AssumeRole(&sts.AssumeRoleRequest{RoleSessionName: new("ci")}))(t, 400, missingParameter)
		refused(c.AssumeRole(&sts.AssumeRoleRequest{RoleArn: &arn, RoleSessionName: new("a b")}))(t, 400, invalidParameter)
		refused(c.AssumeRole(&sts.AssumeRoleRequest{RoleArn: &arn, RoleSessionName: new("ci"), DurationSeconds: new(int64(899))}))(t, 400, invalidParameter)
		refused(c.AssumeRole(&sts.AssumeRoleRequest{RoleArn: &arn, RoleSessionName: new("ci"), DurationSeconds: new(int64(3601))}))(t, 400, invalidParameter)
		refused(c.AssumeRole(&sts.AssumeRoleRequest{RoleArn: &arn, RoleSessionName: new("ci"), Policy: new("{}")}))(t, 400, invalidParameter)
		refused(c.AssumeRole(&sts.AssumeRoleRequest{RoleArn: new(arn + "x"), RoleSessionName: new("ci")}))(t, 404, "EntityNotExist.Role")
		refused(s.user(t, a).sts(t).AssumeRole(&sts.AssumeRoleRequest{RoleArn: &arn, RoleSessionName: new("ci")}))(t, 403, "NoPermission")
	})
}

// TestClassicSTS does the same by the classic SDK, in both formats.
func TestClassicSTS(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.account(t)
		arn := s.deployer(t, a)
		c := must(classic.NewClientWithAccessKey(region, a.id, a.secret))(t)
		for _, format := range []string{"JSON", "XML"} {
			in := classic.CreateAssumeRoleRequest()
			in.Scheme, in.Domain, in.AcceptFormat, in.RoleArn, in.RoleSessionName = "http", a.address, format, arn, "ci"
			out := must(c.AssumeRole(in))(t)
			who := classic.CreateGetCallerIdentityRequest()
			who.Scheme, who.Domain, who.AcceptFormat = "http", a.address, format
			me := must(must(classic.NewClientWithStsToken(region, out.Credentials.AccessKeyId, out.Credentials.AccessKeySecret, out.Credentials.SecurityToken))(t).GetCallerIdentity(who))(t)
			if diff := cmp.Diff(out.AssumedRoleUser.Arn, me.Arn); diff != "" {
				t.Errorf("%s: %s", format, diff)
			}
		}
	})
}
