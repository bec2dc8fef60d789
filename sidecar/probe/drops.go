package probe

import (
	"net/netip"
	"sync"

	"github.com/debugsidecar/debugsidecar/bpf/drop"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

// ledger sums up the packets of streams that the kernel dropped, until they are
// taken. The kernel's reader adds while the sampling loop takes.
type ledger struct {
	mu     sync.Mutex
	counts map[dropped]uint64
	spare  map[dropped]uint64 // what was taken before, to be used again
	// packets are those that the tap had seen before.
	packets, sparePackets []packet
}

// packet is one that a socket dropped.
type packet struct {
	src, dst        netip.AddrPort
	ssrc, timestamp uint32
}

// mostPackets bounds what is remembered between two samples: beyond, counts are
// all that matters.
const mostPackets = 4096

// receiveBuffer is the kernel's reason for a datagram that its socket had no room
// for: the tap has seen it.
const receiveBuffer = "SOCKET_RCVBUFF"

// receiver is a stream's end here: its sender's address is not in it, since a
// packet that is dropped at egress may not have been translated yet.
type receiver struct {
	ssrc uint32
	dst  netip.AddrPort
}

type dropped struct {
	receiver
	reason string
}

func newLedger() *ledger {
	return &ledger{counts: map[dropped]uint64{}, spare: map[dropped]uint64{}}
}

// add takes one event. What a healthy node drops all the time is nobody's loss.
func (l *ledger) add(e drop.Event) {
	if e.RTP == nil || drop.Classify(e.Reason) == drop.ClassNoise {
		return
	}
	l.mu.Lock()
	l.counts[dropped{receiver{e.RTP.SSRC, e.Dst}, e.Reason}]++
	if e.Reason == receiveBuffer && len(l.packets) < mostPackets {
		l.packets = append(l.packets, packet{e.Src, e.Dst, e.RTP.SSRC, e.RTP.Timestamp})
	}
	l.mu.Unlock()
}

// take puts what came since the last call into sums, each with the reason of
// most of its packets, and returns the packets of the same time, until the next
// call.
func (l *ledger) take(sums map[receiver]sample.Kernel) []packet {
	clear(sums)
	l.mu.Lock()
	taken := l.packets
	l.packets, l.sparePackets = l.sparePackets[:0], taken
	counts := l.counts
	l.counts, l.spare = l.spare, counts
	clear(l.counts)
	l.mu.Unlock()
	for d, n := range counts {
		k := sums[d.receiver]
		if n > counts[dropped{d.receiver, k.Reason}] || k.Reason == "" {
			k.Reason = d.reason
		}
		k.Known = true
		k.Drops += n
		sums[d.receiver] = k
	}
	return taken
}
