package drop

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/bpf/netns"
)

// Options of Open. The zero value counts the drops of the caller's network
// namespace, by the best tier.
type Options struct {
	// Target says whose drops are counted.
	Target bpf.Target
	// Detail also gives each drop as an Event. It costs about 0.4 us more a drop.
	Detail bool
	// RingBytes is the ring's size, a power of two and a multiple of the page
	// size; an event takes 88 bytes. Default 1 MiB.
	RingBytes int
	// MaxTier, if set, is the best tier that is tried.
	MaxTier bpf.Tier
	// ProcNet is the /proc directory that the user tier and CrossCheck read:
	// /proc/PID/net of a process in the target's namespace. Default: the
	// calling thread's own, if that is the target.
	ProcNet string
}

// Count is how often packets were dropped for one reason since Open.
type Count struct {
	// Netns is the inode number of the network namespace; 0 in the user tier,
	// and with Target.All for drops that nobody can tell whose they were.
	Netns uint32
	// Reason is the kernel's name, as SOCKET_RCVBUFF.
	Reason string
	// Family is AF_INET (2), AF_INET6 (10), or 0 for what is not IP.
	Family uint16
	// Proto is IP's protocol number: 6 for TCP, 17 for UDP.
	Proto uint8
	// Drops is the number of packets.
	Drops uint64
}

// Event is one packet that was dropped.
type Event struct {
	// Ktime is when.
	Ktime clock.Ktime
	// Netns, Reason, Family and Proto are as in Count.
	Netns  uint32
	Reason string
	Family uint16
	Proto  uint8
	// Src and Dst are the packet's addresses; the ports are 0 if the packet
	// has none. Invalid for what is not IP.
	Src, Dst netip.AddrPort
	// Interface is the index of the device that the packet came by or was to
	// leave by; 0 if the kernel did not know it any more.
	Interface int
	// Len is the packet's length in bytes from the network header on, or less
	// where the kernel had consumed headers already.
	Len uint32
	// RTP is the packet's RTP header, nil if it has none.
	RTP *RTP
}

// RTP is what an RTP header says (RFC 3550, section 5.1). Any UDP payload that
// could be one is taken for one; who knows the flow compares SSRC.
type RTP struct {
	SSRC, Timestamp uint32
	Seq             uint16
	PayloadType     uint8
}

// Stats is what the probe could not do, since Open. All but the noise are 0 in
// good times.
type Stats struct {
	// LostEvents were counted, but did not reach the reader: the ring was full.
	LostEvents uint64
	// OverflowedDrops are in no Count: too many kinds (4096) were there already.
	OverflowedDrops uint64
	// UnattributedDrops are drops, anywhere on the node, of packets that had
	// neither socket nor device, so nobody can tell whose they were;
	// UnattributedNoise are those of ClassNoise, as what waits in a UDP socket
	// that is closed. Not known for a control group: 0.
	UnattributedDrops, UnattributedNoise uint64
	// MissedRuns are drops, anywhere on the node, that interrupted the program
	// itself: the kernel does not run it then.
	MissedRuns uint64
}

// source is a tier: where figures come from.
type source interface {
	counts() ([]Count, error)
	stats() (Stats, error)
	// events blocks until ctx or the source ends.
	events(context.Context, func(Event)) error
	close() error
}

// Probe counts drops until it is closed. Its methods may be called from several
// goroutines at once.
type Probe struct {
	tier  bpf.Tier
	why   error
	check *procSource // nil where there is no /proc of the target

	mu     sync.RWMutex // held for reading while source is used
	source source
	closed bool
}

// Open starts counting. It fails with an *bpf.UnavailableError when no tier can
// be had: in the user tier that is a target whose /proc/net can't be read.
func Open(o Options) (*Probe, error) {
	own := len(o.Target.Netns) == 0 && o.Target.Cgroup == 0 && !o.Target.All
	if own {
		inode, err := netns.Self()
		if err != nil {
			return nil, &bpf.UnavailableError{What: what, Err: err}
		}
		o.Target.Netns = []uint32{inode}
		if o.ProcNet == "" {
			o.ProcNet = "/proc/thread-self/net"
		}
	}
	var check *procSource
	procErr := errNoProc
	if o.ProcNet != "" {
		check, procErr = openProc(o.ProcNet)
	}
	if o.MaxTier == bpf.TierNone || o.MaxTier == bpf.TierKernel {
		k, err := openKernel(o)
		if err == nil {
			return &Probe{tier: bpf.TierKernel, source: k, check: check}, nil
		}
		if check == nil {
			return nil, err
		}
		return &Probe{tier: bpf.TierUser, why: err, source: check, check: check}, nil
	}
	if check == nil {
		return nil, &bpf.UnavailableError{What: what, Err: procErr}
	}
	return &Probe{tier: bpf.TierUser, why: errors.New("the caller asked for no better tier"), source: check, check: check}, nil
}

