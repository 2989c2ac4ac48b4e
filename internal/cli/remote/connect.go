// Package remote is what commands have that speak to a server: which server and as whom, the
// connection, and what a server may ask a person back.
//
// [Connect] answers a client for the settings of this run, which come from flags, the environment,
// profiles.toml and the session of "keyward login" ([FindSettings] says in which order). Where a
// request wants a second factor, or the approval of others, the client asks here, for that one
// request: the person types a code or answers a page, or waits; a command does not notice. A
// command that begins with a connection is written with [With]; one that only has the server do
// something is one call of [OnServer]. [Operator] is the other way in, by the socket on the
// server's machine.
//
// [Issue] is for commands that get an access key, which is shown once or written to a private
// file. [Filling] is for those that are given a connection to something else: its settings as
// flags, its credential from a file, from standard input, or typed. Credentials are in no error;
// the files that hold them belong to the user alone, or are refused.
package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
)

// Connect answers a client of the server that the settings name.
func Connect(c *cli.Run) (*client.Client, error) {
	s, err := FindSettings(c)
	if err != nil {
		return nil, err
	}
	if s.KeyID.Value == "" || s.Secret.Value == "" {
		return nil, &cli.Problem{
			Message: c.T("there is no access key to sign requests with", "没有用于签名请求的访问密钥"),
			Next: c.T(`run "keyward login", load the file that "keyward dev" wrote (set -a; . .keyward/dev.env; set +a), or see "keyward profile show --help"`,
				`请执行 "keyward login"，或加载 "keyward dev" 写出的文件（set -a; . .keyward/dev.env; set +a），或查看 "keyward profile show --help"`),
		}
	}
	return clientOf(c, s, func(ctx context.Context, w client.Wanted) (string, error) { return code(ctx, c, w) })
}

// With answers what a command does that begins with a connection to the server.
func With(c *cli.Run, do func(ctx context.Context, server *client.Client, args []string) error) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) error {
		server, err := Connect(c)
		if err != nil {
			return err
		}
		return do(ctx, server, args)
	}
}

// clientOf answers a client that asks code, unless that is nil, for what proves a second factor.
func clientOf(c *cli.Run, s Settings, code func(context.Context, client.Wanted) (string, error)) (*client.Client, error) {
	web, err := HTTPClient(c, s.CACert.Value)
	if err != nil {
		return nil, err
	}
	config := client.Config{
		Endpoint: s.Endpoint.Value, AccessKeyID: s.KeyID.Value, AccessKeySecret: s.Secret.Value, SecurityToken: s.Token.Value, HTTPClient: web, Language: string(c.Lang), Code: code, Reason: c.Reason,
	}
	if c.UntilApproved {
		config.Await = awaitApproval(c)
	}
	server, err := client.New(config)
	if err != nil {
		return nil, &cli.Problem{
			Message: c.T("the server cannot be called", "无法调用服务器"), Cause: err,
			Next: c.T(`use an endpoint such as https://host:port; http is for this machine only; "keyward profile show" tells where it comes from`,
				`地址须形如 https://host:port，http 仅限本机；用 "keyward profile show" 查看地址的来源`),
		}
	}
	return server, nil
}

// HTTPClient answers what carries requests; caCert is a file of authorities to trust
// instead of the system's, or "".
func HTTPClient(c *cli.Run, caCert string) (*http.Client, error) {
	if c.Transport != nil {
		return &http.Client{Transport: c.Transport}, nil
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() // it is one, unless this program replaces it
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if caCert != "" {
		pem, err := os.ReadFile(caCert)
		if err != nil {
			return nil, fmt.Errorf("reading the certificates to trust: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, &cli.Problem{
				Message: fmt.Sprintf(c.T("%s has no certificate in PEM", "%s 中没有 PEM 格式的证书"), caCert),
				Next:    c.T("name the file of the authority that signed the server's certificate", "请指定签发服务器证书的 CA 证书文件"),
			}
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	return &http.Client{Transport: transport}, nil
}

// OnServer builds a command that has the server do one thing. A person is told that it was
// done, where done names the first argument; a program gets what act answers or, where that
// is nil, what the arguments named.
func OnServer(c *cli.Run, use string, short, done string, act func(ctx context.Context, server *client.Client, args []string) (any, error)) *cobra.Command {
	return c.Command(cli.Command{
		Use: use, Short: short,
		Run: With(c, func(ctx context.Context, server *client.Client, args []string) error {
			result, err := act(ctx, server, args)
			if err != nil {
				return err
			}
			c.Say(done, done, args[0])
			if result == nil {
				result = Named(use, args)
			}
			return c.ShowJSON(result)
		}),
	})
}

// Named answers the arguments of a command by the names that they have in its use line.
func Named(use string, args []string) map[string]any {
	out := map[string]any{}
	for i, name := range strings.Fields(use)[1:] {
		key, several := strings.CutSuffix(name, "...")
		key, _, _ = strings.Cut(strings.ToLower(key), "=")
		if several {
			out[key] = args[i:]
		} else {
			out[key] = args[i]
		}
	}
	return out
}

// Pages asks for one page after the other; next is asked with the cursor of each and
// answers that of the following one.
func Pages(next func(cursor string) (string, error)) error {
	cursor := ""
	for {
		following, err := next(cursor)
		if err != nil || following == "" {
			return err
		}
		if following == cursor {
			return errors.New("reading a list: the server answers the same page again")
		}
		cursor = following
	}
}
