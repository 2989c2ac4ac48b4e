package agent_test

import (
	"errors"
	"io/fs"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/internal/agent/agenttest"
)

// A machine that is cut off serves what it has, over a restart too, and catches up.
func TestPartitioned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, "")
		m.server.Publish(rollout, 1, version(1), agenttest.Version{})
		m.start()
		m.await(1, delivery.LevelApplied)
		m.server.Down(errors.New("no route to host"))
		m.server.Publish(rollout, 2, version(2), version(1))
		time.Sleep(time.Hour)
		if got := m.served(); got != canary+"1" {
			t.Errorf("cut off it serves %q", got)
		}
		m.restart()
		time.Sleep(2 * time.Hour)
		if got := m.served(); got != canary+"1" {
			t.Errorf("cut off and restarted it serves %q", got)
		}
		m.server.Down(nil)
		mended := time.Now()
		m.await(2, delivery.LevelApplied)
		if took := time.Since(mended); took > 2*time.Minute {
			t.Errorf("catching up took %v", took)
		}
		m.stop()
	})
}

// Agents of a server that was away come back at different times, and not before it says.
func TestServerRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := map[time.Duration]bool{}
		for range 5 {
			m := newMachine(t, "")
			m.start()
			synctest.Wait()
			cut := time.Now()
			m.server.Down(errors.New("connection reset"))
			synctest.Wait()
			m.server.Down(nil)
			before := len(m.server.Watches())
			time.Sleep(time.Minute)
			all := m.server.Watches()
			if len(all) <= before {
				t.Fatal("it did not come back")
			}
			back := all[before].Sub(cut)
			if back > 5*time.Second {
				t.Errorf("it came back after %v", back)
			}
			first[back] = true
			m.server.Busy(5 * time.Minute)
			time.Sleep(time.Minute) // the watch in flight ends
			_, reports := m.server.Last()
			m.server.Busy(0)
			time.Sleep(3 * time.Minute)
			if _, now := m.server.Last(); now != reports {
				t.Errorf("%d reports although the server asked for quiet", now-reports)
			}
			m.server.Publish(rollout, 1, version(1), agenttest.Version{})
			m.await(1, delivery.LevelApplied)
			m.stop()
		}
		if len(first) < 5 {
			t.Errorf("they came back together: %v", first)
		}
	})
}

func TestWrongClock(t *testing.T) {
	for _, off := range []time.Duration{-9000 * time.Hour, -3 * time.Minute, 5 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			m := newMachine(t, "")
			m.now = func() time.Time { return time.Now().Add(off) }
			m.server.Publish(rollout, 1, version(1), agenttest.Version{})
			m.start()
			m.await(1, delivery.LevelApplied)
			m.agent.Use(rollout, delivery.Use{Version: version(1).ID, Result: delivery.ResultUsed})
			a := m.await(1, delivery.LevelUsed)
			time.Sleep(time.Minute)
			r, _ := m.server.Last()
			if got := time.Duration(r.Skew) * time.Millisecond; (got - off).Abs() > time.Second {
				t.Errorf("off by %v, reported %v", off, got)
			}
			if a.UsedAgo == nil || *a.UsedAgo > 1000 {
				t.Errorf("used %v ms ago", a.UsedAgo)
			}
			m.now = time.Now // somebody sets it right
			m.restart()
			time.Sleep(time.Minute)
			if a := m.await(1, delivery.LevelUsed); a.UsedAgo == nil || *a.UsedAgo < 60_000 || *a.UsedAgo > 150_000 {
				t.Errorf("after setting the clock: %+v", a)
			}
			m.stop()
		})
	}
}

func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, keyFile)
		m.server.Publish(rollout, 1, version(1), agenttest.Version{})
		m.start()
		m.await(1, delivery.LevelApplied)
		m.full.Store(true)
		m.server.Publish(rollout, 2, version(2), version(1))
		time.Sleep(10 * time.Minute)
		r, _ := m.server.Last()
		if !strings.Contains(r.Trouble, "no space left") || len(r.Acks) != 1 || r.Acks[0].Generation != 1 {
			t.Errorf("on a full disk: %+v", r)
		}
		if got, kept := m.served(), m.file("secret"); got != canary+"1" || kept != got {
			t.Errorf("on a full disk it serves %q, %q", got, kept)
		}
		if n := len(m.server.Watches()); n > 60 {
			t.Errorf("on a full disk it asked %d times", n)
		}
		m.full.Store(false)
		m.await(2, delivery.LevelApplied)
		time.Sleep(time.Minute)
		if r, _ := m.server.Last(); r.Trouble != "" {
			t.Errorf("trouble stays: %s", r.Trouble)
		}
		m.stop()
	})
}

