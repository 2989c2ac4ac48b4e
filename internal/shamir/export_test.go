package shamir

// Mul and Inverse let the tests look at the field.
func Mul(a, b byte) byte         { return mul(a, b) }
func Inverse(a byte) byte        { return inverse(a) }
func Letter(v byte) byte         { return letter(v) }
func Value(c byte) (v, bad byte) { return value(c) }

// Checksum lets the tests forge shares.
func Checksum(raw []byte) []byte { return checksum(raw) }
