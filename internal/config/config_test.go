package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/config"
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
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(format, c); strings.Contains(s, "fake-") {
			t.Errorf("%s shows a password: %s", format, s)
		}
	}
}
