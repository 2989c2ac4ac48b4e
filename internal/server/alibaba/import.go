package alibaba

import (
	"context"
	"encoding/base64"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key/byok"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/server/alibaba/rpc"
)

func getParametersForImport(d *Dialect, c *authz.Call, v *rpc.Values) act {
	id, w := v.Need("KeyId"), wrapping(v)
	return func(ctx context.Context) (rpc.Response, error) {
		p, err := d.Imports.Parameters(ctx, c, id, w)
		return &struct {
			rpc.Reply
			ImportToken     rpc.Binary
			KeyId           string
			PublicKey       rpc.Binary
			TokenExpireTime string
		}{ImportToken: p.Token, KeyId: string(p.Key), PublicKey: p.PublicKey, TokenExpireTime: date(p.ExpireAt)}, err
	}
}

// wrapping reads how something is wrapped. The spec of the wrapping key says nothing more, but
// must not say anything else.
func wrapping(v *rpc.Values) material.Wrapping {
	w := material.Wrapping(v.Need("WrappingAlgorithm"))
	if spec := v.Need("WrappingKeySpec"); spec != "" && w.Key() != "" && spec != string(w.Key()) {
		v.Invalid("WrappingKeySpec", "It must be the one that goes with WrappingAlgorithm: RSA_2048 or EC_SM2.")
	}
	return w
}

func importKeyMaterial(d *Dialect, c *authz.Call, v *rpc.Values) act {
	text := v.Need("ImportToken")
	token, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		v.Fail(fault.InvalidImportToken.New("the import token is not base64; send the one that came with the public key"))
	}
	in := byok.Input{Key: v.Need("KeyId"), Token: token, Material: v.Binary("EncryptedKeyMaterial")}
	if unix := v.Integer("KeyMaterialExpireUnix", 0); unix != 0 { // 0 is never
		in.ExpireAt = time.Unix(int64(unix), 0)
	}
	return func(ctx context.Context) (rpc.Response, error) { return done(d.Imports.Import(ctx, c, in)) }
}

func deleteKeyMaterial(d *Dialect, c *authz.Call, v *rpc.Values) act {
	id := v.Need("KeyId")
	return func(ctx context.Context) (rpc.Response, error) { return done(d.Imports.Delete(ctx, c, id)) }
}
