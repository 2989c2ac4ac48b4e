package secretcmd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
	"github.com/keyward/keyward/internal/fault"
)

// A putting is one call of secret put.
type putting struct {
	*cli.Run
	api.CreateSecretRequest
	stages []string
	file   string
	raw    bool
	tags   []string
}

func newSecretPutCmd(c *cli.Run) *cobra.Command {
	p := &putting{Run: c}
	cmd := c.Command(cli.Command{
		Use:   "put NAME",
		Short: c.T("Store a value: a new secret, or a new version of one", "存入凭据值：新建凭据，或为其添加新版本"),
		Long: c.T(
			`Store a value under a name: a new secret, or a new version of one, which is current
from then on. The value comes from standard input or from --file, never from the command
line, where other users of this machine could see it and the shell would remember it. On a
terminal it is asked for. A newline at its end is left out, unless --raw is given or the
value comes from a file.`,
			`将值存入指定名称：新建凭据，或为已有凭据添加新版本，新版本立即成为当前版本。
值来自标准输入或 --file，绝不来自命令行：命令行会被本机其他用户看到，并被 shell 记录。
在终端上会提示输入。末尾的换行会被去掉，除非使用 --raw 或从文件读取。`,
		),
		Example: "  keyward secret put payment/api_key < api_key.txt\n  keyward secret put tls/site --file site.pem --key alias/site",
		Secrets: true,
		Run: func(ctx context.Context, args []string) error {
			p.Name = args[0]
			return p.run(ctx)
		},
	})
	expected := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 || len(args) == 1 && strings.Contains(args[0], "=") { // it is not repeated: it may be the value
			return c.Usage(cmd, "a value is never an argument: other users of this machine could see it, and the shell remembers it; if it was real, change it where it is used, then give the new one on standard input or with --file",
				"值不能作为参数：本机其他用户可能看到，shell 也会记录；如果它是真实的值，请先更换它，再通过标准输入或 --file 提供新值")
		}
		return expected(cmd, args)
	}
	f := cmd.Flags()
	f.StringVar(&p.file, "file", "", c.T("read the value from `FILE`; - for standard input", "从文件 `FILE` 读取值；- 表示标准输入"))
	f.BoolVar(&p.raw, "raw", false, c.T("keep a newline at the end of standard input", "保留标准输入末尾的换行"))
	f.StringVar(&p.Type, "type", "", c.T("`TYPE`: text or binary; by default what the value is", "类型 `TYPE`：text 或 binary；默认由值决定"))
	f.StringVar(&p.Version, "version-id", "", c.T("`ID` of the version: with the same one the command may be repeated", "版本 `ID`：使用相同的 ID 可以重复执行命令"))
	f.StringSliceVar(&p.stages, "stage", nil, c.T("put it at these `STAGES`, such as ACSPending; by default ACSCurrent", "放在这些阶段 `STAGES`，例如 ACSPending；默认 ACSCurrent"))
	f.StringVar(&p.Key, "key", "", c.T("of a new secret: id, alias or ARN of the `KEY` that protects it", "新建凭据时：保护它的密钥 `KEY` 的 ID、别名或 ARN"))
	f.StringVar(&p.Description, "description", "", c.T("of a new secret: `TEXT` for people", "新建凭据时：供人阅读的描述 `TEXT`"))
	f.StringArrayVar(&p.tags, "tag", nil, c.T("of a new secret: a tag, `KEY=VALUE`; may be repeated", "新建凭据时：标签 `KEY=VALUE`；可重复"))
	cli.Complete(cmd, "type", "text", "binary")
	cli.Complete(cmd, "stage", "ACSCurrent", "ACSPending")
	return cmd
}

func (p *putting) run(ctx context.Context) (err error) {
	if p.Tags, err = p.ReadTags(p.tags); err != nil {
		return err
	}
	server, err := remote.Connect(p.Run)
	if err != nil {
		return err
	}
	value, err := p.read(ctx)
	if err != nil {
		return err
	}
	defer clear(value)
	if len(value) == 0 {
		return &cli.Problem{Message: p.T("the value is empty", "值为空")}
	}
	if p.Value = value; p.Type == "" {
		p.Type = "text"
		if !utf8.Valid(value) {
			p.Type = "binary"
		}
	}
	return p.put(ctx, server)
}

// put adds a version to the secret, or makes the secret if there is none.
func (p *putting) put(ctx context.Context, server *client.Client) error {
	version, err := server.PutSecretValue(ctx, p.Name, api.PutSecretRequest{Value: p.Value, Type: p.Type, Version: p.Version, Stages: p.stages})
	if remote.RefusedAs(err, fault.ResourceNotFound) {
		return p.create(ctx, server)
	}
	if err != nil {
		return err
	}
	if p.Key != "" || p.Description != "" || p.Tags != nil {
		p.Say("Note: %s was there already; --key, --description and --tag are for new secrets. Use keyward secret update and keyward secret tag.",
			"注意：%s 已存在；--key、--description 和 --tag 只用于新建凭据。请使用 keyward secret update 和 keyward secret tag。", p.Name)
	}
	p.Say("%s has a new version %s (%s)", "%s 有了新版本 %s（%s）", p.Name, version.ID, strings.Join(version.Stages, ", "))
	return p.ShowJSON(version)
}

