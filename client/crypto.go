package client

import (
	"context"

	"github.com/keyward/keyward/api"
)

// Encrypt encrypts with the primary version of a symmetric key.
func (c *Client) Encrypt(ctx context.Context, in api.EncryptRequest) (api.Encrypted, error) {
	return call[api.Encrypted](ctx, c.server, "POST", at("crypto", "encrypt"), in)
}

// Decrypt decrypts what Encrypt, ReEncrypt or GenerateDataKey answered.
func (c *Client) Decrypt(ctx context.Context, in api.DecryptRequest) (api.Decrypted, error) {
	return call[api.Decrypted](ctx, c.server, "POST", at("crypto", "decrypt"), in)
}

// EncryptBatch encrypts up to 100 plaintexts in one request. Items fail one by one: look at the
// Error of each.
func (c *Client) EncryptBatch(ctx context.Context, in api.EncryptBatchRequest) (api.EncryptedBatch, error) {
	return call[api.EncryptedBatch](ctx, c.server, "POST", at("crypto", "encrypt-batch"), in)
}

// DecryptBatch decrypts up to 100 ciphertexts of one key in one request. Items fail one by one:
// look at the Error of each.
func (c *Client) DecryptBatch(ctx context.Context, in api.DecryptBatchRequest) (api.DecryptedBatch, error) {
	return call[api.DecryptedBatch](ctx, c.server, "POST", at("crypto", "decrypt-batch"), in)
}

// ReEncrypt decrypts with one key and encrypts with another; the plaintext stays there.
func (c *Client) ReEncrypt(ctx context.Context, in api.ReEncryptRequest) (api.Encrypted, error) {
	return call[api.Encrypted](ctx, c.server, "POST", at("crypto", "reencrypt"), in)
}

// GenerateDataKey makes random bytes and answers them in the clear and encrypted.
func (c *Client) GenerateDataKey(ctx context.Context, in api.DataKeyRequest) (api.DataKey, error) {
	return call[api.DataKey](ctx, c.server, "POST", at("crypto", "datakey"), in)
}

// GenerateDataKeyWithoutPlaintext makes random bytes and answers them encrypted only.
func (c *Client) GenerateDataKeyWithoutPlaintext(ctx context.Context, in api.DataKeyRequest) (api.Encrypted, error) {
	return call[api.Encrypted](ctx, c.server, "POST", at("crypto", "datakey-without-plaintext"), in)
}

// ExportDataKey answers a data key under a public key of the caller's.
func (c *Client) ExportDataKey(ctx context.Context, in api.ExportDataKeyRequest) (api.ExportedDataKey, error) {
	return call[api.ExportedDataKey](ctx, c.server, "POST", at("crypto", "export-datakey"), in)
}

// GenerateAndExportDataKey makes random bytes and answers them encrypted, and under a public key
// of the caller's.
func (c *Client) GenerateAndExportDataKey(ctx context.Context, in api.GenerateAndExportDataKeyRequest) (api.ExportedDataKey, error) {
	return call[api.ExportedDataKey](ctx, c.server, "POST", at("crypto", "generate-and-export-datakey"), in)
}

// Sign signs a digest.
func (c *Client) Sign(ctx context.Context, in api.SignRequest) (api.Signature, error) {
	return call[api.Signature](ctx, c.server, "POST", at("crypto", "sign"), in)
}

// Verify tells whether a signature of a digest is valid.
func (c *Client) Verify(ctx context.Context, in api.VerifyRequest) (api.Verification, error) {
	return call[api.Verification](ctx, c.server, "POST", at("crypto", "verify"), in)
}

// AsymmetricEncrypt encrypts with the public half of an asymmetric key.
func (c *Client) AsymmetricEncrypt(ctx context.Context, in api.AsymmetricEncryptRequest) (api.Encrypted, error) {
	return call[api.Encrypted](ctx, c.server, "POST", at("crypto", "asymmetric-encrypt"), in)
}

// AsymmetricDecrypt decrypts with the private half of an asymmetric key.
func (c *Client) AsymmetricDecrypt(ctx context.Context, in api.AsymmetricDecryptRequest) (api.Decrypted, error) {
	return call[api.Decrypted](ctx, c.server, "POST", at("crypto", "asymmetric-decrypt"), in)
}

// GenerateMAC makes the message authentication code of a message.
func (c *Client) GenerateMAC(ctx context.Context, in api.MACRequest) (api.MAC, error) {
	return call[api.MAC](ctx, c.server, "POST", at("crypto", "mac"), in)
}

// VerifyMAC tells whether a message authentication code is that of a message.
func (c *Client) VerifyMAC(ctx context.Context, in api.VerifyMACRequest) (api.MACVerification, error) {
	return call[api.MACVerification](ctx, c.server, "POST", at("crypto", "verify-mac"), in)
}

// GenerateRandom answers random bytes.
func (c *Client) GenerateRandom(ctx context.Context, in api.RandomRequest) (api.Random, error) {
	return call[api.Random](ctx, c.server, "POST", at("crypto", "random"), in)
}
