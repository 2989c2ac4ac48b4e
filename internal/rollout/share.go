package rollout

import "hash/fnv"

// share places a node on a scale from 0 to 99, the same in every process and version.
func share(rollout, node string) int {
	h := fnv.New64a()
	h.Write([]byte(rollout))
	h.Write([]byte{0})
	h.Write([]byte(node))
	sum := h.Sum64()
	sum ^= sum >> 33 // the low bits of FNV alone follow the last characters
	sum *= 0xff51afd7ed558ccd
	sum ^= sum >> 33
	return int(sum % 100)
}
