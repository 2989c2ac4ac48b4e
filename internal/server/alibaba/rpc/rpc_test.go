package rpc

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/fault"
)

func TestEveryFaultHasACode(t *testing.T) {
	for _, kind := range fault.Kinds() {
		if c, ok := codes[kind]; !ok || c.status < 400 || c.name == "" {
			t.Errorf("%s has no code", kind)
		}
	}
	if len(codes) != len(fault.Kinds()) {
		t.Errorf("%d codes for %d kinds", len(codes), len(fault.Kinds()))
	}
}

// An internal error's text stays in the log.
func TestInternalErrorsAreNotAnswered(t *testing.T) {
	w := httptest.NewRecorder()
	Answer{Writer: w}.Fail(fault.Internal.New("the database password is fake"), nil, false)
	if w.Code != 500 || strings.Contains(w.Body.String(), "fake") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// one is the single parameter P.
type one string

func (o one) Value(name string) (string, bool) { return string(o), name == "P" }
func (o one) Len() int                         { return 1 }
func (o one) At(int) (name, value string)      { return "P", string(o) }

func decode(s string) *Values { return NewValues(one(s)) }

func TestIntervals(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"7d": 7 * 24 * time.Hour, "168h": 168 * time.Hour, "10080m": 7 * 24 * time.Hour, "604800s": 7 * 24 * time.Hour, "": 0,
		"7": -1, "d": -1, "-7d": -1, "7dd": -1, "7d7": -1, "7.5d": -1, "99999999999d": -1, " 7d": -1, "7D": -1, "0x7d": -1, "0d": -1,
	} {
		v := decode(s)
		have := v.Interval("P")
		if bad := v.err != nil; bad != (want < 0) || !bad && have != want {
			t.Errorf("%q: %v, %v", s, have, v.err)
		}
	}
}

func TestTagDocuments(t *testing.T) {
	for s, taken := range map[string]bool{
		"[]": true, `[{"TagKey":"a","TagValue":"b"}]`: true, ` [ {"TagValue":"b"} ] `: true,
		"null": false, "{}": false, "[null]": false, "[] []": false, `[{"TagKey":null}]`: false, `[{"tagkey":"a"}]`: false,
		`[{"TagKey":"a","TagKey":"b"}]`: false, `[{"TagKey":"a","Color":"b"}]`: false, `[{"TagKey":"\ud800"}]`: false,
		`[{"TagKey":"\u0000"}]`: false, "[{\"TagKey\":\"\x00\"}]": false, strings.Repeat("[", 20_000): false,
	} {
		v := decode(s)
		v.Tags("P")
		if err := v.Finish(); (err == nil) != taken {
			t.Errorf("%.60q: %v", s, err)
		}
	}
}

func FuzzValues(f *testing.F) {
	for _, s := range []string{"", "7d", "1", "true", "aGVsbG8=", `{"a":"b"}`, `[{"TagKey":"a","TagValue":"b"}]`, `[{"Key":"KeyState","Values":["Enabled"]}]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, read := range []func(*Values){
			func(v *Values) { v.Integer("P", 0) }, func(v *Values) { v.Boolean("P") }, func(v *Values) { v.Binary("P") },
			func(v *Values) { v.Context("P") }, func(v *Values) { v.Interval("P") }, func(v *Values) { v.Tags("P") },
		} {
			v := decode(s)
			read(v)
			if k := fault.KindOf(v.Finish()); k != "" && k != fault.InvalidParameter && k != fault.MissingParameter {
				t.Errorf("%q: %s", s, k)
			}
		}
	})
}
