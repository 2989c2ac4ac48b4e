package alibaba_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/alibaba"
	"github.com/keyward/keyward/internal/cloud/alibaba/alibabatest"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/issuertest"
)

const shop = "200000000000000007"

// issuing are the rights that the policy of the issuer grants.
func issuing() []string {
	var policy struct{ Statement []struct{ Action []string } }
	if err := json.Unmarshal([]byte(alibaba.Issuer().Policy), &policy); err != nil {
		panic(err)
	}
	return policy.Statement[0].Action
}

func opening(id, secret string) accesskey.Opening {
	return accesskey.Opening{
		Filling: form.Filling{Credential: map[string]material.Bytes{
			"access_key_id": material.NewBytes([]byte(id)), "access_key_secret": material.NewBytes([]byte(secret)),
		}},
		Now: time.Now,
	}
}

// mall is an account with a shop whose key is replaced, an administrator who has the
// documented rights and no others, and a stranger.
func mall() (*alibabatest.Cloud, issuertest.Provider) {
	cloud := alibabatest.New(alibabatest.Config{Now: time.Now, Settle: 20 * time.Second, UseLag: time.Hour})
	source := alibabatest.Key{ID: "LTAIfakeAdmin0000001", Secret: "fakesecret-of-the-admin"}
	old := alibabatest.Key{ID: "LTAIfakeShop00000001", Secret: "fakesecret-of-the-shop"}
	stranger := alibabatest.Key{ID: "LTAIfakeOther0000001", Secret: "fakesecret-of-another"}
	cloud.Populate(alibabatest.Account{Users: []alibabatest.User{
		{Name: "admin", Rights: append(rights(), issuing()...), Keys: []alibabatest.Key{source}},
		{Name: "shop", ID: shop, Keys: []alibabatest.Key{old}},
		{Name: "another", Keys: []alibabatest.Key{stranger}},
	}})
	return cloud, issuertest.Provider{
		Service: cloud, Principal: shop, Old: consumer(old), Stranger: consumer(stranger),
		Open: func(via http.RoundTripper) (rotation.Issuer, error) {
			return alibaba.OpenIssuer(opening(source.ID, source.Secret), shop, via)
		},
		Truth: func() map[string]accesskey.Status {
			out := map[string]accesskey.Status{}
			for _, k := range cloud.Keys("shop") {
				if out[k.ID] = accesskey.Active; k.Inactive {
					out[k.ID] = accesskey.Inactive
				}
			}
			return out
		},
		Effect: func(r *http.Request, _ []byte) issuertest.Effect {
			switch r.Header.Get("x-acs-action") {
			case "CreateAccessKey":
				return issuertest.Creates
			case "DeleteAccessKey":
				return issuertest.Deletes
			case "UpdateAccessKey":
				if r.URL.Query().Get("Status") == "Inactive" {
					return issuertest.Disables
				}
				return issuertest.Enables
			}
			return issuertest.Nothing
		},
		Forbid: func() { cloud.Permit("admin", append(rights(), "ram:GetUser")...) },
	}
}

func consumer(k alibabatest.Key) issuertest.Credential {
	return issuertest.Credential{ID: k.ID, Parts: map[string]string{"access_key_id": k.ID, "access_key_secret": k.Secret}}
}

func TestIssuer(t *testing.T) {
	issuertest.Run(t, issuertest.World{Canary: "fakesecret", Start: func(*testing.T) issuertest.Provider {
		_, p := mall()
		return p
	}})
}

