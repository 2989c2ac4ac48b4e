package leaktest

import (
	"encoding/binary"
	"slices"
)

// packets answers IPv4 packets of one TCP stream in Ethernet frames, with a few bytes of a
// content in each.
func packets(content []byte) (frames [][]byte) {
	for piece := range slices.Chunk(content, 11) {
		frame := append(make([]byte, 12), 8, 0)
		ip := make([]byte, 20)
		ip[0], ip[9] = 0x45, 6
		binary.BigEndian.PutUint16(ip[2:], uint16(40+len(piece)))
		copy(ip[12:], []byte{192, 0, 2, 1, 192, 0, 2, 2})
		tcp := make([]byte, 20)
		binary.BigEndian.PutUint16(tcp, 40000)
		binary.BigEndian.PutUint16(tcp[2:], 80)
		tcp[12] = 0x50
		frames = append(frames, slices.Concat(frame, ip, tcp, piece))
	}
	return frames
}

// pcap answers a capture of packets as tcpdump writes it.
func pcap(content []byte) []byte {
	out := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	out = append(out, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0)
	for _, frame := range packets(content) {
		out = append(out, make([]byte, 8)...)
		out = binary.LittleEndian.AppendUint32(out, uint32(len(frame)))
		out = binary.LittleEndian.AppendUint32(out, uint32(len(frame)))
		out = append(out, frame...)
	}
	return out
}

// pcapng answers one as Wireshark writes it.
func pcapng(content []byte) []byte {
	out := block(nil, 0x0a0d0d0a, append([]byte{0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0}, 255, 255, 255, 255, 255, 255, 255, 255))
	out = block(out, 1, []byte{1, 0, 0, 0, 0, 0, 4, 0})
	for _, frame := range packets(content) {
		body := make([]byte, 12)
		body = binary.LittleEndian.AppendUint32(body, uint32(len(frame)))
		body = binary.LittleEndian.AppendUint32(body, uint32(len(frame)))
		body = append(body, frame...)
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
		out = block(out, 6, body)
	}
	return out
}

func block(out []byte, kind uint32, body []byte) []byte {
	out = binary.LittleEndian.AppendUint32(out, kind)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(body)+12))
	out = append(out, body...)
	return binary.LittleEndian.AppendUint32(out, uint32(len(body)+12))
}
