package interop_test

import (
	"encoding/xml"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	classic "github.com/aliyun/alibaba-cloud-sdk-go/services/kms"
	"github.com/google/go-cmp/cmp"
)

// An older is the classic SDK, told how to call.
type older struct {
	*classic.Client
	account
	method, format string
}

// try fills a request in, sends it, and answers what came back.
func try[R, A any](x *older, create func() *R, call func(*R) (*A, error), fill func(*R)) (*A, error) {
	r := create()
	// Every request of the SDK embeds its base, and there is no other way to these settings.
	base := reflect.ValueOf(r).Elem().FieldByName("RpcRequest").Interface().(*requests.RpcRequest)
	base.Scheme, base.Domain, base.Method, base.AcceptFormat, base.ReadTimeout = "http", x.address, x.method, x.format, time.Minute
	fill(r)
	return call(r)
}

// ask is try for a call that has to succeed.
func ask[R, A any](t *testing.T, x *older, create func() *R, call func(*R) (*A, error), fill func(*R)) *A {
	t.Helper()
	return must(try(x, create, call, fill))(t)
}

// TestClassicSDK calls every operation by the classic SDK.
func TestClassicSDK(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for _, method := range []string{"GET", "POST"} {
			for _, format := range []string{"JSON", "XML"} {
				t.Run(method+" "+format, func(t *testing.T) {
					a := s.account(t)
					x := &older{must(classic.NewClientWithAccessKey(region, a.id, a.secret))(t), a, method, format}
					classicLife(t, x)
					classicAliases(t, x)
					classicTags(t, x)
					classicVersions(t, x)
					classicEncryption(t, x)
					classicSignature(t, x)
					classicPublicKey(t, x)
					classicErrors(t, x)
				})
			}
		}
	})
}

// make creates a key of a spec.
func (x *older) make(t *testing.T, spec, usage string) classic.KeyMetadata {
	t.Helper()
	return ask(t, x, classic.CreateCreateKeyRequest, x.CreateKey, func(r *classic.CreateKeyRequest) { r.KeySpec, r.KeyUsage = spec, usage }).KeyMetadata
}

func (x *older) describe(t *testing.T, id string) classic.KeyMetadata {
	t.Helper()
	return ask(t, x, classic.CreateDescribeKeyRequest, x.DescribeKey, func(r *classic.DescribeKeyRequest) { r.KeyId = id }).KeyMetadata
}

func classicLife(t *testing.T, x *older) {
	k := ask(t, x, classic.CreateCreateKeyRequest, x.CreateKey, func(r *classic.CreateKeyRequest) {
		r.Description, r.EnableAutomaticRotation, r.RotationInterval = "a b*c~d/é <&>", "true", "30d"
		r.Tags, r.ProtectionLevel, r.Origin = `[{"TagKey":"team","TagValue":"pay"}]`, "SOFTWARE", "Aliyun_KMS"
	})
	if m := k.KeyMetadata; m.KeyState != "Enabled" || m.Description != "a b*c~d/é <&>" || m.RotationInterval != "2592000s" || !requestIDPattern.MatchString(k.RequestId) {
		t.Errorf("the new key is %+v", k)
	}
	id := k.KeyMetadata.KeyId
	ask(t, x, classic.CreateUpdateKeyDescriptionRequest, x.UpdateKeyDescription, func(r *classic.UpdateKeyDescriptionRequest) { r.KeyId, r.Description = id, "第二" })
	ask(t, x, classic.CreateDisableKeyRequest, x.DisableKey, func(r *classic.DisableKeyRequest) { r.KeyId = id })
	if m := x.describe(t, id); m.KeyState != "Disabled" || m.AutomaticRotation != "Suspended" || m.Description != "第二" {
		t.Errorf("the disabled key is %+v", m)
	}
	ask(t, x, classic.CreateEnableKeyRequest, x.EnableKey, func(r *classic.EnableKeyRequest) { r.KeyId = id })
	protect := func(on requests.Boolean) {
		ask(t, x, classic.CreateSetDeletionProtectionRequest, x.SetDeletionProtection, func(r *classic.SetDeletionProtectionRequest) {
			r.ProtectedResourceArn, r.EnableDeletionProtection, r.DeletionProtectionDescription = k.KeyMetadata.Arn, on, "keep"
		})
	}
	protect("true")
	if m := x.describe(t, id); m.DeletionProtection != "Enabled" || m.DeletionProtectionDescription != "keep" {
		t.Errorf("the protected key is %+v", m)
	}
	protect("false")
	ask(t, x, classic.CreateScheduleKeyDeletionRequest, x.ScheduleKeyDeletion, func(r *classic.ScheduleKeyDeletionRequest) { r.KeyId, r.PendingWindowInDays = id, "7" })
	if m := x.describe(t, id); m.KeyState != "PendingDeletion" || m.DeleteDate == "" {
		t.Errorf("the key that is to be deleted is %+v", m)
	}
	ask(t, x, classic.CreateCancelKeyDeletionRequest, x.CancelKeyDeletion, func(r *classic.CancelKeyDeletionRequest) { r.KeyId = id })
	list := ask(t, x, classic.CreateListKeysRequest, x.ListKeys, func(r *classic.ListKeysRequest) {
		r.Filters, r.PageNumber, r.PageSize = filter(t, "KeyState", []string{"Enabled"}), "1", "5"
	})
	if diff := cmp.Diff([]classic.Key{{KeyId: id, KeyArn: k.KeyMetadata.Arn}}, list.Keys.Key); diff != "" || list.TotalCount != 1 || list.PageSize != 5 || list.PageNumber != 1 {
		t.Errorf("%d keys (-want +got):\n%s", list.TotalCount, diff)
	}
}

