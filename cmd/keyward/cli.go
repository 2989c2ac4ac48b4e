package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/keyward/keyward/internal/seal"
)

// A cli is one run of the command line: everything outside that a command may touch,
// and the flags that every command has.
type cli struct {
	lang         language
	in           io.Reader
	out, err     io.Writer
	getenv       func(string) string
	outTerminal  bool                                      // out is a terminal
	interactive  bool                                      // a person is there to answer questions
	width        func() int                                // columns of the terminal on err; 0 if it is none
	readPassword func(ctx context.Context) ([]byte, error) // one line from the terminal, without echo
	transport    http.RoundTripper                         // nil for one made from the settings
	now          func() time.Time
	thrifty      func() // has the process keep to little memory; nil if it is not for one command alone

	endpoint, profile, caCert, output string
	yes, noInput, untilApproved       bool
}

// processCLI answers the cli of this process. It looks into the arguments for what
// must be known before the commands are built: the language, and how to show an error.
func processCLI(args []string) *cli {
	c := &cli{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv, width: stderrWidth, readPassword: readPassword, now: time.Now, thrifty: thrifty}
	c.outTerminal = term.IsTerminal(int(os.Stdout.Fd()))
	c.interactive = term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd())) && !truthy(os.Getenv("CI"))
	c.prepare(args)
	return c
}

// prepare takes the language and the output format from the arguments and the environment.
func (c *cli) prepare(args []string) {
	early := pflag.NewFlagSet("", pflag.ContinueOnError)
	early.ParseErrorsAllowlist.UnknownFlags = true
	early.Usage = func() {}
	early.BoolP("help", "h", false, "") // so that it does not end the parsing
	lang := early.String("lang", "", "")
	early.StringVarP(&c.output, "output", "o", "", "")
	_ = early.Parse(args) // what is wrong with them is reported when the command is parsed
	c.lang = languageOf(*lang, c.getenv)
	if c.output == "" {
		c.output = c.getenv("KEYWARD_OUTPUT")
	}
	if c.output == "" {
		c.output = "table"
	}
}

func truthy(s string) bool { return s != "" && s != "0" && !strings.EqualFold(s, "false") }

func stderrWidth() int {
	width, _, err := term.GetSize(int(os.Stderr.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// t answers the text in the language of this run.
func (c *cli) t(en, zh string) string { return text{en, zh}.in(c.lang) }

// say writes a line for the person to standard error. A program that wants JSON finds
// nothing but errors there.
func (c *cli) say(en, zh string, args ...any) {
	if c.output == "json" {
		return
	}
	fmt.Fprintf(c.err, c.t(en, zh)+"\n", args...)
}

// A command describes one command. Its use names the arguments that it takes: "KEY"
// must be there, "[KEY]" may, "KEY..." is one or more, "[KEY...]" any number.
type command struct {
	use     string
	short   text
	long    text // empty: the short one is enough
	example string
	secrets bool                                           // it has plaintext or key material in memory
	run     func(ctx context.Context, args []string) error // nil for a group
}

// command builds a command.
func (c *cli) command(d command, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: d.use, Short: d.short.in(c.lang), Long: d.long.in(c.lang), Example: d.example}
	cmd.SuggestionsMinimumDistance = 2
	cmd.Args = func(cmd *cobra.Command, args []string) error { return c.checkArgs(cmd, d, args) }
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if d.run == nil {
			return cmd.Help()
		}
		if d.secrets {
			c.harden()
		}
		return d.run(cmd.Context(), args)
	}
	cmd.AddCommand(children...)
	return cmd
}

// harden closes the memory of this process to others before a secret is in it.
func (c *cli) harden() {
	if err := seal.Harden(); err != nil {
		c.say("Warning: other programs of this user could read the memory of this one: %v", "警告：同一用户的其他程序可能读取本进程的内存：%v", err)
	}
}

// checkMemory tells the person who starts a server if the system does not let it protect
// the memory of its keys. The server's log says so as well, once it is unsealed.
func (c *cli) checkMemory() {
	if err := seal.CheckMemory(); err != nil {
		c.say("Warning: keys could reach the swap or a core dump: %v\nIn a systemd unit set LimitMEMLOCK=64M, in a shell run: ulimit -l 65536",
			"警告：密钥可能被写入交换区或核心转储：%v\n请在 systemd 单元中设置 LimitMEMLOCK=64M，或在 shell 中运行：ulimit -l 65536", err)
	}
}

// checkArgs holds the arguments against those that the command names.
func (c *cli) checkArgs(cmd *cobra.Command, d command, args []string) error {
	if d.run == nil {
		if len(args) == 0 {
			return nil
		}
		return c.unknownCommand(cmd, args[0])
	}
	names := strings.Fields(d.use)[1:]
	least, most := 0, len(names)
	for _, name := range names {
		if !strings.HasPrefix(name, "[") {
			least++
		}
		if strings.Contains(name, "...") {
			most = len(args)
		}
	}
	switch {
	case len(args) < least:
		return c.usage(cmd, "the argument %s is missing", "缺少参数 %s", names[len(args)])
	case len(args) > most:
		// The argument is not repeated: it may be a secret that was given here by mistake.
		return c.usage(cmd, "there are %d arguments, at most %d are expected", "给出了 %d 个参数，最多只能有 %d 个", len(args), most)
	}
	return nil
}

func (c *cli) unknownCommand(cmd *cobra.Command, name string) error {
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		return c.usage(cmd, "there is no command %q; did you mean %s?", "没有命令 %q，是不是想用 %s？", name, strings.Join(near, ", "))
	}
	return c.usage(cmd, "there is no command %q", "没有命令 %q", name)
}

