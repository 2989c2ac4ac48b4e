package alibaba

import (
	"context"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/key/byok"
	"github.com/keyward/keyward/internal/material"
)

func getParametersForImport(d *Dialect, c *authz.Call, v *values) act {
	id, w := v.need("KeyId"), material.Wrapping(v.need("WrappingAlgorithm"))
	if spec := v.need("WrappingKeySpec"); spec != "" && w.Key() != "" && spec != string(w.Key()) {
		v.invalid("WrappingKeySpec", "It must be the one that goes with WrappingAlgorithm: RSA_2048 or EC_SM2.")
	}
	return func(ctx context.Context) (response, error) {
		p, err := d.Imports.Parameters(ctx, c, id, w)
		return &struct {
			reply
			ImportToken     string
			KeyId           string
			PublicKey       string
			TokenExpireTime string
		}{ImportToken: encoded(p.Token), KeyId: string(p.Key), PublicKey: encoded(p.PublicKey), TokenExpireTime: date(p.ExpireAt)}, err
	}
}

func importKeyMaterial(d *Dialect, c *authz.Call, v *values) act {
	in := byok.Input{Key: v.need("KeyId"), Token: v.binary("ImportToken"), Material: v.binary("EncryptedKeyMaterial")}
	v.need("ImportToken")
	v.need("EncryptedKeyMaterial")
	if unix := v.integer("KeyMaterialExpireUnix", 0); unix != 0 { // 0 is never
		in.ExpireAt = time.Unix(int64(unix), 0)
	}
	return func(ctx context.Context) (response, error) { return done(d.Imports.Import(ctx, c, in)) }
}

func deleteKeyMaterial(d *Dialect, c *authz.Call, v *values) act {
	id := v.need("KeyId")
	return func(ctx context.Context) (response, error) { return done(d.Imports.Delete(ctx, c, id)) }
}
