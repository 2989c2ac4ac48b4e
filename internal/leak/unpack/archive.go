package unpack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
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
	archive.RegisterDecompressor(zstd.ZipMethodWinZip, zstd.ZipDecompressor(zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxWindow)))
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

const maxWindow = 32 << 20 // of compressed streams, which is what decoding one takes of memory

func gunzip(s Source, visit Visit) error {
	r, err := gzip.NewReader(s.Reader)
	if err != nil {
		return err
	}
	return visit(Member{Reader: r})
}

func unzstd(s Source, visit Visit) error {
	r, err := zstd.NewReader(s.Reader, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return err
	}
	defer r.Close()
	return visit(Member{Reader: r})
}

func unxz(s Source, visit Visit) error {
	r, err := xz.ReaderConfig{DictCap: maxWindow}.NewReader(s.Reader)
	if err != nil {
		return err
	}
	return visit(Member{Reader: r})
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