// What the service says of a change decides whether it may be made again.
func TestEffectOfRefusals(t *testing.T) {
	for _, one := range []struct {
		status int
		code   string
		want   error
	}{
		{400, "Throttling.User", rotation.ErrNoEffect}, {429, "", nil}, {503, "Throttling", nil},
		{409, "LimitExceeded.User.AccessKey", rotation.ErrFull}, {409, "LimitExceeded.Something", rotation.ErrRefused},
		{404, "EntityNotExist.User.AccessKey", rotation.ErrAbsent}, {404, "EntityNotExist.User", rotation.ErrRefused},
		{403, "NoPermission", rotation.ErrRefused}, {400, "InvalidTimeStamp.Expired", rotation.ErrRefused},
		{400, "InvalidAccessKeyId.Inactive", rotation.ErrRefused}, {400, "InvalidParameter.UserAccessKeyId.Format", rotation.ErrRefused},
		{400, "SignatureNonceUsed", nil}, {500, "InternalError", nil}, {503, "ServiceUnavailable", nil}, {400, "SomethingNew", nil}, {302, "", nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			cloud, p := mall()
			issuer, err := p.Open(direct{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("x-acs-action") != "UpdateAccessKey" {
					cloud.ServeHTTP(w, r)
					return
				}
				w.WriteHeader(one.status)
				_, _ = fmt.Fprintf(w, `{"Code":%q,"Message":"words of the vendor","RequestId":"r-1"}`, one.code)
			})})
			if err != nil {
				t.Fatal(err)
			}
			err = issuer.Disable(t.Context(), p.Old.ID)
			for _, class := range []error{rotation.ErrNoEffect, rotation.ErrRefused, rotation.ErrFull, rotation.ErrAbsent} {
				if errors.Is(err, class) != (class == one.want) {
					t.Errorf("%d %s: %v", one.status, one.code, err)
				}
			}
		})
	}
}

// A user is known by id: renamed, it keeps its keys.
func TestRenamedUserIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud, p := mall()
		issuer, err := p.Open(direct{cloud})
		if err != nil {
			t.Fatal(err)
		}
		cloud.Rename("shop", "boutique")
		if err := issuer.Delete(t.Context(), p.Old.ID, ""); err != nil {
			t.Fatal(err)
		}
		if left := cloud.Keys("boutique"); len(left) > 0 {
			t.Errorf("the key was not deleted, and nothing said so: %+v", left)
		}
	})
}

func TestIssuerRefusesWhatIsNoUser(t *testing.T) {
	for _, principal := range []string{"", "shop", "shop@example.onaliyun.com", "-1"} {
		if _, err := alibaba.Issuer().Open(opening("LTAIfake", "fakesecret"), principal); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("%q: %v", principal, err)
		}
	}
	if _, err := alibaba.Issuer().Open(opening("LTAIfake", "fakesecret"), shop); err != nil {
		t.Error(err)
	}
	if alibaba.Issuer().Name != alibaba.Kind().Name {
		t.Error("the issuer is of another kind than the provider")
	}
	synctest.Test(t, func(t *testing.T) { // a number that is nobody's, such as the account's
		cloud, _ := mall()
		issuer, err := alibaba.OpenIssuer(opening("LTAIfakeAdmin0000001", "fakesecret-of-the-admin"), account, direct{cloud})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := issuer.Create(t.Context(), rotation.Attempt{ID: "1", Principal: account}); !errors.Is(err, rotation.ErrRefused) || !fault.Is(err, fault.ResourceNotFound) {
			t.Errorf("a key for nobody: %v", err)
		}
	})
}

// The documents show the policy that the code has.
func TestIssuerPolicyIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../docs/providers/alibaba.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```json\n"+alibaba.Issuer().Policy+"```\n") {
		t.Error("docs/providers/alibaba.md has another policy")
	}
}

func FuzzIssuer(f *testing.F) {
	_, p := mall()
	issuertest.Fuzz(f, p,
		`{"User":{"UserId":"`+shop+`","UserPrincipalName":"shop@example.onaliyun.com"},"AccessKey":{"AccessKeyId":"LTAIfake","AccessKeySecret":"x"},"AccessKeys":{"AccessKey":[{"AccessKeyId":"LTAIfakeShop00000001","Status":"Active"}]},"RequestId":"r"}`,
		`{"UserId":"`+shop+`","AccountId":"`+account+`","RequestId":"r"}`)
}