func classicAliases(t *testing.T, x *older) {
	one, two := x.make(t, "", ""), x.make(t, "", "")
	ask(t, x, classic.CreateCreateAliasRequest, x.CreateAlias, func(r *classic.CreateAliasRequest) { r.AliasName, r.KeyId = "alias/a", one.KeyId })
	ask(t, x, classic.CreateUpdateAliasRequest, x.UpdateAlias, func(r *classic.UpdateAliasRequest) { r.AliasName, r.KeyId = "alias/a", two.KeyId })
	want := []classic.Alias{{AliasName: "alias/a", AliasArn: strings.Replace(two.Arn, "key/"+two.KeyId, "alias/a", 1), KeyId: two.KeyId}}
	all := ask(t, x, classic.CreateListAliasesRequest, x.ListAliases, func(r *classic.ListAliasesRequest) {})
	if diff := cmp.Diff(want, all.Aliases.Alias); diff != "" || all.TotalCount != 1 {
		t.Errorf("%d aliases (-want +got):\n%s", all.TotalCount, diff)
	}
	of := ask(t, x, classic.CreateListAliasesByKeyIdRequest, x.ListAliasesByKeyId, func(r *classic.ListAliasesByKeyIdRequest) { r.KeyId = two.KeyId })
	if diff := cmp.Diff(want, of.Aliases.Alias); diff != "" || of.TotalCount != 1 {
		t.Errorf("%d aliases of the key (-want +got):\n%s", of.TotalCount, diff)
	}
	ask(t, x, classic.CreateDeleteAliasRequest, x.DeleteAlias, func(r *classic.DeleteAliasRequest) { r.AliasName = "alias/a" })
}

func classicTags(t *testing.T, x *older) {
	k := x.make(t, "", "")
	check := func(want ...string) {
		t.Helper()
		got := []string{}
		for _, tag := range ask(t, x, classic.CreateListResourceTagsRequest, x.ListResourceTags, func(r *classic.ListResourceTagsRequest) { r.KeyId = k.KeyId }).Tags.Tag {
			got = append(got, tag.TagKey+"="+tag.TagValue)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("tags (-want +got):\n%s", diff)
		}
	}
	ask(t, x, classic.CreateTagResourceRequest, x.TagResource, func(r *classic.TagResourceRequest) { r.KeyId, r.Tags = k.KeyId, `[{"TagKey":"a","TagValue":"1"}]` })
	ask(t, x, classic.CreateTagResourcesRequest, x.TagResources, func(r *classic.TagResourcesRequest) {
		r.ResourceType, r.ResourceId, r.Tag = "key", &[]string{k.KeyId}, &[]classic.TagResourcesTag{{Key: "b", Value: "2"}, {Key: "c", Value: "3"}}
	})
	check("a=1", "b=2", "c=3")
	found := ask(t, x, classic.CreateListTagResourcesRequest, x.ListTagResources, func(r *classic.ListTagResourcesRequest) {
		r.ResourceType, r.Tag = "key", &[]classic.ListTagResourcesTag{{Key: "b", Value: "2"}}
	})
	want := []classic.TagResource{}
	for i, name := range []string{"a", "b", "c"} {
		want = append(want, classic.TagResource{ResourceType: "key", ResourceId: k.KeyId, TagKey: name, TagValue: fmt.Sprint(i + 1)})
	}
	if diff := cmp.Diff(want, found.TagResources.TagResource); diff != "" || found.NextToken != "" {
		t.Errorf("tagged resources (-want +got):\n%s", diff)
	}
	ask(t, x, classic.CreateUntagResourceRequest, x.UntagResource, func(r *classic.UntagResourceRequest) { r.KeyId, r.TagKeys = k.KeyId, `["a"]` })
	ask(t, x, classic.CreateUntagResourcesRequest, x.UntagResources, func(r *classic.UntagResourcesRequest) {
		r.ResourceType, r.ResourceId, r.TagKey = "key", &[]string{k.KeyId}, &[]string{"b"}
	})
	check("c=3")
}

