// Package config reads agent.toml: where the agent keeps its state and listens, and what
// it does with each rollout on this machine.
//
// Everything is checked when the file is read, before anything is fetched or written:
// every template parses, every path is absolute, no two deliveries write one file, users
// and groups exist. A setting that is not known is refused with its line. docs/agent.md
// tells the settings to users.
//
// Who may call: package agent and the command line. What is trusted: the file; who may
// write it chooses commands that the agent runs.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/keyward/keyward/internal/agent/consumer"
	"github.com/keyward/keyward/internal/agent/render"
	"github.com/keyward/keyward/internal/fault"
)

// Where things are unless the file says otherwise.
const (
	DefaultFile   = "/etc/keyward/agent.toml"
	DefaultState  = "/var/lib/keyward-agent"
	DefaultListen = "/run/keyward-agent/agent.sock"
)

const (
	maxSize         = 256 << 10 // bytes of a file
	defaultMode     = 0o600
	defaultTimeout  = 30 * time.Second
	defaultInterval = 30 * time.Second
	maxDuration     = time.Hour
	defaultReport   = 15 * time.Second
	minReport       = time.Second
	maxReport       = 30 * time.Second // half of the time after which a node counts as lost
)

// A Config is what agent.toml says.
type Config struct {
	State     string
	Server    string        // "" for the one that the machine joined
	CA        string        // PEM; "" for what the machine joined with
	Listen    string        // path of a Unix socket, or a loopback address with a port
	TokenFile string        // which programs read to use the address; "" with a socket
	GID       int           // whose members may use the socket or read the token; -1 for the agent's
	Report    time.Duration // about the time between two reports
	Deliver   []Delivery
}

// A Delivery is what is done with one rollout.
type Delivery struct {
	Rollout string
	Files   []render.File
	Reload  *consumer.Command // nil for none
	Splay   time.Duration     // the reload waits a random part of it
	Probe   *consumer.Probe   // nil: programs report by themselves
}

// file is agent.toml as it is written.
type file struct {
	State     string        `toml:"state"`
	Server    string        `toml:"server"`
	CAFile    string        `toml:"ca_file"`
	Listen    string        `toml:"listen"`
	TokenFile string        `toml:"token_file"`
	Group     string        `toml:"group"`
	Report    time.Duration `toml:"report"`
	Deliver   []delivery    `toml:"deliver"`
}

type delivery struct {
	Rollout string   `toml:"rollout"`
	File    []target `toml:"file"`
	Reload  *reload  `toml:"reload"`
	Probe   *probe   `toml:"probe"`
}

type target struct {
	Path         string  `toml:"path"`
	Template     *string `toml:"template"`
	TemplateFile string  `toml:"template_file"`
	Part         string  `toml:"part"`
	Owner        string  `toml:"owner"`
	Group        string  `toml:"group"`
	Mode         string  `toml:"mode"`
}

type reload struct {
	Command []string      `toml:"command"`
	Timeout time.Duration `toml:"timeout"`
	Splay   time.Duration `toml:"splay"`
}

type probe struct {
	Command  []string      `toml:"command"`
	URL      string        `toml:"url"`
	Status   int           `toml:"status"`
	Timeout  time.Duration `toml:"timeout"`
	Interval time.Duration `toml:"interval"`
}

// Default answers what an empty file says.
func Default() Config {
	return Config{State: DefaultState, Listen: DefaultListen, GID: -1, Report: defaultReport}
}

