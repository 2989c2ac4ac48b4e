package host_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/leak/host"
)

// A key that a running process of this machine was given is found.
func TestThisMachine(t *testing.T) {
	child := exec.Command("sleep", "600")
	child.Env = []string{"TOKEN=" + secret(t, 50)}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = child.Process.Kill()
		_ = child.Wait() // it was killed
	})
	s := newSearch(t)
	if err := host.Look(t.Context(), "/", "", s); err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Findings() {
		for _, l := range f.Locations {
			if strings.HasPrefix(l.Path, fmt.Sprintf("/proc/%d/environ", child.Process.Pid)) {
				return
			}
		}
	}
	t.Errorf("the process was not found; coverage %+v", s.Coverage())
}
