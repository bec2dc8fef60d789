package streams

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Config says what is sent. The zero value of a field takes its default, which
// together are 720p at 30 frames and about 2.3 Mbit a second.
type Config struct {
	// Via is the interface that all leave by.
	Via Link
	// From is the sender, whose port is that of the first flow; the others have
	// the next ports. To is the receiver. Both are IPv4.
	From, To netip.AddrPort
	// Flows is how many there are. Default 1200.
	Flows int
	// FramesPerSecond, PacketsPerFrame and PayloadBytes are those of each flow.
	// Default 30, 8 and 1200.
	FramesPerSecond, PacketsPerFrame, PayloadBytes int
	// Threads share the flows between them. Default 2.
	Threads int
}

// PayloadType and ClockRate are those of all flows.
const (
	PayloadType = 96
	ClockRate   = 90000
)

func (c *Config) defaults() {
	for field, value := range map[*int]int{
		&c.Flows: 1200, &c.FramesPerSecond: 30, &c.PacketsPerFrame: 8, &c.PayloadBytes: 1200, &c.Threads: 2,
	} {
		if *field == 0 {
			*field = value
		}
	}
}

// Flow is what was sent of one flow.
type Flow struct {
	SSRC            uint32
	Source          netip.AddrPort
	Packets, Frames uint64
}

// Sender sends all flows.
type Sender struct {
	config  Config
	sockets []int // of each thread, as the next
	frames  []*frame
	flows   []Flow
	seq     []uint16
}

// Pace says how a run went.
type Pace struct {
	// Packets were sent; Refused the kernel had no room for.
	Packets, Refused uint64
	// Frames were sent, of which Late left after the next one of their flow was
	// due.
	Frames, Late uint64
	// Took is how long the run was, Latest how far a frame was behind its time.
	Took, Latest time.Duration
}

// Add puts another run's figures to these.
func (p Pace) Add(o Pace) Pace {
	return Pace{
		Packets: p.Packets + o.Packets, Refused: p.Refused + o.Refused, Frames: p.Frames + o.Frames, Late: p.Late + o.Late,
		Took: p.Took + o.Took, Latest: max(p.Latest, o.Latest),
	}
}

// Held says whether all packets left, and of 100 frames 99 in time.
func (p Pace) Held() bool { return p.Refused == 0 && p.Late*100 <= p.Frames }

// NewSender opens its sockets in the network namespace of the calling
// thread.
func NewSender(c Config) (*Sender, error) {
	c.defaults()
	s := &Sender{
		config: c, flows: make([]Flow, c.Flows), seq: make([]uint16, c.Flows),
	}
	for range c.Threads {
		socket, err := c.Via.open()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("socket of a sender: %w", err), s.Close())
		}
		s.sockets = append(s.sockets, socket)
		s.frames = append(s.frames, newFrame(c))
	}
	for i := range s.flows {
		source := netip.AddrPortFrom(c.From.Addr(), c.From.Port()+uint16(i))
		s.flows[i] = Flow{SSRC: 0x10000000 + uint32(i), Source: source}
		s.seq[i] = uint16(i * 7919) // some wrap early
	}
	return s, nil
}

// Flows returns what was sent so far. Not while Run runs.
func (s *Sender) Flows() []Flow { return s.flows }

// Run sends for d, whole rounds of one frame a flow; they are spread evenly over
// the time between two frames. Sequence numbers and timestamps go on from run to
// run.
func (s *Sender) Run(d time.Duration) (Pace, error) {
	start := time.Now()
	paces := make([]Pace, s.config.Threads)
	errs := make([]error, s.config.Threads)
	var threads sync.WaitGroup
	for i := range paces {
		threads.Go(func() { paces[i], errs[i] = s.thread(i, start, d) })
	}
	threads.Wait()
	var pace Pace
	for _, p := range paces {
		pace = pace.Add(p)
	}
	pace.Took = time.Since(start)
	return pace, errors.Join(errs...)
}

// thread sends every nth flow.
func (s *Sender) thread(first int, start time.Time, d time.Duration) (pace Pace, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	interval := time.Second / time.Duration(s.config.FramesPerSecond)
	step := interval / time.Duration(len(s.flows)) // between two frames, of whatever flow
	for round := time.Duration(0); (round+1)*interval <= d; round++ {
		for i := first; i < len(s.flows); i += s.config.Threads {
			due := round*interval + time.Duration(i)*step
			now := time.Since(start)
			if now < due {
				nap(max(due-now, time.Millisecond)) // one nap for the frames of a millisecond
				now = time.Since(start)
			}
			pace.Frames++
			pace.Latest = max(pace.Latest, now-due)
			if now-due > interval {
				pace.Late++
			}
			sent, err := s.send(i, s.sockets[first], s.frames[first])
			if err != nil {
				return pace, err
			}
			pace.Packets += uint64(sent)
			pace.Refused += uint64(s.config.PacketsPerFrame - sent)
		}
	}
	return pace, nil
}

// send sends a flow's next frame and returns how many packets of it left.
func (s *Sender) send(i, socket int, frame *frame) (int, error) {
	f := &s.flows[i]
	timestamp := uint32(f.Frames) * uint32(ClockRate/s.config.FramesPerSecond)
	sent, err := frame.send(socket, f.Source, s.seq[i], timestamp, f.SSRC)
	s.seq[i] += uint16(s.config.PacketsPerFrame) // a refused packet is a lost one
	f.Packets += uint64(sent)
	f.Frames++
	return sent, err
}

// Close closes the sockets.
func (s *Sender) Close() error {
	var errs []error
	for _, socket := range s.sockets {
		errs = append(errs, unix.Close(socket))
	}
	s.sockets = nil
	return errors.Join(errs...)
}

func sockaddr(a netip.AddrPort) (family int, addr unix.Sockaddr) {
	if a.Addr().Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}

// nap sleeps in the kernel, on this thread: the runtime's timers would wake
// others.
func nap(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&ts, nil)
}
