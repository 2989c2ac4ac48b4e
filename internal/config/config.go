// Package config reads the server's configuration: one TOML file into one struct.
//
// Reading is strict: a key that the struct does not have is an error, so a misspelt
// setting cannot be silently ignored. Every setting has a default ([Default]); the
// zero file works. Secrets do not stand in the file: the passphrase comes from a file
// of its own, a systemd credential or the environment, and a database password from
// the database's own password file or, if it stands in the URL, only in a file that
// nobody else can read.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/lazy"
)

// A Config is everything that an operator can set.
type Config struct {
	Listen         string         `toml:"listen"`          // address of the API
	DataDir        string         `toml:"data_dir"`        // private directory for the embedded database, checkpoint, lock and socket
	Database       Database       `toml:"database"`        // "sqlite:PATH" or "postgres://…"; default an SQLite file in DataDir
	Node           string         `toml:"node"`            // name of this server in a cluster; default "node-1"
	Region         string         `toml:"region"`          // of the ARNs
	OperatorSocket string         `toml:"operator_socket"` // default DataDir/operator.sock
	TrustedProxies []netip.Prefix `toml:"trusted_proxies"` // networks whose X-Forwarded-For is believed
	MetricsFrom    []netip.Prefix `toml:"metrics_from"`    // networks that may read the metrics; default this machine
	TLS            TLS            `toml:"tls"`
	Seal           Seal           `toml:"seal"`
	PKCS11         PKCS11         `toml:"pkcs11"`
	Limits         Limits         `toml:"limits"`
	Log            Log            `toml:"log"`
	Witnesses      []Witness      `toml:"witness"` // that cosign the audit log
	Inventory      Inventory      `toml:"inventory"`
	Checks         Checks         `toml:"checks"`
	Egress         Egress         `toml:"egress"` // where the server may connect to
	XKS            XKS            `toml:"xks"`    // how others use keys that an offer publishes
	Repositories   Repositories   `toml:"repositories"`
	PublicURL      string         `toml:"public_url"` // how people reach the server, for links in messages; "" for no links
}

// TLS is how the API is encrypted. Without a certificate it is plain HTTP, which is
// allowed on loopback addresses only.
type TLS struct {
	CertFile   string `toml:"cert_file"` // PEM chain; read again when the file changes
	KeyFile    string `toml:"key_file"`
	MinVersion string `toml:"min_version"` // "1.3" (default) or "1.2"
}

// XKS is where offers are served. Without an address of their own that is the API's address.
type XKS struct {
	Listen       string `toml:"listen"`         // an address that serves offers and nothing else; the API's then serves none
	CertFile     string `toml:"cert_file"`      // PEM chain; read again when the file changes
	KeyFile      string `toml:"key_file"`       //
	ClientCAFile string `toml:"client_ca_file"` // authorities whose client certificates are accepted; "" to ask for none
	ClientName   string `toml:"client_name"`    // that a client's certificate must have as its common name or a DNS name
}

// Seal is where the server finds its passphrase when it starts, and how long unwrapped
// keys stay in memory. If it finds no passphrase it starts sealed.
type Seal struct {
	PassphraseFile  string        `toml:"passphrase_file"`   // mode 0600
	ForgetKeysAfter time.Duration `toml:"forget_keys_after"` // an unwrapped key that nobody used for so long leaves the memory
	HSM             bool          `toml:"hsm"`               // the hardware token unseals the server when it starts
}

// PKCS11 is where the server finds the helper that has the hardware token. Without a socket
// there is no token.
type PKCS11 struct {
	Socket      string   `toml:"socket"`      // of keyward-pkcs11
	Users       []string `toml:"users"`       // who the helper may run as, by name or number; none: as the server
	Connections int      `toml:"connections"` // to the helper at once
}

// Limits bound what one caller may take.
type Limits struct {
	CallsPerAccessKey     int `toml:"calls_per_access_key"`     // a second; 0 for none
	CallsPerAccount       int `toml:"calls_per_account"`        // a second; 0 for none
	ConnectionsPerAddress int `toml:"connections_per_address"`  // at once; 0 for none
	Connections           int `toml:"connections"`              // at once, of all; 0 for none
	AccountsPerInstance   int `toml:"accounts_per_instance"`    // other accounts that an instance of keys lets in
	DefaultKeysPerAccount int `toml:"default_keys_per_account"` // keys in no instance; 0 for any number
}

// Inventory is what the inventory of keys may read on this machine.
type Inventory struct {
	CertificateDirs []string `toml:"certificate_dirs"` // that watched certificate files may be in
}

