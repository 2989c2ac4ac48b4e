package datacmd

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/agefile"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

const suffix = ".kw" // of encrypted files

// filePurpose is bound to every wrapped file key, so that no other ciphertext of the
// same key can be passed off as one. docs/files.md promises it.
func filePurpose() map[string]string { return map[string]string{"purpose": "keyward-file"} }

// A wrapper has file keys wrapped by the server.
type wrapper struct{ client *client.Client }

// Wrap implements agefile.Wrapper.
func (w wrapper) Wrap(ctx context.Context, key string, fileKey []byte) (string, []byte, error) {
	out, err := w.client.Encrypt(ctx, api.EncryptRequest{Key: key, Plaintext: fileKey, Context: filePurpose()})
	return out.Key, out.Ciphertext, err
}

// Unwrap implements agefile.Wrapper.
func (w wrapper) Unwrap(ctx context.Context, _ string, blob []byte) ([]byte, error) {
	out, err := w.client.Decrypt(ctx, api.DecryptRequest{Ciphertext: blob, Context: filePurpose()})
	return out.Plaintext, err
}

// A fileJob is one call of encrypt or decrypt.
type fileJob struct {
	cli.Place
	out       string // "-" or "" for standard output where one may be meant
	transform func(ctx context.Context, dst io.Writer, src io.Reader) error
	nameOf    func(source string) (string, error) // of the result
	binary    bool                                // the result is not for a terminal
}

func (j *fileJob) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&j.out, "out", "", j.T("write to `FILE`; - for standard output", "写入文件 `FILE`；- 表示标准输出"))
	f.BoolVar(&j.Force, "force", false, j.T("replace a file that exists", "覆盖已存在的文件"))
}

