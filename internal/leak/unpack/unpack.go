// Package unpack takes apart what is packed: archives, compressed streams, office
// documents, compiled programs, mini-programs. What something is, its first bytes tell;
// names and their ends are not believed, because who hides or mistakes a file renames it.
//
// Everything here reads bytes of strangers. All of it works within a [Budget], which every
// byte and every member that comes out is charged to: depth, number, size, the ratio of
// what comes out to what went in, and time. Memory is bounded by each format's own reader;
// how a container is got at, as a stream or at random, is its [Source]'s. Nothing is ever
// written under a name from an archive, so that paths which climb do nothing.
package unpack

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"runtime"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/unpack/plist"
)

// Limits bound what one document may become.
type Limits struct {
	Depth   int           // containers within containers
	Bytes   int64         // unpacked, in all
	Entry   int64         // unpacked, of one member
	Ratio   int64         // unpacked to packed, beyond a few megabytes
	Entries int           // members, in all
	Time    time.Duration // for all of it
}

// Default answers the limits that a search has.
func Default() Limits {
	return Limits{Depth: 8, Bytes: 1 << 30, Entry: 256 << 20, Ratio: 200, Entries: 100_000, Time: time.Minute}
}

// ErrLimit is what a document is reported with that is more than the limits allow.
var ErrLimit = leak.Text{English: "limit reached", Chinese: "超出限制"}

// A Budget is what is left of the limits for one document and all that is in it. It is for
// one goroutine.
type Budget struct {
	limits  Limits
	bytes   int64
	entries int
	packed  int64 // bytes that the document itself has, as far as it was read
	windows int64 // what of MaxWindow it has
	now     func() time.Time
	until   time.Time
}

// NewBudget answers the budget of a document.
func NewBudget(l Limits, now func() time.Time) *Budget {
	return &Budget{limits: l, now: now, until: now().Add(l.Time)}
}

// Packed notes that so many bytes of the document itself were read.
func (b *Budget) Packed(n int64) { b.packed += n }

// Enter charges a member at a depth.
func (b *Budget) Enter(depth int) error {
	b.entries++
	switch {
	case depth > b.limits.Depth:
		return fmt.Errorf("%w: more than %d containers within each other", ErrLimit, b.limits.Depth)
	case b.entries > b.limits.Entries:
		return fmt.Errorf("%w: more than %d members", ErrLimit, b.limits.Entries)
	case b.now().After(b.until):
		return fmt.Errorf("%w: more than %v", ErrLimit, b.limits.Time)
	}
	return nil
}

// free is what may come out of anything, however small it is.
const free = 16 << 20

// Reader charges what is read of a member.
func (b *Budget) Reader(r io.Reader) io.Reader { return &charged{r: r, budget: b} }

type charged struct {
	r      io.Reader
	budget *Budget
	n      int64
	calls  int
}

func (c *charged) Read(p []byte) (int, error) {
	b := c.budget
	n, err := c.r.Read(p)
	c.n += int64(n)
	b.bytes += int64(n)
	c.calls++
	switch {
	case c.n > b.limits.Entry:
		return n, fmt.Errorf("%w: a member has more than %d MiB", ErrLimit, b.limits.Entry>>20)
	case b.bytes > b.limits.Bytes:
		return n, fmt.Errorf("%w: more than %d MiB came out", ErrLimit, b.limits.Bytes>>20)
	case b.packed > 0 && b.bytes > free && b.bytes/b.limits.Ratio > b.packed:
		return n, fmt.Errorf("%w: more than %d times what went in came out", ErrLimit, b.limits.Ratio)
	case c.calls%64 == 0 && b.now().After(b.until):
		return n, fmt.Errorf("%w: more than %v", ErrLimit, b.limits.Time)
	}
	return n, err
}

// MaxWindow is how much memory a document may have beyond the little that each format needs,
// in bytes: the windows of compressed streams within each other, long rows and tables. All
// documents of a search share it: who has it has locked alone.
const MaxWindow = 24 << 20

// MaxOne is how much of it one of them may have.
const MaxOne = 16 << 20

// large is the size in bytes from which what was there before must be gone first: it is
// collected, which takes some milliseconds.
const large = 12 << 20

// Window charges memory that a document needs, until it is released. It waits while other
// documents have theirs.
func (b *Budget) Window(n int64, alone sync.Locker) (release func(), err error) {
	if may := min(MaxOne, MaxWindow-b.windows); n > may {
		return nil, fmt.Errorf("%w: it needs %d MiB of memory to unpack, and may have %d", ErrLimit, n>>20, may>>20)
	}
	if b.windows == 0 {
		alone.Lock()
	}
	b.windows += n
	if n >= large {
		runtime.GC()
	}
	return func() {
		if b.windows -= n; b.windows == 0 {
			alone.Unlock()
		}
	}, nil
}