// Load reads a file and the templates that it names.
func Load(path string) (Config, error) {
	if info, err := os.Stat(path); err == nil && (!info.Mode().IsRegular() || info.Size() > maxSize) {
		return Config{}, fault.InvalidParameter.New("reading %s: it is not a regular file of at most 256 KiB", path)
	} else if err == nil && info.Mode().Perm()&0o002 != 0 {
		return Config{}, fault.InvalidParameter.New("reading %s: everybody may write it, and so choose commands that the agent runs; run: chmod o-w %s", path, path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("reading the agent's configuration: %w", err)
	}
	c, err := Parse(string(content), filepath.Dir(path))
	if err != nil {
		return Config{}, fault.InvalidParameter.New("reading %s: %v", path, because(err))
	}
	return c, nil
}

// because answers what an error says, in both languages if it has them.
func because(err error) any {
	if known, ok := errors.AsType[*fault.Error](err); ok {
		return known.Text
	}
	return err
}

// Parse reads the text of a file. Names of template files are relative to dir.
func Parse(text, dir string) (Config, error) {
	var f file
	meta, err := toml.Decode(text, &f)
	if err != nil {
		return Config{}, err
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return Config{}, fault.InvalidParameter.New("line %d: there is no setting %q; docs/agent.md lists them all", lineOf(text), unknown[0])
	}
	c := Default()
	if f.State != "" {
		c.State = f.State
	}
	if f.Listen != "" {
		c.Listen = f.Listen
	}
	if f.CAFile != "" {
		ca, err := os.ReadFile(f.CAFile)
		if err != nil {
			return Config{}, fault.InvalidParameter.New("ca_file: %v", err)
		}
		c.CA = string(ca)
	}
	if f.Report != 0 {
		c.Report = f.Report
	}
	if c.Report < minReport || c.Report > maxReport {
		return Config{}, fault.InvalidParameter.New("report: use a time from \"1s\" to \"30s\"")
	}
	c.Server, c.TokenFile = f.Server, f.TokenFile
	if c.GID, err = groupID(f.Group); err != nil {
		return Config{}, err
	}
	if err := c.checkPlaces(); err != nil {
		return Config{}, err
	}
	writers := map[string]string{}
	for i, d := range f.Deliver {
		if d.Rollout == "" {
			return Config{}, fault.InvalidParameter.New("deliver %d: rollout is missing", i+1)
		}
		checked, err := d.check(dir, writers)
		if err != nil {
			return Config{}, fault.InvalidParameter.New("deliver %q: %v", d.Rollout, because(err))
		}
		for _, other := range c.Deliver {
			if other.Rollout == d.Rollout {
				return Config{}, fault.InvalidParameter.New("deliver %q: it stands twice; one deliver may have several files", d.Rollout)
			}
		}
		c.Deliver = append(c.Deliver, checked)
	}
	return c, nil
}

// lineOf answers the line of the first unknown setting: the last one of the shortest
// beginning of the text that has it.
func lineOf(text string) int {
	lines := strings.SplitAfter(text, "\n")
	for n := range lines {
		meta, err := toml.Decode(strings.Join(lines[:n+1], ""), new(file))
		if err == nil && len(meta.Undecoded()) > 0 {
			return n + 1
		}
	}
	return len(lines)
}

// checkPlaces refuses paths and addresses that cannot be.
func (c Config) checkPlaces() error {
	if !filepath.IsAbs(c.State) {
		return fault.InvalidParameter.New("state %q: use an absolute path", c.State)
	}
	if filepath.IsAbs(c.Listen) {
		switch {
		case c.TokenFile != "":
			return fault.InvalidParameter.New("token_file: a socket needs none, its group says who may use it")
		case len(c.Listen) > 80: // the kernel takes 104 or 108, and a name beside it must fit
			return fault.InvalidParameter.New("listen %q: the path of a socket may have 80 bytes", c.Listen)
		}
		return nil
	}
	at, err := netip.ParseAddrPort(c.Listen)
	switch {
	case err != nil || !at.Addr().IsLoopback():
		return fault.InvalidParameter.New("listen %q: use the absolute path of a socket, or a loopback address such as 127.0.0.1:7422", c.Listen)
	case !filepath.IsAbs(c.TokenFile):
		return fault.InvalidParameter.New("token_file: an address needs the absolute path of a file with the token that programs show")
	}
	return nil
}

// check answers what a delivery says. writers are the files that others write.
func (d delivery) check(dir string, writers map[string]string) (Delivery, error) {
	out := Delivery{Rollout: d.Rollout}
	for _, t := range d.File {
		f, err := t.check(dir)
		if err != nil {
			return Delivery{}, fault.InvalidParameter.New("file %q: %v", t.Path, because(err))
		}
		if other, taken := writers[f.Path]; taken {
			return Delivery{}, fault.InvalidParameter.New("file %q: deliver %q writes it, too", t.Path, other)
		}
		writers[f.Path] = d.Rollout
		out.Files = append(out.Files, f)
	}
	if r := d.Reload; r != nil {
		timeout, err := duration("reload.timeout", r.Timeout, defaultTimeout)
		if err != nil {
			return Delivery{}, err
		}
		if err := checkArgv("reload.command", r.Command); err != nil {
			return Delivery{}, err
		}
		if out.Splay, err = duration("reload.splay", r.Splay, 0); err != nil {
			return Delivery{}, err
		}
		out.Reload = &consumer.Command{Argv: r.Command, Timeout: timeout}
	}
	if d.Probe == nil {
		return out, nil
	}
	var err error
	out.Probe, err = d.Probe.check()
	return out, err
}

func (t target) check(dir string) (render.File, error) {
	f := render.File{Path: filepath.Clean(t.Path), Mode: defaultMode}
	if !filepath.IsAbs(t.Path) {
		return f, fault.InvalidParameter.New("use an absolute path")
	}
	if info, err := os.Lstat(f.Path); err == nil && !info.Mode().IsRegular() {
		return f, fault.InvalidParameter.New("it is there and no regular file")
	}
	var err error
	if f.Template, err = t.template(dir); err != nil {
		return f, err
	}
	if t.Mode != "" {
		mode, err := strconv.ParseUint(t.Mode, 8, 32)
		if err != nil || mode&^0o770 != 0 || mode&0o400 == 0 {
			return f, fault.InvalidParameter.New("mode %q: use one such as \"0640\", which gives the others nothing", t.Mode)
		}
		f.Mode = fs.FileMode(mode)
	}
	if f.UID, err = userID(t.Owner); err != nil {
		return f, err
	}
	f.GID, err = groupID(t.Group)
	return f, err
}

// template answers how the content is made: one of three ways.
func (t target) template(dir string) (render.Template, error) {
	given := 0
	for _, set := range []bool{t.Template != nil, t.TemplateFile != "", t.Part != ""} {
		if set {
			given++
		}
	}
	switch {
	case given != 1:
		return render.Template{}, fault.InvalidParameter.New("give one of template, template_file and part")
	case t.Part != "":
		return render.Part(t.Part), nil
	case t.Template != nil:
		return render.Parse(*t.Template)
	}
	path := t.TemplateFile
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return render.Template{}, fault.InvalidParameter.New("template_file: %v", err)
	}
	parsed, err := render.Parse(string(content))
	if err != nil {
		return render.Template{}, fault.InvalidParameter.New("template_file %q: %v", path, err)
	}
	return parsed, nil
}