// create makes the secret with its first version.
func (p *putting) create(ctx context.Context, server *client.Client) error {
	if len(p.stages) > 0 {
		return &cli.Problem{
			Message: fmt.Sprintf(p.T("there is no secret %s yet, and the first version of a secret is the current one", "凭据 %s 尚不存在，而凭据的第一个版本总是当前版本"), p.Name),
			Next:    p.T("leave --stage out", "请去掉 --stage"),
		}
	}
	made, err := server.CreateSecret(ctx, p.CreateSecretRequest)
	if err != nil {
		return err
	}
	p.Say("%s is stored, version %s", "%s 已存入，版本 %s", made.Name, made.Stages["ACSCurrent"])
	return p.ShowJSON(made)
}

// read reads the value from where it is.
func (p *putting) read(ctx context.Context) ([]byte, error) {
	if p.file != "" && p.file != "-" {
		f, err := os.Open(p.file)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }() // it was only read
		return cli.ReadAtMost(f, cli.MaxValue)
	}
	if p.Interactive {
		if p.NoInput {
			return nil, &cli.Problem{Message: p.T("the value is missing", "缺少值"), Next: p.T("give it on standard input or with --file", "请通过标准输入或 --file 提供")}
		}
		fmt.Fprint(p.Err, p.T("Value (it is not shown): ", "值（不会显示）："))
		value, err := p.ReadPassword(ctx)
		fmt.Fprintln(p.Err)
		return value, err
	}
	value, err := cli.ReadAtMost(cli.Interruptible(ctx, p.In), cli.MaxValue+2) // and a newline
	if err != nil || p.raw {
		return value, err
	}
	if shorter, ok := bytes.CutSuffix(value, []byte("\n")); ok {
		return bytes.TrimSuffix(shorter, []byte("\r")), nil
	}
	return value, nil
}

func newSecretGetCmd(c *cli.Run) *cobra.Command {
	var in api.GetSecretRequest
	var out string
	var show bool
	p := cli.Place{Run: c}
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "get NAME",
		Short: c.T("Read the value of a secret", "读取凭据值"),
		Long: c.T(
			`Write the current value of a secret, byte for byte, to standard output or to a file that
only you can read. On a terminal, where others may look on, it is written only with --show.
That you read it is in the audit log before you have it.`,
			`将凭据的当前值原样写到标准输出，或写到只有您能读取的文件。
终端上可能有人旁观，因此只有使用 --show 才会显示。您得到值之前，读取行为已写入审计日志。`,
		),
		Example: "  keyward secret get payment/api_key --out api_key.txt\n  keyward secret get payment/api_key --stage ACSPrevious | program",
		Secrets: true,
		Run: func(ctx context.Context, args []string) error {
			if out == "-" { // as elsewhere, and not a file of that name
				out = ""
			}
			if c.OutTerminal && out == "" && !show {
				return c.Usage(cmd, "a secret is not for a terminal; redirect the output, or use --out FILE, or --show", "凭据值不适合显示在终端上；请重定向输出，或使用 --out FILE，或 --show")
			}
			if out != "" {
				if err := p.MayWrite(out); err != nil {
					return err // before anything is on record
				}
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			got, err := server.GetSecretValue(ctx, args[0], in)
			if err != nil {
				return err
			}
			defer clear(got.Value)
			return writeValue(p, out, got)
		},
	})
	f := cmd.Flags()
	f.StringVar(&in.Version, "version-id", "", c.T("`ID` of a version; by default the current one", "版本 `ID`；默认为当前版本"))
	f.StringVar(&in.Stage, "stage", "", c.T("the version at this `STAGE`", "位于此阶段 `STAGE` 的版本"))
	f.StringVar(&out, "out", "", c.T("write to `FILE`, which only you can read; - for standard output", "写入只有您能读取的文件 `FILE`；- 表示标准输出"))
	f.BoolVar(&p.Force, "force", false, c.T("replace a file that exists", "覆盖已存在的文件"))
	f.BoolVar(&show, "show", false, c.T("also write it to a terminal", "允许显示在终端上"))
	cli.Complete(cmd, "stage", "ACSCurrent", "ACSPrevious", "ACSPending")
	return cmd
}

// writeValue writes a value where it was wanted: all of it or, into a file, nothing.
func writeValue(p cli.Place, out string, got api.SecretValue) error {
	if out != "" {
		return p.Replace(out, 0o600, func(w io.Writer) error {
			_, err := w.Write(got.Value)
			return err
		})
	}
	if p.Output == "json" {
		return cli.WriteJSON(p.Out, got)
	}
	if p.OutTerminal {
		_, err := fmt.Fprintln(p.Out, cli.PrintableLines(string(got.Value)))
		return err
	}
	_, err := p.Out.Write(got.Value)
	return err
}
