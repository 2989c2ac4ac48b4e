package proof

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/store/storetest"
)

var makeRelease = flag.String("make-release", "", "have this build leave a golden database of the named release in testdata/releases")

// The parts of a golden database. Each directory of testdata/releases is a release, and
// has one directory for SQLite and one for PostgreSQL.
const (
	goldenData   = "data.tar.gz"     // the data directory of the stopped server
	goldenDump   = "postgres.sql.gz" // what the PostgreSQL database holds
	goldenExport = "audit.jsonl.gz"  // its audit log, exported
	goldenFile   = "file.kw"         // an encrypted file
	goldenPlain  = "a file of an older release\n"
)

// TestMakeRelease has the program of today leave behind what every later one must be able
// to open. `make release-data RELEASE=…` runs it, once for each release.
func TestMakeRelease(t *testing.T) {
	if *makeRelease == "" {
		t.Log("nothing to make; see make release-data")
		return
	}
	binary := build(t)
	for name, url := range map[string]string{"sqlite": "", "postgres": storetest.Postgres(t)} {
		dir := filepath.Join("testdata", "releases", *makeRelease, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		s := initializeServer(t, binary, url)
		made := makeCorpus(t, s)
		content, err := json.MarshalIndent(made, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		keep(t, dir, "corpus.json", append(content, '\n'))
		keep(t, dir, goldenFile, s.cli(t, goldenPlain, "encrypt", "--key", "alias/golden"))
		var export bytes.Buffer
		if err := client.Operator(s.socket).ExportAudit(t.Context(), &export); err != nil {
			t.Fatal(err)
		}
		keep(t, dir, goldenExport, compress(t, export.Bytes()))
		s.stop()
		keep(t, dir, goldenData, s.pack())
		if url != "" {
			keep(t, dir, goldenDump, compress(t, dump(t, url)))
		}
	}
}

func keep(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// cli runs a command of the program against the server and answers what it prints.
func (s *server) cli(t *testing.T, input string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(s.binary, args...)
	cmd.Env = append(os.Environ(), "KEYWARD_ENDPOINT=http://"+s.address,
		"ALIBABA_CLOUD_ACCESS_KEY_ID="+s.key.AccessKeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET="+string(s.key.AccessKeySecret))
	cmd.Stdin = strings.NewReader(input)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("keyward %s: %v\n%s", args[0], err, problems.Bytes())
	}
	return out
}

// stop ends the server as its operator does.
func (s *server) stop() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	<-s.gone
	if state := s.cmd.ProcessState; !state.Success() {
		s.t.Fatalf("stopping: %v\n%s", state, s.log())
	}
	_ = s.logs.Close()
	s.cmd = nil
}

// pack answers the data directory as a backup has it, without configuration and log.
func (s *server) pack() []byte {
	s.t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || e.Name() == "lock" {
			continue
		}
		content, err := os.ReadFile(filepath.Join(s.dir, e.Name()))
		if err == nil {
			err = w.WriteHeader(&tar.Header{Name: e.Name(), Mode: 0o600, Size: int64(len(content))})
		}
		if err == nil {
			_, err = w.Write(content)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		s.t.Fatal(err)
	}
	return out.Bytes()
}

// unpack puts a packed data directory in place.
func unpack(t *testing.T, packed []byte, dir string) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		var content []byte
		if err == nil {
			content, err = io.ReadAll(r)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(h.Name)), content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func compress(t *testing.T, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write(content)
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// readGolden reads a part of a golden database, unpacked.
func readGolden(t *testing.T, dir, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// unwanted are lines of a dump that only psql understands, or that name the server.
var unwanted = regexp.MustCompile(`(?m)^(\\.*|--.*|SET .*|SELECT pg_catalog\.set_config.*)\n`)

// dump answers a PostgreSQL database as statements.
func dump(t *testing.T, database string) []byte {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("pg_dump", "--inserts", "--no-owner", "--no-privileges", "-d", u.String()).Output()
	if err != nil {
		t.Fatalf("pg_dump: %v", err)
	}
	return unwanted.ReplaceAll(out, nil)
}

// reload runs the statements of a dump.
func reload(t *testing.T, database string, statements []byte) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
	if _, err := conn.PgConn().Exec(ctx, string(statements)).ReadAll(); err != nil {
		t.Fatal(err)
	}
}
