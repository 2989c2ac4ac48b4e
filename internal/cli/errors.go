package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"syscall"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/agefile"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
)

// Exit statuses. docs/cli.md tells them to users.
const (
	ExitOK       = 0
	ExitLocal    = 1 // the command line is wrong, or something on this machine is
	ExitServer   = 2 // the server answered with an error
	ExitTampered = 3 // an audit log does not verify, or a scrub found something
)

// Exit statuses of scan, which are those that scanners of this kind have.
const (
	ExitFindings = 1
	ExitPartial  = 2 // an error, or not everything was looked at, or nothing
)

// A Problem is an error in the user's language.
type Problem struct {
	Message string
	Cause   error  // in detail; may be nil
	Next    string // what to do next; may be ""
	Code    string // for programs; "" is Local
	Status  int    // the exit status; 0 is ExitLocal
}

// Error implements error.
func (p *Problem) Error() string {
	if p.Cause != nil {
		return p.Message + ": " + p.Cause.Error()
	}
	return p.Message
}

// Unwrap answers the cause.
func (p *Problem) Unwrap() error { return p.Cause }

// A FileError says which of the files an error is about.
type FileError struct {
	Name string
	Err  error
}

// Error implements error.
func (e *FileError) Error() string { return e.Name + ": " + e.Err.Error() }

// Unwrap answers what is wrong.
func (e *FileError) Unwrap() error { return e.Err }

// Usage reports that a command was called wrongly.
func (c *Run) Usage(cmd *cobra.Command, en, zh string, args ...any) error {
	p := &Problem{
		Message: fmt.Sprintf(c.T(en, zh), args...),
		Next:    fmt.Sprintf(c.T("run: %s --help", "请执行：%s --help"), cmd.CommandPath()),
	}
	if strings.HasPrefix(cmd.CommandPath()+" ", "keyward scan ") {
		p.Status = ExitPartial // 1 would say that something was found
	}
	return p
}

// FlagError puts what pflag has against a flag into the user's language. The value is
// left out: it may be a secret in the wrong place.
func (c *Run) FlagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		if strings.Contains(unknown.GetSpecifiedName(), "secret") || strings.Contains(unknown.GetSpecifiedName(), "passphrase") {
			return c.Usage(cmd, "there is no flag --%s: secrets on a command line are seen by every user of the machine; use the environment or a file",
				"没有选项 --%s：命令行上的密钥会被本机所有用户看到，请使用环境变量或文件", unknown.GetSpecifiedName())
		}
		return c.Usage(cmd, "there is no flag %q", "没有选项 %q", unknown.GetSpecifiedName())
	case errors.As(err, &missing):
		return c.Usage(cmd, "the flag --%s needs a value", "选项 --%s 需要一个值", missing.GetFlag().Name)
	case errors.As(err, &invalid):
		return c.Usage(cmd, "the value of --%s must look like %s", "选项 --%s 的值应形如 %s", invalid.GetFlag().Name, looksLike(invalid.GetFlag().Value.Type()))
	}
	return c.Usage(cmd, "the flags cannot be understood", "无法理解命令行选项")
}

// looksLike answers examples of a flag's type.
func looksLike(kind string) string {
	switch kind {
	case "duration":
		return "30d, 12h, 90s"
	case "time":
		return "2026-01-31, 2026-01-31T15:04:05Z, 30d"
	case "int", "int64":
		return "30"
	case "bool":
		return "true, false"
	}
	return kind
}

// A Failure is an error as it is shown.
type Failure struct {
	status    int
	Code      string `json:"code"`
	Message   string `json:"message"`
	Next      string `json:"next,omitempty"`
	RequestID string `json:"requestId,omitempty"`
}

// Report shows an error and answers the exit status that belongs to it.
func (c *Run) Report(err error) int {
	if err == nil {
		return ExitOK
	}
	f := c.failureOf(err)
	if c.Output == "json" {
		encoder := json.NewEncoder(c.Err)
		encoder.SetEscapeHTML(false)
		_ = encoder.Encode(map[string]Failure{"error": f}) // there is nowhere left to report to
		return f.status
	}
	message := f.Message
	if f.status == ExitServer && f.Code != "Local" {
		message = c.withCode(f)
	}
	fmt.Fprintf(c.Err, c.T("keyward: %s\n", "keyward：%s\n"), PrintableLines(message))
	if f.Next != "" {
		fmt.Fprintf(c.Err, c.T("  next: %s\n", "  下一步：%s\n"), f.Next)
	}
	if f.RequestID != "" {
		fmt.Fprintf(c.Err, c.T("  request: %s\n", "  请求：%s\n"), Printable(f.RequestID))
	}
	return f.status
}

// withCause puts what a problem comes of behind it.
func (c *Run) withCause(p *Problem) string {
	var known fault.Text
	switch {
	case p.Cause == nil:
		return p.Message
	case errors.As(p.Cause, &known):
		return p.Message + c.T(": ", "：") + c.T(known.String(), known.Chinese())
	}
	return p.Message + c.T(": ", "：") + p.Cause.Error()
}

// withCode puts an error's code, which documentation and logs name it by, before its text.
func (c *Run) withCode(f Failure) string { return f.Code + c.T(": ", "：") + f.Message }

// PrintableLines makes every line of s printable.
func PrintableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = Printable(line)
	}
	return strings.Join(lines, "\n")
}

