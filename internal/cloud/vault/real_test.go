package vault_test

import (
	"context"
	"net"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/sink"
)

// TestContractOfVault holds the contract against a Vault or an OpenBao in development
// mode. It may be skipped, in CI too: it is asked for where one of them is installed.
func TestContractOfVault(t *testing.T) {
	found := false
	for _, name := range []string{"vault", "bao"} {
		program, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		found = true
		t.Run(name, func(t *testing.T) {
			url := startReal(t, program)
			contract(t, target(t, url, nil), func(path string) {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, url+"/v1/secret/data/"+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("X-Vault-Token", "fake-token")
				resp, err := http.DefaultClient.Do(r)
				if err != nil || resp.StatusCode/100 != 2 {
					t.Fatalf("deleting: %v, %v", resp, err)
				}
				_ = resp.Body.Close() // it has none
			})
		})
	}
	if !found {
		t.Skip("neither vault nor bao is installed, so the contract is held against the simulator only")
	}
}

// startReal starts a server in development mode, whose mount "secret" is of KV version 2.
func startReal(t *testing.T, program string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close() // the server takes the port
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "server", "-dev", "-dev-no-store-token", "-dev-root-token-id=fake-token", "-dev-listen-address="+address)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
	})
	var k sink.Target = target(t, "http://"+address, nil)
	for end := time.Now().Add(30 * time.Second); ; {
		err := k.Check(t.Context())
		if err == nil {
			return "http://" + address
		}
		if time.Now().After(end) {
			t.Fatalf("it does not serve: %v", err)
		}
		time.Sleep(100 * time.Millisecond) // a process starts on its own time; there is nothing to wait on
	}
}
