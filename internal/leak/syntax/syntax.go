// Package syntax finds what is assigned to a name, in text of any language: programs,
// configuration, markup, tables, logs, shell, documents in Chinese.
//
// It does not parse a language, because what is scanned is often a fragment, or one
// language within another. It looks at what stands between a name and a value, which is
// one of few things: a sign, a closing quote, a bracket, a tag's end, the cell border of a
// table, a type, a call. What is not sure to be an assignment is one that somebody else
// judges; the opposite mistake would lose a secret.
//
// Everything is a pure function that looks at most a few kilobytes to either side.
package syntax

import (
	"bytes"
	"slices"
)

// A Span is a stretch of a text.
type Span struct{ Start, End int }

// In answers the text of the span.
func (s Span) In(text []byte) []byte { return text[s.Start:s.End] }

// An Assignment is a name and its value.
type Assignment struct {
	Name, Value Span
	Quoted      bool // the value is a literal of a program, or stands in a tag or a cell
	Prose       bool // nothing but space or a comma stands between, as between words of a sentence
}

const (
	maxName  = 100
	maxGap   = 48 // between a name and its value
	maxValue = 2048
)

// At answers the assignment to the name in which text[start:end] stands.
func At(text []byte, start, end int) (Assignment, bool) {
	name := Name(text, start, end)
	if name.End-name.Start > maxName {
		return Assignment{}, false
	}
	p := parser{text: text, at: name.End}
	if !p.separator(name) {
		return Assignment{}, false
	}
	value, ok := p.value(name)
	if !ok || value.Start == value.End || p.argument && !p.quoted {
		return Assignment{}, false
	}
	return Assignment{Name: name, Value: value, Quoted: p.quoted, Prose: p.word}, true
}

// Name answers the whole name in which text[start:end] stands.
func Name(text []byte, start, end int) Span {
	for start > 0 && end-start <= maxName && (isName(text[start-1]) || text[start-1] == '.' && start > 1 && isName(text[start-2])) {
		start--
	}
	if start > 0 && text[start-1] == '\\' && end-start > 1 && bytes.IndexByte([]byte("nrt"), text[start]) >= 0 {
		start++ // the escape of a line break is no letter of the name
	}
	for end < len(text) && end-start <= maxName && (isName(text[end]) || text[end] == '.' && end+1 < len(text) && isName(text[end+1])) {
		end++
	}
	return Span{start, end}
}

func isName(c byte) bool { return nameBytes[c] }

// A parser goes from the end of a name to the end of its value.
type parser struct {
	text   []byte
	at     int
	quoted bool
	spring bool // within ${NAME:default}
	word   bool // nothing but space or a comma stands between name and value
	// argument says that the value is an argument beside the name: if it has no quotes, it is an expression.
	argument bool
}

func (p *parser) skip(set *[256]bool) bool {
	from := p.at
	for p.at < len(p.text) && set[p.text[p.at]] {
		p.at++
	}
	return p.at > from
}

func (p *parser) take(s string) bool {
	if p.at+len(s) <= len(p.text) && string(p.text[p.at:p.at+len(s)]) == s {
		p.at += len(s)
		return true
	}
	return false
}

func (p *parser) takeOne(words []string) bool {
	for _, w := range words {
		if p.take(w) {
			return true
		}
	}
	return false
}

func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

// separator moves behind what stands between a name and its value.
func (p *parser) separator(name Span) bool {
	if !behind[p.peek()] && !p.isValue(name) {
		return false
	}
	before := byte(0)
	if name.Start > 0 {
		before = p.text[name.Start-1]
	}
	p.spring = before == '{' && name.Start > 1 && p.text[name.Start-2] == '$'
	closed := p.closeQuote()
	p.skip(&emphasis)
	blank := p.skip(&blanks)
	if (closed || p.isValue(name)) && p.attribute(blank) || p.closingTag() {
		return true
	}
	p.skip(&closing)
	p.skip(&blanks)
	if p.typed() {
		return true
	}
	switch {
	case signFirst[p.peek()] && p.takeOne(signs):
	case p.peek() == '|' && p.cell(name) && p.take("|"):
	case p.take(":"):
		if p.peek() == ':' {
			return false
		}
	case p.take("("), closed && p.take(","):
		p.argument = true
	case p.take(">"):
		p.quoted = before == '<' || closed
	case p.take("or "):
	case before == '|' && p.take(","):
	case p.take(",") && !closed:
		p.word = true // a cell of a CSV file, perhaps
	case blank && !closed:
		p.word = true
	case closed && p.take("{"):
		return p.block()
	default:
		return false
	}
	p.gap()
	return true
}