// Checks are the thresholds of the checks of access keys, which docs/findings.md explains.
// What is 0 is as it is by default.
type Checks struct {
	MaxAgeDays      int `toml:"max_age_days"`
	OldAgeDays      int `toml:"old_age_days"`
	UnusedDays      int `toml:"unused_days"`
	LongUnusedDays  int `toml:"long_unused_days"`
	GraceDays       int `toml:"grace_days"`
	InactiveDays    int `toml:"inactive_days"`
	OverlapDays     int `toml:"overlap_days"`
	RootUseDays     int `toml:"root_use_days"`
	ConsoleIdleDays int `toml:"console_idle_days"`
	LoginLength     int `toml:"login_length"` // of passwords
	LoginReuse      int `toml:"login_reuse"`  // of passwords
}

// days answers the thresholds that are numbers of days.
func (c Checks) days() []int {
	return []int{c.MaxAgeDays, c.OldAgeDays, c.UnusedDays, c.LongUnusedDays, c.GraceDays, c.InactiveDays, c.OverlapDays, c.RootUseDays, c.ConsoleIdleDays}
}

// Egress says where providers, channels, sinks and repositories that people configure may be.
type Egress struct {
	Allow []netip.Prefix `toml:"allow"` // networks that may be reached although they are not public
}

// Repositories is what watching git repositories may take.
type Repositories struct {
	Directories  []string `toml:"directories"`   // that repositories on this machine may be in
	MaxMegabytes int      `toml:"max_megabytes"` // that one may take on this server's disk
}

// Log is how the server logs.
type Log struct {
	Format string `toml:"format"` // "json" (default) or "text"
	Level  string `toml:"level"`  // "info" (default), "debug", "warn" or "error"
}

// A Witness is another machine that cosigns the checkpoints of this server's audit log.
type Witness struct {
	URL   string         `toml:"url"`   // https, or http if allow has its address
	Key   string         `toml:"key"`   // that its cosignatures are verified with
	Allow []netip.Prefix `toml:"allow"` // networks that the URL may lead to although they are not public
}

// A Database is a database URL. It may hold a password, so it formats without one.
type Database string

// String answers the URL without its password.
func (d Database) String() string {
	if strings.HasPrefix(string(d), "sqlite:") || d == "" {
		return string(d)
	}
	u, err := url.Parse(string(d))
	if err != nil {
		return "[malformed]"
	}
	u.RawQuery = "" // may hold one too
	return u.Redacted()
}

// Format writes the same as String for every verb.
func (d Database) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, d.String()) }

// MarshalText answers the same as String; encoders use it.
func (d Database) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// LogValue answers the same as String.
func (d Database) LogValue() slog.Value { return slog.StringValue(d.String()) }

// Default answers the configuration of an empty file.
func Default() Config {
	return Config{
		Listen: "127.0.0.1:7420", DataDir: "/var/lib/keyward", Node: "node-1", Region: "cn-hangzhou",
		MetricsFrom:  []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		TLS:          TLS{MinVersion: "1.3"},
		Seal:         Seal{ForgetKeysAfter: 10 * time.Minute},
		PKCS11:       PKCS11{Connections: 16},
		Repositories: Repositories{MaxMegabytes: 4096},
		Limits:       Limits{CallsPerAccessKey: 500, CallsPerAccount: 2000, ConnectionsPerAddress: 256, Connections: 5000, AccountsPerInstance: 100},
		Log:          Log{Format: "json", Level: "info"},
	}
}

