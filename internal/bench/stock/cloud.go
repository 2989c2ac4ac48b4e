package stock

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/tencent/tencenttest"
)

// CloudCommand makes a program that calls [ServeCloud] be the simulated provider instead
// of measuring.
const CloudCommand = "cloud"

// firstAccount is the number of the first simulated account.
const firstAccount = 100_000_001

// perSecond is how often each of the calls that are made may be made for an account.
const perSecond = 20

// A cloud is a simulated provider in a process of its own, so that its memory and CPU can
// be told apart.
type cloud struct {
	address string
	readers []tencenttest.Key // a key that may read all of it, for each account
	stop    func() error
}

// startCloud starts one with so many accounts and users in each.
func startCloud(accounts, users int) (*cloud, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, CloudCommand, "-accounts", strconv.Itoa(accounts), "-users", strconv.Itoa(users))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the cloud: %w", err)
	}
	c := &cloud{readers: make([]tencenttest.Key, accounts), stop: func() error { return errors.Join(in.Close(), cmd.Wait()) }}
	lines := bufio.NewReader(out)
	_, err = fmt.Fscanln(lines, &c.address)
	for i := range c.readers {
		if err == nil {
			_, err = fmt.Fscanln(lines, &c.readers[i].ID, &c.readers[i].Secret)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the cloud: %w", err), c.stop())
	}
	return c, nil
}

// ServeCloud is what the child does until its input ends: args are what follows
// [CloudCommand].
func ServeCloud(args []string) error {
	f := flag.NewFlagSet(CloudCommand, flag.ContinueOnError)
	accounts := f.Int("accounts", 0, "accounts")
	users := f.Int("users", 0, "users of each account")
	if err := f.Parse(args); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	service := tencenttest.New(time.Now)
	fmt.Println(l.Addr())
	for i := range *accounts {
		k := service.Populate(firstAccount+uint64(i), *users)
		fmt.Println(k.ID, k.Secret)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is the sign
		_ = l.Close()
	}()
	if err := http.Serve(l, service); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// A memory keeps what was observed through a provider, so that another database can be
// given the same without waiting for rate limits once more.
type memory struct {
	mu   sync.Mutex // guards seen
	seen map[string]accesskey.Snapshot
}

// remembering is a kind of provider whose answers are kept, or are those that were kept.
func (m *memory) remembering(k accesskey.KindOfProvider) accesskey.KindOfProvider {
	open := k.Open
	k.Open = func(o accesskey.Opening) (accesskey.Provider, error) {
		p, err := open(o)
		return &recalled{Provider: p, memory: m, key: string(o.Credential["secret_id"].Expose())}, err
	}
	return k
}

// A recalled is a provider that is asked once.
type recalled struct {
	accesskey.Provider
	memory *memory
	key    string
}

// Observe implements [accesskey.Provider].
func (r *recalled) Observe(ctx context.Context) (accesskey.Snapshot, error) {
	r.memory.mu.Lock()
	s, known := r.memory.seen[r.key]
	r.memory.mu.Unlock()
	if known {
		return s, nil
	}
	s, err := r.Provider.Observe(ctx)
	if err == nil {
		r.memory.mu.Lock()
		r.memory.seen[r.key] = s
		r.memory.mu.Unlock()
	}
	return s, err
}
