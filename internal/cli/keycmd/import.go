package keycmd

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
	"github.com/keyward/keyward/internal/material"
)

// maxMaterial bounds the files that key material is read from, in bytes.
const maxMaterial = 64 << 10

func newKeyImportCmd(c *cli.Run) *cobra.Command {
	var wrapping string
	var expires time.Time
	cmd := c.Command(cli.Command{
		Use:   "import KEY FILE",
		Short: c.T("Give a key of origin EXTERNAL its material", "为来源为 EXTERNAL 的密钥导入密钥材料"),
		Long: c.T(
			`Give a key of origin EXTERNAL its material. The file has a symmetric key as raw bytes, in
hexadecimal or in base64, or a private key in PEM or DER; "-" is standard input. The
material is wrapped here under a public key that the server made for this import, so that
it never travels in the clear. A key takes one material for ever: after it was deleted or
has expired, the same can be imported again.`,
			`为来源为 EXTERNAL 的密钥导入密钥材料。文件内容为对称密钥的原始字节、十六进制或 base64，或 PEM、DER 格式的私钥；
"-" 表示标准输入。材料在本机用服务器为本次导入生成的公钥加密，不会以明文传输。
一个密钥始终只接受同一份材料：删除或到期后，可以再次导入相同的材料。`,
		),
		Example: "  keyward key import alias/mine mine.key --expires 365d",
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			if err := importKey(ctx, c, server, args, material.Wrapping(wrapping), expires); err != nil {
				return err
			}
			k, err := server.DescribeKey(ctx, args[0])
			if err != nil {
				return err
			}
			return showKey(c, k)
		}),
	})
	f := cmd.Flags()
	f.StringVar(&wrapping, "wrapping", "", c.T("`NAME` of the way in which the material is wrapped; by default the best that the key takes", "材料的加密方式 `NAME`；默认为密钥支持的最佳方式"))
	f.Var(cli.Ahead(&expires, c.Now), "expires", c.T("delete the material at `TIME`: a date, a time or 90d; by default never", "在 `TIME` 删除材料：日期、时间或 90d；默认永不"))
	cli.Complete(cmd, "wrapping", string(material.WrapOAEPSHA256), string(material.WrapOAEPSHA1), string(material.WrapPKCS1), string(material.WrapSM2), string(material.WrapOAEPAES), string(material.WrapSM2SM4))
	return cmd
}

// importKey does the whole ceremony: the parameters, the wrapping, the import.
func importKey(ctx context.Context, c *cli.Run, server *client.Client, args []string, w material.Wrapping, expires time.Time) error {
	k, err := server.DescribeKey(ctx, args[0])
	if err != nil {
		return err
	}
	spec := material.Spec(k.Spec)
	m, err := readMaterial(ctx, c, spec, args[1])
	if err != nil {
		return err
	}
	defer m.Zero()
	if possible := material.Wrappings(spec); w == "" && len(possible) > 0 {
		w = possible[0]
	}
	p, err := server.GetImportParameters(ctx, k.ID, api.ImportParametersRequest{Wrapping: string(w)})
	if err != nil {
		return err
	}
	wrapped, err := w.Wrap(p.PublicKey, m)
	if err != nil {
		return fmt.Errorf("wrapping the key material: %w", err)
	}
	return server.ImportKeyMaterial(ctx, k.ID, api.ImportRequest{Token: p.Token, Material: wrapped, ExpireAt: expires})
}

// readMaterial reads a key of a spec from a file or standard input.
func readMaterial(ctx context.Context, c *cli.Run, spec material.Spec, name string) (material.Bytes, error) {
	in, err := c.Input(ctx, name)
	if err != nil {
		return material.Bytes{}, err
	}
	defer func() { _ = in.Close() }() // it was only read
	content, err := io.ReadAll(io.LimitReader(in, maxMaterial))
	if err != nil {
		return material.Bytes{}, fmt.Errorf("reading the key material: %w", err)
	}
	m, ok := parseMaterial(spec, content)
	switch {
	case ok:
		return m, nil
	case spec.Asymmetric():
		err = &cli.Problem{Message: fmt.Sprintf(c.T("the file has no key of spec %s: it must be a private key of that kind and size, in PEM or DER without a passphrase", "文件中没有规格为 %s 的密钥：应为该类型和长度的私钥，PEM 或 DER 格式，且未用口令加密"), spec)}
	default:
		err = &cli.Problem{Message: fmt.Sprintf(c.T("the file has no key of spec %s: it must be %d bytes, in hexadecimal, in base64 or as they are", "文件中没有规格为 %s 的密钥：应为 %d 字节，以十六进制、base64 或原始字节给出"), spec, spec.KeySize())}
	}
	clear(content)
	return material.Bytes{}, err
}

// parseMaterial answers the key of a spec that a file has, and takes its content over.
func parseMaterial(spec material.Spec, content []byte) (material.Bytes, bool) {
	if spec.Asymmetric() {
		for rest := content; ; { // before the key openssl may write its curve's parameters
			block, after := pem.Decode(rest)
			if block == nil {
				break
			}
			if strings.HasSuffix(block.Type, "PRIVATE KEY") {
				clear(content)
				content = block.Bytes
				break
			}
			rest = after
		}
		m, err := material.ReadPrivate(spec, material.NewBytes(content))
		return m, err == nil
	}
	size := spec.KeySize()
	if len(content) == size && !isText(content) {
		return material.NewBytes(content), true
	}
	words := strings.TrimSpace(string(content))
	for _, decode := range []func(string) ([]byte, error){hex.DecodeString, base64.StdEncoding.DecodeString} {
		if raw, err := decode(words); err == nil && len(raw) == size {
			return material.NewBytes(raw), true
		}
	}
	return material.Bytes{}, false
}

// isText tells whether content is all characters of hexadecimal or base64. That is a key
// half as long, or three quarters, which was written for another spec: as raw bytes it would
// be a weak one. Random bytes are so less than once in a thousand million.
func isText(content []byte) bool {
	for _, b := range content {
		if !strings.ContainsRune("+/=", rune(b)) && (b < '0' || b > '9') && (b < 'A' || b > 'Z') && (b < 'a' || b > 'z') {
			return false
		}
	}
	return true
}

func newKeyDropMaterialCmd(c *cli.Run) *cobra.Command {
	return remote.OnServer(c, "drop-material KEY", c.T("Delete the imported material of a key; the same can be imported again", "删除密钥的导入材料；之后可再次导入相同的材料"),
		c.T("the material of %s is deleted", "%s 的密钥材料已删除"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return nil, server.DeleteKeyMaterial(ctx, args[0])
		})
}
