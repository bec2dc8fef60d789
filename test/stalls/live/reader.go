package live

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/debugsidecar/debugsidecar/test/stalls/relay"
	"github.com/debugsidecar/debugsidecar/test/stalls/scenario"
)

// name identifies a packet within a stream.
type name struct {
	ssrc, timestamp uint32
	sequence        uint16
}

// reader is an application's thread that reads a socket.
type reader struct {
	relay.Reader
	conn  *net.UDPConn
	dst   netip.AddrPort
	known map[name]int // the number of the packet
	read  map[int]time.Duration

	readings []relay.Reading // by watch
}

// listen opens a stream's socket.
func listen(g scenario.Group, s *relay.Stream, packets []relay.Packet) (*reader, error) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(s.Dst))
	if err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		conn.Close()
		return nil, err
	}
	err = raw.Control(func(fd uintptr) {
		// The kernel doubles what it is told. The first needs CAP_NET_ADMIN, the
		// second may give less; what the socket then drops is measured, not assumed.
		if syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUFFORCE, g.App.Buffer/2) != nil {
			syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, g.App.Buffer/2)
		}
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	r := &reader{Reader: relay.NewReader(g, s.Number, false), conn: conn, dst: s.Dst, known: map[name]int{}, read: map[int]time.Duration{}}
	for i, p := range packets {
		if int(p.Stream) == s.Number && p.Control == 0 && !p.Duplicate {
			r.known[name{s.Sessions[p.Session].SSRC, p.Timestamp, p.Sequence}] = i
		}
	}
	return r, nil
}

// run reads until the context ends.
func (r *reader) run(ctx context.Context, start time.Time) error {
	buf := make([]byte, 2048)
	owed := time.Duration(0)
	for {
		now := time.Since(start)
		at, service := r.Runs(now)
		if sleep(ctx, at-now) != nil {
			return nil
		}
		n, err := r.conn.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading: %w", err)
		}
		// Shorter sleeps than a millisecond take much longer than they should.
		if owed += service; owed > 2*time.Millisecond {
			if sleep(ctx, owed) != nil {
				return nil
			}
			owed = 0
		}
		if b := buf[:n]; n >= 12 {
			id := name{binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint16(b[2:])}
			if i, ok := r.known[id]; ok {
				if _, again := r.read[i]; !again {
					r.read[i] = time.Since(start)
				}
			}
		}
	}
}

// collect replaces in a stream, from the start on, what was foreseen by what was.
func (r *reader) collect(s *relay.Stream, packets []relay.Packet, duration time.Duration) {
	s.Losses = slices.DeleteFunc(s.Losses, func(l relay.Loss) bool { return l.Socket && l.At >= 0 })
	again := map[int32]bool{}
	for i, p := range packets {
		if int(p.Stream) != s.Number || p.Control != 0 || p.Duplicate {
			continue
		}
		f := &s.Frames[p.Frame]
		if !again[p.Frame] {
			again[p.Frame] = true
			f.Arrived, f.Read, f.ArrivedAt, f.ReadAt = 0, 0, 0, 0
		}
		f.Arrived++
		f.ArrivedAt = max(f.ArrivedAt, p.Arrived)
		at, ok := r.read[i]
		if !ok {
			s.Losses = append(s.Losses, relay.Loss{At: p.Arrived, Socket: true})
			continue
		}
		f.Read++
		f.ReadAt = max(f.ReadAt, at)
	}
	slices.SortFunc(s.Losses, func(a, b relay.Loss) int { return cmp.Compare(a.At, b.At) })
	s.Readings = r.readings
	s.Calm = s.Calm[:min(len(s.Calm), len(s.Readings))]
	s.Readings = s.Readings[:len(s.Calm)]
	// Nothing is known of what comes after.
	if end := slices.IndexFunc(s.Frames, func(f relay.Frame) bool { return f.Sent > duration }); end > 0 {
		s.Frames = s.Frames[:end]
		s.Sessions = slices.DeleteFunc(s.Sessions, func(session relay.Session) bool { return session.First >= end })
	}
}
