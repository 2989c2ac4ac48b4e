// Package render writes the files from which programs read their keys.
//
// A [Template] makes a file's content of a [delivery.Key]: it is a text/template that
// sees both versions, .Primary and .Fallback, each as a map of its parts, and their
// numbers, .PrimaryVersion, .FallbackVersion and .Generation. A part that is not there is
// an error, never "<no value>"; {{if .Fallback}} asks whether there is a fallback.
//
// A [File] is replaced as a whole ([File.Write]): the new content stands beside it with
// its owner and mode before the name moves to it, so whoever opens the file finds the old
// content or the new, and nobody who may not read it ever can. A file that has the
// content, the owner and the mode already is not touched ([File.Current]).
//
// Who may call: package agent and its configuration. What is trusted: the directory in
// which a file stands; who may write there can replace it anyway.
package render

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/internal/durable"
	"github.com/keyward/keyward/internal/material"
)

// MaxSize is how many bytes a rendered file may have.
const MaxSize = 1 << 20

// A Template makes the content of a file. It may be used concurrently.
type Template struct {
	parsed *template.Template
	part   string // if parsed is nil: the only content
}

// functions are what templates have beside those of text/template.
var functions = template.FuncMap{
	"json":   encodeJSON,
	"quote":  quoteShell,
	"base64": func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"query":  url.QueryEscape,
}

// encodeJSON writes a text or all parts as JSON, which is also YAML.
func encodeJSON(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// quoteShell writes a text so that a POSIX shell and systemd's EnvironmentFile read it
// as one word.
func quoteShell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// Parse reads a template.
func Parse(text string) (Template, error) {
	t, err := template.New("template").Option("missingkey=error").Funcs(functions).Parse(text)
	if err != nil {
		return Template{}, fmt.Errorf("reading template: %w", err)
	}
	return Template{parsed: t}, nil
}

// Part answers the template of a file that holds nothing but a part of the primary
// version, without a line feed at its end.
func Part(name string) Template { return Template{part: name} }

// view is what a template sees.
type view struct {
	Generation                      int64
	PrimaryVersion, FallbackVersion string
	Primary, Fallback               map[string]string
}

// Execute makes the content. Its errors name the place in the template, never a value.
func (t Template) Execute(k delivery.Key) (material.Bytes, error) {
	if t.parsed == nil {
		value, ok := k.Primary.Parts[t.part]
		if !ok {
			return material.Bytes{}, fmt.Errorf("rendering part %q: the key has no such part", t.part)
		}
		return material.NewBytes([]byte(value)), nil
	}
	v := view{k.Generation, k.Primary.Version, k.Fallback.Version, plain(k.Primary.Parts), plain(k.Fallback.Parts)}
	var b bytes.Buffer
	b.Grow(4096)
	if err := t.parsed.Execute(&limited{&b}, v); err != nil {
		clear(b.Bytes())
		return material.Bytes{}, hideValues(err)
	}
	return material.NewBytes(b.Bytes()), nil
}

// plain answers the parts as templates use them: their text is what is wanted.
func plain(parts map[string]api.SecretText) map[string]string {
	out := make(map[string]string, len(parts))
	for name, value := range parts {
		out[name] = string(value)
	}
	return out
}

// hideValues answers where a template failed. What function of it failed and how may
// repeat a value, so only the place is kept, and that a part is missing.
func hideValues(err error) error {
	var exec template.ExecError
	where := "template"
	if errors.As(err, &exec) { // template: template:3:12: executing "template" at <.Primary.x>: …
		if parts := strings.SplitN(exec.Error(), ": ", 4); len(parts) > 2 {
			where = parts[1]
			if _, at, ok := strings.Cut(parts[2], " at "); ok {
				where += " at " + at
			}
		}
	}
	switch {
	case errors.Is(err, errTooLong):
		return fmt.Errorf("rendering %s: %w", where, errTooLong)
	case strings.Contains(err.Error(), "map has no entry for key"):
		return fmt.Errorf("rendering %s: the key has no such part", where)
	}
	return fmt.Errorf("rendering %s: it cannot be evaluated", where)
}

var errTooLong = errors.New("the content is larger than 1 MiB")

type limited struct{ *bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > MaxSize {
		return 0, errTooLong
	}
	return l.Buffer.Write(p)
}

// A File is one that the agent keeps.
type File struct {
	Path     string // absolute
	Template Template
	UID, GID int // -1 for those of the agent
	Mode     fs.FileMode
}

// Current tells whether the file has this content, owner and mode.
func (f File) Current(content material.Bytes) bool {
	info, err := os.Lstat(f.Path)
	if err != nil || info.Mode() != f.Mode || info.Size() != int64(content.Len()) { // a link is not the file
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || f.UID >= 0 && owner.Uid != uint32(f.UID) || f.GID >= 0 && owner.Gid != uint32(f.GID) {
		return false
	}
	there, err := os.ReadFile(f.Path)
	found := material.NewBytes(there)
	defer found.Zero()
	return err == nil && found.Equal(content)
}

// Write replaces the file. When it returns, the new content is on the disk; when it
// fails, the old content stands, or the new one if its directory could not be synced.
func (f File) Write(content material.Bytes) error {
	dir := filepath.Dir(f.Path)
	t, err := os.CreateTemp(dir, temporary(f.Path)+"*") // mode 0600
	if err != nil {
		return fmt.Errorf("writing %s: %w", f.Path, err)
	}
	defer os.Remove(t.Name()) //nolint:errcheck // after the rename it is not there
	_, err = t.Write(content.Expose())
	if err == nil && (f.UID >= 0 || f.GID >= 0) {
		err = t.Chown(f.UID, f.GID)
	}
	if err == nil {
		err = t.Chmod(f.Mode) // after the owner: nobody gets a mode that is meant for another
	}
	if err = errors.Join(err, t.Sync(), t.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", f.Path, err)
	}
	if err := os.Rename(t.Name(), f.Path); err != nil {
		return fmt.Errorf("writing %s: %w", f.Path, err)
	}
	return durable.SyncDirectory(dir)
}

// temporary is how the names begin beside which a file is written.
func temporary(path string) string { return "." + filepath.Base(path) + ".keyward-" }

// Clean removes what a crash in the middle of [File.Write] left beside the file.
func (f File) Clean() error {
	entries, err := os.ReadDir(filepath.Dir(f.Path))
	if err != nil {
		return fmt.Errorf("cleaning up beside %s: %w", f.Path, err)
	}
	for _, e := range entries {
		if rest, ok := strings.CutPrefix(e.Name(), temporary(f.Path)); ok && rest != "" && strings.Trim(rest, "0123456789") == "" {
			if err := os.Remove(filepath.Join(filepath.Dir(f.Path), e.Name())); err != nil {
				return fmt.Errorf("cleaning up beside %s: %w", f.Path, err)
			}
		}
	}
	return nil
}
