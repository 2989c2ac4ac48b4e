package main

import (
	"bufio"
	"bytes"
	"flag"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/server/keypage/chromiumtest"
)

var show = flag.String("show", "", "write pictures of the pages into this directory, to look at them")

// A desk is somebody with a terminal and a browser, and a server.
type desk struct {
	t       *testing.T
	browser *chromiumtest.Browser
	dir     string
	env     map[string]string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, browser: chromiumtest.Start(t), dir: t.TempDir()}
	d.env = map[string]string{"HOME": d.dir, "LANG": "C.UTF-8"}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close() // dev says how browsers reach it as localhost if it is told the port
	server := d.command("dev", "--listen", address)
	out, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); !strings.Contains(line, "listens") {
		t.Fatalf("the server says %q, %v", line, err)
	}
	go io.Copy(io.Discard, out) //nolint:errcheck // nobody reads on
	variables, err := os.ReadFile(filepath.Join(d.dir, ".keyward", "dev.env"))
	if err != nil {
		t.Fatal(err)
	}
	d.env = map[string]string{}
	for line := range strings.Lines(string(variables)) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		d.env[name] = value
	}
	d.env["HOME"], d.env["LANG"] = d.dir, "C.UTF-8"
	return d
}

func (d *desk) command(args ...string) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		d.t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Args, cmd.Dir = append([]string{"keyward"}, args...), d.dir // testscript.Main goes by the first
	for name, value := range d.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// run runs a command line that nobody need approve.
func (d *desk) run(typed string, args ...string) string {
	d.t.Helper()
	cmd := d.command(args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(typed), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		d.t.Fatalf("keyward %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return stdout.String()
}

var (
	pageURL  = regexp.MustCompile(`http://localhost:\d+/approve/[A-Z2-7]{26}`)
	pageCode = regexp.MustCompile(`[A-Z2-7]{3}-[A-Z2-7]{3}`)
)

// approve runs a command line for which the page is opened, and has somebody look at the page
// and act there.
func (d *desk) approve(act func(code string), typed string, args ...string) (stdout, stderr string, err error) {
	d.t.Helper()
	cmd := d.command(args...)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout = strings.NewReader(typed), &out
	pipe, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		d.t.Fatal(err)
	}
	var said strings.Builder
	lines := bufio.NewReader(pipe)
	for url, code := "", ""; code == ""; {
		line, err := lines.ReadString('\n')
		said.WriteString(line)
		if err != nil {
			d.t.Fatalf("keyward %s names no page:\n%s", strings.Join(args, " "), &said)
		}
		if found := pageURL.FindString(line); found != "" {
			url = found
			d.browser.Open(url)
		}
		if code = pageCode.FindString(line); url != "" && code != "" {
			act(code)
		} else {
			code = ""
		}
	}
	rest, _ := io.ReadAll(lines)
	said.Write(rest)
	err = cmd.Wait() // which ends writing to out
	return out.String(), said.String(), err
}

// use uses the security key on a page that shows these texts, and the code of the terminal.
func (d *desk) use(texts ...string) func(code string) {
	return func(code string) {
		d.t.Helper()
		d.sees(append(texts, code)...)
		d.browser.Click("#yes")
		d.browser.Wait(`document.getElementById("told").className === "done"`)
	}
}

func (d *desk) sees(texts ...string) {
	d.t.Helper()
	have := d.browser.Text()
	for _, text := range texts {
		if !strings.Contains(have, text) {
			d.t.Errorf("the page does not show %q:\n%s", text, have)
		}
	}
}

func (d *desk) picture(name string) {
	if *show != "" {
		d.browser.Picture(filepath.Join(*show, name+".png"))
	}
}

// A person adds a security key, logs in with it and does what is dangerous, in a real browser
// with an authenticator in software, against a real server.
func TestSecurityKeyInBrowser(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.browser.Resize(760, 760)
	d.run("", "user", "create", "alice")
	d.run("", "policy", "attach", "AdministratorAccess", "alice")
	d.run("", "user", "password", "reset", "alice", "--out", "alice.txt")
	key := strings.Trim(regexp.MustCompile(`"id": *"([^"]+)"`).FindStringSubmatch(d.run("", "key", "create", "-o", "json"))[1], `"`)
	initial, err := os.ReadFile(filepath.Join(d.dir, "alice.txt"))
	if err != nil {
		t.Fatal(err)
	}
	delete(d.env, "ALIBABA_CLOUD_ACCESS_KEY_ID")
	delete(d.env, "ALIBABA_CLOUD_ACCESS_KEY_SECRET")
	const password = "some unrelated fake words\n"
	d.run(string(initial)+password, "login", "alice")

	stdout, stderr, err := d.approve(func(code string) {
		d.picture("add")
		d.use("Register the security key blue", "alice", "127.0.0.1")(code)
		d.picture("done")
	}, "", "user", "mfa", "add-key", "blue")
	if err != nil || strings.Count(stdout, "\n") != 10 {
		t.Fatalf("adding a key: %v\n%s%s", err, stdout, stderr)
	}
	d.run("", "logout")
	if _, stderr, err = d.approve(func(code string) { d.picture("login"); d.use("Log in as alice")(code) }, password, "login", "alice"); err != nil {
		t.Fatalf("logging in: %v\n%s", err, stderr)
	}
	d.browser.Speak("zh-CN")
	if _, stderr, err = d.approve(func(code string) {
		d.picture("disable")
		d.use("禁用密钥", key, "kms:DisableKey")(code)
	}, "", "key", "disable", key); err != nil {
		t.Fatalf("disabling a key: %v\n%s", err, stderr)
	}
	d.run("", "key", "enable", key)
	_, stderr, err = d.approve(func(string) {
		d.browser.Click("#no")
		d.browser.Wait(`document.getElementById("act").hidden`)
		d.picture("refused")
	}, "", "key", "disable", key)
	if err == nil || !strings.Contains(stderr, "refused on the page") {
		t.Errorf("after a refusal: %v\n%s", err, stderr)
	}
	if out := d.run("", "user", "mfa", "list"); !strings.Contains(out, "blue") || !strings.Contains(out, "localhost") {
		t.Errorf("the factors are\n%s", out)
	}
	if out := d.run("", "audit", "list", "--action", "kms:DisableKey", "-o", "json"); !strings.Contains(out, `"MFA": "security key blue"`) {
		t.Errorf("the records are\n%s", out)
	}
	for _, problem := range d.browser.Problems() {
		t.Errorf("the browser complains: %s", problem)
	}
}