// What is older, or sealed for another place, changes nothing.
func TestOlderAndForeignBundles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, "")
		m.server.Publish(rollout, 4, version(1), agenttest.Version{})
		m.server.Publish(rollout, 5, version(2), version(1))
		m.start()
		m.await(5, delivery.LevelApplied)
		for _, late := range []int64{4, 5} {
			m.server.Offer(m.server.Seal(rollout, late, version(3), agenttest.Version{}))
			time.Sleep(time.Minute)
			if got := m.served(); got != canary+"2" {
				t.Errorf("after generation %d came late it serves %q", late, got)
			}
		}
		foreign := m.server.Seal("another", 9, version(3), agenttest.Version{})
		foreign.Rollout = rollout
		m.server.Offer(foreign)
		time.Sleep(time.Minute)
		r, _ := m.server.Last()
		if got := m.served(); got != canary+"2" || !strings.Contains(r.Trouble, "not sealed for this node") {
			t.Errorf("after a foreign bundle it serves %q, trouble %q", got, r.Trouble)
		}
		stranger := m.server.Seal("nobody's", 9, version(3), agenttest.Version{})
		m.server.Offer(stranger)
		time.Sleep(time.Minute)
		if _, _, ok := m.agent.Key("nobody's"); ok {
			t.Error("it took a rollout that it is no member of")
		}
		m.stop()
	})
}

func TestWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, keyFile)
		m.server.Publish(rollout, 1, version(1), agenttest.Version{})
		m.start()
		m.await(1, delivery.LevelApplied)
		m.server.Withdraw(rollout)
		time.Sleep(time.Minute)
		left, err := filepath.Glob(filepath.Join(m.config.State, "cache", "*"))
		if err != nil || len(left) > 0 {
			t.Errorf("the cache has %v, %v", left, err)
		}
		if got := m.served(); got != "" {
			t.Errorf("it serves %q", got)
		}
		if got := m.file("secret"); got != canary+"1" {
			t.Errorf("the file holds %q", got)
		}
		m.server.Publish(rollout, 1, version(7), agenttest.Version{}) // another rollout of this name
		time.Sleep(time.Minute)
		m.await(1, delivery.LevelApplied)
		if got := m.file("secret"); got != canary+"7" {
			t.Errorf("the file holds %q", got)
		}
		m.stop()
	})
}

// A server that answers at once with nothing is not asked without end, and one that says
// that something is stale is asked at once.
func TestStaleAndHasty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, "")
		m.server.Publish(rollout, 1, version(1), agenttest.Version{})
		m.start()
		m.await(1, delivery.LevelApplied)
		synctest.Wait() // it watches again
		before := len(m.server.Watches())
		m.server.Stale(rollout)
		time.Sleep(20 * time.Second) // within one watch
		if got := len(m.server.Watches()); got != before+1 {
			t.Errorf("%d watches, then %d", before, got)
		}
		m.server.Hasty(true)
		before = len(m.server.Watches())
		time.Sleep(time.Minute)
		m.server.Hasty(false)
		if got := len(m.server.Watches()) - before; got > 60 || got < 8 {
			t.Errorf("%d watches in a minute", got)
		}
		m.stop()
	})
}

// script writes a program of a machine and answers its path.
func (m *machine) script(name, text string) string {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.WriteFile(path+".new", []byte("#!/bin/sh\n"+text), 0o700); err != nil { //nolint:gosec // a program
		m.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		m.t.Fatal(err)
	}
	return path
}

const withReload = keyFile + `
[deliver.reload]
command = ["DIR/reload", "shop"]
splay = "20s"
`

func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, withReload)
		m.script("reload", "echo "+canary+"; exit 3\n")
		m.server.Publish(rollout, 1, version(1), agenttest.Version{})
		m.start()
		a := m.awaitAck(func(a delivery.Ack) bool { return a.Error != "" })
		if a.Level != delivery.LevelReceived || !strings.Contains(a.Error, "exit status 3") {
			t.Errorf("%+v", a)
		}
		m.script("reload", `cat "$(dirname "$0")/secret" >> "$(dirname "$0")/reloaded"; echo "$1" >> "$(dirname "$0")/reloaded"`)
		if a := m.await(1, delivery.LevelApplied); a.Error != "" {
			t.Errorf("%+v", a)
		}
		// A generation that is followed by another within the splay is not announced.
		m.server.Publish(rollout, 2, version(2), version(1))
		m.await(2, delivery.LevelReceived)
		m.server.Publish(rollout, 3, version(3), version(2))
		m.await(3, delivery.LevelApplied)
		m.restart()
		m.await(3, delivery.LevelApplied)
		time.Sleep(time.Minute)
		if diff := cmp.Diff(canary+"1shop\n"+canary+"3shop\n", m.file("reloaded")); diff != "" {
			t.Errorf("what was reloaded: %s", diff)
		}
		m.stop()
	})
}

