//go:build linux

package proof

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/keyward/keyward/internal/store/storetest"
)

// A cluster is a PostgreSQL server of the test's own, with fsync on, that may be killed.
type cluster struct {
	t       *testing.T
	bin     string
	dir     string
	port    int
	as      *syscall.SysProcAttr // PostgreSQL does not run as root
	cmd     *exec.Cmd
	running chan struct{} // closed when it has ended
}

// newCluster makes and starts a cluster from the installed binaries. Where there are none
// the test is skipped, but fails in CI.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: storetest.ShortDir(t)}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if path, lookErr := exec.LookPath("initdb"); lookErr == nil {
		found = append(found, path)
	}
	if err != nil || len(found) == 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("PostgreSQL is not installed; run: make deps")
		}
		t.Skip("PostgreSQL is not installed; run: make deps")
	}
	c.bin = filepath.Dir(slices.Max(found))
	if os.Getuid() == 0 {
		c.as = unprivileged(t, c.dir)
	}
	out, err := c.command("initdb", "-D", c.dir+"/data", "-U", "keyward", "-A", "trust", "--locale=C.UTF-8", "-E", "UTF8").CombinedOutput()
	if err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.port = l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.kill)
	c.start()
	return c
}

// unprivileged answers how to run as the user postgres, who gets dir.
func unprivileged(t *testing.T, dir string) *syscall.SysProcAttr {
	t.Helper()
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	if uidErr != nil || gidErr != nil {
		t.Fatalf("the user postgres has the ids %q and %q", u.Uid, u.Gid)
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

func (c *cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, name), args...)
	cmd.SysProcAttr, cmd.Dir = c.as, c.dir
	return cmd
}

func (c *cluster) url() string {
	return fmt.Sprintf("postgres://keyward@127.0.0.1:%d/postgres?sslmode=disable", c.port)
}

// start starts the cluster and waits until it answers. After a kill the first attempts
// may fail: what is left of the old one must end first.
func (c *cluster) start() {
	c.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if c.cmd == nil {
			c.launch()
		}
		if c.answers() {
			return
		}
		select {
		case <-c.running:
			c.cmd = nil
		default:
		}
	}
	log, _ := os.ReadFile(c.dir + "/log")
	c.t.Fatalf("PostgreSQL does not start:\n%s", log[max(0, len(log)-4000):])
}

func (c *cluster) launch() {
	c.t.Helper()
	log, err := os.OpenFile(c.dir+"/log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	c.cmd = c.command("postgres", "-D", c.dir+"/data", "-c", "listen_addresses=127.0.0.1", "-c", fmt.Sprintf("port=%d", c.port),
		"-c", "unix_socket_directories="+c.dir, "-c", "fsync=on", "-c", "full_page_writes=on")
	c.cmd.Stderr = log
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	cmd, ended := c.cmd, make(chan struct{})
	c.running = ended
	go func() {
		_ = cmd.Wait() // it was killed, or says in its log why it ended
		close(ended)
	}()
}

func (c *cluster) answers() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.url())
	if err != nil {
		return false
	}
	return conn.Close(ctx) == nil
}

// kill kills the postmaster; its children end when they notice.
func (c *cluster) kill() {
	if c.cmd == nil {
		return
	}
	_ = c.cmd.Process.Kill() // it may have ended by itself
	<-c.running
	c.cmd = nil
}

// killChild kills one process of the cluster, any of them, which makes the postmaster end
// all others and recover.
func (c *cluster) killChild(random *rand.Rand) {
	c.t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		c.t.Fatal(err)
	}
	var children []int
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(content), ") ") // behind the name
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(c.cmd.Process.Pid) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			if err != nil {
				c.t.Fatal(err)
			}
			children = append(children, pid)
		}
	}
	if len(children) == 0 {
		c.t.Fatal("PostgreSQL has no processes")
	}
	_ = syscall.Kill(children[random.IntN(len(children))], syscall.SIGKILL) // it may have ended
}

// PostgreSQL is killed under load, the postmaster or any of its processes, and started
// again, while the server stays up: it answers 503 meanwhile, connects again by itself and
// has lost nothing.
func TestKillPostgresItself(t *testing.T) {
	t.Parallel()
	n, seed := max(kills(t)/10, 4), seeded(t)
	c := newCluster(t)
	s, worlds := foundServer(t, filepath.Join(t.TempDir(), "data"), c.url(), seed, clients...)
	random := rand.New(rand.NewPCG(seed, 3))
	var slowest time.Duration
	postmasters, refused := 0, int64(0)
	for kill := range n {
		l := s.load(worlds)
		time.Sleep(time.Duration(50+random.IntN(300)) * time.Millisecond)
		if random.IntN(2) == 0 {
			postmasters++
			c.kill()
			time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
		} else {
			c.killChild(random)
		}
		c.start()
		start := time.Now()
		l.end()
		l.settle(t, start, recovery)
		slowest, refused = max(slowest, time.Since(start)), refused+l.refused.Load()
		if t.Failed() {
			t.Fatalf("after kill %d of %d: the server's log:\n%s", kill+1, n, s.log())
		}
	}
	acknowledged := 0
	for _, w := range worlds {
		acknowledged += len(w.history)
	}
	t.Logf("%d kills, %d of them of the postmaster: %d acknowledged operations, %d refused, slowest recovery %v", n, postmasters, acknowledged, refused, slowest)
	if acknowledged < 5*n {
		t.Errorf("the load was too small to prove anything")
	}
	c.kill() // for as long as it takes to be noticed
	says := func(want string) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); !strings.Contains(s.wholeLog(), want); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the server's log does not say %q:\n%s", want, s.log())
			}
		}
	}
	says("the database cannot be read: what other servers change") // as requests do not say it
	c.start()
	says("the database can be read again")
	if strings.Contains(s.wholeLog(), "SECURITY") {
		t.Errorf("the log speaks of an attack where there was none:\n%s", s.wholeLog())
	}
	checkRecords(t, s, worlds...)
}
