package seal

// ParseParams gives the fuzzer the parser of Envelope.Params without the derivation behind it.
func ParseParams(document []byte) (Cost, error) {
	p, err := parseParams(document)
	return Cost{MemoryKiB: p.MemoryKiB, Time: p.Time, Threads: p.Threads}, err
}
