package datacmd

import (
	"context"
	"encoding/pem"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/material"
)

// maxSealed bounds the files that encrypted data keys and public keys are read from, in bytes.
const maxSealed = 64 << 10

func newDataKeyCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "data-key",
		Short: c.T("Make data keys, and hand them to others under their public keys", "生成数据密钥，并用他人的公钥加密后交付"),
		Long: c.T(
			`Make data keys, and hand them to others under their public keys. The data key itself
never reaches this machine: what is written is the data key encrypted with a key of
keyward, and wrapped under the public key of whoever is to have it.`,
			`生成数据密钥，并用他人的公钥加密后交付。数据密钥本身不会到达本机：
写出的是用 keyward 密钥加密的数据密钥，以及用接收方公钥加密的数据密钥。`,
		),
	}, newDataKeyGenerateCmd(c), newDataKeyExportCmd(c))
}

// A recipient is for whom a data key is wrapped.
type recipient struct {
	cli.Place
	file, wrapping, out string
}

func (r *recipient) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&r.file, "public-key", "", r.T("`FILE` with the public key of who is to have it, RSA of 2,048 bits or SM2, in PEM or DER", "接收方公钥文件 `FILE`：2048 位 RSA 或 SM2，PEM 或 DER 格式"))
	f.StringVar(&r.wrapping, "wrapping", "", r.T("`NAME` of the way in which it is wrapped: RSAES_OAEP_SHA_256, RSAES_OAEP_SHA_1 or SM2PKE; by default the best for the public key", "加密方式 `NAME`：RSAES_OAEP_SHA_256、RSAES_OAEP_SHA_1 或 SM2PKE；默认为公钥支持的最佳方式"))
	f.StringVar(&r.out, "wrapped-out", "", r.T("write the wrapped data key to `FILE`", "将用公钥加密的数据密钥写入 `FILE`"))
	f.BoolVar(&r.Force, "force", false, r.T("replace a file that exists", "覆盖已存在的文件"))
	var names []string
	for _, w := range cryptography.ExportWrappings() {
		names = append(names, string(w))
	}
	cli.Complete(cmd, "wrapping", names...)
}

// read answers the public key, DER, and how to wrap under it.
func (r *recipient) read() ([]byte, string, error) {
	f, err := os.Open(r.file)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = f.Close() }() // it was only read
	public, err := cli.ReadAtMost(f, maxSealed)
	if err != nil {
		return nil, "", err
	}
	if block, _ := pem.Decode(public); block != nil {
		public = block.Bytes
	}
	for _, w := range cryptography.ExportWrappings() {
		if _, err := material.OpenPublic(w.Key(), public); err == nil && (r.wrapping == "" || r.wrapping == string(w)) {
			return public, string(w), nil
		}
	}
	return nil, "", &cli.Problem{Message: fmt.Sprintf(r.T("%s has no public key for this wrapping: RSA of 2,048 bits, or SM2, in PEM or DER", "%s 中没有适用于此加密方式的公钥：应为 2048 位 RSA 或 SM2，PEM 或 DER 格式"), r.file)}
}

