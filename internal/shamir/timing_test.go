package shamir_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/shamir"
)

// The sharing that an older secret store shipped looked logarithms up in tables, and
// the cache told which ones. TestL22NoTables holds that field.go has nothing to look
// anything up in and nothing to decide: no index, no if, no switch, no && or ||, no
// comparison, and no loop but over a constant.
func TestL22NoTables(t *testing.T) {
	if found := leaks(t, "field.go", nil); len(found) > 0 {
		t.Errorf("field.go is not straight code: %v", found)
	}
	for name, src := range map[string]string{
		"a table":  "package p; var log [256]byte; func f(a byte) byte { return log[a] }",
		"a branch": "package p; func f(a byte) byte { if a == 0 { return 1 }; return 0 }",
		"a loop":   "package p; func f(a byte) (n byte) { for ; a > 0; a >>= 1 { n++ }; return }",
		"a range":  "package p; func f(a byte) (n byte) { for range a { n++ }; return }",
		"a map":    "package p; var m map[byte]byte; func f(a byte) byte { return m[a] }",
		"a switch": "package p; func f(a byte) byte { switch a { case 1: return 2 }; return 0 }",
	} {
		if len(leaks(t, "p.go", src)) == 0 {
			t.Errorf("%s is not noticed", name)
		}
	}
}

func leaks(t *testing.T, name string, src any) (found []string) {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, src, 0)
	if err != nil {
		t.Fatal(err)
	}
	leak := func(n ast.Node, what string) { found = append(found, fset.Position(n.Pos()).String()+" "+what) }
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IndexExpr, *ast.SliceExpr:
			leak(n, "indexes")
		case *ast.IfStmt, *ast.SwitchStmt, *ast.TypeSwitchStmt, *ast.SelectStmt, *ast.ForStmt, *ast.BranchStmt:
			leak(n, "decides")
		case *ast.RangeStmt:
			if lit, ok := n.X.(*ast.BasicLit); !ok || lit.Kind != token.INT {
				leak(n, "loops over a value")
			}
		case *ast.BinaryExpr:
			switch n.Op {
			case token.LAND, token.LOR, token.EQL, token.NEQ, token.LSS, token.LEQ, token.GTR, token.GEQ, token.QUO, token.REM:
				leak(n, "compares or divides")
			}
		}
		return true
	})
	return found
}

// TestL22Timing measures whether the time of a multiplication depends on what is
// multiplied: zeros against random bytes, in turns, in small blocks of which the
// fastest counts, because whatever else the machine does only makes a block slower.
// The same measurement must find a multiplication that skips zero bits.
func TestL22Timing(t *testing.T) {
	const tolerance = 0.06
	best := 1.0
	for range 8 { // noise passes; a dependence stays
		if best = min(best, difference(shamir.Mul)); best < tolerance {
			break
		}
	}
	if best >= tolerance {
		t.Errorf("multiplying zeros and random bytes differs by %.1f %%", 100*best)
	}
	if leaky := difference(skipping); leaky < tolerance {
		t.Errorf("a multiplication that skips zero bits differs by only %.1f %%: the measurement is blind", 100*leaky)
	}
	t.Logf("the difference is %.2f %%", 100*best)
}

// skipping is how not to do it.
func skipping(a, b byte) (product byte) {
	for ; b > 0; b >>= 1 {
		if b&1 == 1 {
			product ^= a
		}
		a = a<<1 ^ 0x1b&-(a>>7)
	}
	return product
}

func difference(mul func(a, b byte) byte) float64 {
	random := rand.New(rand.NewPCG(1, 2))
	var classes [2][1024][2]byte // zeros, then random bytes
	for i := range classes[1] {
		classes[1][i] = [2]byte{byte(random.Uint32()), byte(random.Uint32())}
	}
	fastest := [2]time.Duration{time.Hour, time.Hour}
	var sink byte
	for range 2000 {
		class := random.IntN(2)
		begin := time.Now()
		for i := range classes[class] {
			sink ^= mul(classes[class][i][0], classes[class][i][1])
		}
		fastest[class] = min(fastest[class], time.Since(begin))
	}
	_ = sink
	slow, fast := max(fastest[0], fastest[1]), min(fastest[0], fastest[1])
	return float64(slow-fast) / float64(fast)
}
