package password_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/material/password"
)

var cheap = password.Cost{MemoryKiB: 64, Time: 1, Threads: 1}

func text(s string) material.Bytes { return material.NewBytes([]byte(s)) }

func TestVerify(t *testing.T) {
	h := password.New(cheap, 1, 1)
	hash, err := h.Hash(t.Context(), text("fake horse battery"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(hash.Expose()), "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Errorf("the hash is %s", hash.Expose())
	}
	again, err := h.Hash(t.Context(), text("fake horse battery"))
	if err != nil || again.Equal(hash) {
		t.Error("two hashes of one password are alike", err)
	}
	for word, want := range map[string]bool{"fake horse battery": true, "fake horse batterY": false, "": false} {
		if right, old, err := h.Verify(t.Context(), text(word), hash); right != want || old || err != nil {
			t.Errorf("%q: %t, %t, %v", word, right, old, err)
		}
	}
	if right, _, err := h.Verify(t.Context(), text("fake horse battery"), h.Decoy()); right || err != nil {
		t.Error("the decoy has a password", err)
	}
	dearer := password.New(password.Cost{MemoryKiB: 128, Time: 2, Threads: 1}, 1, 1)
	if right, old, err := dearer.Verify(t.Context(), text("fake horse battery"), hash); !right || !old || err != nil {
		t.Errorf("of another cost: %t, %t, %v", right, old, err)
	}
}

// There is one spelling of a hash, and no cost that would exhaust the machine.
func TestOtherSpellingsAreNoHashes(t *testing.T) {
	h := password.New(cheap, 1, 1)
	made, err := h.Hash(t.Context(), text("x"))
	if err != nil {
		t.Fatal(err)
	}
	good := string(made.Expose())
	for _, bad := range []string{
		"", "$", "x" + good, good + "x", good + " ", strings.Replace(good, "m=64", "m=064", 1), strings.Replace(good, "m=64", "m=+64", 1), strings.Replace(good, "m=64", "m=4", 1),
		strings.Replace(good, "m=64", "m=4294967295", 1), strings.Replace(good, "t=1", "t=0", 1), strings.Replace(good, "t=1", "t=65", 1), strings.Replace(good, "p=1", "p=0", 1),
		strings.Replace(good, "argon2id", "argon2i", 1), strings.Replace(good, "v=19", "v=16", 1), good[:len(good)-1], strings.Replace(good, "$m", "$\nm", 1),
	} {
		if _, _, err := h.Verify(t.Context(), text("x"), text(bad)); err == nil {
			t.Errorf("%q is taken for a hash", bad)
		}
	}
}

// No more work at once than there is room for, and who finds no place to wait is told so.
func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := password.New(cheap, 1, 2)
		leave := password.Occupy(h)
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error, 3)
		for range 3 {
			go func() {
				_, err := h.Hash(ctx, text("x"))
				results <- err
			}()
		}
		synctest.Wait() // two wait, one is turned away
		if err := <-results; !fault.Is(err, fault.Throttled) {
			t.Errorf("the third: %v", err)
		}
		leave()
		for range 2 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		leave = password.Occupy(h)
		cancel()
		if _, err := h.Hash(ctx, text("x")); !fault.Is(err, fault.Throttled) {
			t.Errorf("whose time is over: %v", err)
		}
		leave()
	})
}

func FuzzHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, s string) {
		if again, ok := password.Reencode(s); ok && again != s {
			t.Errorf("%q is read as %q", s, again)
		}
	})
}
