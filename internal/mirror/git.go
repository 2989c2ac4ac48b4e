package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/watch"
)

const (
	patience = 10 * time.Second
	maxSaid  = 64 << 10 // bytes of what git says that are kept
	maxTold  = 64 << 20 // bytes of what git answers
)

// environment is what a process gets to know: nothing of this one's but where programs are.
func (m *Mirrors) environment() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + m.o.Dir, "LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_ATTR_NOSYSTEM=1", "GIT_CEILING_DIRECTORIES=" + filepath.Dir(m.o.Dir),
		"GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "GIT_NO_REPLACE_OBJECTS=1", "GIT_NO_LAZY_FETCH=1",
	}
}

// configuration is how git is set up for every run. Values in the environment, unlike
// arguments, are nobody else's to see.
func (g *gateway) configuration() []string {
	settings := [][2]string{
		{"core.hooksPath", os.DevNull}, {"core.fsmonitor", "false"}, {"core.symlinks", "false"},
		{"credential.helper", ""}, {"protocol.version", "2"}, {"http.followRedirects", "false"}, {"http.proxy", ""}, {"transfer.bundleURI", "false"}, {"fetch.writeCommitGraph", "false"},
		{"gc.auto", "0"}, {"maintenance.auto", "false"}, {"fetch.unpackLimit", "1"}, // a pack for each fetch
		{"pack.threads", "1"}, {"pack.windowMemory", "64m"}, {"core.bigFileThreshold", "16m"},
	}
	allowed := "file"
	if g.server != nil {
		allowed = "http"
		settings = append(settings, [2]string{"http.extraHeader", passHeader + ": " + g.pass})
	}
	out := []string{"GIT_ALLOW_PROTOCOL=" + allowed, "GIT_CONFIG_COUNT=" + strconv.Itoa(len(settings))}
	for i, s := range settings {
		out = append(out, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, s[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, s[1]))
	}
	if g.dir != "" {
		out = append(out, "GIT_DIR="+g.dir)
	}
	return out
}

// run runs git and answers what it writes.
func (g *gateway) run(ctx context.Context, args ...string) ([]byte, error) {
	return g.feed(ctx, nil, args...)
}

// feed is run for a git that reads something.
func (g *gateway) feed(ctx context.Context, in []byte, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = g.mirrors.o.Dir
	cmd.Env = append(g.mirrors.environment(), g.configuration()...)
	cmd.Stdin = bytes.NewReader(in)
	out, said, err := finish(cmd)
	switch {
	case err == nil:
		return out, nil
	case errors.Is(err, exec.ErrNotFound):
		return nil, trouble(watch.Failed, fault.Say("git is not installed on the server"))
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	if why := g.failed(nil); why != nil {
		return nil, why
	}
	text := strings.ReplaceAll(complaint(said), g.address, g.remote.URL)
	if args[0] == "ls-remote" {
		return nil, trouble(watch.Unreachable, fault.Say("git cannot read it: %s", text))
	}
	return nil, trouble(watch.Corrupt, fault.Say("git %s: %s", args[0], text))
}

// finish runs a process of little priority to its end, and ends with it whatever it started.
func finish(cmd *exec.Cmd) (out, said []byte, err error) {
	stdout, stderr := &bounded{most: maxTold}, &bounded{most: maxSaid}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = stdout, stderr, patience
	apart(cmd)
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	lower(cmd)
	err = cmd.Wait()
	if err == nil && stdout.over {
		err = fmt.Errorf("it answers more than %d bytes", maxTold)
	}
	return stdout.Bytes(), stderr.Bytes(), err
}

// bounded keeps the beginning of what is written to it.
type bounded struct {
	bytes.Buffer
	most int
	over bool
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	fits := min(len(p), b.most-b.Len())
	b.over = b.over || fits < len(p)
	b.Buffer.Write(p[:fits])
	return len(p), nil
}

var _ io.Writer = (*bounded)(nil)

// complaint answers the line in which git says what is wrong.
func complaint(said []byte) string {
	last := ""
	for line := range strings.Lines(string(said)) {
		line = strings.TrimSpace(line)
		if rest, fatal := strings.CutPrefix(line, "fatal: "); fatal {
			return rest
		}
		if line != "" && !strings.HasPrefix(line, "remote:") {
			last = line
		}
	}
	return strings.TrimPrefix(last, "error: ")
}
