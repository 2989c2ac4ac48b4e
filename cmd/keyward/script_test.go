package main

import (
	"bufio"
	"encoding/base32"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/keyward/keyward/internal/cloud/openid/openidtest"
	"github.com/keyward/keyward/internal/cloud/paysim"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/material/totp"
)

var update = flag.Bool("update", false, "write golden files and docs/cli.md anew")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"keyward": main, "xdg-open": browser, "open": browser})
}

// TestScripts runs what README and docs tell users to run, against servers of its own.
// Beside testscript's commands a script has:
//
//	serve ARGS...     start "keyward ARGS..." in the current directory, on a free port if it is
//	                  "dev", and wait until it listens; of dev, load the variables. A "witness"
//	                  may run beside a server; a server's address becomes KEYWARD_ENDPOINT
//	unserve [witness] stop the server, or the witness, with SIGTERM; it must end with status 0
//	load FILE         load the variables that stand in FILE as NAME=value or export NAME=value
//	setfrom NAME TEXT set NAME to the first word after TEXT in the last standard output
//	flip FILE OFFSET  flip a bit of the byte there, counted from the end if negative
//	cut FILE SIZE     truncate, by so much if negative
//	helper ARGS...    start "keyward-pkcs11 ARGS..." for the length of the script, with
//	                  SOFTHSM2_CONF; where SoftHSM is missing the script is skipped
//	totp NAME TEXT N  set NAME to the one-time code of N steps from now, of the secret that is
//	                  the first word after TEXT in the last standard output
//	idp               start an OpenID Connect provider for the length of the script; its issuer
//	                  is ISSUER. A browser (xdg-open, open) logs in 00u-alice there
//	paysim            start a simulated payment platform for the length of the script, and
//	                  write pay.yaml, pay.txt and key.json; its variables are PAY_VARS
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("LANG", "C.UTF-8")
			env.Setenv("DISPLAY", ":0") // without which no browser is opened
			env.Values[serverOf("")], env.Values[serverOf("witness")] = &serving{}, &serving{}
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name != "softhsm" {
				return false, errors.New("there is no such condition")
			}
			return softHSM(), nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": serve, "unserve": unserve, "load": load, "setfrom": setFrom, "flip": flip, "cut": cut, "paysim": platform, "helper": helper, "totp": oneTimeCode, "idp": identityProvider,
		},
	})
}

// identityProvider starts an OpenID Connect provider.
func identityProvider(ts *testscript.TestScript, _ bool, _ []string) {
	p, stop := openidtest.Start(time.Now)
	ts.Defer(stop)
	ts.Setenv("ISSUER", p.URL)
}

// browser goes to an address and wherever that sends it, as a browser does in which somebody
// is logged in at the provider already. It writes the last address that it was sent to.
func browser() {
	last := os.Args[1]
	web := &http.Client{CheckRedirect: func(r *http.Request, _ []*http.Request) error { last = r.URL.String(); return nil }}
	if resp, err := web.Get(last); err == nil {
		_ = resp.Body.Close()
	}
	fmt.Println(last)
}

// A serverOf names what a script serves: "" is its server.
type serverOf string

// A serving is the server of a script, or its witness.
type serving struct {
	cmd *exec.Cmd
	log chan string // all that it wrote after it listened, when it has ended
}

// listening finds the address in a server's log.
var listening = regexp.MustCompile(`"address":"(127\.0\.0\.1:\d+)"`)

func serve(ts *testscript.TestScript, _ bool, args []string) {
	s := ts.Value(serverOf("")).(*serving)
	if args[0] == "witness" {
		s = ts.Value(serverOf("witness")).(*serving)
	}
	if s.cmd != nil {
		ts.Fatalf("serve: one is running; end it with unserve")
	}
	exe, err := os.Executable()
	ts.Check(err)
	r, w, err := os.Pipe()
	ts.Check(err)
	dir := "."
	if args[0] == "dev" {
		dir = ".keyward"
		args = slices.Insert(slices.Clone(args), 1, "--listen", "127.0.0.1:0")
	}
	cmd := exec.Command(exe)
	cmd.Args = append([]string{"keyward"}, args...) // testscript.Main goes by the first
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), w, w
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"), "LANG=C.UTF-8", "KEYWARD_PASSPHRASE="+ts.Getenv("KEYWARD_PASSPHRASE"))
	ts.Check(cmd.Start())
	ts.Check(w.Close())
	s.cmd, s.log = cmd, make(chan string, 1)
	ts.Defer(func() {
		if s.cmd == cmd {
			_ = cmd.Process.Kill() // the script has failed already, or does not mind
			_ = cmd.Wait()
		}
	})
	out := bufio.NewReader(r)
	for {
		line, err := out.ReadString('\n')
		ts.Logf("%s", strings.TrimSpace(line))
		if strings.Contains(line, "listen") { // dev's greeting or a server's log
			if at := listening.FindStringSubmatch(line); at != nil && args[0] == "server" {
				ts.Setenv("KEYWARD_ENDPOINT", "http://"+at[1])
			}
			break
		}
		if err != nil {
			ts.Fatalf("serve: it does not listen: %v", err)
		}
	}
	go func() {
		rest, _ := io.ReadAll(out) // whatever was read is worth showing
		s.log <- string(rest)
	}()
	if args[0] == "dev" {
		if i := slices.Index(args, "--data-dir"); i >= 0 {
			dir = args[i+1]
		}
		load(ts, false, []string{filepath.Join(dir, "dev.env")})
	}
}

