package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"
)

// The variables that say which server to talk to and as whom. "keyward dev" writes
// them, and Alibaba Cloud's SDKs read the same names.
const (
	envEndpoint  = "KEYWARD_ENDPOINT"
	envProfile   = "KEYWARD_PROFILE"
	envCACert    = "KEYWARD_CACERT"
	envKeyID     = "ALIBABA_CLOUD_ACCESS_KEY_ID"
	envKeySecret = "ALIBABA_CLOUD_ACCESS_KEY_SECRET"
	envToken     = "ALIBABA_CLOUD_SECURITY_TOKEN"
	envCode      = "KEYWARD_MFA_CODE" // of a second factor, for one request that wants it
)

const (
	defaultEndpoint = "http://127.0.0.1:7420" // where "keyward dev" listens
	defaultProfile  = "default"
	maxProfiles     = 1 << 20 // bytes of profiles.toml
)

// A profile is one table of profiles.toml.
type profile struct {
	Endpoint        string `toml:"endpoint"`
	AccessKeyID     string `toml:"access_key_id"`
	AccessKeySecret string `toml:"access_key_secret"`
	SecurityToken   string `toml:"security_token"`
	CACert          string `toml:"ca_cert"`
}

// A setting is a value and where it came from, in words.
type setting struct{ value, from string }

// Settings say which server to talk to and as whom.
type settings struct{ endpoint, keyID, secret, token, caCert setting }

// settings finds each value where it stands first: in a flag, in the profile that
// --profile names, in the environment, in the session that "keyward login" began, in the
// profile that KEYWARD_PROFILE names or that is called "default". The parts of an access key
// come from one place.
func (c *cli) settings() (settings, error) {
	name, chosen := c.profileInUse(), c.profile != ""
	p, err := c.readProfile(name, chosen || c.getenv(envProfile) != "")
	if err != nil {
		return settings{}, err
	}
	logins, err := c.readLogins()
	if err != nil {
		return settings{}, err
	}
	kept := c.t("profile ", "配置 ") + name
	fromProfile := settings{
		endpoint: setting{p.Endpoint, kept}, caCert: setting{p.CACert, kept},
		keyID: setting{p.AccessKeyID, kept}, secret: setting{p.AccessKeySecret, kept}, token: setting{p.SecurityToken, kept},
	}
	fromEnv := settings{
		endpoint: setting{c.getenv(envEndpoint), envEndpoint}, caCert: setting{c.getenv(envCACert), envCACert},
		keyID: setting{c.getenv(envKeyID), envKeyID}, secret: setting{c.getenv(envKeySecret), envKeySecret}, token: setting{c.getenv(envToken), envToken},
	}
	first, second := fromEnv, fromProfile
	if chosen {
		first, second = fromProfile, fromEnv
	}
	kept = loginCommand
	in := logins[name]
	fromLogin := settings{keyID: setting{in.AccessKeyID, kept}, secret: setting{in.AccessKeySecret, kept}, token: setting{in.SecurityToken, kept}}
	s := settings{
		endpoint: pick(setting{c.endpoint, "--endpoint"}, first.endpoint, second.endpoint,
			setting{defaultEndpoint, c.t("default", "默认值")}),
		caCert: pick(setting{c.caCert, "--ca-cert"}, first.caCert, second.caCert),
		keyID:  first.keyID, secret: first.secret, token: first.token,
	}
	others := []settings{second}
	if in.Endpoint == s.endpoint.value && time.Now().Before(in.ExpiresAt) { // it is for no other server
		others = []settings{fromLogin, second}
	}
	for _, other := range others {
		if s.keyID.value == "" && s.secret.value == "" {
			s.keyID, s.secret, s.token = other.keyID, other.secret, other.token
		}
	}
	return s, nil
}

// profileInUse answers the name of the profile that settings come from.
func (c *cli) profileInUse() string {
	return cmp.Or(c.profile, c.getenv(envProfile), defaultProfile)
}

// pick answers the first setting that has a value.
func pick(candidates ...setting) setting {
	for _, s := range candidates {
		if s.value != "" {
			return s
		}
	}
	return setting{}
}

