package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"net/url"

	"github.com/keyward/keyward/api"
)

// An operation is one row of the plan.
type operation struct {
	name   string // as the table calls it
	action string // as the API calls it
	sts    bool   // of the Security Token Service's API, not of KMS's
	params func(keyset) url.Values
	// paths are those of an operation of the REST dialect, which has neither action nor params.
	paths func(keyset) []string
	// ruled has a user call for whom 50 statements are evaluated.
	ruled bool
	// offered is set for Encrypt of the XKS Proxy API, which has none of these either.
	offered bool
	// hardware is set for what a key in a hardware token does.
	hardware bool
	// primitive makes the bare computation where that is what the operation costs.
	primitive func() (func() error, error)
}

// A keyset is what the operations of one server work with.
type keyset struct {
	symmetric, p256, rsa api.Key
	hardware             api.Key  // RSA in a token, if there is one
	external             api.Key  // at the server itself
	ciphertext           []byte   // of payload
	secrets              []string // names
	role                 string   // ARN
	offer                api.OfferCredential
}

// payload is 32 bytes: what is encrypted, and the digest that is signed.
var payload = []byte("thirty-two bytes, and not secret")

var operations = []operation{
	{name: "Encrypt", action: "Encrypt", params: func(k keyset) url.Values {
		return url.Values{"KeyId": {k.symmetric.ID}, "Plaintext": {encoded(payload)}}
	}},
	{name: "Encrypt50Statements", action: "Encrypt", ruled: true, params: func(k keyset) url.Values {
		return url.Values{"KeyId": {k.symmetric.ID}, "Plaintext": {encoded(payload)}}
	}},
	{name: "Decrypt", action: "Decrypt", params: func(k keyset) url.Values {
		return url.Values{"CiphertextBlob": {encoded(k.ciphertext)}}
	}},
	{name: "XksEncrypt", offered: true},
	// With a key for which one at a manager works, too: that manager is the server itself, which
	// encrypts and decrypts for it over the XKS Proxy API.
	{name: "ExternalEncrypt", action: "Encrypt", params: func(k keyset) url.Values {
		return url.Values{"KeyId": {k.external.ID}, "Plaintext": {encoded(payload)}}
	}},
	{name: "GenerateDataKey", action: "GenerateDataKey", params: func(k keyset) url.Values {
		return url.Values{"KeyId": {k.symmetric.ID}, "KeySpec": {"AES_256"}}
	}},
	{name: "SignP256", action: "AsymmetricSign", params: func(k keyset) url.Values {
		return signParams(k.p256, "ECDSA_SHA_256")
	}},
	{name: "SignRSA2048", action: "AsymmetricSign", primitive: signRSA, params: func(k keyset) url.Values {
		return signParams(k.rsa, "RSA_PKCS1_SHA_256")
	}},
	// In a token of SoftHSM 2, before which the helper stands: three processes have a part in it.
	{name: "SignRSA2048Hardware", action: "AsymmetricSign", hardware: true, primitive: signRSA, params: func(k keyset) url.Values {
		return signParams(k.hardware, "RSA_PKCS1_SHA_256")
	}},
	{name: "AssumeRole", action: "AssumeRole", sts: true, params: func(k keyset) url.Values {
		return url.Values{"RoleArn": {k.role}, "RoleSessionName": {"bench"}}
	}},
	{name: "GetSecretValue", paths: func(k keyset) []string {
		paths := make([]string, len(k.secrets))
		for i, name := range k.secrets {
			paths[i] = "/v1/secrets/" + name + "/value"
		}
		return paths
	}},
}

func operationNames() []string {
	var names []string
	for _, o := range operations {
		names = append(names, o.name)
	}
	return names
}

func encoded(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func signParams(k api.Key, algorithm string) url.Values {
	return url.Values{"KeyId": {k.ID}, "KeyVersionId": {k.PrimaryVersion}, "Algorithm": {algorithm}, "Digest": {encoded(payload)}}
}

func signRSA() (func() error, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	return func() error {
		_, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, payload)
		return err
	}, nil
}
