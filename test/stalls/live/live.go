// Package live lets a scenario run in real time, over real sockets on loopback:
// real receive buffers fill, and a probe beside can be judged by the same truth.
//
// The relay is the same as in virtual time: what arrives when is known before.
// Each packet is sent when it is to arrive at the pod's interface, and a reader
// of each socket, with the receiver's faults, notes when it got it. The truth is
// made of what was really sent and read, so a busy machine makes other stalls,
// not a false truth.
//
// Sources have addresses in 127.1.0.0/16, receivers in 127.2.0.0/16. All is in
// the network namespace of the process.
package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/debugsidecar/debugsidecar/test/stalls/record"
	"github.com/debugsidecar/debugsidecar/test/stalls/relay"
	"github.com/debugsidecar/debugsidecar/test/stalls/scenario"
)

// lab is a scenario that runs.
type lab struct {
	scenario scenario.Scenario
	groups   []relay.Result
	start    time.Time
	readers  []*reader
	conns    map[[2]netip.AddrPort]*net.UDPConn
}

// margin is how long before the scenario's end the truth ends: whether a picture
// is missing is known only when the next one should be there.
const margin = time.Second

// Run lets a scenario run, which takes as long as it is, and returns what was:
// the packets as they were sent, the sockets as /proc/net/udp had them, and the
// truth. The sockets are open, and ready is called, before anything is sent.
func Run(ctx context.Context, s scenario.Scenario, ready func()) (record.Recording, error) {
	l := &lab{scenario: s, conns: map[[2]netip.AddrPort]*net.UDPConn{}}
	defer l.close()
	if err := l.open(); err != nil {
		return record.Recording{}, err
	}
	ready()
	// The truth's start is in whole seconds.
	l.start = time.Now().Truncate(time.Second).Add(2 * time.Second)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	failed := make([]error, len(l.readers)+1)
	for i, r := range l.readers {
		running.Go(func() { failed[i] = r.run(ctx, l.start) })
	}
	running.Go(func() { failed[len(failed)-1] = l.watch(ctx) })
	err := l.send(ctx)
	cancel()
	for _, r := range l.readers {
		// It may be in a read.
		r.conn.SetReadDeadline(time.Unix(1, 0))
	}
	running.Wait()
	if err := errors.Join(err, errors.Join(failed...)); err != nil {
		return record.Recording{}, err
	}
	l.collect()
	l.scenario.Duration -= margin
	return record.Of(l.scenario, l.groups, l.start.Unix()), nil
}

// open lets the relay run and opens the receivers' sockets.
func (l *lab) open() error {
	l.scenario.Groups = slices.Clone(l.scenario.Groups)
	for i := range l.scenario.Groups {
		g := &l.scenario.Groups[i]
		// A thread that polls would need a timer that a busy machine hasn't.
		g.App.Poll = 0
		g.Streams = slices.Clone(g.Streams)
		for j := range g.Streams {
			s := &g.Streams[j]
			s.Src = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i + 1)}), s.Src.Port())
			s.Dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 2, byte(i >> 8), byte(i + 1)}), s.Dst.Port())
		}
		result := relay.Run(*g, l.scenario.Duration)
		result.Packets = slices.Clone(result.Captured(l.scenario.Duration))
		l.groups = append(l.groups, result)
		for j := range result.Streams {
			r, err := listen(*g, &result.Streams[j], result.Packets)
			if err != nil {
				return err
			}
			l.readers = append(l.readers, r)
		}
	}
	return nil
}

func (l *lab) close() {
	for _, r := range l.readers {
		r.conn.Close()
	}
	for _, c := range l.conns {
		c.Close()
	}
}

// send sends all packets when they are to arrive, and notes when that was.
func (l *lab) send(ctx context.Context) error {
	type due struct{ group, packet int }
	var all []due
	for i, g := range l.groups {
		for j := range g.Packets {
			all = append(all, due{i, j})
		}
	}
	packet := func(d due) *relay.Packet { return &l.groups[d.group].Packets[d.packet] }
	slices.SortStableFunc(all, func(a, b due) int { return cmp.Compare(packet(a).Arrived, packet(b).Arrived) })
	buf := make([]byte, 0, 2048)
	for _, d := range all {
		p := packet(d)
		s := l.groups[d.group].Streams[p.Stream]
		if err := sleep(ctx, time.Until(l.start.Add(p.Arrived))); err != nil {
			return err
		}
		conn, err := l.conn(s, *p)
		if err != nil {
			return err
		}
		p.Arrived = time.Since(l.start)
		// A port without a receiver, as of RTCP, refuses: that is not ours to tell.
		if _, err := conn.Write(record.Datagram(buf, s, *p)); err != nil && p.Control == 0 {
			return fmt.Errorf("sending to %s: %w", s.Dst, err)
		}
	}
	return sleep(ctx, time.Until(l.start.Add(l.scenario.Duration)))
}

func (l *lab) conn(s relay.Stream, p relay.Packet) (*net.UDPConn, error) {
	src, dst := record.Addresses(s, p)
	key := [2]netip.AddrPort{src, dst}
	if c := l.conns[key]; c != nil {
		return c, nil
	}
	c, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(src), net.UDPAddrFromAddrPort(dst))
	if err != nil {
		return nil, err
	}
	l.conns[key] = c
	return c, nil
}

// collect replaces what the relay foresaw by what was.
func (l *lab) collect() {
	next := 0
	for _, g := range l.groups {
		for j := range g.Streams {
			l.readers[next].collect(&g.Streams[j], g.Packets, l.scenario.Duration)
			next++
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
