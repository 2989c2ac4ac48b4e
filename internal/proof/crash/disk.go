// Package crash simulates what a power cut leaves of a directory.
//
// A [Disk] is told, in their order, what a program did to the files of one directory:
// writes, truncations, syncs, creations, renames and removals. [Disk.Crash] then answers
// what might be found there if the power had failed at this moment. Promised is only what
// POSIX promises: the content of a file as of its last sync, and the names as of the last
// sync of the directory. Whatever came later may be there or not, each change for itself:
//
//   - of a write, any of its sectors (512 bytes or 4 KiB) may be missing, with the file
//     grown over them or not; so later writes may be there without earlier ones;
//   - a truncation may be missing;
//   - a file may have its old name, its new one, or none.
//
// The package knows nothing of keyward or of databases and does no I/O. Only tests use it.
package crash

import (
	"bytes"
	"maps"
	"slices"
)

// A Chance decides what of it is there; *rand.Rand of math/rand/v2 is one.
type Chance interface {
	IntN(n int) int
	Float64() float64
}

// A Disk is one directory of files, as the program sees it and as it is promised.
type Disk struct {
	names   map[string]*file // as the program sees them
	durable map[string]*file // as of the last sync of the directory
	pending []naming         // since then
	named   int              // how many namings are durable
}

// A file is an inode: it keeps its content when its name changes.
type file struct {
	durable []byte   // as of the last sync
	size    int64    // as the program sees it
	pending []change // since then
	synced  int      // how many changes are durable
}

// A change is a write, or a truncation if data is nil.
type change struct {
	offset int64
	data   []byte
}

// A naming is a change of the directory: name now names file, or nothing.
type naming struct {
	name string
	file *file  // nil: the name is gone
	old  string // of a rename: the name that is gone with it
}

// NewDisk answers a directory that holds the given files, durably.
func NewDisk(files map[string][]byte) *Disk {
	d := &Disk{names: map[string]*file{}, durable: map[string]*file{}}
	for name, content := range files {
		d.names[name] = &file{durable: bytes.Clone(content), size: int64(len(content))}
	}
	d.durable = maps.Clone(d.names)
	return d
}

// Create makes sure that a file exists. An existing one stays as it is.
func (d *Disk) Create(name string) {
	if d.names[name] == nil {
		d.names[name] = &file{}
		d.pending = append(d.pending, naming{name: name, file: d.names[name]})
	}
}

// Write writes at an offset, or at the end if it is negative. data must not change any more.
func (d *Disk) Write(name string, offset int64, data []byte) {
	f := d.names[name]
	if f == nil || len(data) == 0 {
		return // removed, and still open: it will not be found
	}
	if offset < 0 {
		offset = f.size
	}
	f.size = max(f.size, offset+int64(len(data)))
	f.pending = append(f.pending, change{offset, data})
}

// Truncate cuts or extends a file.
func (d *Disk) Truncate(name string, size int64) {
	if f := d.names[name]; f != nil {
		f.size = size
		f.pending = append(f.pending, change{offset: size})
	}
}

// Rename gives a file another name, which may have named another file.
func (d *Disk) Rename(from, to string) {
	f := d.names[from]
	if f == nil {
		return
	}
	delete(d.names, from)
	d.names[to] = f
	d.pending = append(d.pending, naming{name: to, file: f, old: from})
}

// Remove removes a name.
func (d *Disk) Remove(name string) {
	if d.names[name] != nil {
		delete(d.names, name)
		d.pending = append(d.pending, naming{name: name})
	}
}

// Sync begins to make a file durable. What was done to it before is promised when done is
// called, and nothing that is done meanwhile.
func (d *Disk) Sync(name string) (done func()) {
	f := d.names[name]
	if f == nil {
		return func() {}
	}
	until := f.synced + len(f.pending)
	return func() {
		for ; f.synced < until; f.synced++ { // an overlapping sync may have taken some of these
			f.durable = f.pending[0].apply(f.durable)
			f.pending = f.pending[1:]
		}
	}
}

// SyncNames is Sync for the directory itself.
func (d *Disk) SyncNames() (done func()) {
	until := d.named + len(d.pending)
	return func() {
		for ; d.named < until; d.named++ { // an overlapping sync may have taken some of these
			d.pending[0].apply(d.durable)
			d.pending = d.pending[1:]
		}
	}
}

func (c change) apply(content []byte) []byte {
	if c.data == nil {
		return resize(content, c.offset)
	}
	if end := c.offset + int64(len(c.data)); end > int64(len(content)) {
		content = resize(content, end)
	}
	copy(content[c.offset:], c.data)
	return content
}

func resize(content []byte, size int64) []byte {
	if size <= int64(len(content)) {
		return content[:size:size]
	}
	return append(content, make([]byte, size-int64(len(content)))...)
}

func (n naming) apply(names map[string]*file) {
	delete(names, n.old)
	if n.file == nil {
		delete(names, n.name)
	} else {
		names[n.name] = n.file
	}
}

// Crash answers the files that might be found after a power cut now.
func (d *Disk) Crash(random Chance) map[string][]byte {
	names := maps.Clone(d.durable)
	keep := chooser(random)
	for _, n := range d.pending {
		if keep() {
			n.apply(names)
		}
	}
	found := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(names)) { // the same for the same seed
		found[name] = names[name].crash(random)
	}
	return found
}

// chooser answers a function that decides of one change after another whether it is
// there: all are, none, those before some moment, or any.
func chooser(random Chance) func() bool {
	switch mode := random.IntN(5); mode {
	case 0:
		return func() bool { return true }
	case 1:
		return func() bool { return false }
	case 2:
		left := random.IntN(64)
		return func() bool { left--; return left >= 0 }
	default:
		share := random.Float64()
		return func() bool { return random.Float64() < share }
	}
}

func (f *file) crash(random Chance) []byte {
	content := bytes.Clone(f.durable)
	keep, sector := chooser(random), int64(512)
	if random.IntN(2) == 0 {
		sector = 4096
	}
	torn := random.IntN(2) == 0
	for _, c := range f.pending {
		switch {
		case c.data == nil || !torn:
			if keep() {
				content = c.apply(content)
			}
		default:
			content = c.tear(content, sector, keep, random)
		}
	}
	return content
}

// tear applies some sectors of a write.
func (c change) tear(content []byte, sector int64, keep func() bool, random Chance) []byte {
	end := c.offset + int64(len(c.data))
	for at := c.offset; at < end; {
		next := min(end, (at/sector+1)*sector)
		if keep() {
			content = change{at, c.data[at-c.offset : next-c.offset]}.apply(content)
		} else if next > int64(len(content)) && random.IntN(2) == 0 {
			content = resize(content, next) // the file has grown, its data has not arrived
		}
		at = next
	}
	return content
}
