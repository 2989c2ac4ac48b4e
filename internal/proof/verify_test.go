package proof

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/storetest"
)

// allowance is what the verification of a million records may take on one core.
const allowance = 20 * time.Second

// TestVerificationTime writes KEYWARD_ENTRIES records through the log into a real SQLite
// database and has the real binary verify them, on one core, in every form. The CPU time
// that it takes, which other programs on the machine do not change much, is compared with
// the allowance, in proportion; a small run, which is mostly the start of a process, is
// only printed.
func TestVerificationTime(t *testing.T) {
	entries := int(number(t, "KEYWARD_ENTRIES", 5000))
	url := storetest.SQLite(t)
	key := fill(t, url, entries)
	binary, dir := build(t), t.TempDir()
	export, tiles := filepath.Join(dir, "export"), filepath.Join(dir, "tiles")
	keyward(t, binary, "audit", "export", "--database", url, "--out", export)
	keyward(t, binary, "audit", "export", "--database", url, "--tiles", tiles)
	for form, args := range map[string][]string{"database": {"--database", url}, "export": {"--export", export}, "tiles": {tiles}} {
		start := time.Now()
		out, cpu := keyward(t, binary, append([]string{"audit", "verify", "--public-key", key}, args...)...)
		took := time.Since(start)
		if !strings.Contains(out, fmt.Sprintf("%d records, complete and in order", entries)) {
			t.Fatalf("%s: %s", form, out)
		}
		t.Logf("%s: %d records verified in %.2f s of CPU time on one core (%.2f s on this busy or idle machine)", form, entries, cpu.Seconds(), took.Seconds())
		if entries >= 1e6 && cpu > allowance*time.Duration(entries)/1e6 {
			t.Errorf("%s: %s is more than %s for a million", form, cpu, allowance)
		}
	}
}

// keyward runs the binary on one core and answers what it wrote and the CPU time it took.
func keyward(t *testing.T, binary string, args ...string) (string, time.Duration) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("keyward %v: %v\n%s", args, err, out)
	}
	return string(out), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// fill writes records of the usual kind and answers the log's public key.
func fill(t *testing.T, url string, entries int) string {
	t.Helper()
	n := storetest.Start(t, storetest.Options{URL: url, Origin: "keyward/node-1", Keys: sealtest.Keyring(t), Now: time.Now, Changed: func(string, string) {}})
	var callers sync.WaitGroup
	const concurrent = 512
	for i := range concurrent {
		callers.Go(func() {
			for j := i; j < entries; j += concurrent {
				if err := n.Log.Append(t.Context(), usual(j)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
	logs, err := n.DB.Logs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n.StopLog()
	if err := n.DB.Close(); err != nil {
		t.Fatal(err)
	}
	return logs[0].PublicKey
}

// usual is a record as an encryption leaves it.
func usual(i int) *audit.Record {
	call := &authz.Call{
		Principal: authz.Principal{Account: "3039834030970677", Kind: authz.User, Name: "payments", AccessKey: "KWAKFAKEFAKEFAKEFAKEFADD64LT"}, Time: time.Now(),
		RequestID: fmt.Sprintf("1BF5FF9C-B6B5-4C65-9974-%012d", i),
		Scheme:    "ACS3-HMAC-SHA256", UserAgent: "AlibabaCloud (linux; amd64) Golang/1.26 Core/0.01 TeaDSL/1", Nonce: fmt.Appendf(nil, "%08d12345678", i),
	}
	r := audit.NewRecord(call, "kms:Encrypt")
	r.Resource, r.Version = "acs:kms:cn-hangzhou:3039834030970677:key/key-66fqmfn5bbsfo34eaxdeqwi42m", "kv-66fqmfn5bbsfo34eaxdeqwi42m"
	r.Decision, r.Result = "allowed by Payments/1", audit.ResultOK
	r.Param("algorithm", "AES_256_GCM")
	return r
}
