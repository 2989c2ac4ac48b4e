package replay_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/replay"
)

const life = 31 * time.Minute

// Within its life a fingerprint is known; some time after twice its life it is forgotten, also
// while nothing new is claimed.
func TestLife(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := replay.New(life)
		now := time.Now()
		claimed := map[replay.Fingerprint]time.Time{}
		for i := range rapid.IntRange(1, 200).Draw(t, "claims") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(life/4)).Draw(t, "pause")))
			f := replay.Fingerprint(rapid.Uint64Range(0, 20).Draw(t, "fingerprint"))
			at, known := claimed[f]
			fresh := s.Claim(f, now)
			switch {
			case fresh && known && now.Sub(at) < life:
				t.Fatalf("step %d: a request was served twice within %v", i, now.Sub(at))
			case !fresh && !known:
				t.Fatalf("step %d: a new request was taken for an old one", i)
			case !fresh && now.Sub(at) > 3*life:
				t.Fatalf("step %d: a request is remembered after %v", i, now.Sub(at))
			}
			if fresh {
				claimed[f] = now
			}
		}
	})
}

func TestReleaseForgets(t *testing.T) {
	s := replay.New(life)
	f := replay.FingerprintOf([]byte("0123456789"))
	if !s.Claim(f, time.Now()) || s.Claim(f, time.Now()) {
		t.Error("a claim does not last")
	}
	s.Release(f)
	if s.Len() != 0 || !s.Claim(f, time.Now()) {
		t.Error("a released fingerprint is remembered")
	}
}

func TestEncoding(t *testing.T) {
	want := []replay.Fingerprint{1, 1 << 63, 0xfeedfacecafebeef}
	var b []byte
	for _, f := range want {
		b = f.Append(b)
	}
	if diff := cmp.Diff(want, replay.Parse(append(b, 1, 2, 3))); diff != "" {
		t.Errorf("-want +have\n%s", diff)
	}
}