// Load reads a configuration file.
func Load(path string) (Config, error) {
	const maxSize = 1 << 20
	if info, err := os.Stat(path); err == nil && (!info.Mode().IsRegular() || info.Size() > maxSize) {
		return Config{}, fault.InvalidParameter.New("reading configuration %s: it is not a regular file of at most 1 MiB", path)
	}
	c := Default()
	meta, err := toml.DecodeFile(path, &c)
	if _, missing := errors.AsType[*fs.PathError](err); missing {
		return Config{}, fmt.Errorf("reading configuration: %w", err)
	}
	if err != nil {
		return Config{}, fault.InvalidParameter.New("reading configuration %s: %v", path, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return Config{}, fault.InvalidParameter.New("reading configuration %s: there is no setting %q; docs/operations.md lists them all", path, unknown[0].String())
	}
	if err := c.Complete(); err != nil {
		return Config{}, fault.InvalidParameter.New("reading configuration %s: %v", path, fault.TextOf(err))
	}
	if u, err := url.Parse(string(c.Database)); err == nil && u.User != nil {
		if _, has := u.User.Password(); has {
			return c, private(path)
		}
	}
	return c, nil
}

// private refuses a file with a password that others can read.
func private(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("reading configuration: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fault.InvalidParameter.New("reading configuration %s: it holds a database password and others can read it; run: chmod 600 %s", path, path)
	}
	return nil
}

var (
	databasePattern = lazy.Regexp(`^(sqlite:.|postgres(ql)?://)`)
	nodePattern     = lazy.Regexp(`^[a-z0-9][a-z0-9.-]{0,62}$`)
	publicPattern   = lazy.Regexp(`^https?://[^/?#@\s]+$`)
	regionPattern   = lazy.Regexp(`^[a-z0-9-]{1,32}$`)
)

// Complete fills in what follows from other settings and refuses what cannot be.
func (c *Config) Complete() error {
	if c.DataDir == "" {
		return fault.InvalidParameter.New("data_dir is empty")
	}
	if c.Database == "" {
		c.Database = Database("sqlite:" + filepath.Join(c.DataDir, "keyward.db"))
	}
	if c.OperatorSocket == "" {
		c.OperatorSocket = filepath.Join(c.DataDir, "operator.sock")
	}
	switch {
	case !databasePattern().MatchString(string(c.Database)):
		return fault.InvalidParameter.New(`database: it must be "sqlite:PATH" or "postgres://…"`)
	case !nodePattern().MatchString(c.Node):
		return fault.InvalidParameter.New("node %q: use lower-case letters, digits, dots and hyphens", c.Node)
	case !regionPattern().MatchString(c.Region):
		return fault.InvalidParameter.New("region %q: use lower-case letters, digits and hyphens", c.Region)
	case c.TLS.MinVersion != "1.3" && c.TLS.MinVersion != "1.2":
		return fault.InvalidParameter.New(`tls.min_version %q: use "1.3" or "1.2"`, c.TLS.MinVersion)
	case (c.TLS.CertFile == "") != (c.TLS.KeyFile == ""):
		return fault.InvalidParameter.New("tls.cert_file and tls.key_file belong together")
	case c.Seal.ForgetKeysAfter < time.Second:
		return fault.InvalidParameter.New("seal.forget_keys_after %v: use a second or more", c.Seal.ForgetKeysAfter)
	case c.PKCS11.Connections < 1 || c.PKCS11.Connections > 64:
		return fault.InvalidParameter.New("pkcs11.connections %d: use 1 to 64", c.PKCS11.Connections)
	case c.Seal.HSM && c.PKCS11.Socket == "":
		return fault.InvalidParameter.New("seal.hsm needs pkcs11.socket")
	case c.Limits.CallsPerAccessKey < 0 || c.Limits.CallsPerAccount < 0 || c.Limits.ConnectionsPerAddress < 0 || c.Limits.Connections < 0 || c.Limits.AccountsPerInstance < 0 || c.Limits.DefaultKeysPerAccount < 0:
		return fault.InvalidParameter.New("a limit is negative; 0 is none")
	case c.Repositories.MaxMegabytes < 1:
		return fault.InvalidParameter.New("repositories.max_megabytes: use 1 or more")
	case slices.Min(c.Checks.days()) < 0 || slices.Max(c.Checks.days()) > 3650 || c.Checks.LoginLength < 0 || c.Checks.LoginReuse < 0:
		return fault.InvalidParameter.New("checks: a threshold is negative, or more than ten years; 0 is the default")
	case (c.XKS.CertFile == "") != (c.XKS.KeyFile == "") || (c.XKS.ClientCAFile == "") != (c.XKS.ClientName == ""):
		return fault.InvalidParameter.New("xks.cert_file and xks.key_file belong together, and so do xks.client_ca_file and xks.client_name")
	case c.XKS.ClientName != "" && c.XKS.CertFile == "", c.XKS.Listen == "" && c.XKS.CertFile != "":
		return fault.InvalidParameter.New("xks.client_name needs xks.cert_file, and that needs xks.listen")
	case c.PublicURL != "" && !publicPattern().MatchString(c.PublicURL):
		return fault.InvalidParameter.New("public_url %q: use https://host, without a path", c.PublicURL)
	case c.Log.Format != "json" && c.Log.Format != "text":
		return fault.InvalidParameter.New(`log.format %q: use "json" or "text"`, c.Log.Format)
	}
	return c.checkListen()
}

// checkListen refuses to offer the API unencrypted to a network.
func (c *Config) checkListen() error {
	if c.TLS.CertFile == "" && !loopback(c.Listen) {
		return fault.InvalidParameter.New("listen %q is not a loopback address, so tls.cert_file and tls.key_file are needed", c.Listen)
	}
	if c.XKS.Listen != "" && c.XKS.CertFile == "" && !loopback(c.XKS.Listen) {
		return fault.InvalidParameter.New("xks.listen %q is not a loopback address, so xks.cert_file and xks.key_file are needed", c.XKS.Listen)
	}
	return nil
}

func loopback(listen string) bool {
	host := listen[:max(strings.LastIndexByte(listen, ':'), 0)]
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && addr.IsLoopback()
}
