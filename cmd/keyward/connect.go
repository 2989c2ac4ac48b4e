package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/client"
)

// connect answers a client of the server that the settings name.
func (c *cli) connect() (*client.Client, error) {
	s, err := c.settings()
	if err != nil {
		return nil, err
	}
	if s.keyID.value == "" || s.secret.value == "" {
		return nil, &problem{
			message: c.t("there is no access key to sign requests with", "没有用于签名请求的访问密钥"),
			next: c.t(`run "keyward login", load the file that "keyward dev" wrote (set -a; . .keyward/dev.env; set +a), or see "keyward profile show --help"`,
				`请执行 "keyward login"，或加载 "keyward dev" 写出的文件（set -a; . .keyward/dev.env; set +a），或查看 "keyward profile show --help"`),
		}
	}
	return c.clientOf(s, c.mfaCode)
}

// clientOf answers a client that asks code, unless that is nil, for what proves a second factor.
func (c *cli) clientOf(s settings, code func(context.Context, client.Wanted) (string, error)) (*client.Client, error) {
	web, err := c.httpClient(s.caCert.value)
	if err != nil {
		return nil, err
	}
	config := client.Config{
		Endpoint: s.endpoint.value, AccessKeyID: s.keyID.value, AccessKeySecret: s.secret.value, SecurityToken: s.token.value, HTTPClient: web, Language: string(c.lang), Code: code,
	}
	if c.untilApproved {
		config.Await = c.awaitApproval()
	}
	return client.New(config)
}

// httpClient answers what carries requests; caCert is a file of authorities to trust
// instead of the system's, or "".
func (c *cli) httpClient(caCert string) (*http.Client, error) {
	if c.transport != nil {
		return &http.Client{Transport: c.transport}, nil
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
			return nil, &problem{
				message: fmt.Sprintf(c.t("%s has no certificate in PEM", "%s 中没有 PEM 格式的证书"), caCert),
				next:    c.t("name the file of the authority that signed the server's certificate", "请指定签发服务器证书的 CA 证书文件"),
			}
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	return &http.Client{Transport: transport}, nil
}

// onServer builds a command that has the server do one thing. A person is told that it was
// done, where done names the first argument; a program gets what act answers or, where that
// is nil, what the arguments named.
func (c *cli) onServer(use string, short, done text, act func(ctx context.Context, server *client.Client, args []string) (any, error)) *cobra.Command {
	return c.command(command{
		use: use, short: short,
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			result, err := act(ctx, server, args)
			if err != nil {
				return err
			}
			c.say(done.en, done.zh, args[0])
			if result == nil {
				result = named(use, args)
			}
			return c.jsonOnly(result)
		},
	})
}

// named answers the arguments of a command by the names that they have in its use line.
func named(use string, args []string) map[string]any {
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
