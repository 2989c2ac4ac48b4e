package image

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/search"
	"github.com/keyward/keyward/internal/leak/unpack"
)

// A reader looks at the images of one archive.
type reader struct {
	archive archive
	search  *search.Search
	lane    *search.Lane
	configs map[string]bool  // that were looked at, by name
	layers  map[string]*tree // that were read, by name: what each does to those below it
	budget  *unpack.Budget
}

// image looks at one image. The error is the context's.
func (r *reader) image(ctx context.Context, base string, i image) error {
	r.config(base, i.config)
	above := newTree()
	for n, name := range slices.Backward(i.layers) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if shared := r.layers[name]; shared != nil {
			above.cover(shared)
			continue
		}
		l := &layer{reader: r, base: base, title: fmt.Sprintf("layer %d of %d", n+1, len(i.layers)), above: above, own: newTree()}
		r.layers[name] = l.own
		if err := l.read(ctx, name); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r.search.Problem(base+"!"+name, err)
		}
		r.search.CountImage(1, 0)
		above.cover(l.own)
	}
	return nil
}

// config looks at a configuration.
func (r *reader) config(base, name string) {
	if r.configs[name] {
		return
	}
	r.configs[name] = true
	var c config
	if err := readJSON(r.archive, name, &c); err != nil {
		r.search.Problem(base+"!"+name, err)
		return
	}
	for what, text := range c.documents() {
		at := base + "!config/" + what
		if err := r.lane.Object(search.Object{Path: at}, strings.NewReader(text)); err != nil {
			r.search.Problem(at, err)
		}
	}
}

// A layer is a layer that is being read.
type layer struct {
	*reader
	base  string
	title string
	above *tree // what the layers above it show and delete
	own   *tree // what this one does
}

var errNoLayer = leak.Text{English: "it is no layer: neither a tar archive nor a compressed one", Chinese: "不是镜像层：既不是 tar 归档，也不是压缩的 tar 归档"}

func (l *layer) read(ctx context.Context, name string) error {
	part, size, err := l.archive.Open(name)
	if err != nil {
		return err
	}
	defer part.Close()
	l.budget.Packed(size)
	return l.stream(ctx, part, 0)
}

// stream reads a tar archive, or what is compressed around one.
func (l *layer) stream(ctx context.Context, r io.Reader, depth int) error {
	buffered := bufio.NewReaderSize(r, 64<<10)
	head, err := buffered.Peek(unpack.HeadSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if isTar(head) {
		return l.files(ctx, tar.NewReader(buffered))
	}
	format := unpack.Of(head)
	if format == nil || !format.Stream() || depth > 0 {
		return errNoLayer
	}
	return format.Unpack(unpack.Source{Head: head, Reader: buffered, Window: window}, func(m unpack.Member) error {
		return l.stream(ctx, l.budget.Reader(m.Reader), depth+1)
	})
}

// window lets a layer, or an archive, have the window it needs: they are read one after the other. What the
// documents within need is counted apart.
func window(n int64) (release func(), err error) {
	if n > unpack.MaxOne {
		return nil, fmt.Errorf("%w: it needs %d MiB of memory to unpack, and may have %d", unpack.ErrLimit, n>>20, unpack.MaxOne>>20)
	}
	return func() {}, nil
}

// isTar tells a tar archive by its first block; an empty one is two blocks of zeros.
func isTar(head []byte) bool {
	return len(head) >= 265 && string(head[257:262]) == "ustar" || len(head) == unpack.HeadSize && strings.Trim(string(head), "\x00") == ""
}

// files looks at the files of a layer.
func (l *layer) files(ctx context.Context, archive *tar.Reader) error {
	for ctx.Err() == nil {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return err
		}
		if err := l.budget.Enter(1); err != nil {
			return err
		}
		name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
		if l.own.note(name, h.Typeflag) || h.Typeflag != tar.TypeReg {
			continue
		}
		at := search.Object{Path: l.base + "!" + name, Layer: l.title, Hidden: l.above.hides(name)}
		l.search.CountImage(0, 1)
		if err := l.lane.Object(at, archive); err != nil {
			l.search.Problem(at.Path, err)
		}
	}
	return ctx.Err()
}

// A tree is what layers do to those below them.
type tree struct {
	covered map[string]bool // names that are something else now, or nothing
	opaque  map[string]bool // directories that show nothing of what is below
}

func newTree() *tree { return &tree{map[string]bool{}, map[string]bool{}} }

// note takes an entry of a layer, and answers whether it is a whiteout.
func (t *tree) note(name string, kind byte) bool {
	dir, base := path.Split(name)
	dir = strings.TrimSuffix(dir, "/")
	deleted, whiteout := strings.CutPrefix(base, ".wh.")
	switch {
	case base == ".wh..wh..opq":
		t.opaque[dir] = true
	case whiteout:
		t.covered[path.Join(dir, deleted)] = true
	case kind != tar.TypeDir: // two directories become one
		t.covered[name] = true
	}
	return whiteout
}

// hides tells whether something of a layer below is not to be seen.
func (t *tree) hides(name string) bool {
	for dir := name; dir != ""; {
		if t.covered[dir] {
			return true
		}
		dir, _ = path.Split(dir)
		dir = strings.TrimSuffix(dir, "/")
		if t.opaque[dir] {
			return true
		}
	}
	return false
}

// cover adds what the next layer below does.
func (t *tree) cover(below *tree) {
	for name := range below.covered {
		t.covered[name] = true
	}
	for name := range below.opaque {
		t.opaque[name] = true
	}
}
