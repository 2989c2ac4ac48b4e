package unpack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/keyward/keyward/internal/leak"
)

// unsqlite visits the rows of an SQLite database, a table for each: in the file itself the
// columns of a row stand together without anything between them. The format is that of
// https://sqlite.org/fileformat2.html.
func unsqlite(s Source, visit Visit) error {
	at, size, err := s.Random()
	if err != nil {
		return err
	}
	if len(s.Head) < 100 {
		return io.ErrUnexpectedEOF
	}
	page := int64(binary.BigEndian.Uint16(s.Head[16:]))
	if page == 1 {
		page = 64 << 10
	}
	if page < 512 || page&(page-1) != 0 {
		return fmt.Errorf("%d is no size of a page", page)
	}
	if binary.BigEndian.Uint32(s.Head[56:]) > 1 {
		return leak.Text{English: "its text is in UTF-16", Chinese: "其文本为 UTF-16 编码，暂不支持"}
	}
	db := &database{at: at, page: page, pages: size / page, usable: page - int64(s.Head[20]), window: s.Window}
	if db.usable < 480 { // SQLite's own limit
		return errPage
	}
	schema, tables := *db, 0
	if err := schema.visit(table{name: "sqlite_schema", root: 1}, visit); err != nil {
		return err
	}
	return db.tree(1, func(columns [][]byte) error {
		if len(columns) != 5 || string(columns[0]) != "table" || len(columns[3]) == 0 {
			return nil
		}
		if tables++; tables > maxTables {
			return fmt.Errorf("%w: more than %d tables", ErrLimit, maxTables)
		}
		root, err := strconv.ParseInt(string(columns[3]), 10, 64)
		if err != nil || root <= 0 {
			return err // others have their rows elsewhere
		}
		of := *db
		return of.visit(table{string(columns[1]), root, columnNames(string(columns[4]))}, visit)
	})
}

const (
	maxTables  = 10_000
	maxRow     = 8 << 20 // of a row, that is looked at
	freeRow    = 256 << 10
	maxPages   = 40   // that lie above each other
	maxColumns = 2000 // SQLite's own limit
)

// A table is what the schema says of one.
type table struct {
	name    string
	root    int64
	columns []string
}

// A database reads the pages of a file.
type database struct {
	at     io.ReaderAt
	page   int64 // its size
	usable int64
	pages  int64
	seen   map[int64]uint64 // pages of a tree that were read, so that cycles end: a bit of each 64
	window func(int64) (func(), error)
}

