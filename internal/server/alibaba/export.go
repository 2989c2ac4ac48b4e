package alibaba

import (
	"context"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/server/alibaba/rpc"
)

func export(v *rpc.Values) cryptography.Export {
	return cryptography.Export{PublicKey: v.Binary("PublicKeyBlob"), Wrapping: wrapping(v)}
}

func exportDataKey(d *Dialect, c *authz.Call, v *rpc.Values) act {
	in := cryptography.ExportInput{Ciphertext: v.Binary("CiphertextBlob"), Context: v.Context("EncryptionContext"), To: export(v), DryRun: v.Dry()}
	return func(ctx context.Context) (rpc.Response, error) {
		out, err := d.Crypto.ExportDataKey(ctx, c, in)
		return &struct {
			rpc.Reply
			KeyId           string
			KeyVersionId    string
			ExportedDataKey rpc.Binary
		}{KeyId: string(out.Key), KeyVersionId: string(out.Version), ExportedDataKey: out.Wrapped}, err
	}
}

func generateAndExportDataKey(d *Dialect, c *authz.Call, v *rpc.Values) act {
	in, to := dataKeyInput(v), export(v)
	return func(ctx context.Context) (rpc.Response, error) {
		out, err := d.Crypto.GenerateAndExportDataKey(ctx, c, in, to)
		return &struct {
			rpc.Reply
			KeyId           string
			KeyVersionId    string
			CiphertextBlob  rpc.Binary
			ExportedDataKey rpc.Binary
		}{KeyId: string(out.Key), KeyVersionId: string(out.Version), CiphertextBlob: out.Blob, ExportedDataKey: out.Wrapped}, err
	}
}
