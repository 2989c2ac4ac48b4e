package instancecmd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cloud/xks"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// An xksCheck is one call of xks check.
type xksCheck struct {
	*cli.Run
	proxyFiles
	timeout time.Duration
}

// proxyFiles are the flags that say how a proxy of external keys is believed.
type proxyFiles struct{ configuration, fingerprint, authorities, certificate, key string }

func (p *proxyFiles) flags(c *cli.Run, f *pflag.FlagSet) {
	f.StringVar(&p.configuration, "configuration", "", c.T("`FILE` with the proxy's path and credential, as keyward xks create --out writes it and AWS KMS takes it", "包含代理的路径和凭证的文件 `FILE`，即 keyward xks create --out 写出、AWS KMS 控制台所用的文件"))
	f.StringVar(&p.fingerprint, "fingerprint", "", c.T("believe only the certificate with this SHA-256, in `HEX`", "只信任 SHA-256 指纹为 `HEX` 的证书"))
	f.StringVar(&p.authorities, "authorities", "", c.T("believe certificates of the authorities in `FILE`", "信任文件 `FILE` 中的 CA"))
	f.StringVar(&p.certificate, "certificate", "", c.T("present the certificate in `FILE`", "出示文件 `FILE` 中的证书"))
	f.StringVar(&p.key, "certificate-key", "", c.T("its private key, in `FILE`", "证书的私钥文件 `FILE`"))
}

// A proxyContent is what stands in the files.
type proxyContent struct{ configuration, authorities, certificate, key []byte }

func (p *proxyFiles) read() (out proxyContent, err error) {
	for content, name := range map[*[]byte]string{&out.configuration: p.configuration, &out.authorities: p.authorities, &out.certificate: p.certificate, &out.key: p.key} {
		if name == "" {
			continue
		}
		if *content, err = os.ReadFile(name); err != nil {
			return proxyContent{}, err
		}
	}
	return out, nil
}

// An xksReport is what it answers.
type xksReport struct {
	Proxy    string            `json:"proxy"`
	Managers map[string]string `json:"managers"` // health by id
	Health   string            `json:"health"`   // how long it took
	Key      string            `json:"key,omitempty"`
	Took     string            `json:"took,omitempty"` // metadata, encryption and decryption together
}

func newXKSCheckCmd(c *cli.Run) *cobra.Command {
	k := &xksCheck{Run: c, timeout: xks.DefaultTimeout}
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "check URL [ID]",
		Short: c.T("Check a proxy of external keys from this machine", "从本机检查外部密钥代理"),
		Long: c.T(
			`Check a proxy of external keys from this machine: an offer of keyward's, or the proxy of
another external key manager. It must be healthy and, with the ID under which it has a key,
that key must encrypt and decrypt. The URL is https://HOST or https://HOST:PORT; the path is
in the configuration.`,
			`从本机检查外部密钥代理：keyward 自己的密钥库，或其他外部密钥管理系统的代理。代理必须健康；
给出代理所用的密钥 ID 时，该密钥必须能够加密和解密。URL 形如 https://HOST 或
https://HOST:PORT；路径在配置文件中。`,
		),
		Example: "  keyward xks check https://xks.example.com orders --configuration aws.json",
		Run: func(ctx context.Context, args []string) error {
			if k.configuration == "" {
				return c.Usage(cmd, "--configuration is missing: it says at which path the proxy is, and proves who asks", "缺少 --configuration：其中有代理的路径，以及证明请求者身份的凭证")
			}
			report, err := k.run(ctx, args)
			var f *fault.Error
			if errors.As(err, &f) {
				return &cli.Problem{Message: c.T(f.Text.String(), f.Text.Chinese())}
			}
			if err != nil {
				return err
			}
			return c.Show(report, func(t *cli.Table) {
				t.Add(c.T("Proxy (vendor, model)", "代理（厂商、型号）"), report.Proxy)
				for _, id := range slices.Sorted(maps.Keys(report.Managers)) {
					t.Add(c.T("Key manager behind it", "其后的密钥管理系统"), id+c.T(": ", "：")+health(c, report.Managers[id]))
				}
				t.Add(c.T("Health check took", "健康检查耗时"), report.Health)
				if report.Key == "" {
					t.Add(c.T("Key", "密钥"), c.T("not checked; give its ID after the URL", "未检查；请在 URL 之后给出密钥 ID"))
					return
				}
				t.Add(c.T("Key", "密钥"), report.Key+c.T(" encrypts and decrypts", " 可加密和解密"))
				t.Add(c.T("Key check took", "密钥检查耗时"), report.Took+c.T(", for its metadata, an encryption and a decryption", "（查询元数据、加密、解密各一次）"))
			})
		},
	})
	f := cmd.Flags()
	k.flags(c, f)
	f.Var(cli.Days(&k.timeout), "timeout", c.T("`TIME` that the proxy has for an answer", "代理应答的时限 `TIME`"))
	return cmd
}

// health says in words what a key manager says of itself.
func health(c *cli.Run, said string) string {
	switch said {
	case "ACTIVE":
		return c.T("works", "正常")
	case "DEGRADED":
		return c.T("works, with less redundancy or performance", "可用，但冗余或性能下降")
	case "UNAVAILABLE":
		return c.T("does not work", "不可用")
	}
	return said
}

func (k *xksCheck) run(ctx context.Context, args []string) (xksReport, error) {
	k.Harden()
	content, err := k.read()
	if err != nil {
		return xksReport{}, err
	}
	client, err := xks.New(xks.Options{
		Endpoint: args[0], Configuration: material.NewBytes(content.configuration), Fingerprint: k.fingerprint, Authorities: content.authorities,
		Certificate: content.certificate, Key: material.NewBytes(content.key), Timeout: k.timeout, Now: time.Now,
		// Whoever runs this may reach from their machine what they like.
		Allow: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
	})
	if err != nil {
		return xksReport{}, err
	}
	defer client.Close()
	origin, began := xks.Origin{Account: "0", Key: "check"}, time.Now()
	health, err := client.Health(ctx, origin)
	if err != nil {
		return xksReport{}, err
	}
	out := xksReport{Proxy: fmt.Sprintf("%s, %s", health.Vendor, health.Model), Managers: map[string]string{}, Health: rounded(began)}
	for _, m := range health.Fleet {
		out.Managers[m.ID] = m.Health
	}
	if len(args) == 1 {
		return out, nil
	}
	began = time.Now()
	if err := client.Check(ctx, origin, args[1]); err != nil {
		return xksReport{}, err
	}
	out.Key, out.Took = args[1], rounded(began)
	return out, nil
}

func rounded(began time.Time) string { return time.Since(began).Round(100 * time.Microsecond).String() }
