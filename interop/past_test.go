package interop_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
	"github.com/google/go-cmp/cmp"
)

// pastDays is how far the clock of the past is behind: more than the shortest rotation
// interval and deletion window, which are seven days.
const pastDays = 8

// A patch replaces a text of one file of the program.
type patch struct{ file, old, new string }

// The patches that tests build the program with.
var (
	// behind has a clock that is behind.
	behind = patch{"internal/cli/servecmd/serve.go", "Now: time.Now, Searcher", "Now: func() time.Time { return time.Now().AddDate(0, 0, -8) }, Searcher"}
	// hasty believes a clock that has stood for a second.
	hasty = patch{"internal/clock/clock.go", "Settle = 10 * time.Minute", "Settle = time.Second"}
	// old has served for months after some seconds.
	old = patch{"internal/clock/clock.go", "w.mark.Served += awake - w.awake", "w.mark.Served += 1_000_000 * (awake - w.awake)"}
	// fickle has a clock that is as much off as the file "offset" says.
	fickle = patch{"internal/cli/servecmd/serve.go", "Now: time.Now, Searcher", `Now: func() time.Time {
		content, _ := os.ReadFile(filepath.Join(cfg.DataDir, "offset"))
		offset, _ := time.ParseDuration(string(content))
		return time.Now().Add(offset)
	}, Searcher`}
)

// buildPatched builds the program with patches, and changes nothing else.
func buildPatched(t *testing.T, patches ...patch) string {
	t.Helper()
	dir := t.TempDir()
	sources := map[string][]byte{}
	for _, p := range patches {
		if sources[p.file] == nil {
			sources[p.file] = must(os.ReadFile(filepath.Join("..", p.file)))(t)
		}
		patched := bytes.Replace(sources[p.file], []byte(p.old), []byte(p.new), 1)
		if bytes.Equal(sources[p.file], patched) {
			t.Fatalf("%s does not say %q any more", p.file, p.old)
		}
		sources[p.file] = patched
	}
	replaced := map[string]string{}
	for file, source := range sources {
		copied := filepath.Join(dir, filepath.Base(file))
		succeed(t, os.WriteFile(copied, source, 0o600))
		replaced[must(filepath.Abs(filepath.Join("..", file)))(t)] = copied
	}
	overlay, program := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "keyward")
	succeed(t, os.WriteFile(overlay, must(json.Marshal(map[string]any{"Replace": replaced}))(t), 0o600))
	succeed(t, build(program, "-overlay", overlay))
	return program
}

// A past is an account on a server whose clock is behind. The SDK's clock is not, so the
// requests are signed here.
type past struct {
	*testing.T
	account
}

// do makes a call that succeeds.
func (p past) do(action string, params ...pair) answer {
	p.Helper()
	got := send(p, rpc(p.account, call{action: action, params: params, at: time.Now().AddDate(0, 0, -pastDays)}))
	if got.refusal != ok {
		p.Fatalf("%s answers %v", action, got.body)
	}
	return got
}

func (p past) create(params ...pair) handle {
	p.Helper()
	k := p.do("CreateKey", params...)
	return handle{k.member(p, "KeyMetadata", "KeyId"), k.member(p, "KeyMetadata", "PrimaryKeyVersion"), k.member(p, "KeyMetadata", "Arn")}
}

func (p past) encrypt(k handle) string {
	p.Helper()
	return p.do("Encrypt", pair{"KeyId", k.id}, pair{"Plaintext", *encoded("old")}).member(p, "CiphertextBlob")
}

func (p past) delete(k handle, days string) {
	p.Helper()
	p.do("ScheduleKeyDeletion", pair{"KeyId", k.id}, pair{"PendingWindowInDays", days})
}

