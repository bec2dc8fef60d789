package drop

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/internal/kernel"
	"github.com/debugsidecar/debugsidecar/bpf/internal/procnet"
)

// procSource counts with what /proc/net/snmp and snmp6 know of UDP. UDP-Lite
// and raw sockets have other counters and are left out.
type procSource struct {
	mu       sync.Mutex
	counters *procnet.Counters
	sockets  *procnet.Sockets
	start    [2]procnet.UDP // IPv4, IPv6
}

func openProc(dir string) (*procSource, error) {
	counters, err := procnet.OpenCounters(dir)
	if err != nil {
		return nil, fmt.Errorf("counters of UDP: %w", err)
	}
	sockets, err := procnet.OpenUDP(dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sockets of UDP: %w", err), counters.Close())
	}
	p := &procSource{counters: counters, sockets: sockets}
	if p.start[0], p.start[1], _, err = counters.UDP(); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// counter is one of UDP's counters and the reason that it stands for.
type counter struct {
	name, reason string
	value        func(procnet.UDP) uint64
}

// otherErrors is what InErrors has beyond the counters with a reason: IPsec
// policy, a socket's filter, a missing transformation. It is no reason of the
// kernel's.
const otherErrors = "UDP_IN_ERRORS_OTHER"

var procCounters = []counter{
	{"NoPorts", "NO_SOCKET", func(u procnet.UDP) uint64 { return u.NoPorts }},
	{"RcvbufErrors", "SOCKET_RCVBUFF", func(u procnet.UDP) uint64 { return u.RcvbufErrors }},
	{"MemErrors", "PROTO_MEM", func(u procnet.UDP) uint64 { return u.MemErrors }},
	{"InCsumErrors", "UDP_CSUM", func(u procnet.UDP) uint64 { return u.InCsumErrors }},
}

func other(u procnet.UDP) uint64 {
	known := u.RcvbufErrors + u.MemErrors + u.InCsumErrors
	if known > u.InErrors {
		return 0 // read while it grew
	}
	return u.InErrors - known
}

// seenByProc says whether /proc counts a reason. It is so for UDP alone.
func seenByProc(reason string) bool {
	if reason == otherErrors {
		return true
	}
	for _, c := range procCounters {
		if c.reason == reason {
			return true
		}
	}
	return false
}

// families of procSource.start.
var procFamilies = [2]struct {
	af     uint16
	prefix string
}{{familyIPv4, "UDP"}, {familyIPv6, "UDP6"}}

const protoUDP = 17

func (p *procSource) now() (now [2]procnet.UDP, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now[0], now[1], _, err = p.counters.UDP()
	return now, err
}

func (p *procSource) counts() ([]Count, error) {
	now, err := p.now()
	if err != nil {
		return nil, err
	}
	var counts []Count
	add := func(family int, reason string, n uint64) {
		if n > 0 {
			counts = append(counts, Count{Reason: reason, Family: procFamilies[family].af, Proto: protoUDP, Drops: n})
		}
	}
	for family := range now {
		for _, c := range procCounters {
			add(family, c.reason, c.value(now[family])-c.value(p.start[family]))
		}
		before, after := other(p.start[family]), other(now[family])
		add(family, otherErrors, max(after, before)-before)
	}
	return counts, nil
}

func (p *procSource) stats() (Stats, error) { return Stats{}, nil }

func (p *procSource) events(context.Context, func(Event)) error {
	const events = "events of drops"
	if err := kernel.Require(events, bpf.BPF, bpf.Perfmon); err != nil {
		return err
	}
	return &bpf.UnavailableError{What: events, Err: errors.New("the probe is in the user tier")}
}

// compare puts each counter beside what the probe counted for its reason.
func (p *procSource) compare(counted []Count) ([]Difference, error) {
	now, err := p.now()
	if err != nil {
		return nil, err
	}
	var all []Difference
	for family := range now {
		for _, c := range procCounters {
			d := Difference{
				Counter: procFamilies[family].prefix + "." + c.name, Reason: c.reason,
				Proc: c.value(now[family]) - c.value(p.start[family]),
			}
			for _, n := range counted {
				if n.Reason == c.reason && n.Family == procFamilies[family].af && n.Proto == protoUDP {
					d.Probe += n.Drops
				}
			}
			all = append(all, d)
		}
	}
	return all, nil
}

func (p *procSource) udpSockets() (all []Socket, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	err = p.sockets.Each(func(s procnet.Socket) {
		all = append(all, Socket{Port: s.LocalPort, Inode: s.Inode, Queue: s.ReceiveQueue, Drops: s.Drops})
	})
	return all, err
}

func (p *procSource) close() error { return errors.Join(p.counters.Close(), p.sockets.Close()) }
