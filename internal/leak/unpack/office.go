package unpack

import (
	"bufio"
	"bytes"
	"io"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/leak/unpack/zipfile"
)

// isOffice tells whether a member of a zip file has the text of an office document.
func isOffice(name string) bool {
	if path.Ext(name) != ".xml" {
		return false
	}
	for _, dir := range []string{"word/", "ppt/slides/", "ppt/notesSlides/", "ppt/comments/", "xl/sharedStrings", "xl/worksheets/", "xl/comments"} {
		if strings.HasPrefix(name, dir) {
			return true
		}
	}
	return name == "content.xml" || name == "styles.xml" // OpenDocument
}

// A workbook visits the members of a zip file, and knows what workbooks keep apart: the text
// of all cells is one list, to which the sheets refer.
type workbook struct {
	zip    *zipfile.File
	window func(int64) (func(), error)

	known   bool // whether there is a list was looked for
	text    []byte
	ends    []uint32 // of the strings in text
	release func()
}

// visit visits a member.
func (b *workbook) visit(member zipfile.Member, visit Visit) error {
	if strings.HasPrefix(member.Name, "xl/worksheets/") && !b.known {
		b.known = true
		if err := b.read(); err != nil {
			return err
		}
	}
	r, release, err := b.zip.Open(member, b.window)
	if err != nil {
		return err
	}
	defer release()
	watched := &watch{r: r}
	m := Member{Name: memberName(member.Name), Reader: watched}
	if isOffice(member.Name) {
		m.Reader, m.Plain = officeText(watched, b), true
	}
	if err := visit(m); err != nil {
		return err
	}
	if watched.err != nil && member.Encrypted {
		return ErrEncrypted
	}
	return nil // what the reader met, the visitor has met
}

const (
	maxShared  = 4 << 20 // of a workbook's strings
	freeShared = 256 << 10
)

// read reads the list of strings, of a damaged one what there is.
func (b *workbook) read() error {
	for member, err := range b.zip.Members() {
		if err != nil || member.Name != "xl/sharedStrings.xml" {
			continue
		}
		if member.Size > freeShared {
			if b.release, err = b.window(2 * maxShared); err != nil {
				return err
			}
		}
		r, release, err := b.zip.Open(member, b.window)
		if err != nil {
			return nil // it is told where it is visited
		}
		defer release()
		b.text, _ = io.ReadAll(io.LimitReader(officeText(r, nil), min(maxShared, max(member.Size, 0))))
		for i, c := range b.text {
			if c == '\n' && len(b.ends) < maxShared/4 {
				b.ends = append(b.ends, uint32(i))
			}
		}
		return nil
	}
	return nil
}

// cell answers a string of the list.
func (b *workbook) cell(index []byte) []byte {
	i, err := strconv.Atoi(string(index))
	if err != nil || i < 0 || i >= len(b.ends) {
		return nil
	}
	from := uint32(0)
	if i > 0 {
		from = b.ends[i-1] + 1
	}
	return b.text[from:b.ends[i]]
}

func (b *workbook) close() {
	if b.release != nil {
		b.release()
	}
}

// officeText answers the text of a document's XML: runs joined, because editors split
// words where the spelling was checked; a line for each paragraph, " | " between the cells
// of a row. The text of a cell may stand in its workbook.
func officeText(r io.Reader, book *workbook) io.Reader {
	return &officeReader{r: bufio.NewReaderSize(r, 16<<10), book: book}
}

type officeReader struct {
	r     *bufio.Reader
	out   []byte
	cell  bool // within a cell, whose paragraphs do not end the row's line
	cells int
	err   error

	book      *workbook
	reference bool // within a cell that has the number of a string
	index     []byte
}

// maxTag is how long a tag is read; of longer ones, only the name matters.
const maxTag = 256

func (o *officeReader) Read(p []byte) (int, error) {
	for len(o.out) == 0 && o.err == nil {
		o.step()
	}
	n := copy(p, o.out)
	o.out = append(o.out[:0], o.out[n:]...)
	if n == 0 {
		return 0, o.err
	}
	return n, nil
}

// step reads a piece of text or a tag.
func (o *officeReader) step() {
	c, err := o.r.ReadByte()
	switch {
	case err != nil:
		o.err = err
	case c == '<':
		o.tag()
	case c == '&':
		o.entity()
	case c == '\n' || c == '\r':
	case o.reference:
		if len(o.index) < 10 {
			o.index = append(o.index, c)
		}
	default:
		o.out = append(o.out, c)
	}
}

func (o *officeReader) tag() {
	var tag []byte
	for {
		c, err := o.r.ReadByte()
		if err != nil {
			o.err = err
			return
		}
		if c == '>' {
			break
		}
		if len(tag) < maxTag {
			tag = append(tag, c)
		}
	}
	name, _, _ := bytes.Cut(bytes.TrimSuffix(tag, []byte("/")), []byte(" "))
	alone := bytes.HasSuffix(tag, []byte("/"))
	switch string(name) {
	case "w:tc", "table:table-cell", "a:tc":
		o.cell = !alone
		if o.cells++; o.cells > 1 {
			o.out = append(o.out, " | "...)
		}
	case "/w:tc", "/table:table-cell", "/a:tc":
		o.cell = false
	case "/w:tr", "/table:table-row", "/a:tr", "/row":
		o.out, o.cells = append(o.out, '\n'), 0
	case "/w:p", "/a:p", "/text:p", "/text:h", "/si", "/comment":
		if !o.cell {
			o.out = append(o.out, '\n')
		}
	case "w:tab", "text:tab", "text:s":
		o.out = append(o.out, ' ')
	case "w:br", "text:line-break", "a:br":
		o.out = append(o.out, '\n')
	case "c":
		if o.cells++; o.cells > 1 {
			o.out = append(o.out, " | "...)
		}
		o.reference, o.index = o.book != nil && bytes.Contains(tag, []byte(`t="s"`)), o.index[:0]
	case "/c":
		if o.reference {
			o.out = append(o.out, o.book.cell(o.index)...)
		}
		o.reference = false
	}
}

var entities = map[string]string{"amp": "&", "lt": "<", "gt": ">", "quot": `"`, "apos": "'"}

func (o *officeReader) entity() {
	var name []byte
	for len(name) < 8 {
		c, err := o.r.ReadByte()
		if err != nil {
			o.err = err
			break
		}
		if c == ';' {
			if number, ok := bytes.CutPrefix(name, []byte("#")); ok {
				code, _ := strconv.ParseInt(strings.Replace(string(number), "x", "0x", 1), 0, 32) // what is no number is no character
				o.out = utf8.AppendRune(o.out, rune(code))
				return
			}
			o.out = append(o.out, entities[string(name)]...)
			return
		}
		name = append(name, c)
	}
	o.out = append(append(o.out, '&'), name...)
}
