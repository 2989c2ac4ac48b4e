package audit

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
)

// goldenLeaf was written by the first release; it must be readable for ever, and the
// same record must have the same bytes for ever.
const goldenLeaf = `{"v":1,"log":"keyward/node-1","seq":7,"time":"2026-01-02T03:04:05.000000006Z","request":"AB-1","account":"1234567890123456","principal":"acs:ram::1234567890123456:user/ada","accessKey":"KWAKEXAMPLE","scheme":"ACS3-HMAC-SHA256","source":"192.0.2.1","agent":"curl \"x\"","action":"kms:Encrypt","resource":"acs:kms:cn-hangzhou:1234567890123456:key/key-x","version":"v1","params":{"Alias":"alias/a","Name":"密"},"decision":"allowed by p/1","result":"OK","effects":[{"table":"kms_key","id":"a/b","rev":2,"sha256":"0102"},{"table":"kms_alias","id":"a/c","rev":3}],"nonce":"0aff"}`

// appendLeaf appends a whole leaf.
func (r *Record) appendLeaf(b []byte, log string, seq int64) []byte {
	return append(appendTime(appendPlace(b, log, seq), r.Time), r.appendBody(nil)...)
}

func goldenRecord() *Record {
	c := &authz.Call{
		Principal: authz.Principal{Account: "1234567890123456", Kind: authz.User, Name: "ada", AccessKey: "KWAKEXAMPLE"},
		RequestID: "AB-1", Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Source: netip.MustParseAddr("192.0.2.1"),
		UserAgent: `curl "x"`, Scheme: "ACS3-HMAC-SHA256", Nonce: []byte{0x0a, 0xff},
	}
	r := NewRecord(c, "kms:Encrypt")
	r.Time = c.Time
	r.Resource, r.Version, r.Decision, r.Result = "acs:kms:cn-hangzhou:1234567890123456:key/key-x", "v1", "allowed by p/1", ResultOK
	r.Param("Alias", "alias/a")
	r.Param("Name", "密")
	r.Effects = []Effect{{Table: "kms_key", ID: "a/b", Rev: 2, Digest: []byte{1, 2}}, {Table: "kms_alias", ID: "a/c", Rev: 3}}
	return r
}

func TestLeafIsGolden(t *testing.T) {
	have := string(goldenRecord().appendLeaf(nil, "keyward/node-1", 7))
	if diff := cmp.Diff(goldenLeaf, have); diff != "" {
		t.Error(diff)
	}
	e, err := ParseEntry([]byte(goldenLeaf))
	if err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(goldenLeaf, string(again)); diff != "" {
		t.Error(diff)
	}
}

// Whatever a record holds, its leaf is one line of JSON that reads back the same.
func TestLeafReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := goldenRecord()
		r.UserAgent = rapid.String().Draw(t, "agent")
		r.Resource = rapid.String().Draw(t, "resource")
		leaf := r.appendLeaf(nil, "log", 1)
		for _, c := range leaf {
			if c < 0x20 {
				t.Fatalf("control character in %q", leaf)
			}
		}
		e, err := ParseEntry(leaf)
		if err != nil {
			t.Fatal(err)
		}
		if e.UserAgent != cut(r.UserAgent, maxValue) || e.Resource != cut(r.Resource, maxResource) {
			t.Fatalf("%q reads back as %q", r.UserAgent, e.UserAgent)
		}
	})
}

func FuzzParseEntry(f *testing.F) {
	f.Add([]byte(goldenLeaf))
	f.Add([]byte(`{"v":2}`))
	f.Fuzz(func(_ *testing.T, leaf []byte) { _, _ = ParseEntry(leaf) })
}

// Whatever callers choose, a leaf without effects fits.
func TestLeafIsBounded(t *testing.T) {
	r := goldenRecord()
	worst := strings.Repeat("<", 100_000)
	r.UserAgent, r.Resource, r.Version, r.Decision, r.Effects = worst, worst, worst, worst, nil
	for range 100 {
		r.Param("Alias", worst)
	}
	if n := len(r.appendLeaf(nil, "log", 1)); n > MaxLeaf {
		t.Errorf("%d bytes, the limit is %d", n, MaxLeaf)
	}
	e, err := ParseEntry(r.appendLeaf(nil, "log", 1))
	if err != nil || len(e.Params) != len(r.Params) {
		t.Errorf("%d parameters read back of %d, %v", len(e.Params), len(r.Params), err)
	}
}

// What an attempt that was overtaken noted is not noted twice.
func TestAgainForgetsWhatWasNoted(t *testing.T) {
	r := &Record{}
	r.Param("Name", "pay")
	attempts := 0
	err := r.Again(func() error {
		r.Param("State", "Paused")
		if attempts++; attempts < 3 {
			return fault.Changed.New("somebody else was first")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []Param{{Name: "Name", Value: "pay"}, {Name: "State", Value: "Paused"}}; !slices.Equal(r.Params, want) {
		t.Errorf("%v, want %v", r.Params, want)
	}
}