// failureOf says what an error means to the person who meets it.
func (c *Run) failureOf(err error) Failure {
	var tampered *audit.TamperError
	var refused *agefile.RefusedError
	var answered *client.Error
	var local *Problem
	var known *fault.Error
	var network *url.Error
	var file *FileError
	switch {
	case errors.As(err, &file):
		f := c.failureOf(file.Err)
		if !strings.HasPrefix(f.Message, file.Name) {
			f.Message = file.Name + ": " + f.Message
		}
		return f
	case errors.Is(err, context.Canceled):
		return Failure{status: ExitLocal, Code: "Interrupted", Message: c.T("interrupted", "已中断")}
	case errors.As(err, &tampered):
		return Failure{status: ExitTampered, Code: "Tampered",
			Message: fmt.Sprintf(c.T("TAMPERED: audit log %q: %s", "已被篡改：审计日志 %q：%s"), tampered.Log, c.T(tampered.Where.String(), tampered.Where.Chinese())),
			Next:    c.T("keep this copy and the checkpoints as evidence, and compare with an earlier export", "请保留该副本和检查点作为证据，并与较早的导出文件比较")}
	case errors.As(err, &local):
		return Failure{status: cmp.Or(local.Status, ExitLocal), Code: cmp.Or(local.Code, "Local"), Message: c.withCause(local), Next: local.Next}
	case errors.As(err, &refused):
		return c.refusal(refused)
	case errors.As(err, &answered):
		return c.Explain(answered)
	case errors.As(err, &known):
		return Failure{status: ExitLocal, Code: string(known.Kind), Message: c.T(fault.Message(known), fault.TextOf(known).Chinese())}
	case errors.As(err, &network):
		return Failure{status: ExitLocal, Code: "Unreachable",
			Message: fmt.Sprintf(c.T("the server cannot be reached: %v", "无法连接服务器：%v"), err),
			Next:    c.T(`check that it runs, and "keyward profile show" for where it is looked for`, `请确认服务器正在运行，并用 "keyward profile show" 查看连接的地址`)}
	}
	return c.fileFailure(err)
}

// fileFailure says what is wrong with a file, or passes the error on.
func (c *Run) fileFailure(err error) Failure {
	f := Failure{status: ExitLocal, Code: "Local", Message: err.Error()}
	var path *fs.PathError
	switch {
	case !errors.As(err, &path):
	case errors.Is(err, fs.ErrNotExist):
		f.Message = path.Path + c.T(": there is no such file", "：文件不存在")
	case errors.Is(err, fs.ErrPermission):
		f.Message = path.Path + c.T(": you may not access this file", "：没有访问该文件的权限")
	case errors.Is(err, syscall.EISDIR):
		f.Message = path.Path + c.T(": it is a directory", "：这是一个目录")
	case errors.Is(err, syscall.ENOTDIR):
		f.Message = path.Path + c.T(": a part of this path is no directory", "：路径中有一部分不是目录")
	case errors.Is(err, syscall.EROFS):
		f.Message = path.Path + c.T(": the file system is read-only", "：文件系统是只读的")
	case errors.Is(err, syscall.ENOSPC):
		f.Message = path.Path + c.T(": the disk is full", "：磁盘空间已满")
	}
	for _, known := range []struct {
		err           error
		code          string
		message, next text
	}{
		{agefile.ErrFormat, "NotEncrypted", text{"this is not an encrypted file, or its beginning is damaged", "这不是加密文件，或文件开头已损坏"},
			text{"check that this is the file that keyward encrypt wrote", "请确认这是 keyward encrypt 生成的文件"}},
		{agefile.ErrForeign, "ForeignFile", text{"this file was not encrypted with a key of keyward", "此文件不是用 keyward 的密钥加密的"},
			text{"decrypt it with age and the identity that it was encrypted to", "请使用 age 和对应的私钥解密"}},
		{agefile.ErrDamaged, "DamagedFile", text{"the file was changed or cut off after it was encrypted; discard what was written", "文件在加密之后被修改或截断；请丢弃已写出的内容"},
			text{"fetch the file again, from a backup if need be", "请重新获取该文件，必要时从备份恢复"}},
	} {
		if errors.Is(err, known.err) {
			f.Code, f.Message, f.Next = known.code, known.message.in(c.Lang), known.next.in(c.Lang)
		}
	}
	return f
}

// refusal says why none of a file's keys opened it.
func (c *Run) refusal(refused *agefile.RefusedError) Failure {
	f := Failure{status: ExitLocal, Code: "Refused", Message: c.T("no key of the file opened it:", "文件的密钥都无法打开它：")}
	for _, r := range refused.Refusals {
		one := c.failureOf(r.Err)
		f.Message += "\n  " + r.KeyID + c.T(": ", "：") + c.withCode(one)
		f.status = max(f.status, one.status)
		if f.Next == "" {
			f.Next, f.RequestID = one.Next, one.RequestID
		}
	}
	return f
}

// Explain says what an error of the server means. A server that has no Chinese for its
// message, because it is older or repeats others, has the meaning put before it.
func (c *Run) Explain(e *client.Error) Failure {
	f := Failure{status: ExitServer, Code: e.Code, Message: e.Message, RequestID: e.RequestID}
	a, known := adviceOn(fault.Kind(e.Code))
	switch {
	case e.Code == "":
		f.Code = "NotKeyward"
		f.Message = fmt.Sprintf(c.T("the answer (HTTP %d) is not one of keyward", "收到的应答（HTTP %d）不是来自 keyward"), e.Status)
		f.Next = c.T("check the endpoint, and what stands before the server", "请检查服务器地址及其前面的代理")
	case known:
		f.Next = a.next.in(c.Lang)
		if next := lookAt(c.path); fault.Kind(e.Code) == fault.StateConflict && next.en != "" {
			f.Next = next.in(c.Lang)
		}
		if c.Lang == Chinese && !strings.ContainsFunc(e.Message, isHan) {
			f.Message = a.what.zh + "：" + e.Message
		}
	}
	return f
}

func isHan(r rune) bool { return unicode.Is(unicode.Han, r) }
