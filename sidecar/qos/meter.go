package qos

import (
	"math"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

// span is what a Window is over.
const span = 10 * time.Second

const slots = int(span / sample.Interval)

// slot is one sample's part of the sums.
type slot struct {
	nanoseconds            int64
	packets, bytes, frames uint64
	lost                   int64
	pli, nack, drops       uint64
	deviation              int64 // millionths of the nominal interval, summed over frames
	deviating              uint64
	freezes                uint64
	frozen                 int64 // nanoseconds
	queue                  uint64
}

// Meter keeps the last ten seconds of one stream. It allocates nothing after
// New, and is not safe for concurrent use.
type Meter struct {
	ring [slots]slot
	sums slot
	next int

	at       clock.Ktime // of the sample before
	newest   time.Duration
	newestAt clock.Ktime
	begun    bool // a frame was seen
	control  bool // feedback was ever seen
	// nominal is the frame interval by the stream's own clock, of the last good
	// period, in nanoseconds; 0 while unknown.
	nominal float64
	// best is the least that arrival was behind the stream's clock.
	best float64
	// freezing is set while no frame came for as long as a freeze takes.
	freezing bool
	session  sample.Session
	// keyAt, gop and gopFrames are of the newest key frames; 0 while unknown.
	keyAt     clock.Ktime
	gop       time.Duration
	gopFrames float64
}

// New returns a meter that has seen nothing.
func New() *Meter { return &Meter{} }

// Step takes a sample and returns the window that ends with it.
func (m *Meter) Step(s sample.Sample) Window {
	n := slot{
		packets: s.Media.Packets, bytes: s.Media.Bytes, frames: s.Media.Frames, lost: s.Media.Lost,
		pli: s.Media.PLI, nack: s.Media.NACK, drops: s.Kernel.Drops, queue: s.Socket.Queue,
	}
	if m.at != 0 && s.At > m.at {
		n.nanoseconds = int64(s.At - m.at)
	} else {
		n.nanoseconds = int64(sample.Interval)
	}
	m.control = m.control || s.Media.Control
	if s.Session.Open || s.Session.Frames > 0 {
		m.session = s.Session
	}
	if s.Media.Known {
		m.pace(&s, &n)
		m.keys(&s.Media)
	}
	m.push(&n)
	m.at = s.At
	return m.window(&s)
}

// freezeAfter is the W3C's least gap between rendered frames that is a freeze,
// in nanoseconds (webrtc-stats, freezeCount).
func freezeAfter(d float64) float64 { return math.Max(3*d, d+150e6) }

// smoothing is the weight of a new interval in the nominal one.
const smoothing = 0.1

// drift is how much a source's clock may be slower than ours, in parts.
const drift = 100e-6

// pace follows the frames' times.
func (m *Meter) pace(s *sample.Sample, n *slot) {
	media := &s.Media
	if media.Restarted || !m.begun {
		m.begun = media.Restarted || media.Packets > 0
		m.newest, m.newestAt, m.freezing = media.Newest, media.NewestAt, false
		m.best = float64(int64(media.NewestAt)) - float64(media.Newest)
		return
	}
	behind := float64(int64(media.NewestAt)) - float64(media.Newest)
	m.best = math.Min(behind, m.best+drift*float64(n.nanoseconds))
	gap, frames := float64(media.NewestAt-m.newestAt), float64(media.Frames)
	if media.Newest > m.newest && frames > 0 {
		step := float64(media.Newest-m.newest) / frames
		m.good(step, media.Lost)
		if m.nominal > 0 {
			n.deviation = int64(math.Min(math.Abs(gap/frames-m.nominal)/m.nominal, 1e3) * frames * 1e6)
			n.deviating = media.Frames
			// Several frames came: the first not before the sample before, and the
			// others not closer than they were sent, if nothing held them back.
			gap = math.Max(gap-(frames-1)*m.nominal, float64(m.at)-float64(m.newestAt))
			if gap >= freezeAfter(m.nominal) {
				m.freeze(n, gap)
			}
		}
		m.newest, m.newestAt, m.freezing = media.Newest, media.NewestAt, false
		return
	}
	if silence := float64(s.At - m.newestAt); m.nominal > 0 && s.At > m.newestAt && silence >= freezeAfter(m.nominal) {
		m.freeze(n, silence)
	}
}

// freeze counts a gap once, and its time as it grows.
func (m *Meter) freeze(n *slot, gap float64) {
	counted := int64(0)
	if m.freezing {
		counted = int64(m.at) - int64(m.newestAt)
	} else {
		n.freezes++
	}
	n.frozen += max(int64(gap)-counted, 0)
	m.freezing = true
}

// good learns the nominal interval while nothing is lost.
func (m *Meter) good(step float64, lost int64) {
	switch {
	case lost != 0 || step <= 0 || step > 2e9:
	case m.nominal == 0:
		m.nominal = step
	case step < 2*m.nominal:
		m.nominal += smoothing * (step - m.nominal)
	default:
		// A skipped frame is no new rate, but one that stays is.
		m.nominal += smoothing / 10 * (step - m.nominal)
	}
}

func (m *Meter) push(n *slot) {
	old := &m.ring[m.next]
	sum := &m.sums
	sum.nanoseconds += n.nanoseconds - old.nanoseconds
	sum.packets += n.packets - old.packets
	sum.bytes += n.bytes - old.bytes
	sum.frames += n.frames - old.frames
	sum.lost += n.lost - old.lost
	sum.pli += n.pli - old.pli
	sum.nack += n.nack - old.nack
	sum.drops += n.drops - old.drops
	sum.deviation += n.deviation - old.deviation
	sum.deviating += n.deviating - old.deviating
	sum.freezes += n.freezes - old.freezes
	sum.frozen += n.frozen - old.frozen
	*old = *n
	m.next = (m.next + 1) % slots
}

// Why a figure is not available.
var (
	noMedia    = sample.Unavailable("nothing tells what arrives: needs CAP_BPF and CAP_NET_RAW, or an own session")
	noLoss     = sample.Unavailable("the transport hides loss")
	noFeedback = sample.Unavailable("no RTCP feedback was seen")
	noKernel   = sample.Unavailable("needs CAP_BPF and CAP_PERFMON")
	noSocket   = sample.Unavailable("no socket of this pod receives it")
	noInterval = sample.Unavailable("no frame interval is known yet")
	noJitter   = sample.Unavailable("the transport has no RTP clock that is seen")
)

func (m *Meter) window(s *sample.Sample) Window {
	w := Window{
		BitsPerSecond: noMedia, FramesPerSecond: noMedia, PacketLoss: noMedia, JitterSeconds: noMedia,
		PLIPerSecond: noMedia, NACKPerSecond: noMedia, IntervalDeviation: noMedia, NominalIntervalSeconds: noMedia,
		GOPFrames: noMedia, GOPSeconds: noMedia, KeyFrameGapSeconds: noMedia,
		Freezes: noMedia, FrozenSeconds: noMedia, LagSeconds: noMedia, KernelDrops: noKernel, SocketQueueBytes: noSocket,
		Black: m.session.Black, FrozenPicture: m.session.Frozen, Artefacts: m.session.Artefacts,
	}
	sum := &m.sums
	seconds := float64(sum.nanoseconds) / 1e9
	if s.Kernel.Known {
		w.KernelDrops = sample.Of(float64(sum.drops))
	}
	if s.Socket.Known {
		w.SocketQueueBytes = sample.Of(m.longestQueue())
	}
	if !s.Media.Known {
		return w
	}
	if sum.bytes > 0 || !s.Media.Reliable {
		w.BitsPerSecond = sample.Of(float64(sum.bytes) * 8 / seconds)
	}
	w.FramesPerSecond = sample.Of(float64(sum.frames) / seconds)
	w.PacketLoss, w.JitterSeconds = noLoss, noJitter
	if !s.Media.Reliable {
		w.JitterSeconds = sample.Of(s.Media.Jitter.Seconds())
		w.PacketLoss = sample.Of(0)
		if lost := max(sum.lost, 0); lost > 0 {
			w.PacketLoss = sample.Of(float64(lost) / (float64(lost) + float64(sum.packets)))
		}
	}
	w.PLIPerSecond, w.NACKPerSecond = noFeedback, noFeedback
	if m.control {
		w.PLIPerSecond = sample.Of(float64(sum.pli) / seconds)
		w.NACKPerSecond = sample.Of(float64(sum.nack) / seconds)
	}
	w.IntervalDeviation, w.NominalIntervalSeconds, w.Freezes, w.FrozenSeconds = noInterval, noInterval, noInterval, noInterval
	if m.nominal > 0 {
		w.NominalIntervalSeconds = sample.Of(m.nominal / 1e9)
		w.Freezes, w.FrozenSeconds = sample.Of(float64(sum.freezes)), sample.Of(float64(sum.frozen)/1e9)
		if sum.deviating > 0 {
			w.IntervalDeviation = sample.Of(float64(sum.deviation) / 1e6 / float64(sum.deviating))
		}
	}
	m.keyFigures(s, &w)
	if m.begun {
		w.LagSeconds = sample.Of(m.lag(s) / 1e9)
	}
	return w
}

// lag is how far the newest frame is behind the best, in nanoseconds. In silence
// it grows once the next frame is overdue.
func (m *Meter) lag(s *sample.Sample) float64 {
	behind := float64(int64(m.newestAt)) - float64(m.newest) - m.best
	overdue := float64(int64(s.At)) - float64(m.newest) - m.best - m.nominal - float64(sample.Interval)
	return math.Max(math.Max(behind, overdue), 0)
}

func (m *Meter) longestQueue() float64 {
	longest := uint64(0)
	for i := range m.ring {
		longest = max(longest, m.ring[i].queue)
	}
	return float64(longest)
}
