package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/config"
	"github.com/keyward/keyward/internal/fault"
)

func write(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyward.toml")
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEmptyFileIsTheDefault(t *testing.T) {
	have, err := config.Load(write(t, "", 0o644))
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	if err := want.Complete(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", have)); diff != "" {
		t.Error(diff)
	}
	if have.Database != "sqlite:/var/lib/keyward/keyward.db" || have.OperatorSocket != "/var/lib/keyward/operator.sock" {
		t.Errorf("%+v", have)
	}
}

func TestWrongSettingsAreRefused(t *testing.T) {
	for content, want := range map[string]string{
		`lisen = "127.0.0.1:1"`:                       `no setting "lisen"`,
		"[limits]\ncalls = 1":                         `no setting "limits.calls"`,
		`listen = 7420`:                               "listen",
		`listen = "0.0.0.0:7420"`:                     "tls.cert_file",
		`listen = "kms.example:7420"`:                 "tls.cert_file",
		`node = "Node 1"`:                             "node",
		`region = ""`:                                 "region",
		`data_dir = ""`:                               "data_dir",
		`trusted_proxies = ["10.0.0.0/99"]`:           "trusted_proxies",
		"[tls]\nmin_version = \"1.1\"":                "min_version",
		"[tls]\ncert_file = \"a\"":                    "belong together",
		"[limits]\ncalls_per_account = -1":            "negative",
		"[checks]\nmax_age_days = -1":                 "negative",
		"[checks]\ngrace_days = 3651":                 "ten years",
		"[checks]\nlogin_length = -1":                 "negative",
		"[seal]\nforget_keys_after = \"1ms\"":         "a second or more",
		"[log]\nformat = \"xml\"":                     "log.format",
		`listen = "127.0.0.1:1"` + "\nlisten = \"x\"": "listen",
	} {
		if _, err := config.Load(write(t, content, 0o600)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nhave %v, want something about %s", content, err, want)
		}
	}
}

func TestLoopbackNeedsNoTLS(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"} {
		if _, err := config.Load(write(t, fmt.Sprintf("listen = %q", listen), 0o600)); err != nil {
			t.Errorf("%s: %v", listen, err)
		}
	}
}

func TestPasswordsArePrivate(t *testing.T) {
	const content = `database = "postgres://keyward:fake-password@db.example/keyward?sslpassword=fake-other"`
	if _, err := config.Load(write(t, content, 0o644)); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a password that others can read: %v", err)
	}
	c, err := config.Load(write(t, content, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(c.Database); !strings.Contains(got, "db.example") {
		t.Errorf("the database is not recognisable: %s", got)
	}
}

func TestErrorsAreSaidInChinese(t *testing.T) {
	for content, want := range map[string]string{
		`lisen = "127.0.0.1:1"`:      `没有设置项 "lisen"`,
		`listen = "0.0.0.0:7420"`:    "不是回环地址",
		"listen = 127.0.0.1:7420":    "读取配置",
		"[tls]\ncert_file = \"a\"":   "必须同时设置",
		"[log]\nformat = \"xml\"":    "请使用",
		`database = "mysql://db/x"`:  "database：须为",
		"[pkcs11]\nconnections = 65": "须为 1 至 64",
	} {
		_, err := config.Load(write(t, content, 0o600))
		if have := fault.TextOf(err).Chinese(); !strings.Contains(have, want) {
			t.Errorf("%s\nhave %s, want something about %s", content, have, want)
		}
	}
}

// TestL18SecretsAreNotShown holds that no formatter and no encoder shows a secret of the
// configuration, and that no setting is a secret by its name: a file of its own has it.
func TestL18SecretsAreNotShown(t *testing.T) {
	const secret = "fake-password"
	c := config.Default()
	c.Database = "postgres://keyward:" + secret + "@db.example/keyward?sslpassword=" + secret
	shown := map[string]string{}
	for _, format := range strings.Fields("%v %+v %#v %s %q %x %X %d %t %o %T") {
		shown[format] = fmt.Sprintf(format, c) + fmt.Sprintf(format, &c) + fmt.Sprintf(format, c.Database)
	}
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	if err := toml.NewEncoder(&lines).Encode(c); err != nil {
		t.Fatal(err)
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&lines, nil), slog.NewJSONHandler(&lines, nil)} {
		slog.New(handler).Info("starting", "config", c, "pointer", &c, "database", c.Database)
	}
	shown["json"], shown["toml and slog"] = string(encoded), lines.String()
	for how, text := range shown {
		for _, spelt := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret)} {
			if strings.Contains(text, spelt) {
				t.Errorf("%s shows a password: %s", how, text)
			}
		}
	}
	secretive := regexp.MustCompile(`passw|passphrase|secret|token|credential`)
	for _, name := range settings(reflect.TypeFor[config.Config](), "") {
		if secretive.MatchString(name) && !strings.HasSuffix(name, "_file") {
			t.Errorf("%s is a secret in the configuration file; name a file instead", name)
		}
	}
}
