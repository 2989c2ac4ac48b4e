package shamir

// The field GF(2^8), reduced by x^8 + x^4 + x^3 + x + 1. Nothing in this file looks
// anything up or decides anything: it is straight lines and loops of fixed length, so
// that neither time nor the memory touched depends on a value. A test holds it to that.

// mul answers a·b: eight times "add a if the bit is set, then double a".
func mul(a, b byte) byte {
	var product byte
	for range 8 {
		product ^= a & -(b & 1)
		a = a<<1 ^ 0x1b&-(a>>7)
		b >>= 1
	}
	return product
}

// inverse answers 1/a as a^254, and 0 for 0.
func inverse(a byte) byte {
	power := a
	for range 6 { // a^(2^7 - 1)
		power = mul(mul(power, power), a)
	}
	return mul(power, power)
}

// letter answers the base-32 digit (RFC 4648, lower case) of the five bits of v.
func letter(v byte) byte {
	digit := byte((25 - int32(v)) >> 8) // all ones from 26 on
	return v + 'a'&^digit + ('2'-26)&digit
}

// value answers the five bits that a base-32 digit of either case stands for; bad is
// not 0 if c is none.
func value(c byte) (v, bad byte) {
	lower := c | 0x20 // of a byte beyond ASCII it is one, too
	alpha := within(lower, 'a', 'z')
	digit := within(c, '2', '7')
	return (lower-'a')&alpha | (c-'2'+26)&digit, ^(alpha | digit)
}

// within answers all ones if low ≤ c ≤ high, otherwise 0.
func within(c, low, high byte) byte {
	below, above := int32(c)-int32(low), int32(high)-int32(c)
	return ^byte((below | above) >> 31)
}
