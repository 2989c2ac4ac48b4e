package keycmd

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
	"github.com/keyward/keyward/internal/material"
)

// versionOr answers the version that was asked for, by default the newest of the key.
func versionOr(ctx context.Context, server *client.Client, key, version string) (string, error) {
	if version != "" {
		return version, nil
	}
	k, err := server.DescribeKey(ctx, key)
	return k.PrimaryVersion, err
}

func newKeyPublicKeyCmd(c *cli.Run) *cobra.Command {
	var version, format string
	out := &output{Place: cli.Place{Run: c}}
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:     "public-key KEY",
		Short:   c.T("Show the public key of an asymmetric key", "显示非对称密钥的公钥"),
		Example: "  keyward key public-key alias/release --format der --out release.der",
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			version, err := versionOr(ctx, server, args[0], version)
			if err != nil {
				return err
			}
			public, err := server.GetPublicKey(ctx, args[0], version)
			if err != nil {
				return err
			}
			content := []byte(public.PEM)
			switch format {
			case "pem":
			case "der":
				content = public.DER
			case "jwk":
				if public.JWK == nil {
					return &cli.Problem{Message: c.T("no JWK is defined for SM2; take pem or der", "SM2 没有 JWK 格式；请使用 pem 或 der")}
				}
				if content, err = json.Marshal(public.JWK); err != nil {
					return fmt.Errorf("writing a JWK: %w", err)
				}
				content = append(content, '\n')
			default:
				return c.Usage(cmd, "--format is pem, der or jwk", "--format 为 pem、der 或 jwk")
			}
			switch {
			case out.file != "":
				return out.write(content)
			case format == "der":
				return c.Usage(cmd, "der is not text; name a file with --out", "der 不是文本；请用 --out 指定文件")
			}
			return showText(c, public, content)
		}),
	})
	f := cmd.Flags()
	f.StringVar(&version, "key-version", "", c.T("`ID` of the key version; by default the newest", "密钥版本的 `ID`；默认为最新版本"))
	f.StringVar(&format, "format", "pem", c.T("`FORMAT`: pem, der or jwk", "格式 `FORMAT`：pem、der 或 jwk"))
	out.flags(cmd, c.T("write it to `FILE`", "写入 `FILE`"))
	cli.Complete(cmd, "format", "pem", "der", "jwk")
	return cmd
}

// showText writes lines of text, or v where JSON is wanted.
func showText(c *cli.Run, v any, content []byte) error {
	return c.Show(v, func(t *cli.Table) {
		for line := range strings.Lines(string(content)) {
			t.Add(strings.TrimSuffix(line, "\n"))
		}
	})
}

func newKeyCSRCmd(c *cli.Run) *cobra.Command {
	var version string
	out := &output{Place: cli.Place{Run: c}}
	var in api.CSRRequest
	cmd := c.Command(cli.Command{
		Use:   "csr KEY",
		Short: c.T("Make a certificate signing request for a key", "为密钥生成证书签名请求（CSR）"),
		Long: c.T(
			"Make a certificate signing request (PKCS #10) for a version of a key that signs. Names are taken as they are written.",
			"为用于签名的密钥版本生成证书签名请求（PKCS #10）。各名称按原样写入。",
		),
		Example: "  keyward key csr alias/release --cn pay.example.com --o \"Example, Inc.\" --c CN --name pay.example.com --out pay.csr",
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			version, err := versionOr(ctx, server, args[0], version)
			if err != nil {
				return err
			}
			request, err := server.GenerateCSR(ctx, args[0], version, in)
			if err != nil {
				return err
			}
			if out.file != "" {
				return out.write([]byte(request.PEM))
			}
			return showText(c, request, []byte(request.PEM))
		}),
	})
	f := cmd.Flags()
	f.StringVar(&version, "key-version", "", c.T("`ID` of the key version; by default the newest", "密钥版本的 `ID`；默认为最新版本"))
	f.StringVar(&in.Algorithm, "algorithm", "", c.T("`NAME`: RSA_PSS_SHA_256, RSA_PKCS1_SHA_256, ECDSA_SHA_256 or SM2DSA; by default the first that the key has",
		"算法 `NAME`：RSA_PSS_SHA_256、RSA_PKCS1_SHA_256、ECDSA_SHA_256 或 SM2DSA；默认为密钥支持的第一个"))
	f.StringVar(&in.CommonName, "cn", "", c.T("common `NAME`, CN; required", "通用名称 `NAME`（CN），必填"))
	f.StringVar(&in.Organization, "o", "", c.T("organization `NAME`, O", "组织名称 `NAME`（O）"))
	f.StringVar(&in.Unit, "ou", "", c.T("`NAME` of its unit, OU", "部门名称 `NAME`（OU）"))
	f.StringVar(&in.State, "st", "", c.T("state or province `NAME`, ST", "省份 `NAME`（ST）"))
	f.StringVar(&in.Locality, "l", "", c.T("city `NAME`, L", "城市 `NAME`（L）"))
	f.StringVar(&in.Country, "c", "", c.T("`CODE` of the country, two capital letters, C", "国家代码 `CODE`，两个大写字母（C）"))
	f.StringVar(&in.Email, "email", "", c.T("e-mail `ADDRESS`, E", "邮箱 `ADDRESS`（E）"))
	f.StringArrayVar(&in.Names, "name", nil, c.T("alternative `NAME`: a host, an address, an e-mail address or a URI; may be repeated", "备用名称 `NAME`：主机名、IP、邮箱或 URI；可重复"))
	out.flags(cmd, c.T("write it to `FILE`", "写入 `FILE`"))
	cli.Complete(cmd, "algorithm", string(material.PSSSHA256), string(material.PKCS1SHA256), string(material.ECDSASHA256), string(material.SM2DSA))
	return cmd
}
