package proof

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

// memoryKeys answers how many keys are used and looked for: KEYWARD_MEMORY_KEYS, or a short run.
func memoryKeys(t *testing.T) int {
	n, err := strconv.Atoi(cmp.Or(os.Getenv("KEYWARD_MEMORY_KEYS"), "60"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestMemory (L26: Storm-0558 began with a signing key in a crash dump) uses many keys over
// several connections and looks for every known secret in the whole memory of the real
// server: while the keys are in use, where some must be found or the search proves
// nothing; after they were idle, disabled or deleted; and after the server was sealed. A
// core dump holds less than what is searched.
func TestMemory(t *testing.T) {
	n := memoryKeys(t)
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("KEYWARD_MEMORY_SEED"), strconv.FormatInt(time.Now().UnixNano(), 10)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("seed %d, %d keys", seed, n)
	s := initializeServer(t, build(t), "")
	s.kill()
	forgetSoon(t, s.home)
	s.start()

	u := &heavyUser{t: t, server: s}
	u.use(n, seed)
	inUse := readMemory(t, s.cmd.Process.Pid)
	idleConnections := u.found(inUse)
	u.leave()
	idle := u.settle()
	if err := client.Operator(s.socket).Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	sealed := readMemory(t, s.cmd.Process.Pid)
	s.kill()

	keys, always := openMaterial(t, s)
	scan := newScanner(t, keys)
	if live := scan.scan(inUse, func(string, *finding) {}); len(live) == 0 {
		t.Errorf("of %d keys just used none was found: the search proves nothing", len(keys))
	} else {
		t.Logf("just used: %d of %d keys in %d MB of memory, and %d of %d plaintexts and secrets of requests on open connections",
			len(live), len(keys), total(inUse)>>20, idleConnections, len(u.secrets))
	}
	gone := append(keys, u.secrets...)
	gone = append(gone, knownBytes("passphrase", []byte(passphrase)), knownBytes("first access key", []byte(s.key.AccessKeySecret)))
	for _, phase := range []struct {
		name    string
		areas   []area
		secrets []known
	}{{"idle", idle, gone}, {"sealed", sealed, append(gone, always...)}} {
		found := newScanner(t, phase.secrets).scan(phase.areas, func(where string, f *finding) {
			t.Errorf("%s: %s, %s, is at %s", phase.name, phase.secrets[f.of].name, f.form, where)
		})
		t.Logf("%s: %d of %d known secrets in %d MB of memory", phase.name, len(found), len(phase.secrets), total(phase.areas)>>20)
	}
}

// forgetSoon sets how long keys stay in memory to the least possible.
func forgetSoon(t *testing.T, dir string) {
	f, err := os.OpenFile(filepath.Join(dir, "config.toml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, "[seal]\nforget_keys_after = \"1s\"\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// A heavyUser uses the server over connections of its own and remembers what it knows.
type heavyUser struct {
	t      *testing.T
	server *server
	web    http.Transport

	mu      sync.Mutex // guards secrets
	secrets []known    // of requests and answers
}

// RoundTrip implements http.RoundTripper.
func (u *heavyUser) RoundTrip(r *http.Request) (*http.Response, error) { return u.web.RoundTrip(r) }

func (u *heavyUser) know(name string, secret []byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.secrets = append(u.secrets, knownBytes(name, secret))
}

func (u *heavyUser) client(id, secret string) *client.Client {
	c, err := client.New(client.Config{Endpoint: "http://" + u.server.address, AccessKeyID: id, AccessKeySecret: secret,
		HTTPClient: &http.Client{Transport: u}, Timeout: time.Minute})
	if err != nil {
		u.t.Fatal(err)
	}
	return c
}

// use creates and uses n keys, of every kind.
func (u *heavyUser) use(n int, seed uint64) {
	admin := u.client(u.server.key.AccessKeyID, string(u.server.key.AccessKeySecret))
	var running sync.WaitGroup
	next := make(chan int)
	for range 8 {
		running.Go(func() {
			for i := range next {
				if err := u.useOne(u.t.Context(), admin, i, rand.New(rand.NewPCG(seed, uint64(i)))); err != nil {
					u.t.Errorf("key %d: %v", i, err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	running.Wait()
}

// useOne uses one key, and every tenth time an access key of a new user, who may do nothing.
func (u *heavyUser) useOne(ctx context.Context, c *client.Client, i int, random *rand.Rand) error {
	if i%10 == 0 {
		if err := u.useAccessKey(ctx, c, fmt.Sprintf("user-%d", i)); err != nil {
			return err
		}
	}
	switch {
	case i%50 == 7:
		return u.sign(ctx, c, "RSA_2048", "RSA_PSS_SHA_256")
	case i%10 == 3:
		return u.sign(ctx, c, "EC_P256", "ECDSA_SHA_256")
	case i%10 == 5:
		return u.sign(ctx, c, "EC_SM2", "SM2DSA")
	case i%10 == 8:
		return u.sign(ctx, c, "EC_P256K", "ECDSA_SHA_256")
	}
	return u.encrypt(ctx, c, i, random)
}

func (u *heavyUser) useAccessKey(ctx context.Context, c *client.Client, name string) error {
	if _, err := c.CreateUser(ctx, api.CreateUserRequest{Name: name}); err != nil {
		return err
	}
	issued, err := c.CreateAccessKey(ctx, name, api.CreateAccessKeyRequest{})
	if err != nil {
		return err
	}
	u.know("access key of "+name, []byte(issued.Secret))
	if _, err := u.client(issued.AccessKey.ID, string(issued.Secret)).CreateKey(ctx, api.CreateKeyRequest{}); err == nil {
		return fmt.Errorf("%s may create keys", name)
	}
	return nil
}

func (u *heavyUser) sign(ctx context.Context, c *client.Client, spec, algorithm string) error {
	key, err := c.CreateKey(ctx, api.CreateKeyRequest{Spec: spec})
	if err != nil {
		return err
	}
	for range 3 {
		_, err = c.Sign(ctx, api.SignRequest{Key: key.ID, Version: key.PrimaryVersion, Algorithm: algorithm, Digest: make([]byte, 32)})
		if err != nil {
			return err
		}
	}
	return nil
}

// encrypt encrypts, decrypts and makes a data key; afterwards it disables some of the
// keys and deletes none: an hour is the least that a deletion waits.
func (u *heavyUser) encrypt(ctx context.Context, c *client.Client, i int, random *rand.Rand) error {
	spec := "Aliyun_AES_256"
	if i%10 == 1 {
		spec = "Aliyun_SM4"
	}
	key, err := c.CreateKey(ctx, api.CreateKeyRequest{Spec: spec})
	if err != nil {
		return err
	}
	plaintext := make([]byte, 24+random.IntN(1000))
	for i := range plaintext {
		plaintext[i] = byte(random.Uint32())
	}
	u.know(fmt.Sprintf("plaintext %d", i), plaintext)
	sealed, err := c.Encrypt(ctx, api.EncryptRequest{Key: key.ID, Plaintext: plaintext, Context: map[string]string{"a": "b"}})
	if err != nil {
		return err
	}
	if _, err := c.Decrypt(ctx, api.DecryptRequest{Ciphertext: sealed.Ciphertext, Context: map[string]string{"a": "b"}}); err != nil {
		return err
	}
	data, err := c.GenerateDataKey(ctx, api.DataKeyRequest{Key: key.ID, Size: 32})
	if err != nil {
		return err
	}
	u.know(fmt.Sprintf("data key %d", i), data.Plaintext)
	if i%10 == 4 {
		return c.DisableKey(ctx, key.ID)
	}
	return u.refused(plaintext)
}

// refused sends a plaintext over the RPC API, unsigned.
func (u *heavyUser) refused(plaintext []byte) error {
	form := url.Values{"Action": {"Encrypt"}, "Version": {"2016-01-20"}, "Plaintext": {base64.StdEncoding.EncodeToString(plaintext)}}
	resp, err := (&http.Client{Transport: u}).PostForm("http://"+u.server.address+"/", form)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode < 400 {
		return fmt.Errorf("an unsigned request: status %d, %w", resp.StatusCode, err)
	}
	return nil
}

// found counts the secrets of requests that are in memory.
func (u *heavyUser) found(areas []area) int {
	return len(newScanner(u.t, u.secrets).scan(areas, func(string, *finding) {}))
}

// leave closes the connections.
func (u *heavyUser) leave() { u.web.CloseIdleConnections() }

// settle answers the memory once idle keys must have been forgotten, which takes up to two
// seconds here, and nothing of the requests is found in it, or after fifteen seconds.
func (u *heavyUser) settle() (areas []area) {
	deadline := time.Now().Add(15 * time.Second)
	time.Sleep(2 * time.Second)
	for {
		u.leave() // a connection may have become idle only now
		areas = readMemory(u.t, u.server.cmd.Process.Pid)
		if u.found(areas) == 0 || time.Now().After(deadline) {
			return areas
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// knownHMAC is a secret that is the key of an HMAC-SHA256: it lies in memory also as the
// first block of both hashes, and as their states after that block, which serve as well.
func knownHMAC(t *testing.T, name string, secret []byte) known {
	k := knownBytes(name, secret)
	for pad, label := range map[byte]string{0x36: "inner", 0x5c: "outer"} {
		block := make([]byte, sha256.BlockSize)
		copy(block, secret)
		for i := range block {
			block[i] ^= pad
		}
		h := sha256.New()
		h.Write(block)
		state, err := h.(interface{ AppendBinary([]byte) ([]byte, error) }).AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		k.forms[label+" pad"] = block[:len(secret)]
		k.forms[label+" state"] = state[4:36]
		k.forms[label+" state, little endian"] = swapped(state[4:36])
	}
	return k
}