func (p probe) check() (*consumer.Probe, error) {
	timeout, err := duration("probe.timeout", p.Timeout, defaultTimeout)
	if err != nil {
		return nil, err
	}
	out := consumer.Probe{URL: p.URL, Status: p.Status, Timeout: timeout}
	if out.Interval, err = duration("probe.interval", p.Interval, defaultInterval); err != nil {
		return nil, err
	}
	switch {
	case (p.URL == "") == (len(p.Command) == 0):
		return nil, fault.InvalidParameter.New("probe: give one of command and url")
	case p.URL == "" && p.Status != 0:
		return nil, fault.InvalidParameter.New("probe.status: it belongs to a url")
	case p.URL == "":
		out.Command = consumer.Command{Argv: p.Command, Timeout: timeout}
		return &out, checkArgv("probe.command", p.Command)
	case !strings.HasPrefix(p.URL, "http://") && !strings.HasPrefix(p.URL, "https://"):
		return nil, fault.InvalidParameter.New("probe.url %q: use http:// or https://", p.URL)
	case p.Status == 0:
		out.Status = 200
	case p.Status < 100 || p.Status > 599:
		return nil, fault.InvalidParameter.New("probe.status %d: use one of HTTP", p.Status)
	}
	return &out, nil
}

// checkArgv refuses a command that cannot be run. One whose program is missing now may
// find it later, so that is told when it is run.
func checkArgv(what string, argv []string) error {
	if len(argv) == 0 || !filepath.IsAbs(argv[0]) {
		return fault.InvalidParameter.New("%s: begin with the absolute path of the program, each argument by itself", what)
	}
	return nil
}

func duration(what string, d, otherwise time.Duration) (time.Duration, error) {
	switch {
	case d == 0:
		return otherwise, nil
	case d < time.Millisecond || d > maxDuration:
		return 0, fault.InvalidParameter.New("%s: use one such as \"30s\", at most an hour", what)
	}
	return d, nil
}

func userID(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	if u, err := user.Lookup(name); err == nil {
		name = u.Uid
	}
	id, err := strconv.ParseUint(name, 10, 31)
	if err != nil {
		return 0, fault.InvalidParameter.New("owner %q: there is no such user", name)
	}
	return int(id), nil
}

func groupID(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	if g, err := user.LookupGroup(name); err == nil {
		name = g.Gid
	}
	id, err := strconv.ParseUint(name, 10, 31)
	if err != nil {
		return 0, fault.InvalidParameter.New("group %q: there is no such group", name)
	}
	return int(id), nil
}