// closeQuote moves behind the quote that ends a quoted name.
func (p *parser) closeQuote() bool {
	return quoteFirst[p.peek()] && p.takeOne(closingQuotes)
}

// cell tells whether the name is all that stands in its cell of a table.
func (p *parser) cell(name Span) bool {
	before := bytes.TrimRight(p.text[max(0, name.Start-maxGap):name.Start], " \t*`\"")
	return len(before) == 0 || before[len(before)-1] == '|' || before[len(before)-1] == '\n'
}

// isValue tells whether the name itself is what a key such as "name: " has.
func (p *parser) isValue(name Span) bool {
	before := p.text[max(0, name.Start-8):name.Start]
	return bytes.HasSuffix(before, []byte("name: ")) || bytes.HasSuffix(before, []byte("key: "))
}

// closingTag moves behind the end of the name's element and the beginning of the one beside
// it, as in <key>secret</key><string>…</string>.
func (p *parser) closingTag() bool {
	from := p.at
	if p.take("</") {
		window := p.text[p.at:min(len(p.text), p.at+maxGap)]
		if end := bytes.IndexByte(window, '>'); end > 0 {
			p.at += end + 1
			p.skip(&spaces)
			if next := bytes.IndexByte(p.text[p.at:min(len(p.text), p.at+maxGap)], '>'); p.peek() == '<' && next > 0 && p.text[p.at+1] != '/' {
				p.at += next + 1
				p.quoted = true
				return true
			}
		}
	}
	p.at = from
	return false
}

// attribute moves behind value=", where the name is the value of an attribute or a member
// before it: name="secret" value="…", "name": "secret", "value": "…", and the same in YAML.
func (p *parser) attribute(blank bool) bool {
	from := p.at
	comma := p.take(",")
	p.skip(&continued)
	if !blank && !comma && p.at == from {
		return false
	}
	p.takeOne(plainQuotes)
	p.take("android:")
	if p.takeOne(valueNames) {
		p.takeOne(plainQuotes)
		p.skip(&blanks)
		if p.take("=") || p.take(":") {
			p.gap()
			return true
		}
	}
	p.at = from
	return false
}

// typed moves behind a type and the sign of assignment after it: "secret: String = ".
func (p *parser) typed() bool {
	from := p.at
	if p.take(":") {
		p.skip(&blanks)
	}
	word := p.at
	for p.at < len(p.text) && p.at-word < 40 && typeBytes[p.text[p.at]] {
		p.at++
	}
	if p.at > word {
		p.skip(&blanks)
		if p.peek() == '=' && p.at+1 < len(p.text) && p.text[p.at+1] != '=' {
			p.at++
			p.gap()
			return true
		}
	}
	p.at = from
	return false
}

// block moves behind the default of a block that is named so, as variables of HCL have.
func (p *parser) block() bool {
	window := p.text[p.at:min(len(p.text), p.at+400)]
	if end := bytes.IndexByte(window, '}'); end >= 0 {
		window = window[:end]
	}
	i := bytes.Index(window, []byte("default"))
	if i < 0 {
		return false
	}
	p.at += i + len("default")
	p.skip(&blanks)
	if !p.take("=") {
		return false
	}
	p.gap()
	return true
}

