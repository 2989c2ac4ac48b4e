package unpack

import (
	"archive/zip"
	"bufio"
	"bytes"
	"io"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"
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

// officeText answers the text of a document's XML: runs joined, because editors split
// words where the spelling was checked; a line for each paragraph, " | " between the cells
// of a row.
// Workbooks keep the text of their cells in one list, which shared is.
func officeText(r io.Reader, shared []string) io.Reader {
	return &officeReader{r: bufio.NewReaderSize(r, 16<<10), shared: shared}
}

const maxShared = 8 << 20 // of a workbook's strings

// sharedStrings answers the strings of a workbook; nil if the archive is none.
func sharedStrings(archive *zip.Reader) []string {
	for _, f := range archive.File {
		if f.Name != "xl/sharedStrings.xml" {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return nil
		}
		defer r.Close()
		text, _ := io.ReadAll(io.LimitReader(officeText(r, nil), maxShared)) // of a damaged list, what there is
		return strings.Split(string(text), "\n")
	}
	return nil
}

type officeReader struct {
	r     *bufio.Reader
	out   []byte
	cell  bool // within a cell, whose paragraphs do not end the row's line
	cells int
	err   error

	shared    []string
	reference bool // within a cell that has an index into shared
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
		o.reference, o.index = len(o.shared) > 0 && bytes.Contains(tag, []byte(`t="s"`)), o.index[:0]
	case "/c":
		if i, err := strconv.Atoi(string(o.index)); o.reference && err == nil && i >= 0 && i < len(o.shared) {
			o.out = append(o.out, o.shared[i]...)
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
