package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/keyward/keyward/internal/hsm/hsmtest"
)

// startToken makes a token of SoftHSM 2 in a directory, starts the helper before it and answers the
// helper's socket, and what stops it.
func startToken(ctx context.Context, dir string) (socket string, stop func(), err error) {
	module := hsmtest.Module()
	if module == "" {
		return "", nil, errors.New("SoftHSM 2 is not installed; run make deps, or choose other -operations")
	}
	path := func(name string) string { return filepath.Join(dir, name) }
	configuration, environment := "directories.tokendir = "+path("tokens")+"\nlog.level = ERROR\n", append(os.Environ(), "SOFTHSM2_CONF="+path("softhsm2.conf"))
	err = errors.Join(os.Mkdir(path("tokens"), 0o700), os.WriteFile(path("softhsm2.conf"), []byte(configuration), 0o600),
		os.WriteFile(path("pin"), []byte(hsmtest.PIN+"\n"), 0o600), hsmtest.Build(ctx, path("keyward-pkcs11")))
	if err != nil {
		return "", nil, err
	}
	tool := exec.CommandContext(ctx, "softhsm2-util", "--init-token", "--free", "--label", hsmtest.Label, "--so-pin", "fake-so-pin", "--pin", hsmtest.PIN)
	tool.Env = environment
	if out, err := tool.CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("making a token: %w\n%s", err, out)
	}
	helper := exec.Command(path("keyward-pkcs11"), "--module", module, "--token", hsmtest.Label, "--socket", path("socket"), "--pin-file", path("pin"))
	helper.Env = environment // what it logs is of no interest: what it cannot do, the server's log tells
	if err := helper.Start(); err != nil {
		return "", nil, fmt.Errorf("starting the helper: %w", err)
	}
	return path("socket"), func() {
		_ = helper.Process.Kill() // it may be gone
		_ = helper.Wait()         // it says that it was killed
	}, nil
}
