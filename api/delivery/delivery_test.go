package delivery_test

import (
	"testing"

	"github.com/keyward/keyward/api/delivery"
)

func TestNewer(t *testing.T) {
	for _, c := range []struct {
		have, got int64
		want      bool
	}{
		{0, 1, true}, {1, 2, true}, {1, 9, true},
		{0, 0, false}, {1, 1, false}, {2, 1, false}, {9, 1, false}, {1, 0, false}, {1, -1, false},
	} {
		if got := delivery.Newer(c.have, c.got); got != c.want {
			t.Errorf("having %d, %d is newer: %v", c.have, c.got, got)
		}
	}
}
