package inventorycmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cloud/httpapi"
	"github.com/keyward/keyward/internal/cloud/httpapi/client"
	"github.com/keyward/keyward/internal/cloud/httpapi/contract"
	"github.com/keyward/keyward/internal/cloud/httpapi/definition"
	"github.com/keyward/keyward/internal/cloud/httpapi/document"
	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/material"
)

// A providerTest is one call of provider test.
type providerTest struct {
	*cli.Run
	live       bool
	credential string
	vars       []string
	allow      []string
}

func newProviderTestCmd(c *cli.Run) *cobra.Command {
	t := &providerTest{Run: c}
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "test DEFINITION",
		Short: c.T("Test a definition of an HTTP provider", "测试 HTTP 平台的定义文件"),
		Long: c.T(
			`Test a definition of an HTTP provider: a file, or the name of a shipped one.

The definition is read, and held against the exchanges that are recorded in its file:
every operation, every way to fail. Nothing is sent. With --live the service
itself is asked, with the calls of one synchronisation, which only read.`,
			`测试 HTTP 平台的定义：一个文件，或内置定义的名称。

读取定义，并与文件中记录的请求和应答逐一核对：每个操作，以及每种失败方式。
不发送任何请求。加上 --live 时，会用一次同步所需的只读请求询问该平台本身。`,
		),
		Example: "  keyward provider test cloudflare\n  keyward provider test my.yaml --live --credential token.txt --var account=123",
		Secrets: true,
		Run:     func(ctx context.Context, args []string) error { return t.run(ctx, cmd, args[0]) },
	})
	f := cmd.Flags()
	f.BoolVar(&t.live, "live", false, c.T("ask the service itself", "询问平台本身"))
	f.StringVar(&t.credential, "credential", "", c.T("`FILE` with the credential; - for standard input; needs --live", "凭据文件 `FILE`；- 表示标准输入；需与 --live 同用"))
	f.StringArrayVar(&t.vars, "var", nil, c.T("variable of the definition, as `NAME=VALUE`; may be repeated", "定义的变量 `NAME=VALUE`；可重复"))
	f.StringArrayVar(&t.allow, "allow", nil, c.T("`NETWORK` that is not public and may be reached, such as 10.0.0.0/8; may be repeated", "允许访问的非公网网段 `NETWORK`，例如 10.0.0.0/8；可重复"))
	return cmd
}

func (t *providerTest) run(ctx context.Context, cmd *cobra.Command, name string) error {
	if !t.live && (t.credential != "" || len(t.vars)+len(t.allow) > 0) {
		return t.Usage(cmd, "--credential, --var and --allow need --live", "--credential、--var 和 --allow 需与 --live 同用")
	}
	if t.live && t.credential == "" {
		return t.Usage(cmd, "--live needs --credential", "--live 需要 --credential")
	}
	text, err := readDefinition(name)
	if err != nil {
		return err
	}
	report, err := t.report(ctx, cmd, text)
	if err != nil {
		return badDefinition(t.Run, name, err)
	}
	if err := t.Show(report, func(rows *cli.Table) { t.rows(rows, report) }); err != nil {
		return err
	}
	if !report.OK() {
		return &cli.Problem{
			Message: fmt.Sprintf(t.T("the definition %s does not pass", "定义 %s 未通过测试"), report.Definition),
			Next:    t.T("correct what stands beside FAILED; docs/providers/http.md explains the format", "请更正标有“失败”的项目；格式说明见 docs/providers/http.md"),
		}
	}
	t.Say("The definition %s passes: %d checks.", "定义 %s 通过测试：共 %d 项检查。", report.Definition, len(report.Results))
	return nil
}

func (t *providerTest) rows(rows *cli.Table, report contract.Report) {
	rows.Add(t.T("OPERATION", "操作"), t.T("CASE", "用例"), t.T("RESULT", "结果"), t.T("EVIDENCE", "依据"))
	for _, r := range report.Results {
		result := t.T("ok", "通过")
		if !r.OK {
			result = t.T("FAILED", "失败")
		}
		rows.Add(cli.OrDash(string(r.Operation)), r.Case, result, r.Evidence)
	}
}

// report holds the definition against its recorded exchanges, or asks the service.
func (t *providerTest) report(ctx context.Context, cmd *cobra.Command, text []byte) (contract.Report, error) {
	if !t.live {
		return contract.Recorded(ctx, text)
	}
	def, err := definition.Parse(text)
	if err != nil {
		return contract.Report{}, err
	}
	target := client.Target{Vars: map[string]string{}, Now: time.Now}
	for _, v := range t.vars {
		name, value, ok := strings.Cut(v, "=")
		if !ok {
			return contract.Report{}, t.Usage(cmd, "--var must look like NAME=VALUE", "--var 应形如 NAME=VALUE")
		}
		target.Vars[name] = value
	}
	var allow []netip.Prefix
	for _, network := range t.allow {
		p, err := netip.ParsePrefix(network)
		if err != nil {
			return contract.Report{}, t.Usage(cmd, "--allow must look like 10.0.0.0/8", "--allow 应形如 10.0.0.0/8")
		}
		allow = append(allow, p)
	}
	whole, err := t.readCredential(ctx)
	if err != nil {
		return contract.Report{}, err
	}
	if target.Credential, err = def.ReadCredential(whole); err != nil {
		return contract.Report{}, err
	}
	target.HTTP = egress.HTTP(allow)
	return contract.Live(ctx, def, target)
}