// oneOf checks that a flag has one of the values.
func (c *cli) oneOf(cmd *cobra.Command, flag, value string, values ...string) error {
	if slices.Contains(values, value) {
		return nil
	}
	return c.usage(cmd, "--%s must be one of %s", "--%s 只能取 %s 之一", flag, strings.Join(values, ", "))
}

// complete offers the values for a flag to shell completion.
func complete(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil { // the flag does not exist: a mistake in this program that every test meets
		panic(err)
	}
}

// confirm has the person type a word before something dangerous; --yes stands for it.
func (c *cli) confirm(ctx context.Context, word string, question text) error {
	if c.yes {
		return nil
	}
	if !c.interactive || c.noInput {
		return &problem{
			message: c.t("this must be confirmed and nobody can be asked", "此操作需要确认，但当前无法提问"),
			next:    c.t("repeat the command with --yes", "请加上 --yes 重新执行"),
		}
	}
	fmt.Fprintf(c.err, "%s\n%s ", question.in(c.lang), c.t("Type "+word+" to go on:", "输入 "+word+" 以继续："))
	line, err := bufio.NewReader(interruptible(ctx, c.in)).ReadString('\n')
	if err != nil && line == "" {
		return fmt.Errorf("reading the confirmation: %w", err)
	}
	if strings.TrimSpace(line) != word {
		return &problem{message: c.t("not confirmed; nothing was changed", "未确认，没有做任何更改")}
	}
	return nil
}

// readPassword reads one line from the terminal without showing it. When ctx ends
// first, the terminal shows again what is typed.
func readPassword(ctx context.Context) ([]byte, error) {
	fd := int(os.Stdin.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("reading from the terminal: %w", err)
	}
	type answer struct {
		line []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		line, err := term.ReadPassword(fd)
		answers <- answer{line, err}
	}()
	select {
	case a := <-answers:
		return a.line, a.err
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), term.Restore(fd, before))
	}
}

// interruptible answers a reader of r that fails when ctx ends, even while r waits
// for its next byte. What r had to give is then lost: the process is about to end.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	pr, pw := io.Pipe()
	context.AfterFunc(ctx, func() { pw.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.Copy(pw, r)
		pw.CloseWithError(err)
	}()
	return pr
}

// homeFile answers the path of a file under the user's configuration directory, or ""
// if it is not known where that is.
func (c *cli) homeFile(name string) string {
	if dir := c.getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "keyward", name)
	}
	home := c.getenv("HOME")
	if !filepath.IsAbs(home) {
		return ""
	}
	return filepath.Join(home, ".config", "keyward", name)
}
