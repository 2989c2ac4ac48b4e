package interop_test

import (
	"crypto/rand"
	"testing"
	"time"
)

// TestReplay sends requests twice, the second time also after a crash and after a stop.
func TestReplay(t *testing.T) {
	eachOwn(t, func(t *testing.T, o options) {
		s := newServer(t, o)
		a := s.account(t)
		k := create(t, a.sdk(t), aes256, "")
		var seen []func() answer
		for _, sign := range []signer{rpc, acs3} {
			// A change, a read, and a call that fails: none may be had twice.
			for action, want := range map[string]refusal{"DisableKey": ok, "DescribeKey": ok, "CancelKeyDeletion": impossible, "NoSuchAction": {404, "InvalidAction.NotFound"}} {
				c := call{action: action, params: []pair{{"KeyId", k.id}}, at: time.Now(), nonce: rand.Text()}
				again := func() answer { return send(t, sign(a, c)) }
				if got := again(); got.refusal != want {
					t.Fatalf("%s answers %v, want %v", action, got.refusal, want)
				}
				seen = append(seen, again)
			}
		}
		replay := func(when string) {
			t.Helper()
			for _, again := range seen {
				if got := again(); got.refusal != bad(nonceUsed) {
					t.Errorf("%s, the same request again answers %v", when, got.refusal)
				}
			}
		}
		replay("at once")
		s.kill(t)
		s.restart(t)
		replay("after a crash")
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		s.restart(t)
		replay("after a stop")

		// The nonce belongs to the access key, whatever signs it, and to no other.
		c := call{action: "DescribeRegions", nonce: rand.Text()}
		other := s.account(t)
		for _, row := range []struct {
			who  account
			sign signer
			want refusal
		}{{a, rpc, ok}, {a, acs3, bad(nonceUsed)}, {other, acs3, ok}, {other, rpc, bad(nonceUsed)}} {
			if got := send(t, row.sign(row.who, c)); got.refusal != row.want {
				t.Errorf("a nonce used elsewhere answers %v, want %v", got.refusal, row.want)
			}
		}
	})
}

// TestSkew sends requests whose clock is wrong by a little less and a little more than
// fifteen minutes.
func TestSkew(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.account(t)
		for _, sign := range []signer{rpc, acs3} {
			for _, row := range []struct {
				skew time.Duration
				want refusal
			}{
				{-15*time.Minute + 20*time.Second, ok}, {15*time.Minute - 20*time.Second, ok},
				{-15*time.Minute - 2*time.Second, bad("InvalidTimeStamp.Expired")}, {15*time.Minute + 20*time.Second, bad("InvalidTimeStamp.Expired")},
			} {
				if got := send(t, sign(a, call{action: "DescribeRegions", at: time.Now().Add(row.skew)})); got.refusal != row.want {
					t.Errorf("a clock %v off answers %v, want %v", row.skew, got.refusal, row.want)
				}
			}
		}
	})
}
