package probe_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// camera sends one RTP stream of 30 frames a second, four packets a frame, as
// its fields say at each moment.
type camera struct {
	ssrc uint32
	// skip makes that many of the next packets get lost on the way.
	skip atomic.Int64
	// silent sends nothing, while time and sequence numbers go on.
	silent atomic.Bool

	mu      sync.Mutex
	skipped time.Time // when the first of them would have been sent
	sent    uint64
	gaps    []gap
}

// gap is a time in which a busy machine did not let the camera send.
type gap struct{ from, to time.Time }

const (
	frameInterval   = time.Second / 30
	packetsPerFrame = 4
	packetBytes     = 1000
)

// start sends to an address until the test ends.
func (c *camera) start(t *testing.T, to netip.AddrPort) {
	t.Helper()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.run(ctx, conn)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		conn.Close()
	})
}

func (c *camera) run(ctx context.Context, conn *net.UDPConn) {
	ticker := time.NewTicker(frameInterval)
	defer ticker.Stop()
	packet := make([]byte, packetBytes)
	packet[0], packet[1] = 0x80, 96
	binary.BigEndian.PutUint32(packet[8:], c.ssrc)
	began := time.Now()
	last := began
	var seq uint16
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if now := time.Now(); now.Sub(last) > 3*frameInterval {
			c.mu.Lock()
			c.gaps = append(c.gaps, gap{last, now})
			c.mu.Unlock()
		}
		last = time.Now()
		timestamp := uint32(time.Since(began).Seconds() * 90000)
		binary.BigEndian.PutUint32(packet[4:], timestamp)
		for i := range packetsPerFrame {
			binary.BigEndian.PutUint16(packet[2:], seq)
			seq++
			packet[1] = 96
			if i == packetsPerFrame-1 {
				packet[1] |= 0x80
			}
			c.packet(conn, packet)
		}
	}
}

func (c *camera) packet(conn *net.UDPConn, packet []byte) {
	if c.silent.Load() {
		return
	}
	if left := c.skip.Load(); left > 0 {
		c.mu.Lock()
		if c.skipped.IsZero() {
			c.skipped = time.Now()
		}
		c.mu.Unlock()
		c.skip.Add(-1)
		return
	}
	_, _ = conn.Write(packet) // nobody may listen
	c.mu.Lock()
	c.sent++
	c.mu.Unlock()
}

// late says whether the camera was in, or just after, a gap of its own.
func (c *camera) late(at time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.gaps, func(g gap) bool { return g.from.Before(at) && at.Before(g.to.Add(time.Second)) })
}

// evenFor returns once the camera has sent evenly for that long.
func (c *camera) evenFor(t *testing.T, long time.Duration) {
	t.Helper()
	for end := time.Now().Add(2 * patience); ; {
		from := time.Now()
		time.Sleep(long + 4*frameInterval) // a gap is known at its end
		c.mu.Lock()
		even := len(c.gaps) == 0 || c.gaps[len(c.gaps)-1].to.Before(from)
		c.mu.Unlock()
		if even {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("this machine lets nobody send evenly for %v", long)
		}
	}
}

// packets are how many were sent.
func (c *camera) packets() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent
}

// lose loses n packets and returns when the first was due.
func (c *camera) lose(n int) time.Time {
	c.mu.Lock()
	c.skipped = time.Time{}
	c.mu.Unlock()
	c.skip.Store(int64(n))
	for {
		c.mu.Lock()
		at := c.skipped
		c.mu.Unlock()
		if !at.IsZero() && c.skip.Load() <= 0 {
			return at
		}
		time.Sleep(time.Millisecond)
	}
}

// reader reads a socket, unless it is told to pause.
type reader struct {
	conn   *net.UDPConn
	paused atomic.Bool
	read   atomic.Uint64
}

// listen receives on loopback until the test ends, with a receive buffer of that
// many bytes.
func listen(t *testing.T, buffer int) *reader {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{conn: conn}
	r.buffer(t, buffer)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 2048)
		for t.Context().Err() == nil {
			if r.paused.Load() {
				time.Sleep(time.Millisecond)
				continue
			}
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			if _, err := conn.Read(b); err == nil {
				r.read.Add(1)
			}
		}
	}()
	t.Cleanup(func() {
		<-done
		conn.Close()
	})
	return r
}

// buffer sets the size of the receive buffer, whatever the machine's limit
// (net.core.rmem_max): with less, a reader that waits for a processor loses packets.
func (r *reader) buffer(t *testing.T, bytes int) {
	t.Helper()
	raw, err := r.conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes) })
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
}

func (r *reader) addr() netip.AddrPort { return r.conn.LocalAddr().(*net.UDPAddr).AddrPort() }
