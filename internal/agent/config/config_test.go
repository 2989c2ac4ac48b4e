package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/agent/config"
)

const good = `
state = "/var/lib/x"
server = "https://keyward.example.com:7420"
listen = "127.0.0.1:7422"
token_file = "/run/x/token"
group = "0"

[[deliver]]
rollout = "pay"
[[deliver.file]]
path = "/etc/shop/key.json"
template = "{{json .Primary}}"
owner = "root"
group = "0"
mode = "0640"
[[deliver.file]]
path = "/etc/shop/id"
part = "access_key_id"
[deliver.reload]
command = ["/bin/systemctl", "reload", "shop"]
timeout = "5s"
splay = "10s"
[deliver.probe]
url = "http://127.0.0.1:8080/health"

[[deliver]]
rollout = "mail"
[deliver.probe]
command = ["/bin/true"]
timeout = "1s"
interval = "2s"
`

func TestParse(t *testing.T) {
	c, err := config.Parse(good, "/")
	if err != nil {
		t.Fatal(err)
	}
	pay, mail := c.Deliver[0], c.Deliver[1]
	switch {
	case c.State != "/var/lib/x" || c.Server != "https://keyward.example.com:7420" || c.Listen != "127.0.0.1:7422" || c.TokenFile != "/run/x/token" || c.GID != 0,
		pay.Rollout != "pay" || len(pay.Files) != 2 || pay.Files[0].Mode != 0o640 || pay.Files[0].UID != 0 || pay.Files[1].Mode != 0o600 || pay.Files[1].UID != -1,
		pay.Reload.Timeout != 5*time.Second || pay.Splay != 10*time.Second || pay.Probe.Status != 200 || pay.Probe.Timeout != 30*time.Second || pay.Probe.Interval != 30*time.Second,
		mail.Reload != nil || mail.Probe.Command.Timeout != time.Second || mail.Probe.Interval != 2*time.Second:
		t.Errorf("%+v", c)
	}
	if c, err := config.Parse("", "/"); err != nil || c.State != config.DefaultState || c.Listen != config.DefaultListen || c.GID != -1 {
		t.Errorf("an empty file: %+v, %v", c, err)
	}
}

