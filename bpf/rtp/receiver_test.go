package rtp_test

import (
	"math"
	"net"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	pion "github.com/pion/rtp"
	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/bpf/internal/nettest"
)

// received is what a receiver knows of one source, counted in the plainest way:
// with sets, and with sequence numbers that never wrap.
type received struct {
	packets, duplicates, reordered, markers uint64
	seqs                                    map[int64]bool
	lowest, highest                         int64
	frames, keys                            map[uint32]bool
	jitter                                  float64 // ticks
	lastArrival                             time.Time
	lastTimestamp                           uint32
}

func (r *received) lost() uint64 { return uint64(r.highest-r.lowest+1) - uint64(len(r.seqs)) }

func (r *received) add(h *pion.Header, payload []byte, arrival time.Time, rate float64) {
	r.packets++
	if h.Marker {
		r.markers++
	}
	if r.seqs == nil {
		r.seqs, r.frames, r.keys = map[int64]bool{}, map[uint32]bool{}, map[uint32]bool{}
		r.lowest, r.highest = int64(h.SequenceNumber), int64(h.SequenceNumber)
	} else {
		// RFC 3550, A.8.
		d := arrival.Sub(r.lastArrival).Seconds()*rate - float64(int32(h.Timestamp-r.lastTimestamp))
		r.jitter += (math.Abs(d) - r.jitter) / 16
	}
	r.lastArrival, r.lastTimestamp = arrival, h.Timestamp
	seq := r.highest + int64(int16(h.SequenceNumber-uint16(r.highest)))
	r.frames[h.Timestamp] = true
	if len(payload) > 1 && payload[0] == 0x7c && payload[1] == 5 { // as the test's own sender makes them
		r.keys[h.Timestamp] = true
	}
	switch {
	case r.seqs[seq]:
		r.duplicates++
		return
	case seq < r.highest:
		r.reordered++
	}
	r.seqs[seq] = true
	r.lowest, r.highest = min(r.lowest, seq), max(r.highest, seq)
}

// source is what tells one flow from another at the receiver.
type source struct {
	ssrc uint32
	from netip.AddrPort
}

// receiver counts what comes to a socket.
type receiver struct {
	t       *testing.T
	conn    *net.UDPConn
	sources map[source]*received
	total   int
}

// newReceiver opens a socket that holds all that is sent until it is read.
func newReceiver(t *testing.T, ns *nettest.Namespace, addr netip.Addr) *receiver {
	t.Helper()
	r := &receiver{t: t, sources: map[source]*received{}}
	ns.Do(func() (err error) {
		r.conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
		return err
	})
	t.Cleanup(func() { r.conn.Close() })
	raw, err := r.conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	_ = raw.Control(func(fd uintptr) {
		if failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 256<<20); failed == nil {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
		}
	})
	if failed != nil {
		t.Fatal(failed)
	}
	return r
}

func (r *receiver) addr() netip.AddrPort {
	return r.conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// read reads n packets, and takes the time at which the kernel got each.
func (r *receiver) read(n int) {
	r.t.Helper()
	buffer, control := make([]byte, 2048), make([]byte, 128)
	if err := r.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		r.t.Fatal(err)
	}
	for range n {
		size, controlSize, _, from, err := r.conn.ReadMsgUDPAddrPort(buffer, control)
		if err != nil {
			r.t.Fatalf("after %d of %d packets: %v", r.total, n, err)
		}
		r.total++
		var h pion.Header
		n, err := h.Unmarshal(buffer[:size])
		if err != nil {
			r.t.Fatal(err)
		}
		key := source{h.SSRC, netip.AddrPortFrom(from.Addr().Unmap(), from.Port())}
		if r.sources[key] == nil {
			r.sources[key] = &received{}
		}
		r.sources[key].add(&h, buffer[n:size], arrival(r.t, control[:controlSize]), 90000)
	}
}

func arrival(t *testing.T, control []byte) time.Time {
	t.Helper()
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS {
			ts := (*unix.Timespec)(unsafe.Pointer(&m.Data[0]))
			return time.Unix(ts.Unix())
		}
	}
	t.Fatal("no time of arrival")
	return time.Time{}
}