// readProfile answers the named profile. A profile that nobody named may be missing.
func (c *cli) readProfile(name string, named bool) (profile, error) {
	path := c.homeFile("profiles.toml")
	content, err := c.readPrivate(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return profile{}, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return profile{}, &problem{
			message: fmt.Sprintf(c.t("there is no profile %q: %s does not exist", "没有配置 %q：%s 不存在"), name, path),
			next:    c.t("create the file with mode 0600; docs/cli.md shows one", "请以权限 0600 创建该文件，示例见 docs/cli.md"),
		}
	}
	if err != nil {
		return profile{}, err
	}
	profiles := map[string]profile{}
	meta, err := toml.Decode(string(content), &profiles)
	if err != nil {
		return profile{}, c.badProfiles(path, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return profile{}, c.badProfiles(path, fmt.Errorf("unknown: %v", unknown))
	}
	p, found := profiles[name]
	if !found && named {
		known := strings.Join(slices.Sorted(maps.Keys(profiles)), ", ")
		return profile{}, &problem{
			message: fmt.Sprintf(c.t("there is no profile %q in %s", "%[2]s 中没有配置 %[1]q"), name, path),
			next:    fmt.Sprintf(c.t("use one of: %s", "可用的配置：%s"), known),
		}
	}
	return p, nil
}

// badProfiles reports a profile file that cannot be understood. TOML's error names the
// place; its longer form would quote the line, which may hold a secret.
func (c *cli) badProfiles(path string, err error) error {
	var parse toml.ParseError
	if errors.As(err, &parse) {
		err = fmt.Errorf(c.t("line %d is not valid TOML", "第 %d 行不是合法的 TOML"), parse.Position.Line)
	}
	return &problem{
		message: fmt.Sprintf(c.t("the profile file %s cannot be used", "配置文件 %s 无法使用"), path),
		cause:   err,
		next: c.t("each profile is a table with endpoint, access_key_id, access_key_secret, security_token and ca_cert",
			"每个配置是一个表，可含 endpoint、access_key_id、access_key_secret、security_token、ca_cert"),
	}
}

// readPrivate reads a file that only its owner, the user, may read or write.
func (c *cli) readPrivate(path string) ([]byte, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("reading profiles: %s is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the profile file: %w", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("examining the profile file: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&^0o600 != 0 {
		return nil, &problem{
			message: fmt.Sprintf(c.t("others may use %s, which holds a secret (mode %04o)", "其他用户可以访问含有密钥的文件 %s（权限 %04o）"), path, info.Mode().Perm()),
			next:    c.t("run: ", "请执行：") + fmt.Sprintf("chmod 600 %q", path),
		}
	}
	if !ownedByUser(info) {
		return nil, &problem{
			message: fmt.Sprintf(c.t("%s belongs to somebody else", "%s 属于其他用户"), path),
			next:    c.t("run: ", "请执行：") + fmt.Sprintf("chown \"$(id -u)\" %q && chmod 600 %q", path, path),
		}
	}
	content, err := io.ReadAll(io.LimitReader(file, maxProfiles))
	if err != nil {
		return nil, fmt.Errorf("reading the profile file: %w", err)
	}
	return content, nil
}

func newProfileCmd(c *cli) *cobra.Command {
	return c.command(command{use: "profile", short: text{"Show how this program is configured", "显示本程序的配置"}},
		c.command(command{
			use:   "show",
			short: text{"Show each setting and where it comes from", "显示每项设置及其来源"},
			long: text{
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
			},
			run: func(context.Context, []string) error { return c.showSettings() },
		}))
}

func (c *cli) showSettings() error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	for _, hidden := range []*setting{&s.secret, &s.token} {
		if hidden.value != "" {
			hidden.value = "********"
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
		setting
	}{{"endpoint", s.endpoint}, {"access_key_id", s.keyID}, {"access_key_secret", s.secret}, {"security_token", s.token}, {"ca_cert", s.caCert}} {
		if one.value == "" {
			one.from = ""
		}
		all = append(all, shown{one.name, one.value, one.from})
	}
	return c.show(all, func(t *table) {
		t.add(c.t("SETTING", "设置"), c.t("VALUE", "值"), c.t("FROM", "来源"))
		for _, one := range all {
			t.add(one.Name, orDash(one.Value), orDash(one.From))
		}
	})
}

// orDash writes "-" for nothing.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
