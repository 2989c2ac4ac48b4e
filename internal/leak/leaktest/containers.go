package leaktest

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
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
	// Pack answers the container with a kind in it.
	Pack func(k Kind) []byte
	// Pool says that names are lost, so that only forms and pairs can be found.
	Pool bool
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
func env(k Kind) []byte { return []byte(pair("%s=%s\n")(k)) }

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

func one(name string, pack func(map[string][]byte) []byte) func(Kind) []byte {
	return func(k Kind) []byte { return pack(map[string][]byte{name: env(k)}) }
}

// text writes a kind's settings in another form.
func text(write func(s string) string) func(Kind) []byte {
	return func(k Kind) []byte { return []byte(write(string(env(k)))) }
}

// Containers answers all containers and encodings.
func Containers() []Container {
	return slices.Concat(archives(), documents(), programs(), apps(), encodings())
}

func archives() []Container {
	return []Container{
		{Name: "zip", File: "a.zip", Pack: one("conf/.env", Zip)},
		{Name: "zip without its name", File: "data.bin", Pack: one("conf/.env", Zip)},
		{Name: "tar.gz", File: "a.tgz", Pack: func(k Kind) []byte { return Gzip(one("srv/app.env", Tar)(k)) }},
		{Name: "jar in war", File: "shop.war", Pack: func(k Kind) []byte {
			return Zip(map[string][]byte{"WEB-INF/lib/a.jar": one("application.properties", Zip)(k)})
		}},
		{Name: "zstd", File: "a.zst", Pack: func(k Kind) []byte { return Zstd(env(k)) }},
		{Name: "xz", File: "a.xz", Pack: func(k Kind) []byte { return XZ(env(k)) }},
		{Name: "image layer", File: "image.tar", Pack: func(k Kind) []byte {
			return Tar(map[string][]byte{"manifest.json": []byte("[]"), "blobs/sha256/0a": Gzip(one("app/.env", Tar)(k))})
		}},
		{Name: "image config", File: "image.tar", Pack: func(k Kind) []byte {
			config, err := json.Marshal(map[string]any{"config": map[string]any{"Env": strings.Split(strings.TrimSpace(string(env(k))), "\n")}})
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
		{Name: "odt", File: "a.odt", Pack: func(k Kind) []byte {
			var b strings.Builder
			for _, line := range strings.Split(string(env(k)), "\n") {
				fmt.Fprintf(&b, "<text:p text:style-name=\"P1\">%s</text:p>", html.EscapeString(line))
			}
			return Zip(map[string][]byte{"mimetype": []byte("application/vnd.oasis.opendocument.text"), "content.xml": []byte(b.String())})
		}},
		{Name: "pdf", File: "a.pdf", Pack: func(k Kind) []byte { return pdf(k, false) }},
		{Name: "pdf with its own codes", File: "a.pdf", Pack: func(k Kind) []byte { return pdf(k, true) }},
		{Name: "notebook output", File: "a.ipynb", Pack: func(k Kind) []byte {
			b, err := json.Marshal(map[string]any{"cells": []any{map[string]any{"cell_type": "code", "source": []string{"print(config)"}, "outputs": []any{map[string]any{"text": strings.SplitAfter(string(env(k)), "\n")}}}}})
			must(err)
			return b
		}},
		{Name: "mail", File: "a.eml", Pack: text(func(s string) string {
			encoded := base64.StdEncoding.EncodeToString([]byte("Hello,\r\n\r\nhere are the settings of the production system, please keep them safe:\r\n\r\n" + s))
			var b strings.Builder
			for len(encoded) > 76 {
				b.WriteString(encoded[:76] + "\r\n")
				encoded = encoded[76:]
			}
			return "Subject: settings\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b.String() + encoded + "\r\n"
		})},
	}
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
		{Name: "packets", File: "a.pcap", Pack: func(k Kind) []byte { return pcap(env(k)) }},
		{Name: "packets, newer form", File: "a.pcapng", Pack: func(k Kind) []byte { return pcapng(env(k)) }},
		{Name: "program", File: "app", Pack: func(k Kind) []byte {
			return append([]byte("\x7fELF\x02\x01\x01\x00\x00\x00"), bytes.ReplaceAll(env(k), []byte("\n"), []byte("\x00"))...)
		}},
	}
}

func encodings() []Container {
	return []Container{
		{Name: "GBK", File: "账号.txt", Pack: func(k Kind) []byte {
			b, err := simplifiedchinese.GBK.NewEncoder().Bytes([]byte("生产环境的密钥，请勿外传。\n" + pair("%s：%s\n")(k)))
			must(err)
			return b
		}},
		{Name: "utf-16", File: "a.reg", Pack: text(func(s string) string {
			b := []byte{0xff, 0xfe}
			for _, u := range utf16.Encode([]rune(s)) {
				b = binary.LittleEndian.AppendUint16(b, u)
			}
			return string(b)
		})},
		{Name: "utf-16 in a program", File: "a.dll", Pack: text(func(s string) string {
			b := []byte("MZ\x90\x00\x03\x00\x00\x00\x04")
			for _, u := range utf16.Encode([]rune(strings.ReplaceAll(s, "\n", " ; "))) {
				b = binary.LittleEndian.AppendUint16(b, u)
			}
			return string(append(b, 0, 0, 0, 7))
		})},
		{Name: "base64", File: "secret.yaml", Pack: text(func(s string) string {
			return "data:\n  .env: " + base64.StdEncoding.EncodeToString([]byte(s)) + "\n"
		})},
		{Name: "base64 twice", File: "a.txt", Pack: text(func(s string) string {
			return base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(s))))
		})},
		{Name: "base64 of gzip", File: "release.yaml", Pack: text(func(s string) string {
			return "release: " + base64.StdEncoding.EncodeToString(Gzip([]byte(s)))
		})},
		{Name: "hexadecimal", File: "dump.txt", Pack: text(func(s string) string { return "payload " + hex.EncodeToString([]byte(s)) })},
		{Name: "percent", File: "access.log", Pack: text(func(s string) string { return "POST /?body=" + url.QueryEscape(s) + " HTTP/1.1" })},
		{Name: "unicode escapes", File: "a.js", Pack: text(func(s string) string {
			var b strings.Builder
			for _, c := range s {
				fmt.Fprintf(&b, `\u%04x`, c)
			}
			return `eval("` + b.String() + `")`
		})},
		{Name: "quoted-printable", File: "b.eml", Pack: text(func(s string) string {
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

// pdf answers a page of text in a compressed stream, with the codes of a font of its own.
func pdf(k Kind, coded bool) []byte {
	var content, table strings.Builder
	content.WriteString("BT /F1 12 Tf 72 720 Td\n")
	for _, line := range strings.Split(strings.TrimSpace(string(env(k))), "\n") {
		if coded {
			var codes strings.Builder
			for _, c := range []byte(line) {
				fmt.Fprintf(&codes, "%04x", int(c)+3)
			}
			fmt.Fprintf(&content, "<%s> Tj 0 -14 Td\n", codes.String())
			continue
		}
		escaped := strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`).Replace(line)
		fmt.Fprintf(&content, "[(%s) -20 (%s)] TJ 0 -14 Td\n", escaped[:4], escaped[4:])
	}
	content.WriteString("ET\n")
	table.WriteString("begincmap\n1 beginbfrange\n<0023> <0081> <0020>\nendbfrange\nendcmap\n")
	var out bytes.Buffer
	out.WriteString("%PDF-1.7\n")
	for i, s := range []string{content.String(), table.String()} {
		data := compressed([]byte(s), func(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriter(w), nil })
		fmt.Fprintf(&out, "%d 0 obj\n<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream\nendobj\n", i+4, len(data), data)
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
