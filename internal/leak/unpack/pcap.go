package unpack

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/keyward/keyward/internal/leak"
)

// isPcap tells whether something is a capture of packets, in pcap's form or in pcapng's.
func isPcap(head []byte) bool {
	if len(head) < 24 {
		return false
	}
	switch binary.LittleEndian.Uint32(head) {
	case 0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1: // of either byte order, with microseconds or nanoseconds
		return true
	case 0x0a0d0d0a:
		return bytes.Equal(head[8:12], []byte{0x4d, 0x3c, 0x2b, 0x1a}) || bytes.Equal(head[8:12], []byte{0x1a, 0x2b, 0x3c, 0x4d})
	}
	return false
}

// unpcap visits what the packets carry, as one text: without the headers, which stand in
// the middle of what is longer than a packet.
func unpcap(s Source, visit Visit) error {
	p := &payloads{r: bufio.NewReaderSize(s.Reader, 64<<10)}
	p.next = p.ngBlock
	if binary.LittleEndian.Uint32(s.Head) != 0x0a0d0d0a {
		p.next = p.pcapPacket
		var head [24]byte
		if _, err := io.ReadFull(p.r, head[:]); err != nil {
			return err
		}
		p.order = binary.LittleEndian
		if head[0] == 0xa1 {
			p.order = binary.BigEndian
		}
		p.links = []uint16{uint16(p.order.Uint32(head[20:]))}
	} else if s.Head[8] == 0x1a {
		p.order = binary.BigEndian
	} else {
		p.order = binary.LittleEndian
	}
	return visit(Member{Name: "packets", Plain: true, Reader: p})
}

const maxPacket = 256 << 10 // of captures, as tcpdump has it

var errPacket = leak.Text{English: "a packet is longer than any can be", Chinese: "有数据包的长度超出可能的范围"}

// payloads reads what packets carry. Where another stream goes on, a line ends.
type payloads struct {
	r     *bufio.Reader
	order binary.ByteOrder
	next  func() (link uint16, packet []byte, err error) // without a packet, if it was something else
	links []uint16                                       // of interfaces, by their number
	block []byte
	flow  [40]byte
	text  []byte // of the last packet
	out   []byte // what of it nobody has read
}

func (p *payloads) Read(into []byte) (int, error) {
	for len(p.out) == 0 {
		link, packet, err := p.next()
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errCut
		}
		if err != nil {
			return 0, err
		}
		p.take(link, packet)
	}
	n := copy(into, p.out)
	p.out = p.out[n:]
	return n, nil
}

var errCut = leak.Text{English: "it ends within a packet", Chinese: "在数据包中途结束"}

// take takes what a packet carries.
func (p *payloads) take(link uint16, packet []byte) {
	flow, payload := carried(link, packet)
	if len(payload) == 0 {
		return
	}
	p.text = p.text[:0]
	if flow != p.flow {
		p.flow = flow
		p.text = append(p.text, '\n')
	}
	p.text = append(p.text, payload...)
	p.out = p.text
}

// read answers the next n bytes, which are valid until the next call.
func (p *payloads) read(n uint32) ([]byte, error) {
	if n > maxPacket {
		return nil, errPacket
	}
	if int(n) > cap(p.block) {
		p.block = make([]byte, n)
	}
	p.block = p.block[:n]
	_, err := io.ReadFull(p.r, p.block)
	return p.block, err
}

func (p *payloads) pcapPacket() (uint16, []byte, error) {
	var head [16]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		return 0, nil, err
	}
	packet, err := p.read(p.order.Uint32(head[8:]))
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return p.links[0], packet, err
}

// ngBlock reads a block of pcapng: a packet, or something that says how to read packets.
func (p *payloads) ngBlock() (link uint16, packet []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		return 0, nil, err
	}
	kind, length := p.order.Uint32(head[:]), p.order.Uint32(head[4:])
	if length < 12 || length > maxPacket {
		return 0, nil, errPacket
	}
	body, err := p.read(length - 8)
	if err != nil {
		return 0, nil, io.ErrUnexpectedEOF
	}
	body = body[:len(body)-4] // the length again
	switch {
	case kind == 0x0a0d0d0a: // another section
		p.links = p.links[:0]
	case kind == 1 && len(body) >= 8: // an interface
		p.links = append(p.links, p.order.Uint16(body))
	case kind == 3 && len(body) >= 4 && len(p.links) > 0: // a simple packet
		return p.links[0], body[4:], nil
	case kind == 6 && len(body) >= 20: // an enhanced packet
		number, size := p.order.Uint32(body), p.order.Uint32(body[12:])
		if int64(number) < int64(len(p.links)) && int64(size) <= int64(len(body)-20) {
			return p.links[number], body[20:][:size], nil
		}
	}
	return 0, nil, nil
}

// carried answers what a packet carries over TCP or UDP, and what tells its stream from
// others; of anything else all of it.
func carried(link uint16, packet []byte) (flow [40]byte, payload []byte) {
	ip, ok := network(link, packet)
	if !ok {
		return flow, packet
	}
	var transport []byte
	var protocol byte
	switch {
	case len(ip) >= 20 && ip[0]>>4 == 4:
		length, size := int(ip[0]&15)*4, int(binary.BigEndian.Uint16(ip[2:]))
		if size == 0 || size > len(ip) { // left to the network card, or cut off
			size = len(ip)
		}
		if length < 20 || length > size {
			return flow, packet
		}
		copy(flow[:], ip[12:20])
		protocol, transport = ip[9], ip[length:size]
	case len(ip) >= 40 && ip[0]>>4 == 6:
		copy(flow[:], ip[8:40])
		protocol, transport = ip[6], ip[40:min(len(ip), 40+int(binary.BigEndian.Uint16(ip[4:])))]
	default:
		return flow, packet
	}
	switch {
	case protocol == 6 && len(transport) >= 20 && int(transport[12]>>4)*4 <= len(transport): // TCP
		payload = transport[int(transport[12]>>4)*4:]
	case protocol == 17 && len(transport) >= 8: // UDP
		payload = transport[8:]
	default:
		return flow, transport
	}
	copy(flow[32:], transport[:4]) // the ports
	return flow, payload
}

// network answers a packet without the header of its link.
func network(link uint16, packet []byte) (ip []byte, ok bool) {
	n := 0
	switch link {
	case 0, 108: // of a machine to itself
		n = 4
	case 1: // Ethernet
		if n = 14; len(packet) > 18 && binary.BigEndian.Uint16(packet[12:]) == 0x8100 { // in a VLAN
			n = 18
		}
	case 101, 228, 229: // none
	case 113: // Linux, of any interface
		n = 16
	case 276:
		n = 20
	default:
		return nil, false
	}
	if len(packet) < n+20 {
		return nil, false
	}
	return packet[n:], true
}
