package proof

import (
	"cmp"
	"database/sql"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/store/storetest"
)

// seedOf answers the seed of a campaign, KEYWARD_SEED or a new one, and prints it.
func seedOf(t *testing.T) uint64 {
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("KEYWARD_SEED"), strconv.FormatInt(time.Now().UnixNano(), 10)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("KEYWARD_SEED=%d", seed)
	return seed
}

// A template is a plant as it was left, to be copied for each trial.
type template struct {
	now       time.Time
	files     map[string][]byte
	questions []question
	right     map[string]answer
	history   []version           // rows as they were at some time
	past      []map[string][]byte // the database as it was at some times
}

// A version is a row as it was once.
type version struct {
	table string
	row   map[string]any
}

// boundTables are the tables whose rows are bound, with their key columns.
var boundTables = map[string][]string{
	"iam_account": {"id"}, "iam_user": {"account", "name"}, "iam_access_key": {"id"}, "iam_policy": {"account", "name"},
	"kms_key": {"account", "id"}, "kms_key_version": {"account", "key_id", "id"}, "kms_alias": {"account", "name"},
}

// newTemplate tells the story. With a WAL the database is left as a crash leaves it.
func newTemplate(t *testing.T, wal bool, accounts ...string) *template {
	t.Helper()
	dir := filepath.Join(storetest.MemoryDir(t), "p")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	p := must(openPlant(t.Context(), dir, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))(t)
	made := &template{}
	db := must(sql.Open("sqlite", "file:"+p.path("keyward.db")))(t)
	defer db.Close()
	seen := map[string]bool{}
	s := &story{t: t, p: p, happened: func() {
		for table := range boundTables {
			for _, row := range rows(t, db, table) {
				if id := fmt.Sprint(table, row["mac"]); !seen[id] {
					seen[id] = true
					made.history = append(made.history, version{table, row})
				}
			}
		}
		if len(seen)%10 == 0 {
			made.past = append(made.past, read(t, dir))
		}
	}}
	s.tell(accounts...)
	p.remember(t)
	if wal {
		made.files = read(t, dir)
	}
	made.now, made.questions = p.now, s.questions
	made.right = p.answers(t.Context(), s.questions)
	_ = db.Close()
	p.close()
	if !wal {
		made.files = read(t, dir)
	}
	return made
}

// read reads a directory's files, but for SQLite's shared memory, which is no truth.
func read(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, entry := range must(os.ReadDir(dir))(t) {
		if !strings.HasSuffix(entry.Name(), "-shm") {
			files[entry.Name()] = must(os.ReadFile(filepath.Join(dir, entry.Name())))(t)
		}
	}
	return files
}

