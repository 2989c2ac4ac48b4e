// Command keyward is the whole product in one binary: the server, and the commands
// with which people and programs use and administer one.
//
// Here are the root of the commands, the help and what tells of the program itself. The
// commands stand in the packages below internal/cli, whose comment says how one is written.
// The tests of this package run the whole program.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // zones are known on machines without their files, too

	"github.com/keyward/keyward/internal/cli"
)

func main() { os.Exit(run(cli.Process(os.Args[1:]), os.Args[1:])) }

// run runs one command line and answers its exit status.
func run(c *cli.Run, args []string) int {
	stops := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // a terminal that closes ends a command; under nohup it does not
		stops = append(stops, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), stops...)
	defer stop()
	context.AfterFunc(ctx, stop)                 // a second Ctrl-C ends a command that does not stop by itself
	if len(args) > 0 && args[0] == "--version" { // as every other program is asked
		args = append([]string{"version"}, args[1:]...)
	}
	root := rootFor(c, args)
	root.SetArgs(args)
	return c.Report(root.ExecuteContext(ctx))
}
