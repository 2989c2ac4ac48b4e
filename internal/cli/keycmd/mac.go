package keycmd

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
	"github.com/keyward/keyward/internal/key"
)

func newMACCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "mac",
		Short: c.T("Make and verify message authentication codes", "生成和验证消息认证码（MAC）"),
		Long: c.T(
			`Make and verify message authentication codes with a key of an HMAC spec. Whoever may use
the key can do both, so that a code shows to them, and to nobody else, that a message was
not changed.`,
			`使用 HMAC 规格的密钥生成和验证消息认证码（MAC）。有权使用密钥的人两者皆可，
因此消息认证码只向他们证明消息未被篡改。`,
		),
	}, newMACGenerateCmd(c), newMACVerifyCmd(c))
}

// readMessage reads the file that is named, or standard input.
func readMessage(ctx context.Context, c *cli.Run, names []string) ([]byte, error) {
	name := "-"
	if len(names) == 1 {
		name = names[0]
	}
	in, err := c.Input(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }() // it was only read
	message, err := io.ReadAll(io.LimitReader(in, key.MaxMessage+1))
	if err != nil {
		return nil, fmt.Errorf("reading the message: %w", err)
	}
	if len(message) > key.MaxMessage {
		return nil, &cli.Problem{Message: fmt.Sprintf(c.T("the message has more than %d bytes; make the code of its digest instead", "消息超过 %d 字节；请改为对其摘要生成消息认证码"), key.MaxMessage)}
	}
	return message, nil
}

func newMACGenerateCmd(c *cli.Run) *cobra.Command {
	out := &output{Place: cli.Place{Run: c}}
	cmd := c.Command(cli.Command{
		Use:   "generate KEY [FILE]",
		Short: c.T("Make the code of a file or standard input", "为文件或标准输入生成消息认证码"),
		Long: c.T(
			"Make the code of a file or standard input, of at most 6,144 bytes. It is written in base64, or as it is with --out.",
			"为文件或标准输入（最多 6144 字节）生成消息认证码。以 base64 输出；使用 --out 时写入原始值。",
		),
		Example: "  keyward mac generate alias/orders order.json\n  keyward mac generate alias/orders --out order.mac order.json",
		Secrets: true,
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			message, err := readMessage(ctx, c, args[1:])
			if err != nil {
				return err
			}
			mac, err := server.GenerateMAC(ctx, api.MACRequest{Key: args[0], Message: message})
			if err != nil {
				return err
			}
			if out.file != "" {
				return out.write(mac.MAC)
			}
			return c.Show(mac, func(t *cli.Table) { t.Add(base64.StdEncoding.EncodeToString(mac.MAC)) })
		}),
	})
	out.flags(cmd, c.T("write the code to `FILE`", "将消息认证码写入 `FILE`"))
	return cmd
}

func newMACVerifyCmd(c *cli.Run) *cobra.Command {
	var inline, file string
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "verify KEY [FILE]",
		Short: c.T("Verify the code of a file or standard input", "验证文件或标准输入的消息认证码"),
		Long: c.T(
			"Verify the code of a file or standard input. The exit status is 1 if it is not valid.",
			"验证文件或标准输入的消息认证码。无效时退出状态为 1。",
		),
		Example: "  keyward mac verify alias/orders --mac-file order.mac order.json",
		Secrets: true,
		Run: func(ctx context.Context, args []string) error {
			mac, err := readSignature(c, cmd, "mac", inline, file)
			if err != nil {
				return err
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			message, err := readMessage(ctx, c, args[1:])
			if err != nil {
				return err
			}
			result, err := server.VerifyMAC(ctx, api.VerifyMACRequest{Key: args[0], Message: message, MAC: mac})
			if err != nil {
				return err
			}
			if err := c.Show(result, func(t *cli.Table) { t.Add(c.T("Valid", "有效"), c.YesNo(result.Valid)) }); err != nil {
				return err
			}
			if !result.Valid {
				return &cli.Problem{Message: c.T("the code is not that of this message under this key", "消息认证码与此密钥和消息不符")}
			}
			return nil
		},
	})
	cmd.Flags().StringVar(&inline, "mac", "", c.T("code in `BASE64`", "消息认证码的 `BASE64` 值"))
	cmd.Flags().StringVar(&file, "mac-file", "", c.T("`FILE` that mac generate --out wrote", "mac generate --out 写出的 `FILE`"))
	return cmd
}

func newRandomCmd(c *cli.Run) *cobra.Command {
	var in api.RandomRequest
	var format string
	var show bool
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "random",
		Short: c.T("Write random bytes of the server", "输出服务器生成的随机字节"),
		Long: c.T(
			`Write random bytes from the server's generator to standard output. The server keeps
nothing of them. On a terminal, where others may look on, it needs --show.`,
			`将服务器随机数生成器产生的随机字节写到标准输出。服务器不保存它们。
终端上可能有人旁观，因此需要 --show。`,
		),
		Example: "  keyward random --bytes 32 --format hex > device.key",
		Secrets: true,
		Run: func(ctx context.Context, _ []string) error {
			if err := c.OneOf(cmd, "format", format, "base64", "hex", "raw"); err != nil {
				return err
			}
			if in.Size < 1 { // which would stand for the default
				return c.Usage(cmd, "--bytes must be 1 to %d", "--bytes 必须为 1 到 %d", key.MaxRandom)
			}
			if c.OutTerminal && !show {
				return c.Usage(cmd, "random bytes are not for a terminal; redirect the output, or use --show", "随机字节不适合显示在终端上；请重定向输出，或使用 --show")
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			made, err := server.GenerateRandom(ctx, in)
			if err != nil {
				return err
			}
			switch {
			case c.Output == "json":
				return cli.WriteJSON(c.Out, made)
			case format == "raw":
				_, err = c.Out.Write(made.Bytes)
			case format == "hex":
				_, err = fmt.Fprintln(c.Out, hex.EncodeToString(made.Bytes))
			default:
				_, err = fmt.Fprintln(c.Out, base64.StdEncoding.EncodeToString(made.Bytes))
			}
			return err
		},
	})
	f := cmd.Flags()
	f.IntVar(&in.Size, "bytes", 32, c.T("how many: `NUMBER`, 1 to 1,024", "字节数 `NUMBER`，1 到 1024"))
	f.StringVar(&format, "format", "base64", c.T("`FORMAT`: base64, hex or raw", "格式 `FORMAT`：base64、hex 或 raw"))
	f.BoolVar(&show, "show", false, c.T("write them to the terminal", "显示在终端上"))
	cli.Complete(cmd, "format", "base64", "hex", "raw")
	return cmd
}
