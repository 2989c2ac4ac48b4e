package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/clitest"
)

func TestEveryCommandAndFlagSpeaksBothLanguages(t *testing.T) {
	en, zh := newSession(t, cli.English), newSession(t, cli.Chinese)
	en.Prepare(nil)
	zh.Prepare(nil)
	commands, flags := 0, 0
	var walk func(e, z *cobra.Command)
	walk = func(e, z *cobra.Command) {
		commands++
		clitest.Both(t, e.CommandPath(), e.Short, z.Short)
		if e.Long != "" || z.Long != "" {
			clitest.Both(t, e.CommandPath()+" (long)", e.Long, z.Long)
		}
		if e.Example != z.Example {
			t.Errorf("%s: the examples differ", e.CommandPath())
		}
		check := func(ef *pflag.Flag) {
			flags++
			zf := z.Flags().Lookup(ef.Name)
			if zf == nil {
				zf = z.PersistentFlags().Lookup(ef.Name)
			}
			if zf == nil {
				t.Fatalf("%s --%s exists in English only", e.CommandPath(), ef.Name)
			}
			clitest.Both(t, e.CommandPath()+" --"+ef.Name, ef.Usage, zf.Usage)
		}
		e.Flags().VisitAll(check)
		e.PersistentFlags().VisitAll(check)
		for i, child := range e.Commands() {
			walk(child, z.Commands()[i])
		}
	}
	walk(newRoot(&en.Run), newRoot(&zh.Run))
	if commands < 60 || flags < 100 {
		t.Errorf("only %d commands and %d flags were looked at", commands, flags)
	}
}

// A command line has only the package built whose names it begins with.
func TestGroupsHaveTheCommandsThatTheyName(t *testing.T) {
	s := newSession(t, cli.English)
	s.Prepare(nil)
	for _, g := range groups {
		var names []string
		for _, cmd := range g.commands(&s.Run) {
			names = append(names, cmd.Name())
		}
		if diff := cmp.Diff(names, strings.Fields(g.names)); diff != "" {
			t.Errorf("names of a group (-commands +table):\n%s", diff)
		}
	}
	whole := newRoot(&s.Run)
	for _, cmd := range whole.Commands() {
		if found, _, err := rootFor(&s.Run, []string{cmd.Name()}).Find([]string{cmd.Name()}); err != nil || found.Name() != cmd.Name() {
			t.Errorf("%s is not in the tree that is built for it: %v", cmd.Name(), err)
		}
	}
}

// What is secret has no flag, for a command line is public on its machine.
// eachFlag looks at every flag of every command.
func eachFlag(t *testing.T, look func(*cobra.Command, *pflag.Flag)) {
	t.Helper()
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) { look(cmd, f) })
		cmd.PersistentFlags().VisitAll(func(f *pflag.Flag) { look(cmd, f) })
		for _, child := range cmd.Commands() {
			walk(child)
		}
	}
	walk(newRoot(&newSession(t, cli.English).Run))
}

func TestNoFlagTakesASecret(t *testing.T) {
	secret := regexp.MustCompile(`secret|passphrase|password|token`)
	eachFlag(t, func(cmd *cobra.Command, f *pflag.Flag) {
		named := f.Name == "secret" && strings.Contains(f.Usage, "`NAME`") // of one that the server keeps
		if secret.MatchString(f.Name) && !strings.HasSuffix(f.Name, "-file") && !named && f.Value.Type() != "bool" {
			t.Errorf("%s --%s takes a secret", cmd.CommandPath(), f.Name)
		}
	})
}

// A flag takes what its own error says that it must look like.
func TestFlagsTakeWhatTheirErrorsAskFor(t *testing.T) {
	tried := 0
	eachFlag(t, func(cmd *cobra.Command, f *pflag.Flag) {
		if f.Value.Type() == "bool" {
			return
		}
		s := newSession(t, cli.English)
		s.Do(append(strings.Fields(cmd.CommandPath())[1:], "--"+f.Name+"=\x00")...)
		_, examples, refused := strings.Cut(s.Stderr.String(), " must look like ")
		if !refused {
			return
		}
		examples, _, _ = strings.Cut(examples, "\n")
		for example := range strings.SplitSeq(examples, ", ") {
			tried++
			if err := f.Value.Set(example); err != nil {
				t.Errorf("%s --%s %s: %v", cmd.CommandPath(), f.Name, example, err)
			}
		}
	})
	if tried < 50 {
		t.Errorf("%d examples were tried", tried)
	}
}