// A generation that is not announced because another follows is not probed either: the consumer
// works with the one before.
func TestNoProbeWithoutReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, withReload+`
[deliver.probe]
command = ["DIR/probe"]
interval = "10s"
`)
		m.script("reload", `cd "$(dirname "$0")" && cp secret seen`)
		m.script("probe", `cd "$(dirname "$0")" && cmp -s secret seen || echo early >> early`)
		m.server.Publish(rollout, 1, version(1), agenttest.Version{})
		m.start()
		m.await(1, delivery.LevelUsed)
		m.server.Publish(rollout, 2, version(2), version(1))
		m.await(2, delivery.LevelReceived)
		m.server.Publish(rollout, 3, version(3), version(2))
		m.await(3, delivery.LevelUsed)
		if _, err := os.Stat(filepath.Join(m.dir, "early")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("it was probed before it was told: %v", err)
		}
		m.stop()
	})
}

// A program that counts without end does not make the server refuse what the node reports.
func TestUsesWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, "")
		m.server.Publish(rollout, 2, version(2), version(1))
		m.start()
		m.await(2, delivery.LevelApplied)
		for range 2 {
			m.agent.Use(rollout, delivery.Use{Version: version(2).ID, Result: delivery.ResultRefused, Times: math.MaxInt})
		}
		m.awaitAck(func(a delivery.Ack) bool { return a.Refused == 1<<40 })
		m.stop()
	})
}

// A template that asks for a part that is not there writes nothing at all.
func TestMissingPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, keyFile+`
[[deliver.file]]
path = "DIR/broken"
template = "one line\n{{.Primary.certificate}} {{.Primary.access_key_secret}}"
`)
		m.server.Publish(rollout, 1, version(1), agenttest.Version{})
		m.start()
		a := m.awaitAck(func(a delivery.Ack) bool { return a.Error != "" })
		if a.Level != delivery.LevelReceived || !strings.Contains(a.Error, m.dir+"/broken: ") || !strings.Contains(a.Error, "2:10 at <.Primary.certificate>: the key has no such part") {
			t.Errorf("%+v", a)
		}
		if _, err := os.Stat(filepath.Join(m.dir, "secret")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a file was written: %v", err)
		}
		m.stop()
	})
}

const withProbe = keyFile + `
[deliver.probe]
command = ["DIR/probe"]
interval = "10s"
`

func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, withProbe)
		m.script("probe", "exit 7\n")
		m.server.Publish(rollout, 1, version(1), agenttest.Version{})
		m.start()
		a := m.awaitAck(func(a delivery.Ack) bool { return a.Error != "" })
		if a.Level != delivery.LevelApplied || !strings.Contains(a.Error, "probe: ") {
			t.Errorf("%+v", a)
		}
		m.script("probe", `grep -q 1 "$(dirname "$0")/secret"`) // works with the first version only
		if a := m.await(1, delivery.LevelUsed); a.Error != "" || a.UsedAgo == nil {
			t.Errorf("%+v", a)
		}
		m.server.Publish(rollout, 2, version(2), version(1))
		if a := m.awaitAck(func(a delivery.Ack) bool { return a.Generation == 2 && a.Error != "" }); a.Level != delivery.LevelApplied {
			t.Errorf("%+v", a)
		}
		m.stop()
	})
}

// A probe that always succeeds is believed only until a program says otherwise.
func TestProbeLies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, withProbe)
		m.script("probe", "exit 0\n")
		m.server.Publish(rollout, 2, version(2), version(1))
		m.start()
		m.await(2, delivery.LevelUsed)
		m.agent.Use(rollout, delivery.Use{Version: version(2).ID, Result: delivery.ResultRefused, Times: 3})
		m.agent.Use(rollout, delivery.Use{Version: version(1).ID, Result: delivery.ResultUsed, Times: 3})
		m.agent.Use(rollout, delivery.Use{Version: version(1).ID, Result: delivery.ResultUsed, Times: 3, Instead: true})
		a := m.awaitAck(func(a delivery.Ack) bool { return a.Level == delivery.LevelApplied && a.Fallbacks == 3 }) // who did not know of the new one yet does not count
		if a.Refused != 3 || a.FallbackAgo == nil || !strings.Contains(a.Error, "refused") {
			t.Errorf("%+v", a)
		}
		time.Sleep(time.Minute) // probes go on
		m.restart()
		time.Sleep(time.Minute)
		if a := m.await(2, delivery.LevelApplied); a.Refused != 3 {
			t.Errorf("after a restart: %+v", a)
		}
		m.agent.Use(rollout, delivery.Use{Version: version(2).ID, Result: delivery.ResultUsed})
		if a := m.await(2, delivery.LevelUsed); a.Error != "" {
			t.Errorf("%+v", a)
		}
		m.stop()
	})
}

