package vectors_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/c2sp/wycheproof"
)

// A suite is one file of Wycheproof.
type suite struct {
	Cases  int     `json:"numberOfTests"`
	Groups []group `json:"testGroups"`
}

// A group is a part of a file with one key or one set of parameters.
type group struct {
	Type         string     `json:"type"`
	Sha          string     `json:"sha"`
	MgfSha       string     `json:"mgfSha"`
	KeySize      int        `json:"keySize"` // bits, like the other sizes
	IVSize       int        `json:"ivSize"`
	SaltLength   int        `json:"sLen"` // bytes
	PublicSPKI   hexBytes   `json:"publicKeyDer"`
	PublicPKCS1  hexBytes   `json:"publicKeyAsn"`
	PrivatePKCS8 hexBytes   `json:"privateKeyPkcs8"`
	Tests        []testCase `json:"tests"`
}

// A testCase has the members of all the kinds of cases that are run here.
type testCase struct {
	ID      int             `json:"tcId"`
	Comment string          `json:"comment"`
	Flags   []string        `json:"flags"`
	Result  string          `json:"result"` // "valid", "invalid" or "acceptable"
	Key     hexBytes        `json:"key"`
	IV      hexBytes        `json:"iv"`
	AAD     hexBytes        `json:"aad"`
	Msg     hexBytes        `json:"msg"`
	CT      hexBytes        `json:"ct"`
	Tag     hexBytes        `json:"tag"`
	Sig     hexBytes        `json:"sig"`
	Label   hexBytes        `json:"label"`
	IKM     hexBytes        `json:"ikm"`
	Salt    hexBytes        `json:"salt"`
	Info    hexBytes        `json:"info"`
	Size    int             `json:"size"`
	OKM     hexBytes        `json:"okm"`
	Public  json.RawMessage `json:"public"`
}

// hexBytes are written in hexadecimal.
type hexBytes []byte

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// An answer is what keyward makes of a case.
type answer struct {
	accepted  bool
	wrong     string // what came out, if it is not what the case says: never explained
	mayRefuse string // why keyward may refuse what is valid
	mayAccept string // why keyward may accept what is invalid
	skipped   string // why the case was not run
}

// An operation prepares a group and answers how to run its cases. An error fails the test.
type operation func(g group) (func(testCase) answer, error)

// skip is an operation for a group that keyward does not offer.
func skip(reason string, args ...any) (func(testCase) answer, error) {
	return func(testCase) answer { return answer{skipped: fmt.Sprintf(reason, args...)} }, nil
}

// A tally counts the cases of a row.
type tally struct {
	files, cases, run, agreed int
	differences, skipped      map[string]int // by reason
}

func newTally() tally { return tally{differences: map[string]int{}, skipped: map[string]int{}} }

func (t *tally) add(o tally) {
	t.files, t.cases, t.run, t.agreed = t.files+o.files, t.cases+o.cases, t.run+o.run, t.agreed+o.agreed
	for reason, n := range o.differences {
		t.differences[reason] += n
	}
	for reason, n := range o.skipped {
		t.skipped[reason] += n
	}
}

// runSuite runs a file and counts; a case that differs without a reason is an error.
func runSuite(t *testing.T, name string, r row) tally {
	count := newTally()
	count.files = 1
	if r.run == nil {
		var s struct {
			Cases int `json:"numberOfTests"`
		}
		read(t, name, &s)
		count.cases, count.skipped[r.text] = s.Cases, s.Cases
		return count
	}
	var s suite
	read(t, name, &s)
	for _, g := range s.Groups {
		run, err := r.run(g)
		if err != nil {
			t.Errorf("%s, case %d: %v", name, g.Tests[0].ID, err)
			continue
		}
		for _, c := range g.Tests {
			count.judge(t, name, c, run(c))
		}
	}
	if count.cases != s.Cases {
		t.Errorf("%s has %d cases and says %d", name, count.cases, s.Cases)
	}
	return count
}

func (count *tally) judge(t *testing.T, name string, c testCase, a answer) {
	count.cases++
	if a.skipped != "" {
		count.skipped[a.skipped]++
		return
	}
	count.run++
	agrees := c.Result == "acceptable" || a.accepted == (c.Result == "valid")
	difference := a.mayRefuse
	if a.accepted {
		difference = a.mayAccept
	}
	switch {
	case a.wrong != "":
		t.Errorf("%s, case %d (%s, %s): %s", name, c.ID, c.Comment, c.Result, a.wrong)
	case agrees:
		count.agreed++
	case difference != "":
		count.differences[difference]++
	default:
		t.Errorf("%s, case %d (%s, %v) is %s; keyward accepts it: %v", name, c.ID, c.Comment, c.Flags, c.Result, a.accepted)
	}
}

