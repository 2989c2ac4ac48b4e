// Command bench measures what keyward costs, against what such a server must cost.
//
// It builds the real binary, starts `keyward server` on each database, and beside it, in
// processes of their own so that their CPU can be told apart, two limits that no design
// gets past: (A) a bare net/http handler that answers a fixed JSON of the same size, and
// (B) the same handler that first makes a record of 400 bytes durable, with group commit.
// One load generator sends all of them the same signed requests, as Alibaba Cloud's SDK
// sends them. They take turns of half a second, so that the noise of the machine hits
// all alike: only the ratios of one run mean anything. Where a primitive is the limit
// (RSA), it takes its turns too, without any server, and (C) in limit A's handler.
//
// The requests of a turn are signed before it begins, the answers are read without
// package net/http, and every answer must be a success: one error ends the program
// with status 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/bench/leaks"
	"github.com/keyward/keyward/internal/bench/stock"
	"github.com/keyward/keyward/internal/rollout"
)

// A plan is what one run measures.
type plan struct {
	duration    time.Duration // measured time for each row of the table
	connections []int
	operations  []operation
	databases   []string // "sqlite" or "postgres"
	against     string   // another binary of keyward, or ""
	keys        []int    // instead of all that: how a server with so many keys starts, and what it holds
	secrets     int      // that GetSecretValue reads
	inventory   int      // or: what an inventory of so many keys costs
	accounts    int      // that those are spread over
	agents      int      // or: what so many connected agents cost
	rotations   int      // or: what so many rotations cost that are due at once
	files       int      // or: what `keyward scan` costs for a tree of so many files
}