// What a program did before it heard of a generation is a use of the old version, and no
// trouble with the new one.
func TestUsesOfTheGenerationBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, "")
		m.server.Publish(rollout, 2, version(2), version(1))
		m.start()
		m.await(2, delivery.LevelApplied)
		m.agent.Use(rollout, delivery.Use{Version: version(1).ID, Result: delivery.ResultUsed, Times: 100})
		m.agent.Use(rollout, delivery.Use{Version: version(2).ID, Result: delivery.ResultUsed})
		if a := m.await(2, delivery.LevelUsed); a.Fallbacks != 0 || a.FallbackAgo == nil || a.Refused != 0 {
			t.Errorf("%+v", a)
		}
		m.stop()
	})
}

// A probe that began before a generation was applied says nothing about it.
func TestProbeOfAnotherGeneration(t *testing.T) {
	var m *machine
	calls := 0
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls++
		switch calls {
		case 1:
			m.server.Publish(rollout, 2, version(2), version(1))
			m.await(2, delivery.LevelReceived)
		default:
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	defer shop.Close()
	m = newMachine(t, keyFile+"\n[deliver.probe]\nurl = \""+shop.URL+"\"\n")
	m.server.Publish(rollout, 1, version(1), agenttest.Version{})
	m.start()
	a := m.awaitAck(func(a delivery.Ack) bool { return a.Generation == 2 && a.Error != "" })
	if a.Level != delivery.LevelApplied || a.UsedAgo != nil || !strings.Contains(a.Error, "418 instead of 200") {
		t.Errorf("%+v", a)
	}
	m.stop()
}

// A file that somebody changed is put right, and its consumer told.
func TestChangedFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, withReload)
		m.script("reload", `cp "$(dirname "$0")/secret" "$(dirname "$0")/seen"`)
		m.server.Publish(rollout, 1, version(1), agenttest.Version{})
		m.start()
		m.await(1, delivery.LevelApplied)
		before, err := os.Stat(filepath.Join(m.dir, "key.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, how := range []func(path string) error{
			os.Remove,
			func(path string) error { return os.WriteFile(path, []byte("rubbish"), 0o600) },
			func(path string) error { return os.Chmod(path, 0o604) },
			func(path string) error { return errors.Join(os.Remove(path), os.Symlink("elsewhere", path)) },
		} {
			if err := errors.Join(how(filepath.Join(m.dir, "secret")), os.Remove(filepath.Join(m.dir, "seen"))); err != nil {
				t.Fatal(err)
			}
			m.restart()
			time.Sleep(time.Minute)
			m.await(1, delivery.LevelApplied)
			info, err := os.Lstat(filepath.Join(m.dir, "secret"))
			if err != nil || info.Mode() != 0o600 || m.file("secret") != canary+"1" || m.file("seen") != canary+"1" {
				t.Errorf("%v, %v: %q, seen %q", info, err, m.file("secret"), m.file("seen"))
			}
		}
		if after, err := os.Stat(filepath.Join(m.dir, "key.json")); err != nil || !os.SameFile(before, after) {
			t.Errorf("a file that was right was written again: %v", err)
		}
		m.stop()
	})
}

// No secret is in the log, the status, an error or, in the clear, the state directory.
func TestCanary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, withProbe)
		m.script("probe", "cat \"$(dirname \"$0\")/secret\"; exit 1\n")
		m.server.Publish(rollout, 1, version(1), agenttest.Version{})
		m.server.Publish(rollout, 2, agenttest.Version{ID: version(2).ID, Value: "\xff" + canary}, version(1))
		m.start()
		time.Sleep(time.Minute)
		m.server.Publish(rollout, 3, version(3), version(1))
		m.awaitAck(func(a delivery.Ack) bool { return a.Generation == 3 && a.Error != "" })
		m.agent.Use(rollout, delivery.Use{Version: version(3).ID, Result: delivery.ResultRefused})
		time.Sleep(time.Minute)
		r, _ := m.server.Last()
		m.stop()
		shown := map[string]string{"log": m.log.String(), "status": cmp.Diff(nil, m.agent.Status()), "report": cmp.Diff(nil, r)}
		err := filepath.WalkDir(m.config.State, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			shown[path] = string(content)
			return err
		})
		if err != nil || len(shown) < 8 {
			t.Fatalf("%v, %d places", err, len(shown))
		}
		for where, text := range shown {
			if strings.Contains(text, canary) || strings.Contains(text, agenttest.Token) {
				t.Errorf("%s has a secret: %s", where, text)
			}
		}
	})
}
