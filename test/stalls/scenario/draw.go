package scenario

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/debugsidecar/debugsidecar/test/stalls/frames"
)

// die draws what a scenario consists of.
type die struct{ *rand.Rand }

func (d die) chance(p float64) bool { return d.Float64() < p }

func (d die) between(low, high float64) float64 { return low + d.Float64()*(high-low) }

// log is between, but each factor is as likely.
func (d die) log(low, high float64) float64 {
	return math.Exp(d.between(math.Log(low), math.Log(high)))
}

func (d die) seconds(low, high float64) time.Duration {
	return time.Duration(d.between(low, high) * float64(time.Second))
}

func (d die) logSeconds(low, high float64) time.Duration {
	return time.Duration(d.log(low, high) * float64(time.Second))
}

func pick[T any](d die, of ...T) T { return of[d.IntN(len(of))] }

// Draw returns the scenario of a seed: as many video streams as asked for, in
// groups, some with audio beside.
func Draw(seed uint64, duration time.Duration, streams int) (Scenario, error) {
	clips, err := frames.Clips()
	if err != nil {
		return Scenario{}, err
	}
	if len(clips) == 0 {
		return Scenario{}, fmt.Errorf("no frame sizes: go generate ./test/stalls/frames writes them")
	}
	s := Scenario{Seed: seed, Duration: duration}
	d := die{rand.New(rand.NewPCG(seed, 1))}
	for n := 0; n < streams; {
		size := 1
		if d.chance(.35) {
			size = 2 + d.IntN(3)
		}
		size = min(size, streams-n)
		// A group draws from its own source, so that a change in one leaves the
		// others as they were.
		g := drawGroup(die{rand.New(rand.NewPCG(seed, uint64(len(s.Groups))+2))}, clips, len(s.Groups), size, duration)
		s.Groups = append(s.Groups, g)
		n += size
	}
	return s, nil
}

func drawGroup(d die, clips []frames.Clip, number, size int, duration time.Duration) Group {
	g := Group{Seed: d.Uint64()}
	v6 := d.chance(.1)
	camera, pod := address(v6, 1, number), address(v6, 2, number)
	for i := range size {
		port := uint16(20000 + 16*i + 2*d.IntN(4))
		g.Streams = append(g.Streams, drawVideo(d, clips, netip.AddrPortFrom(camera, uint16(30000+2*d.IntN(4000))), netip.AddrPortFrom(pod, port), duration))
		if d.chance(.15) {
			g.Streams = append(g.Streams, drawAudio(d, netip.AddrPortFrom(camera, uint16(40000+2*d.IntN(4000))), netip.AddrPortFrom(pod, port+8)))
		}
	}
	g.Link, g.App = drawLink(d, g), drawApp(d)
	// A fifth of the groups have no faults at all, some only blips.
	switch {
	case d.chance(.2):
	case d.chance(.12):
		g.Faults = drawFaults(d, g, duration, true)
	default:
		g.Faults = drawFaults(d, g, duration, false)
	}
	return g
}

func address(v6 bool, host, number int) netip.Addr {
	if v6 {
		return netip.MustParseAddr(fmt.Sprintf("2001:db8::%x:%x", host, number+1))
	}
	return netip.AddrFrom4([4]byte{10, byte(host), byte(number >> 8), byte(number + 1)})
}