// What protects has no switch: not in a flag, not in the environment, not in the code and
// not in a build tag. docs/design/incidents.md says which products had one.
func TestL29NothingSwitchesProtectionOff(t *testing.T) {
	off := regexp.MustCompile(`(?i)insecure|unsafe|skip|no-?(verify|check|auth|tls|audit)|disable-|allow-http|trust-all|debug`)
	flags := 0
	eachFlag(t, func(cmd *cobra.Command, f *pflag.Flag) {
		flags++
		if off.MatchString(f.Name) {
			t.Errorf("%s --%s", cmd.CommandPath(), f.Name)
		}
	})
	inSource := regexp.MustCompile(`InsecureSkipVerify|InsecureIgnoreHostKey|"KEYWARD_\w*(INSECURE|SKIP|NO_|DISABLE|DEBUG)\w*"`)
	tag := regexp.MustCompile(`(?m)^//go:build (.*)$`)
	platform := regexp.MustCompile(`^[!()|& ]*((unix|linux|amd64|arm64|cgo|goexperiment\.runtimesecret)[!()|& ]*)+$`)
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files++
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if found := inSource.Find(source); found != nil {
			t.Errorf("%s: %s", path, found)
		}
		for _, m := range tag.FindAllSubmatch(source, -1) {
			if !platform.Match(m[1]) {
				t.Errorf("%s: the build tag %s", path, m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if flags < 100 || files < 150 {
		t.Errorf("only %d flags and %d files were looked at", flags, files)
	}
}

func TestHelp(t *testing.T) {
	for _, lang := range []cli.Language{cli.English, cli.Chinese} {
		s := newSession(t, lang)
		for name, args := range map[string][]string{"root": {}, "operator-init": {"operator", "init", "--help"}, "encrypt": {"help", "encrypt"}} {
			if status := s.Do(args...); status != cli.ExitOK {
				t.Errorf("%v: status %d: %s", args, status, &s.Stderr)
			}
			golden(t, "help-"+name+"."+string(lang), s.Stdout.String())
		}
	}
}

// Help for what is not there names the first word that is not, and what its group has instead.
func TestHelpForWhatIsNotThere(t *testing.T) {
	for args, want := range map[string]string{
		"key lst": `no command "lst"; did you mean list`, "kye list": `no command "kye"; did you mean key?`, "key list extra": `no command "extra"`,
	} {
		s := newSession(t, cli.English)
		if status := s.Do(append([]string{"help"}, strings.Fields(args)...)...); status != cli.ExitLocal || !strings.Contains(s.Stderr.String(), want) {
			t.Errorf("help %s: status %d: %s", args, status, &s.Stderr)
		}
	}
}

func TestCompletionScripts(t *testing.T) {
	s := newSession(t, cli.English)
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if status := s.Do("completion", shell); status != cli.ExitOK || !strings.Contains(s.Stdout.String(), "keyward") {
			t.Errorf("%s: status %d, %d bytes", shell, status, s.Stdout.Len())
		}
	}
	if s.Do("__complete", "key", "create", "--spec", ""); !strings.Contains(s.Stdout.String(), "EC_SM2") {
		t.Errorf("--spec completes to %q", &s.Stdout)
	}
}

const manual = "../../docs/cli.md"

// docs/cli.md is its first part, which people write, and the reference, which this
// test writes with -update.
func TestManual(t *testing.T) {
	const mark = "<!-- The rest is generated: go test ./cmd/keyward -run TestManual -update -->\n"
	content, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	prose, reference, found := strings.Cut(string(content), mark)
	if !found {
		t.Fatal("the mark of the generated part is missing")
	}
	var b strings.Builder
	s := newSession(t, cli.English)
	s.Prepare(nil)
	root := newRoot(&s.Run)
	fmt.Fprint(&b, "\n## Flags of every command\n\n```text\n")
	var flags strings.Builder
	flagHelp(&s.Run, &flags, "", root.PersistentFlags())
	fmt.Fprintf(&b, "%s```\n", strings.TrimLeft(flags.String(), "\n"))
	for _, group := range available(root) {
		writeReference(&b, &s.Run, group)
	}
	if *update {
		if err := os.WriteFile(manual, []byte(prose+mark+b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(reference, b.String()); diff != "" {
		t.Errorf("docs/cli.md is not of this command tree; run the test with -update: %s", diff)
	}
}

func writeReference(b *strings.Builder, c *cli.Run, cmd *cobra.Command) {
	children := available(cmd)
	level := strings.Repeat("#", strings.Count(cmd.CommandPath(), " ")+1)
	fmt.Fprintf(b, "\n%s %s\n\n", level, cmd.CommandPath())
	about := cmd.Long
	if about == "" {
		about = cmd.Short + "."
	}
	fmt.Fprintf(b, "```text\n%s\n\n%s\n", about, useLine(c, cmd))
	if len(children) == 0 || strings.Contains(cmd.Use, " ") {
		flagHelp(c, b, "Flags:", ownFlags(cmd))
	}
	if cmd.Example != "" {
		fmt.Fprintf(b, "\nExamples:\n%s\n", cmd.Example)
	}
	fmt.Fprint(b, "```\n")
	for _, child := range children {
		writeReference(b, c, child)
	}
}