const (
	warmUp           = time.Second            // for each row, before it is measured
	turn             = 500 * time.Millisecond // of one contender
	postgresVariable = "KEYWARD_TEST_POSTGRES"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == limitCommand {
		exit(serveLimit(os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == stock.CloudCommand {
		exit(stock.ServeCloud(os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = p.run(ctx)
	}
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// parse reads the command line.
func parse(args []string) (plan, error) {
	databases := "sqlite"
	if os.Getenv(postgresVariable) != "" {
		databases = "sqlite,postgres"
	}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	duration := f.Duration("duration", 3*time.Second, "measured time for each row of the table")
	connections := f.String("connections", "1,16,64,256", "keep-alive connections, each a closed loop")
	keys := f.String("keys", "", "measure instead the start and the memory of a server with so many keys, such as 100,100000")
	secrets := f.Int("secrets", 10_000, "secrets that GetSecretValue reads, one after the other")
	inventory := f.Int("inventory", 0, "measure instead an inventory of about so many keys that others issued")
	agents := f.Int("agents", 0, "measure instead so many agents that are connected to a server")
	rotations := f.Int("rotations", 0, "measure instead so many rotations that are due in the same second")
	files := f.Int("files", 0, "measure instead the search for leaked keys in so many files and a history of 13,000 commits; needs ripgrep")
	accounts := f.Int("accounts", 20, "accounts at a simulated provider that the keys of -inventory are spread over")
	against := f.String("against", "", "another binary of keyward, which runs beside this one on SQLite: the release before, say")
	names := f.String("operations", strings.Join(operationNames(), ","), "what to measure")
	f.StringVar(&databases, "database", databases, "sqlite and postgres; postgres needs "+postgresVariable+", which ./scripts/with-postgres sets")
	if err := f.Parse(args); err != nil {
		return plan{}, err
	}
	p := plan{duration: *duration, secrets: *secrets, inventory: *inventory, accounts: *accounts, agents: *agents, rotations: *rotations, files: *files, against: *against}
	if p.secrets < 1 {
		return plan{}, errors.New("there must be secrets to read")
	}
	if p.inventory < 0 || p.inventory > 0 && (p.accounts < 1 || p.accounts > p.inventory || p.accounts >= accesskey.MaxSources) {
		return plan{}, fmt.Errorf("%d keys cannot be spread over %d accounts", p.inventory, p.accounts)
	}
	if p.agents < 0 || p.agents > rollout.MaxUses || p.rotations < 0 {
		return plan{}, fmt.Errorf("%d agents and %d rotations cannot be measured; agents are at most %d", p.agents, p.rotations, rollout.MaxUses)
	}
	for name := range strings.SplitSeq(*names, ",") {
		i := slices.IndexFunc(operations, func(o operation) bool { return o.name == name })
		if i < 0 {
			return plan{}, fmt.Errorf("there is no operation %q; choose from %s", name, strings.Join(operationNames(), ", "))
		}
		p.operations = append(p.operations, operations[i])
	}
	var err error
	if *keys != "" {
		if p.keys, err = counts(*keys, "keys"); err != nil {
			return plan{}, err
		}
	}
	if p.connections, err = counts(*connections, "connections"); err != nil {
		return plan{}, err
	}
	for name := range strings.SplitSeq(databases, ",") {
		if name != "sqlite" && name != "postgres" {
			return plan{}, fmt.Errorf("there is no database %q; choose from sqlite, postgres", name)
		}
		if name == "postgres" && os.Getenv(postgresVariable) == "" {
			return plan{}, errors.New("there is no PostgreSQL; run: ./scripts/with-postgres go run ./internal/bench")
		}
		p.databases = append(p.databases, name)
	}
	return p, nil
}

// counts reads numbers with commas between them.
func counts(list, of string) (numbers []int, err error) {
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no number of %s", text, of)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

// run measures everything and prints the table as it grows.
func (p plan) run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "keyward-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	switch {
	case p.inventory > 0:
		return stock.Measure(ctx, stock.Options{
			Keys: p.inventory, Accounts: p.accounts, Databases: p.databases, Dir: dir, Postgres: os.Getenv(postgresVariable), Resident: process{pid: os.Getpid()}.resident,
		})
	case p.rotations > 0:
		return p.rotate(ctx, dir)
	}
	binary := filepath.Join(dir, "keyward")
	build := exec.CommandContext(ctx, "go", "build", "-ldflags=-X runtime.godebugDefault=clobberfree=1", "-o", binary, "github.com/keyward/keyward/cmd/keyward")
	build.Env, build.Stderr = append(os.Environ(), "CGO_ENABLED=0", "GOEXPERIMENT=runtimesecret"), os.Stderr // as make build does
	if err := build.Run(); err != nil {
		return fmt.Errorf("building keyward: %w", err)
	}
	switch {
	case p.files > 0:
		return leaks.Measure(ctx, leaks.Options{Binary: binary, Dir: dir, Files: p.files, Commits: 13_000, Rounds: 5, Workers: runtime.NumCPU()}, os.Stdout)
	case len(p.keys) > 0:
		return p.scale(ctx, binary, dir)
	case p.agents > 0:
		return p.connect(ctx, binary, dir)
	}
	return p.operate(ctx, place{binary: binary, dir: dir})
}

// operate measures the operations at servers that it starts.
func (p plan) operate(ctx context.Context, at place) (err error) {
	if slices.ContainsFunc(p.operations, func(o operation) bool { return o.hardware }) {
		var stop func()
		if at.token, stop, err = startToken(ctx, at.dir); err != nil {
			return err
		}
		defer stop()
	}
	var servers []*server
	defer func() {
		for _, s := range servers {
			err = errors.Join(err, s.stop())
		}
	}()
	var places []place
	for _, at.database = range p.databases {
		places = append(places, at)
	}
	if p.against != "" {
		at.binary, at.database, at.as = p.against, "sqlite", "against"
		places = append(places, at)
	}
	for _, at := range places {
		s, err := startServer(ctx, at)
		if err != nil {
			return fmt.Errorf("starting keyward on %s: %w", at.called(), err)
		}
		servers = append(servers, s)
		if slices.ContainsFunc(p.operations, func(o operation) bool { return o.paths != nil }) {
			if err := s.makeSecrets(ctx, p.secrets); err != nil {
				return fmt.Errorf("making secrets on %s: %w", at.called(), err)
			}
		}
	}
	fmt.Printf("%d cores, %s, %s/%s; %v for each row after %v of warm-up, in turns of %v\n\n%s",
		runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH, p.duration, warmUp, turn, tableHead)
	failures := 0
	for _, o := range p.operations {
		n, err := p.measure(ctx, at.dir, o, servers)
		if err != nil {
			return fmt.Errorf("measuring %s: %w", o.name, err)
		}
		failures += n
	}
	if failures > 0 {
		return fmt.Errorf("%d requests failed", failures)
	}
	return nil
}

// measure prints an operation's rows and answers how many requests failed.
func (p plan) measure(ctx context.Context, dir string, o operation, servers []*server) (failures int, err error) {
	pools := make([]*pool, len(servers))
	size := 0
	for i, s := range servers {
		pools[i] = &pool{form: s.form(o)}
		if size, err = answerSize(pools[i], s.process.address); err != nil {
			return 0, err
		}
	}
	limits, err := startLimits(dir, size, o.primitive != nil)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, stopAll(limits)) }()
	if o.paths != nil {
		for i, s := range servers {
			if err := warm(s, pools[i]); err != nil {
				return 0, err
			}
		}
	}
	for _, connections := range p.connections {
		field := make([]*contender, 0, len(limits)+len(servers)+1)
		for _, l := range limits {
			field = append(field, &contender{name: l.name, process: l.process, pool: pools[0]})
		}
		for i, s := range servers {
			field = append(field, &contender{name: s.name, process: s.process, pool: pools[i], heap: s.process.allocated})
		}
		if o.primitive != nil {
			work, err := o.primitive()
			if err != nil {
				return failures, err
			}
			field = append(field, &contender{name: primitiveName, process: process{pid: os.Getpid()}, work: work})
		}
		if err := p.compete(ctx, field, pools, connections); err != nil {
			return failures, err
		}
		failures += printRows(os.Stdout, o.name, connections, field)
	}
	if o.paths == nil {
		return failures, nil
	}
	for _, connections := range p.connections {
		n, err := cold(ctx, o, connections, limits, servers)
		if failures += n; err != nil {
			return failures, err
		}
	}
	return failures, nil
}

// warm requests each path of a pool once.
func warm(s *server, p *pool) error {
	const connections = 16
	c := &contender{name: s.name, process: s.process, pool: p}
	p.signMany(len(p.paths))
	if err := c.enter(connections); err != nil {
		return err
	}
	defer c.leave()
	return c.take(10 * patience) // the pool ends it
}

// cold prints the rows of an operation whose paths are each requested once of servers that
// have just started. It answers how many requests failed.
func cold(ctx context.Context, o operation, connections int, limits []*child, servers []*server) (int, error) {
	var field []*contender
	for _, s := range servers {
		if err := s.restart(ctx); err != nil {
			return 0, err
		}
		p := &pool{form: s.form(o)}
		if len(field) == 0 { // the limits answer whatever they are asked
			for _, l := range limits {
				field = append(field, &contender{name: l.name, process: l.process, pool: p})
			}
		}
		field = append(field, &contender{name: s.name, process: s.process, pool: p, heap: s.process.allocated})
	}
	for _, c := range field {
		c.pool.signMany(len(c.pool.paths))
		if err := c.enter(connections); err != nil {
			return 0, err
		}
		defer c.leave()
		if err := c.take(10 * patience); err != nil { // the pool ends it
			return 0, err
		}
	}
	return printRows(os.Stdout, o.name+", cold", connections, field), nil
}

// compete lets the contenders take turns.
func (p plan) compete(ctx context.Context, field []*contender, pools []*pool, connections int) error {
	for _, c := range field {
		if err := c.enter(connections); err != nil {
			return err
		}
		defer c.leave()
	}
	round := func(first int, length time.Duration) error {
		for _, pool := range pools {
			pool.sign(length)
		}
		for i := range field {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := field[(first+i)%len(field)].take(length); err != nil {
				return err
			}
		}
		return nil
	}
	if err := round(0, warmUp); err != nil {
		return err
	}
	for _, c := range field {
		c.result.forgetWarmUp()
	}
	for i := range max(1, int(p.duration/turn)) {
		if err := round(i, min(turn, p.duration)); err != nil {
			return err
		}
	}
	return nil
}
