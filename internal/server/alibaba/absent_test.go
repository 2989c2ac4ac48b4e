package alibaba

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/server/alibaba/absent"
	"github.com/keyward/keyward/internal/server/alibaba/rpc"
)

var update = flag.Bool("update", false, "write the tables in docs/alibaba.md")

// documented reads the list of the operations that Alibaba Cloud KMS has, and their parameters.
func documented(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("testdata/operations.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); words[0] != "#" {
			all[words[0]] = words[1:]
		}
	}
	if len(all) != 99 {
		t.Fatalf("%d operations", len(all))
	}
	return all
}

// own are the operations that Alibaba Cloud KMS does not have.
var own = []string{"DeregisterKeyAssociation", "GenerateCsr", "ListKeyAssociations", "ListKeyPolicies", "RegisterKeyAssociation", "StartKeyAssociationDetection"}

func TestEveryOperationIsOfferedOrExplained(t *testing.T) {
	theirs, explained := documented(t), map[string]bool{}
	for _, w := range absent.Operations {
		for _, name := range w.Names {
			if _, known := theirs[name]; !known || explained[name] || w.Reason == "" {
				t.Errorf("%s is explained twice, without a reason, or no operation", name)
			}
			explained[name] = true
			if err := absent.Fault(name); !fault.Is(err, fault.ActionNotFound) || !strings.Contains(fault.Message(err), w.Reason) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for name := range theirs {
		if _, offered := operations[name]; offered == explained[name] {
			t.Errorf("%s: offered %v, and explained why not %v", name, offered, explained[name])
		}
	}
	var more []string
	for _, name := range slices.Sorted(maps.Keys(operations)) {
		if _, known := theirs[name]; !known {
			more = append(more, name)
		}
	}
	if diff := cmp.Diff(own, more); diff != "" {
		t.Errorf("operations of keyward's own: %s", diff)
	}
}

// asked are parameters that are all absent, and remembers which were asked for.
type asked map[string]bool

func (a asked) Value(name string) (string, bool) { a[name] = true; return "", false }
func (a asked) Len() int                         { return 0 }
func (a asked) At(int) (name, value string)      { return "", "" }

// single is one parameter.
type single string

func (s single) Value(name string) (string, bool) {
	if name != string(s) {
		return "", false
	}
	return "x", true
}
func (s single) Len() int                    { return 1 }
func (s single) At(int) (name, value string) { return string(s), "x" }

// Every parameter of an operation that is offered is read, or refused with the reason.
func TestEveryParameterIsReadOrExplained(t *testing.T) {
	theirs := documented(t)
	for name, op := range operations {
		read := asked{"RegionId": true} // everywhere
		op.decode(&Dialect{}, &authz.Call{}, rpc.NewValues(read))
		explained := map[string]string{}
		for _, w := range absent.Parameters[name] {
			for _, p := range w.Names {
				explained[p] = w.Reason
			}
		}
		for _, p := range theirs[name] {
			reason, no := explained[p]
			if read[p] == no {
				t.Errorf("%s, %s: read %v, and explained why not %v", name, p, read[p], no)
			}
			if !no {
				continue
			}
			v := rpc.NewValues(single(p))
			absent.Refuse(v, name)
			if err := v.Finish(); !fault.Is(err, fault.UnsupportedOperation) || !strings.Contains(fault.Message(err), p+" is not supported: "+reason) {
				t.Errorf("%s, %s: %v", name, p, err)
			}
			delete(explained, p)
		}
		if len(explained) > 0 {
			t.Errorf("%s does not have %v", name, slices.Collect(maps.Keys(explained)))
		}
	}
	for name := range absent.Parameters {
		if _, kms := operations[name]; !kms && stsOperations[name].decode == nil {
			t.Errorf("%s is refused parameters, and not offered", name)
		}
	}
}

// docs/alibaba.md has both tables.
func TestTheTablesAreDocumented(t *testing.T) {
	const file = "../../../docs/alibaba.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	quoted := func(names []string) string { return "`" + strings.Join(names, "` `") + "`" }
	var operations, parameters strings.Builder
	operations.WriteString("| operations | why not |\n|---|---|\n")
	for _, w := range absent.Operations {
		fmt.Fprintf(&operations, "| %s | %s |\n", quoted(w.Names), w.Reason)
	}
	parameters.WriteString("| operation | parameters | why not |\n|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(absent.Parameters)) {
		for _, w := range absent.Parameters[name] {
			fmt.Fprintf(&parameters, "| `%s` | %s | %s |\n", name, quoted(w.Names), w.Reason)
		}
	}
	want := section(t, section(t, string(text), "absent", operations.String()), "refused", parameters.String())
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(text), want); diff != "" {
		t.Errorf("%s is not up to date; run: go test ./internal/server/alibaba -update\n%s", file, diff)
	}
}

// section replaces what stands between the two comments of a name.
func section(t *testing.T, text, name, with string) string {
	t.Helper()
	head, rest, found := strings.Cut(text, "<!-- "+name+": generated -->\n")
	_, tail, ended := strings.Cut(rest, "<!-- end of "+name+" -->")
	if !found || !ended {
		t.Fatalf("docs/alibaba.md has no section %q", name)
	}
	return head + "<!-- " + name + ": generated -->\n" + with + "<!-- end of " + name + " -->" + tail
}