// TestWycheproof runs every file that has its operation here, and counts the others.
func TestWycheproof(t *testing.T) {
	entries, err := fs.ReadDir(wycheproof.TestVectors, ".")
	if err != nil {
		t.Fatal(err)
	}
	counts := make([]tally, len(rows))
	for i := range counts {
		counts[i] = newTally()
	}
	t.Run("files", func(t *testing.T) {
		results := make(chan struct {
			row   int
			count tally
		}, len(entries))
		t.Run("run", func(t *testing.T) {
			for _, e := range entries {
				i := rowOf(t, e.Name())
				t.Run(strings.TrimSuffix(e.Name(), "_test.json"), func(t *testing.T) {
					t.Parallel()
					results <- struct {
						row   int
						count tally
					}{i, runSuite(t, e.Name(), rows[i])}
				})
			}
		})
		close(results)
		for r := range results {
			counts[r.row].add(r.count)
		}
	})
	total := newTally()
	for i, count := range counts {
		if count.files == 0 {
			t.Errorf("no file is like %s", rows[i].files)
		}
		total.add(count)
	}
	if t.Failed() {
		return
	}
	t.Logf("%d files, %d cases: %d run, %d agreed, %d differ for a reason, %d skipped for a reason",
		total.files, total.cases, total.run, total.agreed, sum(total.differences), sum(total.skipped))
	checkSection(t, "wycheproof", wycheproofSection(counts, total))
}

// read reads a file of Wycheproof.
func read(t *testing.T, name string, into any) {
	t.Helper()
	content, err := fs.ReadFile(wycheproof.TestVectors, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// rowOf answers the one row that a file belongs to.
func rowOf(t *testing.T, name string) int {
	t.Helper()
	found := -1
	for i, r := range rows {
		matches := slices.ContainsFunc(strings.Fields(r.files), func(pattern string) bool {
			ok, err := path.Match(pattern+"_test.json", name)
			if err != nil {
				t.Fatal(err)
			}
			return ok
		})
		if matches && found >= 0 {
			t.Fatalf("%s belongs to two rows: %s and %s", name, rows[found].files, r.files)
		}
		if matches {
			found = i
		}
	}
	if found < 0 {
		t.Fatalf("%s stands in no row of the table: say which operation runs it, or why none does", name)
	}
	return found
}

func sum(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// wycheproofSection writes the tables of docs/conformance.md.
func wycheproofSection(counts []tally, total tally) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d files with %d cases: **%d run, %d agree, %d differ for the reasons below, 0 differ without a reason**;\n%d are not run, for the reasons below.\n\n",
		total.files, total.cases, total.run, total.agreed, sum(total.differences), sum(total.skipped))
	b.WriteString("| Files | Cases | Run | Agree | Differ | Operation |\n|---|---:|---:|---:|---:|---|\n")
	for i, count := range counts {
		if rows[i].run != nil {
			fmt.Fprintf(&b, "| %s (%d) | %d | %d | %d | %d | %s |\n", code(rows[i].files), count.files, count.cases, count.run, count.agreed, sum(count.differences), rows[i].text)
		}
	}
	b.WriteString("\n| Differ | Reason |\n|---:|---|\n")
	for _, reason := range slices.Sorted(maps.Keys(total.differences)) {
		fmt.Fprintf(&b, "| %d | %s |\n", total.differences[reason], reason)
	}
	b.WriteString("\nOf the files above, these cases are not run:\n\n| Cases | Reason |\n|---:|---|\n")
	within := newTally()
	for i, count := range counts {
		if rows[i].run != nil {
			within.add(count)
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(within.skipped)) {
		fmt.Fprintf(&b, "| %d | %s |\n", within.skipped[reason], reason)
	}
	b.WriteString("\nThese files are not run:\n\n| Files | Cases | Reason |\n|---|---:|---|\n")
	for i, count := range counts {
		if rows[i].run == nil {
			fmt.Fprintf(&b, "| %s (%d) | %d | %s |\n", code(rows[i].files), count.files, count.cases, rows[i].text)
		}
	}
	return b.String()
}

func code(patterns string) string {
	return "`" + strings.Join(strings.Fields(patterns), "` `") + "`"
}
