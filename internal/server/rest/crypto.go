package rest

import (
	"cmp"
	"context"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/server/rest/words"
	"github.com/keyward/keyward/internal/server/wire"
)

func cryptoRoutes() []route {
	return []route{
		{"POST", "/v1/crypto/encrypt", "Encrypt", "kms:Encrypt", "Encrypts with the primary version of a symmetric key.", takes((*dialect).encrypt)},
		{"POST", "/v1/crypto/decrypt", "Decrypt", "kms:Decrypt", "Decrypts what was encrypted with a symmetric key.", takes((*dialect).decrypt)},
		{"POST", "/v1/crypto/encrypt-batch", "EncryptBatch", "kms:Encrypt", "Encrypts up to 100 plaintexts with one key; each fails alone.", takes((*dialect).encryptBatch)},
		{"POST", "/v1/crypto/decrypt-batch", "DecryptBatch", "kms:Decrypt", "Decrypts up to 100 ciphertexts of one key; each fails alone.", takes((*dialect).decryptBatch)},
		{"POST", "/v1/crypto/reencrypt", "ReEncrypt", "kms:ReEncryptTo", "Decrypts with one key and encrypts with another; the plaintext stays in the server. Needs kms:ReEncryptFrom on the source, too.", takes((*dialect).reEncrypt)},
		{"POST", "/v1/crypto/datakey", "GenerateDataKey", "kms:GenerateDataKey", "Makes random bytes and answers them in the clear and encrypted.", takes((*dialect).dataKey)},
		{"POST", "/v1/crypto/datakey-without-plaintext", "GenerateDataKeyWithoutPlaintext", "kms:GenerateDataKeyWithoutPlaintext", "Makes random bytes and answers them encrypted only.", takes((*dialect).dataKeyWithoutPlaintext)},
		{"POST", "/v1/crypto/export-datakey", "ExportDataKey", "kms:ExportDataKey", "Answers a data key under a public key of the caller's.", takes((*dialect).exportDataKey)},
		{"POST", "/v1/crypto/generate-and-export-datakey", "GenerateAndExportDataKey", "kms:GenerateAndExportDataKey", "Makes random bytes and answers them encrypted, and under a public key of the caller's.", takes((*dialect).generateAndExportDataKey)},
		{"POST", "/v1/crypto/sign", "Sign", "kms:AsymmetricSign", "Signs a digest.", takes((*dialect).sign)},
		{"POST", "/v1/crypto/verify", "Verify", "kms:AsymmetricVerify", "Tells whether a signature of a digest is valid.", takes((*dialect).verify)},
		{"POST", "/v1/crypto/asymmetric-encrypt", "AsymmetricEncrypt", "kms:AsymmetricEncrypt", "Encrypts with the public half of an asymmetric key.", takes((*dialect).asymmetricEncrypt)},
		{"POST", "/v1/crypto/asymmetric-decrypt", "AsymmetricDecrypt", "kms:AsymmetricDecrypt", "Decrypts with the private half of an asymmetric key.", takes((*dialect).asymmetricDecrypt)},
		{"POST", "/v1/crypto/mac", "GenerateMAC", "kms:GenerateMac", "Makes the message authentication code of a message.", takes((*dialect).mac)},
		{"POST", "/v1/crypto/verify-mac", "VerifyMAC", "kms:VerifyMac", "Tells whether a message authentication code is that of a message.", takes((*dialect).verifyMAC)},
		{"POST", "/v1/crypto/random", "GenerateRandom", "kms:GenerateRandom", "Answers random bytes.", takes((*dialect).random)},
	}
}

// defaultDataKey is how many bytes a data key has, or random bytes are, that were asked for
// without a size.
const defaultDataKey = 32

func (d *dialect) encrypt(ctx context.Context, q request, in api.EncryptRequest) (api.Encrypted, error) {
	out, err := d.Crypto.Encrypt(ctx, q.call, cryptography.EncryptInput{
		Key: in.Key, Plaintext: material.NewBytes(in.Plaintext), Context: in.Context, DryRun: in.DryRun,
	})
	return encrypted(out), err
}