func classicVersions(t *testing.T, x *older) {
	k := x.make(t, "", "")
	list := ask(t, x, classic.CreateListKeyVersionsRequest, x.ListKeyVersions, func(r *classic.ListKeyVersionsRequest) { r.KeyId = k.KeyId })
	one := ask(t, x, classic.CreateDescribeKeyVersionRequest, x.DescribeKeyVersion, func(r *classic.DescribeKeyVersionRequest) { r.KeyId, r.KeyVersionId = k.KeyId, k.PrimaryKeyVersion })
	want := classic.KeyVersion{KeyId: k.KeyId, KeyVersionId: k.PrimaryKeyVersion, CreationDate: k.CreationDate}
	if diff := cmp.Diff([]classic.KeyVersion{want, want}, append(list.KeyVersions.KeyVersion, one.KeyVersion)); diff != "" || list.TotalCount != 1 {
		t.Errorf("%d versions (-want +got):\n%s", list.TotalCount, diff)
	}
	ask(t, x, classic.CreateUpdateRotationPolicyRequest, x.UpdateRotationPolicy, func(r *classic.UpdateRotationPolicyRequest) {
		r.KeyId, r.EnableAutomaticRotation, r.RotationInterval = k.KeyId, "true", "7d"
	})
	if m := x.describe(t, k.KeyId); m.RotationInterval != "604800s" {
		t.Errorf("the key that rotates is %+v", m)
	}
	_, err := try(x, classic.CreateCreateKeyVersionRequest, x.CreateKeyVersion, func(r *classic.CreateKeyVersionRequest) { r.KeyId = k.KeyId })
	x.refused(t, err, 400, unsupportedOperation)
	regions := ask(t, x, classic.CreateDescribeRegionsRequest, x.DescribeRegions, func(*classic.DescribeRegionsRequest) {}).Regions.Region
	status := ask(t, x, classic.CreateDescribeAccountKmsStatusRequest, x.DescribeAccountKmsStatus, func(*classic.DescribeAccountKmsStatusRequest) {})
	if len(regions) != 1 || regions[0].RegionId != region || status.AccountStatus != "Enabled" {
		t.Errorf("the regions are %v, the status is %s", regions, status.AccountStatus)
	}
}

func classicEncryption(t *testing.T, x *older) {
	k, other := x.make(t, "", ""), x.make(t, sm4Spec, "")
	const bound = `{"app":"billing","区":"杭州"}`
	decrypt := func(blob string) string {
		t.Helper()
		return ask(t, x, classic.CreateDecryptRequest, x.Decrypt, func(r *classic.DecryptRequest) { r.CiphertextBlob, r.EncryptionContext = blob, bound }).Plaintext
	}
	sealed := ask(t, x, classic.CreateEncryptRequest, x.Encrypt, func(r *classic.EncryptRequest) {
		r.KeyId, r.Plaintext, r.EncryptionContext = k.KeyId, *encoded("secret"), bound
	})
	if sealed.KeyId != k.KeyId || sealed.KeyVersionId != k.PrimaryKeyVersion || decrypt(sealed.CiphertextBlob) != *encoded("secret") {
		t.Errorf("encrypted with %s, version %s", sealed.KeyId, sealed.KeyVersionId)
	}
	moved := ask(t, x, classic.CreateReEncryptRequest, x.ReEncrypt, func(r *classic.ReEncryptRequest) {
		r.CiphertextBlob, r.SourceEncryptionContext, r.DestinationKeyId, r.DestinationEncryptionContext = sealed.CiphertextBlob, bound, other.KeyId, bound
	})
	if moved.KeyId != other.KeyId || decrypt(moved.CiphertextBlob) != *encoded("secret") {
		t.Errorf("re-encrypted with %s", moved.KeyId)
	}
	made := ask(t, x, classic.CreateGenerateDataKeyRequest, x.GenerateDataKey, func(r *classic.GenerateDataKeyRequest) {
		r.KeyId, r.NumberOfBytes, r.EncryptionContext = k.KeyId, "24", bound
	})
	if decrypt(made.CiphertextBlob) != made.Plaintext || len(decoded(t, &made.Plaintext)) != 24 {
		t.Errorf("the data key is %q", made.Plaintext)
	}
	hidden := ask(t, x, classic.CreateGenerateDataKeyWithoutPlaintextRequest, x.GenerateDataKeyWithoutPlaintext, func(r *classic.GenerateDataKeyWithoutPlaintextRequest) {
		r.KeyId, r.KeySpec, r.EncryptionContext = k.KeyId, "AES_128", bound
	})
	if plain := decrypt(hidden.CiphertextBlob); len(decoded(t, &plain)) != 16 {
		t.Errorf("the data key is %q", plain)
	}
}