// Each mistake is named, with its line where it has one.
func TestMistakes(t *testing.T) {
	dir := t.TempDir()
	file := "[[deliver]]\nrollout = \"pay\"\n[[deliver.file]]\npath = \"/etc/shop/key\"\n"
	for text, want := range map[string]string{
		"stat = \"/x\"": "line 1: there is no setting \"stat\"",
		"\n# a\nlisten = \"/x\"\n\n[[deliver]]\nrollout = \"pay\"\n[deliver.relaod]\ncommand = []\n": "line 7: there is no setting \"deliver.relaod\"",
		file + "template = '''\nstate = \n'''\nmodes = \"0600\"":                                     "line 8: there is no setting \"deliver.file.modes\"",
		"state = ":          "line 1",
		"state = \"here\"":  "absolute path",
		"listen = \"here\"": "absolute path of a socket",
		"listen = \"0.0.0.0:7422\"\ntoken_file = \"/t\"":         "loopback address",
		"listen = \"127.0.0.1:7422\"":                            "token_file",
		"listen = \"/run/a\"\ntoken_file = \"/t\"":               "a socket needs none",
		"listen = \"/" + strings.Repeat("a", 80) + "\"":          "80 bytes",
		"group = \"no such group\"":                              "no such group",
		"ca_file = \"/no/such\"":                                 "ca_file",
		"[[deliver]]":                                            "rollout is missing",
		"[[deliver]]\nrollout=\"a\"\n[[deliver]]\nrollout=\"a\"": "stands twice",
		file:                                            "one of template, template_file and part",
		file + "part = \"a\"\ntemplate = \"b\"":         "one of template, template_file and part",
		file + "template = \"{{.Primary\"":              "reading template",
		file + "template = \"{{nothing}}\"":             "reading template",
		file + "template_file = \"missing\"":            "no such file",
		file + "template_file = \"bad\"":                "bad",
		file + "part = \"a\"\nmode = \"0644\"":          "gives the others nothing",
		file + "part = \"a\"\nmode = \"4600\"":          "gives the others nothing",
		file + "part = \"a\"\nmode = \"rw\"":            "gives the others nothing",
		file + "part = \"a\"\nmode = \"0040\"":          "gives the others nothing",
		file + "part = \"a\"\nowner = \"no such user\"": "no such user",
		file + "part = \"a\"\n[[deliver.file]]\npath = \"/etc/shop/../shop/key\"\npart = \"b\"":                       "writes it, too",
		strings.Replace(file, "/etc/shop/key", "key", 1) + "part = \"a\"":                                             "absolute path",
		strings.Replace(file, "/etc/shop/key", dir, 1) + "part = \"a\"":                                               "no regular file",
		file + "part = \"a\"\n[[deliver]]\nrollout = \"b\"\n[[deliver.file]]\npath = \"/etc/shop/key\"\npart = \"a\"": "deliver \"pay\" writes it, too",
		"[[deliver]]\nrollout=\"a\"\n[deliver.reload]\ncommand = [\"systemctl\"]":                                     "absolute path of the program",
		"[[deliver]]\nrollout=\"a\"\n[deliver.reload]\ntimeout = \"1s\"":                                              "absolute path of the program",
		"[[deliver]]\nrollout=\"a\"\n[deliver.reload]\ncommand = [\"/a\"]\ntimeout = \"2h\"":                          "at most an hour",
		"[[deliver]]\nrollout=\"a\"\n[deliver.reload]\ncommand = [\"/a\"]\nsplay = \"-1s\"":                           "at most an hour",
		"[[deliver]]\nrollout=\"a\"\n[deliver.probe]\n":                                                               "one of command and url",
		"[[deliver]]\nrollout=\"a\"\n[deliver.probe]\ncommand = [\"/a\"]\nurl = \"http://a\"":                         "one of command and url",
		"[[deliver]]\nrollout=\"a\"\n[deliver.probe]\ncommand = [\"/a\"]\nstatus = 200":                               "belongs to a url",
		"[[deliver]]\nrollout=\"a\"\n[deliver.probe]\nurl = \"ftp://a\"":                                              "http://",
		"[[deliver]]\nrollout=\"a\"\n[deliver.probe]\nurl = \"http://a\"\nstatus = 99":                                "one of HTTP",
		"[[deliver]]\nrollout=\"a\"\n[deliver.probe]\nurl = \"http://a\"\ninterval = \"1ns\"":                         "at most an hour",
	} {
		if err := os.WriteFile(filepath.Join(dir, "bad"), []byte("{{"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := config.Parse(text, dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n: %v; want %q", text, err, want)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "agent.toml")
	for name, content := range map[string]string{
		"agent.toml": "ca_file = \"" + dir + "/ca.pem\"\n[[deliver]]\nrollout = \"pay\"\n[[deliver.file]]\npath = \"/a/b\"\ntemplate_file = \"t.tmpl\"\n",
		"t.tmpl":     "{{.Primary.id}}", "ca.pem": "EXAMPLE",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if c, err := config.Load(path); err != nil || c.CA != "EXAMPLE" || len(c.Deliver) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	for _, bad := range []string{dir, filepath.Join(dir, "missing")} {
		if _, err := config.Load(bad); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
	if err := os.Chmod(path, 0o602); err != nil { //nolint:gosec // that is the test
		t.Fatal(err)
	}
	if _, err := config.Load(path); err == nil || !strings.Contains(err.Error(), "chmod o-w") {
		t.Errorf("a file that everybody may write: %v", err)
	}
	if err := os.Truncate(path, 1<<20); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(path); err == nil {
		t.Error("a large file was read")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(good)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := config.Parse(text, t.TempDir())
		if err != nil {
			return
		}
		for _, d := range c.Deliver {
			for _, file := range d.Files {
				if !filepath.IsAbs(file.Path) || file.Mode&0o007 != 0 {
					t.Errorf("%+v", file)
				}
			}
		}
	})
}
