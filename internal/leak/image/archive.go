package image

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/unpack"
)

var errMissing = leak.Text{English: "the image does not have it", Chinese: "镜像中没有该内容"}

// maxParts is how many files an archive of images may have.
const maxParts = 100_000

// An archive is where an image's parts are found by their names. It is for one goroutine.
type archive interface {
	// Open answers a part and its size in bytes, or [errMissing].
	Open(name string) (io.ReadCloser, int64, error)
	io.Closer
}

// open opens the archive of a file or a directory.
func open(name string) (archive, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		root, err := os.OpenRoot(name)
		return directory{root}, err
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if file, err = plain(file); err != nil {
		return nil, err
	}
	parts, err := index(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &tarball{file, parts}, nil
}

// A directory is an OCI layout. Links that lead out of it lead nowhere.
type directory struct{ *os.Root }

func (d directory) Open(name string) (io.ReadCloser, int64, error) {
	file, err := d.Root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, errMissing
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, 0, errors.Join(err, file.Close(), fmt.Errorf("reading %s: it is no file", name))
	}
	return file, info.Size(), nil
}

// A tarball is a tar archive whose parts lie at known places.
type tarball struct {
	file  *os.File
	parts map[string]part
}

type part struct{ offset, size int64 }

func (t *tarball) Open(name string) (io.ReadCloser, int64, error) {
	p, ok := t.parts[path.Clean(name)]
	if !ok {
		return nil, 0, errMissing
	}
	return io.NopCloser(io.NewSectionReader(t.file, p.offset, p.size)), p.size, nil
}

func (t *tarball) Close() error { return t.file.Close() }

// index finds the parts of a tar archive. Older versions of docker save link a layer to
// another one of the same content.
func index(file *os.File) (map[string]part, error) {
	parts, links := map[string]part{}, map[string]string{}
	archive := tar.NewReader(file) // it reads whole blocks, and so the file then stands at the part
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return nil, fmt.Errorf("reading it as a tar archive: %w", err)
		}
		if len(parts) == maxParts {
			return nil, fmt.Errorf("it has more than %d files", maxParts)
		}
		name := path.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			at, err := file.Seek(0, io.SeekCurrent)
			if err != nil {
				return nil, err
			}
			parts[name] = part{at, h.Size}
		case tar.TypeLink:
			links[name] = path.Clean(h.Linkname)
		case tar.TypeSymlink:
			links[name] = path.Join(path.Dir(name), h.Linkname)
		}
	}
	for name, target := range links {
		if p, ok := parts[target]; ok {
			parts[name] = p
		}
	}
	return parts, nil
}

// plain answers a file itself, or what it holds in compressed form.
func plain(file *os.File) (*os.File, error) {
	buffered := bufio.NewReader(file)
	head, err := buffered.Peek(unpack.HeadSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, file.Close())
	}
	format := unpack.Of(head)
	if format == nil || !format.Stream() {
		_, err := file.Seek(0, io.SeekStart)
		return file, err
	}
	defer file.Close()
	temp, err := os.CreateTemp("", "keyward-scan-")
	if err != nil {
		return nil, err
	}
	err = os.Remove(temp.Name())
	if err == nil {
		err = format.Unpack(unpack.Source{Head: head, Reader: buffered, Window: window}, func(m unpack.Member) error {
			n, err := io.Copy(temp, io.LimitReader(m.Reader, maxPlain+1))
			if n > maxPlain {
				err = fmt.Errorf("%w: more than %d GiB came out", unpack.ErrLimit, maxPlain>>30)
			}
			return err
		})
	}
	if err == nil {
		_, err = temp.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, temp.Close())
	}
	return temp, nil
}

// maxPlain is how many bytes a compressed archive of images may have.
const maxPlain = 64 << 30
