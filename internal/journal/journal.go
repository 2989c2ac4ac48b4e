// Package journal keeps records durable, in the order in which they came, for as long as
// their owner needs to put them where they belong.
//
// A [Journal] is a pair of files that take turns. [Journal.Append] adds a record to the
// current file and answers when it is on the disk: one write and one sync, which is what
// durability costs and no more. [Journal.Turn] makes the other file current, so that the
// owner can move what is in the first one elsewhere while new records arrive;
// [Journal.Clear] gives it free afterwards. A file that is free is written over, not
// emptied: to sync what lies in place already costs half of what a growing file does.
//
// So the files hold records that were cleared, and after a crash the last record may be
// torn. [Open] answers every whole record that it finds, also beyond a place that is
// damaged, oldest first. The owner's records must tell their own order: what it has
// already is passed over, and a record missing before a whole one is damage, because no
// record is begun before its predecessor is on the disk.
//
// The files hold what their owner puts in, unencrypted. Nothing that is read from them is
// to be trusted more than the file system: a checksum finds accidents, not attackers.
package journal

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"

	"github.com/keyward/keyward/internal/durable"
)

// MaxRecord is the largest record, in bytes.
const MaxRecord = 256 << 20

// A record in a file is
//
//	magic (4) ‖ turn (8) ‖ length (4) ‖ CRC-32C of turn, length and content (4) ‖ content
//
// with the numbers in big-endian order. The turn grows by one whenever the files
// change places, so that it orders the records of both.
const (
	magic      = "\xffkw\x01"
	headerSize = len(magic) + 8 + 4 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A Journal is an open pair of files. One goroutine at a time may call its methods.
type Journal struct {
	files   [2]*os.File
	current int   // index of the file that is appended to
	end     int64 // of the current file
	turn    uint64
	cleared bool // nobody needs what is in the file that is not current
	failed  error
	buffer  []byte
}

// names answers the paths of the two files.
func names(path string) [2]string { return [2]string{path + ".0", path + ".1"} }

// Open opens the journal at path, two files path.0 and path.1 of mode 0600, creating
// what is missing, and answers the records it holds. It takes no more records before
// [Journal.Reset] has dropped these. No other process may have it open: the owner sees to that.
func Open(path string) (*Journal, [][]byte, error) {
	j := &Journal{failed: errors.New("it holds records from before the start")}
	for i, name := range names(path) {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("opening journal: %w", err), j.Close())
		}
		j.files[i] = f
		if err := durable.RequirePrivate(name); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("opening journal: %w", err), j.Close())
		}
	}
	found, err := read(path)
	if err == nil {
		err = durable.SyncDirectory(filepath.Dir(path)) // the files themselves must survive a crash
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("opening journal: %w", err), j.Close())
	}
	if len(found) > 0 {
		j.turn = found[len(found)-1].turn
	}
	return j, contents(found), nil
}

// Read answers the records of a journal that another process may have open. A journal
// that does not exist has none.
func Read(path string) ([][]byte, error) {
	found, err := read(path)
	return contents(found), err
}

// read answers the records of both files, oldest first.
func read(path string) (found []record, err error) {
	for _, name := range names(path) {
		content, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("reading journal: %w", err)
		}
		found = append(found, scan(content)...)
	}
	slices.SortStableFunc(found, func(a, b record) int { return cmp.Compare(a.turn, b.turn) })
	return found, nil
}

func contents(of []record) [][]byte {
	out := make([][]byte, len(of))
	for i, r := range of {
		out[i] = r.content
	}
	return out
}

type record struct {
	turn    uint64
	content []byte
}

// scan answers every whole record in a file's content.
func scan(b []byte) (out []record) {
	for len(b) >= headerSize {
		if r, ok := parse(b); ok {
			out = append(out, r)
			b = b[headerSize+len(r.content):]
		} else {
			b = b[1:]
		}
	}
	return out
}

// parse reads the record that b begins with, if it is whole.
func parse(b []byte) (record, bool) {
	if string(b[:len(magic)]) != magic {
		return record{}, false
	}
	turn, size, sum := binary.BigEndian.Uint64(b[4:]), binary.BigEndian.Uint32(b[12:]), binary.BigEndian.Uint32(b[16:])
	if uint64(size) > uint64(len(b)-headerSize) {
		return record{}, false
	}
	content := b[headerSize : headerSize+int(size)]
	return record{turn, content}, checksum(b[4:16], content) == sum
}

func checksum(head, content []byte) uint32 {
	return crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, content)
}

// Append adds a record and answers nil when it is durable. After an error it may be
// there or not, and the journal takes nothing more until [Journal.Reset] succeeds.
func (j *Journal) Append(content []byte) error {
	if j.failed != nil {
		return fmt.Errorf("appending to journal: it failed before: %w", j.failed)
	}
	if len(content) > MaxRecord {
		return fmt.Errorf("appending to journal: a record of %d bytes is too large", len(content))
	}
	b := append(j.buffer[:0], magic...)
	b = binary.BigEndian.AppendUint64(b, j.turn)
	b = binary.BigEndian.AppendUint32(b, uint32(len(content)))
	b = binary.BigEndian.AppendUint32(b, checksum(b[4:16], content))
	b = append(b, content...)
	j.buffer = b
	_, err := j.files[j.current].WriteAt(b, j.end)
	if err == nil {
		err = syncData(j.files[j.current])
	}
	if err != nil {
		j.failed = err
		return fmt.Errorf("appending to journal: %w", err)
	}
	j.end += int64(len(b))
	return nil
}

// Turn makes the other file current and answers true, unless that still holds records that
// somebody needs, or the journal failed.
func (j *Journal) Turn() bool {
	if !j.cleared || j.failed != nil {
		return false
	}
	j.turn++
	j.current, j.end, j.cleared = 1-j.current, 0, false
	return true
}

// Clear gives free what was appended before the last [Journal.Turn]. The records are
// there until they are written over; the owner passes over them.
func (j *Journal) Clear() { j.cleared = true }

// Reset drops all records, durably, and makes the journal usable again after a failure.
func (j *Journal) Reset() error {
	j.failed = errors.New("it could not be emptied")
	for _, f := range j.files {
		if err := errors.Join(f.Truncate(0), f.Sync()); err != nil {
			return fmt.Errorf("emptying journal: %w", err)
		}
	}
	j.turn++
	j.end, j.cleared, j.failed = 0, true, nil
	return nil
}

// Failed answers why the journal takes nothing, or nil.
func (j *Journal) Failed() error { return j.failed }

// Close closes the files.
func (j *Journal) Close() error {
	var errs []error
	for _, f := range j.files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
