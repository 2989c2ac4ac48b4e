package proof

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// scanMemory is what a scan may have resident at any time, in KiB, beside the pages of the program
// itself: of those the system maps 22 to 41 MiB, as they lie in its cache, and shares them.
const scanMemory = 36 << 10

// TestScanMemory has the real binary scan what takes the most memory there is,
// as many files of a kind at once as there are lanes, and asks the system for the peak.
// KEYWARD_SCAN=whole has the large files of their full size: `make scan-memory`.
func TestScanMemory(t *testing.T) {
	binary := build(t)
	for _, n := range nasties(os.Getenv("KEYWARD_SCAN") == "whole") {
		t.Run(n.name, func(t *testing.T) {
			dir := t.TempDir()
			n.write(t, filepath.Join(dir, "0"))
			for i := 1; i < n.copies; i++ {
				if err := os.Link(filepath.Join(dir, "0"), filepath.Join(dir, fmt.Sprint(i))); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // what takes for ever is not to outlive the test
			defer cancel()
			cmd := exec.CommandContext(ctx, binary, "scan", dir)
			cmd.Env = []string{"HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir()}
			out, peak, program := watched(t, cmd)
			taken := peak - program
			last := out[max(0, len(out)-600):]
			if !bytes.Contains(out, []byte("Scanned: ")) {
				t.Fatalf("it did not come to its end:\n%s", last)
			}
			t.Logf("%d MiB beside %d MiB of the program\n%s", taken>>10, program>>10, last)
			if taken > scanMemory {
				t.Errorf("%d MiB were resident beside the program, %d may be", taken>>10, scanMemory>>10)
			}
		})
	}
}

// watched runs a command and answers what it said, the most memory that it had resident, and what
// of it were pages of files, in KiB. The system's own account of a process that has ended begins with this process's, from
// which it was forked; so the mark is looked at while the command runs.
func watched(t *testing.T, cmd *exec.Cmd) (said []byte, peak, program int) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { defer close(gone); _ = cmd.Wait() }() // how it ends says nothing: some of this is damaged, some has findings
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-gone:
			return out.Bytes(), peak, program
		case <-tick.C:
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid)) // of one that has ended, nothing
			for name, n := range map[string]*int{"VmHWM:": &peak, "RssFile:": &program} {
				if _, text, found := strings.Cut(string(status), name); found {
					_, _ = fmt.Sscan(text, n)
				}
			}
		}
	}
}

// A nasty file, and in how many copies it stands there.
type nasty struct {
	name   string
	copies int
	write  func(t *testing.T, path string)
}

func nasties(whole bool) []nasty {
	sparse, line := int64(512<<20), 96<<20
	if whole {
		sparse, line = 5<<30, 1<<30
	}
	of := func(content func(t *testing.T) []byte) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, content(t), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return []nasty{
		{"xz with large windows", 8, of(func(*testing.T) []byte {
			return packed(text(24<<20), func(w io.Writer) (io.WriteCloser, error) {
				return xz.WriterConfig{DictCap: 8 << 20, BlockSize: 9 << 20}.NewWriter(w)
			})
		})},
		{"zstd with large windows", 8, of(func(*testing.T) []byte {
			return packed(text(40<<20), func(w io.Writer) (io.WriteCloser, error) {
				return zstd.NewWriter(w, zstd.WithWindowSize(16<<20))
			})
		})},
		{"zip with zstd", 8, of(func(t *testing.T) []byte {
			return zipped(1, func(w *zip.Writer, i int) (io.Writer, error) {
				w.RegisterCompressor(zstd.ZipMethodWinZip, zstd.ZipCompressor(zstd.WithWindowSize(8<<20)))
				return w.CreateHeader(&zip.FileHeader{Name: "a", Method: zstd.ZipMethodWinZip})
			}, text(40<<20))
		})},
		{"zip of 400,000 members", 8, of(func(*testing.T) []byte {
			return zipped(400_000, func(w *zip.Writer, i int) (io.Writer, error) {
				return w.CreateHeader(&zip.FileHeader{Name: fmt.Sprintf("a/%d", i)})
			}, nil)
		})},
		{"zips in zips", 8, of(func(*testing.T) []byte {
			content := text(1 << 20)
			for range 7 {
				content = zipped(1, func(w *zip.Writer, i int) (io.Writer, error) { return w.Create("a.zip") }, content)
				content = append(content, make([]byte, 1<<20)...)
			}
			return content
		})},
		{"gzip in gzip in base64", 8, of(func(*testing.T) []byte {
			content := text(2 << 20)
			for range 4 {
				content = packed(content, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, gzip.NoCompression) })
				content = append([]byte(base64.StdEncoding.EncodeToString(content)), '\n')
			}
			return content
		})},
		{"a sparse file", 1, func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("a"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(path, sparse); err != nil {
				t.Fatal(err)
			}
		}},
		{"one line", 1, of(func(*testing.T) []byte { return bytes.Repeat([]byte("no end of it is near "), line/21) })},
		{"anchors only", 8, of(func(*testing.T) []byte { return bytes.Repeat([]byte("akskpwdkeytokensecretpass="), 600<<10/26) })},
		{"documents of one run after the other", 8, of(docxOfRuns)},
		{"a workbook of short strings", 8, of(func(*testing.T) []byte {
			return zipped(2, func(w *zip.Writer, i int) (io.Writer, error) {
				return w.Create([]string{"xl/sharedStrings.xml", "xl/worksheets/sheet1.xml"}[i])
			}, bytes.Repeat([]byte("<si><t>a</t></si>"), 400_000))
		})},
		{"PDF with long streams", 8, of(func(*testing.T) []byte {
			return pdfOf(slices.Concat([]byte("BT ("), text(7<<20), []byte(") Tj "), bytes.Repeat([]byte("(a)"), 300_000), []byte("Tj ET")))
		})},
		{"PDF with codes of long texts", 8, of(func(*testing.T) []byte {
			var maps [][]byte
			for range 20 {
				maps = append(maps, []byte("beginbfrange <0000><ffff><"+strings.Repeat("0041", 2000)+"> endbfrange"))
			}
			return pdfOf(append(maps, []byte("BT <"+strings.Repeat("0042", 500_000)+"> Tj ET"))...)
		})},
		{"PDF with very many codes", 8, of(func(*testing.T) []byte {
			return pdfOf([]byte("beginbfchar "+strings.Repeat("<>", 2_000_000)+" endbfchar"), []byte("BT (a) Tj ET"))
		})},
		{"SQLite with long rows", 8, func(t *testing.T, path string) {
			db, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for _, statement := range []string{"PRAGMA page_size=512", "CREATE TABLE a (b, c)", "INSERT INTO a VALUES (hex(randomblob(4000000)), '')", "INSERT INTO a VALUES (zeroblob(20000000), 'c')"} {
				if _, err := db.Exec(statement); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"DEX of short strings", 8, of(func(*testing.T) []byte { return dexOf(1_000_000) })},
		{"resources of short strings", 8, of(func(*testing.T) []byte { return resourcesOf(1_000_000) })},
		{"a mini-program of very many files", 8, of(func(*testing.T) []byte {
			index := append(binary.BigEndian.AppendUint32(nil, 1_000_000), make([]byte, 12_000_000)...)
			head := append([]byte{0xbe, 0, 0, 0, 0}, binary.BigEndian.AppendUint32(nil, uint32(len(index)))...)
			return slices.Concat(head, []byte{0, 0, 0, 0, 0xed}, index)
		})},
		{"very many findings", 1, of(func(*testing.T) []byte {
			var b bytes.Buffer
			random := rand.New(rand.NewPCG(1, 2))
			for range 100_000 {
				fmt.Fprintf(&b, "%s%s = %q\n", "db_pass", "word", fmt.Sprintf("Zx9#%x!qV", random.Uint64()))
			}
			return b.Bytes()
		})},
	}
}

