package search_test

import (
	"archive/zip"
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/simplifiedchinese"
	_ "modernc.org/sqlite"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/leaktest"
	"github.com/keyward/keyward/internal/leak/search"
)

// sqlite answers a database after these statements.
func sqlite(t testing.TB, statements ...string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("BEGIN; " + strings.Join(statements, "; ") + "; COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// found answers rule and path of what was found.
func found(s *search.Search) map[string]string {
	out := map[string]string{}
	for _, f := range s.Findings() {
		if f.Severity >= leak.Medium {
			out[f.Rule] = f.Locations[0].Path
		}
	}
	return out
}

// secrets are fake values, made when the test runs.
func secrets(t testing.TB) (aws, password string) {
	return kindOf(t, "aws-secret-access-key").Secret, kindOf(t, "generic-password").Secret
}

func TestSQLite(t *testing.T) {
	aws, password := secrets(t)
	long := strings.Repeat("a line of text. ", 2000)
	statements := []string{
		`CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID`,
		`CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, note TEXT, "password" TEXT CHECK (length(password) > 1), CONSTRAINT c UNIQUE (name))`,
		`CREATE VIEW v AS SELECT * FROM users`,
		fmt.Sprintf(`INSERT INTO settings VALUES ('aws_secret_access_key', '%s')`, aws),
		fmt.Sprintf(`INSERT INTO users VALUES (7, 'eve', '%s', '%s')`, long, strings.ReplaceAll(password, "'", "''")),
	}
	for i := range 400 { // more than one page of each
		statements = append(statements, fmt.Sprintf(`INSERT INTO settings VALUES ('k%d', 'value %d of some length')`, i, i), fmt.Sprintf(`INSERT INTO users VALUES (%d, 'user%d', NULL, 'no')`, 100+i, i))
	}
	content := sqlite(t, statements...)
	s := look(options(t), "a.db", content)
	if diff := cmp.Diff(map[string]string{"aws-secret-access-key": "a.db!settings", "generic-password": "a.db!users"}, found(s)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if c := s.Coverage(); c.Partial() {
		t.Errorf("problems: %+v", c.Problems)
	}
	for _, cut := range []int{200, 5000, len(content) - 5000} {
		if c := look(options(t), "a.db", content[:cut]).Coverage(); !c.Partial() {
			t.Errorf("the first %d bytes are taken for all", cut)
		}
	}
	cycle := bytes.Clone(content) // a page whose last child is the root
	for at := 0; at < len(cycle); at += 4096 {
		if kind := cycle[at]; at > 0 && kind == 5 {
			copy(cycle[at+8:], []byte{0, 0, 0, byte(at/4096 + 1)})
		}
	}
	if c := look(options(t), "a.db", cycle).Coverage(); !c.Partial() {
		t.Error("a cycle is not told")
	}
}

func gbk(t testing.TB, text string) []byte {
	t.Helper()
	b, err := simplifiedchinese.GBK.NewEncoder().Bytes([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGBK(t *testing.T) {
	_, password := secrets(t)
	filler := strings.Repeat("这是一行说明文字，没有别的内容。\n", 30_000) // more than a block
	s := look(options(t), "a.txt", gbk(t, filler+"数据库口令："+password+"\n"+filler))
	if diff := cmp.Diff(map[string]string{"generic-password": "a.txt"}, found(s)); diff != "" {
		t.Fatalf("findings (-want +got):\n%s", diff)
	}
	if at := s.Findings()[0].Locations; len(at) != 1 || at[0].Line != 30_001 {
		t.Errorf("places %+v", at)
	}
}

func TestNamesInGBK(t *testing.T) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.CreateHeader(&zip.FileHeader{Name: string(gbk(t, "生产环境/配置.env")), NonUTF8: true})
	if err != nil {
		t.Fatal(err)
	}
	k := token(t)
	if _, err := f.Write([]byte("TOKEN=" + k.Secret + "\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"github-token": "a.zip!生产环境/配置.env"}, found(look(options(t), "a.zip", b.Bytes()))); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// TestWindows has streams ask for more memory than they may have: alone, and within another.
func TestWindows(t *testing.T) {
	var xz, zstd []byte
	for _, c := range leaktest.Containers() {
		switch c.Name {
		case "xz":
			xz = c.With(token(t))
		case "zstd":
			zstd = c.With(token(t))
		}
	}
	large := bytes.Clone(xz)
	large[16] = 40 // 4 GiB, in the header of its only block
	for name, content := range map[string][]byte{"xz": large, "xz in zip": leaktest.Zip(map[string][]byte{"a": large})} {
		s := look(options(t), name, content)
		if problems := s.Coverage().Problems; len(problems) != 1 || !strings.Contains(problems[0].What, "of memory") {
			t.Errorf("%s: %+v", name, problems)
		}
	}
	// What xz makes of an archive has room for the window of what is in it, but for another of its own.
	o, k := options(t), token(t)
	for _, c := range leaktest.Containers() {
		s := look(o, "a.tar.xz", leaktest.XZ(leaktest.Tar(map[string][]byte{"a": c.With(k), "b.env": []byte("TOKEN=" + k.Secret + "\n")})))
		if nested := c.Name == "xz"; s.Coverage().Partial() != nested || !nested && len(s.Findings()) == 0 {
			t.Errorf("%s in tar.xz: %+v", c.Name, s.Coverage())
		}
	}
	for name, content := range map[string][]byte{"xz": xz, "zstd": zstd, "both": leaktest.Zip(map[string][]byte{"a": xz, "b": zstd})} {
		s := look(options(t), name, content)
		if c := s.Coverage(); c.Partial() || len(s.Findings()) != 1 {
			t.Errorf("%s: %+v", name, c)
		}
	}
}
