package audit

import (
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/authz"
)

// The secret of an access key that somebody typed where a name belongs is not kept.
func TestL8SecretsOfAccessKeysAreNotRecorded(t *testing.T) {
	const secret = "kwsk_FAKEfake0123456789FAKEfake0123456789FAKEfake0123456789"
	for name, put := range map[string]func(*Record){
		"a parameter":           func(r *Record) { r.Param("KeyId", secret) },
		"a part of a parameter": func(r *Record) { r.Param("KeyId", "id="+secret+";"+secret[:20]+"/"+secret) },
		"the resource":          func(r *Record) { r.Resource = "acs:kms:cn:1:key/" + secret },
		"the version":           func(r *Record) { r.Version = secret },
		"the user agent":        func(r *Record) { r.UserAgent = "sdk/" + secret },
		"a long text":           func(r *Record) { r.Resource = strings.Repeat("r", 1000) + secret },
	} {
		r := NewRecord(&authz.Call{RequestID: "ID"}, "kms:Encrypt")
		put(r)
		leaf := string(r.appendLeaf(nil, "log", 1))
		if strings.Contains(leaf, secret[5:15]) || !strings.Contains(leaf, "kwsk_") {
			t.Errorf("%s: %s", name, leaf)
		}
	}
}