// TestPast has a server of eight days ago begin what takes seven, and lets the released
// one, started today, see it through: rotation, a new version by hand. It deletes
// nothing, for the service has not served for seven days; one that has does.
func TestPast(t *testing.T) {
	t.Parallel()
	program, served := buildPatched(t, behind), buildPatched(t, hasty, old)
	onOwn(t, func(t *testing.T, o options) {
		o.program = program
		s := newServer(t, o)
		a := s.account(t)
		then := past{t, a}
		rotates := []pair{{"EnableAutomaticRotation", "true"}, {"RotationInterval", "7d"}}
		rotating, byHand, signing, suspended := then.create(rotates...), then.create(), then.create(pair{"KeySpec", p256}), then.create(rotates...)
		gone, stays, saved := then.create(), then.create(), then.create()
		old := map[handle]string{rotating: then.encrypt(rotating), byHand: then.encrypt(byHand), suspended: then.encrypt(suspended)}
		then.do("DisableKey", pair{"KeyId", suspended.id})
		then.delete(gone, "7")
		then.delete(stays, "9")
		then.delete(saved, "7")
		then.do("CancelKeyDeletion", pair{"KeyId", saved.id})
		succeed(t, s.stop())

		s.program = world.program
		s.restart(t)
		c := a.sdk(t)
		await(t, "the key is rotated", func() bool { return *describe(t, c, rotating.id).PrimaryKeyVersion != rotating.version })
		if m := describe(t, c, suspended.id); *m.PrimaryKeyVersion != suspended.version || *m.AutomaticRotation != "Suspended" {
			t.Errorf("the disabled key is %v", m)
		}
		if state := *describe(t, c, gone.id).KeyState; state != "PendingDeletion" {
			t.Errorf("by a clock that nobody saw going, the key is %s", state)
		}
		for _, k := range []handle{byHand, signing} {
			v := must(c.CreateKeyVersion(&kms.CreateKeyVersionRequest{KeyId: &k.id}))(t).Body.KeyVersion
			if *v.KeyId != k.id || *v.KeyVersionId == k.version {
				t.Errorf("the new version is %v", v)
			}
			refused(c.CreateKeyVersion(&kms.CreateKeyVersionRequest{KeyId: &k.id}))(t, 400, unsupportedOperation)
		}
		must(c.EnableKey(&kms.EnableKeyRequest{KeyId: &suspended.id}))(t)
		await(t, "the key that was disabled is rotated", func() bool { return *describe(t, c, suspended.id).PrimaryKeyVersion != suspended.version })
		for k, blob := range old {
			checkRotated(t, c, k, blob)
		}
		checkOldSignature(t, c, signing)

		succeed(t, s.stop())
		s.program = served
		s.restart(t)
		await(t, "the key is deleted", func() bool {
			return refusalOf(outcome(c.DescribeKey(&kms.DescribeKeyRequest{KeyId: &gone.id}))) == refusal{404, keyNotFound}
		})
		if stays, saved := describe(t, c, stays.id), describe(t, c, saved.id); *stays.KeyState != "PendingDeletion" || *saved.KeyState != "Enabled" {
			t.Errorf("the key to be deleted tomorrow is %s, the one that was saved %s", *stays.KeyState, *saved.KeyState)
		}
	})
}

// await waits for what the server does by itself.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(time.Minute); !done(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited a minute until %s", what)
		}
	}
}

// checkRotated checks a key that has got a second version: what was encrypted with the
// first is decrypted with it, what is encrypted now takes the second.
func checkRotated(t *testing.T, c *kms.Client, k handle, old string) {
	t.Helper()
	primary := *describe(t, c, k.id).PrimaryKeyVersion
	opened := must(c.Decrypt(&kms.DecryptRequest{CiphertextBlob: &old}))(t).Body
	if string(decoded(t, opened.Plaintext)) != "old" || *opened.KeyVersionId != k.version {
		t.Errorf("what was encrypted with version %s is decrypted with %s", k.version, *opened.KeyVersionId)
	}
	if got := must(c.Encrypt(&kms.EncryptRequest{KeyId: &k.id, Plaintext: encoded("new")}))(t).Body; *got.KeyVersionId != primary || primary == k.version {
		t.Errorf("encrypted with version %s, the primary one is %s", *got.KeyVersionId, primary)
	}
	moved := must(c.ReEncrypt(&kms.ReEncryptRequest{CiphertextBlob: &old, DestinationKeyId: &k.id}))(t).Body
	if *moved.KeyVersionId != primary {
		t.Errorf("re-encrypted with version %s", *moved.KeyVersionId)
	}
	list := must(c.ListKeyVersions(&kms.ListKeyVersionsRequest{KeyId: &k.id}))(t).Body
	got := []string{}
	for _, v := range list.KeyVersions.KeyVersion {
		got = append(got, *v.KeyVersionId)
		one := must(c.DescribeKeyVersion(&kms.DescribeKeyVersionRequest{KeyId: &k.id, KeyVersionId: v.KeyVersionId}))(t).Body.KeyVersion
		if *one.CreationDate != *v.CreationDate || *one.KeyId != k.id {
			t.Errorf("version %s is %v and %v", *v.KeyVersionId, v, one)
		}
	}
	slices.Sort(got)
	want := []string{k.version, primary}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" || *list.TotalCount != 2 {
		t.Errorf("%d versions (-want +got):\n%s", *list.TotalCount, diff)
	}
}

// checkOldSignature signs with each version of a key that has two.
func checkOldSignature(t *testing.T, c *kms.Client, k handle) {
	t.Helper()
	var keys [][]byte
	for page := range int32(3) { // the third is empty
		in := &kms.ListKeyVersionsRequest{KeyId: &k.id, PageNumber: new(page + 1), PageSize: new(int32(1))}
		list := must(c.ListKeyVersions(in))(t).Body.KeyVersions.KeyVersion
		if len(list) == 0 {
			break
		}
		v := list[0]
		version := handle{id: k.id, version: *v.KeyVersionId, arn: k.arn}
		der := publicKey(t, c, version)
		signed(t, c, version, signing{p256, "ECDSA_SHA_256", der, verifyP256})
		keys = append(keys, der)
	}
	if len(keys) != 2 || bytes.Equal(keys[0], keys[1]) {
		t.Errorf("the key has %d versions, or two alike", len(keys))
	}
}
