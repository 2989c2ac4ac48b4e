package agent_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/internal/agent"
	"github.com/keyward/keyward/internal/agent/agenttest"
	"github.com/keyward/keyward/internal/agent/config"
)

// The variables that make this test program an agent that kills itself.
const (
	envConfig = "AGENTTEST_CONFIG" // path of its agent.toml
	envStep   = "AGENTTEST_STEP"   // after which step, "" for never
	envNth    = "AGENTTEST_NTH"    // which time it comes
)

func TestMain(m *testing.M) {
	if path := os.Getenv(envConfig); path != "" {
		fmt.Fprintln(os.Stderr, crashing(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// crashing runs an agent that ends as if by kill -9 after a step.
func crashing(path string) error {
	c, err := config.Load(path)
	if err != nil {
		return err
	}
	left, err := strconv.Atoi(os.Getenv(envNth))
	if err != nil {
		return err
	}
	a, err := agent.New(agent.Options{
		Config: c, Version: "test", Now: time.Now, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Done: func(s agent.Step) {
			if string(s) == os.Getenv(envStep) {
				if left--; left == 0 {
					_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // which cannot fail
					select {}
				}
			}
		},
	})
	if err != nil {
		return err
	}
	return a.Run(context.Background())
}

// A victim is a machine whose agent is a process of its own.
type victim struct {
	t      *testing.T
	server *agenttest.Server
	dir    string
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	v := &victim{t: t, server: agenttest.New(t, time.Now), dir: t.TempDir()}
	web := httptest.NewServer(v.server)
	t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
	})
	text := strings.ReplaceAll(fmt.Sprintf("state = %q\nlisten = %q\n", v.dir+"/state", v.dir+"/a.sock")+withProbe+`
[deliver.reload]
command = ["DIR/reload"]
`, "DIR", v.dir)
	for name, content := range map[string]string{
		"agent.toml": text,
		"reload":     "#!/bin/sh\ncp " + v.dir + "/secret " + v.dir + "/seen\n",
		"probe":      "#!/bin/sh\ncmp -s " + v.dir + "/secret " + v.dir + "/seen\n",
	} {
		if err := os.WriteFile(filepath.Join(v.dir, name), []byte(content), 0o700); err != nil { //nolint:gosec // programs
			t.Fatal(err)
		}
	}
	_, err := agent.Join(t.Context(), agent.Joining{
		Server: web.URL, State: v.dir + "/state", Token: agenttest.Token, Name: "shop-1", Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// run starts an agent and answers a function that waits until it was killed: by itself
// after the nth time of a step, or, if none is named, now.
func (v *victim) run(step agent.Step, nth int) (end func()) {
	v.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		v.t.Fatal(err)
	}
	var log strings.Builder
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), envConfig+"="+v.dir+"/agent.toml", envStep+"="+string(step), envNth+"="+strconv.Itoa(nth))
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Signal(syscall.SIGQUIT) }) // it hangs; its stacks tell where
	return func() {
		v.t.Helper()
		if step == "" {
			_ = cmd.Process.Kill() // it may have ended by itself, as the next lines find out
		}
		_ = cmd.Wait() // how it ended follows
		timer.Stop()
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
			v.t.Fatalf("the agent was not killed: %v\n%s", cmd.ProcessState, &log)
		}
		if strings.Contains(log.String(), canary) {
			v.t.Errorf("the log has a secret:\n%s", &log)
		}
	}
}

func (v *victim) await(generation int64, level string) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), time.Minute)
	defer cancel()
	if _, err := v.server.Await(ctx, rollout, agenttest.Reached(generation, level)); err != nil {
		v.t.Fatal(err)
	}
}

// whole checks that each file has one of some contents, and that nothing half-written is
// where a program would look.
func (v *victim) whole(n ...int) {
	v.t.Helper()
	content, err := os.ReadFile(v.dir + "/secret")
	for _, i := range n {
		if err == nil && string(content) == canary+strconv.Itoa(i) {
			return
		}
	}
	v.t.Errorf("secret holds %q, %v; want one of %v", content, err, n)
}

// Whenever the agent is killed, files are whole, and after a restart it comes to the end:
// the files are new, the consumer was told after they were, and the server knows it.
func TestKilledBetweenSteps(t *testing.T) {
	for _, c := range []struct {
		step    agent.Step
		nth     int
		tamper  bool  // the files are changed before; else there is a new generation
		claimed int64 // the highest generation that may be acknowledged as used before the restart
	}{
		{agent.Cached, 1, false, 1},
		{agent.Written, 1, false, 1},
		{agent.Written, 2, false, 1},
		{agent.Reloaded, 1, false, 1},
		{agent.Marked, 1, false, 1},
		{agent.Confirmed, 2, false, 2}, // the first is of generation 1
		{agent.Unmarked, 1, true, 1},
		{agent.Written, 1, true, 1},
		{agent.Reloaded, 1, true, 1},
		{agent.Marked, 1, true, 1},
	} {
		t.Run(fmt.Sprintf("%s-%d-%v", c.step, c.nth, c.tamper), func(t *testing.T) {
			t.Parallel()
			v := newVictim(t)
			v.server.Publish(rollout, 1, version(1), agenttest.Version{})
			end := v.run("", 0)
			v.await(1, delivery.LevelUsed)
			end()
			want := 1
			if c.tamper {
				if err := os.WriteFile(v.dir+"/secret", []byte(canary+"0"), 0o600); err != nil {
					t.Fatal(err)
				}
			} else {
				v.server.Publish(rollout, 2, version(2), version(1))
				want = 2
			}
			v.run(c.step, c.nth)()
			v.whole(want-1, want)
			if r, _ := v.server.Last(); len(r.Acks) != 1 || r.Acks[0].Level == delivery.LevelUsed && r.Acks[0].Generation > c.claimed {
				t.Errorf("before the restart it said %+v", r.Acks)
			}
			v.server.Forget()
			end = v.run("", 0)
			defer end()
			v.await(int64(want), delivery.LevelUsed)
			v.whole(want)
			if seen, err := os.ReadFile(v.dir + "/seen"); err != nil || string(seen) != canary+strconv.Itoa(want) {
				t.Errorf("the consumer saw %q, %v", seen, err)
			}
			entries, err := os.ReadDir(v.dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if !slices.Contains([]string{"a.sock", "agent.toml", "key.json", "probe", "reload", "secret", "seen", "state"}, e.Name()) {
					t.Errorf("left behind: %s", e.Name())
				}
			}
		})
	}
}
