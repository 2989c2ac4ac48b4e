package aws_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/aws"
	"github.com/keyward/keyward/internal/cloud/aws/awstest"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/issuertest"
)

const limits = "arn:aws:iam::123456789012:policy/limits" // of the administrator

// mall is an account with a shop whose key is replaced, an administrator who has the
// documented rights and no others, and a stranger; users come in parts.
func mall() (*awstest.Cloud, issuertest.Provider) {
	cloud := awstest.New(time.Now)
	cloud.PageSize = 2
	born := time.Now().AddDate(-1, 0, 0)
	cloud.AddPolicy(limits, `{"Statement":[]}`)
	cloud.AddUser(awstest.User{
		Name: "admin", Attached: []string{limits}, Inline: map[string]string{"read": aws.Kind().Policy, "issue": aws.Issuer().Policy},
	}, born)
	shop := cloud.AddUser(awstest.User{Name: "shop"}, born)
	cloud.AddUser(awstest.User{Name: "another"}, born)
	source := cloud.AddKey("admin", born)
	return cloud, issuertest.Provider{
		Service: cloud, Principal: shop, Old: consumer(cloud.AddKey("shop", born)), Stranger: consumer(cloud.AddKey("another", born)),
		Open: func(via http.RoundTripper) (rotation.Issuer, error) {
			return aws.OpenIssuer(opening(source), shop, via)
		},
		Truth: func() map[string]accesskey.Status {
			out := map[string]accesskey.Status{}
			for _, k := range cloud.Keys() {
				if k.User != "shop" {
					continue
				}
				if out[k.ID] = accesskey.Active; !k.Active {
					out[k.ID] = accesskey.Inactive
				}
			}
			return out
		},
		Effect: func(_ *http.Request, body []byte) issuertest.Effect {
			switch form := string(body); {
			case strings.Contains(form, "Action=CreateAccessKey"):
				return issuertest.Creates
			case strings.Contains(form, "Action=DeleteAccessKey"):
				return issuertest.Deletes
			case strings.Contains(form, "Status=Inactive"):
				return issuertest.Disables
			case strings.Contains(form, "Status=Active"):
				return issuertest.Enables
			}
			return issuertest.Nothing
		},
		Forbid: func() {
			cloud.AddPolicy(limits, `{"Statement":[{"Effect":"Deny","Action":["iam:CreateAccessKey","iam:UpdateAccessKey","iam:DeleteAccessKey"],"Resource":"*"}]}`)
		},
	}
}

func consumer(c awstest.Credential) issuertest.Credential {
	return issuertest.Credential{ID: c.ID, Parts: map[string]string{"aws_access_key_id": c.ID, "aws_secret_access_key": c.Secret}}
}

func TestIssuer(t *testing.T) {
	issuertest.Run(t, issuertest.World{Canary: "not-a-secret-of-aws-", Start: func(*testing.T) issuertest.Provider {
		_, p := mall()
		return p
	}})
}

// canned answers an action with a status and a body, and passes the others on.
func canned(service http.Handler, action string, status int, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(content))
		if strings.Contains(string(content), "Action="+action+"&") {
			w.WriteHeader(status)
			_, _ = fmt.Fprint(w, body)
			return
		}
		service.ServeHTTP(w, r)
	})
}

// What AWS says of a create decides whether it may be made again.
func TestEffectOfRefusals(t *testing.T) {
	for _, one := range []struct {
		status int
		code   string
		want   error
	}{
		{400, "Throttling", rotation.ErrNoEffect}, {503, "Throttling", nil}, {429, "", nil},
		{409, "LimitExceeded", rotation.ErrFull}, {403, "AccessDenied", rotation.ErrRefused}, {403, "SignatureDoesNotMatch", rotation.ErrRefused},
		{400, "ValidationError", rotation.ErrRefused}, {404, "NoSuchEntity", rotation.ErrAbsent},
		{500, "ServiceFailure", nil}, {400, "SomethingNew", nil}, {400, "", nil}, {302, "", nil}, {408, "RequestTimeout", nil},
	} {
		virtual(t, func(t *testing.T) {
			cloud, p := mall()
			body := "<ErrorResponse><Error><Code>" + one.code + "</Code></Error></ErrorResponse>"
			issuer, err := p.Open(direct{canned(cloud, "UpdateAccessKey", one.status, body)})
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

// A user is known by id: renamed, it keeps its keys, and who has its name now is left alone.
func TestRenamedUserIsFound(t *testing.T) {
	virtual(t, func(t *testing.T) {
		cloud, p := mall()
		issuer, err := p.Open(direct{cloud})
		if err != nil {
			t.Fatal(err)
		}
		cloud.Rename("shop", "boutique")
		cloud.AddUser(awstest.User{Name: "shop"}, time.Now())
		if err := issuer.Delete(t.Context(), p.Old.ID, ""); err != nil {
			t.Fatal(err)
		}
		for _, k := range cloud.Keys() {
			if k.ID == p.Old.ID {
				t.Error("the key was not deleted, and nothing said so")
			}
		}
		cloud.DeleteUser("boutique")
		if _, err := issuer.Create(t.Context(), rotation.Attempt{ID: "1", Principal: p.Principal}); !errors.Is(err, rotation.ErrRefused) || !fault.Is(err, fault.ResourceNotFound) {
			t.Errorf("for a user that is gone: %v", err)
		}
	})
}

func TestIssuerRefusesWhatIsNoUser(t *testing.T) {
	in := opening(awstest.Credential{ID: "AKIA0000000000000001", Secret: "not-a-secret-of-aws-1"})
	for _, principal := range []string{"", "shop", "123456789012", "AROA0000000000000001"} {
		if _, err := aws.Issuer().Open(in, principal); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("%q: %v", principal, err)
		}
	}
	if _, err := aws.Issuer().Open(in, "AIDA0000000000000001"); err != nil {
		t.Error(err)
	}
	if aws.Issuer().Name != aws.Kind().Name {
		t.Error("the issuer is of another kind than the provider")
	}
}

// The documents show the policy that the code has.
func TestIssuerPolicyIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../docs/providers/aws.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```json\n"+aws.Issuer().Policy+"```\n") {
		t.Error("docs/providers/aws.md has another policy")
	}
}

func FuzzIssuer(f *testing.F) {
	_, p := mall()
	issuertest.Fuzz(f, p,
		`<CreateAccessKeyResponse><CreateAccessKeyResult><AccessKey><AccessKeyId>AKIA0000000000000002</AccessKeyId><SecretAccessKey>x</SecretAccessKey></AccessKey></CreateAccessKeyResult></CreateAccessKeyResponse>`,
		`<UpdateAccessKeyResponse/>`, `<ListUsersResponse><ListUsersResult><IsTruncated>false</IsTruncated><Users><member><UserId>`+p.Principal+`</UserId><UserName>shop</UserName></member></Users></ListUsersResult></ListUsersResponse>`)
}
