package search

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/keyward/keyward/internal/leak/unpack"
)

// document looks at a document of any kind: what its first bytes say that it is.
func (l *Lane) document(d document, r io.Reader) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = errPanic(cause)
		}
	}()
	buffer := l.buffer(d.depth)
	filled, last, err := fill(r, buffer)
	if err != nil {
		l.block(d, buffer[:filled], 0, filled)
		return withoutPath(err)
	}
	head := buffer[:filled]
	format := unpack.Of(head[:min(filled, unpack.HeadSize)])
	if d.plain || format == nil || format.Sealed() {
		if last {
			l.whole(d, head)
		}
		err := l.text(d, filled, last, r)
		if !d.plain && format != nil {
			err = errors.Join(format.Unpack(unpack.Source{}, nil), err)
		}
		return err
	}
	if d.depth == 0 {
		l.search.coverage.bytes.Add(int64(filled)) // the rest is counted as it is read
	}
	source := &source{lane: l, d: d, head: head, last: last, rest: r}
	defer source.close()
	members := 0
	err = format.Unpack(unpack.Source{Head: head[:min(filled, unpack.HeadSize)], Reader: source.reader(), Random: source.random, Window: l.window(d)}, func(m unpack.Member) error {
		members++
		return l.member(d, m)
	})
	if err != nil && members == 0 && last { // broken, or never one: its bytes are looked at as they are
		return errors.Join(err, l.text(d, filled, true, r))
	}
	return err
}

// window answers what charges the windows of compressed streams.
func (l *Lane) window(d document) func(int64) (func(), error) {
	return func(n int64) (func(), error) { return d.budget.Window(n, &l.search.window) }
}

// whole looks whether a file is a key.
func (l *Lane) whole(d document, content []byte) {
	if len(content) == 0 || content[0] != 0x30 { // SEQUENCE
		return
	}
	if m, ok := l.worker(0).ScanWhole(content); ok {
		l.add(d, m, content, d.at(0, 0, ""))
	}
}

// member looks at a member of a container.
func (l *Lane) member(d document, m unpack.Member) error {
	inner := document{path: d.path, depth: d.depth + 1, pool: m.Pool, plain: m.Plain, line: 1, of: d.of, budget: d.budget}
	if m.Name != "" {
		inner.path += "!" + m.Name
	}
	if m.Plain {
		inner.line = 0
	}
	if err := d.budget.Enter(inner.depth); err != nil {
		return err
	}
	l.search.coverage.members.Add(1)
	err := l.document(inner, d.budget.Reader(m.Reader))
	if errors.Is(err, unpack.ErrLimit) {
		return err
	}
	l.report(inner, err)
	return nil
}

// report notes what was missed of a member.
func (l *Lane) report(d document, err error) {
	switch {
	case err == nil:
	case d.of.Missed != nil:
		d.of.Missed(d.path, err)
	default:
		l.search.Problem(d.path, err)
	}
}

// A source gives a container to its format: as a stream, or with random access, for which
// a stream is put down somewhere.
type source struct {
	lane *Lane
	d    document
	head []byte
	last bool // the head is all
	rest io.Reader
	temp *os.File
}

// reader answers all of the container, counting what the outermost has.
func (s *source) reader() io.Reader {
	rest := s.rest
	if s.d.depth == 0 {
		s.d.budget.Packed(int64(len(s.head)))
		rest = &packedReader{s.rest, s.d.budget}
	}
	if s.last {
		return bytes.NewReader(s.head)
	}
	return io.MultiReader(bytes.NewReader(s.head), rest)
}

type packedReader struct {
	r      io.Reader
	budget *unpack.Budget
}

func (p *packedReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.budget.Packed(int64(n))
	return n, err
}

// random answers random access. The head lies in a buffer that members do not use.
func (s *source) random() (io.ReaderAt, int64, error) {
	if s.last {
		if s.d.depth == 0 {
			s.d.budget.Packed(int64(len(s.head)))
		}
		return bytes.NewReader(s.head), int64(len(s.head)), nil
	}
	if file, ok := s.rest.(file); ok {
		size, regular, err := file.size()
		if err != nil {
			return nil, 0, err
		}
		if regular {
			s.d.budget.Packed(size)
			return file, size, nil
		}
	}
	temp, err := os.CreateTemp("", "keyward-scan-")
	if err != nil {
		return nil, 0, err
	}
	s.temp = temp
	if err := os.Remove(temp.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, 0, err
	}
	n, err := io.Copy(temp, s.reader())
	return temp, n, err
}

func (s *source) close() {
	if s.temp != nil {
		_ = s.temp.Close() // it has no name; nothing remains
	}
}