// A Member is something that was within a container.
type Member struct {
	Name   string // within the container; "" if it is the container's only content
	Reader io.Reader
	Pool   bool // a list of strings, see leak.Part
	Plain  bool // text that was made by taking something apart: its lines mean nothing, and it is no container
}

// A Visit takes a member. Its reader is valid until it returns. [ErrLimit] ends the
// container; other errors are the visitor's to report, and are not returned.
type Visit func(Member) error

// visitText visits a text that is made while it is read.
func visitText(m Member, pieces iter.Seq2[string, error], visit Visit) error {
	next, stop := iter.Pull2(pieces)
	defer stop()
	m.Reader = &made{next: next}
	return visit(m)
}

// made reads what an iterator answers.
type made struct {
	next func() (string, error, bool)
	rest string
}

func (m *made) Read(p []byte) (int, error) {
	for m.rest == "" {
		piece, err, ok := m.next()
		if !ok {
			return 0, io.EOF
		}
		if err != nil {
			return 0, err
		}
		m.rest = piece
	}
	n := copy(p, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}

// A Source is a container: its first bytes, and all of it.
type Source struct {
	Head   []byte    // the first bytes, or all if there are fewer
	Reader io.Reader // all, from the beginning
	// Random answers random access to all of it.
	Random func() (io.ReaderAt, int64, error)
	// Window waits until so much memory may be used, at least 1 byte, until it is released. Whoever
	// unpacks must give one.
	Window func(bytes int64) (release func(), err error)
}

// A Format is a kind of container.
type Format struct {
	Name   string
	is     func(head []byte) bool
	unpack func(s Source, visit Visit) error
}

// Unpack visits the members of a container. An error says that not all of it was visited.
func (f *Format) Unpack(s Source, visit Visit) error {
	if f.Sealed() {
		return fmt.Errorf("%s: %w", f.Name, ErrSealed)
	}
	if err := f.unpack(s, visit); err != nil {
		return fmt.Errorf("unpacking %s: %w", f.Name, err)
	}
	return nil
}

// Stream tells whether the container is one compressed stream.
func (f *Format) Stream() bool {
	switch f.Name {
	case "gzip", "zstd", "xz", "bzip2":
		return true
	}
	return false
}

// Sealed tells whether the container is of a kind that is known and not unpacked: what is packed
// in it is missed, and only what it keeps as it is can be found.
func (f *Format) Sealed() bool { return f.unpack == nil }

// ErrSealed is what a container is reported with that is not unpacked.
var ErrSealed = leak.Text{English: "archives of this kind are not unpacked: unpack it and scan what comes out", Chinese: "此类归档不支持解包，请解包后再扫描"}

// HeadSize is how many first bytes tell what something is.
const HeadSize = 512

// Of answers the format of something with these first bytes; nil if it is no container.
func Of(head []byte) *Format {
	for i := range formats {
		if formats[i].is(head) {
			return &formats[i]
		}
	}
	return nil
}

// magic answers the test for something at the beginning.
func magic(m string) func([]byte) bool {
	return func(head []byte) bool { return bytes.HasPrefix(head, []byte(m)) }
}

// formats are all containers.
var formats = []Format{
	{"zip", magic("PK\x03\x04"), unzip},
	{"empty zip", magic("PK\x05\x06"), func(Source, Visit) error { return nil }},
	{"gzip", magic("\x1f\x8b\x08"), gunzip},
	{"zstd", magic("\x28\xb5\x2f\xfd"), unzstd},
	{"xz", magic("\xfd7zXZ\x00"), unxz},
	{"bzip2", isBzip2, bunzip2},
	{"tar", isTar, untar},
	{"ar", magic("!<arch>\n"), unar},
	{"7z", magic("7z\xbc\xaf\x27\x1c"), nil},
	{"rar", magic("Rar!\x1a\x07"), nil},
	{"cab", magic("MSCF\x00\x00\x00\x00"), nil},
	{"lz4", magic("\x04\x22\x4d\x18"), nil},
	{"lzip", magic("LZIP\x01"), nil},
	{"rpm", magic("\xed\xab\xee\xdb"), nil},
	{"dex", isDEX, undex},
	{"resources", isResources, unresources},
	{"property list", magic(plist.Magic), unplist},
	{"wxapkg", isWxapkg, unwxapkg},
	{"encrypted wxapkg", magic("V1MMWX"), unencryptedWxapkg},
	{"pdf", magic("%PDF-"), unpdf},
	{"sqlite", magic("SQLite format 3\x00"), unsqlite},
	{"packets", isPcap, unpcap},
	{"utf-16", isUTF16, unutf16},
}
