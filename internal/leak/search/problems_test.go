package search_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/leak/search"
	"github.com/keyward/keyward/internal/leak/unpack"
)

// What is known to be packed and cannot be unpacked is told, by name, wherever it lies; what it
// keeps as it is is found.
func TestWhatIsNotUnpackedIsTold(t *testing.T) {
	aws, _ := secrets(t)
	for name, head := range map[string]string{"7z": "7z\xbc\xaf\x27\x1c", "rar": "Rar!\x1a\x07\x01\x00", "cab": "MSCF\x00\x00\x00\x00", "lz4": "\x04\x22\x4d\x18", "lzip": "LZIP\x01", "rpm": "\xed\xab\xee\xdb"} {
		for _, size := range []int{100, 2 << 20} { // within a block and beyond it
			content := head + strings.Repeat("\x00\xff", size/2) + "\naws_secret_access_key = " + aws + "\n"
			s := look(options(t), "a.bin", []byte(content))
			c := s.Coverage()
			if len(c.Problems) != 1 || !strings.HasPrefix(c.Problems[0].What, name+": archives of this kind are not unpacked") || filepath.Base(c.Problems[0].Path) != "a.bin" {
				t.Errorf("%s, %d bytes: %+v", name, size, c.Problems)
			} else if p := c.Problems[0]; p.Chinese != "此类归档不支持解包，请解包后再扫描（"+p.What+"）" {
				t.Errorf("%s: in Chinese %q", name, p.Chinese)
			}
			if diff := cmp.Diff(map[string]string{"aws-secret-access-key": "a.bin"}, found(s)); diff != "" {
				t.Errorf("%s, %d bytes (-want +got):\n%s", name, size, diff)
			}
		}
	}
}

func TestAr(t *testing.T) {
	aws, _ := secrets(t)
	text := "aws_secret_access_key = " + aws + "\n"
	member := func(name, content string) string {
		pad := ""
		if len(content)%2 == 1 {
			pad = "\n"
		}
		return fmt.Sprintf("%-16s%-12d%-6d%-6d%-8s%-10d`\n%s%s", name, 0, 0, 0, "100644", len(content), content, pad)
	}
	whole := "!<arch>\n" + member("debian-binary/", "2.0") + member("control", text)
	s := look(options(t), "a.deb", []byte(whole))
	if diff := cmp.Diff(map[string]string{"aws-secret-access-key": "a.deb!control"}, found(s)); diff != "" || s.Coverage().Partial() || s.Coverage().Members != 2 {
		t.Errorf("%+v, findings (-want +got):\n%s", s.Coverage(), diff)
	}
	for _, broken := range []string{whole[:len(whole)-20], whole[:80], whole + "x", "!<arch>\n" + strings.Repeat("x", 60), strings.Replace(whole, "3         `", "-3        `", 1)} {
		if !look(options(t), "a.deb", []byte(broken)).Coverage().Partial() {
			t.Errorf("%d bytes of %q are taken for an archive", len(broken), broken[:20])
		}
	}
}

func TestReasonsInChinese(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{unpack.ErrEncrypted, "已加密"},
		{fmt.Errorf("unpacking zip: %w", errors.Join(errors.New("x"), unpack.ErrEncrypted)), "已加密（unpacking zip: x\nit is encrypted）"},
		{fmt.Errorf("%w: more than 8", unpack.ErrLimit), "超出限制（limit reached: more than 8）"},
		{&fs.PathError{Op: "open", Path: "a", Err: fs.ErrPermission}, "没有读取权限（open a: permission denied）"},
		{errors.New("flate: corrupt input"), "flate: corrupt input"},
	} {
		s := search.New(search.Options{})
		s.Problem("a", c.err)
		if p := s.Coverage().Problems[0]; p.Chinese != c.want || p.What != c.err.Error() {
			t.Errorf("%+v, want %q", p, c.want)
		}
	}
}