// readCredential reads the credential from its file or from standard input.
func (t *providerTest) readCredential(ctx context.Context) (material.Bytes, error) {
	in, err := t.Input(ctx, t.credential)
	if err != nil {
		return material.Bytes{}, err
	}
	defer func() { _ = in.Close() }() // it was only read
	content, err := io.ReadAll(io.LimitReader(in, document.MaxSize))
	if err != nil {
		return material.Bytes{}, fmt.Errorf("reading the credential: %w", err)
	}
	return material.NewBytes(content), nil
}

// readDefinition reads a definition's file, or the shipped definition of this name if
// there is no such file.
func readDefinition(name string) ([]byte, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		if text, ok := httpapi.ShippedText(name); ok {
			return text, nil
		}
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, document.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return text, nil
}

// badDefinition says what is wrong with a definition, in the user's language as far as it goes.
func badDefinition(c *cli.Run, name string, err error) error {
	var wrong *document.Error
	switch {
	case errors.As(err, &wrong):
		return &cli.Problem{
			Message: fmt.Sprintf(c.T("the definition %s cannot be used", "定义 %s 无法使用"), name), Cause: wrong,
			Next: c.T("correct it; docs/providers/http.md explains the format", "请更正；格式说明见 docs/providers/http.md"),
		}
	case errors.Is(err, contract.ErrNoContract):
		return &cli.Problem{
			Message: fmt.Sprintf(c.T("the definition %s is well-formed, but no exchanges are recorded in its file", "定义 %s 格式正确，但文件中没有记录请求和应答"), name),
			Next:    c.T("add a document of kind HTTPContract, or test it with --live", "请添加 kind 为 HTTPContract 的文档，或使用 --live 测试"),
		}
	}
	return err
}

func newProviderDefinitionCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:     "definition [NAME]",
		Short:   c.T("Print a shipped definition, or their names", "输出内置定义，或列出其名称"),
		Example: "  keyward provider definition story > my.yaml",
		Run: func(_ context.Context, args []string) error {
			if len(args) == 0 {
				return definitions(c)
			}
			text, ok := httpapi.ShippedText(args[0])
			if !ok {
				return &cli.Problem{
					Message: fmt.Sprintf(c.T("there is no shipped definition %q", "没有内置定义 %q"), args[0]),
					Next:    fmt.Sprintf(c.T("choose one of %s", "可选：%s"), strings.Join(httpapi.Shipped(), ", ")),
				}
			}
			_, err := c.Out.Write(text)
			return err
		},
	})
}

// A shippedDefinition is a line of the list of definitions.
type shippedDefinition struct {
	Name      string   `json:"name"`
	Title     string   `json:"title"`
	Archetype string   `json:"archetype"`
	Expiry    bool     `json:"expiry"`
	Vars      []string `json:"vars"`
}

// definitions lists the definitions that keyward brings.
func definitions(c *cli.Run) error {
	var all []shippedDefinition
	for _, name := range httpapi.Shipped() {
		content, _ := httpapi.ShippedText(name) // the name is of the list
		def, err := definition.Parse(content)
		if err != nil {
			return badDefinition(c, name, err)
		}
		d := shippedDefinition{Name: name, Title: c.T(def.Title.English, def.Title.Chinese), Archetype: def.Capabilities.Archetype, Expiry: def.TellsExpiry(), Vars: []string{}}
		for v := range def.Vars {
			d.Vars = append(d.Vars, v)
		}
		slices.Sort(d.Vars)
		all = append(all, d)
	}
	return c.Show(all, func(t *cli.Table) {
		t.Add(c.T("NAME", "名称"), c.T("TITLE", "说明"), c.T("ARCHETYPE", "类型"), c.T("TELLS EXPIRY", "告知到期时间"), c.T("VARIABLES", "变量"))
		for _, d := range all {
			t.Add(d.Name, d.Title, d.Archetype, c.YesNo(d.Expiry), cli.OrDash(strings.Join(d.Vars, ", ")))
		}
	})
}

func newProviderSchemaCmd(c *cli.Run) *cobra.Command {
	var ofContract bool
	cmd := c.Command(cli.Command{
		Use:   "schema",
		Short: c.T("Print the JSON Schema of definitions", "输出定义文件的 JSON Schema"),
		Run: func(context.Context, []string) error {
			schema := definition.Schema()
			if ofContract {
				schema = contract.Schema()
			}
			_, err := c.Out.Write(schema)
			return err
		},
	})
	cmd.Flags().BoolVar(&ofContract, "contract", false, c.T("of the recorded exchanges instead", "改为输出请求与应答记录的 JSON Schema"))
	return cmd
}
