package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"net/url"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

// An operation is one row of the plan.
type operation struct {
	name   string // as the table calls it
	action string // as the API calls it
	params func(material) url.Values
	// primitive makes the bare computation where that is what the operation costs.
	primitive func() (func() error, error)
}

// material is what the operations of one server work with.
type material struct {
	symmetric, p256, rsa api.Key
	ciphertext           []byte // of payload
}

// payload is 32 bytes: what is encrypted, and the digest that is signed.
var payload = []byte("thirty-two bytes, and not secret")

var operations = []operation{
	{name: "Encrypt", action: "Encrypt", params: func(m material) url.Values {
		return url.Values{"KeyId": {m.symmetric.ID}, "Plaintext": {encoded(payload)}}
	}},
	{name: "Decrypt", action: "Decrypt", params: func(m material) url.Values {
		return url.Values{"CiphertextBlob": {encoded(m.ciphertext)}}
	}},
	{name: "GenerateDataKey", action: "GenerateDataKey", params: func(m material) url.Values {
		return url.Values{"KeyId": {m.symmetric.ID}, "KeySpec": {"AES_256"}}
	}},
	{name: "SignP256", action: "AsymmetricSign", params: func(m material) url.Values {
		return signParams(m.p256, "ECDSA_SHA_256")
	}},
	{name: "SignRSA2048", action: "AsymmetricSign", primitive: signRSA, params: func(m material) url.Values {
		return signParams(m.rsa, "RSA_PKCS1_SHA_256")
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

// prepare makes the keys, and a user who may use them but is not the root user, so that
// policies are evaluated.
func prepare(ctx context.Context, root *client.Client) (m material, caller api.IssuedAccessKey, err error) {
	for _, k := range []struct {
		key  *api.Key
		spec string
	}{{&m.symmetric, "Aliyun_AES_256"}, {&m.p256, "EC_P256"}, {&m.rsa, "RSA_2048"}} {
		if *k.key, err = root.CreateKey(ctx, api.CreateKeyRequest{Spec: k.spec}); err != nil {
			return material{}, api.IssuedAccessKey{}, fmt.Errorf("creating a key of spec %s: %w", k.spec, err)
		}
	}
	out, err := root.Encrypt(ctx, api.EncryptRequest{Key: m.symmetric.ID, Plaintext: payload})
	if err != nil {
		return material{}, api.IssuedAccessKey{}, fmt.Errorf("encrypting: %w", err)
	}
	m.ciphertext = out.Ciphertext
	const user = "bench"
	if _, err := root.CreateUser(ctx, api.CreateUserRequest{Name: user}); err != nil {
		return material{}, api.IssuedAccessKey{}, fmt.Errorf("creating the user: %w", err)
	}
	if err := root.AttachPolicy(ctx, user, "AliyunKMSCryptoUserAccess"); err != nil {
		return material{}, api.IssuedAccessKey{}, fmt.Errorf("attaching the policy: %w", err)
	}
	if caller, err = root.CreateAccessKey(ctx, user, api.CreateAccessKeyRequest{}); err != nil {
		return material{}, api.IssuedAccessKey{}, fmt.Errorf("creating the access key: %w", err)
	}
	return m, caller, nil
}
