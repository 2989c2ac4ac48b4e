package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// A Command describes one command. Its Use names the arguments that it takes: "KEY"
// must be there, "[KEY]" may, "KEY..." is one or more, "[KEY...]" any number.
type Command struct {
	Use     string
	Short   string
	Long    string // empty: the short one is enough
	Example string
	Secrets bool                                           // it has plaintext or key material in memory
	Run     func(ctx context.Context, args []string) error // nil for a group
}

// Command builds a command.
func (c *Run) Command(d Command, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: d.Use, Short: d.Short, Long: d.Long, Example: d.Example}
	cmd.SuggestionsMinimumDistance = 2
	cmd.Args = func(cmd *cobra.Command, args []string) error { return c.checkArgs(cmd, d, args) }
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if d.Run == nil {
			return cmd.Help()
		}
		if d.Secrets {
			c.Harden()
		}
		_, c.path, _ = strings.Cut(cmd.CommandPath(), " ")
		return d.Run(cmd.Context(), args)
	}
	cmd.AddCommand(children...)
	return cmd
}

// checkArgs holds the arguments against those that the command names.
func (c *Run) checkArgs(cmd *cobra.Command, d Command, args []string) error {
	if d.Run == nil {
		if len(args) == 0 {
			return nil
		}
		return c.UnknownCommand(cmd, args[0])
	}
	names := strings.Fields(d.Use)[1:]
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
		return c.Usage(cmd, "the argument %s is missing", "缺少参数 %s", names[len(args)])
	case len(args) > most:
		// The argument is not repeated: it may be a secret that was given here by mistake.
		return c.Usage(cmd, "there are %d arguments, at most %d are expected", "给出了 %d 个参数，最多只能有 %d 个", len(args), most)
	}
	return nil
}

// UnknownCommand reports that cmd has no command of that name.
func (c *Run) UnknownCommand(cmd *cobra.Command, name string) error {
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		return c.Usage(cmd, "there is no command %q; did you mean %s?", "没有命令 %q，是不是想用 %s？", name, strings.Join(near, ", "))
	}
	return c.Usage(cmd, "there is no command %q", "没有命令 %q", name)
}

// OneOf checks that a flag has one of the values.
func (c *Run) OneOf(cmd *cobra.Command, flag, value string, values ...string) error {
	if slices.Contains(values, value) {
		return nil
	}
	return c.Usage(cmd, "--%s must be one of %s", "--%s 只能取 %s 之一", flag, strings.Join(values, ", "))
}

// Complete offers the values for a flag to shell completion.
func Complete(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil { // the flag does not exist: a mistake in this program that every test meets
		panic(err)
	}
}
