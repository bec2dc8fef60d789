package rtp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"github.com/cilium/ebpf"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/bpf/internal/kernel"
	"github.com/debugsidecar/debugsidecar/bpf/internal/procnet"
	"github.com/debugsidecar/debugsidecar/bpf/internal/ring"
	"github.com/debugsidecar/debugsidecar/bpf/netns"
)

const what = "figures of RTP"

// Tap watches RTP until it is closed. Its methods may be called from several
// goroutines at once.
type Tap struct {
	options Options
	mode    Mode

	mu      sync.Mutex // all below
	closed  bool
	objects tapObjects
	place   place
	ring    *ring.Reader
	tables  tables
	evicted uint64
	sockets *procnet.Sockets // of the namespace's TCP; nil where /proc has none
}

// place is where packets are looked at.
type place interface {
	// cover sees to interfaces that are new, and returns those that it can't.
	cover() []error
	close() error
}

// Stats is what the tap could not do, since Open. All are 0 in good times.
type Stats struct {
	// RefusedPackets are of flows beyond Options.MaxFlows, RefusedControls RTCP
	// about sources beyond twice that, RefusedStreams segments of interleaved
	// connections beyond 1024.
	RefusedPackets, RefusedControls, RefusedStreams uint64
	// EvictedFlows were silent for Options.IdleTimeout.
	EvictedFlows uint64
	// LostGaps did not reach the reader: the ring was full.
	LostGaps uint64
	// MalformedControls are RTCP packets whose lengths do not add up.
	MalformedControls uint64
	// Uncovered says which interfaces are not watched, and why.
	Uncovered []error
}

// Open starts watching. An *bpf.UnavailableError names what is missing.
func Open(o Options) (*Tap, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if err := kernel.Require(what, needs(o.Mode)...); err != nil {
		return nil, err
	}
	if o.Netns == "" {
		o.Netns = "/proc/thread-self/ns/net"
		self, err := netns.Self()
		if err != nil {
			return nil, &bpf.UnavailableError{What: what, Err: err}
		}
		// It must be found again from another thread.
		if pid := netns.PathOf(os.Getpid()); sameInode(pid, self) {
			o.Netns = pid
		}
	}
	t := &Tap{options: o, mode: max(o.Mode, Packet)}
	err := netns.Do(o.Netns, func() error {
		if len(o.Ports) == 0 && netns.IsHost() {
			return errors.New("this is the node's network namespace, with every pod's traffic: name the ports to watch")
		}
		return t.load()
	})
	if err != nil {
		return nil, errors.Join(kernel.Explain(what, err), t.Close())
	}
	return t, nil
}

func needs(m Mode) []bpf.Capability {
	if m == TCX {
		return []bpf.Capability{bpf.BPF, bpf.NetAdmin}
	}
	return []bpf.Capability{bpf.BPF, bpf.NetRaw}
}

func sameInode(path string, inode uint32) bool {
	other, err := netns.Inode(path)
	return err == nil && other == inode
}

