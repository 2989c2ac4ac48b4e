package password

// Occupy takes the place of one who works.
func Occupy(h *Hasher) (leave func()) {
	h.waiting.Add(1)
	h.room <- struct{}{}
	return func() { <-h.room; h.waiting.Add(-1) }
}

// Reencode answers how a hash that can be read is written.
func Reencode(text string) (string, bool) {
	c, salt, sum, err := decode(text)
	return string(encode(c, salt, sum.Expose()).Expose()), err == nil
}