func newEncryptCmd(c *cli.Run) *cobra.Command {
	var keys []string
	var cmd *cobra.Command
	job := &fileJob{Place: cli.Place{Run: c}, binary: true, nameOf: func(source string) (string, error) { return source + suffix, nil }}
	cmd = c.Command(cli.Command{
		Use:   "encrypt [FILE...]",
		Short: c.T("Encrypt files of any size", "加密任意大小的文件"),
		Long: c.T(
			`Encrypt files of any size with a key that never leaves the server.

Each FILE becomes FILE.kw; without one, standard input goes to standard output. The
result is an age file whose file key the server has encrypted. Memory use is constant.
With several --key each of the keys alone can decrypt the file.`,
			`用从不离开服务器的密钥加密任意大小的文件。

每个 FILE 生成 FILE.kw；不给文件时，从标准输入读取并写到标准输出。
结果是 age 格式的文件，其文件密钥由服务器加密。内存占用恒定。
给出多个 --key 时，其中任何一个密钥都能单独解密该文件。`,
		),
		Example: "  keyward encrypt --key alias/reports report.pdf\n  keyward encrypt --key alias/reports < big.tar > big.tar.kw",
		Secrets: true,
		Run: func(ctx context.Context, files []string) error {
			if len(keys) == 0 {
				return c.Usage(cmd, "--key is missing", "缺少 --key")
			}
			if len(keys) > agefile.MaxKeys {
				return c.Usage(cmd, "there are more than %d keys", "密钥超过 %d 个", agefile.MaxKeys)
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			job.transform = func(ctx context.Context, dst io.Writer, src io.Reader) error {
				return agefile.Encrypt(ctx, dst, src, wrapper{server}, keys)
			}
			return job.run(ctx, cmd, files)
		},
	})
	cmd.Flags().StringArrayVar(&keys, "key", nil, c.T("id, alias or ARN of a `KEY`; may be repeated", "密钥 `KEY` 的 ID、别名或 ARN；可重复"))
	job.flags(cmd)
	return cmd
}

func newDecryptCmd(c *cli.Run) *cobra.Command {
	var cmd *cobra.Command
	job := &fileJob{Place: cli.Place{Run: c}}
	job.nameOf = func(source string) (string, error) {
		name, ok := strings.CutSuffix(source, suffix)
		if !ok || name == "" || strings.HasSuffix(name, string(filepath.Separator)) {
			return "", c.Usage(cmd, "%s does not end in %s; name the result with --out", "%s 不以 %s 结尾；请用 --out 指定输出文件", source, suffix)
		}
		return name, nil
	}
	cmd = c.Command(cli.Command{
		Use:   "decrypt [FILE...]",
		Short: c.T("Decrypt files", "解密文件"),
		Long: c.T(
			`Decrypt files that "keyward encrypt" wrote.

Each FILE.kw becomes FILE; without one, standard input goes to standard output. Nothing
is written that was not authenticated. A file is there only if all of it is; but what
went to standard output before an error must be discarded: look at the exit status.`,
			`解密由 "keyward encrypt" 生成的文件。

每个 FILE.kw 还原为 FILE；不给文件时，从标准输入读取并写到标准输出。
未通过认证的内容不会写出。输出到文件时，只有全部正确才会出现该文件；
输出到标准输出时，如果退出状态不为 0，之前写出的内容必须丢弃。`,
		),
		Example: "  keyward decrypt report.pdf.kw\n  keyward decrypt < big.tar.kw > again.tar || rm again.tar",
		Secrets: true,
		Run: func(ctx context.Context, files []string) error {
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			job.transform = func(ctx context.Context, dst io.Writer, src io.Reader) error {
				return agefile.Decrypt(ctx, dst, src, wrapper{server})
			}
			return job.run(ctx, cmd, files)
		},
	})
	job.flags(cmd)
	return cmd
}

// A written file is what a job made.
type written struct {
	Source string `json:"source"`
	File   string `json:"file"`
	Bytes  int64  `json:"bytes"` // read from the source
}

// run does the job for every file, or for standard input.
func (j *fileJob) run(ctx context.Context, cmd *cobra.Command, files []string) error {
	if len(files) == 0 || len(files) == 1 && files[0] == "-" {
		return j.stream(ctx, cmd)
	}
	if j.out != "" && len(files) > 1 {
		return j.Usage(cmd, "--out takes one file, %d are given", "--out 只能对应一个文件，给出了 %d 个", len(files))
	}
	var results []written
	for _, source := range files {
		result, err := j.file(ctx, source)
		if err != nil {
			return &cli.FileError{Name: source, Err: err}
		}
		results = append(results, result)
	}
	if j.out == "-" {
		return nil
	}
	if j.Output == "json" {
		return cli.WriteJSON(j.Out, results)
	}
	for _, r := range results {
		j.Say("%s -> %s (%s)", "%s -> %s（%s）", cli.Printable(r.Source), cli.Printable(r.File), cli.ByteCount(r.Bytes))
	}
	return nil
}

// stream does the job for standard input.
func (j *fileJob) stream(ctx context.Context, cmd *cobra.Command) error {
	var total int64
	if f, ok := j.In.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			total = info.Size()
		}
	}
	in := j.Progress(cli.Interruptible(ctx, j.In), "-", total)
	defer in.Finish()
	if j.out != "" && j.out != "-" {
		return j.Replace(j.out, 0o600, func(dst io.Writer) error { return j.transform(ctx, dst, in) })
	}
	if j.binary && j.OutTerminal {
		return j.Usage(cmd, "an encrypted file is not for a terminal; redirect the output or use --out", "加密文件不适合输出到终端；请重定向输出或使用 --out")
	}
	return j.transform(ctx, j.Out, in)
}

// file does the job for one file.
func (j *fileJob) file(ctx context.Context, source string) (written, error) {
	in, err := os.Open(source)
	if err != nil {
		return written{}, err
	}
	defer func() { _ = in.Close() }() // it was only read
	info, err := in.Stat()
	if err != nil {
		return written{}, err
	}
	if info.IsDir() {
		return written{}, &cli.Problem{Message: j.T("it is a directory", "这是一个目录"), Next: j.T("pack it first, for instance with tar", "请先打包，例如用 tar")}
	}
	p := j.Progress(in, source, info.Size())
	defer p.Finish()
	if j.out == "-" {
		return written{}, j.transform(ctx, j.Out, p)
	}
	name := j.out
	if name == "" {
		if name, err = j.nameOf(source); err != nil {
			return written{}, err
		}
	}
	err = j.Replace(name, info.Mode().Perm(), func(dst io.Writer) error { return j.transform(ctx, dst, p) })
	return written{Source: source, File: name, Bytes: p.Done}, err
}
