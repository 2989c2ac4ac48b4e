package pkcs12

// DecryptRC2 decrypts one block with a key of so many effective bits.
func DecryptRC2(key []byte, effective int, block []byte) []byte {
	out := make([]byte, 8)
	expandRC2(key, effective).Decrypt(out, block)
	return out
}
