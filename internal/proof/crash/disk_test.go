package crash_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/proof/crash"
)

// outcomes answers every content of a file that many crashes leave, "" for no file.
func outcomes(d *crash.Disk, name string) map[string]bool {
	random := rand.New(rand.NewPCG(1, 2))
	out := map[string]bool{}
	for range 2000 {
		content, found := d.Crash(random)[name]
		if !found {
			content = []byte("missing")
		}
		out[string(content)] = true
	}
	return out
}

func expect(t *testing.T, d *crash.Disk, name string, want ...string) {
	t.Helper()
	set := map[string]bool{}
	for _, w := range want {
		set[w] = true
	}
	if diff := cmp.Diff(set, outcomes(d, name)); diff != "" {
		t.Errorf("%s (-want +have):\n%s", name, diff)
	}
}

func TestOnlySyncedContentIsPromised(t *testing.T) {
	d := crash.NewDisk(map[string][]byte{"f": []byte("old")})
	expect(t, d, "f", "old")
	d.Write("f", 0, []byte("new"))
	expect(t, d, "f", "old", "new")
	done := d.Sync("f")
	d.Write("f", 3, []byte("er")) // while it is synced: not covered
	expect(t, d, "f", "old", "new", "older", "newer", "old\x00\x00", "new\x00\x00")
	done()
	expect(t, d, "f", "new", "newer", "new\x00\x00")
	d.Sync("f")()
	expect(t, d, "f", "newer")
	d.Write("f", -1, []byte("!"))
	d.Sync("f")()
	d.Truncate("f", 1)
	expect(t, d, "f", "newer!", "n")
	first, second := d.Sync("f"), d.Sync("f")
	second()
	first()
	expect(t, d, "f", "n")
}

func TestNamesNeedTheirOwnSync(t *testing.T) {
	d := crash.NewDisk(map[string][]byte{"old": []byte("1")})
	d.Create("tmp")
	d.Write("tmp", 0, []byte("2"))
	d.Sync("tmp")()
	expect(t, d, "tmp", "missing", "2")
	d.Rename("tmp", "old")
	expect(t, d, "old", "1", "2")
	expect(t, d, "tmp", "missing", "2")
	d.SyncNames()()
	expect(t, d, "old", "2")
	expect(t, d, "tmp", "missing")
	d.Remove("old")
	expect(t, d, "old", "2", "missing")
}

func TestWritesAreTornAtSectors(t *testing.T) {
	d := crash.NewDisk(map[string][]byte{"f": bytes.Repeat([]byte("a"), 2048)})
	d.Write("f", 256, bytes.Repeat([]byte("b"), 1024))
	want := map[string]bool{}
	for mask := range 8 { // the write touches three sectors of 512 bytes
		content := bytes.Repeat([]byte("a"), 2048)
		for i, part := range [][2]int{{256, 512}, {512, 1024}, {1024, 1280}} {
			if mask>>i&1 == 1 {
				copy(content[part[0]:part[1]], bytes.Repeat([]byte("b"), 1024))
			}
		}
		want[string(content)] = true
	}
	if diff := cmp.Diff(len(want), len(outcomes(d, "f"))); diff != "" {
		t.Errorf("outcomes (-want +have):\n%s", diff)
	}
	for content := range outcomes(d, "f") {
		if !want[content] {
			t.Errorf("a content that no torn write leaves")
		}
	}
}
