package rtp

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/bpf/internal/procnet"
)

// Interleaved is the media of one RTSP connection that carries RTP within TCP
// (RFC 2326, 10.12; RFC 7826, 14), as one interface sees it. TCP hides what the
// network lost; these are its own signs of trouble.
//
// A segment is what the kernel handles at once; where segmentation is offloaded
// that is several of the wire.
type Interleaved struct {
	// Src sends the media, Dst receives it.
	Src, Dst  netip.AddrPort
	Interface int
	Direction Direction
	// Segments and Bytes are data that Src sent, retransmitted ones once more.
	Segments, Bytes uint64
	// Frames is how many segments begin with a frame of RTP or RTCP; most frames
	// are not counted, as they begin within one.
	Frames uint64
	// Retransmits is segments that begin below what was sent already: the network
	// lost some, or delivered them in another order.
	Retransmits uint64
	// ZeroWindows is segments by which Dst says that it takes no more: it does
	// not read.
	ZeroWindows uint64
	// ReceiveQueue is how many bytes wait in Dst's socket to be read; one that
	// grows from call to call belongs to a reader that is too slow. It is nil if
	// the socket is not in this network namespace.
	ReceiveQueue *uint64
	// Last is when the last segment came, of either end.
	Last clock.Ktime
	// Ended is set when the connection was silent for Options.IdleTimeout: these
	// are its last figures.
	Ended bool
}

// maxStreams is the size of the kernel's table: two entries a connection.
const maxStreams = 1024

// A connection is reported when enough of its segments begin with a frame: so
// many, and one in so many. An answer of RTSP is enough together with a frame.
const (
	enoughFrames = 3
	frameShare   = 64
)

// Interleaved returns the connections that carry RTP within TCP, in no order. At
// most 512 are known at a time (Stats has what was refused). After Close the
// error is os.ErrClosed.
func (t *Tap) Interleaved() ([]Interleaved, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, os.ErrClosed
	}
	t.place.cover()
	keys, raw := make([]tapFlowKey, maxStreams), make([]tapStream, maxStreams)
	n, err := readAll(t.objects.Streams, keys, raw)
	if err != nil {
		return nil, fmt.Errorf("%s: reading connections: %w", what, err)
	}
	streams := make(map[tapFlowKey]*tapStream, n)
	for i := range n {
		streams[keys[i]] = &raw[i]
	}
	now := clock.Now()
	var found []Interleaved
	for key, stream := range streams {
		other := key.reverse()
		back := streams[other]
		if back == nil {
			back = new(tapStream)
		}
		last := clock.Ktime(max(stream.LastKtime, back.LastKtime))
		ended := now > last && time.Duration(now-last) > t.options.IdleTimeout
		if ended {
			_ = t.objects.Streams.Delete(&key) // each of both in its turn
		}
		if !carriesMedia(stream, stream.Rtsp+back.Rtsp > 0) {
			continue
		}
		c := Interleaved{
			Interface: int(key.Ifindex), Direction: Direction(key.Direction), Segments: stream.Segments, Bytes: stream.Bytes,
			Frames: stream.Interleaved, Retransmits: stream.Retransmits, ZeroWindows: back.ZeroWindows, Last: last, Ended: ended,
		}
		c.Src, c.Dst = addresses(&key)
		found = append(found, c)
	}
	return found, t.addReceiveQueues(found)
}

// addReceiveQueues adds what waits in the sockets of those that arrive. Without
// any it reads nothing: the kernel walks its whole table of connections for each
// read, which takes milliseconds.
func (t *Tap) addReceiveQueues(all []Interleaved) error {
	arrives := func(c Interleaved) bool { return c.Direction == Ingress }
	if !slices.ContainsFunc(all, arrives) {
		return nil
	}
	queues, err := t.receiveQueues()
	if err != nil {
		return fmt.Errorf("%s: reading sockets: %w", what, err)
	}
	for i := range all {
		c := &all[i]
		if bytes, ok := queues[portPair{c.Dst.Port(), c.Src.Port()}]; ok && arrives(*c) {
			c.ReceiveQueue = &bytes
		}
	}
	return nil
}

func carriesMedia(s *tapStream, rtsp bool) bool {
	if rtsp {
		return s.Interleaved > 0
	}
	return s.Interleaved >= enoughFrames && s.Interleaved*frameShare >= s.Segments
}

// reverse returns the key of a connection's other direction.
func (k *tapFlowKey) reverse() tapFlowKey {
	other := *k
	other.Saddr, other.Daddr, other.Sport, other.Dport = k.Daddr, k.Saddr, k.Dport, k.Sport
	if k.Ifindex != loopback { // there both directions arrive
		other.Direction = 1 - k.Direction
	}
	return other
}

// portPair is a connection as its socket has it. Two connections with the same
// pair, of different addresses, are not told apart: then neither is known.
type portPair struct{ local, remote uint16 }

// receiveQueues returns how many bytes wait in the namespace's TCP sockets.
func (t *Tap) receiveQueues() (map[portPair]uint64, error) {
	queues := map[portPair]uint64{}
	if t.sockets == nil {
		return queues, nil
	}
	seen := map[portPair]bool{}
	err := t.sockets.Each(func(s procnet.Socket) {
		pair := portPair{s.LocalPort, s.RemotePort}
		if s.RemotePort == 0 { // a listener
			return
		}
		if seen[pair] {
			delete(queues, pair)
			return
		}
		seen[pair] = true
		queues[pair] = s.ReceiveQueue
	})
	return queues, err
}
