package leaktest

import (
	"encoding/binary"
	"fmt"
	"html"
	"slices"
	"strings"
)

// apps answers what apps are delivered as, and the documents that they are presented with.
func apps() []Container {
	return []Container{
		{Name: "pptx", File: "发布会.pptx", Pack: func(k Kind) []byte {
			return Zip(map[string][]byte{"[Content_Types].xml": []byte("<Types/>"), "ppt/slides/slide1.xml": rows(k, "a:tr", "a:tc", "<a:txBody><a:p><a:r><a:t>%s</a:t></a:r><a:r><a:t>%s</a:t></a:r></a:p></a:txBody>")})
		}},
		{Name: "ods", File: "keys.ods", Pack: func(k Kind) []byte {
			return Zip(map[string][]byte{"mimetype": []byte("application/vnd.oasis.opendocument.spreadsheet"), "content.xml": rows(k, "table:table-row", "table:table-cell", "<text:p>%s<text:span>%s</text:span></text:p>")})
		}},
		{Name: "property list", File: "Info.plist", Pack: func(k Kind) []byte { return plist(k, false) }},
		{Name: "property list in UTF-16", File: "Info.plist", Pack: func(k Kind) []byte { return plist(k, true) }},
		{Name: "ipa", File: "Shop.ipa", Pack: func(k Kind) []byte {
			return Zip(map[string][]byte{"Payload/Shop.app/Info.plist": plist(k, false), "Payload/Shop.app/Shop": []byte("\xcf\xfa\xed\xfe\x0c\x00\x00\x01")})
		}},
		{Name: "binary XML", File: "AndroidManifest.xml", Pack: manifest},
		{Name: "aab", File: "app.aab", Pack: func(k Kind) []byte {
			return Zip(map[string][]byte{"BundleConfig.pb": {10, 0}, "base/dex/classes.dex": dex(k), "base/manifest/AndroidManifest.xml": {10, 0}})
		}, Pool: true},
		{Name: "xapk", File: "app.xapk", Pack: func(k Kind) []byte {
			return Zip(map[string][]byte{"manifest.json": []byte("{}"), "com.example.shop.apk": Zip(map[string][]byte{"AndroidManifest.xml": manifest(k)})})
		}},
		{Name: "hap", File: "entry.hap", Pack: func(k Kind) []byte {
			return Zip(map[string][]byte{"module.json": []byte(`{"app":{"bundleName":"com.example.shop"}}`), "resources/rawfile/config.json": []byte(program("{", "\"%s\":%s,", "\"debug\":false}")(k))})
		}},
	}
}

// rows answers a table of a document, each value in two pieces.
func rows(k Kind, row, cell, text string) []byte {
	var b strings.Builder
	write := func(values ...string) {
		fmt.Fprintf(&b, "<%s>", row)
		for _, v := range values {
			half := len(v) / 2
			fmt.Fprintf(&b, "<%s>"+text+"</%s>", cell, html.EscapeString(v[:half]), html.EscapeString(v[half:]), cell)
		}
		fmt.Fprintf(&b, "</%s>", row)
	}
	if k.ID != "" {
		write(k.IDName, k.ID)
	}
	write(k.Name, k.Carry())
	return []byte(b.String())
}

// plist answers a dictionary as a binary property list.
func plist(k Kind, wide bool) []byte {
	keys, values := []string{"CFBundleName", k.Name}, []string{"Shop", k.Carry()}
	if k.ID != "" {
		keys, values = append(keys, k.IDName), append(values, k.ID)
	}
	out := []byte("bplist00")
	var offsets []byte
	mark := func(kind byte, n int) {
		offsets = binary.BigEndian.AppendUint32(offsets, uint32(len(out)))
		if n < 15 {
			out = append(out, kind<<4|byte(n))
			return
		}
		out = binary.BigEndian.AppendUint16(append(out, kind<<4|15, 0x11), uint16(n))
	}
	for _, s := range slices.Concat(keys, values) {
		if !wide {
			mark(5, len(s))
			out = append(out, s...)
			continue
		}
		mark(6, len(s))
		for _, c := range []byte(s) {
			out = append(out, 0, c)
		}
	}
	mark(13, len(keys))
	for i := range 2 * len(keys) {
		out = append(out, byte(i))
	}
	table := len(out)
	out = append(append(out, offsets...), 0, 0, 0, 0, 0, 0, 4, 1)
	for _, n := range []int{2*len(keys) + 1, 2 * len(keys), table} {
		out = binary.BigEndian.AppendUint64(out, uint64(n))
	}
	return out
}

// manifest answers compiled XML with <meta-data android:name android:value>, as SDKs of others
// want their keys.
func manifest(k Kind) []byte {
	words := []string{"name", "value", "meta-data", k.Name, k.Carry()}
	pairs := [][2]int{{3, 4}}
	if k.ID != "" {
		words, pairs = append(words, k.IDName, k.ID), append(pairs, [2]int{5, 6})
	}
	u16, u32 := binary.LittleEndian.AppendUint16, binary.LittleEndian.AppendUint32
	var elements []byte
	for _, p := range pairs {
		e := u32(u32(u32(u32(nil, 0x102|16<<16), 36+2*20), 1), 0xffffffff)
		e = u32(u32(e, 0xffffffff), 2)
		for _, n := range []uint16{20, 20, 2, 0, 0, 0} {
			e = u16(e, n)
		}
		for i, v := range p {
			e = u32(u32(u32(e, 0xffffffff), uint32(i)), uint32(v))
			e = u32(append(u16(e, 8), 0, 3), uint32(v))
		}
		elements = append(elements, e...)
	}
	body := append(stringPool(words), elements...)
	return append(u32(u32(nil, 3|8<<16), uint32(8+len(body))), body...)
}
