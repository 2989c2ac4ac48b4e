package unpack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

// unzip visits the members of a zip file: archives, jar, apk, ipa, office documents. A
// member that cannot be read is told after the others were visited.
func unzip(s Source, visit Visit) error {
	at, size, err := s.Random()
	if err != nil {
		return err
	}
	archive, err := zip.NewReader(at, size)
	if err != nil {
		return err
	}
	archive.RegisterDecompressor(zstd.ZipMethodWinZip, zstd.ZipDecompressor(zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(smallWindow)))
	archive.RegisterDecompressor(12, func(r io.Reader) io.ReadCloser { return io.NopCloser(bzip2.NewReader(r)) })
	var broken error
	shared := sharedStrings(archive)
	for _, f := range archive.File {
		if strings.HasSuffix(f.Name, "/") && f.UncompressedSize64 == 0 {
			continue
		}
		if err := unzipMember(f, shared, visit); err != nil {
			if errors.Is(err, ErrLimit) {
				return err
			}
			broken = errors.Join(broken, fmt.Errorf("%s: %w", f.Name, err))
		}
	}
	return broken
}

var errEncrypted = errors.New("it is encrypted")

func unzipMember(f *zip.File, shared []string, visit Visit) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	watched := &watch{r: r}
	m := Member{Name: memberName(f.Name), Reader: watched}
	if isOffice(f.Name) {
		m.Reader, m.Plain = officeText(watched, shared), true
	}
	if err := visit(m); err != nil {
		return err
	}
	if watched.err != nil && f.Flags&1 != 0 {
		return errEncrypted
	}
	return nil // what the reader met, the visitor has met
}

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

// smallWindow is what the windows of members of zip files may have, which nobody counts.
const smallWindow = 8 << 20

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
	r, err := zstd.NewReader(s.Reader, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxWindow), zstd.WithDecoderLowmem(true))
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
	release, err := s.Window(window)
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

var errXZ = errors.New("its first block has another form than expected")

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

func bunzip2(s Source, visit Visit) error { return visit(Member{Reader: bzip2.NewReader(s.Reader)}) }

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
