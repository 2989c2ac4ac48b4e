package tencent_test

import (
	"errors"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/tencent"
	"github.com/keyward/keyward/internal/cloud/tencent/tencenttest"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/issuertest"
)

const shop, admin, stranger = account + 1, account + 2, account + 3

// mall is an account with a shop whose key is replaced, an administrator and a stranger.
func mall(t testing.TB) (*tencenttest.Service, issuertest.Provider) {
	t.Helper()
	cloud := tencenttest.New(time.Now)
	cloud.AddAccount(account)
	for uin, name := range map[uint64]string{shop: "shop", admin: "admin", stranger: "stranger"} {
		cloud.AddUser(account, tencenttest.User{Uin: uin, Name: name})
	}
	cloud.Settle(20 * time.Second)
	source := cloud.AddKey(admin, tencenttest.Key{})
	return cloud, issuertest.Provider{
		Service: cloud, Principal: strconv.Itoa(shop),
		Old: consumer(cloud.AddKey(shop, tencenttest.Key{})), Stranger: consumer(cloud.AddKey(stranger, tencenttest.Key{})),
		Open: func(via http.RoundTripper) (rotation.Issuer, error) {
			return tencent.OpenIssuer(opening(nil, source.ID, source.Secret, nil), strconv.Itoa(shop), via)
		},
		Truth: func() map[string]accesskey.Status {
			out := map[string]accesskey.Status{}
			for _, k := range cloud.Of(shop) {
				if out[k.ID] = accesskey.Active; k.Inactive {
					out[k.ID] = accesskey.Inactive
				}
			}
			return out
		},
		Effect: func(r *http.Request, body []byte) issuertest.Effect {
			switch r.Header.Get("X-TC-Action") {
			case "CreateAccessKey":
				return issuertest.Creates
			case "DeleteAccessKey":
				return issuertest.Deletes
			case "UpdateAccessKey":
				if strings.Contains(string(body), `"Inactive"`) {
					return issuertest.Disables
				}
				return issuertest.Enables
			}
			return issuertest.Nothing
		},
		Forbid: func() { cloud.Deny(admin, "cam:CreateAccessKey", "cam:UpdateAccessKey", "cam:DeleteAccessKey") },
	}
}

func consumer(k tencenttest.Key) issuertest.Credential {
	return issuertest.Credential{ID: k.ID, Parts: map[string]string{"secret_id": k.ID, "secret_key": k.Secret}}
}

func TestIssuer(t *testing.T) {
	issuertest.Run(t, issuertest.World{Canary: "simulated", Start: func(t *testing.T) issuertest.Provider {
		_, p := mall(t)
		return p
	}})
}

// What the service says of a create decides whether it may be made again.
func TestEffectOfRefusals(t *testing.T) {
	for code, want := range map[string]error{
		"RequestLimitExceeded":                    rotation.ErrNoEffect,
		"RequestLimitExceeded.UinLimitExceeded":   rotation.ErrNoEffect,
		"OperationDenied.AccessKeyOverLimit":      rotation.ErrFull,
		"AuthFailure.SignatureFailure":            rotation.ErrRefused,
		"AuthFailure.SignatureExpire":             rotation.ErrRefused,
		"UnauthorizedOperation":                   rotation.ErrRefused,
		"InvalidParameter.UserNotExist":           rotation.ErrRefused,
		"UnknownParameter":                        rotation.ErrRefused,
		"OperationDenied.SubUin":                  rotation.ErrRefused,
		"ResourceNotFound.SecretNotExist":         rotation.ErrAbsent,
		"InternalError":                           nil,
		"InternalError.SystemError":               nil,
		"FailedOperation.Accesskey":               nil,
		"ResourceUnavailable":                     nil,
		"RequestLimitExceededOrSomethingLikeThat": nil,
	} {
		synctest.Test(t, func(t *testing.T) {
			_, p := mall(t)
			p.Service = refusal(code)
			issuer, err := p.Open(wire{p.Service})
			if err != nil {
				t.Fatal(err)
			}
			_, err = issuer.Create(t.Context(), rotation.Attempt{ID: "1", Principal: p.Principal})
			for _, class := range []error{rotation.ErrNoEffect, rotation.ErrRefused, rotation.ErrFull, rotation.ErrAbsent} {
				if errors.Is(err, class) != (class == want) {
					t.Errorf("%s: %v", code, err)
				}
			}
		})
	}
}

// The international site has no descriptions, and refuses a parameter that it does not know.
func TestInternationalKeysCarryNoTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud, p := mall(t)
		source := cloud.AddKey(admin, tencenttest.Key{})
		issuer, err := tencent.OpenIssuer(opening(map[string]string{"endpoint": "https://cam.intl.tencentcloudapi.com"}, source.ID, source.Secret, nil), p.Principal, wire{cloud})
		if err != nil {
			t.Fatal(err)
		}
		made, err := issuer.Create(t.Context(), rotation.Attempt{ID: "1", Tag: "keyward/r/1", Principal: p.Principal})
		if err != nil || issuer.Means().Tagged {
			t.Fatalf("%+v, %v", issuer.Means(), err)
		}
		for _, k := range cloud.Of(shop) {
			if k.ID == made.ID && k.Description != "" {
				t.Errorf("the key has the description %q", k.Description)
			}
		}
	})
}

func TestIssuerRefusesWhatIsNoUser(t *testing.T) {
	for _, principal := range []string{"", "shop", "role:session", "-1"} {
		if _, err := tencent.Issuer().Open(opening(nil, "AKIDfake", "fake", nil), principal); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("%q: %v", principal, err)
		}
	}
	if _, err := tencent.Issuer().Open(opening(nil, "AKIDfake", "fake", nil), "100000001"); err != nil {
		t.Error(err)
	}
	if tencent.Issuer().Name != tencent.Kind().Name {
		t.Error("the issuer is of another kind than the provider")
	}
}

// The documents show the policy that the code has.
func TestIssuerPolicyIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../docs/providers/tencent.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```json\n"+tencent.Issuer().Policy+"```\n") {
		t.Error("docs/providers/tencent.md has another policy")
	}
}

func FuzzIssuer(f *testing.F) {
	_, p := mall(f)
	issuertest.Fuzz(f, p,
		`{"Response":{"AccessKey":{"AccessKeyId":"AKIDfake","SecretAccessKey":"fake","Status":"Active"},"RequestId":"r"}}`,
		`{"Response":{"AccessKeys":[{"AccessKeyId":"AKIDfake","Status":"Inactive","CreateTime":"2021-10-28 18:02:00","Description":"d"}],"RequestId":"r"}}`,
		`{"Response":{"AccountId":"100000000","UserId":"100000001","RequestId":"r"}}`)
}
