package usercmd

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

// ssoFlags are the flags of a login at an identity provider.
type ssoFlags struct {
	on        bool
	noBrowser bool
	port      int // to come back to; 0 for any
}

func (f *ssoFlags) flags(c *cli.Run, cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.on, "sso", false, c.T("log in with your browser at an identity provider; the argument is its name, if there are several", "通过身份提供商在浏览器中登录；有多个身份提供商时，参数为其名称"))
	cmd.Flags().BoolVar(&f.noBrowser, "no-browser", false, c.T("with --sso: the browser is on another machine; the address that it is sent to is read from standard input", "与 --sso 合用：浏览器在另一台机器上；从标准输入读取其跳转到的地址"))
	cmd.Flags().IntVar(&f.port, "callback-port", 0, c.T("with --sso: `PORT` of this machine that the browser comes back to, where the provider takes no other", "与 --sso 合用：浏览器返回本机的端口 `PORT`，用于只接受固定端口的身份提供商"))
}

// logIn logs in at the identity provider that in has as its user.
func (f *ssoFlags) logIn(ctx context.Context, d *remote.Dialogue, s remote.Settings, in api.LoginRequest) (api.TemporaryCredentials, error) {
	web, err := remote.HTTPClient(d.Run, s.CACert.Value)
	if err != nil {
		return api.TemporaryCredentials{}, err
	}
	l := &ssoLogin{Dialogue: d, ssoFlags: *f, settings: s, config: client.Config{Endpoint: s.Endpoint.Value, HTTPClient: web, Language: string(d.Lang)}}
	return l.logInAt(ctx, api.BeginSSORequest{Account: in.Account, Provider: in.User}, in.DurationSeconds)
}

// An ssoLogin is a login at an identity provider, begun on this machine: the browser comes
// back to a port of it (RFC 8252), or the person brings what the browser's address says.
type ssoLogin struct {
	*remote.Dialogue
	ssoFlags
	settings remote.Settings
	config   client.Config

	listener net.Listener // nil if nobody waits for the browser
	begun    api.SSOTransaction
}

// logInAt logs in at an identity provider.
func (l *ssoLogin) logInAt(ctx context.Context, in api.BeginSSORequest, seconds int) (api.TemporaryCredentials, error) {
	verifier := base64.RawURLEncoding.EncodeToString([]byte(rand.Text() + rand.Text())) // never leaves here before the end
	sum := sha256.Sum256([]byte(verifier))
	in.CodeChallenge = base64.RawURLEncoding.EncodeToString(sum[:])
	if err := l.open(ctx, &in); err != nil {
		return api.TemporaryCredentials{}, err
	}
	if l.listener != nil {
		defer l.listener.Close()
	}
	var err error
	if l.begun, err = client.BeginSSO(ctx, l.config, in); err != nil {
		return api.TemporaryCredentials{}, err
	}
	if u, err := url.Parse(l.begun.URL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return api.TemporaryCredentials{}, &cli.Problem{Message: l.T("the server answers no address to log in at", "服务器没有返回有效的登录地址")}
	}
	back, err := l.visit(ctx)
	if err != nil {
		return api.TemporaryCredentials{}, err
	}
	finish := api.FinishSSORequest{
		Transaction: l.begun.Transaction, CodeVerifier: api.SecretText(verifier), State: back.Get("state"), Code: api.SecretText(back.Get("code")), Issuer: back.Get("iss"),
		DurationSeconds: seconds,
	}
	for {
		out, err := client.FinishSSO(ctx, l.config, finish)
		switch {
		case err != nil:
			return api.TemporaryCredentials{}, err
		case out.Session != nil:
			return *out.Session, nil
		}
		finish.Transaction, finish.Code = out.Transaction, ""
		if finish.MFACode, err = l.second(ctx, out.Proof); err != nil {
			return api.TemporaryCredentials{}, err
		}
	}
}

// second answers what proves the second factor; the proof is nil for who has no security key.
func (l *ssoLogin) second(ctx context.Context, p *api.Proof) (api.SecretText, error) {
	if p == nil || l.NoInput {
		return l.Ask(ctx, l.T("Code", "验证码"))
	}
	return l.Prove(ctx, l.settings, *p)
}

// open opens the port to which the browser comes back. Without a browser on this machine
// nobody waits there.
func (l *ssoLogin) open(ctx context.Context, in *api.BeginSSORequest) (err error) {
	port := cmp.Or(l.port, 8400)
	if !l.noBrowser {
		var of net.ListenConfig
		if l.listener, err = of.Listen(ctx, "tcp4", fmt.Sprintf("127.0.0.1:%d", l.port)); err != nil {
			return fmt.Errorf("waiting for the browser: %w", err)
		}
		port = l.listener.Addr().(*net.TCPAddr).Port // of a listener on tcp4
	}
	in.RedirectURI = fmt.Sprintf("http://127.0.0.1:%d/callback", port)
	return nil
}

