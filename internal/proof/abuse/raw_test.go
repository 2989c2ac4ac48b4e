package abuse

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
)

// bomb is ten megabytes of nothing, compressed.
var bomb = func() string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(make([]byte, 10<<20)); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.String()
}()

// A spoiling breaks the bytes of a message. The HTTP server below the dialects may
// answer what results, or hang up.
type spoiling struct {
	name string
	do   func(*generator, string) string
}

var spoilings = []spoiling{
	{"a broken request line", func(g *generator, s string) string {
		line, rest, _ := strings.Cut(s, "\r\n")
		method, target, _ := strings.Cut(line, " ")
		target, _, _ = strings.Cut(target, " ")
		return pick(g, "GET\r\n", method+"\r\n", method+" \r\n", line+"x\r\n", method+" "+target+" HTTP/0.9\r\n", method+" "+target+" HTTP/3.0\r\n", method+" "+target+" http/1.1\r\n", method+"\t"+target+" HTTP/1.1\r\n",
			method+" /a b HTTP/1.1\r\n", method+" /%zz HTTP/1.1\r\n", method+" \x00 HTTP/1.1\r\n", method+" /\xff\x80 HTTP/1.1\r\n", "G\xc3\x89T / HTTP/1.1\r\n", "OPTIONS * HTTP/1.1\r\n", "CONNECT a.example:443 HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n",
			method+" http://[::1/ HTTP/1.1\r\n", method+" ftp://a/b HTTP/1.1\r\n", method+" //a.example/v1/keys HTTP/1.1\r\n", "(GET) / HTTP/1.1\r\n", " GET / HTTP/1.1\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", strings.Repeat("G", 9000)+" / HTTP/1.1\r\n", method+" /"+strings.Repeat("u", 90_000)+" HTTP/1.1\r\n") + rest
	}},
	{"broken headers", func(g *generator, s string) string {
		line, rest, _ := strings.Cut(s, "\r\n")
		return line + "\r\n" + pick(g, ": x\r\n", "a b: c\r\n", "a\x00: b\r\n", "a: b\x00\r\n", " folded: x\r\n", "Host: other.example\r\n", "Host:\r\nHost:\r\n", "a\r\n", "a:b\rc: d\r\n", "\xff: x\r\n", "Content-Length: -1\r\n", "Content-Length: 1\r\nContent-Length: 2\r\n", "Content-Length: 0x10\r\n", "Content-Length: 99999999999999999999\r\n", "Content-Length: +1\r\n",
			"Transfer-Encoding: gzip\r\n", "Transfer-Encoding: chunked, chunked\r\n", "Transfer-Encoding: identity\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding : chunked\r\n", "Transfer-Encoding:\x0bchunked\r\n", "Expect: 200-ok\r\n", "Connection: upgrade\r\nUpgrade: websocket\r\nX:\x01\r\n",
			strings.Repeat("x: y\r\n", 1)+"Big: "+strings.Repeat("b", 90_000)+"\r\n", strings.Repeat("n: v\r\n", 20_000)) + rest
	}},
	{"a broken chunked body", func(g *generator, s string) string {
		head, _, _ := strings.Cut(s, "\r\n\r\n")
		lines := strings.Split(head, "\r\n")
		kept := lines[:0]
		for _, l := range lines {
			if !strings.HasPrefix(l, "Content-Length") {
				kept = append(kept, l)
			}
		}
		return "POST" + strings.TrimLeft(strings.Join(kept, "\r\n"), "ABCDEFGHIJKLMNOPQRSTUVWXYZ") + "\r\nTransfer-Encoding: chunked\r\n\r\n" +
			pick(g, "zz\r\n", "-1\r\n", "fffffffffffffffff\r\nx", "5\r\nhelloworld\r\n0\r\n\r\n", "1;"+strings.Repeat("e", 9000)+"\r\na\r\n0\r\n\r\n", "5\nhello\n0\n\n", "0\r\nX-Trailer: "+strings.Repeat("t", 20_000)+"\r\n\r\n", "\r\n", "5\r\nhel", "0x5\r\nhello\r\n0\r\n\r\n")
	}},
	{"both lengths", func(g *generator, s string) string { // and a wrong signature: what it says of itself is read or not, but never twice
		head, _, _ := strings.Cut(s, "\r\n\r\n")
		head = strings.Replace(head, "Signature=", "Signature=0", 1)
		if !strings.Contains(head, "Signature=0") {
			head = strings.Replace(head, " /", " /none/", 1)
		}
		if !strings.Contains(head, "Content-Length") {
			head += "\r\nContent-Length: 5"
		}
		return head + "\r\nTransfer-Encoding: chunked\r\n\r\n" + pick(g, "0\r\n\r\n", "2\r\nab\r\n0\r\n\r\n", "0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
	}},
	{"cut off", func(g *generator, s string) string { return s[:g.IntN(len(s))] }},
	{"noise", func(g *generator, s string) string {
		b := []byte(s)
		head := max(bytes.Index(b, []byte("\r\n\r\n")), 1)
		// The version and the length of the line stay, so that it is not right by chance.
		for range 1 + g.IntN(20) {
			b[g.IntN(head)] = byte(g.Uint32())
		}
		return "X" + string(b)
	}},
	{"no HTTP at all", func(g *generator, _ string) string { return g.raw(1+g.IntN(2000)) + "\r\n\r\n" }},
}

// describe writes the beginning of a request so that it can be read and sent again.
func describe(s string) string {
	if len(s) > 1500 {
		return fmt.Sprintf("%.1500q… (%d bytes)", s, len(s))
	}
	return fmt.Sprintf("%q", s)
}
