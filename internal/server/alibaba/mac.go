package alibaba

import (
	"context"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/server/alibaba/rpc"
)

func macInput(v *rpc.Values) cryptography.MACInput {
	return cryptography.MACInput{
		Key: v.Need("KeyId"), Algorithm: material.Algorithm(v.Need("Algorithm")), Message: v.Secret("Message"), DryRun: v.Dry(),
	}
}

func generateMAC(d *Dialect, c *authz.Call, v *rpc.Values) act {
	in := macInput(v)
	return func(ctx context.Context) (rpc.Response, error) {
		defer in.Message.Zero()
		out, err := d.Crypto.GenerateMAC(ctx, c, in)
		return &struct {
			rpc.Reply
			Algorithm string
			KeyId     string
			Mac       rpc.Binary
		}{Algorithm: string(out.Algorithm), KeyId: string(out.Key), Mac: out.Value}, err
	}
}

func verifyMAC(d *Dialect, c *authz.Call, v *rpc.Values) act {
	in, mac := macInput(v), v.Binary("Mac")
	return func(ctx context.Context) (rpc.Response, error) {
		defer in.Message.Zero()
		out, err := d.Crypto.VerifyMAC(ctx, c, in, mac)
		return &struct {
			rpc.Reply
			Algorithm string
			KeyId     string
			Value     bool
		}{Algorithm: string(out.Algorithm), KeyId: string(out.Key), Value: out.Valid}, err
	}
}