// visit has the person log in and answers what the browser brought back.
func (l *ssoLogin) visit(ctx context.Context) (url.Values, error) {
	ctx, cancel := context.WithDeadline(ctx, l.begun.ExpiresAt)
	defer cancel()
	var back url.Values
	var err error
	if l.listener == nil {
		back, err = l.paste(ctx)
	} else {
		back, err = l.wait(ctx)
	}
	if err != nil {
		return nil, err
	}
	if said := back.Get("error"); said != "" {
		return nil, &cli.Problem{Message: fmt.Sprintf(l.T("the identity provider let nobody log in: %s", "身份提供商拒绝了登录：%s"), cli.Printable(said))}
	}
	return back, nil
}

// ours tells whether the browser brings the answer to this very login.
func (l *ssoLogin) ours(back url.Values) bool {
	return subtle.ConstantTimeCompare([]byte(back.Get("state")), []byte(l.begun.State)) == 1
}

// paste asks the person for the address to which the browser was sent, where nobody waits.
func (l *ssoLogin) paste(ctx context.Context) (url.Values, error) {
	l.Say("Open this address in a browser on any machine and log in:\n\n  %s\n\nThe browser then shows that it cannot reach 127.0.0.1. Copy the whole address that it shows, and paste it here.",
		"请在任意一台机器的浏览器中打开以下地址并登录：\n\n  %s\n\n随后浏览器会提示无法访问 127.0.0.1。请复制地址栏中的完整地址，并粘贴到此处。", l.begun.URL)
	line, err := l.Line(ctx)
	if err != nil && (line == "" || !errors.Is(err, io.EOF)) {
		return nil, &cli.Problem{Message: l.T("standard input has no address", "标准输入中没有地址"), Cause: err}
	}
	u, err := url.Parse(strings.TrimSpace(line))
	if err != nil || u.RawQuery == "" {
		return nil, &cli.Problem{Message: l.T("that is not the address that the browser was sent to, with code and state", "这不是浏览器跳转到的地址（应包含 code 和 state）"), Next: l.T("copy the whole address", "请复制完整的地址")}
	}
	back := u.Query()
	if !l.ours(back) {
		return nil, &cli.Problem{Message: l.T("that address is of another login than this one", "该地址属于另一次登录"), Next: l.T("begin again, and take the address from your own browser only", "请重新开始，且只使用您自己浏览器中的地址")}
	}
	return back, nil
}

// wait shows the person where to log in, opens a browser if there is one, and answers what
// it brings back. What comes from elsewhere, and belongs to no login or to another, is turned
// away, and the wait goes on.
func (l *ssoLogin) wait(ctx context.Context) (url.Values, error) {
	answers := make(chan url.Values, 1)
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		back := r.URL.Query()
		w.Header().Set("Content-Security-Policy", "default-src 'none'")
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if r.Method != http.MethodGet || r.URL.Path != "/callback" || r.Host != l.listener.Addr().String() || !l.ours(back) {
			http.Error(w, l.T("This belongs to no login that was begun here.", "此请求不属于在本机开始的登录。"), http.StatusBadRequest)
			return
		}
		select {
		case answers <- back:
			fmt.Fprintln(w, l.T("Go back to the terminal; this page can be closed.", "请回到终端；此页面可以关闭。"))
		default: // the browser came twice
			fmt.Fprintln(w, l.T("This login was ended already.", "此次登录已经结束。"))
		}
	})}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l.listener) }()
	defer func() { // so that the browser gets its page
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = server.Shutdown(ending)
	}()
	l.Say("Log in with your browser at:\n\n  %s\n\nIf the browser is on another machine, use --no-browser.",
		"请在浏览器中登录：\n\n  %s\n\n若浏览器在另一台机器上，请使用 --no-browser。", l.begun.URL)
	if !l.NoInput {
		remote.OpenBrowser(l.Run, l.begun.URL)
	}
	select {
	case back := <-answers:
		return back, nil
	case err := <-failed:
		return nil, fmt.Errorf("waiting for the browser: %w", err)
	case <-ctx.Done():
		return nil, &cli.Problem{Message: l.T("nobody logged in within ten minutes", "十分钟内没有完成登录"), Cause: context.Cause(ctx), Next: l.T("begin again", "请重新开始")}
	}
}