func drawVideo(d die, clips []frames.Clip, src, dst netip.AddrPort, duration time.Duration) Stream {
	fps := pick(d, 10, 12.5, 15, 20, 24, 25, 25, 29.97, 30, 30, 30, 50, 60)
	s := Stream{
		Media: Video, Src: src, Dst: dst,
		SSRC: d.Uint32(), Sequence: uint16(d.Uint32()), Timestamp: d.Uint32(),
		PayloadType: uint8(96 + d.IntN(16)), ClockRate: 90000,
		Interval: time.Duration(float64(time.Second) / fps),
		Bitrate:  1e6 * .3 * math.Exp(math.Pow(d.Float64(), 1.3)*math.Log(8/.3)),
		Clip:     pick(d, clips...), KeyScale: 1,
		Start:   -d.seconds(0, 20),
		Drift:   d.NormFloat64() * 30e-6,
		Wobble:  d.logSeconds(.0001, .004),
		Payload: pick(d, 1188, 1188, 1188, 1100, 988, 1300),
	}
	s.First = d.IntN(len(s.Clip.Frames))
	if d.chance(.1) {
		s.Timestamp = math.MaxUint32 - uint32(d.IntN(90000*int(duration.Seconds()+1)))
	}
	if d.chance(.08) {
		s.ClockRate = pick[uint32](d, 1000, 25000, 48000)
	}
	if d.chance(.06) {
		s.Drift *= 8
	}
	s.Counted, s.Stamped = d.chance(.03), d.chance(.15)
	if d.chance(.3) {
		// It starts within the capture, with a key frame.
		s.Start, s.First = d.seconds(.5, duration.Seconds()/3), 0
	}
	if d.chance(.5) {
		s.Spread = d.between(.1, .85)
	}
	if d.chance(.6) {
		s.ReportPort = dst.Port()
		if d.chance(.6) {
			s.ReportPort++
		}
	}
	// Key frames of 2 to 10 times the mean of others, as far as the clip's are not.
	ratio := d.log(2, 10)
	s.KeyScale = ratio * s.Clip.MeanOther / s.Clip.MeanKey
	mean := s.Clip.Keys*s.Clip.MeanKey*s.KeyScale + (1-s.Clip.Keys)*s.Clip.MeanOther
	s.Scale = s.Bitrate / 8 * s.Interval.Seconds() / mean
	return s
}

func drawAudio(d die, src, dst netip.AddrPort) Stream {
	s := Stream{
		Media: Audio, Src: src, Dst: dst,
		SSRC: d.Uint32(), Sequence: uint16(d.Uint32()), Timestamp: d.Uint32(),
		PayloadType: 0, ClockRate: 8000, Interval: 20 * time.Millisecond, Bitrate: 64000,
		Start: -d.seconds(0, 5), Wobble: d.logSeconds(.0001, .002), Payload: 160,
	}
	if d.chance(.5) {
		s.PayloadType, s.ClockRate, s.Bitrate = 111, 48000, 32000
	}
	return s
}

func drawLink(d die, g Group) Link {
	l := Link{
		BitsPerSecond: g.Bitrate() * d.log(2.5, 20),
		Delay:         d.logSeconds(.001, .08),
		Jitter:        d.logSeconds(.0001, .02),
	}
	// At least what the largest key frames take if all come at once.
	largest := 0.0
	for _, s := range g.Streams {
		if s.Media == Video {
			largest += s.Clip.MeanKey * s.KeyScale * s.Scale
		}
	}
	// Mostly a router's, of up to a second; some are bloated.
	seconds := d.log(.05, 1)
	if d.chance(.25) {
		seconds = d.log(1, 6)
	}
	l.QueueBytes = max(g.Bitrate()/8*seconds, 2.5*largest, 48<<10)
	if d.chance(.5) {
		l.Loss = d.log(1e-6, 3e-4)
	}
	if d.chance(.3) {
		l.Reorder = d.log(1e-4, 5e-3)
	}
	if d.chance(.2) {
		l.Duplicate = d.log(1e-5, 1e-3)
	}
	return l
}

func drawApp(d die) App {
	a := App{
		// The default, what cameras' software asks for, and more.
		Buffer: pick(d, 212992, 212992, 425984, 425984, 425984, 1<<20, 1<<20, 2<<20, 8<<20),
		Load:   d.log(.01, .5),
	}
	if d.chance(.3) {
		a.Poll = pick[time.Duration](d, 5, 10, 20, 33) * time.Millisecond
	}
	return a
}
