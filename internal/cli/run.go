// Package cli is what every command of keyward is written with: one run of the command line,
// what a command is, what it reads, what it shows, and how it fails.
//
// A command stands in a package of commands below this one, a file for each noun. Such a package
// exports one function, Commands, from which the root in cmd/keyward has its commands; it imports
// no other package of commands. A command is a function that builds it from a [Run], which is
// everything of the outside that a command may touch: its streams, its environment, its language,
// its clock. There is no state beside it, so that a test builds a command, in either language, and
// runs it (package clitest). This one shows a key:
//
//	func newKeyShowCmd(c *cli.Run) *cobra.Command {
//		return c.Command(cli.Command{
//			Use:   "show KEY", // the arguments are held against it
//			Short: c.T("Show a key", "显示密钥"),
//			Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
//				k, err := server.DescribeKey(ctx, args[0])
//				if err != nil {
//					return err
//				}
//				return c.Show(k, func(t *cli.Table) {
//					t.Add(c.T("Key", "密钥"), k.ID)
//					t.Add(c.T("Created", "创建时间"), cli.When(k.CreatedAt))
//				})
//			}),
//		})
//	}
//
// Commands are thin: they read arguments, make one call, and show the answer. What has a server
// at the other end is in package remote.
//
// What a person reads is written in English and Chinese at the place that says it, with [Run.T].
// Results go to standard output by [Run.Show], as a table, JSON or CSV; everything else to
// standard error by [Run.Say]. An error is wrapped and returned, and shown once, at the end, by
// [Run.Report], which knows what the errors of the server, of files and of the network mean; what
// a command itself has to say against something is a [Problem], with what to do next, and against
// how it was called [Run.Usage]. Both are shown to people, so no value is in them that may be a
// secret in the wrong place.
//
// Secrets are not arguments and not flags, which every user of the machine sees. They come from
// files, from standard input, from the environment, or from [Run.ReadPassword]; a command that
// has one in memory says so in [Command].Secrets. What cannot be undone asks first: [Run.Confirm].
package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/keyward/keyward/internal/seal"
)

// A Run is one run of the command line: everything outside that a command may touch,
// and the flags that every command has. It is for one goroutine.
type Run struct {
	Lang         Language
	In           io.Reader
	Out, Err     io.Writer
	Getenv       func(string) string
	OutTerminal  bool                                      // Out is a terminal
	Interactive  bool                                      // a person is there to answer questions
	Width        func() int                                // columns of the terminal on Err; 0 if it is none
	ReadPassword func(ctx context.Context) ([]byte, error) // one line from the terminal, without echo
	Transport    http.RoundTripper                         // nil for one made from the settings
	Now          func() time.Time
	Alone        bool // the process is for this command line only

	// The flags that every command has; package remote reads those about the server.
	Endpoint, Profile, CACert, Output, Reason string
	Yes, NoInput, UntilApproved               bool

	path string // words of the command that runs, without the program's
}

// Process answers the run of this process. It looks into the arguments for what
// must be known before the commands are built: the language, and how to show an error.
func Process(args []string) *Run {
	c := &Run{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Width: stderrWidth, ReadPassword: readPassword, Now: time.Now, Alone: true}
	c.OutTerminal = term.IsTerminal(int(os.Stdout.Fd()))
	c.Interactive = term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd())) && !Truthy(os.Getenv("CI"))
	c.Prepare(args)
	return c
}

// Prepare takes the language and the output format from the arguments and the environment.
func (c *Run) Prepare(args []string) {
	early := pflag.NewFlagSet("", pflag.ContinueOnError)
	early.ParseErrorsAllowlist.UnknownFlags = true
	early.Usage = func() {}
	early.BoolP("help", "h", false, "") // so that it does not end the parsing
	lang := early.String("lang", "", "")
	early.StringVarP(&c.Output, "output", "o", "", "")
	_ = early.Parse(args) // what is wrong with them is reported when the command is parsed
	c.Lang = languageOf(*lang, c.Getenv)
	if c.Output == "" {
		c.Output = c.Getenv("KEYWARD_OUTPUT")
	}
	if c.Output == "" {
		c.Output = "table"
	}
}

// Truthy tells whether a variable of the environment is set to something but 0 and false.
func Truthy(s string) bool { return s != "" && s != "0" && !strings.EqualFold(s, "false") }

func stderrWidth() int {
	width, _, err := term.GetSize(int(os.Stderr.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// T answers the text in the language of this run.
func (c *Run) T(en, zh string) string { return text{en, zh}.in(c.Lang) }

// Say writes a line for the person to standard error. A program that wants JSON finds
// nothing but errors there.
func (c *Run) Say(en, zh string, args ...any) {
	if c.Output == "json" {
		return
	}
	fmt.Fprintf(c.Err, c.T(en, zh)+"\n", args...)
}

// Harden closes the memory of this process to others before a secret is in it.
func (c *Run) Harden() {
	if err := seal.Harden(); err != nil {
		c.Say("Warning: other programs of this user could read the memory of this one: %v", "警告：同一用户的其他程序可能读取本进程的内存：%v", err)
	}
}

// HomeFile answers the path of a file under the user's configuration directory, or ""
// if it is not known where that is.
func (c *Run) HomeFile(name string) string {
	if dir := c.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "keyward", name)
	}
	home := c.Getenv("HOME")
	if !filepath.IsAbs(home) {
		return ""
	}
	return filepath.Join(home, ".config", "keyward", name)
}
