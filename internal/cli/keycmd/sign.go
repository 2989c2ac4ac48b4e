package keycmd

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/smx509"
	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
	"github.com/keyward/keyward/internal/material"
)

// sm2User is the signer's identity that enters SM3 digests for SM2 when nobody chose
// one (GM/T 0009).
const sm2User = "1234567812345678"

const digestSize = 32 // bytes, of every algorithm there is

// maxSignature bounds the files that signatures are read from, in bytes.
const maxSignature = 64 << 10

// A signing is what sign and verify have in common.
type signing struct {
	*cli.Run
	version, algorithm, digest string
}

func (s *signing) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.version, "key-version", "", s.T("`ID` of the key version; by default the newest", "密钥版本的 `ID`；默认为最新版本"))
	f.StringVar(&s.algorithm, "algorithm", "", s.T("`NAME`: RSA_PSS_SHA_256, RSA_PKCS1_SHA_256, ECDSA_SHA_256 or SM2DSA; by default the first that the key has",
		"算法 `NAME`：RSA_PSS_SHA_256、RSA_PKCS1_SHA_256、ECDSA_SHA_256 或 SM2DSA；默认为密钥支持的第一个"))
	f.StringVar(&s.digest, "digest", "", s.T("digest in `HEX`, instead of a file", "摘要的 `HEX` 值，代替文件"))
	cli.Complete(cmd, "algorithm", string(material.PSSSHA256), string(material.PKCS1SHA256), string(material.ECDSASHA256), string(material.SM2DSA))
}

// prepare chooses key version and algorithm and makes the digest.
func (s *signing) prepare(ctx context.Context, server *client.Client, cmd *cobra.Command, args []string) (api.SignRequest, error) {
	if s.digest != "" && len(args) > 1 {
		return api.SignRequest{}, s.Usage(cmd, "--digest stands for a file; both are given", "--digest 代替文件，不能同时给出")
	}
	key, err := server.DescribeKey(ctx, args[0])
	if err != nil {
		return api.SignRequest{}, err
	}
	in := api.SignRequest{Key: key.ID, Version: s.version, Algorithm: s.algorithm}
	if in.Version == "" {
		in.Version = key.PrimaryVersion
	}
	if possible := material.Spec(key.Spec).SigningAlgorithms(); in.Algorithm == "" && len(possible) > 0 {
		in.Algorithm = string(possible[0])
	}
	if s.digest != "" {
		if in.Digest, err = hex.DecodeString(s.digest); err != nil || len(in.Digest) != digestSize {
			return api.SignRequest{}, s.Usage(cmd, "--digest must be %d hexadecimal digits", "--digest 必须是 %d 个十六进制数字", 2*digestSize)
		}
		return in, nil
	}
	h, err := newDigest(ctx, server, in)
	if err != nil {
		return api.SignRequest{}, err
	}
	in.Digest, err = s.sum(ctx, h, args[1:])
	return in, err
}

// newDigest answers the hash that goes with the algorithm. SM2 begins with a digest of
// the signer's identity and public key (GB/T 32918.2).
func newDigest(ctx context.Context, server *client.Client, in api.SignRequest) (hash.Hash, error) {
	if in.Algorithm != string(material.SM2DSA) {
		return sha256.New(), nil
	}
	public, err := server.GetPublicKey(ctx, in.Key, in.Version)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(public.PEM))
	if block == nil {
		return nil, errors.New("reading the public key: it is not PEM")
	}
	parsed, err := smx509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the public key: %w", err)
	}
	point, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("reading the public key: it is not one of SM2")
	}
	za, err := sm2.CalculateZA(point, []byte(sm2User))
	if err != nil {
		return nil, fmt.Errorf("preparing the digest: %w", err)
	}
	h := sm3.New()
	h.Write(za)
	return h, nil
}

// sum hashes the file that is named, or standard input.
func (s *signing) sum(ctx context.Context, h hash.Hash, names []string) ([]byte, error) {
	in, name, total := s.In, "-", int64(0)
	if len(names) == 1 && names[0] != "-" {
		f, err := os.Open(names[0])
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }() // it was only read
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		in, name, total = f, names[0], info.Size()
	}
	p := s.Progress(cli.Interruptible(ctx, in), name, total)
	defer p.Finish()
	if _, err := io.Copy(h, p); err != nil {
		return nil, fmt.Errorf("reading what is signed: %w", err)
	}
	return h.Sum(nil), nil
}

