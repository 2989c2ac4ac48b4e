package zipfile_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/leak/leaktest"
	"github.com/keyward/keyward/internal/leak/unpack/zipfile"
)

// read answers the members of a file by name, at most a few kilobytes of each.
func read(content []byte) (members map[string]string, err error) {
	z, err := zipfile.Open(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, err
	}
	members = map[string]string{}
	for m, err := range z.Members() {
		if err != nil {
			return members, err
		}
		r, release, err := z.Open(m, func(int64) (func(), error) { return func() {}, nil })
		if err != nil {
			return members, err
		}
		text, err := io.ReadAll(io.LimitReader(r, 64<<10))
		release()
		if err != nil {
			return members, err
		}
		members[m.Name] = string(text)
	}
	return members, nil
}

func TestMembers(t *testing.T) {
	want := map[string]string{"a": "first", "dir/b": "second"}
	packed := map[string][]byte{"a": []byte("first"), "dir/b": []byte("second")}
	for name, content := range map[string][]byte{"deflated": leaktest.Zip(packed), "stored": leaktest.Stored(packed), "behind a script": append([]byte("#!/bin/sh\n"), leaktest.Zip(packed)...)} {
		got, err := read(content)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: error %v (-want +got):\n%s", name, err, diff)
		}
		for cut := range content { // what lacks its end is no whole file, and what lacks its beginning has damaged members
			if _, err := read(content[:cut]); err == nil {
				t.Fatalf("%s: the first %d bytes are taken for all", name, cut)
			}
		}
	}
}

func FuzzOpen(f *testing.F) {
	members := map[string][]byte{"a": []byte("first"), "dir/b": bytes.Repeat([]byte("second"), 100)}
	f.Add(leaktest.Zip(members))
	f.Add(leaktest.Stored(members))
	f.Fuzz(func(_ *testing.T, content []byte) {
		_, _ = read(content) // it ends, and does not panic
	})
}
