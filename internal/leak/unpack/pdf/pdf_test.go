package pdf_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/leak/leaktest"
	"github.com/keyward/keyward/internal/leak/unpack/pdf"
)

// read answers the names and texts of a file's parts.
func read(content []byte) (parts map[string]string, err error) {
	parts = map[string]string{}
	window := func(int64) (func(), error) { return func() {}, nil }
	err = pdf.New(bytes.NewReader(content), int64(len(content)), window).Visit(func(p pdf.Part) error {
		text, err := io.ReadAll(p.Reader)
		parts[p.Name] += string(text)
		return err
	})
	return parts, err
}

func object(dictionary, data string) string {
	return fmt.Sprintf("1 0 obj\n<< %s >>\nstream\n%s\nendstream\nendobj\n", dictionary, data)
}

func TestVisit(t *testing.T) {
	const page = "BT (a text) Tj ET"
	for name, c := range map[string]struct{ content, part, want, problem string }{
		"not compressed":       {object("/Length 17", page), "text 1", "a text\n", ""},
		"hexadecimal":          {object("/Filter/ASCIIHexDecode", fmt.Sprintf("%X>", page)), "text 1", "a text\n", ""},
		"a link":               {"5 0 obj\n<< /URI (https://a/?key=1) >>\nendobj\n" + object("", page), "objects", "5 0 obj\n<< /URI (https://a/?key=1) >>\nendobj\n1 0 obj\n<<  >>\nendobj\n", ""},
		"a picture":            {object("/Subtype /Image /Filter [/DCTDecode]", page), "text 1", "", ""},
		"a filter of old days": {object("/Filter /LZWDecode", page), "text 1", "", "LZWDecode, which is not known"},
		"encrypted":            {object("", page) + "trailer\n<< /Root 1 0 R\n/Encrypt 9 0 R >>\n", "text 1", "", "encrypted"},
		"about encryption":     {object("", "BT (/Encrypt 9 0 R) Tj ET"), "text 1", "/Encrypt 9 0 R\n", ""},
		"without an end":       {"1 0 obj\n<< >>\nstream\n" + page, "text 1", "a text\n", ""},
	} {
		parts, err := read([]byte("%PDF-1.7\n" + c.content))
		if diff := cmp.Diff(c.want, strings.TrimPrefix(parts[c.part], "%PDF-1.7\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if c.problem == "" && err != nil || c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)) {
			t.Errorf("%s: error %v, not %q", name, err, c.problem)
		}
	}
}

func FuzzVisit(f *testing.F) {
	for _, c := range leaktest.Containers() {
		if strings.HasPrefix(c.Name, "pdf") {
			f.Add(c.Hold("a", "password: something"))
		}
	}
	f.Add([]byte("%PDF-1.7\n" + object("/Filter [/ASCIIHexDecode /FlateDecode]", "78 9c>") + "/Encrypt 1 0 R"))
	f.Fuzz(func(t *testing.T, content []byte) {
		began, total := time.Now(), 0
		parts, _ := read(content)
		for _, p := range parts {
			total += len(p)
		}
		if took := time.Since(began); took > 10*time.Second || total > 2000*len(content)+1<<16 {
			t.Fatalf("%d bytes took %v and became %d", len(content), took, total)
		}
	})
}
