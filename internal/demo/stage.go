package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/cloud/paysim"
	"github.com/keyward/keyward/internal/demo/child"
)

// The names of what the story is about.
const (
	merchant     = "shop"
	providerName = "payments"
	secretName   = "pay/key"
	rolloutName  = "pay"
	planName     = "pay"
	owner        = "wang-wei" // who sleeps
	second       = "li-na"    // who does not
)

// regionNames are where shops are. The node of the first one is the canary; the second one
// is cut off.
var regionNames = []string{"hangzhou", "frankfurt", "virginia"}

const (
	cutRegion     = 1 // place in regionNames
	shopsOfRegion = 2
)

// A stage is everything that a story is played with.
type stage struct {
	Options
	dir  string
	view *view

	platform *paysim.Platform
	admin    string // the secret of the merchant's administrator
	firstKey string // id
	url      string // of the platform
	alerts   *inbox
	web      []*http.Server

	server   *child.Process
	address  string // of the server
	keyward  *client.Client
	operator *client.OperatorClient
	trust    map[string]audit.Trust // by log: what was learnt of it at the beginning

	relays  []*relay // by region
	agents  []*child.Process
	shops   []*shop
	paying  sync.WaitGroup
	closing context.CancelFunc // ends what pays and looks
	seen    *lookout

	down downtime
}

// downtime is what happened while the server was dead.
type downtime struct {
	killed, back time.Time
	paid         int // by the platform's count
}

// build makes what needs no server.
func build(o Options) (*stage, error) {
	dir, err := makeDir()
	if err != nil {
		return nil, err
	}
	s := &stage{Options: o, dir: dir, platform: paysim.New(o.Now), alerts: &inbox{}, trust: map[string]audit.Trust{}}
	s.view = newView(o)
	s.admin = s.platform.AddMerchant(merchant)
	if s.url, err = s.serve(s.platform); err != nil {
		return nil, errors.Join(err, s.strike())
	}
	return s, nil
}

// serve serves something at an address of this machine.
func (s *stage) serve(h http.Handler) (url string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listening: %w", err)
	}
	web := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: patience}
	s.web = append(s.web, web)
	go func() { _ = web.Serve(l) }() // it ends when it is closed
	return "http://" + l.Addr().String(), nil
}

// rest ends what pays and looks; the processes stay.
func (s *stage) rest() {
	if s.closing != nil {
		s.closing()
	}
	s.paying.Wait()
}

// strike ends everything, and takes the directory away unless it is to be kept.
func (s *stage) strike() error {
	s.rest()
	for _, c := range slices.Concat(s.agents, []*child.Process{s.server}) {
		if c != nil {
			c.Kill()
		}
	}
	for _, r := range s.relays {
		r.close()
	}
	s.endWeb()
	s.view.freeze()
	if s.Keep {
		s.view.say("What it left is in %s", "留下的文件在 %s", s.dir)
		return nil
	}
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("removing the directory of the story: %w", err)
	}
	return nil
}

// start starts keyward with arguments; what it writes goes to a log in the directory.
func (s *stage) start(log string, args ...string) (*child.Process, error) {
	return child.Start(s.Executable, filepath.Join(s.dir, log), args...)
}

// startServer starts the server, at the address that it had if it had one, and waits until
// it can be asked.
func (s *stage) startServer(ctx context.Context) (err error) {
	listen := s.address
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	data := filepath.Join(s.dir, "s")
	if s.server, err = s.start("server.log", "dev", "--data-dir", data, "--listen", listen, "--allow", "127.0.0.0/8"); err != nil {
		return err
	}
	if s.address == "" {
		if err := s.connect(ctx, data); err != nil {
			return err
		}
	}
	return s.wait(ctx, "the server starts", func() (bool, error) {
		_, err := s.keyward.WhoAmI(ctx)
		return err == nil, nil
	})
}

// connect waits for the file that the server writes when it has begun, and reads how to
// call it.
func (s *stage) connect(ctx context.Context, data string) error {
	env := map[string]string{}
	if err := s.wait(ctx, "the server starts", func() (bool, error) {
		content, err := os.ReadFile(filepath.Join(data, "dev.env"))
		for line := range strings.Lines(string(content)) {
			name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
			env[name] = value
		}
		return err == nil, nil
	}); err != nil {
		return err
	}
	var err error
	s.address = strings.TrimPrefix(env["KEYWARD_ENDPOINT"], "http://")
	s.operator = client.Operator(filepath.Join(data, "operator.sock"))
	s.keyward, err = client.New(client.Config{
		Endpoint: env["KEYWARD_ENDPOINT"], AccessKeyID: env["ALIBABA_CLOUD_ACCESS_KEY_ID"], AccessKeySecret: env["ALIBABA_CLOUD_ACCESS_KEY_SECRET"], Timeout: patience,
	})
	return err
}

// wait waits until something is so that should not take long. A server that died, unless
// it was killed, is told at once.
func (s *stage) wait(ctx context.Context, what string, so func() (bool, error)) error {
	const limit = 30 * time.Second
	err := until(ctx, limit, func() (bool, error) {
		if err := s.server.Gone(); err != nil {
			return false, fmt.Errorf("the server: %w", err)
		}
		return so()
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("waiting until %s: %w", what, err)
	}
	return err
}

// A notice is a message of keyward's to people, as its webhook sends it.
type notice struct {
	Type string `json:"type"`
	Data struct {
		Incident string   `json:"incident"`
		People   []string `json:"people"`
	} `json:"data"`
}

// of tells whether it is an alarm of an incident.
func (n notice) of(i api.Incident) bool {
	return n.Type == "keyward.trigger" && n.Data.Incident == i.ID
}

// An inbox receives alarms.
type inbox struct {
	mu  sync.Mutex // guards all
	all []notice
}

// ServeHTTP takes a message.
func (i *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var n notice
	if err := json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(&n); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.all = append(i.all, n)
	w.WriteHeader(http.StatusNoContent)
}

// has tells whether there is a message that is so.
func (i *inbox) has(so func(notice) bool) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.ContainsFunc(i.all, so)
}
