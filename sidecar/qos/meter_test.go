package qos

import (
	"math"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

// camera sends frames at a rate; arrive says when the one of a moment comes.
type camera struct {
	interval time.Duration
	arrive   func(sent time.Duration) time.Duration
	sent     time.Duration
	waiting  []time.Duration // stream times of frames on their way
	newest   time.Duration
	newestAt clock.Ktime
}

const start = clock.Ktime(1000 * time.Second)

// tick returns the sample that ends at t.
func (c *camera) tick(t time.Duration) sample.Sample {
	for ; c.sent < t; c.sent += c.interval {
		c.waiting = append(c.waiting, c.sent)
	}
	s := sample.Sample{At: start + clock.Ktime(t)}
	for len(c.waiting) > 0 && c.arrive(c.waiting[0]) < t {
		s.Media.Frames++
		s.Media.Packets += 10
		s.Media.Bytes += 10_000
		c.newest, c.newestAt = c.waiting[0], start+clock.Ktime(c.arrive(c.waiting[0]))
		c.waiting = c.waiting[1:]
	}
	s.Media.Known, s.Media.Newest, s.Media.NewestAt = true, c.newest, c.newestAt
	return s
}

func at(d time.Duration) time.Duration { return d }

func run(m *Meter, c *camera, from, to time.Duration, change func(*sample.Sample)) (w Window) {
	for t := from + sample.Interval; t <= to; t += sample.Interval {
		s := c.tick(t)
		if change != nil {
			change(&s)
		}
		w = m.Step(s)
	}
	return w
}

func near(t *testing.T, what string, f sample.Figure, want, tolerance float64) {
	t.Helper()
	got, known := f.Get()
	if !known || math.Abs(got-want) > tolerance {
		t.Errorf("%s is %v (known: %v, %s), want %v", what, got, known, f.Why(), want)
	}
}

func TestAnEvenStreamHasItsRateAndNoTrouble(t *testing.T) {
	m := New()
	w := run(m, &camera{interval: 40 * time.Millisecond, arrive: at}, 0, 30*time.Second, nil)
	near(t, "frames a second", w.FramesPerSecond, 25, 0.3)
	near(t, "bits a second", w.BitsPerSecond, 25*80_000, 30_000)
	near(t, "nominal interval", w.NominalIntervalSeconds, 0.040, 0.0001)
	near(t, "deviation", w.IntervalDeviation, 0, 0.001)
	near(t, "freezes", w.Freezes, 0, 0)
	near(t, "lag", w.LagSeconds, 0, 0.001)
	near(t, "loss", w.PacketLoss, 0, 0)
}

func TestAFreezeIsCountedOnceWithItsTime(t *testing.T) {
	for _, silence := range []time.Duration{300 * time.Millisecond, 700 * time.Millisecond, 3 * time.Second} {
		m := New()
		// What is sent in the silence comes at its end, at once.
		c := &camera{interval: 40 * time.Millisecond, arrive: func(sent time.Duration) time.Duration {
			if sent > 15*time.Second && sent < 15*time.Second+silence {
				return 15*time.Second + silence
			}
			return sent
		}}
		during := run(m, c, 0, 15*time.Second+silence-50*time.Millisecond, nil)
		if silence > 600*time.Millisecond {
			near(t, "freezes while it lasts", during.Freezes, 1, 0)
		}
		w := run(m, c, 15*time.Second+silence-50*time.Millisecond, 20*time.Second, nil)
		near(t, "freezes after "+silence.String(), w.Freezes, 1, 0)
		near(t, "frozen seconds after "+silence.String(), w.FrozenSeconds, silence.Seconds(), 0.15)
		w = run(m, c, 20*time.Second, 30*time.Second, nil)
		near(t, "freezes ten seconds later", w.Freezes, 0, 0)
	}
}

func TestABadNetworkDoesNotHideFreezes(t *testing.T) {
	m := New()
	// Each second freezes for 400 ms: a mean of frame intervals would grow.
	c := &camera{interval: 40 * time.Millisecond, arrive: func(sent time.Duration) time.Duration {
		if part := sent % time.Second; part > 500*time.Millisecond && part < 900*time.Millisecond {
			return sent - part + 900*time.Millisecond
		}
		return sent
	}}
	w := run(m, c, 0, 60*time.Second, nil)
	near(t, "freezes in ten seconds", w.Freezes, 10, 1)
	near(t, "nominal interval", w.NominalIntervalSeconds, 0.040, 0.001)
}

func TestLagIsDelayBeyondTheBest(t *testing.T) {
	m := New()
	c := &camera{interval: 40 * time.Millisecond, arrive: func(sent time.Duration) time.Duration {
		if sent > 10*time.Second {
			return sent + 750*time.Millisecond
		}
		return sent + 20*time.Millisecond
	}}
	near(t, "lag before", run(m, c, 0, 10*time.Second, nil).LagSeconds, 0, 0.001)
	near(t, "lag after", run(m, c, 10*time.Second, 15*time.Second, nil).LagSeconds, 0.73, 0.01)
}

func TestSilenceIsLag(t *testing.T) {
	m := New()
	c := &camera{interval: 40 * time.Millisecond, arrive: at}
	run(m, c, 0, 10*time.Second, nil)
	c.arrive = func(time.Duration) time.Duration { return time.Hour }
	near(t, "lag after two seconds of silence", run(m, c, 10*time.Second, 12*time.Second, nil).LagSeconds, 1.9, 0.15)
}

func TestLossIsAShareOfWhatWasExpected(t *testing.T) {
	m := New()
	c := &camera{interval: 40 * time.Millisecond, arrive: at}
	w := run(m, c, 0, 20*time.Second, func(s *sample.Sample) {
		s.Media.Lost = int64(s.Media.Packets) / 4
	})
	near(t, "loss", w.PacketLoss, 0.2, 0.02)
}

func TestWhatIsNotKnownIsNotZero(t *testing.T) {
	m := New()
	w := m.Step(sample.Sample{At: start, Socket: sample.Socket{Known: true, Queue: 4096}})
	near(t, "socket's queue", w.SocketQueueBytes, 4096, 0)
	for name, f := range map[string]sample.Figure{
		"loss": w.PacketLoss, "jitter": w.JitterSeconds, "PLI": w.PLIPerSecond, "lag": w.LagSeconds,
		"kernel drops": w.KernelDrops, "black": w.Black, "freezes": w.Freezes, "frames": w.FramesPerSecond,
	} {
		if v, known := f.Get(); known {
			t.Errorf("%s is %v without a tap", name, v)
		}
	}
	w = m.Step(sample.Sample{At: start + 1e8, Media: sample.Media{Known: true, Reliable: true}})
	if _, known := w.PacketLoss.Get(); known || w.PacketLoss.Why() == "" {
		t.Error("TCP hides loss")
	}
	w = m.Step(sample.Sample{At: start + 2e8, Media: sample.Media{Known: true, Control: true, PLI: 3}})
	near(t, "PLI a second", w.PLIPerSecond, 3/(0.3), 0.5)
}

func TestStepAllocatesNothing(t *testing.T) {
	m := New()
	c := &camera{interval: 40 * time.Millisecond, arrive: at}
	s := c.tick(sample.Interval)
	if n := testing.AllocsPerRun(1000, func() { s.At += clock.Ktime(sample.Interval); m.Step(s) }); n != 0 {
		t.Errorf("%v allocations a step", n)
	}
}

func BenchmarkStep(b *testing.B) {
	m := New()
	s := sample.Sample{At: start, Media: sample.Media{Known: true, Packets: 24, Frames: 3, Bytes: 30_000}}
	for b.Loop() {
		s.At += clock.Ktime(sample.Interval)
		s.Media.Newest += sample.Interval
		s.Media.NewestAt = s.At
		m.Step(s)
	}
}
