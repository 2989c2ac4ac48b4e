package unpack

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"github.com/keyward/keyward/internal/leak"
)

// WeChat mini-programs. Plain: 0xBE, a number, the lengths of index and body, 0xED, then
// the index: a count, and for each file the length of its name, its name, offset and size;
// all numbers big-endian with four bytes.

func isWxapkg(head []byte) bool { return len(head) >= 18 && head[0] == 0xbe && head[13] == 0xed }

var errIndex = leak.Text{English: "its index is damaged", Chinese: "其索引已损坏"}

func unwxapkg(s Source, visit Visit) error {
	at, size, err := s.Random()
	if err != nil {
		return err
	}
	length := int64(binary.BigEndian.Uint32(s.Head[5:]))
	if length < 4 || 14+length > size {
		return errIndex
	}
	index := bufio.NewReader(io.NewSectionReader(at, 14, length))
	number := func() (n int64) {
		var b [4]byte
		if _, err = io.ReadFull(index, b[:]); err != nil {
			err = errIndex
		}
		return int64(binary.BigEndian.Uint32(b[:]))
	}
	for count := number(); count > 0 && err == nil; count-- {
		n := number()
		if err != nil || n > 4096 {
			return errIndex
		}
		name := make([]byte, n)
		if _, err := io.ReadFull(index, name); err != nil {
			return errIndex
		}
		offset, length := number(), number()
		if err != nil || offset+length > size {
			return errIndex
		}
		if err := visit(Member{Name: string(name), Reader: io.NewSectionReader(at, offset, length)}); err != nil {
			return err
		}
	}
	return err
}

// On computers WeChat encrypts them: six bytes of magic, 1,024 bytes that only the AppID
// opens and that hold the first 1,023 bytes, and then the rest under one byte. That byte is
// a character of the AppID, so there are few, and the one under which most is text is it.
const hiddenHead = 6 + 1024

func unencryptedWxapkg(s Source, visit Visit) error {
	at, size, err := s.Random()
	if err != nil {
		return err
	}
	if size <= hiddenHead {
		return nil
	}
	sample := make([]byte, min(size-hiddenHead, 64<<10))
	if _, err := at.ReadAt(sample, hiddenHead); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	key := textKey(sample)
	return visit(Member{Name: "body", Reader: &xored{io.NewSectionReader(at, hiddenHead, size-hiddenHead), key}})
}

// textKey answers the byte of an AppID under which a sample reads most like a program.
func textKey(sample []byte) byte {
	var count [256]int
	for _, c := range sample {
		count[c]++
	}
	best, most := byte(0), 0
	for i, key := range []byte("0123456789abcdef") {
		score := 0
		for c, n := range count {
			score += n * likeness(byte(c)^key)
		}
		if i == 0 || score > most {
			best, most = key, score
		}
	}
	return best
}

// likeness answers how much a byte speaks for a program's text. Keys differ in few bits, so
// that under a wrong one letters stay letters: which ones they are decides.
func likeness(c byte) int {
	switch {
	case strings.IndexByte("etaonisr", c) >= 0:
		return 5
	case c >= 'a' && c <= 'z', strings.IndexByte(" (),.:;=\"'{}", c) >= 0:
		return 3
	case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c == '\n', c >= 0x80:
		return 1
	case c < ' ':
		return -10
	}
	return 0
}

type xored struct {
	r   io.Reader
	key byte
}

func (x *xored) Read(p []byte) (int, error) {
	n, err := x.r.Read(p)
	for i := range p[:n] {
		p[i] ^= x.key
	}
	return n, err
}
