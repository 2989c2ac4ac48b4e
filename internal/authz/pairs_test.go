package authz_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
)

// pairs answers how many pairs of policies and request are decided: KEYWARD_PAIRS, or a
// short run.
func pairs(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv("KEYWARD_PAIRS"), "100000"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// seed answers KEYWARD_SEED, or a new seed.
func seed(t *testing.T) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(cmp.Or(os.Getenv("KEYWARD_SEED"), strconv.FormatUint(rand.Uint64(), 10)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("KEYWARD_SEED=%d", n)
	return n
}

// TestAgreesWithReference has both evaluators decide the same random pairs. They must agree
// on the whole decision: the answer, its reason, and the statement that settled it.
func TestAgreesWithReference(t *testing.T) {
	const perSet = 50 // questions about one set of policies
	sets, start := (pairs(t)+perSet-1)/perSet, seed(t)
	var mu sync.Mutex
	reasons := map[authz.Reason]int{}
	work := make(chan uint64)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			r, own := &reference{}, map[authz.Reason]int{}
			for n := range work {
				g := generator{rand.New(rand.NewPCG(start, n))}
				if err := agree(g, r, perSet, own); err != nil {
					t.Errorf("set %d: %v", n, err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for reason, count := range own {
				reasons[reason] += count
			}
		})
	}
	for n := range sets {
		if t.Failed() {
			break
		}
		work <- uint64(n)
	}
	close(work)
	wg.Wait()
	t.Logf("%d pairs agree: %v", sets*perSet, reasons)
	for _, reason := range []authz.Reason{authz.ByRoot, authz.ByService, authz.ByAllow, authz.ByBoth, authz.ByDeny, authz.ByDefault, authz.OtherAccount, authz.Malformed, authz.NoPrincipal, authz.BySession} {
		if reasons[reason] < sets*perSet/1000 {
			t.Errorf("the reason %q fell %d times only", reason, reasons[reason])
		}
	}
}

// agree asks questions about one random set of policies.
func agree(g generator, r *reference, questions int, reasons map[authz.Reason]int) error {
	owner, owned := pick(g, []string{account, neighbor}), ""
	var documents []string
	var compiled []*authz.Policy
	for i := range g.IntN(4) {
		documents = append(documents, g.document(owner))
		p, err := authz.Compile(policyName(i), []byte(documents[i]))
		if err != nil {
			return fmt.Errorf("compiling %s: %w", documents[i], err)
		}
		compiled = append(compiled, p)
	}
	var policy *authz.ResourcePolicy
	if !g.oneIn(3) {
		var err error
		owned = g.owned(owner)
		if policy, err = authz.KeyTerms().Compile(owner, []byte(owned)); err != nil {
			return fmt.Errorf("compiling %s: %w", owned, err)
		}
	}
	if err := r.read(documents, owned); err != nil {
		return err
	}
	narrowing := g.document(owner)
	session, err := authz.Compile(sessionName, []byte(narrowing))
	if err != nil {
		return fmt.Errorf("compiling %s: %w", narrowing, err)
	}
	if err := r.readSession(narrowing); err != nil {
		return err
	}
	for range questions {
		call, request := g.question(owner)
		call.Policies, request.Policy = compiled, policy
		if call.Kind == authz.User && g.oneIn(3) {
			call.Kind = pick(g, []authz.Kind{authz.AssumedRole, authz.Federated})
			call.Session = &authz.Session{Name: "ci", Policy: pick(g, []*authz.Policy{session, session, nil})}
		}
		want := r.decide(&call, request)
		got, err := call.Check(request)
		if got != want || fault.Is(err, fault.NoPermission) == want.Allowed || (err == nil) != want.Allowed {
			return fmt.Errorf("decided %+v (%v), the reference %+v\ncall %+v\nrequest %+v\npolicies %s\nof the resource %s", got, err, want, call, request, strings.Join(documents, "\n"), owned)
		}
		if explained, _ := call.Explain(request); explained != got {
			return fmt.Errorf("decided %+v and explained %+v", got, explained)
		}
		reasons[got.Reason]++
	}
	return nil
}

// TestPairsReachEveryStatement measures that the pairs of TestAgreesWithReference run every
// statement of the evaluator: what they did not run, they could not compare.
func TestPairsReachEveryStatement(t *testing.T) {
	profile := filepath.Join(t.TempDir(), "profile")
	cmd := exec.Command("go", "test", "-run", "^TestAgreesWithReference$", "-coverprofile", profile, ".")
	cmd.Env = append(os.Environ(), "KEYWARD_PAIRS=20000")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	content, err := os.ReadFile(profile)
	if err != nil {
		t.Fatal(err)
	}
	lines := evaluator(t)
	statements := 0
	var missed []string
	for line := range strings.Lines(string(content)) {
		// path/file.go:line.column,line.column statements count
		var begin, column, n, count int
		_, rest, _ := strings.Cut(line, "internal/authz/")
		file, rest, found := strings.Cut(rest, ":")
		if !found {
			continue // the mode
		}
		if _, err := fmt.Sscanf(rest, "%d.%d", &begin, &column); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if fields := strings.Fields(line); len(fields) == 3 {
			n, _ = strconv.Atoi(fields[1])
			count, _ = strconv.Atoi(fields[2])
		}
		if !lines[file+":"+strconv.Itoa(begin)] {
			continue
		}
		statements += n
		if count == 0 {
			missed = append(missed, strings.TrimSpace(line))
		}
	}
	t.Logf("%d statements of the evaluator, %d blocks not reached", statements, len(missed))
	if diff := gocmp.Diff([]string(nil), missed); diff != "" || statements < 100 {
		t.Errorf("not reached, of %d statements:\n%s", statements, diff)
	}
}

// evaluator answers the lines, as file:number, of what runs when a policy is evaluated: not
// of what runs when it is compiled, but for the functions that compilation leaves behind.
func evaluator(t *testing.T) map[string]bool {
	t.Helper()
	whole := []string{"decide.go"}
	functions := []string{"parseARN", "match", "matchParts", "matchAny", "matchPrefix", "matchSuffix", "findPart", "names", "holds", "parseNumber"}
	lines := map[string]bool{}
	for _, name := range []string{"decide.go", "glob.go", "resource.go", "condition.go"} {
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		add := func(n ast.Node) {
			for l := files.Position(n.Pos()).Line; l <= files.Position(n.End()).Line; l++ {
				lines[name+":"+strconv.Itoa(l)] = true
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if slices.Contains(whole, name) || slices.Contains(functions, n.Name.Name) {
					add(n)
				}
			case *ast.FuncLit:
				if !returnsTest(n) {
					add(n)
				}
			}
			return true
		})
	}
	return lines
}

// returnsTest tells whether a function literal compiles a value: it answers a test and an error.
func returnsTest(f *ast.FuncLit) bool {
	return f.Type.Results != nil && len(f.Type.Results.List) == 2 && fmt.Sprint(f.Type.Results.List[1].Type) == "error"
}

// TestWildcardsAgreeWithReference compares patterns of few letters with names of few letters.
func TestWildcardsAgreeWithReference(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(seed(t), 0))}
	draw := func(letters []string, least, most int) string {
		var b strings.Builder
		for range least + g.IntN(most-least+1) {
			b.WriteString(pick(g, letters))
		}
		return b.String()
	}
	r, matches := &reference{}, 0
	for range 2000 {
		pattern := draw([]string{"a", "b", "é", "*", "?"}, 1, 7)
		p := compile(t, "p", statement("Allow", "*", "*", `{"StringLike":{"kms:KeySpec":"`+pattern+`"}}`))
		call := user(p)
		for range 50 {
			name := draw([]string{"a", "b", "é"}, 0, 7)
			want := r.wildcard("", pattern, name)
			if want {
				matches++
			}
			request := authz.Request{Action: "kms:Encrypt", Resource: resources[0], Attributes: []authz.Attribute{{Key: authz.KeySpec, Value: name}}}
			if got := call.Decide(request).Allowed; got != want {
				t.Fatalf("%q matches %q: %v, the reference says %v", pattern, name, got, want)
			}
		}
	}
	if matches < 2000 {
		t.Errorf("only %d names matched", matches)
	}
}
