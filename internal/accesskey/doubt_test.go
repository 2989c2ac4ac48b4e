package accesskey_test

import (
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/store/storetest"
)

// One list that lacks too much ends nothing; another that agrees, minutes later, does.
func TestListsThatLackTooMuchAreDoubted(t *testing.T) {
	list := func(ids string) (keys []accesskey.Observed) {
		for _, id := range strings.Fields(ids) {
			keys = append(keys, key(id, "u"))
		}
		return keys
	}
	for name, c := range map[string]struct {
		known, listed, have string
		doubted             bool
	}{
		"nothing":             {"a b c", "", "a b c", true},
		"the only one":        {"a", "", "a", true},
		"replaced":            {"a b", "x y", "x y", false},
		"replaced by one":     {"a b", "x", "x", false},
		"all are others":      {"a b c d", "w x y z", "a b c d w x y z", true},
		"two of three":        {"a b c", "a", "a", false},
		"half of four":        {"a b c d", "a b", "a b", false},
		"more than half":      {"a b c d", "a", "a b c d", true},
		"nothing was known":   {"", "a", "a", false},
		"nothing is to lack":  {"", "", "", false},
		"one of many is gone": {"a b c d e", "a b c d", "a b c d", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, storetest.SQLite(t))
			w.add()
			w.snapshot.Keys = list(c.known)
			before := w.sync()
			w.now = w.now.Add(time.Hour)
			w.snapshot.Keys = list(c.listed)
			st := w.sync()
			if w.ids("") != c.have || (st.Error != "") != c.doubted || st.SucceededAt.Equal(before.SucceededAt) != c.doubted {
				t.Fatalf("have %q, want %q; %+v", w.ids(""), c.have, st)
			}
			if !c.doubted {
				return
			}
			if st.Failures != 1 || st.Chinese == "" || st.Chinese == st.Error || st.Keys != len(strings.Fields(c.known)) {
				t.Errorf("have %+v", st)
			}
			w.now = w.now.Add(accesskey.Confirm - time.Second)
			if w.sync(); w.ids("") != c.have {
				t.Errorf("believed too early: %q", w.ids(""))
			}
			w.now = w.now.Add(time.Second)
			w.work() // by itself
			if st := w.sync(); w.ids("") != c.listed || st.Error != "" || st.Failures != 0 || !st.SucceededAt.Equal(w.now) {
				t.Errorf("have %q, %+v", w.ids(""), st)
			}
		})
	}
}

// Two lists that lack different keys agree about nothing, and one with all keys ends the doubt.
func TestDoubtBeginsAnew(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.add()
	all := []accesskey.Observed{key("a", ""), key("b", ""), key("c", ""), key("d", "")}
	read := func(keys ...accesskey.Observed) {
		w.now = w.now.Add(time.Hour)
		w.snapshot.Keys = keys
		w.sync()
	}
	for range 3 {
		for _, keys := range [][]accesskey.Observed{all, nil, all[:1], all[1:2], nil, all, nil} {
			if read(keys...); w.ids("") != "a b c d" {
				t.Fatalf("after %d keys: %q", len(keys), w.ids(""))
			}
		}
	}
}
