package syntax

import "bytes"

// Plain answers a name in lower case without punctuation, at the end of buf: the form in
// which names are compared.
func Plain(buf, name []byte) []byte {
	for _, c := range name {
		switch {
		case 'A' <= c && c <= 'Z':
			buf = append(buf, c|0x20)
		case c == '_' || c == '-' || c == '.' || c == ' ' || c == '$':
		default:
			buf = append(buf, c)
		}
	}
	return buf
}

// LastWord answers the last word of a name: what follows the last punctuation, or the last
// capital that follows a small letter.
func LastWord(name []byte) []byte {
	for i := len(name) - 1; i > 0; i-- {
		c := name[i-1]
		if c == '_' || c == '-' || c == '.' || c >= 'a' && c <= 'z' && name[i] >= 'A' && name[i] <= 'Z' {
			return name[i:]
		}
	}
	return name
}

// Words calls yield with each word of a name, as LastWord cuts them, from the last to the first.
func Words(name []byte, yield func(word []byte) bool) {
	for len(name) > 0 {
		last := LastWord(name)
		if !yield(last) {
			return
		}
		name = bytes.TrimRight(name[:len(name)-len(last)], "_-.")
	}
}
