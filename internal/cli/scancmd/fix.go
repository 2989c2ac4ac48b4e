package scancmd

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/report"
)

// A mending moves values that were found into secrets and leaves references.
type mending struct {
	on, dry   bool
	prefix    string // of the names of secrets
	reference string // what is left; {name} is the secret
}

func (m *mending) flags(c *cli.Run, cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&m.on, "fix", false, c.T("move values that are found in text files into secrets, and leave references", "将文本文件中发现的值移入凭据，并留下引用"))
	f.BoolVar(&m.dry, "dry-run", false, c.T("with --fix: show what would be changed, and change nothing", "配合 --fix：只显示将要做的更改"))
	f.StringVar(&m.prefix, "prefix", "found/", c.T("with --fix: `PREFIX` of the names of the secrets", "配合 --fix：凭据名称的前缀 `PREFIX`"))
	f.StringVar(&m.reference, "reference", "keyward:{name}", c.T("with --fix: the `TEXT` that is left; {name} is the secret's name", "配合 --fix：留下的文字 `TEXT`，其中 {name} 为凭据名称"))
}

// A stretch is a part of a line that must not be shown, and what takes its place in the file.
type stretch struct {
	start, end int
	name       string // of the secret; "" for one that is left alone
	shown      string // for people
}

// A mended is one file with what happens to it.
type mended struct {
	path      string
	mode      os.FileMode
	content   []byte
	stretches []stretch // in order, without overlaps
}

// mend moves what was found, as far as it can be moved.
func (s *scan) mend(ctx context.Context, r report.Report) error {
	if strings.ContainsAny(s.mending.reference, "\r\n") || !strings.Contains(s.mending.reference, "{name}") {
		return s.Usage(s.cmd, "--reference is one line with {name} in it", "--reference 只能是一行，且须包含 {name}")
	}
	files, values, left := s.plan(r.Findings)
	defer func() {
		for _, v := range values {
			clear(v)
		}
	}()
	for _, m := range files {
		fmt.Fprint(s.Out, m.diff(s.mending.reference))
	}
	s.covered(r)
	moved, touched := count(s.Run, int64(len(values)), "value", "values", "个值"), count(s.Run, int64(len(files)), "file", "files", "个文件")
	if left > 0 {
		s.Say("Left alone: %s in no text file, or with the value in another form.", "未处理：%s不在文本文件中，或值以其他形式出现。", count(s.Run, int64(left), "place", "places", "处"))
	}
	if s.mending.dry {
		s.Say("Nothing was changed: %s in %s would be moved.", "未做更改：将移动 %s，涉及 %s。", moved, touched)
	} else if len(values) > 0 {
		if err := s.move(ctx, files, values); err != nil {
			return err
		}
		s.Say("Moved: %s of %s. Whoever saw the files or their history still has them: replace each where it is used, then put the new value into its secret.",
			"已移动 %s，涉及 %s。看过这些文件或其历史的人仍然知道旧值：请在使用处更换，再将新值写入凭据。", moved, touched)
	}
	switch {
	case r.Coverage.Partial():
		return &cli.Problem{Message: s.T("not everything was looked at", "有内容未能检查"), Status: cli.ExitPartial}
	case s.mending.dry && len(values) > 0:
		return &cli.Problem{Message: s.T("", "发现 ") + findings(s.Run, len(r.Findings)), Status: cli.ExitFindings}
	case left > 0:
		return &cli.Problem{Message: fmt.Sprintf(s.T("not moved: %s", "剩余 %s"), count(s.Run, int64(left), "place", "places", "处")), Status: cli.ExitFindings}
	}
	return nil
}

// plan answers the files to change, the values by the names of their secrets, and how many
// places are left alone.
func (s *scan) plan(findings []leak.Finding) (files []*mended, values map[string][]byte, left int) {
	by := map[string]*mended{}
	values = map[string][]byte{}
	for _, f := range findings {
		name := s.mending.prefix + f.Rule + "-" + f.Fingerprint[:8]
		for _, at := range f.Locations {
			m := by[at.Path]
			if m == nil {
				m = read(at.Path)
				by[at.Path] = m
			}
			start, ok := m.offset(at, f.Length)
			if !ok {
				left++
				continue
			}
			value := m.content[start : start+f.Length]
			part := stretch{start: start, end: start + f.Length, shown: cmp.Or(f.Redacted, "***")}
			if s.hasher.Fingerprint(value) == f.Fingerprint && !bytes.ContainsAny(value, "\\\n") {
				part.name, values[name] = name, bytes.Clone(value)
			} else {
				left++
			}
			m.stretches = append(m.stretches, part)
		}
	}
	for _, m := range by {
		slices.SortFunc(m.stretches, func(a, b stretch) int { return cmp.Compare(a.start, b.start) })
		if slices.ContainsFunc(m.stretches, func(p stretch) bool { return p.name != "" }) {
			files = append(files, m)
		}
	}
	slices.SortFunc(files, func(a, b *mended) int { return strings.Compare(a.path, b.path) })
	return files, values, left
}

