package streams

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Headers of a packet, by where they begin.
const (
	ip       = 14
	udp      = ip + 20
	rtp      = udp + 8
	payload  = rtp + 12 // RFC 3550, section 5.1, without sources
	protocol = 17
)

// frame is a frame's packets as sendmmsg takes them: headers of each, and one
// payload for all.
type frame struct {
	headers  [][payload]byte
	vectors  [][2]unix.Iovec
	messages []message
	payload  []byte
}

// message is struct mmsghdr of linux/socket.h.
type message struct {
	unix.Msghdr
	n uint32
	_ uint32
}

// newFrame makes packets from the first address and port to the second. UDP has
// no checksum.
func newFrame(c Config) *frame {
	f := &frame{
		headers: make([][payload]byte, c.PacketsPerFrame), vectors: make([][2]unix.Iovec, c.PacketsPerFrame),
		messages: make([]message, c.PacketsPerFrame), payload: make([]byte, c.PayloadBytes),
	}
	copy(f.payload, []byte{0x41, 0x9a}) // a slice of H.264 (RFC 6184, 5.6): whoever reads codecs finds one
	for i := range f.headers {
		h := &f.headers[i]
		copy(h[0:], c.Via.To)
		copy(h[6:], c.Via.From)
		binary.BigEndian.PutUint16(h[12:], unix.ETH_P_IP)
		h[ip], h[ip+8], h[ip+9] = 4<<4|5, 64, protocol
		binary.BigEndian.PutUint16(h[ip+2:], uint16(payload-ip+c.PayloadBytes))
		copy(h[ip+12:], c.From.Addr().AsSlice())
		copy(h[ip+16:], c.To.Addr().AsSlice())
		binary.BigEndian.PutUint16(h[ip+10:], checksum(h[ip:udp]))
		binary.BigEndian.PutUint16(h[udp+2:], c.To.Port())
		binary.BigEndian.PutUint16(h[udp+4:], uint16(payload-udp+c.PayloadBytes))
		h[rtp], h[rtp+1] = 2<<6, PayloadType
		if i == len(f.headers)-1 {
			h[rtp+1] |= 1 << 7
		}
		f.vectors[i][0].Base = &h[0]
		f.vectors[i][0].SetLen(payload)
		f.vectors[i][1].Base = &f.payload[0]
		f.vectors[i][1].SetLen(c.PayloadBytes)
		f.messages[i].Iov = &f.vectors[i][0]
		f.messages[i].SetIovlen(2)
	}
	return f
}

// send returns how many of the frame's packets left.
func (f *frame) send(socket int, source netip.AddrPort, seq uint16, timestamp, ssrc uint32) (int, error) {
	for i := range f.headers {
		h := &f.headers[i]
		binary.BigEndian.PutUint16(h[udp:], source.Port())
		binary.BigEndian.PutUint16(h[rtp+2:], seq+uint16(i))
		binary.BigEndian.PutUint32(h[rtp+4:], timestamp)
		binary.BigEndian.PutUint32(h[rtp+8:], ssrc)
	}
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(socket), uintptr(unsafe.Pointer(&f.messages[0])),
			uintptr(len(f.messages)), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN, unix.ENOBUFS:
			return 0, nil
		default:
			return 0, fmt.Errorf("sending a frame: %w", errno)
		}
	}
}

// checksum is the internet's (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// Link is the Ethernet interface that packets leave by.
type Link struct {
	Interface int
	From, To  net.HardwareAddr
}

// open opens a socket that gives packets to the interface as they are, past the
// network stack and its queues: that halves what a packet costs the sender.
func (l Link) open() (int, error) {
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err = unix.SetsockoptInt(socket, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err == nil {
		err = unix.Bind(socket, &unix.SockaddrLinklayer{Ifindex: l.Interface})
	}
	if err != nil {
		unix.Close(socket)
		return -1, err
	}
	return socket, nil
}
