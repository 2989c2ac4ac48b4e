package interop_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"testing"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
	"github.com/alibabacloud-go/tea/tea"
	classicerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
)

// Names of the API that the tests need again and again.
const (
	aes256         = "Aliyun_AES_256"
	aes192         = "Aliyun_AES_192"
	aes128         = "Aliyun_AES_128"
	sm4Spec        = "Aliyun_SM4"
	rsa2048        = "RSA_2048"
	rsa3072        = "RSA_3072"
	rsa4096        = "RSA_4096"
	p256           = "EC_P256"
	p256k          = "EC_P256K"
	sm2Spec        = "EC_SM2"
	encryptDecrypt = "ENCRYPT/DECRYPT"
	signVerify     = "SIGN/VERIFY"

	invalidParameter     = "InvalidParameter"
	missingParameter     = "MissingParameter"
	unsupportedOperation = "Rejected.UnsupportedOperation"
	keyNotFound          = "Forbidden.KeyNotFound"
	aliasNotFound        = "Forbidden.AliasNotFound"
	rejectedDisabled     = "Rejected.Disabled"
	rejectedPending      = "Rejected.PendingDeletion"
	stateModifiedFailed  = "Rejected.StateModifiedFailed"
	nonceUsed            = "SignatureNonceUsed"
)

// config is how the Go SDK is pointed at the server.
func (a account) config() *openapi.Config {
	return &openapi.Config{
		Endpoint: &a.address, Protocol: new("HTTP"), RegionId: new(region),
		AccessKeyId: &a.id, AccessKeySecret: &a.secret,
		ReadTimeout: new(60_000), // milliseconds: generating an RSA key takes seconds
	}
}

// sdk answers the Go SDK, version 3, as its documentation sets it up.
func (a account) sdk(t testing.TB) *kms.Client {
	t.Helper()
	return must(kms.NewClient(a.config()))(t)
}

// must answers what a call answered, which has to succeed.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// succeed checks an act that answers nothing else.
func succeed(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused checks that a call is refused with this HTTP status and error code.
func refused[T any](_ T, err error) func(t testing.TB, status int, code string) {
	return func(t testing.TB, status int, code string) {
		t.Helper()
		if got, want := refusalOf(err), (refusal{status, code}); got != want {
			t.Errorf("the call is refused with %v, want %v: %v", got, want, err)
		}
	}
}

// outcome keeps only whether a call succeeded.
func outcome[T any](_ T, err error) error { return err }

// A refusal is what a client's error type says about an answer of the server.
type refusal struct {
	status int
	code   string
}

func (r refusal) String() string { return fmt.Sprintf("%d %q", r.status, r.code) }

// refusalOf reads the error types of the Go SDKs. No error is the zero refusal.
func refusalOf(err error) refusal {
	var current *tea.SDKError
	var classic classicerrors.Error
	switch {
	case err == nil:
		return refusal{}
	case errors.As(err, &current):
		return refusal{tea.IntValue(current.StatusCode), tea.StringValue(current.Code)}
	case errors.As(err, &classic):
		return refusal{classic.HttpStatus(), classic.ErrorCode()}
	}
	return refusal{-1, err.Error()}
}

func encoded[T string | []byte](plain T) *string {
	return new(base64.StdEncoding.EncodeToString([]byte(plain)))
}

func decoded(t testing.TB, text *string) []byte {
	t.Helper()
	return must(base64.StdEncoding.DecodeString(tea.StringValue(text)))(t)
}

// A handle names a key and its first version.
type handle struct{ id, version, arn string }

// create makes a key of a spec; an empty usage is the spec's default.
func create(t testing.TB, c *kms.Client, spec, usage string) handle {
	t.Helper()
	in := &kms.CreateKeyRequest{KeySpec: &spec}
	if usage != "" {
		in.KeyUsage = &usage
	}
	m := must(c.CreateKey(in))(t).Body.KeyMetadata
	return handle{*m.KeyId, *m.PrimaryKeyVersion, *m.Arn}
}

// describe answers the metadata of a key.
func describe(t testing.TB, c *kms.Client, id string) *kms.DescribeKeyResponseBodyKeyMetadata {
	t.Helper()
	return must(c.DescribeKey(&kms.DescribeKeyRequest{KeyId: &id}))(t).Body.KeyMetadata
}
