package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/cli"
)

// maxCredential bounds what is read of a credential, in bytes.
const maxCredential = 1 << 20

// A Filling is what a person fills in to connect keyward with something: settings on the
// command line, the credential in a file, on standard input, or typed without echo.
type Filling struct {
	*cli.Run
	Cmd      *cobra.Command
	Settings []string
	File     string
}

// Flags gives a command the flags with which it is filled in.
func (f *Filling) Flags(cmd *cobra.Command) {
	f.Cmd = cmd
	cmd.Flags().StringArrayVar(&f.Settings, "set", nil, f.T("a setting, `NAME=VALUE`; may be repeated", "设置项 `NAME=VALUE`；可重复"))
	cmd.Flags().StringVar(&f.File, "credential", "", f.T("read the credential from `FILE`, - for standard input: lines NAME=VALUE, or NAME@=PATH for the content of a file, or a JSON object",
		"从 `FILE` 读取凭证（- 表示标准输入）：每行 NAME=VALUE，或用 NAME@=PATH 读取文件内容，或一个 JSON 对象"))
}

// Given tells whether anything was filled in.
func (f *Filling) Given() bool { return f.File != "" || len(f.Settings) > 0 }

// Connection answers what was filled in of the fields; before has the settings that stay
// unless they are given anew.
func (f *Filling) Connection(ctx context.Context, settings, parts []api.Field, before map[string]string) (api.Connection, error) {
	out := api.Connection{Settings: map[string]string{}}
	for name, value := range before {
		out.Settings[name] = value
	}
	for _, pair := range f.Settings {
		name, value, ok := strings.Cut(pair, "=")
		switch {
		case !ok:
			return out, f.Usage(f.Cmd, "--set must look like NAME=VALUE", "--set 应形如 NAME=VALUE")
		case hasField(parts, name):
			return out, f.Usage(f.Cmd, "%s is secret: every user of the machine sees a command line; put it into a file and give --credential FILE",
				"%s 是机密：命令行会被本机所有用户看到；请写入文件并使用 --credential FILE", name)
		case !hasField(settings, name):
			return out, f.Usage(f.Cmd, "there is no setting %q; the settings are: %s", "没有设置项 %q；可用的设置项：%s", name, FieldNames(settings))
		}
		out.Settings[name] = value
	}
	for _, field := range settings {
		if field.Required && out.Settings[field.Name] == "" {
			return out, f.Usage(f.Cmd, "the setting %s is missing (%s): --set %s=…", "缺少设置项 %s（%s）：--set %s=…", field.Name, f.T(field.Help.English, field.Help.Chinese), field.Name)
		}
	}
	credential, err := f.credential(ctx, parts)
	out.Credential = credential
	return out, err
}

func hasField(fields []api.Field, name string) bool {
	return slices.ContainsFunc(fields, func(f api.Field) bool { return f.Name == name })
}

// FieldNames lists fields for a person.
func FieldNames(fields []api.Field) string {
	if len(fields) == 0 {
		return "-"
	}
	list := make([]string, len(fields))
	for i, f := range fields {
		list[i] = f.Name
	}
	return strings.Join(list, ", ")
}

// credential reads the parts of a credential from where they are.
func (f *Filling) credential(ctx context.Context, parts []api.Field) (map[string]api.SecretBytes, error) {
	if f.File == "" {
		return f.ask(ctx, parts)
	}
	f.Harden()
	content, err := f.ReadCredential(ctx)
	if err != nil {
		return nil, err
	}
	defer clear(content)
	out, err := f.Parse(content)
	if err != nil {
		return nil, err
	}
	for name := range out {
		if !hasField(parts, name) {
			return nil, &cli.Problem{Message: fmt.Sprintf(f.T("the credential has a part %.64q that is not asked for; its parts are: %s", "凭证中有多余的部分 %.64q；应包含：%s"), name, FieldNames(parts))}
		}
	}
	for _, p := range parts {
		if p.Required && len(out[p.Name]) == 0 {
			return nil, &cli.Problem{Message: fmt.Sprintf(f.T("the credential lacks %s (%s)", "凭证缺少 %s（%s）"), p.Name, f.T(p.Help.English, p.Help.Chinese))}
		}
	}
	return out, nil
}

