package leaktest

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/ascii85"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/url"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// A Container is something that files are packed into or written as.
type Container struct {
	Name, File string
	// Hold answers the container with a file of text in it; nil if it has values and no text.
	Hold func(name, text string) []byte
	// Pack answers the container with a kind in it; nil if it holds text, see [Container.With].
	Pack func(k Kind) []byte
	// Pool says that names are lost, so that only forms and pairs can be found.
	Pool bool
}

// With answers the container with a kind in it, as settings where it holds text.
func (c Container) With(k Kind) []byte {
	if c.Pack != nil {
		return c.Pack(k)
	}
	return c.Hold(".env", env(k))
}

// must answers what a writer into memory made: it cannot fail.
func must(errs ...error) {
	for _, err := range errs {
		if err != nil {
			panic(err)
		}
	}
}

// env answers a kind as a file of settings.
func env(k Kind) string { return pair("%s=%s\n")(k) }

// Zip answers a zip file with these members.
func Zip(members map[string][]byte) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range sortedNames(members) {
		f, err := w.Create(name)
		must(err)
		_, err = f.Write(members[name])
		must(err)
	}
	must(w.Close())
	return b.Bytes()
}

func sortedNames(members map[string][]byte) (names []string) {
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Stored answers a zip file whose members are not compressed.
func Stored(members map[string][]byte) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range sortedNames(members) {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name})
		must(err)
		_, err = f.Write(members[name])
		must(err)
	}
	must(w.Close())
	return b.Bytes()
}

// Tar answers a tar archive with these members.
func Tar(members map[string][]byte) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range sortedNames(members) {
		must(w.WriteHeader(&tar.Header{Name: name, Size: int64(len(members[name])), Mode: 0o644}))
		_, err := w.Write(members[name])
		must(err)
	}
	must(w.Close())
	return b.Bytes()
}

// compressed answers content as a writer compresses it.
func compressed(content []byte, open func(io.Writer) (io.WriteCloser, error)) []byte {
	var b bytes.Buffer
	w, err := open(&b)
	must(err)
	_, err = w.Write(content)
	must(err, w.Close())
	return b.Bytes()
}

// Gzip answers content compressed.
func Gzip(content []byte) []byte {
	return compressed(content, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })
}

// Zstd answers content compressed.
func Zstd(content []byte) []byte {
	return compressed(content, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) })
}

// XZ answers content compressed.
func XZ(content []byte) []byte {
	return compressed(content, func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) })
}

// archive holds a file in a directory of an archive.
func archive(dir string, pack func(map[string][]byte) []byte) func(name, text string) []byte {
	return func(name, text string) []byte { return pack(map[string][]byte{dir + name: []byte(text)}) }
}

// stream holds a file that is compressed.
func stream(pack func([]byte) []byte) func(name, text string) []byte {
	return func(_, text string) []byte { return pack([]byte(text)) }
}

// text holds a text in another form.
func text(write func(s string) string) func(name, text string) []byte {
	return func(_, s string) []byte { return []byte(write(s)) }
}

// Containers answers all containers and encodings.
func Containers() []Container {
	return slices.Concat(archives(), documents(), programs(), apps(), encodings())
}

func archives() []Container {
	layer := func(name, text string) []byte { return Gzip(archive("app/", Tar)(name, text)) }
	return []Container{
		{Name: "zip", File: "a.zip", Hold: archive("conf/", Zip)},
		{Name: "zip without its name", File: "data.bin", Hold: archive("conf/", Zip)},
		{Name: "stored zip", File: "a.nupkg", Hold: archive("content/", Stored)},
		{Name: "wheel", File: "shop-1.0-py3-none-any.whl", Hold: archive("shop/", Zip)},
		{Name: "jar", File: "a.jar", Hold: archive("BOOT-INF/classes/", Zip)},
		{Name: "jar in war", File: "shop.war", Hold: func(name, text string) []byte {
			return Zip(map[string][]byte{"WEB-INF/lib/a.jar": archive("", Zip)(name, text)})
		}},
		{Name: "tar", File: "backup.tar", Hold: archive("srv/", Tar)},
		{Name: "tar.gz", File: "a.tgz", Hold: func(name, text string) []byte { return Gzip(archive("srv/", Tar)(name, text)) }},
		{Name: "tar.bz2", File: "a.tar.bz2", Hold: func(name, text string) []byte { return Bzip2(archive("srv/", Tar)(name, text)) }},
		{Name: "gzip", File: "app.log.1.gz", Hold: stream(Gzip)},
		{Name: "bzip2", File: "a.bz2", Hold: stream(Bzip2)},
		{Name: "zstd", File: "a.zst", Hold: stream(Zstd)},
		{Name: "xz", File: "a.xz", Hold: stream(XZ)},
		{Name: "image layer", File: "image.tar", Hold: func(name, text string) []byte {
			return Tar(map[string][]byte{"manifest.json": []byte("[]"), "blobs/sha256/0a": layer(name, text)})
		}},
		{Name: "image config", File: "image.tar", Pack: func(k Kind) []byte {
			config, err := json.Marshal(map[string]any{"config": map[string]any{"Env": strings.Split(strings.TrimSpace(env(k)), "\n")}})
			must(err)
			return Tar(map[string][]byte{"blobs/sha256/0b": config})
		}},
	}
}

