package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/fault"
)

// Every code of the server is explained, in both languages.
func TestEveryCodeHasAdvice(t *testing.T) {
	for _, kind := range fault.Kinds() {
		a, ok := adviceOn(kind)
		if !ok {
			t.Errorf("%s has no advice", kind)
			continue
		}
		for _, text := range []text{a.what, a.next} {
			if text.en == "" || strings.ContainsFunc(text.en, isHan) || !strings.ContainsFunc(text.zh, isHan) {
				t.Errorf("%s: English %q, Chinese %q", kind, text.en, text.zh)
			}
		}
	}
}

// What to do next about a state is about the thing that the command is about.
func TestStateConflictNamesTheCommand(t *testing.T) {
	for path, want := range map[string]string{
		"key disable": "keyward key show KEY", "rotation plan remove": "keyward rotation plan show NAME", "rotation pause": "keyward rotation status PLAN",
		"secret restore": "keyward secret show NAME", "keys": "operator status", "encrypt": "operator status",
	} {
		for _, lang := range []Language{English, Chinese} {
			c := &Run{Lang: lang, path: path}
			if got := c.Explain(&client.Error{Code: string(fault.StateConflict), Message: "it is over"}).Next; !strings.Contains(got, want) {
				t.Errorf("%s: %s", path, got)
			}
		}
	}
}

// What is wrong with a file is said in the reader's language, about a name that the reader knows.
func TestFilesAreNamedAsTheyWereGiven(t *testing.T) {
	c := &Run{Lang: Chinese}
	dir := t.TempDir()
	write := func(name string) error { return Place{Run: c}.Write(name, 0o600, nil) }
	_, isDirectory := os.ReadFile(dir)
	for want, err := range map[string]error{
		dir + "/none：文件不存在": write(dir + "/none/file"),
		dir + "：这是一个目录":     isDirectory,
		"/dev/full：磁盘空间已满":  os.WriteFile("/dev/full", []byte("x"), 0o600),
	} {
		if have := c.failureOf(err).Message; have != want {
			t.Errorf("have %s, want %s", have, want)
		}
	}
}
