package anchor

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"

	"github.com/keyward/keyward/internal/audit"
)

// What is saved is
//
//	"keyward-anchor/v1" 0x00, epoch (4 bytes)
//	number of logs (4); for each: length of its name (4), name, records (8), root (32)
//	number of rows (8); for each: key (16), revision (8), digest (8)
//	HMAC-SHA256 under the epoch's row key over all before it (32)
//
// in big endian.
const format = "keyward-anchor/v1\x00"

const rowSize = len(Key{}) + 8 + len(state{}.digest)

// Grown tells how many records the own log has that the save does not cover.
func (a *Anchor) Grown(own audit.Checkpoint) int64 {
	a.reading.Lock()
	defer a.reading.Unlock()
	return own.Size - a.saved
}

// Save saves the anchor, so that the next start is quick. own is a head of the node's
// own log that was durable before Save was called; its changes are all here then.
func (a *Anchor) Save(own audit.Checkpoint) error {
	if a.o.Save == nil {
		return nil
	}
	a.reading.Lock()
	defer a.reading.Unlock()
	a.mu.RLock()
	doubtful := len(a.doubted) > 0
	a.mu.RUnlock()
	if doubtful {
		return nil // the own log must be read first
	}
	if own.Size >= a.seen[own.Origin].Size {
		a.seen[own.Origin] = own
	}
	b, err := a.encode()
	if err != nil {
		return err
	}
	if err := a.o.Save(b); err != nil {
		return fmt.Errorf("saving the anchor: %w", err)
	}
	a.saved = own.Size
	return nil
}

func (a *Anchor) encode() ([]byte, error) {
	epoch := a.o.Keys.Epoch()
	b := binary.BigEndian.AppendUint32([]byte(format), epoch)
	b = binary.BigEndian.AppendUint32(b, uint32(len(a.seen)))
	for name, c := range a.seen {
		b = binary.BigEndian.AppendUint32(b, uint32(len(name)))
		b = append(b, name...)
		b = binary.BigEndian.AppendUint64(b, uint64(c.Size))
		b = append(b, c.Root[:]...)
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	grown := make([]byte, len(b), len(b)+8+len(a.rows)*rowSize+sha256.Size)
	copy(grown, b)
	b = binary.BigEndian.AppendUint64(grown, uint64(len(a.rows)))
	for k, s := range a.rows {
		b = append(b, k[:]...)
		b = binary.BigEndian.AppendUint64(b, uint64(s.rev))
		b = append(b, s.digest[:]...)
	}
	mac, err := a.o.Keys.RowMAC(epoch, b)
	return append(b, mac...), err
}

// load reads what was saved.
func (a *Anchor) load() error {
	if a.o.Load == nil {
		return nil
	}
	b, err := a.o.Load()
	if err != nil {
		return fmt.Errorf("reading the saved anchor: %w", err)
	}
	a.decode(b)
	return nil
}

// decode takes over what encode wrote. What is not this server's, or was cut off, is as good as
// nothing: the anchor is then made from the logs alone.
func (a *Anchor) decode(b []byte) {
	if len(b) < len(format)+4+sha256.Size || string(b[:len(format)]) != format {
		return
	}
	body, mac := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	epoch := binary.BigEndian.Uint32(b[len(format):])
	want, err := a.o.Keys.RowMAC(epoch, body)
	if err != nil || subtle.ConstantTimeCompare(want, mac) != 1 {
		return
	}
	// From here on it is what encode wrote.
	rest := body[len(format)+4:]
	number := func() uint32 {
		n := binary.BigEndian.Uint32(rest)
		rest = rest[4:]
		return n
	}
	for n := number(); n > 0; n-- {
		size := number()
		c := audit.Checkpoint{Origin: string(rest[:size])}
		rest = rest[size:]
		c.Size = int64(binary.BigEndian.Uint64(rest))
		copy(c.Root[:], rest[8:])
		rest = rest[8+len(c.Root):]
		a.seen[c.Origin] = c
	}
	n := binary.BigEndian.Uint64(rest)
	rest = rest[8:]
	a.rows = make(map[Key]state, n)
	for ; len(rest) > 0; rest = rest[rowSize:] {
		a.rows[Key(rest[:16])] = state{int64(binary.BigEndian.Uint64(rest[16:])), [8]byte(rest[24:])}
	}
	a.saved = a.seen[a.o.Own].Size
}