func documents() []Container {
	return []Container{
		{Name: "docx", File: "接口说明.docx", Pack: docx},
		{Name: "xlsx", File: "keys.xlsx", Pack: func(k Kind) []byte {
			var strs, rows strings.Builder
			for i, cell := range []string{k.IDName, k.ID, k.Name, k.Carry()} {
				fmt.Fprintf(&strs, "<si><t>%s</t></si>", html.EscapeString(cell))
				if i%2 == 0 && cell != "" {
					fmt.Fprintf(&rows, `<row r="%d"><c r="A1" t="s"><v>%d</v></c><c r="B1" t="s"><v>%d</v></c></row>`, i, i, i+1)
				}
			}
			return Zip(map[string][]byte{"[Content_Types].xml": []byte("<Types/>"), "xl/sharedStrings.xml": []byte("<sst>" + strs.String() + "</sst>"),
				"xl/worksheets/sheet1.xml": []byte("<worksheet><sheetData>" + rows.String() + "</sheetData></worksheet>")})
		}},
		{Name: "docx, its lines", File: "a.docx", Hold: func(_, text string) []byte {
			return Zip(map[string][]byte{"[Content_Types].xml": []byte("<Types/>"), "word/document.xml": paragraphs("w:p", "<w:r><w:t>%s</w:t></w:r><w:r><w:t xml:space=\"preserve\">%s</w:t></w:r>", text)})
		}},
		{Name: "docx, its comments", File: "a.docx", Hold: func(_, text string) []byte {
			return Zip(map[string][]byte{"[Content_Types].xml": []byte("<Types/>"), "word/comments.xml": paragraphs("w:p", "<w:r><w:t>%s%s</w:t></w:r>", text)})
		}},
		{Name: "odt", File: "a.odt", Hold: func(_, text string) []byte {
			b := paragraphs("text:p", "%s<text:span>%s</text:span>", text)
			return Zip(map[string][]byte{"mimetype": []byte("application/vnd.oasis.opendocument.text"), "content.xml": b})
		}},
		{Name: "pdf", File: "a.pdf", Hold: func(_, text string) []byte { return pdf(text, "") }},
		{Name: "pdf with its own codes", File: "a.pdf", Hold: func(_, text string) []byte { return pdf(text, "codes") }},
		{Name: "pdf that is not compressed", File: "a.pdf", Hold: func(_, text string) []byte { return pdf(text, "plain") }},
		{Name: "pdf in ASCII", File: "a.pdf", Hold: func(_, text string) []byte { return pdf(text, "ASCII85") }},
		{Name: "notebook", File: "a.ipynb", Hold: func(_, text string) []byte {
			return notebook(map[string]any{"cell_type": "code", "source": strings.SplitAfter(text, "\n")})
		}},
		{Name: "notebook output", File: "a.ipynb", Hold: func(_, text string) []byte {
			return notebook(map[string]any{"cell_type": "code", "source": []string{"print(config)"}, "outputs": []any{map[string]any{"text": strings.SplitAfter(text, "\n")}}})
		}},
		{Name: "attachment of a mail", File: "a.eml", Hold: func(name, text string) []byte {
			return []byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lines64(archive("conf/", Zip)(name, text)) + "\r\n--b--\r\n")
		}},
		{Name: "mail", File: "a.eml", Hold: text(func(s string) string {
			return "Subject: settings\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lines64([]byte("Hello,\r\n\r\nhere are the settings of the production system, please keep them safe:\r\n\r\n"+s)) + "\r\n"
		})},
	}
}

