package people

import (
	_ "embed"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

//go:embed common.txt
var commonText string

// common are the pieces that passwords are often made of, by their first byte, so that the
// longest that a text begins with is found without looking at all of them.
type common map[byte][]string

func readCommon(text string) common {
	out := common{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			out[line[0]] = append(out[line[0]], line)
		}
	}
	return out
}

// minPieces is how many pieces a password must consist of, where a common word or a run is
// one piece and so is every character outside of them.
const minPieces = 8

// checkPassword refuses passwords that guessing begins with. It demands no kinds of
// characters: such rules make people write "Password1!".
func (c common) checkPassword(password material.Bytes, own ...string) error {
	text := string(password.Expose())
	switch n := utf8.RuneCountInString(text); {
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return fault.InvalidParameter.New("a password is UTF-8 text without control characters")
	case n < MinPassword || n > MaxPassword:
		return fault.InvalidParameter.New("a password has %d to %d characters; a few unrelated words are easy to remember", MinPassword, MaxPassword)
	case c.pieces(text, own) < minPieces:
		return fault.InvalidParameter.New("the password is too easy to guess: it consists of common words, names, sequences or repetitions; a few unrelated words are better")
	}
	return nil
}

// disguises are what letters are commonly replaced with.
var disguises = strings.NewReplacer("0", "o", "1", "l", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i")

// pieces answers how many pieces a text consists of.
func (c common) pieces(text string, own []string) int {
	plain := strings.ToLower(text)
	bare := disguises.Replace(plain) // of the same length
	n := 0
	for at := 0; at < len(plain); n++ {
		_, one := utf8.DecodeRuneInString(plain[at:])
		at += max(one, c.longest(plain[at:], own), c.longest(bare[at:], own), run(plain[at:]))
	}
	return n
}

// longest answers how long the longest piece is that a text begins with.
func (c common) longest(text string, own []string) (n int) {
	for _, list := range [][]string{c[text[0]], own} {
		for _, piece := range list {
			if len(piece) > n && strings.HasPrefix(text, piece) {
				n = len(piece)
			}
		}
	}
	return n
}

// rows are the characters beside each other on a keyboard.
var rows = []string{"`1234567890-=", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./"}

// run answers how many bytes of a text follow one another: equal ones, those of the alphabet
// or of a row of the keyboard, in either direction. Two are no run.
func run(text string) int {
	best := 0
	for _, follows := range []func(a, b byte) bool{
		func(a, b byte) bool { return a == b },
		func(a, b byte) bool { return b == a+1 },
		func(a, b byte) bool { return a == b+1 },
		func(a, b byte) bool { return beside(a, b) },
		func(a, b byte) bool { return beside(b, a) },
	} {
		n := 1
		for n < len(text) && follows(text[n-1], text[n]) {
			n++
		}
		if n > best && n > 2 {
			best = n
		}
	}
	return best
}

// beside tells whether b stands right of a.
func beside(a, b byte) bool {
	for _, row := range rows {
		if i := strings.IndexByte(row, a); i >= 0 && i+1 < len(row) && row[i+1] == b {
			return true
		}
	}
	return false
}
