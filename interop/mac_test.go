package interop_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
	util "github.com/alibabacloud-go/tea-utils/v2/service"
)

// askGeneric has the SDK call an operation that its version has no method for.
func askGeneric(c *kms.Client, action string, query map[string]string) (map[string]any, error) {
	in := &openapi.OpenApiRequest{Query: map[string]*string{}}
	for name, value := range query {
		in.Query[name] = &value
	}
	out, err := c.CallApi(&openapi.Params{
		Action: &action, Version: new("2016-01-20"), Protocol: new("HTTP"), Pathname: new("/"), Method: new("POST"),
		AuthType: new("AK"), Style: new("RPC"), ReqBodyType: new("formData"), BodyType: new("json"),
	}, in, &util.RuntimeOptions{})
	if err != nil {
		return nil, err
	}
	return out["body"].(map[string]any), nil
}

// TestMAC makes and verifies MACs through the SDK's general call: no version that can be had as
// a module has their methods.
func TestMAC(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		for _, spec := range []string{"HMAC_SHA_224", "HMAC_SHA_256", "HMAC_SHA_384", "HMAC_SHA_512", "HMAC_SM3"} {
			k := create(t, c, spec, "")
			if usage := *describe(t, c, k.id).KeyUsage; usage != "GENERATE/VERIFY_MAC" {
				t.Errorf("a key of spec %s is for %s", spec, usage)
			}
			in := map[string]string{"KeyId": k.arn, "Algorithm": spec, "Message": *encoded("a message")}
			made := must(askGeneric(c, "GenerateMac", in))(t)
			if made["KeyId"] != k.id || made["Algorithm"] != spec {
				t.Errorf("GenerateMac with %s answers %v", spec, made)
			}
			in["Mac"] = made["Mac"].(string)
			verified := must(askGeneric(c, "VerifyMac", in))(t)
			if verified["Value"] != true || verified["KeyId"] != k.id || verified["Algorithm"] != spec {
				t.Errorf("VerifyMac with %s answers %v", spec, verified)
			}
			in["Message"] = *encoded("another")
			if verified = must(askGeneric(c, "VerifyMac", in))(t); verified["Value"] != false {
				t.Errorf("VerifyMac of another message answers %v", verified)
			}
			delete(in, "Mac")
			in["DryRun"] = "true"
			refused(askGeneric(c, "GenerateMac", in))(t, 400, "DryRunOperationError")
			in["Algorithm"] = "HMAC_MD5"
			delete(in, "DryRun")
			refused(askGeneric(c, "GenerateMac", in))(t, 400, unsupportedOperation)
		}
	})
}

// TestImportedMAC imports a key and compares its MAC with that of the standard library.
func TestImportedMAC(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		k := must(c.CreateKey(&kms.CreateKeyRequest{KeySpec: new("HMAC_SHA_256"), Origin: new("EXTERNAL")}))(t).Body.KeyMetadata
		secret := []byte("an obviously fake key, 32 bytes.")
		must(c.ImportKeyMaterial(wrapped(t, c, *k.KeyId, "RSAES_OAEP_SHA_256", func(to *rsa.PublicKey) []byte {
			return must(rsa.EncryptOAEP(sha256.New(), rand.Reader, to, secret, nil))(t)
		})))(t)
		h := hmac.New(sha256.New, secret)
		h.Write([]byte("a message"))
		made := must(askGeneric(c, "GenerateMac", map[string]string{"KeyId": *k.KeyId, "Algorithm": "HMAC_SHA_256", "Message": *encoded("a message")}))(t)
		if made["Mac"] != *encoded(h.Sum(nil)) {
			t.Errorf("an imported key makes another MAC: %v", made["Mac"])
		}
	})
}