const what = "drops in the kernel"

var errNoProc = errors.New("the target's /proc/PID/net is not known")

// Tier returns the tier that Open got.
func (p *Probe) Tier() bpf.Tier { return p.tier }

// Why returns why the tier is not a better one, nil if there is none. It is an
// *bpf.UnavailableError that names missing capabilities.
func (p *Probe) Why() error { return p.why }

// Sees says whether drops of a reason are counted in this tier. A reason that
// is not seen is unavailable, which is not 0.
func (p *Probe) Sees(reason string) bool {
	return p.tier == bpf.TierKernel || seenByProc(reason)
}

// Counts returns what was dropped since Open, only what is above 0, in no
// order. It is one read of a map of at most 4096 entries for each CPU, or of
// two files. After Close the error is os.ErrClosed.
func (p *Probe) Counts() (counts []Count, err error) {
	err = p.use(func() error {
		counts, err = p.source.counts()
		return err
	})
	return counts, err
}

// Stats returns what was missed. After Close the error is os.ErrClosed.
func (p *Probe) Stats() (stats Stats, err error) {
	err = p.use(func() error {
		stats, err = p.source.stats()
		return err
	})
	return stats, err
}

// Events calls fn for each drop, in the order of each CPU, until ctx ends (then
// it returns ctx's error) or the probe is closed (os.ErrClosed). One caller at a
// time; fn must not block. It needs Options.Detail and the kernel tier: else
// the error is an *bpf.UnavailableError at once. An Event belongs to fn.
func (p *Probe) Events(ctx context.Context, fn func(Event)) error {
	p.mu.RLock()
	source, closed := p.source, p.closed
	p.mu.RUnlock()
	if closed {
		return os.ErrClosed
	}
	return source.events(ctx, fn) // not under the lock: Close ends it
}

// Difference is one counter of the kernel's UDP beside what the probe counted.
type Difference struct {
	// Counter is snmp's name: UDP.RcvbufErrors, UDP6.NoPorts.
	Counter string
	// Reason is the probe's name for the same.
	Reason string
	// Proc is the increase since Open in /proc, Probe that of the probe.
	Proc, Probe uint64
}

// CrossCheck returns, for each reason that /proc counts as well, both figures.
// They differ by what is in flight between the two reads, and where the kernel
// drops without an event (raw ICMP sockets). In the user tier both are the
// same. The target must be one network namespace with a known /proc/net.
func (p *Probe) CrossCheck() ([]Difference, error) {
	if p.check == nil {
		return nil, &bpf.UnavailableError{What: "cross-check of drops", Err: errNoProc}
	}
	var differences []Difference
	err := p.use(func() error {
		counts, err := p.source.counts()
		if err != nil {
			return err
		}
		differences, err = p.check.compare(counts)
		return err
	})
	return differences, err
}

// Socket is a UDP socket of the target's namespace, as /proc/net/udp and udp6
// have it.
type Socket struct {
	// Port is the local one.
	Port uint16
	// Inode is the socket's number, as in /proc/PID/fd.
	Inode uint64
	// Queue is the memory in bytes that waiting datagrams take: when it reaches
	// the socket's receive buffer, the next ones are dropped.
	Queue uint64
	// Drops are the datagrams that the socket dropped since it was made.
	Drops uint64
}

// Sockets returns the UDP sockets of the target's namespace: which of them
// drops, and which is about to. It is the same in both tiers and takes no
// capability; the target must be one namespace with a known /proc/net.
func (p *Probe) Sockets() (sockets []Socket, err error) {
	if p.check == nil {
		return nil, &bpf.UnavailableError{What: "sockets of UDP", Err: errNoProc}
	}
	err = p.use(func() error {
		sockets, err = p.check.udpSockets()
		return err
	})
	return sockets, err
}

// Close ends the probe and everything that it holds in the kernel.
func (p *Probe) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	err := p.source.close()
	if p.check != nil && p.tier == bpf.TierKernel {
		err = errors.Join(err, p.check.close())
	}
	if err != nil {
		return fmt.Errorf("%s: closing: %w", what, err)
	}
	return nil
}

func (p *Probe) use(fn func() error) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return os.ErrClosed
	}
	return fn()
}
