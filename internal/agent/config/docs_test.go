package config_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/agent/config"
)

// docs/agent.md has every setting, and the defaults as they are.
func TestSettingsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../docs/agent.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("config.go")
	if err != nil {
		t.Fatal(err)
	}
	tags := regexp.MustCompile("`toml:\"([a-z_]+)\"`").FindAllSubmatch(source, -1)
	if len(tags) < 20 {
		t.Fatalf("only %d settings were found", len(tags))
	}
	for _, tag := range tags {
		if name := string(tag[1]); name != "deliver" && name != "file" && name != "reload" && name != "probe" && !regexp.MustCompile("`(deliver\\.\\w+\\.)?"+name+"`|`deliver."+name+"`").Match(page) {
			t.Errorf("docs/agent.md lacks %s", name)
		}
	}
	for name, value := range map[string]string{"state": config.DefaultState, "listen": config.DefaultListen} {
		if row := "| `" + name + "` | `\"" + value + "\"` |"; !strings.Contains(string(page), row) {
			t.Errorf("docs/agent.md lacks %s", row)
		}
	}
	unit, err := os.ReadFile("../../../deploy/systemd/keyward-agent.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"--config " + config.DefaultFile + "\n", "StateDirectory=" + strings.TrimPrefix(config.DefaultState, "/var/lib/") + "\n", "RuntimeDirectory=keyward-agent\n"} {
		if !strings.Contains(string(unit), want) {
			t.Errorf("the unit lacks %s", want)
		}
	}
}