func write(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, fs.FileMode(0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// rows reads a table as it is.
func rows(t *testing.T, db *sql.DB, table string) []map[string]any {
	t.Helper()
	r := must(db.QueryContext(t.Context(), "SELECT * FROM "+table))(t)
	defer r.Close()
	names := must(r.Columns())(t)
	var out []map[string]any
	for r.Next() {
		values := make([]any, len(names))
		dest := make([]any, len(names))
		for i := range values {
			dest[i] = &values[i]
		}
		if err := r.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		row := map[string]any{}
		for i, name := range names {
			row[name] = values[i]
		}
		out = append(out, row)
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// An outcome is what became of one trial.
type outcome string

const (
	harmless outcome = "harmless: every answer was right"
	refused  outcome = "the start was refused"
	inUse    outcome = "an answer said so"
	byScrub  outcome = "the scrub said so"
	silent   outcome = "SILENT"
)

// judge asks everything of a plant that was tampered with. With always, the scrub must
// speak even if every answer is right.
func (m *template) judge(t *testing.T, p *plant, always bool) (outcome, string) {
	result, wrong := harmless, ""
	have := p.answers(t.Context(), m.questions)
	for name, right := range m.right {
		switch got := have[name]; {
		case got == right:
		case got.alarming():
			if result == harmless {
				result = inUse
			}
		default:
			result, wrong = silent, fmt.Sprintf("%s: %.300s %.300q, right is %.300s %.300q", name, got.kind, got.text, right.kind, right.text)
		}
	}
	if result != silent && !always {
		return result, ""
	}
	report, err := p.scrub.Scrub(t.Context(), theOperator())
	switch {
	case err != nil || !report.Clean():
		if result == inUse {
			return inUse, ""
		}
		return byScrub, ""
	case always && result != silent:
		return silent, "the scrub found nothing"
	}
	return silent, wrong
}

// campaign runs trials on several processors and counts their outcomes.
func (m *template) campaign(t *testing.T, trials int, trial func(dir string, random *rand.Rand) (outcome, string)) map[outcome]int {
	seed := seedOf(t)
	base := storetest.MemoryDir(t)
	counts := map[outcome]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	next := make(chan int)
	for w := range 4 {
		wg.Go(func() {
			dir := filepath.Join(base, strconv.Itoa(w))
			for i := range next {
				result, what := trial(dir, rand.New(rand.NewPCG(seed, uint64(i))))
				_ = os.RemoveAll(dir)
				mu.Lock()
				if counts[result]++; result == silent && counts[silent] <= 20 {
					t.Errorf("trial %d: %s", i, what)
				}
				mu.Unlock()
			}
		})
	}
	for i := range trials {
		next <- i
		if i > 0 && i%1000 == 0 {
			mu.Lock()
			t.Logf("%d trials are done, silent: %d", i, counts[silent])
			mu.Unlock()
		}
	}
	close(next)
	wg.Wait()
	for _, o := range []outcome{harmless, refused, inUse, byScrub, silent} {
		t.Logf("%7d  %s", counts[o], o)
	}
	return counts
}

// Random bits of the database file, and of its write-ahead log, are flipped while the
// server is down: whatever it answers then is right, or an error that says that something
// is wrong, or the scrub says so.
func TestIntegrityFlips(t *testing.T) {
	for name, wal := range map[string]bool{"file": false, "wal": true} {
		t.Run(name, func(t *testing.T) {
			m := newTemplate(t, wal, "one")
			targets := []string{"keyward.db"}
			if wal {
				targets = append(targets, "keyward.db-wal")
				for _, name := range []string{"keyward.db-audit.0", "keyward.db-audit.1"} {
					if len(m.files[name]) > 0 {
						targets = append(targets, name)
					}
				}
				if len(m.files["keyward.db-wal"]) == 0 {
					t.Fatal("there is no write-ahead log")
				}
			}
			counts := m.campaign(t, size(t, "KEYWARD_FLIPS", 160)/2, func(dir string, random *rand.Rand) (outcome, string) {
				write(t, dir, m.files)
				target := targets[random.IntN(len(targets))]
				content := slices.Clone(m.files[target])
				bit := random.IntN(8 * len(content))
				content[bit/8] ^= 1 << (bit % 8)
				write(t, dir, map[string][]byte{target: content})
				p, err := openPlant(t.Context(), dir, m.now)
				if err != nil {
					return refused, ""
				}
				defer p.close()
				result, what := m.judge(t, p, false)
				return result, fmt.Sprintf("bit %d of %s: %s", bit, target, what)
			})
			if counts[inUse]+counts[byScrub]+counts[refused] == 0 {
				t.Error("nothing was found, so nothing was proven")
			}
		})
	}
}

// An attacker with SQL edits, swaps, transplants, deletes and puts back rows, while the
// server is down or running: it is found in use or by the scrub, always.
func TestIntegrityOfRows(t *testing.T) {
	m := newTemplate(t, false, "one", "two")
	kinds := map[string]int{}
	var mu sync.Mutex
	m.campaign(t, size(t, "KEYWARD_SWAPS", 80), func(dir string, random *rand.Rand) (outcome, string) {
		write(t, dir, m.files)
		running := random.IntN(2) == 0
		var p *plant
		var err error
		if running {
			if p, err = openPlant(t.Context(), dir, m.now); err != nil {
				t.Error(err)
				return silent, "it does not start untouched"
			}
			defer p.close()
		}
		what := m.attack(t, dir, random)
		mu.Lock()
		kinds[strings.Fields(what)[0]]++
		mu.Unlock()
		if !running {
			if p, err = openPlant(t.Context(), dir, m.now); err != nil {
				return refused, ""
			}
			defer p.close()
		}
		result, how := m.judge(t, p, true)
		return result, what + ": " + how
	})
	t.Logf("attacks: %v", kinds)
}

// attack does one thing with SQL that changes what is stored, and says what.
func (m *template) attack(t *testing.T, dir string, random *rand.Rand) string {
	db := must(sql.Open("sqlite", "file:"+filepath.Join(dir, "keyward.db")+"?_pragma=busy_timeout(5000)"))(t)
	defer db.Close()
	a := &attacker{t: t, db: db, random: random, history: m.history}
	for {
		attacks := []func() string{a.edit, a.swap, a.swapColumn, a.transplant, a.remove, a.rollBack, a.rollBack, a.putBack, a.trail, a.job}
		if what := attacks[random.IntN(len(attacks))](); what != "" {
			return what
		}
	}
}

// An older database as a whole, with the node's own files as they are, is not opened.
func TestIntegrityOfTheWhole(t *testing.T) {
	m := newTemplate(t, false, "one", "two")
	if len(m.past) < 3 {
		t.Fatalf("there are %d states of the past", len(m.past))
	}
	for i, past := range m.past {
		dir := filepath.Join(storetest.MemoryDir(t), "p")
		write(t, dir, m.files)
		write(t, dir, past)
		if p, err := openPlant(t.Context(), dir, m.now); err == nil {
			p.close()
			t.Errorf("state %d of the past was opened", i)
		}
	}
}
