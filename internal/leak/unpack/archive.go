package unpack

import (
	"archive/tar"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/unpack/pdf"
	"github.com/keyward/keyward/internal/leak/unpack/zipfile"
)

// unzip visits the members of a zip file: archives, jar, apk, ipa, office documents. A
// member that cannot be read is told after the others were visited.
func unzip(s Source, visit Visit) error {
	at, size, err := s.Random()
	if err != nil {
		return err
	}
	z, err := zipfile.Open(at, size)
	if err != nil {
		return err
	}
	var broken []error
	book := workbook{zip: z, window: s.Window}
	defer book.close()
	for m, err := range z.Members() {
		if err != nil {
			broken = append(broken, err)
			break
		}
		if strings.HasSuffix(m.Name, "/") && m.Size == 0 {
			continue
		}
		if err := book.visit(m, visit); errors.Is(err, ErrLimit) {
			return err
		} else if err != nil && len(broken) < maxBroken {
			broken = append(broken, fmt.Errorf("%s: %w", memberName(m.Name), err))
		}
	}
	return errors.Join(broken...)
}

// maxBroken is how many members of an archive are told that cannot be read.
const maxBroken = 10

// ErrEncrypted is what is reported of what nobody reads without a password.
var ErrEncrypted = pdf.ErrEncrypted

// A watch remembers what its reader met.
type watch struct {
	r   io.Reader
	err error
}

func (w *watch) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

func gunzip(s Source, visit Visit) error {
	r, err := gzip.NewReader(s.Reader)
	if err != nil {
		return err
	}
	return visit(Member{Reader: r})
}

func unzstd(s Source, visit Visit) error {
	var h zstd.Header
	if err := h.Decode(s.Head); err != nil {
		return err
	}
	release, err := s.Window(int64(max(1, min(h.WindowSize, 1<<40))))
	if err != nil {
		return err
	}
	defer release()
	r, err := zstd.NewReader(s.Reader, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxOne), zstd.WithDecoderLowmem(true))
	if err != nil {
		return err
	}
	defer r.Close()
	return visit(Member{Reader: r})
}

func unxz(s Source, visit Visit) error {
	window, err := xzWindow(s.Head)
	if err != nil {
		return err
	}
	// Each block gets a dictionary, and there is one before the collector has that of the last.
	release, err := s.Window(2 * window)
	if err != nil {
		return err
	}
	defer release()
	r, err := xz.ReaderConfig{DictCap: lzma.MinDictCap}.NewReader(s.Reader)
	if err != nil {
		return err
	}
	return visit(Member{Reader: r})
}

var errXZ = leak.Text{English: "its first block has another form than expected", Chinese: "其第一个数据块的格式不受支持"}

// xzWindow answers what the first block of a file says about its dictionary, as all other
// blocks do that xz writes. The reader would take whatever is asked for.
func xzWindow(head []byte) (int64, error) {
	const stream = 12 // bytes of the stream's header
	if len(head) < stream+2 || head[stream] == 0 {
		return 1, nil // there is no block
	}
	at := head[stream+2 : min(len(head), stream+4*(int(head[stream])+1))]
	for flag := byte(0x40); flag != 0 && flag <= 0x80; flag <<= 1 { // sizes, which may be left out
		if head[stream+1]&flag != 0 {
			_, n := binary.Uvarint(at)
			at = at[max(n, 0):]
		}
	}
	for range head[stream+1]&3 + 1 { // filters
		id, n := binary.Uvarint(at)
		if n <= 0 || n+1 >= len(at) {
			return 0, errXZ
		}
		size := int(at[n])
		if at = at[n+1:]; size > len(at) {
			return 0, errXZ
		}
		if id == 0x21 && size == 1 { // LZMA2
			bits := int64(at[0])
			if bits > 40 {
				return 0, errXZ
			}
			return (2 | bits&1) << (bits/2 + 11), nil
		}
		at = at[size:]
	}
	return 0, errXZ
}

func isBzip2(head []byte) bool {
	return len(head) > 10 && bytes.HasPrefix(head, []byte("BZh")) && head[3] >= '1' && head[3] <= '9' && bytes.HasPrefix(head[4:], []byte("1AY&SY"))
}

// bzip2Window is what bzip2 needs to sort a block back.
const bzip2Window = 4 << 20

func bunzip2(s Source, visit Visit) error {
	release, err := s.Window(bzip2Window)
	if err != nil {
		return err
	}
	defer release()
	return visit(Member{Reader: bzip2.NewReader(s.Reader)})
}

func isTar(head []byte) bool { return len(head) >= 265 && string(head[257:262]) == "ustar" }

// untar visits the files of a tar archive: backups, layers of images, and images.
func untar(s Source, visit Visit) error {
	r := tar.NewReader(s.Reader)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := visit(Member{Name: memberName(h.Name), Reader: r}); err != nil {
			return err
		}
	}
}

var errAr = leak.Text{English: "a member has no header of ar", Chinese: "ar 归档中有成员缺少文件头"}

// unar visits the members of an ar archive: packages of Debian, static libraries.
func unar(s Source, visit Visit) error {
	const header = 60 // name 16, times, owner and mode 32, size 10, mark 2
	if _, err := io.CopyN(io.Discard, s.Reader, int64(len("!<arch>\n"))); err != nil {
		return err
	}
	for {
		var h [header]byte
		if _, err := io.ReadFull(s.Reader, h[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		size, err := strconv.ParseInt(strings.TrimSpace(string(h[48:58])), 10, 64)
		if err != nil || size < 0 || string(h[58:]) != "`\n" {
			return errAr
		}
		member := &io.LimitedReader{R: s.Reader, N: size}
		if err := visit(Member{Name: memberName(strings.TrimRight(string(h[:16]), " /")), Reader: member}); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, s.Reader, member.N); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, s.Reader, size&1); err != nil && !errors.Is(err, io.EOF) { // members begin at even offsets
			return err
		}
	}
}
