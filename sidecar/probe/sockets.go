package probe

import (
	"github.com/debugsidecar/debugsidecar/bpf/drop"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

// sockets is what waits and what was dropped at the pod's UDP sockets, by port.
type sockets struct {
	byPort map[uint16]sample.Socket
	// drops are each socket's as read before.
	drops map[uint64]uint64
	spare map[uint64]uint64
	// busy are ports at which something once waited or was dropped.
	busy  map[uint16]bool
	first bool
}

func newSockets() *sockets {
	return &sockets{
		byPort: map[uint16]sample.Socket{}, drops: map[uint64]uint64{}, spare: map[uint64]uint64{},
		busy: map[uint16]bool{}, first: true,
	}
}

// read takes the table of sockets as it is now. Several sockets of a port
// (SO_REUSEPORT) are summed up.
func (s *sockets) read(all []drop.Socket) {
	clear(s.byPort)
	s.drops, s.spare = s.spare, s.drops
	clear(s.drops)
	for _, one := range all {
		entry := s.byPort[one.Port]
		entry.Known = true
		entry.Queue += one.Queue
		before, seen := s.spare[one.Inode]
		switch {
		case seen && one.Drops >= before:
			entry.Drops += one.Drops - before
		case !seen && !s.first:
			entry.Drops += one.Drops // it is new: all of them are
		}
		s.drops[one.Inode] = one.Drops
		s.byPort[one.Port] = entry
		if one.Queue > 0 || entry.Drops > 0 {
			s.busy[one.Port] = true
		}
	}
	s.first = false
}