// gap moves over what may stand directly before a value: space, the value's tag, a call
// that wraps it, the mark of a literal.
func (p *parser) gap() {
	limit := p.at + maxGap
	p.skip(&pointed)
	p.blockScalar()
	if p.peek() == '\r' || p.peek() == '\n' { // the value may stand in the next line, further in
		from := p.at
		if p.skip(&breaks); !p.skip(&blanks) || p.at > limit {
			p.at = from
			return
		}
	}
	if wrapFirst[p.peek()] {
		p.takeOne(wraps)
	}
	if p.peek() == '<' { // a tag between, as in <key>…</key><string>…</string>
		if end := bytes.IndexByte(p.text[p.at:min(len(p.text), limit)], '>'); end > 0 {
			p.at += end + 1
			p.skip(&spaces)
			if p.peek() == '<' {
				if end := bytes.IndexByte(p.text[p.at:min(len(p.text), p.at+maxGap)], '>'); end > 0 {
					p.at += end + 1
				}
			}
			p.quoted = true
		}
	}
	p.call()
	if c := p.peek(); (c == '@' || c|0x20 == 'b' || c|0x20 == 'r' || c|0x20 == 'u' || c|0x20 == 'f' || c == 'L' || c == 'N') && p.at+1 < len(p.text) && (p.text[p.at+1] == '"' || p.text[p.at+1] == '\'' || p.text[p.at+1] == '\\') {
		p.at++
	}
}

// blockScalar moves behind what YAML writes before a value that begins in the next line: "|", ">-".
func (p *parser) blockScalar() {
	from := p.at
	if p.take("|") || p.take(">") {
		_ = p.take("-") || p.take("+")
		if p.peek() != '\r' && p.peek() != '\n' {
			p.at = from
		}
	}
}

// call moves behind a call whose first argument is the literal: SecretStr(" or []byte(".
func (p *parser) call() {
	i := p.at
	for i < len(p.text) && i-p.at < 40 && callBytes[p.text[i]] {
		i++
	}
	if i > p.at && i+1 < len(p.text) && p.text[i] == '(' && (p.text[i+1] == '"' || p.text[i+1] == '\'') {
		p.at = i + 1
	}
}

// quotes are what opens a literal, and closes it.
var quotes = []string{`\\\"`, `\"`, `\'`, `"""`, `'''`, `"`, `'`, "`", "&quot;", "&#34;", "%22", "“"}

// value answers the value that begins here.
func (p *parser) value(name Span) (Span, bool) {
	quote := p.openingQuote()
	if p.fallback(); p.spring {
		return p.inBraces()
	}
	if quote != "" {
		return p.literal(quote)
	}
	end := p.at
	for end < len(p.text) && end-p.at < maxValue && !bare[p.text[end]] {
		end++
	}
	if whole := p.line(name); whole > end { // all of a line of configuration
		end = whole
	}
	return Span{p.at, end}, end > p.at && end-p.at < maxValue
}

// openingQuote moves behind the quote that opens a literal and answers the one that closes
// it; "" if there is none.
func (p *parser) openingQuote() string {
	if !quoteFirst[p.peek()] {
		return ""
	}
	open := ""
	for range 2 { // one within another, as in "\"value\""
		i := slices.IndexFunc(quotes, func(q string) bool { return q != open && bytes.HasPrefix(p.text[p.at:], []byte(q)) })
		if i < 0 {
			break
		}
		open = quotes[i]
		p.at += len(open)
		p.quoted = true
	}
	if open == "“" {
		return "”"
	}
	return open
}

// fallback moves behind the ${NAME: of ${NAME:value} and ${NAME:-value}: what is used where
// nothing else is set is a value of the name before it as well. One may be within another.
func (p *parser) fallback() {
	for p.peek() == '$' {
		from := p.at
		if !p.take("${") {
			return
		}
		for p.at < len(p.text) && p.at-from < maxName && (isName(p.text[p.at]) || p.text[p.at] == '.') {
			p.at++
		}
		if !p.take(":") {
			p.at = from
			return
		}
		p.spring = true
		_ = p.take("-") || p.take("=")
	}
}