// paragraphs answers a line of text in each element, in two pieces.
func paragraphs(element, pieces, text string) []byte {
	var b strings.Builder
	for _, line := range strings.Split(text, "\n") {
		half := len(line) / 2
		for half > 0 && line[half] >= 0x80 {
			half--
		}
		fmt.Fprintf(&b, "<%[1]s a=\"1\">%[2]s</%[1]s>", element, fmt.Sprintf(pieces, html.EscapeString(line[:half]), html.EscapeString(line[half:])))
	}
	return []byte(b.String())
}

func notebook(cell map[string]any) []byte {
	var b bytes.Buffer
	w := json.NewEncoder(&b)
	w.SetEscapeHTML(false)
	w.SetIndent("", " ")
	must(w.Encode(map[string]any{"cells": []any{cell}}))
	return b.Bytes()
}

// lines64 answers content in base64 as mails have it.
func lines64(content []byte) string {
	var b strings.Builder
	for line := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(content)), 76) {
		b.Write(line)
		b.WriteString("\r\n")
	}
	return strings.TrimSuffix(b.String(), "\r\n")
}

func programs() []Container {
	return []Container{
		{Name: "dex", File: "classes.dex", Pack: dex, Pool: true},
		{Name: "apk", File: "app.apk", Pack: func(k Kind) []byte {
			return Zip(map[string][]byte{"AndroidManifest.xml": {3, 0, 8, 0}, "classes2.dex": dex(k)})
		}, Pool: true},
		{Name: "resources", File: "resources.arsc", Pack: resources},
		{Name: "wxapkg", File: "__APP__.wxapkg", Pack: wxapkg},
		{Name: "encrypted wxapkg", File: "__APP__.wxapkg", Pack: func(k Kind) []byte {
			plain := wxapkg(Kind{Rule: k.Rule, Name: k.Name, Secret: k.Secret, IDName: k.IDName, ID: k.ID})
			out := append([]byte("V1MMWX"), make([]byte, 1024)...)
			for _, c := range plain[1023:] {
				out = append(out, c^'7')
			}
			return out
		}},
		{Name: "packets", File: "a.pcap", Hold: stream(pcap)},
		{Name: "packets, newer form", File: "a.pcapng", Hold: stream(pcapng)},
		{Name: "program", File: "app", Hold: text(func(s string) string {
			return "\x7fELF\x02\x01\x01\x00\x00\x00.rodata\x00" + s + "\x00main.main\x00"
		})},
	}
}

func encodings() []Container {
	return []Container{
		{Name: "GBK", File: "账号.txt", Pack: func(k Kind) []byte {
			b, err := simplifiedchinese.GBK.NewEncoder().Bytes([]byte("生产环境的密钥，请勿外传。\n" + pair("%s：%s\n")(k)))
			must(err)
			return b
		}},
		{Name: "utf-16", File: "a.reg", Hold: text(func(s string) string {
			b := []byte{0xff, 0xfe}
			for _, u := range utf16.Encode([]rune(s)) {
				b = binary.LittleEndian.AppendUint16(b, u)
			}
			return string(b)
		})},
		{Name: "utf-16, the high byte first", File: "b.txt", Hold: text(func(s string) string {
			b := []byte{0xfe, 0xff}
			for _, u := range utf16.Encode([]rune(s)) {
				b = binary.BigEndian.AppendUint16(b, u)
			}
			return string(b)
		})},
		{Name: "utf-16 without its mark", File: "c.txt", Hold: text(func(s string) string {
			var b []byte
			for _, u := range utf16.Encode([]rune("Windows Registry Editor Version 5.00\r\n\r\n" + s)) {
				b = binary.LittleEndian.AppendUint16(b, u)
			}
			return string(b)
		})},
		{Name: "utf-16 in a program", File: "a.dll", Hold: text(func(s string) string {
			b := []byte("MZ\x90\x00\x03\x00\x00\x00\x04")
			for _, u := range utf16.Encode([]rune(s)) {
				b = binary.LittleEndian.AppendUint16(b, u)
			}
			return string(append(b, 0, 0, 0, 7))
		})},
		{Name: "base64", File: "secret.yaml", Hold: text(func(s string) string {
			return "data:\n  .env: " + base64.StdEncoding.EncodeToString([]byte(s)) + "\n"
		})},
		{Name: "base64 twice", File: "a.txt", Hold: text(func(s string) string {
			return base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(s))))
		})},
		{Name: "base64 of gzip", File: "release.yaml", Hold: text(func(s string) string {
			return "release: " + base64.StdEncoding.EncodeToString(Gzip([]byte(s)))
		})},
		{Name: "hexadecimal", File: "dump.txt", Hold: text(func(s string) string { return "payload " + hex.EncodeToString([]byte(s)) })},
		{Name: "percent", File: "access.log", Hold: text(func(s string) string { return "POST /?body=" + url.QueryEscape(s) + " HTTP/1.1" })},
		{Name: "unicode escapes", File: "a.js", Hold: text(func(s string) string {
			var b strings.Builder
			for _, c := range s {
				fmt.Fprintf(&b, `\u%04x`, c)
			}
			return `eval("` + b.String() + `")`
		})},
		{Name: "quoted-printable", File: "b.eml", Hold: text(func(s string) string {
			return "Content-Transfer-Encoding: quoted-printable\r\n\r\n" + strings.NewReplacer("=", "=3D", "\n", "\r\n").Replace(s)
		})},
	}
}

