package tencent_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/cloud/tencent"
	"github.com/keyward/keyward/internal/material"
)

// The request of the vendor's guide to signatures, under the keys of its editions (the
// stars are the key: it was published so), and what the vendor's own demonstration program
// prints for the headers of the newest.
func TestPublishedSignatures(t *testing.T) {
	const body = `{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}`
	for _, one := range []struct{ id, key, action, want string }{
		{"AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******", "Gu5t9xGARNpq86cd98joQYCN3*******", "",
			"SignedHeaders=content-type;host, Signature=2230eefd229f582d8b1b891af7107b91597240707d778ab3738f756258d7652c"},
		{"AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE", "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE", "",
			"SignedHeaders=content-type;host, Signature=72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168"},
		{"AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******", "Gu5t9xGARNpq86cd98joQYCN3*******", "DescribeInstances",
			"SignedHeaders=content-type;host;x-tc-action, Signature=be4f67d323c78ab9acb7395e43c0dbcf822a9cfac32fea2449a7bc7726b770a3"},
	} {
		r, err := http.NewRequest(http.MethodPost, "https://cvm.tencentcloudapi.com/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
		if one.action != "" {
			r.Header.Set("X-TC-Action", one.action)
		}
		s := tencent.Signer{SecretID: one.id, SecretKey: material.NewBytes([]byte(one.key))}
		s.Sign(r, "cvm", []byte(body), time.Unix(1551113065, 0))
		want := http.Header{
			"Content-Type":   {"application/json; charset=utf-8"},
			"X-Tc-Timestamp": {"1551113065"},
			"Authorization":  {"TC3-HMAC-SHA256 Credential=" + one.id + "/2019-02-25/cvm/tc3_request, " + one.want},
		}
		r.Header.Del("X-TC-Action")
		if diff := cmp.Diff(want, r.Header); diff != "" {
			t.Errorf("%s (-published +ours):\n%s", one.want, diff)
		}
	}
}

func TestTokenIsSent(t *testing.T) {
	r, err := http.NewRequest(http.MethodPost, "https://cam.tencentcloudapi.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	tencent.Signer{SecretID: "i", Token: material.NewBytes([]byte("tok"))}.Sign(r, "cam", nil, time.Unix(0, 0))
	if got := r.Header.Get("X-TC-Token"); got != "tok" {
		t.Errorf("X-TC-Token is %q", got)
	}
}