func newDataKeyGenerateCmd(c *cli.Run) *cobra.Command {
	var in api.GenerateAndExportDataKeyRequest
	var out string
	r := &recipient{Place: cli.Place{Run: c}}
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "generate KEY",
		Short: c.T("Make a data key, encrypted with a key", "生成用密钥加密的数据密钥"),
		Long: c.T(
			`Make a data key, encrypted with a key, and with --public-key wrapped for somebody, too.
Neither file has it in the clear: keyward, or the owner of the public key, opens it.`,
			`生成用密钥加密的数据密钥；给出 --public-key 时，同时用接收方公钥加密一份。
两个文件均不含明文：只有 keyward 或公钥持有者能够解密。`,
		),
		Example: "  keyward data-key generate alias/backups --out data.key --public-key partner.pem --wrapped-out partner.key",
		Run: func(ctx context.Context, args []string) error {
			if out == "" || out == r.out || (r.file == "") != (r.out == "") {
				return c.Usage(cmd, "give --out, and --public-key together with --wrapped-out, which is another file", "请给出 --out；--public-key 须与 --wrapped-out 同时给出，且两个输出文件不能相同")
			}
			if in.Size < 1 { // which would stand for the default
				return c.Usage(cmd, "--bytes must be 1 to %d", "--bytes 必须为 1 到 %d", key.MaxDataKey)
			}
			if err := r.MayWrite(out); err != nil {
				return err
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			in.Key = args[0]
			made, err := r.generate(ctx, server, in)
			if err != nil {
				return err
			}
			if err := r.Write(out, 0o644, made.Ciphertext); err != nil {
				return err
			}
			if r.file != "" {
				if err := r.Write(r.out, 0o644, made.Wrapped); err != nil {
					return err
				}
			}
			return showDataKey(c, made)
		},
	})
	cmd.Flags().IntVar(&in.Size, "bytes", 32, c.T("how long: `NUMBER`, 1 to 1,024; with RSA at most 190", "长度 `NUMBER`，1 到 1024 字节；使用 RSA 时最多 190"))
	cmd.Flags().StringVar(&out, "out", "", c.T("write the encrypted data key to `FILE`", "将加密的数据密钥写入 `FILE`"))
	r.flags(cmd)
	return cmd
}

// generate has the server make a data key, wrapped for the recipient if there is one.
func (r *recipient) generate(ctx context.Context, server *client.Client, in api.GenerateAndExportDataKeyRequest) (made api.ExportedDataKey, err error) {
	if r.file == "" {
		sealed, err := server.GenerateDataKeyWithoutPlaintext(ctx, api.DataKeyRequest{Key: in.Key, Size: in.Size})
		return api.ExportedDataKey{Key: sealed.Key, Version: sealed.Version, Ciphertext: sealed.Ciphertext}, err
	}
	if in.PublicKey, in.Wrapping, err = r.read(); err != nil {
		return made, err
	}
	if err := r.MayWrite(r.out); err != nil {
		return made, err
	}
	return server.GenerateAndExportDataKey(ctx, in)
}

func newDataKeyExportCmd(c *cli.Run) *cobra.Command {
	r := &recipient{Place: cli.Place{Run: c}}
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "export FILE",
		Short: c.T("Wrap an encrypted data key for somebody", "用接收方公钥重新加密数据密钥"),
		Long: c.T(
			`Have the server decrypt a data key and wrap it under the public key of whoever is to have
it. Who may do that can read the data key: the right is kms:ExportDataKey.`,
			`由服务器解密数据密钥，再用接收方公钥加密。有此权限者即可读取数据密钥：
所需权限为 kms:ExportDataKey。`,
		),
		Example: "  keyward data-key export data.key --public-key partner.pem --wrapped-out partner.key",
		Run: func(ctx context.Context, args []string) error {
			if r.file == "" || r.out == "" {
				return c.Usage(cmd, "give --public-key and --wrapped-out", "请给出 --public-key 和 --wrapped-out")
			}
			if err := r.MayWrite(r.out); err != nil {
				return err
			}
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer func() { _ = f.Close() }() // it was only read
			var in api.ExportDataKeyRequest
			if in.Ciphertext, err = cli.ReadAtMost(f, maxSealed); err != nil {
				return err
			}
			if in.PublicKey, in.Wrapping, err = r.read(); err != nil {
				return err
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			exported, err := server.ExportDataKey(ctx, in)
			if err != nil {
				return err
			}
			if err := r.Write(r.out, 0o644, exported.Wrapped); err != nil {
				return err
			}
			return showDataKey(c, exported)
		},
	})
	r.flags(cmd)
	return cmd
}

func showDataKey(c *cli.Run, k api.ExportedDataKey) error {
	return c.Show(k, func(t *cli.Table) {
		t.Add(c.T("Key", "密钥"), k.Key)
		t.Add(c.T("Version", "版本"), k.Version)
	})
}
