package interop_test

import (
	"fmt"
	"testing"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
	util "github.com/alibabacloud-go/tea-utils/v2/service"
)

// modes are the ways in which the Go SDK can be told to sign.
var modes = map[string]func(*openapi.Config){
	"ACS3-HMAC-SHA256": func(*openapi.Config) {},
	"RPC 1.0":          func(c *openapi.Config) { c.SignatureAlgorithm = new("v2") },
	"ACS3-HMAC-SM3":    func(c *openapi.Config) { c.SignatureAlgorithm = new("ACS3-HMAC-SM3") },
	"ACS4-HMAC-SHA256": func(c *openapi.Config) { c.SignatureVersion = new("v4") },
}

// TestSignatureModes makes the same calls in each mode.
func TestSignatureModes(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.account(t)
		for name, set := range modes {
			t.Run(name, func(t *testing.T) {
				config := a.config()
				set(config)
				core(t, must(kms.NewClient(config))(t))
				for what, row := range map[string]struct {
					spoil func(*openapi.Config)
					want  refusal
				}{
					"another secret": {func(c *openapi.Config) { c.AccessKeySecret = new(a.secret + "x") }, bad("SignatureDoesNotMatch")},
					"no access key":  {func(c *openapi.Config) { c.AccessKeyId = new(a.id + "x") }, refusal{404, "InvalidAccessKeyId.NotFound"}},
					"a token":        {func(c *openapi.Config) { c.SecurityToken = new("ststoken/+abc==") }, bad("InvalidSecurityToken.MismatchWithAccessKey")},
				} {
					config := a.config()
					set(config)
					row.spoil(config)
					if got := refusalOf(outcome(must(kms.NewClient(config))(t).DescribeRegions())); got != row.want {
						t.Errorf("with %s the answer is %v, want %v", what, got, row.want)
					}
				}
				callAnyhow(t, a, set)
			})
		}
	})
}

// core makes calls whose parameters are written in each of the ways there are.
func core(t *testing.T, c *kms.Client) {
	t.Helper()
	odd := "a b*c~d/é+=&%25?#[]@!$'(),;:\"<>\\|^`{}\t\n中文𝔘"
	in := &kms.CreateKeyRequest{Description: &odd, EnableAutomaticRotation: new(true), RotationInterval: new("7d"), Tags: document(t, labels{"team": "pay"})}
	k := must(c.CreateKey(in))(t).Body.KeyMetadata
	if *k.Description != odd || *k.AutomaticRotation != "Enabled" {
		t.Errorf("the key is %v", k)
	}
	must(c.TagResources(&kms.TagResourcesRequest{RegionId: new(region), ResourceType: new("key"), ResourceId: []*string{k.KeyId}, Tag: pairs(labels{"a b": "", "c/d": "é+"})}))(t)
	checkLabels(t, c, *k.KeyId, labels{"team": "pay", "a b": "", "c/d": "é+"})
	bound := binding{odd: odd, "empty": ""}
	blob := encrypt(t, c, *k.KeyId, []byte(odd), bound)
	opened := must(c.Decrypt(&kms.DecryptRequest{CiphertextBlob: blob, EncryptionContext: bound}))(t).Body
	if string(decoded(t, opened.Plaintext)) != odd {
		t.Errorf("decrypted %q", decoded(t, opened.Plaintext))
	}
	if got := listKeys(t, c, filter(t, "TagKey", []string{"a b"}, "KeyId", []string{*k.KeyId})); len(got) != 1 {
		t.Errorf("found the keys %v", got)
	}
	refused(c.DescribeKey(&kms.DescribeKeyRequest{KeyId: new("key-none")}))(t, 404, keyNotFound)
	refused(c.EnableKey(&kms.EnableKeyRequest{}))(t, 400, missingParameter)
}

// callAnyhow makes the SDK's generic call by GET and POST, with the parameter in the query
// and in a form.
func callAnyhow(t *testing.T, a account, set func(*openapi.Config)) {
	t.Helper()
	config := a.config()
	if set(config); config.SignatureVersion != nil {
		return // the generic client does not know this mode
	}
	c := must(openapi.NewClient(config))(t)
	query := &openapi.OpenApiRequest{Query: map[string]*string{"PageSize": new("7")}}
	form := &openapi.OpenApiRequest{Body: map[string]any{"PageSize": "7"}}
	for _, row := range []struct {
		method string
		in     *openapi.OpenApiRequest
	}{{"GET", query}, {"POST", query}, {"POST", form}} {
		out := must(c.CallApi(&openapi.Params{
			Action: new("ListKeys"), Version: new("2016-01-20"), Protocol: new("HTTP"), Pathname: new("/"), Method: &row.method,
			AuthType: new("AK"), Style: new("RPC"), ReqBodyType: new("formData"), BodyType: new("json"),
		}, row.in, &util.RuntimeOptions{}))(t)
		if body, _ := out["body"].(map[string]any); fmt.Sprint(body["PageSize"]) != "7" {
			t.Errorf("the answer to %s is %v", row.method, out["body"])
		}
	}
}
