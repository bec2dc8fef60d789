package rtp

// The tap's own constants (bpf/rtp/flow.h).
const (
	window     = 512
	maxDropout = 3000 // RFC 3550, A.1
	timestamps = 8    // frames that may be under way at once
	agree      = 5    // packets that have to agree before a flow is one
	near       = 64   // how far apart their sequence numbers may be
)

// sequence counts what of a source's sequence numbers came (RFC 3550, A.1 and
// A.3).
type sequence struct {
	begun                    bool
	base, max, unique        uint64
	lostBefore               uint64
	duplicates, reordered    uint64
	outliers, restarts, gaps uint64
	restarting               bool
	restartSeq               uint16
	seen                     [window / 64]uint64
}

func (s *sequence) set(seq uint16) { s.seen[seq>>6%(window/64)] |= 1 << (seq & 63) }

func (s *sequence) was(seq uint16) bool { return s.seen[seq>>6%(window/64)]>>(seq&63)&1 == 1 }

func (s *sequence) forget(first uint16, count int) {
	for i := range count {
		seq := first + uint16(i)
		s.seen[seq>>6%(window/64)] &^= 1 << (seq & 63)
	}
}

func (s *sequence) start(seq uint16) {
	s.base = 0x10000 + uint64(seq) // room below, for packets that the first one overtook
	s.max = s.base
	s.unique = 0
	s.seen = [window / 64]uint64{}
}

// place sets a packet's place. It is false for an outlier, whose timestamp says
// nothing.
func (s *sequence) place(seq uint16) bool {
	ahead := seq - uint16(s.max)
	behind := -ahead
	switch {
	case !s.begun:
		s.begun = true
		s.start(seq)
	case ahead == 1:
		s.max++
		// The bit is set below, whatever it was.
	case ahead != 0 && ahead < maxDropout:
		s.gaps++
		if ahead >= window {
			s.seen = [window / 64]uint64{}
		} else {
			s.forget(uint16(s.max)+1, int(ahead))
		}
		s.max += uint64(ahead)
	case behind < window:
		if s.was(seq) {
			s.duplicates++
			return true
		}
		s.reordered++
		s.unique++
		s.base = min(s.base, s.max-uint64(behind)) // nobody missed what is below
		s.set(seq)
		return true
	case s.restarting && seq == s.restartSeq:
		// Two in a row: the source began anew.
		s.lostBefore += s.max - s.base + 1 - s.unique
		s.restarts++
		s.outliers--
		s.start(seq - 1)
		s.unique = 1
		s.set(seq - 1)
		s.max++
	default:
		s.restarting, s.restartSeq = true, seq+1
		s.outliers++
		return false
	}
	s.restarting = false
	s.unique++
	s.set(seq)
	return true
}

func (s *sequence) lost() uint64 {
	lost := s.lostBefore
	if expected := s.max - s.base + 1; s.begun && expected > s.unique {
		lost += expected - s.unique
	}
	return lost
}