func (d *dialect) decrypt(ctx context.Context, q request, in api.DecryptRequest) (api.Decrypted, error) {
	out, err := d.Crypto.Decrypt(ctx, q.call, cryptography.DecryptInput{Ciphertext: in.Ciphertext, Context: in.Context, DryRun: in.DryRun})
	return decrypted(out), err
}

func (d *dialect) encryptBatch(ctx context.Context, q request, in api.EncryptBatchRequest) (api.EncryptedBatch, error) {
	out, err := d.Crypto.EncryptBatch(ctx, q.call, cryptography.BatchInput{Key: in.Key, Context: in.Context, DryRun: in.DryRun},
		words.Each(in.Plaintexts, func(b api.SecretBytes) material.Bytes { return material.NewBytes(b) }))
	return api.EncryptedBatch{Key: string(out.Key), Version: string(out.Version), Items: words.Each(out.Items, func(i cryptography.Sealed) api.EncryptedItem {
		return api.EncryptedItem{Ciphertext: i.Blob, Error: itemError(q, i.Err)}
	})}, err
}

func (d *dialect) decryptBatch(ctx context.Context, q request, in api.DecryptBatchRequest) (api.DecryptedBatch, error) {
	out, err := d.Crypto.DecryptBatch(ctx, q.call, cryptography.BatchInput{Key: in.Key, Context: in.Context, DryRun: in.DryRun}, in.Ciphertexts)
	return api.DecryptedBatch{Key: string(out.Key), Items: words.Each(out.Items, func(i cryptography.Opened) api.DecryptedItem {
		return api.DecryptedItem{Version: string(i.Version), Plaintext: i.Data.Expose(), Error: itemError(q, i.Err)}
	})}, err
}

func itemError(q request, err error) *api.ItemError {
	if err == nil {
		return nil
	}
	return &api.ItemError{Code: string(fault.KindOf(err)), Detail: wire.Tell(q.header, err)}
}

func (d *dialect) reEncrypt(ctx context.Context, q request, in api.ReEncryptRequest) (api.Encrypted, error) {
	out, err := d.Crypto.ReEncrypt(ctx, q.call, cryptography.ReEncryptInput{
		Ciphertext: in.Ciphertext, SourceKey: in.SourceKey, SourceVersion: key.VersionID(in.SourceVersion),
		SourceAlgorithm: material.Algorithm(in.SourceAlgorithm), SourceContext: in.SourceContext,
		Destination: in.DestinationKey, DestinationContext: in.DestinationContext, DryRun: in.DryRun,
	})
	return encrypted(out), err
}

func (d *dialect) dataKey(ctx context.Context, q request, in api.DataKeyRequest) (api.DataKey, error) {
	out, err := d.Crypto.GenerateDataKey(ctx, q.call, dataKeyInput(in))
	return api.DataKey{
		Key: string(out.Key), Version: string(out.Version), Ciphertext: out.Blob, Plaintext: out.Plaintext.Expose(),
	}, err
}

func (d *dialect) dataKeyWithoutPlaintext(ctx context.Context, q request, in api.DataKeyRequest) (api.Encrypted, error) {
	out, err := d.Crypto.GenerateDataKeyWithoutPlaintext(ctx, q.call, dataKeyInput(in))
	return encrypted(out), err
}

func (d *dialect) exportDataKey(ctx context.Context, q request, in api.ExportDataKeyRequest) (api.ExportedDataKey, error) {
	out, err := d.Crypto.ExportDataKey(ctx, q.call, cryptography.ExportInput{
		Ciphertext: in.Ciphertext, Context: in.Context, DryRun: in.DryRun,
		To: cryptography.Export{PublicKey: in.PublicKey, Wrapping: material.Wrapping(in.Wrapping)},
	})
	return exported(out), err
}

func (d *dialect) generateAndExportDataKey(ctx context.Context, q request, in api.GenerateAndExportDataKeyRequest) (api.ExportedDataKey, error) {
	out, err := d.Crypto.GenerateAndExportDataKey(ctx, q.call,
		dataKeyInput(api.DataKeyRequest{Key: in.Key, Size: in.Size, Context: in.Context, DryRun: in.DryRun}),
		cryptography.Export{PublicKey: in.PublicKey, Wrapping: material.Wrapping(in.Wrapping)})
	return exported(out), err
}

