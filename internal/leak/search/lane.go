package search

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/decode"
	"github.com/keyward/keyward/internal/leak/unpack"
)

const (
	blockSize = 512 << 10 // of what stands by itself; of what is deep within something, less
	deepSize  = 64 << 10
	carry     = 2 * leak.Context // of a block that the next one begins with
)

// A Lane has the memory for one document at a time. It is for one goroutine.
type Lane struct {
	search  *Search
	workers []*leak.Worker // by depth of decoding
	buffers [][]byte       // by depth of unpacking
}

// Lane answers a new lane.
func (s *Search) Lane() *Lane { return &Lane{search: s} }

func (l *Lane) worker(depth int) *leak.Worker {
	for len(l.workers) <= depth {
		l.workers = append(l.workers, l.search.options.Scanner.Worker())
	}
	return l.workers[depth]
}

func (l *Lane) buffer(depth int) []byte {
	for len(l.buffers) <= depth {
		l.buffers = append(l.buffers, make([]byte, max(blockSize>>len(l.buffers), deepSize)))
	}
	return l.buffers[depth]
}

// A document is what stands at one path.
type document struct {
	path   string
	depth  int // of unpacking
	pool   bool
	line   int    // line that the block begins in; 0 where lines mean nothing
	plain  bool   // it is no container, whatever it begins with
	of     Object // what it belongs to
	budget *unpack.Budget
}

// at answers a place in the document.
func (d document) at(line, column int, via string) leak.Location {
	return leak.Location{Path: d.path, Line: line, Column: column, Via: via, Commit: d.of.Commit, Layer: d.of.Layer, Hidden: d.of.Hidden, Gone: d.of.Gone}
}

// text scans a document of text, or of bytes that are none, block by block. The depth's
// buffer begins with what was read of it already.
func (l *Lane) text(d document, filled int, last bool, r io.Reader) error {
	buffer := l.buffer(d.depth)
	for from := 0; ; {
		if !last {
			n, ended, err := fill(r, buffer[filled:])
			filled, last = filled+n, ended
			if err != nil {
				l.block(d, buffer[:filled], from, filled)
				return fmt.Errorf("reading: %w", err)
			}
		}
		to := filled
		if !last {
			to = filled - leak.Context
		}
		l.block(d, buffer[:filled], from, to)
		if last {
			return nil
		}
		gone := filled - carry
		if d.line > 0 {
			d.line += bytes.Count(buffer[:gone], []byte("\n"))
		}
		copy(buffer, buffer[gone:filled])
		from, filled = to-gone, carry
	}
}

// fill reads until the buffer is full, or the reader ends. io.ReadFull will not do: what it
// says of a short end is what decompressors say of a damaged one.
func fill(r io.Reader, buffer []byte) (n int, ended bool, err error) {
	for n < len(buffer) && err == nil {
		var k int
		k, err = r.Read(buffer[n:])
		n += k
	}
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return n, true, nil
	}
	return n, false, err
}

// block scans a block, and the text in UTF-16 that stands among its bytes.
func (l *Lane) block(d document, text []byte, from, to int) {
	l.search.coverage.bytes.Add(int64(to - from))
	l.part(d, text, from, to)
	if bytes.IndexByte(text, 0) < 0 {
		return
	}
	if wide := wideRuns(text[from:to]); len(wide) > 0 {
		inner := d
		inner.line = 0
		l.part(inner, wide, 0, len(wide))
	}
}

// wideRuns answers the runs of ASCII in UTF-16 among bytes, a line for each.
func wideRuns(text []byte) (out []byte) {
	const least = 8
	for at := 1; at < len(text); at++ {
		if text[at] != 0 || text[at-1] < ' ' || text[at-1] > '~' {
			continue
		}
		begin, n := at-1, 1
		for begin+2*n+1 < len(text) && text[begin+2*n+1] == 0 && text[begin+2*n] >= ' ' && text[begin+2*n] <= '~' {
			n++
		}
		if n >= least {
			for k := range n {
				out = append(out, text[begin+2*k])
			}
			out = append(out, '\n')
		}
		at = begin + 2*n
	}
	return out
}

// part scans a stretch of a document, and what is encoded in it.
func (l *Lane) part(d document, text []byte, from, to int) {
	matches := slices.Clone(l.worker(0).Scan(leak.Part{Text: text, From: from, To: to, Path: d.path, Pool: d.pool})) // what is encoded may need the worker
	if l.worker(0).GBK() && bytes.IndexByte(text, 0) < 0 {
		before, own := unpack.FromGBK(text[:beginning(text, from)]), unpack.FromGBK(text[beginning(text, from):beginning(text, to)])
		behind := unpack.FromGBK(text[beginning(text, to):])
		l.part(d, slices.Concat(before, own, behind), len(before), len(before)+len(own))
		return
	}
	places := placer{text: text, line: d.line}
	place := func(offset int, via string) leak.Location {
		line, column := places.at(offset)
		return d.at(line, column, via)
	}
	for _, m := range l.encoded(leak.Part{Text: text, From: from, To: to}, matches, l.worker(0).Kubernetes(), func(s decode.Stretch) {
		l.decoded(d, s, place(s.Start, s.How), 1)
	}) {
		if !l.allowed(text, m) {
			l.add(d, m, text, place(m.Start, ""))
		}
	}
}