func unserve(ts *testscript.TestScript, _ bool, args []string) {
	s := ts.Value(serverOf(strings.Join(args, ""))).(*serving)
	if s.cmd == nil {
		ts.Fatalf("unserve: nothing is running")
	}
	ts.Check(s.cmd.Process.Signal(syscall.SIGTERM))
	err := s.cmd.Wait()
	s.cmd = nil
	ts.Logf("%s", <-s.log)
	ts.Check(err)
}

func load(ts *testscript.TestScript, _ bool, args []string) {
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if ok {
			ts.Setenv(name, value)
		}
	}
}

func setFrom(ts *testscript.TestScript, _ bool, args []string) {
	_, after, found := strings.Cut(ts.ReadFile("stdout"), args[1])
	words := strings.Fields(after)
	if !found || len(words) == 0 {
		ts.Fatalf("setfrom: nothing stands after %q", args[1])
	}
	ts.Setenv(args[0], strings.Trim(words[0], `",`))
}

func oneTimeCode(ts *testscript.TestScript, _ bool, args []string) {
	setFrom(ts, false, []string{args[0] + "_SECRET", args[1]})
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(ts.Getenv(args[0] + "_SECRET"))
	ts.Check(err)
	steps, err := strconv.ParseInt(args[2], 10, 64)
	ts.Check(err)
	code := totp.Code(material.NewBytes(secret), totp.Step(time.Now())+steps)
	ts.Setenv(args[0], code)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(code+"\n"), 0o600))
}

func flip(ts *testscript.TestScript, _ bool, args []string) {
	change(ts, args, func(content []byte, at int) []byte {
		content[at] ^= 1
		return content
	})
}

func cut(ts *testscript.TestScript, _ bool, args []string) {
	change(ts, args, func(content []byte, at int) []byte { return content[:at] })
}

func change(ts *testscript.TestScript, args []string, how func(content []byte, at int) []byte) {
	content := []byte(ts.ReadFile(args[0]))
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	if at < 0 {
		at += len(content)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), how(content, at), 0o600))
}

// helper builds and starts the helper of a hardware token.
func helper(ts *testscript.TestScript, _ bool, args []string) {
	binary := ts.MkAbs("keyward-pkcs11")
	build := exec.Command("go", "build", "-o", binary, "github.com/keyward/keyward/cmd/keyward-pkcs11")
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		ts.Fatalf("helper: building it: %v\n%s", err, out)
	}
	cmd := exec.Command(binary, args...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), append(os.Environ(), "SOFTHSM2_CONF="+ts.MkAbs("softhsm2.conf"))
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = cmd.Process.Kill() // the script is over
		_ = cmd.Wait()
	})
	for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(ts.MkAbs(args[slices.Index(args, "--socket")+1])); err == nil {
			return
		}
	}
	ts.Fatalf("helper: it does not listen")
}

// softHSM tells whether SoftHSM is installed; in a pipeline it must be.
func softHSM() bool {
	_, err := exec.LookPath("softhsm2-util")
	return err == nil || os.Getenv("CI") != ""
}

// platform starts a payment platform, and writes what its merchant has: the definition, the
// administrator's secret, and a key.
func platform(ts *testscript.TestScript, _ bool, _ []string) {
	p := paysim.New(time.Now)
	server := httptest.NewServer(p)
	ts.Defer(server.Close)
	admin := p.AddMerchant("shop")
	id, secret, err := p.AddKey("shop", "first", 0)
	ts.Check(err)
	for name, content := range map[string]string{
		"pay.yaml": string(paysim.Definition()),
		"pay.txt":  "credential=" + admin + "\ndefinition_file@=pay.yaml\n",
		"key.json": `{"key_id":"` + id + `","key_secret":"` + secret + `"}`,
	} {
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(content), 0o600))
	}
	ts.Setenv("PAY_VARS", `{"url":"`+server.URL+`","merchant":"shop"}`)
}