func newKeySignCmd(c *cli.Run) *cobra.Command {
	out := &output{Place: cli.Place{Run: c}}
	s := &signing{Run: c}
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "sign KEY [FILE]",
		Short: c.T("Sign a file or standard input", "对文件或标准输入签名"),
		Long: c.T(
			`Sign a file or standard input. The digest is made here (SHA-256; for EC_SM2 SM3 with the
default identity), and only the digest is sent. The signature is written in base64, or
as it is with --out.`,
			`对文件或标准输入签名。摘要在本机计算（SHA-256；EC_SM2 使用 SM3 和默认用户标识），只发送摘要。
签名以 base64 输出；使用 --out 时写入原始签名。`,
		),
		Example: "  keyward key sign alias/release --out app.tar.gz.sig app.tar.gz",
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			in, err := s.prepare(ctx, server, cmd, args)
			if err != nil {
				return err
			}
			signature, err := server.Sign(ctx, in)
			if err != nil {
				return err
			}
			if out.file != "" {
				return out.write(signature.Signature)
			}
			return c.Show(signature, func(t *cli.Table) { t.Add(base64.StdEncoding.EncodeToString(signature.Signature)) })
		}),
	})
	s.flags(cmd)
	out.flags(cmd, c.T("write the signature to `FILE`", "将签名写入 `FILE`"))
	return cmd
}

func newKeyVerifyCmd(c *cli.Run) *cobra.Command {
	var inline, file string
	s := &signing{Run: c}
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "verify KEY [FILE]",
		Short: c.T("Verify a signature of a file or standard input", "验证文件或标准输入的签名"),
		Long: c.T(
			"Verify a signature of a file or standard input. The exit status is 1 if it is not valid.",
			"验证文件或标准输入的签名。签名无效时退出状态为 1。",
		),
		Example: "  keyward key verify alias/release --signature-file app.tar.gz.sig app.tar.gz",
		Run: func(ctx context.Context, args []string) error {
			signature, err := readSignature(c, cmd, "signature", inline, file)
			if err != nil {
				return err
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			in, err := s.prepare(ctx, server, cmd, args)
			if err != nil {
				return err
			}
			result, err := server.Verify(ctx, api.VerifyRequest{
				Key: in.Key, Version: in.Version, Algorithm: in.Algorithm, Digest: in.Digest, Signature: signature,
			})
			if err != nil {
				return err
			}
			if err := c.Show(result, func(t *cli.Table) { t.Add(c.T("Valid", "有效"), c.YesNo(result.Valid)) }); err != nil {
				return err
			}
			if !result.Valid {
				return &cli.Problem{Message: c.T("the signature is not valid for this key version and content", "对此密钥版本和内容，签名无效")}
			}
			return nil
		},
	})
	s.flags(cmd)
	cmd.Flags().StringVar(&inline, "signature", "", c.T("signature in `BASE64`", "签名的 `BASE64` 值"))
	cmd.Flags().StringVar(&file, "signature-file", "", c.T("`FILE` that sign --out wrote", "sign --out 写出的 `FILE`"))
	return cmd
}

// readSignature takes what proves something from a flag or from a file, which has it as it is
// or in base64; the flag of the file is that of the flag and "-file".
func readSignature(c *cli.Run, cmd *cobra.Command, flag, inline, file string) ([]byte, error) {
	if (inline == "") == (file == "") {
		return nil, c.Usage(cmd, "give --%s or --%[1]s-file", "请给出 --%s 或 --%[1]s-file 之一", flag)
	}
	content := []byte(inline)
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }() // it was only read
		if content, err = io.ReadAll(io.LimitReader(f, maxSignature)); err != nil {
			return nil, err
		}
	}
	signature, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(content)))
	switch {
	case err == nil:
		return signature, nil
	case file != "":
		return content, nil
	}
	return nil, c.Usage(cmd, "--%s is not base64", "--%s 不是合法的 base64", flag)
}