// encoded calls with what is encoded in a part, and answers the matches that count: where
// something stands in another form as a whole, those of that form do.
func (l *Lane) encoded(p leak.Part, matches []leak.Match, secrets bool, with func(decode.Stretch)) []leak.Match {
	var whole []decode.Stretch
	instead := func(at int) bool {
		return slices.ContainsFunc(whole, func(s decode.Stretch) bool { return s.Start <= at && at < s.End })
	}
	decode.Find(p.Text, secrets, func(s decode.Stretch) {
		covered := slices.ContainsFunc(matches, func(m leak.Match) bool { return m.Start < s.End && s.Start < m.End })
		if s.Start < p.From || s.Start >= p.To || instead(s.Start) || covered && !s.Whole && (s.How == "base64" || s.How == "hex") {
			return
		}
		if s.Whole {
			whole = append(whole, s)
		}
		with(s)
	})
	return slices.DeleteFunc(matches, func(m leak.Match) bool { return instead(m.Start) })
}

// beginning answers where the line of an offset begins, so that no character is cut in two;
// of a long line, the offset itself. The end of the text is one, too.
func beginning(text []byte, at int) int {
	const most = 4096
	if at == len(text) {
		return at
	}
	if i := bytes.LastIndexByte(text[max(0, at-most):at], '\n'); i >= 0 {
		return max(0, at-most) + i + 1
	}
	return at
}

// add takes a match at a place.
func (l *Lane) add(d document, m leak.Match, text []byte, at leak.Location) {
	if allow := l.search.options.Allow; allow != nil && allow(d.path, text[m.Start:m.End], lineAround(text, m)) {
		l.search.coverage.allowed.Add(1)
		return
	}
	take := d.of.Take
	if take == nil {
		take = l.search.Take
	}
	f := l.search.options.Hasher.Finding(m, text)
	if slices.Contains(l.search.options.Values, f.Rule) {
		l.search.options.Value(f, text[m.Start:m.End])
	}
	take(f, at)
}

// maxDecodings is how many encodings within each other are decoded.
const maxDecodings = 4

// decoded scans what was decoded at a place.
func (l *Lane) decoded(d document, s decode.Stretch, at leak.Location, depth int) {
	if format := unpack.Of(s.Data[:min(len(s.Data), unpack.HeadSize)]); format != nil && s.How == "base64" && d.depth < maxDecodings {
		inner := d
		inner.path, inner.depth, inner.line = d.path+"!"+s.How, d.depth+1, 0
		if err := l.document(inner, bytes.NewReader(s.Data)); errors.Is(err, unpack.ErrLimit) {
			l.report(inner, err) // what else is wrong with it says that it only looked like a container
		}
		return
	}
	worker, part := l.worker(depth), leak.Part{Text: s.Data, To: len(s.Data), Path: d.path + "!" + s.How} // what was encoded is not in the file's language
	matches := slices.Clone(worker.Scan(part))
	if depth < maxDecodings {
		matches = l.encoded(part, matches, worker.Kubernetes(), func(inner decode.Stretch) {
			deeper := at
			deeper.Via += ", " + inner.How
			l.decoded(d, inner, deeper, depth+1)
		})
	}
	for _, m := range matches {
		place := at
		if s.Lines && at.Line > 0 {
			place.Line, place.Column = at.Line+bytes.Count(s.Data[:m.Start], []byte("\n")), 0
		}
		if !s.Lines || !l.allowed(s.Data, m) {
			l.add(d, m, s.Data, place)
		}
	}
}

// A placer answers the lines of offsets, which it is fastest at in their order.
type placer struct {
	text    []byte
	line    int // that counted is in; 0 where lines mean nothing
	counted int
}

// at answers line and column of an offset.
func (p *placer) at(offset int) (line, column int) {
	if p.line == 0 {
		return 0, 0
	}
	if offset >= p.counted {
		p.line += bytes.Count(p.text[p.counted:offset], []byte("\n"))
	} else {
		p.line -= bytes.Count(p.text[offset:p.counted], []byte("\n"))
	}
	p.counted = offset
	return p.line, offset - bytes.LastIndexByte(p.text[:offset], '\n')
}

// Comments that allow what stands in their line.
var allowances = [][]byte{[]byte("keyward:allow"), []byte("gitleaks:allow")}

func (l *Lane) allowed(text []byte, m leak.Match) bool {
	if !l.search.options.InlineAllow {
		return false
	}
	line := lineAround(text, m)
	for _, a := range allowances {
		if bytes.Contains(line, a) {
			l.search.coverage.allowed.Add(1)
			return true
		}
	}
	return false
}

// lineAround answers the line of a match, or the part of a long one that is around it: a line
// of a minified file is no place for a comment.
func lineAround(text []byte, m leak.Match) []byte {
	const most = 4096
	begin := bytes.LastIndexByte(text[:m.Start], '\n') + 1
	end := len(text)
	if i := bytes.IndexByte(text[m.End:], '\n'); i >= 0 {
		end = m.End + i
	}
	return text[max(begin, m.Start-most):min(end, m.End+most)]
}