// docx answers a document whose words are split into runs, in a table.
func docx(k Kind) []byte {
	run := func(s string) string {
		half := len(s) / 2
		return fmt.Sprintf(`<w:p><w:r><w:t>%s</w:t></w:r><w:proofErr w:type="spellStart"/><w:r><w:t>%s</w:t></w:r></w:p>`, html.EscapeString(s[:half]), html.EscapeString(s[half:]))
	}
	row := func(name, value string) string {
		return "<w:tr><w:tc>" + run(name) + "</w:tc><w:tc>" + run(value) + "</w:tc></w:tr>"
	}
	body := row(k.Name, k.Carry())
	if k.ID != "" {
		body = row(k.IDName, k.ID) + body
	}
	return Zip(map[string][]byte{"[Content_Types].xml": []byte("<Types/>"), "word/document.xml": []byte("<w:document><w:body><w:tbl>" + body + "</w:tbl></w:body></w:document>")})
}

// pdf answers a page of text: in a compressed stream with the codes of a font of its own
// ("codes"), in one that is not compressed ("plain"), in one that is ASCII besides ("ASCII85").
func pdf(text, how string) []byte {
	var content, table strings.Builder
	content.WriteString("BT /F1 12 Tf 72 720 Td\n")
	table.WriteString("begincmap\n")
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if how == "codes" {
			var codes strings.Builder
			for _, c := range line {
				fmt.Fprintf(&codes, "%04x", c+3)
				fmt.Fprintf(&table, "1 beginbfchar\n<%04x> <%04x>\nendbfchar\n", c+3, c)
			}
			fmt.Fprintf(&content, "<%s> Tj 0 -14 Td\n", codes.String())
			continue
		}
		escaped := strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`).Replace(line)
		half := min(4, len(escaped))
		for half > 0 && escaped[half-1] == '\\' {
			half--
		}
		fmt.Fprintf(&content, "[(%s) -20 (%s)] TJ 0 -14 Td\n", escaped[:half], escaped[half:])
	}
	content.WriteString("ET\n")
	table.WriteString("endcmap\n")
	var out bytes.Buffer
	out.WriteString("%PDF-1.7\n")
	for i, s := range []string{content.String(), table.String()} {
		data, filter := compressed([]byte(s), func(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriter(w), nil }), "/Filter /FlateDecode "
		switch how {
		case "plain":
			data, filter = []byte(s), ""
		case "ASCII85":
			data, filter = append(compressed(data, func(w io.Writer) (io.WriteCloser, error) { return ascii85.NewEncoder(w), nil }), "~>"...), "/Filter [/ASCII85Decode /FlateDecode] "
		}
		fmt.Fprintf(&out, "%d 0 obj\n<< /Length %d %s>>\nstream\n%s\nendstream\nendobj\n", i+4, len(data), filter, data)
	}
	out.WriteString("%%EOF\n")
	return out.Bytes()
}

// dex answers a Dalvik executable with sorted strings.
func dex(k Kind) []byte {
	words := []string{"Landroid/app/Activity;", "onCreate", "setContentView", "getString", "https://api.keyward.test/v1/", "BuildConfig", "release", k.Carry()}
	if k.ID != "" {
		words = append(words, k.ID)
	}
	slices.Sort(words)
	head := make([]byte, 0x70)
	copy(head, "dex\n035\x00")
	binary.LittleEndian.PutUint32(head[0x38:], uint32(len(words)))
	binary.LittleEndian.PutUint32(head[0x3c:], 0x70)
	var table, data []byte
	for _, w := range words {
		table = binary.LittleEndian.AppendUint32(table, uint32(0x70+4*len(words)+len(data)))
		data = binary.AppendUvarint(data, uint64(len(w)))
		data = append(append(data, w...), 0)
	}
	return append(append(head, table...), data...)
}

// stringPool answers a pool in UTF-16, as older build tools write them.
func stringPool(words []string) []byte {
	var offsets, data []byte
	for _, w := range words {
		offsets = binary.LittleEndian.AppendUint32(offsets, uint32(len(data)))
		data = binary.LittleEndian.AppendUint16(data, uint16(len(w)))
		for _, c := range []byte(w) {
			data = binary.LittleEndian.AppendUint16(data, uint16(c))
		}
		data = append(data, 0, 0)
	}
	for len(data)%4 != 0 {
		data = append(data, 0)
	}
	head := binary.LittleEndian.AppendUint32(nil, 1|28<<16)
	for _, n := range []int{28 + len(offsets) + len(data), len(words), 0, 0, 28 + len(offsets), 0} {
		head = binary.LittleEndian.AppendUint32(head, uint32(n))
	}
	return slices.Concat(head, offsets, data)
}

// resources answers a resource table of Android with strings.
func resources(k Kind) []byte {
	names, values := []string{"app_name", strings.ToLower(strings.NewReplacer(".", "_", "/", "", ":", "").Replace(k.Name))}, []string{"Shop", k.Carry()}
	if k.ID != "" {
		names, values = append(names, k.IDName), append(values, k.ID)
	}
	var offsets, entries []byte
	for i := range names {
		offsets = binary.LittleEndian.AppendUint32(offsets, uint32(len(entries)))
		entries = binary.LittleEndian.AppendUint32(entries, 8)
		entries = binary.LittleEndian.AppendUint32(entries, uint32(i))
		entries = binary.LittleEndian.AppendUint32(entries, 8|3<<24)
		entries = binary.LittleEndian.AppendUint32(entries, uint32(i))
	}
	kind := binary.LittleEndian.AppendUint32(nil, 0x201|20<<16)
	for _, n := range []int{20 + len(offsets) + len(entries), 1, len(names), 20 + len(offsets)} {
		kind = binary.LittleEndian.AppendUint32(kind, uint32(n))
	}
	kind = slices.Concat(kind, offsets, entries)
	types, keys := stringPool([]string{"string"}), stringPool(names)
	pkg := make([]byte, 288)
	binary.LittleEndian.PutUint32(pkg, 0x200|288<<16)
	binary.LittleEndian.PutUint32(pkg[4:], uint32(288+len(types)+len(keys)+len(kind)))
	binary.LittleEndian.PutUint32(pkg[268:], 288)
	binary.LittleEndian.PutUint32(pkg[276:], uint32(288+len(types)))
	pkg = slices.Concat(pkg, types, keys, kind)
	pool := stringPool(values)
	head := binary.LittleEndian.AppendUint32(nil, 2|12<<16)
	head = binary.LittleEndian.AppendUint32(head, uint32(12+len(pool)+len(pkg)))
	head = binary.LittleEndian.AppendUint32(head, 1)
	return slices.Concat(head, pool, pkg)
}

// wxapkg answers a mini-program, with enough before the kind that its first kilobyte can
// be hidden.
func wxapkg(k Kind) []byte {
	files := [][2]string{{"/app-config.json", strings.Repeat(`{"pages":["pages/index/index"],"window":{"navigationBarTitleText":"Shop"}}`, 40)}, {"/app-service.js", "var e=require('config');" + program("module.exports={", "%s:%s,", "debug:!1};")(k)}}
	var index, body []byte
	index = binary.BigEndian.AppendUint32(index, uint32(len(files)))
	size := 4
	for _, f := range files {
		size += 12 + len(f[0])
	}
	for _, f := range files {
		index = binary.BigEndian.AppendUint32(index, uint32(len(f[0])))
		index = append(index, f[0]...)
		index = binary.BigEndian.AppendUint32(index, uint32(14+size+len(body)))
		index = binary.BigEndian.AppendUint32(index, uint32(len(f[1])))
		body = append(body, f[1]...)
	}
	head := append([]byte{0xbe}, make([]byte, 13)...)
	binary.BigEndian.PutUint32(head[5:], uint32(len(index)))
	binary.BigEndian.PutUint32(head[9:], uint32(len(body)))
	head[13] = 0xed
	return slices.Concat(head, index, body)
}