// inBraces answers what stands before the brace that closes ${NAME:value}. Behind a "?" is
// what a shell complains with, and behind a "+" what it takes in place of the value.
func (p *parser) inBraces() (Span, bool) {
	window := p.text[p.at:min(len(p.text), p.at+maxValue)]
	end := bytes.IndexAny(window, "}\r\n")
	p.quoted = true
	return Span{p.at, p.at + max(end, 0)}, end > 0 && window[end] == '}' && window[0] != '?' && window[0] != '+'
}

// literal answers what stands before the closing quote, in the same line.
func (p *parser) literal(quote string) (Span, bool) {
	start := p.at
	window := p.text[start:min(len(p.text), start+maxValue)]
	for i := 0; i < len(window); i++ {
		switch c := window[i]; {
		case c == quote[0] && bytes.HasPrefix(window[i:], []byte(quote)):
			return Span{start, start + i}, true
		case c == '\n' || c == '\r':
			return Span{}, false
		case c == '\\':
			i++
		}
	}
	return Span{}, false
}

// What stands between names and values; of those that begin alike the longest first. Two
// signs are in GBK, which may be all that is not ASCII around a name.
var (
	signs         = []string{"::=", ":::=", ":=", "=>", "->", "?=", "+=", "||=", "??", "||", ":-", "：", "＝", "\xa3\xba", "\xa3\xbd", "==", "=", "是", "为"}
	closingQuotes = []string{`\"`, `\'`, `\\\"`, `"`, `'`, "`", "&quot;", "&#34;", "%22"}
	plainQuotes   = []string{`\"`, `"`, `'`}
	valueNames    = []string{"value", "Value", "VALUE", "default", "content"}
	wraps         = []string{">", "|- ", "!!str ", "Basic ", "Bearer ", "bearer ", "<![CDATA["}
)

var (
	blanks    = bytesOf(" \t")
	breaks    = bytesOf("\r\n")
	spaces    = bytesOf(" \t\r\n")
	continued = bytesOf(" \t\r\n\\")
	pointed   = bytesOf(" \t*")
	emphasis  = bytesOf("*_`")
	closing   = bytesOf("])")
)

// bytesOf answers the set of a text's bytes.
func bytesOf(text string) (s [256]bool) {
	for _, c := range []byte(text) {
		s[c] = true
	}
	return s
}

var (
	// bare are the bytes that end a value without quotes.
	bare      = bytesOf(" \t\r\n\x00\"'`<>|,;&)]}\\")
	nameBytes = bytesOf("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
	typeBytes = bytesOf("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-[]<>.*?&")
	callBytes = bytesOf("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-. []")
	// behind are the bytes with which something begins that stands between name and value.
	behind = bytesOf("\\\"'`&%“*_ \t<]).[?>:=-+|：＝是为\xa3(,{")
	// With what begins what is looked for: most names have nothing of it behind them, and
	// that is known after one byte.
	quoteFirst = bytesOf("\\\"'`&%“")
	signFirst  = bytesOf(":=-?+|：＝是为\xa3")
	wrapFirst  = bytesOf(">|!Bb<")
)

// line answers the end of the line if the name begins it, after an indent or "export", and
// the value is one word: configuration, where passwords may have any sign.
func (p *parser) line(name Span) int {
	begin := name.Start
	for begin > 0 && (p.text[begin-1] == ' ' || p.text[begin-1] == '\t') {
		begin--
	}
	if begin > 0 && p.text[begin-1] != '\n' || p.word || p.quoted || name.End >= len(p.text) {
		return 0
	}
	switch sign := p.text[name.End]; {
	case sign == '=', sign == ':' && name.End+1 < len(p.text) && p.text[name.End+1] == ' ':
	case sign == ' ' && name.End+1 < len(p.text) && p.text[name.End+1] == '=':
	default:
		return 0
	}
	window := p.text[p.at:min(len(p.text), p.at+256)]
	end := bytes.IndexAny(window, "\r\n")
	if end < 0 {
		end = len(window)
	}
	for end > 0 && (window[end-1] == ' ' || window[end-1] == '\t') {
		end--
	}
	if end == 0 || bytes.ContainsAny(window[:end], " \t\"'`<>|()") || window[end-1] == ';' || window[end-1] == ',' {
		return 0
	}
	return p.at + end
}
