// Command keyward is the whole product in one binary: the server, and the commands
// with which people and programs use and administer one.
//
// A file holds a group of commands. Each command is a function that builds it from a
// [cli], which is everything of the outside that a command may touch: its streams,
// its environment, its language. There is no state beside it, so that a test builds
// the whole tree, in either language, and runs it.
//
// Commands are thin: they read arguments, make one call of package client (or of the
// operator socket, or for audit verification of package audit) and show the answer.
// What a person reads is written in English and Chinese at the place that says it;
// results go to standard output, everything else to standard error.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // zones are known on machines without their files, too
)

func main() { os.Exit(run(processCLI(os.Args[1:]), os.Args[1:])) }

// run runs one command line and answers its exit status.
func run(c *cli, args []string) int {
	stops := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // a terminal that closes ends a command; under nohup it does not
		stops = append(stops, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), stops...)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends a command that does not stop by itself
	root := newRoot(c)
	root.SetArgs(args)
	return c.report(root.ExecuteContext(ctx))
}
