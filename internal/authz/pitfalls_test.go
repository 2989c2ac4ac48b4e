package authz_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
)

// decides asks about one statement, as an Allow alone and as a Deny beside an Allow of
// everything: whether it speaks of the request.
func decides(t *testing.T, call *authz.Call, condition string, attributes ...authz.Attribute) (allow, deny bool) {
	t.Helper()
	r := authz.Request{Action: "kms:Encrypt", Resource: key, Attributes: attributes}
	call.Policies = []*authz.Policy{compile(t, "p", statement("Allow", "*", "*", condition))}
	allow = call.Decide(r).Allowed
	call.Policies = []*authz.Policy{compile(t, "p", statement("Allow", "*", "*", ""), statement("Deny", "*", "*", condition))}
	return allow, !call.Decide(r).Allowed
}

func TestPitfallUnknownIsRefusedWhenWritten(t *testing.T) {
	for what, text := range map[string]string{
		"an element":               `{"Effect":"Allow","Action":"*","Resource":"*","Colour":"red"}`,
		"an element in lower case": `{"effect":"Deny","Effect":"Allow","Action":"*","Resource":"*"}`,
		"an effect":                `{"Effect":"deny","Action":"*","Resource":"*"}`,
		"an operator":              `{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringIs":{"kms:KeySpec":"x"}}}`,
		"a condition key":          `{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"kms:KeySpeck":"x"}}}`,
		"an action":                `{"Effect":"Deny","Action":"Decrypt","Resource":"*"}`,
		"a malformed name":         `{"Effect":"Deny","Action":"*","Resource":"acs:kms:key/a"}`,
		"an empty list":            `{"Effect":"Deny","Action":[],"Resource":"*"}`,
	} {
		if p, err := authz.Compile("p", []byte(`{"Version":"1","Statement":[`+text+`]}`)); p != nil || !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestPitfallStarStaysInTheAccount(t *testing.T) {
	call := user(compile(t, "p", statement("Allow", "*", "*", ""), statement("Allow", "*", "acs:*:*:*:*", ""), statement("Allow", "*", "acs:kms:*:"+foreign+":*", "")))
	for _, resource := range []string{strings.Replace(key, account, foreign, 1), strings.Replace(key, account, account+"0", 1), strings.Replace(key, account, "", 1), strings.Replace(key, account, "*", 1)} {
		if d := call.Decide(authz.Request{Action: "kms:Decrypt", Resource: resource}); d.Allowed {
			t.Errorf("%s: %+v", resource, d)
		}
	}
}

func TestPitfallCaseOfActionsAndResources(t *testing.T) {
	call := user(compile(t, "p", statement("Allow", "KMS:DECRYPT", key, "")))
	for _, test := range []struct {
		action, resource string
		want             bool
	}{
		{"kms:decrypt", key, true},
		{"kms:Decrypt", strings.Replace(key, "key-1", "KEY-1", 1), false},
		{"\u212Ams:Decrypt", key, false}, // the Kelvin sign, whose lower case is k
	} {
		if got := call.Decide(authz.Request{Action: test.action, Resource: test.resource}).Allowed; got != test.want {
			t.Errorf("%s on %s: %v", test.action, test.resource, got)
		}
	}
}

func TestPitfallEmptyIsNotAbsent(t *testing.T) {
	empty := authz.Attribute{Key: "kms:tag/team", Value: ""}
	for condition, want := range map[string]bool{
		`{"StringEquals":{"kms:tag/team":""}}`:     true,
		`{"StringLike":{"kms:tag/team":"*"}}`:      true,
		`{"StringNotEquals":{"kms:tag/team":"x"}}`: true,
		`{"StringLike":{"kms:tag/team":"?*"}}`:     false,
	} {
		if allow, deny := decides(t, user(), condition, empty); allow != want || deny != want {
			t.Errorf("%s on an empty value: as Allow %v, as Deny %v", condition, allow, deny)
		}
		negative := strings.Contains(condition, "Not")
		if allow, deny := decides(t, user(), condition); allow || deny != negative {
			t.Errorf("%s on no value: as Allow %v, as Deny %v", condition, allow, deny)
		}
	}
}

func TestPitfallNegativeOperatorOnAbsentKey(t *testing.T) {
	for _, condition := range []string{
		`{"StringNotEquals":{"kms:tag/team":"x"}}`, `{"StringNotEqualsIgnoreCase":{"kms:tag/team":"x"}}`, `{"StringNotLike":{"kms:tag/team":"x*"}}`,
		`{"NumericNotEquals":{"kms:tag/team":1}}`, `{"DateNotEquals":{"acs:CurrentTime":"2026-01-01T00:00:00Z"}}`, `{"NotIpAddress":{"acs:SourceIp":"192.0.2.0/24"}}`,
	} {
		call := &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.User}}
		if allow, deny := decides(t, call, condition); allow || !deny {
			t.Errorf("%s: as Allow %v, as Deny %v", condition, allow, deny)
		}
	}
}