func exported(e cryptography.ExportedDataKey) api.ExportedDataKey {
	return api.ExportedDataKey{Key: string(e.Key), Version: string(e.Version), Ciphertext: e.Blob, Wrapped: e.Wrapped}
}

func (d *dialect) sign(ctx context.Context, q request, in api.SignRequest) (api.Signature, error) {
	out, err := d.Crypto.AsymmetricSign(ctx, q.call, cryptography.AsymmetricInput{
		Key: in.Key, Version: key.VersionID(in.Version), Algorithm: material.Algorithm(in.Algorithm), DryRun: in.DryRun,
	}, in.Digest)
	return api.Signature{Key: string(out.Key), Version: string(out.Version), Signature: out.Value}, err
}

func (d *dialect) verify(ctx context.Context, q request, in api.VerifyRequest) (api.Verification, error) {
	out, err := d.Crypto.AsymmetricVerify(ctx, q.call, cryptography.AsymmetricInput{
		Key: in.Key, Version: key.VersionID(in.Version), Algorithm: material.Algorithm(in.Algorithm), DryRun: in.DryRun,
	}, in.Digest, in.Signature)
	return api.Verification{Key: string(out.Key), Version: string(out.Version), Valid: out.Valid}, err
}

func (d *dialect) asymmetricEncrypt(ctx context.Context, q request, in api.AsymmetricEncryptRequest) (api.Encrypted, error) {
	out, err := d.Crypto.AsymmetricEncrypt(ctx, q.call, cryptography.AsymmetricInput{
		Key: in.Key, Version: key.VersionID(in.Version), Algorithm: material.Algorithm(in.Algorithm), DryRun: in.DryRun,
	}, material.NewBytes(in.Plaintext))
	return encrypted(out), err
}

func (d *dialect) asymmetricDecrypt(ctx context.Context, q request, in api.AsymmetricDecryptRequest) (api.Decrypted, error) {
	out, err := d.Crypto.AsymmetricDecrypt(ctx, q.call, cryptography.AsymmetricInput{
		Key: in.Key, Version: key.VersionID(in.Version), Algorithm: material.Algorithm(in.Algorithm), DryRun: in.DryRun,
	}, in.Ciphertext)
	return decrypted(out), err
}

func (d *dialect) mac(ctx context.Context, q request, in api.MACRequest) (api.MAC, error) {
	out, err := d.Crypto.GenerateMAC(ctx, q.call, cryptography.MACInput{
		Key: in.Key, Algorithm: material.Algorithm(in.Algorithm), Message: material.NewBytes(in.Message), DryRun: in.DryRun,
	})
	return api.MAC{Key: string(out.Key), Version: string(out.Version), Algorithm: string(out.Algorithm), MAC: out.Value}, err
}

func (d *dialect) verifyMAC(ctx context.Context, q request, in api.VerifyMACRequest) (api.MACVerification, error) {
	out, err := d.Crypto.VerifyMAC(ctx, q.call, cryptography.MACInput{
		Key: in.Key, Algorithm: material.Algorithm(in.Algorithm), Message: material.NewBytes(in.Message), DryRun: in.DryRun,
	}, in.MAC)
	return api.MACVerification{Key: string(out.Key), Version: string(out.Version), Algorithm: string(out.Algorithm), Valid: out.Valid}, err
}

func (d *dialect) random(ctx context.Context, q request, in api.RandomRequest) (api.Random, error) {
	out, err := d.Crypto.Random(ctx, q.call, cmp.Or(in.Size, defaultDataKey))
	return api.Random{Bytes: out.Expose()}, err
}

func dataKeyInput(in api.DataKeyRequest) cryptography.DataKeyInput {
	return cryptography.DataKeyInput{Key: in.Key, Size: cmp.Or(in.Size, defaultDataKey), Context: in.Context, DryRun: in.DryRun}
}

func encrypted(c cryptography.Ciphertext) api.Encrypted {
	return api.Encrypted{Key: string(c.Key), Version: string(c.Version), Ciphertext: c.Blob}
}

func decrypted(p cryptography.Plaintext) api.Decrypted {
	return api.Decrypted{Key: string(p.Key), Version: string(p.Version), Plaintext: p.Data.Expose()}
}
