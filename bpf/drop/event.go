package drop

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
)

const (
	familyIPv4 = 2
	familyIPv6 = 10
)

// eventSize is the size of struct event in drop.bpf.c.
const eventSize = 80

// decode reads struct event of drop.bpf.c.
func decode(b []byte, names reasons) (Event, error) {
	if len(b) < eventSize {
		return Event{}, fmt.Errorf("event of %d bytes, %d expected", len(b), eventSize)
	}
	le := binary.NativeEndian
	e := Event{
		Ktime:     clock.Ktime(le.Uint64(b)),
		Netns:     le.Uint32(b[8:]),
		Reason:    names.name(le.Uint32(b[12:])),
		Family:    le.Uint16(b[16:]),
		Proto:     b[18],
		Interface: int(le.Uint32(b[20:])),
		Len:       le.Uint32(b[24:]),
	}
	sport, dport := le.Uint16(b[28:]), le.Uint16(b[30:])
	src, dst := b[32:48], b[48:64]
	switch e.Family {
	case familyIPv4:
		e.Src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(src[:4])), sport)
		e.Dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(dst[:4])), dport)
	case familyIPv6:
		e.Src = netip.AddrPortFrom(netip.AddrFrom16([16]byte(src)), sport)
		e.Dst = netip.AddrPortFrom(netip.AddrFrom16([16]byte(dst)), dport)
	}
	if b[75] != 0 {
		e.RTP = &RTP{
			SSRC: le.Uint32(b[64:]), Timestamp: le.Uint32(b[68:]), Seq: le.Uint16(b[72:]), PayloadType: b[74],
		}
	}
	return e, nil
}