// visit visits a table: for each row its columns with their names, and the row itself as
// that of a table with names and values.
func (db *database) visit(t table, visit Visit) error {
	return visitText(Member{Name: t.name, Plain: true}, func(yield func(string, error) bool) {
		err := db.tree(t.root, func(columns [][]byte) error {
			for piece := range t.line(columns) {
				if !yield(piece, nil) {
					return errEnough
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield("", err)
		}
	}, visit)
}

var errEnough = errors.New("nobody reads on")

// line writes a row, of long values piece by piece.
func (t table) line(columns [][]byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		pieces := func(value []byte, plain bool) bool {
			for piece := range slices.Chunk(value, 16<<10) {
				text := string(piece)
				if plain {
					text = strings.ReplaceAll(text, "\n", " ")
				}
				if !yield(text) {
					return false
				}
			}
			return true
		}
		if !yield("|") {
			return
		}
		for _, c := range columns {
			if !yield(" ") || !pieces(c, true) || !yield(" |") {
				return
			}
		}
		for i, c := range columns {
			if i < len(t.columns) && len(c) > 0 && (!yield("\n"+t.columns[i]+": ") || !pieces(c, false)) {
				return
			}
		}
		yield("\n")
	}
}

// columnNames answers the names of the columns in a CREATE TABLE.
func columnNames(statement string) (names []string) {
	_, list, found := strings.Cut(statement, "(")
	if !found {
		return nil
	}
	depth, start := 0, 0
	for i := 0; i <= len(list); i++ {
		switch {
		case i == len(list), list[i] == ',' && depth == 0, list[i] == ')' && depth == 0:
			name := strings.Trim(strings.TrimSpace(list[start:i]), "\"`[")
			if end := strings.IndexAny(name, " \t\r\n\"`]"); end >= 0 {
				name = name[:end]
			}
			names, start = append(names, name), i+1
			if i == len(list) || list[i] == ')' || len(names) == maxColumns {
				return names
			}
		case list[i] == '(':
			depth++
		case list[i] == ')':
			depth--
		}
	}
	return names
}

var errPage = leak.Text{English: "a page of the database is damaged", Chinese: "数据库的一页已损坏"}

// read answers a page, and where its header begins.
func (db *database) read(number int64) (page []byte, header int, err error) {
	if number < 1 || number > db.pages || db.seen[number/64]&(1<<(number%64)) != 0 {
		return nil, 0, errPage
	}
	db.seen[number/64] |= 1 << (number % 64)
	page = make([]byte, db.page)
	if _, err := db.at.ReadAt(page, (number-1)*db.page); err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	if number == 1 {
		header = 100
	}
	return page, header, nil
}

// tree calls with the columns of each row of the tree with a root. They are valid until it returns.
func (db *database) tree(root int64, with func(columns [][]byte) error) error {
	db.seen = map[int64]uint64{}
	return db.rows(root, 0, with)
}

// rows calls with the columns of each row of the tree below a page.
func (db *database) rows(number int64, depth int, with func(columns [][]byte) error) error {
	page, header, err := db.read(number)
	if err != nil {
		return err
	}
	kind, cells, first := page[header], int(binary.BigEndian.Uint16(page[header+3:])), header+8
	inner := kind == innerTable || kind == innerIndex
	if inner {
		first += 4
	}
	if !inner && kind != leafTable && kind != leafIndex || depth > maxPages || first+2*cells > len(page) {
		return errPage
	}
	for i := range cells {
		at := int(binary.BigEndian.Uint16(page[first+2*i:]))
		if at < first || at+4 > len(page) {
			return errPage
		}
		cell := page[at:]
		if inner {
			if err := db.rows(int64(binary.BigEndian.Uint32(cell)), depth+1, with); err != nil {
				return err
			}
			cell = cell[4:]
		}
		if kind != innerTable {
			if err := db.row(cell, kind, with); err != nil {
				return err
			}
		}
	}
	if inner {
		return db.rows(int64(binary.BigEndian.Uint32(page[header+8:])), depth+1, with)
	}
	return nil
}

// Kinds of pages. Tables without numbers of rows are kept as indexes are, with rows on
// inner pages, too.
const (
	innerIndex = 2
	innerTable = 5
	leafIndex  = 10
	leafTable  = 13
)

// row calls with the columns of a row, which begins with its length and, in a table, its number.
func (db *database) row(cell []byte, kind byte, with func(columns [][]byte) error) error {
	length, n := bigVarint(cell)
	most := (db.usable-12)*64/255 - 23
	if kind == leafTable {
		_, m := bigVarint(cell[n:])
		if m == 0 {
			return errPage
		}
		n, most = n+m, db.usable-35
	}
	if n == 0 {
		return errPage
	}
	if length > freeRow {
		release, err := db.window(maxRow)
		if err != nil {
			return err
		}
		defer release()
	}
	payload, err := db.payload(cell[n:], length, uint64(most))
	if err != nil {
		return err
	}
	columns, ok := record(payload)
	if !ok {
		return errPage
	}
	return with(columns)
}

// payload answers the bytes of a row, of which one that is longer than most has the rest on
// pages of its own.
func (db *database) payload(cell []byte, length, most uint64) ([]byte, error) {
	local := length
	if length > most {
		least := uint64((db.usable-12)*32/255 - 23)
		if local = least + (length-least)%uint64(db.usable-4); local > most {
			local = least
		}
	}
	if local > uint64(len(cell)) || local < length && local+4 > uint64(len(cell)) {
		return nil, errPage
	}
	if local == length {
		return cell[:local], nil
	}
	out := append(make([]byte, 0, min(length, maxRow)+uint64(db.page)), cell[:local]...)
	for next := int64(binary.BigEndian.Uint32(cell[local:])); next != 0 && uint64(len(out)) < length && len(out) < maxRow; {
		page, _, err := db.read(next)
		if err != nil {
			return nil, err
		}
		next = int64(binary.BigEndian.Uint32(page))
		out = append(out, page[4:min(uint64(db.usable), 4+length-uint64(len(out)))]...)
	}
	return out, nil
}

// record answers the columns of a row; what is no text and no number is left out.
func record(payload []byte) (columns [][]byte, ok bool) {
	size, n := bigVarint(payload)
	if n == 0 || size < uint64(n) || size > uint64(len(payload)) {
		return nil, false
	}
	kinds, data := payload[n:size], payload[size:]
	for len(kinds) > 0 && len(columns) < maxColumns {
		kind, n := bigVarint(kinds)
		if n == 0 {
			return nil, false
		}
		kinds = kinds[n:]
		width := uint64(0)
		switch {
		case kind >= 12:
			width = (kind - 12) / 2
		case kind <= 6:
			width = [...]uint64{0, 1, 2, 3, 4, 6, 8}[kind]
		case kind == 7:
			width = 8
		}
		width = min(width, uint64(len(data))) // of a row that was cut off
		columns = append(columns, column(kind, data[:width]))
		data = data[width:]
	}
	return columns, true
}

// column writes a value: text and bytes as they are, whole numbers in digits.
func column(kind uint64, data []byte) []byte {
	switch {
	case kind >= 12:
		return data
	case kind >= 1 && kind <= 6:
		v := int64(0)
		for i, c := range data {
			if v = v<<8 | int64(c); i == 0 {
				v = int64(int8(c))
			}
		}
		return strconv.AppendInt(nil, v, 10)
	case kind == 8 || kind == 9:
		return strconv.AppendUint(nil, kind-8, 10)
	}
	return nil
}

// bigVarint reads SQLite's numbers: seven bits of each byte, the highest first, and all
// eight of a ninth. It answers 0 bytes if there is none.
func bigVarint(data []byte) (v uint64, n int) {
	for i, c := range data[:min(len(data), 9)] {
		if i == 8 {
			return v<<8 | uint64(c), 9
		}
		v = v<<7 | uint64(c&0x7f)
		if c < 0x80 {
			return v, i + 1
		}
	}
	return 0, 0
}
