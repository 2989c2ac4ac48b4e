package interop_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	kms "github.com/alibabacloud-go/kms-20160120/v3/client"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

// code answers the code of an authenticator app so many steps from now, by RFC 6238.
func code(t *testing.T, e api.MFAEnrollment, steps int64) string {
	t.Helper()
	secret := must(base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(string(e.Secret)))(t)
	mac := hmac.New(sha1.New, secret)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(time.Now().Unix()/30+steps)))
	sum := mac.Sum(nil)
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[sum[19]&15:])&0x7fffffff)%1_000_000)
}

// TestPeople logs a person in, who then uses the official SDK: what is dangerous wants a code
// in a header, which the SDK signs, and takes one a single time.
func TestPeople(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.account(t)
		k := create(t, a.sdk(t), aes256, "")
		admin := must(client.New(client.Config{Endpoint: "http://" + a.address, AccessKeyID: a.id, AccessKeySecret: a.secret}))(t)
		me := must(admin.WhoAmI(t.Context()))(t)
		must(admin.CreateUser(t.Context(), api.CreateUserRequest{Name: "alice"}))(t)
		succeed(t, admin.AttachPolicy(t.Context(), "alice", "AdministratorAccess"))
		initial := must(admin.SetUserPassword(t.Context(), "alice"))(t)
		in := api.LoginRequest{Account: me.Account, User: "alice", Password: initial.Password, NewPassword: "some unrelated fake words"}
		login := func() (openapi.Config, *client.Client) {
			t.Helper()
			out := must(client.Login(t.Context(), client.Config{Endpoint: "http://" + a.address}, in))(t)
			in.Password, in.NewPassword = "some unrelated fake words", ""
			config := *a.config()
			config.AccessKeyId, config.AccessKeySecret, config.SecurityToken = &out.AccessKeyID, new(string(out.Secret)), new(string(out.SecurityToken))
			return config, must(client.New(client.Config{Endpoint: "http://" + a.address, AccessKeyID: out.AccessKeyID, AccessKeySecret: string(out.Secret), SecurityToken: string(out.SecurityToken)}))(t)
		}
		disable := &kms.DisableKeyRequest{KeyId: &k.id}

		config, person := login()
		must(must(kms.NewClient(&config))(t).DescribeKey(&kms.DescribeKeyRequest{KeyId: &k.id}))(t)
		refused(must(kms.NewClient(&config))(t).DisableKey(disable))(t, 403, "Forbidden.MFANotSetUp") // without a second factor

		e := must(person.EnrollMFA(t.Context()))(t)
		must(person.ConfirmMFA(t.Context(), api.ConfirmMFARequest{Code: api.SecretText(code(t, e, -1))}))(t)
		in.Code = api.SecretText(code(t, e, 0))
		config, person = login()
		refused(must(kms.NewClient(&config))(t).DisableKey(disable))(t, 403, "Forbidden.MFARequired")
		next := code(t, e, 1)
		with := config
		with.GlobalParameters = &openapi.GlobalParameters{Headers: map[string]*string{"x-acs-mfa-code": &next}}
		must(must(kms.NewClient(&with))(t).DisableKey(disable))(t)
		refused(must(kms.NewClient(&with))(t).DisableKey(disable))(t, 403, "Forbidden.NoPermission") // the code was used
		must(must(kms.NewClient(&config))(t).EnableKey(&kms.EnableKeyRequest{KeyId: &k.id}))(t)

		succeed(t, person.Logout(t.Context()))
		refused(must(kms.NewClient(&config))(t).ListKeys(&kms.ListKeysRequest{}))(t, 400, "InvalidSecurityToken.Malformed")
	})
}
