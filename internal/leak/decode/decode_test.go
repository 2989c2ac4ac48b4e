package decode_test

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/leak/decode"
)

func find(text string) (out []string) {
	decode.Find([]byte(text), true, func(s decode.Stretch) { out = append(out, s.How+": "+string(s.Data)) })
	return out
}

func TestFind(t *testing.T) {
	const plain = "password: something else, longer than a line of a mail in base64 can be at all"
	encoded := base64.StdEncoding.EncodeToString([]byte(plain))
	for text, want := range map[string][]string{
		"a " + encoded + " b": {"base64: " + plain},
		"a " + strings.TrimRight(base64.URLEncoding.EncodeToString([]byte("???>>>~~~ and more text")), "=") + " b": {"base64: ???>>>~~~ and more text"},
		encoded[:76] + "\r\n" + encoded[76:] + "\r\n":                                                              {"base64: " + plain},
		"x 70617373776f72643a20736f6d657468696e67 y":                                                               {"hex: password: something"},
		"GET /?a=p%3Dq%26r":                        {"percent: /?a=p=q&r"},
		"GET /?a=p%20q":                            nil,
		`"\u0061\u0062\u0063\u0064"`:               {"escapes: abcd"},
		`"\x61\x62\x63\x64"`:                       {"escapes: abcd"},
		"\\x00\\x01\\x02\\x03":                     nil,
		"0123456789abcdef0123456789abcdef01234567": nil,
		"github.com/keyward/keyward/internal/leak/decode/decode_test":             nil,
		"Content-Transfer-Encoding: quoted-printable\r\n\r\nkey=3Dva=\r\nlue\r\n": {"quoted-printable: \r\n\r\nkey=value\r\n"},
		"data:\n  a: aHVudGVyMjI=\n  b: not base64\nkind: x":                      {"base64: :\n  a: hunter22\n  b: not base64\n"},
		"- data:\n    a: 'aHVudGVyMjI='\n\n    # c\n    b: eAp5Cnp6\n  c: d\n":    {"base64: :\n    a: 'hunter22'\n\n    # c\n    b: \"x\\ny\\nzz\"\n"},
		`{"data": {"a":"aHVudGVyMjI=", "b": "eAp5Cnp6"}}`:                         {`base64: ": {"a":"hunter22", "b": "x\ny\nzz"`},
		"data: aHVudGVyMjI=\nstringData:\n  a: aHVudGVyMjI=\n":                    nil,
	} {
		if diff := cmp.Diff(want, find(text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

// TestEveryPlace puts an encoded text at every place and between every pair of bytes that
// are no digits: none may be missed, whatever words of a machine it begins and ends in.
func TestEveryPlace(t *testing.T) {
	const plain = "user: it is me!!" // 22 digits of base64 and two of padding, 32 hexadecimal ones
	for _, c := range []struct{ how, encoded string }{
		{"base64", base64.RawStdEncoding.EncodeToString([]byte(plain + "?!"))},
		{"hex", hex.EncodeToString([]byte(plain))},
	} {
		for before := range 40 {
			for _, around := range []string{" ", ".", "\n", "\xff", "~", "*", "{", "\x00", "@"} {
				text := strings.Repeat("a.", before/2) + strings.Repeat(" ", before%2) + around + c.encoded + around + strings.Repeat("z", before%5)
				var got []decode.Stretch
				decode.Find([]byte(text), true, func(s decode.Stretch) { got = append(got, s) })
				if len(got) != 1 || got[0].How != c.how || text[got[0].Start:got[0].End] != c.encoded {
					t.Fatalf("%q: %v", text, got)
				}
			}
		}
	}
}

func FuzzFind(f *testing.F) {
	f.Add([]byte("YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXo= %41%3d \\u0041\\u0041\\u0041\\u0041 quoted-printable =3D"))
	f.Fuzz(func(t *testing.T, text []byte) {
		total := 0
		decode.Find(text, true, func(s decode.Stretch) {
			if s.Start < 0 || s.End <= s.Start || s.End > len(text) {
				t.Fatalf("%s at %d:%d of %d", s.How, s.Start, s.End, len(text))
			}
			total += len(s.Data)
		})
		if total > 8*len(text)+64 {
			t.Fatalf("%d bytes from %d", total, len(text))
		}
	})
}