// read reads a text file that can be replaced; what is none has no content. A file that other
// names, another owner or more than its permissions would be taken from is none, nor what git
// keeps for itself, nor standard input.
func read(path string) *mended {
	m := &mended{path: path}
	info, err := os.Lstat(path)
	if err != nil || path == "-" || slices.Contains(strings.Split(filepath.ToSlash(path), "/"), ".git") {
		return m
	}
	if info.Mode() != info.Mode().Perm() || !ownAlone(info) {
		return m
	}
	content, err := os.ReadFile(path)
	if err != nil || !isText(content) {
		return m
	}
	m.mode, m.content = info.Mode(), content
	return m
}

// isText tells whether bytes are a text, in which nothing counts how long a value is.
func isText(content []byte) bool {
	control := func(r rune) bool { return r < ' ' && !strings.ContainsRune("\t\n\r\f", r) || r == 0x7f }
	return utf8.Valid(content) && !bytes.ContainsFunc(content, control)
}

// offset answers where a place of so many bytes is, if it is in the file as it is.
func (m *mended) offset(at leak.Location, length int) (start int, ok bool) {
	if at.Line == 0 || at.Via != "" || at.Commit != "" || at.Layer != "" {
		return 0, false
	}
	for range at.Line - 1 {
		i := bytes.IndexByte(m.content[start:], '\n')
		if i < 0 {
			return 0, false
		}
		start += i + 1
	}
	start += at.Column - 1
	overlap := slices.ContainsFunc(m.stretches, func(p stretch) bool { return start < p.end && p.start < start+length })
	return start, start+length <= len(m.content) && !overlap
}

// with answers the file with its stretches replaced.
func (m *mended) with(instead func(stretch) string) []byte {
	var b bytes.Buffer
	from := 0
	for _, p := range m.stretches {
		b.Write(m.content[from:p.start])
		b.WriteString(instead(p))
		from = p.end
	}
	b.Write(m.content[from:])
	return b.Bytes()
}

// reference answers what is left of a stretch; what is left alone stays.
func (m *mended) reference(template string) func(stretch) string {
	return func(p stretch) string {
		if p.name == "" {
			return string(m.content[p.start:p.end])
		}
		return strings.ReplaceAll(template, "{name}", p.name)
	}
}

// diff answers what changes. Of the lines it shows nothing else: what was accepted, or is too
// small a finding to be told of, may stand there, too.
func (m *mended) diff(template string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "--- %[1]s\n+++ %[1]s\n", cli.Printable(m.path))
	for _, p := range m.stretches {
		if p.name != "" {
			line := 1 + bytes.Count(m.content[:p.start], []byte{'\n'})
			fmt.Fprintf(&b, "@@ -%[1]d +%[1]d @@\n-%s\n+%s\n", line, cli.Printable(p.shown), cli.Printable(strings.ReplaceAll(template, "{name}", p.name)))
		}
	}
	return b.String()
}

// errChanged is of a file that somebody changed meanwhile.
var errChanged = errors.New("it changed meanwhile; run the scan again")

// move stores all values, and only then replaces files: what is interrupted can be repeated.
func (s *scan) move(ctx context.Context, files []*mended, values map[string][]byte) error {
	if err := s.Confirm(ctx, "fix", s.T(
		fmt.Sprintf("Values become secrets: %d. Files are changed: %d.", len(values), len(files)), fmt.Sprintf("将创建 %d 个凭据，并更改 %d 个文件。", len(values), len(files)),
	)); err != nil {
		return err
	}
	server, err := remote.Connect(s.Run)
	if err != nil {
		return err
	}
	for name, value := range values {
		if err := keep(ctx, server, name, value); err != nil {
			return err
		}
	}
	for _, m := range files {
		if now := read(m.path); !bytes.Equal(now.content, m.content) {
			return &cli.Problem{Message: fmt.Sprintf(s.T("%s is not changed", "未更改 %s"), cli.Printable(m.path)), Cause: errChanged, Status: cli.ExitPartial}
		}
		content := m.with(m.reference(s.mending.reference))
		err := cli.Place{Run: s.Run, Force: true}.Write(m.path, m.mode, content)
		if err != nil {
			return &cli.Problem{Message: fmt.Sprintf(s.T("%s cannot be changed", "无法更改 %s"), cli.Printable(m.path)), Cause: err, Status: cli.ExitPartial}
		}
	}
	return nil
}

// keep stores a value in a secret that may be there from a run before: its version has a
// name of its own, under which another value is refused.
func keep(ctx context.Context, server *client.Client, name string, value []byte) error {
	const version = "found"
	_, err := server.CreateSecret(ctx, api.CreateSecretRequest{Name: name, Version: version, Value: value, Description: "found by keyward scan"})
	if remote.RefusedAs(err, fault.ResourceExists) {
		_, err = server.PutSecretValue(ctx, name, api.PutSecretRequest{Version: version, Value: value})
	}
	return err
}
