package main

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
)

// maxCredential bounds what is read of a credential, in bytes.
const maxCredential = 1 << 20

// A filling is what a person fills in to connect keyward with something: settings on the
// command line, the credential in a file, on standard input, or typed without echo.
type filling struct {
	*cli
	cmd      *cobra.Command
	settings []string
	file     string
}

func (f *filling) flags(cmd *cobra.Command) {
	f.cmd = cmd
	cmd.Flags().StringArrayVar(&f.settings, "set", nil, f.t("a setting, `NAME=VALUE`; may be repeated", "设置项 `NAME=VALUE`；可重复"))
	cmd.Flags().StringVar(&f.file, "credential", "", f.t("read the credential from `FILE`, - for standard input: lines NAME=VALUE, or NAME@=PATH for the content of a file, or a JSON object",
		"从 `FILE` 读取凭证（- 表示标准输入）：每行 NAME=VALUE，或用 NAME@=PATH 读取文件内容，或一个 JSON 对象"))
}

// given tells whether anything was filled in.
func (f *filling) given() bool { return f.file != "" || len(f.settings) > 0 }

// connection answers what was filled in of the fields; before has the settings that stay
// unless they are given anew.
func (f *filling) connection(ctx context.Context, settings, parts []api.Field, before map[string]string) (api.Connection, error) {
	out := api.Connection{Settings: map[string]string{}}
	for name, value := range before {
		out.Settings[name] = value
	}
	for _, pair := range f.settings {
		name, value, ok := strings.Cut(pair, "=")
		switch {
		case !ok:
			return out, f.usage(f.cmd, "--set must look like NAME=VALUE", "--set 应形如 NAME=VALUE")
		case hasField(parts, name):
			return out, f.usage(f.cmd, "%s is secret: every user of the machine sees a command line; put it into a file and give --credential FILE",
				"%s 是机密：命令行会被本机所有用户看到；请写入文件并使用 --credential FILE", name)
		case !hasField(settings, name):
			return out, f.usage(f.cmd, "there is no setting %q; the settings are: %s", "没有设置项 %q；可用的设置项：%s", name, fieldNames(settings))
		}
		out.Settings[name] = value
	}
	for _, field := range settings {
		if field.Required && out.Settings[field.Name] == "" {
			return out, f.usage(f.cmd, "the setting %s is missing (%s): --set %s=…", "缺少设置项 %s（%s）：--set %s=…", field.Name, f.t(field.Help.English, field.Help.Chinese), field.Name)
		}
	}
	credential, err := f.credential(ctx, parts)
	out.Credential = credential
	return out, err
}

func hasField(fields []api.Field, name string) bool {
	return slices.ContainsFunc(fields, func(f api.Field) bool { return f.Name == name })
}

func fieldNames(fields []api.Field) string {
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
func (f *filling) credential(ctx context.Context, parts []api.Field) (map[string]api.SecretBytes, error) {
	if f.file == "" {
		return f.ask(ctx, parts)
	}
	f.harden()
	content, err := f.readCredential(ctx)
	if err != nil {
		return nil, err
	}
	defer clear(content)
	out, err := f.parse(content)
	if err != nil {
		return nil, err
	}
	for name := range out {
		if !hasField(parts, name) {
			return nil, &problem{message: fmt.Sprintf(f.t("the credential has a part %.64q that is not asked for; its parts are: %s", "凭证中有多余的部分 %.64q；应包含：%s"), name, fieldNames(parts))}
		}
	}
	for _, p := range parts {
		if p.Required && len(out[p.Name]) == 0 {
			return nil, &problem{message: fmt.Sprintf(f.t("the credential lacks %s (%s)", "凭证缺少 %s（%s）"), p.Name, f.t(p.Help.English, p.Help.Chinese))}
		}
	}
	return out, nil
}

func (f *filling) readCredential(ctx context.Context) ([]byte, error) {
	var from io.Reader
	if f.file == "-" {
		from = interruptible(ctx, f.in)
	} else {
		file, err := os.Open(f.file)
		if err != nil {
			return nil, fmt.Errorf("reading the credential: %w", err)
		}
		defer file.Close()
		from = file
	}
	content, err := io.ReadAll(io.LimitReader(from, maxCredential+1))
	if err != nil {
		return nil, fmt.Errorf("reading the credential: %w", err)
	}
	if len(content) > maxCredential {
		return nil, &problem{message: f.t("the credential is larger than 1 MiB", "凭证超过 1 MiB")}
	}
	return content, nil
}

// parse reads a JSON object of texts, or lines. Errors do not repeat what stands there.
func (f *filling) parse(content []byte) (map[string]api.SecretBytes, error) {
	out := map[string]api.SecretBytes{}
	if trimmed := bytes.TrimSpace(content); bytes.HasPrefix(trimmed, []byte("{")) {
		var object map[string]string
		if err := json.Unmarshal(trimmed, &object); err != nil {
			return nil, &problem{message: f.t("the credential is no JSON object of texts", "凭证不是由文本组成的 JSON 对象")}
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
			return nil, &problem{
				message: fmt.Sprintf(f.t("line %d of the credential is not NAME=VALUE, or names something twice", "凭证第 %d 行不是 NAME=VALUE 的形式，或名称重复"), n+1),
				next:    f.t("put a value with several lines into a file of its own: NAME@=PATH", "多行的值请放入单独的文件：NAME@=PATH"),
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
func (f *filling) ask(ctx context.Context, parts []api.Field) (map[string]api.SecretBytes, error) {
	if len(parts) == 0 {
		return nil, nil //nolint:nilnil // there is none
	}
	if !f.interactive || f.noInput {
		if !slices.ContainsFunc(parts, func(p api.Field) bool { return p.Required }) {
			return nil, nil //nolint:nilnil // none is needed
		}
		return nil, &problem{
			message: fmt.Sprintf(f.t("the credential is missing; its parts are: %s", "缺少凭证；应包含：%s"), fieldNames(parts)),
			next:    f.t("put lines NAME=VALUE into a file and give --credential FILE, or - for standard input", "请将 NAME=VALUE 逐行写入文件并使用 --credential FILE（- 表示标准输入）"),
		}
	}
	f.harden()
	out := map[string]api.SecretBytes{}
	for _, p := range parts {
		optional := ""
		if !p.Required {
			optional = f.t(" (optional)", "（可选）")
		}
		fmt.Fprintf(f.err, "%s – %s%s: ", p.Name, f.t(p.Help.English, p.Help.Chinese), optional)
		line, err := f.readPassword(ctx)
		fmt.Fprintln(f.err)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("reading %s: %w", p.Name, err)
		}
		if len(line) == 0 && p.Required {
			return nil, &problem{message: fmt.Sprintf(f.t("%s was not given", "未输入 %s"), p.Name)}
		}
		if len(line) > 0 {
			out[p.Name] = line
		}
	}
	return out, nil
}

// addFields writes what a kind asks for.
func (c *cli) addFields(t *table, fields []api.Field, secret bool) {
	for _, f := range fields {
		where := "--set"
		if secret {
			where = "--credential"
		}
		need := c.t("optional", "可选")
		if f.Required {
			need = c.t("required", "必填")
		}
		help := c.t(f.Help.English, f.Help.Chinese)
		if f.Example != "" {
			help += c.t("; for example ", "；例如 ") + f.Example
		}
		t.add("  "+f.Name, where, need, help)
	}
}
