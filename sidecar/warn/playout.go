package warn

import (
	"math"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

// All times of the model are in seconds, those of arrival since the detector's
// first sample, those of the media since the first frame.

// trail is how many samples the model remembers.
const trail = 128

// step is the stream as it was at one sample.
type step struct {
	at     float64
	newest float64 // of the media, that had arrived
	bytes  float64 // that had arrived in all
	lag    float64 // of the application
	// readLag is that of the newest picture alone.
	readLag float64
	queue   float64
	taken   float64 // bytes that the application had read in all
}

// hole is a gap in the media's time: no picture between from and to, by so much
// probability.
type hole struct{ from, to, probability float64 }

const (
	holes = 16
	// holeSlack is how exact a hole's size is, in frames.
	holeSlack = 0.2
)

// wait is a time in which no picture ended, as sample.Wait; since is 0 if there is
// none.
type wait struct{ since, until, before, after float64 }

// waited returns how long a viewer with the buffer saw no new picture during the
// wait that ended at this step, if its end was late for him; 0 if it was not, or
// there was none.
func (p *playout) waited(buffer float64) float64 {
	w := &p.wait
	before, after := w.before, w.after
	if p.order.widest >= swinging {
		// Those around it are not those that are shown around it.
		after = min(after, before+p.frame.nominal())
	}
	if w.since == 0 || w.until <= p.base+buffer+after {
		return 0
	}
	return w.until - max(p.base+buffer+before, w.since)
}

// playout models what a viewer has: how far the application's newest picture is
// behind.
type playout struct {
	begun  bool
	origin clock.Ktime
	now    float64
	// base is when the media's time 0 is shown by a viewer without a buffer: the
	// first picture's arrival.
	base  float64
	first float64 // what base was at first
	since float64 // of the playout
	// newest had arrived at newestAt; the application has read up to read, at
	// readAt. heardAt is when anything came last.
	newest, newestAt float64
	kept, keptAt     float64 // the newest that the socket had room for
	read, readAt     float64
	heardAt          float64
	bytes, frames    float64
	perSample        float64 // packets, usually
	mean, large      float64 // bytes of a sample, and those of a large picture
	// lag is the application's, overdue pictures counted.
	lag   float64
	queue float64 // seconds of the stream that wait in the socket

	wait  wait // that ended at this step
	frame interval
	order order
	steps [trail]step
	count int // steps so far

	holes     [holes]hole
	holeCount int
}

// largeFade is how slowly a large picture is forgotten: half in two minutes.
const largeFade = 0.9995

// ordered is how long it takes, in seconds, to know how pictures are ordered.
const ordered = 6.0

// creeping is the pace, to the stream's own, below which nothing is read.
const creeping = 0.2

// fewKept is the share of packets below which no picture is whole.
const fewKept = 0.2

// loneShare is the share of the usual packets below which they are few.
const loneShare = 0.3

const (
	// settling is how long after its first packet a playout's base is looked for:
	// the first picture takes a while to come.
	settling = 0.5
	// A viewer begins with a whole picture, one that needs no other. It is large,
	// and takes longer than others, up to wholeTakes; one comes within firstWhole.
	firstWhole = 5.0
	wholeTakes = 0.4
)

func (p *playout) seconds(k clock.Ktime) float64 { return float64(int64(k-p.origin)) / 1e9 }

// ago returns the step n samples back; 0 is the latest.
func (p *playout) ago(n int) *step { return &p.steps[(p.count-1-n+2*trail)%trail] }

func (p *playout) restart() {
	*p = playout{begun: true, origin: p.origin, now: p.now, bytes: p.bytes}
}

// advance takes a sample with media in it.
func (p *playout) advance(s *sample.Sample, queueBytes float64) {
	m := &s.Media
	p.now = p.seconds(s.At)
	newest, at := m.Newest.Seconds(), p.seconds(m.NewestAt)
	if p.count == 0 {
		p.base, p.since = at-newest, p.now
		p.first = p.base
		p.newest, p.newestAt, p.read, p.readAt = newest, at, newest, at
		p.order.begin()
	}
	// What the socket dropped never waits in it.
	kept := 1.0
	if drops := float64(s.Socket.Drops); s.Socket.Known && drops > 0 {
		kept = max(0, 1-drops/max(float64(m.Packets), drops))
	}
	p.bytes += kept * float64(m.Bytes)
	p.frames += float64(m.Frames)
	if m.Packets > 0 {
		p.heardAt = p.now
	}
	if newest > p.newest {
		p.heardAt = at
	}
	missing, ago := 0.0, 0
	frames := float64(m.Frames)
	if p.count == 0 {
		frames = min(frames, 1) // those before the newest are before the media's time 0
	}
	if !m.Reliable || m.Frames > 0 { // else single frames are not seen
		ahead := max(newest-p.newest, 0)
		p.frame.add(p.now, ahead, frames)
		lone := p.lone(m)
		p.perSample += (float64(m.Packets) - p.perSample) / 32
		missing, ago = p.order.add(ahead/p.frame.nominal(), frames, lone)
	}
	d := p.frame.nominal()
	if newest > p.newest {
		p.newest, p.newestAt = newest, at
	}
	if kept > fewKept || p.kept == 0 {
		p.kept, p.keptAt = p.newest, p.newestAt
	}
	p.steps[p.count%trail] = step{at: p.now, newest: p.kept, bytes: p.bytes, taken: p.bytes - queueBytes}
	p.count++
	p.mean += (float64(m.Bytes) - p.mean) / 64
	if p.count > 2 {
		both := p.bytes - p.ago(2).bytes // a large picture may lie across two samples
		p.large = max(p.large*largeFade, both-1.5*p.mean)
	}
	if p.now-p.since < ordered {
		missing -= maxOrder // how far pictures swing is not known yet
	}
	if size := (missing + 1) * d; missing > 0 && size >= stallGap(d)-d*holeSlack {
		to := p.ago(ago).newest
		p.addHole(hole{to - size, to, 0.97})
	}
	p.reading(queueBytes)
	p.wait = wait{}
	if w := &m.Wait; w.Until > 0 {
		p.wait = wait{p.seconds(w.Since), p.seconds(w.Until), w.Before.Seconds(), w.After.Seconds()}
		if m.Told && p.order.widest < swinging && p.wait.after-p.wait.before >= stallGap(d)-waitSlack {
			p.addHole(hole{p.wait.before, p.wait.after, 0.97})
		}
	}

	if late := p.readAt - p.read; p.now-p.since < settling || p.now-p.since < firstWhole && late < p.first+wholeTakes {
		p.base = max(p.base, late)
	}
	latest := p.ago(0)
	latest.readLag = p.readAt - p.read - p.base
	latest.lag = latest.readLag
	if p.order.depth > 0.5 {
		// A picture that others refer to comes before its time; those count that
		// come last.
		for i := 1; i < min(2+int((1+p.order.depth)*d/sample.Interval.Seconds()), p.count, trail); i++ {
			latest.lag = max(latest.lag, p.ago(i).readLag)
		}
	}
	// The next picture is due d after the last.
	p.lag = max(latest.lag, p.now-p.base-p.read-d*(1+p.order.depth))
	latest.lag, latest.queue = p.lag, p.queue
}

// lone says whether what came is a packet that may have overtaken the others.
func (p *playout) lone(m *sample.Media) bool {
	return m.Lost > 0 && m.Frames <= 1 && float64(m.Packets) <= loneShare*p.perSample
}

// warming says whether the stream is too young to know what is usual.
func (p *playout) warming() bool { return p.now-p.since < warmUp || p.frames < warmUpFrames }

// quiet is for how long the next picture has been due at the application.
func (p *playout) quiet() float64 {
	return p.now - max(p.readAt, p.heardAt-p.queue) - p.frame.nominal()
}

// silence returns the kind of fault that a silence is: whether nothing comes, or
// what comes is not read.
func (p *playout) silence() int {
	if p.queue > 0.1 && p.now-p.heardAt < p.queue {
		return unread
	}
	return sudden
}

// reading finds the picture that the application reads now: the one that arrived
// as many bytes ago as wait in the socket.
func (p *playout) reading(queueBytes float64) {
	read, at := p.kept, p.keptAt
	p.queue = 0
	if queueBytes > 0 {
		mark := p.bytes - queueBytes
		read, at = p.ago(0).newest, p.now
		for i := 1; i < min(p.count, trail); i++ {
			before, after := p.ago(i), p.ago(i-1)
			p.queue = p.now - before.at
			if before.bytes > mark {
				read = before.newest
				continue
			}
			if after.bytes > before.bytes {
				share := (mark - before.bytes) / (after.bytes - before.bytes)
				read = before.newest + share*(after.newest-before.newest)
				p.queue -= share * (after.at - before.at)
			}
			break
		}
	}
	if read > p.read {
		// Bytes are not counted exactly: a little ahead is nothing read.
		if p.queue == 0 || read-p.read > creeping*sample.Interval.Seconds() {
			p.readAt = at
		}
		p.read = read
	}
}

func (p *playout) addHole(h hole) {
	if p.holeCount > 0 {
		if last := &p.holes[(p.holeCount-1)%holes]; h.from <= last.to {
			last.to, last.probability = max(last.to, h.to), max(last.probability, h.probability)
			return
		}
	}
	p.holes[p.holeCount%holes] = h
	p.holeCount++
}

// stallGap is the gap between two pictures that is a stall (W3C webrtc-stats'
// freeze).
func stallGap(d float64) float64 { return max(3*d, d+0.150) }

// slope returns how fast the lag grew over the last n samples, in seconds a
// second.
func (p *playout) slope(n int) float64 {
	n = min(n, p.count-1, trail-1)
	if n < 1 {
		return 0
	}
	before, now := p.ago(n), p.ago(0)
	if now.at <= before.at {
		return 0
	}
	return (now.lag - before.lag) / (now.at - before.at)
}

// lateness returns how much later pictures are than n samples ago, those that
// came.
func (p *playout) lateness(n int) float64 {
	if p.count <= n {
		return 0
	}
	now, before := math.Inf(-1), math.Inf(-1)
	for i := range 4 {
		now = max(now, p.ago(min(i, p.count-1)).readLag)
		before = max(before, p.ago(min(n+i, p.count-1)).readLag)
	}
	return now - before
}

// peak returns the highest lag of n samples, skip samples back.
func (p *playout) peak(skip, n int) float64 {
	high := math.Inf(-1)
	for i := skip; i < min(skip+n, p.count, trail); i++ {
		high = max(high, p.ago(i).lag)
	}
	return high
}

// late returns by how much more than before the pictures are late that are read
// now, for a viewer whose buffer is empty. Where the reader is slow, single
// pictures are not seen: one that takes long shows as a rise above the trend.
func (p *playout) late(buffer float64) float64 {
	before := p.lag
	for i := 1; i <= 4 && i < p.count; i++ {
		before = min(before, p.ago(i).lag)
	}
	return p.lag - max(before, buffer) - 2*max(p.slope(20), 0)*sample.Interval.Seconds()
}

// readRate returns how many bytes a second were read over the last n samples.
func (p *playout) readRate(n int) float64 {
	n = min(n, p.count-1)
	if n < 1 || p.now <= p.ago(n).at {
		return 0
	}
	return (p.ago(0).taken - p.ago(n).taken) / (p.now - p.ago(n).at)
}

// uneven returns how much the bytes that were read differ from sample to sample,
// over the last n: their standard deviation over their mean.
func (p *playout) uneven(n int) float64 {
	if p.count <= n {
		return math.Inf(1)
	}
	var sum, squares float64
	for i := range n {
		v := p.ago(i).taken - p.ago(i+1).taken
		sum, squares = sum+v, squares+v*v
	}
	mean := sum / float64(n)
	if mean <= 0 {
		return math.Inf(1)
	}
	return math.Sqrt(max(squares/float64(n)-mean*mean, 0)) / mean
}

// jump returns the largest rise of the lag within three of n samples, skip
// samples back.
func (p *playout) jump(skip, n int) float64 {
	rise := 0.0
	for i := skip; i < min(skip+n, p.count-3, trail-3); i++ {
		rise = max(rise, p.ago(i).lag-min(p.ago(i+1).lag, p.ago(i+2).lag, p.ago(i+3).lag))
	}
	return rise
}

// floor returns the smallest lag of the last n samples.
func (p *playout) floor(n int) float64 {
	low := math.Inf(1)
	for i := range min(n, p.count, trail) {
		low = min(low, p.ago(i).lag)
	}
	return low
}
