package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/fault"
)

// A Dialogue asks for what must not be seen: on a terminal without showing it, otherwise
// line by line from standard input.
type Dialogue struct{ *cli.Run }

// Ask asks for one thing.
func (d *Dialogue) Ask(ctx context.Context, prompt string) (api.SecretText, error) {
	if d.Interactive && d.NoInput {
		return "", &cli.Problem{Message: d.T("a password or code is needed and nobody may be asked", "需要输入密码或验证码，但当前无法提问"), Next: d.T("give it on standard input", "请通过标准输入提供")}
	}
	if d.Interactive {
		fmt.Fprint(d.Err, prompt+d.T(": ", "："))
		line, err := d.ReadPassword(ctx)
		fmt.Fprintln(d.Err)
		return api.SecretText(line), err
	}
	line, err := d.Line(ctx)
	if err != nil && (line == "" || !errors.Is(err, io.EOF)) {
		return "", &cli.Problem{Message: fmt.Sprintf(d.T("standard input has no line for: %s", "标准输入中缺少：%s"), prompt), Cause: err}
	}
	return api.SecretText(strings.TrimRight(line, "\r")), nil
}

// code answers what proves the person's second factor for a request that wants it: a code
// that is typed, or the proof of an approval in a browser; "" where nobody can be asked.
func code(ctx context.Context, c *cli.Run, w client.Wanted) (string, error) {
	if code := c.Getenv(envCode); code != "" || c.NoInput {
		return code, nil
	}
	s, err := FindSettings(c)
	if err != nil {
		return "", err
	}
	server, err := clientOf(c, s, nil)
	if err != nil {
		return "", err
	}
	d := &Dialogue{Run: c}
	p, err := server.BeginProof(ctx, w.Request)
	var refusal *client.Error
	switch {
	case errors.As(err, &refusal) && c.Interactive: // there is no security key
		fmt.Fprintln(c.Err, w.Message)
		code, err := d.Ask(ctx, c.T("Code", "验证码"))
		return string(code), err
	case errors.As(err, &refusal):
		return "", nil
	case err != nil:
		return "", err
	}
	fmt.Fprintln(c.Err, w.Message)
	if p.HasApp && !c.Interactive {
		p.HasApp = false // nobody types a code, but somebody may be at a browser
	}
	code, err := d.Prove(ctx, s, p)
	return string(code), err
}

// Prove answers a code that is typed or, if there is no app or nothing is typed, the proof of
// an approval in a browser, as soon as it was given.
func (d *Dialogue) Prove(ctx context.Context, s Settings, p api.Proof) (api.SecretText, error) {
	if p.HasApp {
		code, err := d.Ask(ctx, d.T("Code, or nothing to use a security key", "验证码（留空则使用安全密钥）"))
		if err != nil || code != "" {
			return code, err
		}
	}
	ShowPage(d.Run, p)
	if d.Interactive {
		OpenBrowser(d.Run, p.URL)
	}
	return p.Proof, AwaitProof(ctx, d.Run, s, p)
}

// ShowPage says where a person uses the security key.
func ShowPage(c *cli.Run, p api.Proof) {
	c.Say("Open this page within three minutes and use your security key:\n  %s\nThe page must show the code %s.",
		"请在三分钟内打开此页面并使用安全密钥：\n  %s\n页面应显示代码 %s。", p.URL, p.Code)
}

// AwaitProof waits until a person has answered a page.
func AwaitProof(ctx context.Context, c *cli.Run, s Settings, p api.Proof) error {
	web, err := HTTPClient(c, s.CACert.Value)
	if err != nil {
		return err
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		out, err := client.GetProofState(ctx, client.Config{Endpoint: s.Endpoint.Value, HTTPClient: web, Language: string(c.Lang)}, api.HeldProof{Proof: p.Proof})
		switch {
		case RefusedAs(err, fault.ResourceNotFound):
			return &cli.Problem{Message: c.T("nobody approved it in time; nothing was done", "没有人在有效时间内批准，没有执行任何操作"), Next: c.T("enter the command again", "请重新执行命令")}
		case RefusedAs(err, fault.Throttled, fault.Unavailable, fault.Sealed): // for the moment
		case err != nil && !errors.As(err, new(*client.Error)) && c.Now().Before(p.ExpiresAt): // it may be starting again
		case err != nil:
			return err
		case out.State == api.ProofApproved:
			return nil
		case out.State == api.ProofRefused:
			return &cli.Problem{Message: c.T("it was refused on the page; nothing was done", "已在页面上拒绝，没有执行任何操作")}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// RefusedAs tells whether the server refused with one of the kinds.
func RefusedAs(err error, kinds ...fault.Kind) bool {
	var refusal *client.Error
	return errors.As(err, &refusal) && slices.Contains(kinds, fault.Kind(refusal.Code))
}

// OpenBrowser tries to open a page; who has no browser here opens it elsewhere. Other users
// of this machine may see its address: at the server's own page they could only refuse, at an
// identity provider only log in as themselves.
func OpenBrowser(c *cli.Run, url string) {
	var cmd *exec.Cmd
	switch {
	case runtime.GOOS == "darwin":
		cmd = exec.Command("open", url)
	case runtime.GOOS == "windows":
		cmd = exec.Command("rundll32", "url.dll,FileProtocolHandler", url)
	case c.Getenv("DISPLAY") != "" || c.Getenv("WAYLAND_DISPLAY") != "":
		cmd = exec.Command("xdg-open", url)
	default:
		return
	}
	if cmd.Start() == nil {
		go cmd.Wait() //nolint:errcheck // the address stands on the terminal, too
	}
}

// pollApproval is between two looks whether a request was approved.
const pollApproval = 3 * time.Second

// awaitApproval waits a little before a request is sent again that waits for approval.
func awaitApproval(c *cli.Run) func(ctx context.Context, refusal *client.Error) error {
	told := ""
	return func(ctx context.Context, refusal *client.Error) error {
		if refusal.Approval != told {
			told = refusal.Approval
			c.Say("waiting for approval; approvers run: keyward approval show %s", "等待审批；审批人请执行：keyward approval show %s", told)
		}
		select {
		case <-time.After(pollApproval):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
