package usercmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

func newProfileCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "profile", Short: c.T("Show how this program is configured", "显示本程序的配置")},
		c.Command(cli.Command{
			Use:   "show",
			Short: c.T("Show each setting and where it comes from", "显示每项设置及其来源"),
			Long: c.T(
				`Show each setting and where it comes from. The first place that has a value wins:

  1. a flag
  2. the profile that --profile names
  3. the environment: KEYWARD_ENDPOINT, KEYWARD_CACERT, ALIBABA_CLOUD_ACCESS_KEY_ID and
     ALIBABA_CLOUD_ACCESS_KEY_SECRET, as "keyward dev" writes them, and
     ALIBABA_CLOUD_SECURITY_TOKEN for temporary credentials
  4. the session that "keyward login" began, until it expires
  5. the profile that KEYWARD_PROFILE names, or the one called "default"

Profiles stand in ~/.config/keyward/profiles.toml (mode 0600):

  [default]
  endpoint = "https://keyward.example.com:7420"
  ca_cert = "/etc/keyward/ca.pem"
  access_key_id = "..."
  access_key_secret = "..."`,
				`显示每项设置及其来源。按以下顺序，最先给出的值生效：

  1. 命令行选项
  2. --profile 指定的配置
  3. 环境变量：KEYWARD_ENDPOINT、KEYWARD_CACERT、ALIBABA_CLOUD_ACCESS_KEY_ID 和
     ALIBABA_CLOUD_ACCESS_KEY_SECRET，与 "keyward dev" 写出的一致；
     临时凭证还需 ALIBABA_CLOUD_SECURITY_TOKEN
  4. "keyward login" 建立的会话（到期前）
  5. KEYWARD_PROFILE 指定的配置，或名为 "default" 的配置

配置保存在 ~/.config/keyward/profiles.toml（权限 0600）：

  [default]
  endpoint = "https://keyward.example.com:7420"
  ca_cert = "/etc/keyward/ca.pem"
  access_key_id = "..."
  access_key_secret = "..."`,
			),
			Run: func(context.Context, []string) error { return showSettings(c) },
		}))
}

func showSettings(c *cli.Run) error {
	s, err := remote.FindSettings(c)
	if err != nil {
		return err
	}
	for _, hidden := range []*remote.Setting{&s.Secret, &s.Token} {
		if hidden.Value != "" {
			hidden.Value = "********"
		}
	}
	type shown struct {
		Name  string `json:"name"`
		Value string `json:"value"`
		From  string `json:"from"`
	}
	var all []shown
	for _, one := range []struct {
		name string
		remote.Setting
	}{{"endpoint", s.Endpoint}, {"access_key_id", s.KeyID}, {"access_key_secret", s.Secret}, {"security_token", s.Token}, {"ca_cert", s.CACert}} {
		if one.Value == "" {
			one.From = ""
		}
		all = append(all, shown{one.name, one.Value, one.From})
	}
	return c.Show(all, func(t *cli.Table) {
		t.Add(c.T("SETTING", "设置"), c.T("VALUE", "值"), c.T("FROM", "来源"))
		for _, one := range all {
			t.Add(one.Name, cli.OrDash(one.Value), cli.OrDash(one.From))
		}
	})
}
