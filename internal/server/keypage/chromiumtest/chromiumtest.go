// Package chromiumtest drives a headless Chromium that has a security key in software, over
// the pipe on which it takes commands (the DevTools protocol). Where there is no Chromium a
// test is skipped, but fails in CI; `make deps` installs it.
package chromiumtest

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything in the browser may take on a busy machine.
const patience = time.Minute

// A Browser is one tab. Its methods fail the test that they are called by.
type Browser struct {
	t        testing.TB
	commands io.Writer
	answers  *bufio.Reader
	session  string // of the tab
	last     int
	problems []string
}

// message is an answer, or an event.
type message struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// Start starts a browser for the length of the test.
func Start(t testing.TB) *Browser {
	t.Helper()
	path := find()
	if path == "" && os.Getenv("CI") != "" {
		t.Fatal("there is no Chromium; run: make deps")
	}
	if path == "" {
		t.Skip("there is no Chromium; make deps installs it")
	}
	in, commands, err1 := os.Pipe()
	answers, out, err2 := os.Pipe()
	dir, err3 := os.MkdirTemp("", "keyward-chromium")
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(path, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--no-default-browser-check", "--disable-background-networking", "--user-data-dir="+dir, "about:blank")
	cmd.ExtraFiles = []*os.File{in, out} // descriptors 3 and 4
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // and its helpers
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	})
	_, _ = in.Close(), out.Close()
	_ = answers.SetReadDeadline(time.Now().Add(5 * time.Minute))
	b := &Browser{t: t, commands: commands, answers: bufio.NewReader(answers)}
	b.attach()
	return b
}

func find() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// attach makes a tab, with a security key that somebody has at hand and verifies at once.
func (b *Browser) attach() {
	var tab struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &tab)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": tab.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network", "WebAuthn"} {
		b.call(domain+".enable", map[string]any{}, nil)
	}
	b.call("WebAuthn.addVirtualAuthenticator", map[string]any{"options": map[string]any{
		"protocol": "ctap2", "transport": "usb", "hasUserVerification": true, "isUserVerified": true, "automaticPresenceSimulation": true,
	}}, nil)
}

// call makes one command and reads its answer into out, unless that is nil.
func (b *Browser) call(method string, params any, out any) {
	b.t.Helper()
	b.last++
	command := map[string]any{"id": b.last, "method": method, "params": params}
	if b.session != "" {
		command["sessionId"] = b.session
	}
	text, err := json.Marshal(command)
	if err == nil {
		_, err = b.commands.Write(append(text, 0))
	}
	for err == nil {
		var raw []byte
		if raw, err = b.answers.ReadBytes(0); err != nil {
			break
		}
		var m message
		if err = json.Unmarshal(bytes.TrimRight(raw, "\x00"), &m); err != nil {
			break
		}
		switch {
		case m.ID != b.last:
			b.note(m)
		case m.Error != nil:
			b.t.Fatalf("%s: %s", method, m.Error.Message)
		case out == nil:
			return
		default:
			if err = json.Unmarshal(m.Result, out); err == nil {
				return
			}
		}
	}
	b.t.Fatalf("%s: %v", method, err)
}

// note keeps what the browser complains about.
func (b *Browser) note(m message) {
	if m.Method == "Log.entryAdded" || m.Method == "Runtime.exceptionThrown" {
		b.problems = append(b.problems, string(m.Params))
	}
}

// Problems answers what the browser complained about, such as what a policy forbade.
func (b *Browser) Problems() []string { return b.problems }

// Speak makes the browser ask for pages in a language.
func (b *Browser) Speak(language string) {
	b.t.Helper()
	b.call("Network.setExtraHTTPHeaders", map[string]any{"headers": map[string]string{"Accept-Language": language}}, nil)
}

// Resize makes the page so many pixels wide and high.
func (b *Browser) Resize(width, height int) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, nil)
}

// Open loads a page.
func (b *Browser) Open(url string) {
	b.t.Helper()
	b.call("Page.navigate", map[string]any{"url": url}, nil)
	b.Wait(fmt.Sprintf(`document.readyState === "complete" && location.href === %q`, url))
}

// Wait waits until an expression of JavaScript is true.
func (b *Browser) Wait(expression string) {
	b.t.Helper()
	for began := time.Now(); time.Since(began) < patience; time.Sleep(50 * time.Millisecond) {
		if b.eval(expression) == true {
			return
		}
	}
	b.t.Fatalf("never true: %s\n%s\n%s", expression, b.Text(), strings.Join(b.problems, "\n"))
}

// Text answers what a person reads on the page.
func (b *Browser) Text() string {
	b.t.Helper()
	text, _ := b.eval(`document.body.innerText`).(string)
	return text
}

// Click clicks what a CSS selector finds.
func (b *Browser) Click(selector string) {
	b.t.Helper()
	b.eval(fmt.Sprintf(`document.querySelector(%q).click()`, selector))
}

func (b *Browser) eval(expression string) any {
	b.t.Helper()
	var out struct {
		Result struct{ Value any }
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "userGesture": true}, &out)
	return out.Result.Value
}

// Picture writes what the page looks like into a PNG file.
func (b *Browser) Picture(path string) {
	b.t.Helper()
	var out struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &out)
	png, err := base64.StdEncoding.DecodeString(out.Data)
	if err == nil {
		err = os.WriteFile(path, png, 0o600)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}
