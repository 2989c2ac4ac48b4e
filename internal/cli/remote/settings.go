package remote

import (
	"cmp"
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

	"github.com/keyward/keyward/internal/cli"
)

// The variables that say which server to talk to and as whom. "keyward dev" writes
// them, and Alibaba Cloud's SDKs read the same names.
const (
	envEndpoint  = "KEYWARD_ENDPOINT"
	envProfile   = "KEYWARD_PROFILE"
	envCACert    = "KEYWARD_CACERT"
	EnvKeyID     = "ALIBABA_CLOUD_ACCESS_KEY_ID"
	EnvKeySecret = "ALIBABA_CLOUD_ACCESS_KEY_SECRET"
	EnvToken     = "ALIBABA_CLOUD_SECURITY_TOKEN"
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

// A Setting is a value and where it came from, in words.
type Setting struct{ Value, From string }

// Settings say which server to talk to and as whom.
type Settings struct{ Endpoint, KeyID, Secret, Token, CACert Setting }

// FindSettings finds each value where it stands first: in a flag, in the profile that
// --profile names, in the environment, in the session that "keyward login" began, in the
// profile that KEYWARD_PROFILE names or that is called "default". The parts of an access key
// come from one place.
func FindSettings(c *cli.Run) (Settings, error) {
	name, chosen := ProfileInUse(c), c.Profile != ""
	p, err := readProfile(c, name, chosen || c.Getenv(envProfile) != "")
	if err != nil {
		return Settings{}, err
	}
	logins, err := readSessions(c)
	if err != nil {
		return Settings{}, err
	}
	kept := c.T("profile ", "配置 ") + name
	fromProfile := Settings{
		Endpoint: Setting{p.Endpoint, kept}, CACert: Setting{p.CACert, kept},
		KeyID: Setting{p.AccessKeyID, kept}, Secret: Setting{p.AccessKeySecret, kept}, Token: Setting{p.SecurityToken, kept},
	}
	fromEnv := Settings{
		Endpoint: Setting{c.Getenv(envEndpoint), envEndpoint}, CACert: Setting{c.Getenv(envCACert), envCACert},
		KeyID: Setting{c.Getenv(EnvKeyID), EnvKeyID}, Secret: Setting{c.Getenv(EnvKeySecret), EnvKeySecret}, Token: Setting{c.Getenv(EnvToken), EnvToken},
	}
	first, second := fromEnv, fromProfile
	if chosen {
		first, second = fromProfile, fromEnv
	}
	kept = LoginCommand
	in := logins[name]
	fromLogin := Settings{KeyID: Setting{in.AccessKeyID, kept}, Secret: Setting{in.AccessKeySecret, kept}, Token: Setting{in.SecurityToken, kept}}
	s := Settings{
		Endpoint: pick(Setting{c.Endpoint, "--endpoint"}, first.Endpoint, second.Endpoint,
			Setting{defaultEndpoint, c.T("default", "默认值")}),
		CACert: pick(Setting{c.CACert, "--ca-cert"}, first.CACert, second.CACert),
		KeyID:  first.KeyID, Secret: first.Secret, Token: first.Token,
	}
	others := []Settings{second}
	if in.Endpoint == s.Endpoint.Value && time.Now().Before(in.ExpiresAt) { // it is for no other server
		others = []Settings{fromLogin, second}
	}
	for _, other := range others {
		if s.KeyID.Value == "" && s.Secret.Value == "" {
			s.KeyID, s.Secret, s.Token = other.KeyID, other.Secret, other.Token
		}
	}
	return s, nil
}

// ProfileInUse answers the name of the profile that settings come from.
func ProfileInUse(c *cli.Run) string {
	return cmp.Or(c.Profile, c.Getenv(envProfile), defaultProfile)
}

// pick answers the first setting that has a value.
func pick(candidates ...Setting) Setting {
	for _, s := range candidates {
		if s.Value != "" {
			return s
		}
	}
	return Setting{}
}

// readProfile answers the named profile. A profile that nobody named may be missing.
func readProfile(c *cli.Run, name string, named bool) (profile, error) {
	path := c.HomeFile("profiles.toml")
	content, err := readPrivate(c, path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return profile{}, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return profile{}, &cli.Problem{
			Message: fmt.Sprintf(c.T("there is no profile %q: %s does not exist", "没有配置 %q：%s 不存在"), name, path),
			Next:    c.T("create the file with mode 0600; docs/cli.md shows one", "请以权限 0600 创建该文件，示例见 docs/cli.md"),
		}
	}
	if err != nil {
		return profile{}, err
	}
	profiles := map[string]profile{}
	meta, err := toml.Decode(string(content), &profiles)
	if err != nil {
		return profile{}, badProfiles(c, path, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return profile{}, badProfiles(c, path, fmt.Errorf("unknown: %v", unknown))
	}
	p, found := profiles[name]
	if !found && named {
		known := strings.Join(slices.Sorted(maps.Keys(profiles)), ", ")
		return profile{}, &cli.Problem{
			Message: fmt.Sprintf(c.T("there is no profile %q in %s", "%[2]s 中没有配置 %[1]q"), name, path),
			Next:    fmt.Sprintf(c.T("use one of: %s", "可用的配置：%s"), known),
		}
	}
	return p, nil
}

// badProfiles reports a profile file that cannot be understood. TOML's error names the
// place; its longer form would quote the line, which may hold a secret.
func badProfiles(c *cli.Run, path string, err error) error {
	var parse toml.ParseError
	if errors.As(err, &parse) {
		err = fmt.Errorf(c.T("line %d is not valid TOML", "第 %d 行不是合法的 TOML"), parse.Position.Line)
	}
	return &cli.Problem{
		Message: fmt.Sprintf(c.T("the profile file %s cannot be used", "配置文件 %s 无法使用"), path),
		Cause:   err,
		Next: c.T("each profile is a table with endpoint, access_key_id, access_key_secret, security_token and ca_cert",
			"每个配置是一个表，可含 endpoint、access_key_id、access_key_secret、security_token、ca_cert"),
	}
}

// readPrivate reads a file that only its owner, the user, may read or write.
func readPrivate(c *cli.Run, path string) ([]byte, error) {
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
		return nil, &cli.Problem{
			Message: fmt.Sprintf(c.T("others may use %s, which holds a secret (mode %04o)", "其他用户可以访问含有密钥的文件 %s（权限 %04o）"), path, info.Mode().Perm()),
			Next:    c.T("run: ", "请执行：") + fmt.Sprintf("chmod 600 %q", path),
		}
	}
	if !ownedByUser(info) {
		return nil, &cli.Problem{
			Message: fmt.Sprintf(c.T("%s belongs to somebody else", "%s 属于其他用户"), path),
			Next:    c.T("run: ", "请执行：") + fmt.Sprintf("chown \"$(id -u)\" %q && chmod 600 %q", path, path),
		}
	}
	content, err := io.ReadAll(io.LimitReader(file, maxProfiles))
	if err != nil {
		return nil, fmt.Errorf("reading the profile file: %w", err)
	}
	return content, nil
}
