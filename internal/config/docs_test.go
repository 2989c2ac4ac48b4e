package config_test

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/config"
)

// settings answers the names of all settings below a struct, as a file writes them.
func settings(of reflect.Type, prefix string) []string {
	var names []string
	for i := range of.NumField() {
		field := of.Field(i)
		name := prefix + field.Tag.Get("toml")
		if field.Type.Kind() == reflect.Struct {
			names = append(names, settings(field.Type, name+".")...)
		} else {
			names = append(names, name)
		}
	}
	return names
}

// TestSettingsAreDocumented holds that the table of docs/operations.md has every setting
// and no other.
func TestSettingsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "\n## Settings\n")
	table, _, _ := strings.Cut(rest, "\n## ")
	if !found {
		t.Fatal("docs/operations.md has no section Settings")
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z0-9_.]+)` \\|").FindAllStringSubmatch(table, -1) {
		documented = append(documented, row[1])
	}
	there := settings(reflect.TypeFor[config.Config](), "")
	slices.Sort(documented)
	slices.Sort(there)
	if diff := cmp.Diff(there, documented); diff != "" {
		t.Errorf("settings (-) and documentation (+) differ:\n%s", diff)
	}
}

// TestDocumentedDefaults holds the table's defaults against those of an empty file.
func TestDocumentedDefaults(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	if err := c.Complete(); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"listen": c.Listen, "data_dir": c.DataDir, "node": c.Node, "region": c.Region,
		"database":        strings.Replace(string(c.Database), c.DataDir, "<data_dir>", 1),
		"operator_socket": strings.Replace(c.OperatorSocket, c.DataDir, "<data_dir>", 1),
		"tls.min_version": c.TLS.MinVersion, "seal.forget_keys_after": strings.TrimSuffix(c.Seal.ForgetKeysAfter.String(), "0s"), "log.format": c.Log.Format, "log.level": c.Log.Level,
	} {
		if row := "| `" + name + "` | `\"" + value + "\"` |"; !strings.Contains(string(page), row) {
			t.Errorf("docs/operations.md lacks %s", row)
		}
	}
}