func (t *Tap) load() error {
	spec, err := loadTap()
	if err != nil {
		return err
	}
	if err := spec.Variables["rates"].Set(t.options.rates()); err != nil {
		return err
	}
	if err := spec.Variables["explicit_ports"].Set(len(t.options.Ports) > 0); err != nil {
		return err
	}
	spec.Maps["flows"].MaxEntries = uint32(t.options.MaxFlows)
	spec.Maps["controls"].MaxEntries = uint32(2 * t.options.MaxFlows)
	// The kernel parts an LRU map's room between CPUs, in lots of 128.
	spec.Maps["candidates"].MaxEntries = uint32(2*t.options.MaxFlows + 256*runtime.NumCPU())
	spec.Maps["gaps"].MaxEntries = uint32(t.options.RingBytes)
	// Only the programs of the mode are loaded: others may be unknown here.
	if t.mode == TCX {
		delete(spec.Programs, "tap_packet")
		delete(spec.Programs, "tap_packet_all")
	} else {
		spec.Maps["next"].Contents = []ebpf.MapKV{{Key: uint32(0), Value: "tap_packet_all"}}
		delete(spec.Programs, "tap_ingress")
		delete(spec.Programs, "tap_egress")
	}
	collection, err := ebpf.NewCollection(spec)
	if err != nil {
		return fmt.Errorf("loading: %w", err)
	}
	defer collection.Close() // what is assigned is taken out of it
	if err := collection.Assign(&t.objects.tapMaps); err != nil {
		return err
	}
	for _, port := range t.options.Ports {
		if err := t.objects.MediaPorts.Put(port, uint8(1)); err != nil {
			return fmt.Errorf("port %d: %w", port, err)
		}
	}
	if t.ring, err = ring.NewReader(t.objects.Gaps); err != nil {
		return err
	}
	t.tables.init(t.options.MaxFlows)
	// The files are those of the namespace that this thread is in, whoever reads
	// them later. Without them receive queues are not known.
	t.sockets, _ = procnet.OpenTCP("/proc/thread-self/net")
	if t.mode == TCX {
		t.place, err = openTCX(t.options.Netns, collection.DetachProgram("tap_ingress"), collection.DetachProgram("tap_egress"))
	} else {
		t.place, err = openPacket(collection.DetachProgram("tap_packet"))
	}
	return err
}

// Mode returns where the tap looks.
func (t *Tap) Mode() Mode { return t.mode }

// Stats returns what was missed. After Close the error is os.ErrClosed.
func (t *Tap) Stats() (stats Stats, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return stats, os.ErrClosed
	}
	var perCPU []tapState
	if err := t.objects.States.Lookup(uint32(0), &perCPU); err != nil {
		return stats, fmt.Errorf("%s: reading the state: %w", what, err)
	}
	for i := range perCPU {
		stats.RefusedPackets += perCPU[i].Refused
		stats.RefusedControls += perCPU[i].ControlRefused
		stats.RefusedStreams += perCPU[i].TcpRefused
		stats.LostGaps += perCPU[i].GapsLost
		stats.MalformedControls += perCPU[i].Malformed
	}
	stats.EvictedFlows = t.evicted
	stats.Uncovered = t.place.cover()
	return stats, nil
}

// Gaps calls fn for each gap until ctx ends (then it returns ctx's error) or the
// tap is closed (os.ErrClosed). One caller at a time; fn must not block.
func (t *Tap) Gaps(ctx context.Context, fn func(Gap)) error {
	t.mu.Lock()
	closed := t.closed
	t.mu.Unlock()
	if closed {
		return os.ErrClosed
	}
	return t.ring.Each(ctx, func(sample []byte) error {
		g, err := decodeGap(sample)
		if err == nil {
			fn(g)
		}
		return err
	})
}

// Close ends the tap and everything that it holds in the kernel.
func (t *Tap) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	var errs []error
	if t.place != nil {
		errs = append(errs, t.place.close())
	}
	if t.sockets != nil {
		errs = append(errs, t.sockets.Close())
	}
	errs = append(errs, t.ring.Close(), t.objects.Close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%s: closing: %w", what, err)
	}
	return nil
}

// What is known of the packets around a gap (flow.h).
const (
	ends = 1 << iota
	legible
	begins
)

func decodeGap(b []byte) (Gap, error) {
	var raw tapGap
	if err := unmarshal(b, &raw); err != nil {
		return Gap{}, err
	}
	g := Gap{
		Ktime: clock.Ktime(raw.Ktime), SSRC: raw.Key.Ssrc, Interface: int(raw.Key.Ifindex),
		Direction: Direction(raw.Key.Direction), First: raw.First, Count: int(raw.Count), Before: raw.Before, After: raw.After,
		Filled: raw.Filled != 0, Ends: raw.Around&ends != 0, Legible: raw.Around&legible != 0, Begins: raw.Around&begins != 0,
	}
	g.Src, g.Dst = addresses(&raw.Key)
	return g, nil
}