// ReadCredential reads File, or standard input for "-".
func (f *Filling) ReadCredential(ctx context.Context) ([]byte, error) {
	from, err := f.Input(ctx, f.File)
	if err != nil {
		return nil, fmt.Errorf("reading the credential: %w", err)
	}
	defer func() { _ = from.Close() }() // it was only read
	content, err := io.ReadAll(io.LimitReader(from, maxCredential+1))
	if err != nil {
		return nil, fmt.Errorf("reading the credential: %w", err)
	}
	if len(content) > maxCredential {
		return nil, &cli.Problem{Message: f.T("the credential is larger than 1 MiB", "凭证超过 1 MiB")}
	}
	return content, nil
}

// Parse reads a JSON object of texts, or lines. Errors do not repeat what stands there.
func (f *Filling) Parse(content []byte) (map[string]api.SecretBytes, error) {
	out := map[string]api.SecretBytes{}
	if trimmed := bytes.TrimSpace(content); bytes.HasPrefix(trimmed, []byte("{")) {
		var object map[string]string
		if err := json.Unmarshal(trimmed, &object); err != nil {
			return nil, &cli.Problem{Message: f.T("the credential is no JSON object of texts", "凭证不是由文本组成的 JSON 对象")}
		}
		for name, value := range object {
			out[name] = api.SecretBytes(value)
		}
		return out, nil
	}
	for n, line := range bytes.Split(content, []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		if blank := bytes.TrimSpace(line); len(blank) == 0 || blank[0] == '#' {
			continue
		}
		name, value, ok := bytes.Cut(line, []byte("="))
		key, fromFile := strings.CutSuffix(strings.TrimSpace(string(name)), "@")
		if _, twice := out[key]; !ok || key == "" || twice {
			return nil, &cli.Problem{
				Message: fmt.Sprintf(f.T("line %d of the credential is not NAME=VALUE, or names something twice", "凭证第 %d 行不是 NAME=VALUE 的形式，或名称重复"), n+1),
				Next:    f.T("put a value with several lines into a file of its own: NAME@=PATH", "多行的值请放入单独的文件：NAME@=PATH"),
			}
		}
		out[key] = bytes.Clone(value)
		if fromFile {
			part, err := os.ReadFile(string(value))
			if err != nil {
				return nil, fmt.Errorf("reading %s: %w", key, err)
			}
			out[key] = part
		}
	}
	return out, nil
}

// ask has a person type the parts of a credential without echo.
func (f *Filling) ask(ctx context.Context, parts []api.Field) (map[string]api.SecretBytes, error) {
	if len(parts) == 0 {
		return nil, nil //nolint:nilnil // there is none
	}
	if !f.Interactive || f.NoInput {
		if !slices.ContainsFunc(parts, func(p api.Field) bool { return p.Required }) {
			return nil, nil //nolint:nilnil // none is needed
		}
		return nil, &cli.Problem{
			Message: fmt.Sprintf(f.T("the credential is missing; its parts are: %s", "缺少凭证；应包含：%s"), FieldNames(parts)),
			Next:    f.T("put lines NAME=VALUE into a file and give --credential FILE, or - for standard input", "请将 NAME=VALUE 逐行写入文件并使用 --credential FILE（- 表示标准输入）"),
		}
	}
	f.Harden()
	out := map[string]api.SecretBytes{}
	for _, p := range parts {
		optional := ""
		if !p.Required {
			optional = f.T(" (optional)", "（可选）")
		}
		fmt.Fprintf(f.Err, "%s – %s%s: ", p.Name, f.T(p.Help.English, p.Help.Chinese), optional)
		line, err := f.ReadPassword(ctx)
		fmt.Fprintln(f.Err)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("reading %s: %w", p.Name, err)
		}
		if len(line) == 0 && p.Required {
			return nil, &cli.Problem{Message: fmt.Sprintf(f.T("%s was not given", "未输入 %s"), p.Name)}
		}
		if len(line) > 0 {
			out[p.Name] = line
		}
	}
	return out, nil
}

// AddFields writes what a kind asks for.
func AddFields(c *cli.Run, t *cli.Table, fields []api.Field, secret bool) {
	for _, f := range fields {
		where := "--set"
		if secret {
			where = "--credential"
		}
		need := c.T("optional", "可选")
		if f.Required {
			need = c.T("required", "必填")
		}
		help := c.T(f.Help.English, f.Help.Chinese)
		if f.Example != "" {
			help += c.T("; for example ", "；例如 ") + f.Example
		}
		t.Add("  "+f.Name, where, need, help)
	}
}
