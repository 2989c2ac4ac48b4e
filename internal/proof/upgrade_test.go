package proof

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/store/database"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A golden is the database that a release left behind.
type golden struct {
	dir    string
	corpus corpus
}

// goldens answers those of every release for one kind of database.
func goldens(t *testing.T, database string) []golden {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join("testdata", "releases", "*", database))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no release left a %s database: %v", database, err)
	}
	var all []golden
	for _, dir := range dirs {
		all = append(all, golden{dir, readCorpus(t, dir)})
	}
	return all
}

// restore puts a copy of the database in place, as a restored backup, for a server that
// is not started yet.
func (g golden) restore(t *testing.T, binary string) *server {
	t.Helper()
	url := ""
	if _, err := os.Stat(filepath.Join(g.dir, goldenDump)); err == nil {
		url = storetest.Postgres(t)
		reload(t, url, readGolden(t, g.dir, goldenDump))
	}
	s := prepareServer(t, binary, filepath.Join(t.TempDir(), "data"), url)
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	packed, err := os.ReadFile(filepath.Join(g.dir, goldenData))
	if err != nil {
		t.Fatal(err)
	}
	unpack(t, packed, s.dir)
	s.key = api.FoundedAccount{AccessKeyID: g.corpus.AccessKeyID, AccessKeySecret: api.SecretText(g.corpus.Secret)}
	return s
}

func eachGolden(t *testing.T, test func(t *testing.T, g golden)) {
	for _, database := range []string{"sqlite", "postgres"} {
		for _, g := range goldens(t, database) {
			t.Run(filepath.Base(filepath.Dir(g.dir))+" on "+database, func(t *testing.T) { test(t, g) })
		}
	}
}

// What every release left behind is opened by this one: its backup is restored and
// verified, its keys decrypt and verify what they made, its log continues, its files
// open, and work goes on; also after a second start.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	binary := build(t)
	eachGolden(t, func(t *testing.T, g golden) {
		s := g.restore(t, binary)
		s.start()
		g.corpus.check(t, s)
		file, err := os.ReadFile(filepath.Join(g.dir, goldenFile))
		if err != nil {
			t.Fatal(err)
		}
		if plain := s.cli(t, string(file), "decrypt"); string(plain) != goldenPlain {
			t.Errorf("the file decrypts to %q", plain)
		}
		s.stop()
		s.start()
		g.corpus.use(t, t.Context(), s.client(func(string) {}))
		s.stop()
		then := g.verifyExport(t, binary)
		now := verifyLogs(t, s)
		if now <= then {
			t.Errorf("the log has %d records, and had %d", now, then)
		}
	})
}

// verifyExport verifies the log that the release exported, with the program of today,
// and answers how many records it has.
func (g golden) verifyExport(t *testing.T, binary string) int64 {
	t.Helper()
	export := readGolden(t, g.dir, goldenExport)
	cmd := exec.Command(binary, "audit", "verify", "--export", "-", "--public-key", g.corpus.PublicKey)
	cmd.Stdin = bytes.NewReader(export)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("verifying the export: %v\n%s", err, out)
	}
	return int64(bytes.Count(export, []byte("\n")))
}

// verifyLogs verifies the logs in the database of a stopped server and answers how many
// records they have.
func verifyLogs(t *testing.T, s *server) (records int64) {
	t.Helper()
	db, err := database.Open(t.Context(), s.url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	logs, err := db.Logs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range logs {
		report, err := audit.VerifyStore(t.Context(), db, id.Origin, audit.Trust{PublicKey: id.PublicKey})
		if err != nil {
			t.Fatal(err)
		}
		records += report.Size
	}
	return records
}

// upgrades is how many kills TestKillWhileUpgrading makes: KEYWARD_UPGRADES, or a few.
func upgrades(t *testing.T) int {
	n, err := strconv.Atoi(cmp.Or(os.Getenv("KEYWARD_UPGRADES"), "8"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The real server is killed at a random moment of its first start on an older database,
// once or several times; the start after that finds everything.
func TestKillWhileUpgrading(t *testing.T) {
	t.Parallel()
	binary, n := build(t), upgrades(t)
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("KEYWARD_SEED"), fmt.Sprint(time.Now().UnixNano())), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("KEYWARD_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	all := append(goldens(t, "sqlite"), goldens(t, "postgres")...)
	moved := 0 // how often the kill came after the migration
	for kills := 0; kills < n; {
		g := all[random.IntN(len(all))]
		s := g.restore(t, binary)
		for range 1 + random.IntN(3) {
			s.launch()
			// The migration comes first and takes some milliseconds; unsealing takes longer.
			time.Sleep(time.Duration(random.Int64N(int64(60 * time.Millisecond))))
			s.kill()
			kills++
		}
		if migrated(t, s) {
			moved++
		}
		s.start()
		g.corpus.check(t, s)
		s.kill()
		verifyLogs(t, s)
		if t.Failed() {
			t.Fatalf("server's log:\n%s", s.log())
		}
	}
	t.Logf("%d kills; the database was migrated before the last start %d times", n, moved)
}

// migrated tells whether a database is not as the release left it, without opening it as
// a store.
func migrated(t *testing.T, s *server) bool {
	t.Helper()
	if path, ok := strings.CutPrefix(s.url, "sqlite:"); ok {
		for _, file := range []string{path, path + "-wal"} {
			content, err := os.ReadFile(file)
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			if bytes.Contains(content, []byte("0002_")) {
				return true
			}
		}
		return false
	}
	return bytes.Contains(dump(t, s.url), []byte("0002_"))
}

// A backup that is restored beside the newer checkpoint of its node is refused, and the
// refusal says what to do; without the checkpoint it is taken, and verifies.
func TestRestoredOlderDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	binary := build(t)
	eachGolden(t, func(t *testing.T, g golden) {
		s := g.restore(t, binary)
		s.start()
		g.corpus.use(t, t.Context(), s.client(func(string) {}))
		s.stop()
		newer, err := os.ReadFile(filepath.Join(s.dir, "audit.checkpoint"))
		if err != nil {
			t.Fatal(err)
		}
		older := g.restore(t, binary)
		checkpoint := filepath.Join(older.dir, "audit.checkpoint")
		if err := os.WriteFile(checkpoint, newer, 0o600); err != nil {
			t.Fatal(err)
		}
		if older.tryStart() || !strings.Contains(older.log(), "rollback suspected") {
			t.Fatalf("an older database is taken:\n%s", older.log())
		}
		if err := os.Rename(checkpoint, checkpoint+".kept"); err != nil {
			t.Fatal(err)
		}
		older.start()
		g.corpus.check(t, older)
		older.stop()
		verifyLogs(t, older)
	})
}