func TestPitfallSeveralValues(t *testing.T) {
	team := authz.Attribute{Key: "kms:tag/team", Value: "b"}
	for condition, want := range map[string]bool{
		`{"StringEquals":{"kms:tag/team":["a","b"]}}`:                                                     true,  // any value
		`{"StringNotEquals":{"kms:tag/team":["a","b"]}}`:                                                  false, // none of the values
		`{"StringNotEquals":{"kms:tag/team":["a","c"]}}`:                                                  true,
		`{"StringEquals":{"kms:tag/team":"b","kms:KeySpec":"x"}}`:                                         false, // all keys
		`{"StringEquals":{"kms:tag/team":"b"},"StringLike":{"kms:tag/team":"a*"}}`:                        false, // all operators
		`{"StringEquals":{"kms:tag/team":"b"},"StringLike":{"kms:tag/team":["a*","?"]}}`:                  true,
		`{"StringNotEquals":{"kms:tag/team":"a"},"StringNotEqualsIgnoreCase":{"kms:tag/team":["A","c"]}}`: true,
	} {
		if allow, deny := decides(t, user(), condition, team); allow != want || deny != want {
			t.Errorf("%s: as Allow %v, as Deny %v", condition, allow, deny)
		}
	}
}

// TestPitfallSetOperatorsAndIfExistsAreRefused holds that what RAM does not know is refused:
// taken for the plain operator, it would mean something else.
func TestPitfallSetOperatorsAndIfExistsAreRefused(t *testing.T) {
	for _, operator := range []string{"StringEqualsIfExists", "NumericLessThanIfExists", "BoolIfExists", "ForAnyValue:StringEquals", "ForAllValues:StringEquals", "Null", "ArnEquals"} {
		text := `{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"` + operator + `":{"kms:tag/a":"true"}}}]}`
		if _, err := authz.Compile("p", []byte(text)); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("%s: %v", operator, err)
		}
	}
}

// TestPitfallMFA holds that a policy which demands a second factor is kept, though no access
// key has one, and that its age, which nobody supplies yet, is no condition.
func TestPitfallMFA(t *testing.T) {
	if allow, _ := decides(t, user(), `{"Bool":{"acs:MFAPresent":"true"}}`); allow {
		t.Error("an access key counts as a second factor")
	}
	if _, deny := decides(t, user(), `{"Bool":{"acs:MFAPresent":"false"}}`); !deny {
		t.Error("a denial without a second factor does not deny")
	}
	for _, name := range []string{"kms:MFAAge", "acs:MFAAge"} {
		text := `{"Version":"1","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"NumericGreaterThan":{"` + name + `":300}}}]}`
		if _, err := authz.Compile("p", []byte(text)); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPitfallLockOut holds that no policy takes the account from its root user.
func TestPitfallLockOut(t *testing.T) {
	call := user(compile(t, "p", statement("Deny", "*", "*", "")))
	call.Kind = authz.Root
	for _, action := range []string{"kms:Decrypt", "ram:DeletePolicy", "ram:DetachPolicyFromUser"} {
		if d := call.Decide(authz.Request{Action: action, Resource: key}); !d.Allowed {
			t.Errorf("%s: %+v", action, d)
		}
	}
}

// TestPitfallsAreThere looks up every test that docs/design/policy.md names.
func TestPitfallsAreThere(t *testing.T) {
	root := filepath.Join("..", "..")
	page, err := os.ReadFile(filepath.Join(root, "docs", "design", "policy.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test[A-Za-z0-9]+|Benchmark[A-Za-z0-9]+)`").FindAllSubmatch(page, -1)
	if len(named) < 15 {
		t.Fatalf("the page names %d tests", len(named))
	}
	var tests bytes.Buffer
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		tests.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range named {
		if !strings.Contains(tests.String(), fmt.Sprintf("func %s(", name[1])) {
			t.Errorf("there is no test %s", name[1])
		}
	}
}

// TestFarFasterThanTheReference holds the cost of a decision over 50 statements against that
// of the reference, so that it does not depend on the machine.
func TestFarFasterThanTheReference(t *testing.T) {
	const factor = 10
	call, request, document := fifty(t)
	r := &reference{}
	if err := r.read([]string{document}, ""); err != nil {
		t.Fatal(err)
	}
	quickest := func(decide func() bool) time.Duration {
		least := time.Hour
		for range 30 {
			start := time.Now()
			for range 20 {
				if !decide() {
					t.Fatal("denied")
				}
			}
			least = min(least, time.Since(start))
		}
		return least / 20
	}
	compiled := quickest(func() bool { return call.Decide(request).Allowed })
	slow := quickest(func() bool { return r.decide(call, request).Allowed })
	t.Logf("compiled %v, reference %v", compiled, slow)
	if compiled*factor > slow {
		t.Errorf("a decision takes %v, the reference %v: less than %d times as much", compiled, slow, factor)
	}
}

// TestDecideAllocatesNothing holds it for the names of the operations that are called most.
func TestDecideAllocatesNothing(t *testing.T) {
	call, request, _ := fifty(t)
	for _, action := range []string{"kms:Decrypt", "kms:GenerateDataKey"} {
		request.Action = action
		if n := testing.AllocsPerRun(100, func() { call.Decide(request) }); n != 0 {
			t.Errorf("%s: %v allocations", action, n)
		}
	}
}
