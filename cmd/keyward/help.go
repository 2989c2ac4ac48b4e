package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/keyward/keyward/internal/cli"
)

// help writes what a command does and takes.
func help(c *cli.Run, cmd *cobra.Command) {
	w := cmd.OutOrStdout()
	about := cmd.Long
	if about == "" {
		about = cmd.Short
	}
	fmt.Fprintf(w, "%s\n\n%s\n  %s\n", about, c.T("Usage:", "用法："), useLine(c, cmd))
	if children := available(cmd); len(children) > 0 {
		fmt.Fprintf(w, "\n%s\n", c.T("Commands:", "命令："))
		rows := cli.Table{Indent: "  "}
		for _, child := range children {
			rows.Add(child.Name(), child.Short)
		}
		_ = rows.Write(w) // help that nobody can read needs no error
	}
	if cmd.Example != "" {
		fmt.Fprintf(w, "\n%s\n%s\n", c.T("Examples:", "示例："), cmd.Example)
	}
	flagHelp(c, w, c.T("Flags:", "选项："), ownFlags(cmd))
	flagHelp(c, w, c.T("Flags of every command:", "所有命令通用的选项："), cmd.Root().PersistentFlags())
}

// useLine answers how a command is called.
func useLine(c *cli.Run, cmd *cobra.Command) string {
	name, arguments, _ := strings.Cut(cmd.Use, " ")
	if parent := cmd.Parent(); parent != nil {
		name = parent.CommandPath() + " " + name
	}
	if len(available(cmd)) > 0 && arguments == "" {
		return name + " " + c.T("COMMAND", "命令")
	}
	return strings.TrimSpace(name + " " + c.T("[FLAGS]", "[选项]") + " " + arguments)
}

// ownFlags answers the flags of a command that not every command has.
func ownFlags(cmd *cobra.Command) *pflag.FlagSet {
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	add := func(f *pflag.Flag) {
		if cmd.Root().PersistentFlags().Lookup(f.Name) == nil {
			own.AddFlag(f)
		}
	}
	cmd.LocalFlags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)
	return own
}

// available answers the subcommands that people are told of.
func available(cmd *cobra.Command) []*cobra.Command {
	var out []*cobra.Command
	for _, child := range cmd.Commands() {
		if !child.Hidden && child.Name() != "help" {
			out = append(out, child)
		}
	}
	return out
}

// flagHelp writes a table of flags; pflag's own is in English only.
func flagHelp(c *cli.Run, w io.Writer, title string, flags *pflag.FlagSet) {
	rows := cli.Table{Indent: "  "}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		name := "    --" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", --" + f.Name
		}
		if kind != "" {
			name += " " + kind
		}
		switch f.DefValue {
		case "", "false", "0", "0s", "[]":
		default:
			usage += fmt.Sprintf(c.T(" (default %s)", "（默认 %s）"), f.DefValue)
		}
		rows.Add(name, usage)
	})
	if len(rows.Rows) > 0 {
		fmt.Fprintf(w, "\n%s\n", title)
		_ = rows.Write(w) // help that nobody can read needs no error
	}
}
