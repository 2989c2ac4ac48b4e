package datacmd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
	"github.com/keyward/keyward/internal/key"
)

const (
	maxLine = 16 << 10 // bytes of a line: more than any that can be encrypted or decrypted
	maxSend = 48 << 10 // bytes of base64 in one request, whose body has 64 KiB at most
)

func newBatchCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "batch",
		Short: c.T("Encrypt and decrypt many small values, one on each line", "批量加解密小数据，每行一个"),
		Long: c.T(
			`Encrypt and decrypt many small values, one on each line of standard input, up to 100 in
one request. All have one key and one encryption context.`,
			`批量加解密标准输入中的小数据，每行一个，每次请求最多 100 个。
所有数据使用同一密钥和同一加密上下文。`,
		),
	}, newBatchEncryptCmd(c), newBatchDecryptCmd(c))
}

// A batch is one run over the lines of standard input.
type batch struct {
	*cli.Run
	pairs   []string // of the encryption context
	context map[string]string
}

func (b *batch) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&b.pairs, "context", nil, b.T("a pair of the encryption context, `NAME=VALUE`; may be repeated", "加密上下文的键值对 `NAME=VALUE`；可重复"))
}

// run has do work on the lines, portion by portion, and writes what it answers. A line that
// fails ends the run; the lines before it are written.
func (b *batch) run(ctx context.Context, do func(*client.Client, [][]byte) ([][]byte, *api.ItemError, error)) error {
	server, err := remote.Connect(b.Run)
	if err != nil {
		return err
	}
	if b.context, err = b.NamedPairs(b.T("context", "加密上下文"), b.pairs); err != nil {
		return err
	}
	lines := bufio.NewScanner(cli.Interruptible(ctx, b.In))
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	out := bufio.NewWriter(b.Out)
	for done, more := 0, lines.Scan(); more; {
		var portion [][]byte
		for size := 0; more && len(portion) < key.MaxBatch; more = lines.Scan() {
			if size += base64.StdEncoding.EncodedLen(len(lines.Bytes())) + 3; size > maxSend && len(portion) > 0 {
				break
			}
			portion = append(portion, bytes.Clone(lines.Bytes()))
		}
		answers, failed, err := do(server, portion)
		if err != nil {
			return err
		}
		for _, line := range answers {
			if _, err := fmt.Fprintf(out, "%s\n", line); err != nil {
				return err
			}
		}
		if err := out.Flush(); err != nil {
			return err
		}
		done += len(answers)
		if failed != nil {
			f := b.Explain(&client.Error{Code: failed.Code, Message: failed.Detail})
			return &cli.Problem{Message: fmt.Sprintf(b.T("line %d: %s: %s", "第 %d 行：%s：%s"), done+1, f.Code, f.Message), Next: f.Next}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading the lines: %w", err)
	}
	return nil
}

func newBatchEncryptCmd(c *cli.Run) *cobra.Command {
	b := &batch{Run: c}
	cmd := c.Command(cli.Command{
		Use:   "encrypt KEY",
		Short: c.T("Encrypt each line; write a line of base64 for each", "逐行加密，每行输出一行 base64"),
		Long: c.T(
			"Encrypt each line of standard input with a key, and write a line of base64 for each. A line has 1 to 6,144 bytes.\nIt stops at the first line that fails, and names it.",
			"用密钥逐行加密标准输入，每行输出一行 base64。每行 1 到 6144 字节。\n遇到第一行失败即停止，并指出该行。",
		),
		Example: "  keyward batch encrypt alias/cards --context table=cards < numbers > numbers.sealed",
		Secrets: true,
		Run: func(ctx context.Context, args []string) error {
			return b.run(ctx, func(server *client.Client, lines [][]byte) (out [][]byte, failed *api.ItemError, err error) {
				in := api.EncryptBatchRequest{Key: args[0], Context: b.context}
				for _, line := range lines {
					in.Plaintexts = append(in.Plaintexts, line)
				}
				sealed, err := server.EncryptBatch(ctx, in)
				for _, item := range sealed.Items {
					if item.Error != nil {
						return out, item.Error, nil
					}
					out = append(out, []byte(base64.StdEncoding.EncodeToString(item.Ciphertext)))
				}
				return out, nil, err
			})
		},
	})
	b.flags(cmd)
	return cmd
}

func newBatchDecryptCmd(c *cli.Run) *cobra.Command {
	var show bool
	b := &batch{Run: c}
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "decrypt KEY",
		Short: c.T("Decrypt each line of base64; write a line for each", "逐行解密 base64，每行输出一行"),
		Long: c.T(
			`Decrypt each line of base64 that batch encrypt wrote, and write a line for each. On a
terminal, where others may look on, it needs --show. It stops at the first line that fails, and names it.`,
			`逐行解密 batch encrypt 写出的 base64，每行输出一行。
终端上可能有人旁观，因此需要 --show。遇到第一行失败即停止，并指出该行。`,
		),
		Example: "  keyward batch decrypt alias/cards --context table=cards < numbers.sealed > numbers",
		Secrets: true,
		Run: func(ctx context.Context, args []string) error {
			if c.OutTerminal && !show {
				return c.Usage(cmd, "plaintext is not for a terminal; redirect the output, or use --show", "明文不适合显示在终端上；请重定向输出，或使用 --show")
			}
			return b.run(ctx, func(server *client.Client, lines [][]byte) (out [][]byte, failed *api.ItemError, err error) {
				in := api.DecryptBatchRequest{Key: args[0], Context: b.context}
				for _, line := range lines {
					blob, err := base64.StdEncoding.DecodeString(string(line))
					if err != nil {
						blob = []byte{} // it is no ciphertext, as the server will say of this line
					}
					in.Ciphertexts = append(in.Ciphertexts, blob)
				}
				opened, err := server.DecryptBatch(ctx, in)
				for _, item := range opened.Items {
					if item.Error != nil {
						return out, item.Error, nil
					}
					out = append(out, item.Plaintext)
				}
				return out, nil, err
			})
		},
	})
	cmd.Flags().BoolVar(&show, "show", false, c.T("write it to the terminal", "显示在终端上"))
	b.flags(cmd)
	return cmd
}