func classicSignature(t *testing.T, x *older) {
	k := x.make(t, p256, "")
	sum := encoded(make([]byte, 32))
	sig := ask(t, x, classic.CreateAsymmetricSignRequest, x.AsymmetricSign, func(r *classic.AsymmetricSignRequest) {
		r.KeyId, r.KeyVersionId, r.Algorithm, r.Digest = k.KeyId, k.PrimaryKeyVersion, "ECDSA_SHA_256", *sum
	})
	for digest, want := range map[string]bool{*sum: true, *encoded(strings.Repeat("x", 32)): false} {
		got := ask(t, x, classic.CreateAsymmetricVerifyRequest, x.AsymmetricVerify, func(r *classic.AsymmetricVerifyRequest) {
			r.KeyId, r.KeyVersionId, r.Algorithm, r.Digest, r.Value = k.KeyId, k.PrimaryKeyVersion, "ECDSA_SHA_256", digest, sig.Value
		})
		if got.Value != want {
			t.Errorf("verified as %v, want %v", got.Value, want)
		}
	}
	public := ask(t, x, classic.CreateGetPublicKeyRequest, x.GetPublicKey, func(r *classic.GetPublicKeyRequest) { r.KeyId, r.KeyVersionId = k.KeyId, k.PrimaryKeyVersion })
	if !strings.HasPrefix(public.PublicKey, "-----BEGIN PUBLIC KEY-----\n") {
		t.Errorf("the public key is %q", public.PublicKey)
	}
}

func classicPublicKey(t *testing.T, x *older) {
	k := x.make(t, sm2Spec, encryptDecrypt)
	sealed := ask(t, x, classic.CreateAsymmetricEncryptRequest, x.AsymmetricEncrypt, func(r *classic.AsymmetricEncryptRequest) {
		r.KeyId, r.KeyVersionId, r.Algorithm, r.Plaintext = k.KeyId, k.PrimaryKeyVersion, "SM2PKE", *encoded("x")
	})
	opened := ask(t, x, classic.CreateAsymmetricDecryptRequest, x.AsymmetricDecrypt, func(r *classic.AsymmetricDecryptRequest) {
		r.KeyId, r.KeyVersionId, r.Algorithm, r.CiphertextBlob = k.KeyId, k.PrimaryKeyVersion, "SM2PKE", sealed.CiphertextBlob
	})
	if opened.Plaintext != *encoded("x") {
		t.Errorf("decrypted %q", opened.Plaintext)
	}
}

func classicErrors(t *testing.T, x *older) {
	describe := func(x *older, id string) error {
		return outcome(try(x, classic.CreateDescribeKeyRequest, x.DescribeKey, func(r *classic.DescribeKeyRequest) { r.KeyId = id }))
	}
	x.refused(t, describe(x, "key-none"), 404, keyNotFound)
	x.refused(t, describe(x, "alias/none"), 404, aliasNotFound)
	x.refused(t, describe(x, ""), 400, missingParameter)
	forger := *x
	forger.Client = must(classic.NewClientWithAccessKey(region, x.id, "wrong"))(t)
	x.refused(t, describe(&forger, "key-none"), 400, "SignatureDoesNotMatch")
}

// refused checks an error. The SDK reads errors in JSON only; those in XML it hands on.
func (x *older) refused(t *testing.T, err error, status int, code string) {
	t.Helper()
	got := refusalOf(err)
	if x.format == "XML" {
		var body struct {
			XMLName                                     xml.Name `xml:"Error"`
			RequestId, HostId, Code, Message, Recommend string
		}
		_, text, _ := strings.Cut(err.Error(), "Message: ")
		text, _, _ = strings.Cut(text, "\nRespHeaders: ")
		if err := xml.Unmarshal([]byte(text), &body); err != nil || body.Message == "" || body.HostId != x.address || !requestIDPattern.MatchString(body.RequestId) {
			t.Errorf("the error is %q: %v", text, err)
		}
		got.code = body.Code
	}
	if want := (refusal{status, code}); got != want {
		t.Errorf("the call is refused with %v, want %v: %v", got, want, err)
	}
}