// text answers so many bytes that compress to about a hundredth.
func text(size int) []byte {
	random := rand.New(rand.NewPCG(3, 4))
	var b bytes.Buffer
	for b.Len() < size {
		line := fmt.Sprintf("%x %x\n", random.Uint64(), random.Uint64())
		b.WriteString(strings.Repeat(line, 60))
	}
	return b.Bytes()[:size]
}

func packed(content []byte, open func(io.Writer) (io.WriteCloser, error)) []byte {
	var b bytes.Buffer
	w, err := open(&b)
	for _, err := range []error{err, func() error { _, err := w.Write(content); return err }(), w.Close()} {
		if err != nil {
			panic(err) // a writer into memory does not fail
		}
	}
	return b.Bytes()
}

// zipped answers an archive of so many members with the same content.
func zipped(members int, create func(w *zip.Writer, i int) (io.Writer, error), content []byte) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := range members {
		f, err := create(w, i)
		if err == nil {
			_, err = f.Write(content)
		}
		if err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func docxOfRuns(*testing.T) []byte {
	content := []byte("<w:p>" + strings.Repeat("<w:r><w:t>a</w:t></w:r>", 100_000) + "</w:p>")
	return zipped(1, func(w *zip.Writer, i int) (io.Writer, error) { return w.Create("word/document.xml") }, content)
}

func pdfOf(streams ...[]byte) []byte {
	out := []byte("%PDF-1.7\n")
	for i, s := range streams {
		data := packed(s, func(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriter(w), nil })
		out = fmt.Appendf(out, "%d 0 obj\n<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream\nendobj\n", i+1, len(data), data)
	}
	return append(out, "%%EOF\n"...)
}

func dexOf(strings int) []byte {
	head := make([]byte, 0x70)
	copy(head, "dex\n035\x00")
	binary.LittleEndian.PutUint32(head[0x38:], uint32(strings))
	binary.LittleEndian.PutUint32(head[0x3c:], 0x70)
	for i := range strings {
		head = binary.LittleEndian.AppendUint32(head, uint32(0x70+4*strings+3*i))
	}
	return append(head, bytes.Repeat([]byte("\x01a\x00"), strings)...)
}

func resourcesOf(strings int) []byte {
	var offsets []byte
	for i := range strings {
		offsets = binary.LittleEndian.AppendUint32(offsets, uint32(4*i))
	}
	data := bytes.Repeat([]byte("\x01\x01a\x00"), strings)
	out := binary.LittleEndian.AppendUint32(nil, 3|8<<16)
	out = binary.LittleEndian.AppendUint32(out, uint32(8+28+len(offsets)+len(data)))
	out = binary.LittleEndian.AppendUint32(out, 1|28<<16)
	for _, n := range []int{28 + len(offsets) + len(data), strings, 0, 0x100, 28 + len(offsets), 0} {
		out = binary.LittleEndian.AppendUint32(out, uint32(n))
	}
	return slices.Concat(out, offsets, data)
}
