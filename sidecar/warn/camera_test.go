package warn_test

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

var stream = sample.Stream{Src: netip.MustParseAddrPort("10.0.0.1:30000"), Dst: netip.MustParseAddrPort("10.0.0.2:5004"), SSRC: 7}

// shot is a frame: when it was taken and when it arrives, since the start. One
// that never does is lost.
type shot struct {
	taken, arrives time.Duration
	packets        uint64
	lost           bool
}

const (
	start       = clock.Ktime(1000 * time.Second)
	packetBytes = 1100
	usual       = 6 // packets of a picture, and of one that stands by itself:
	whole       = 30
)

// film takes pictures for so long; jitter is the mean of what each is late.
func film(length time.Duration, fps int, jitter time.Duration, seed uint64) []shot {
	random := rand.New(rand.NewPCG(seed, 1))
	interval := time.Second / time.Duration(fps)
	var shots []shot
	var last time.Duration
	for i := 0; time.Duration(i)*interval < length; i++ {
		packets := uint64(usual)
		if i%(2*fps) == 0 {
			packets = whole
		}
		taken := time.Duration(i) * interval
		arrives := taken + 20*time.Millisecond + time.Duration(packets)*100*time.Microsecond + time.Duration(random.ExpFloat64()*float64(jitter))
		last = max(last, arrives)
		shots = append(shots, shot{taken: taken, arrives: last, packets: packets})
	}
	return shots
}

// hold lets nothing through for a while; it then comes all at once.
func hold(shots []shot, from, length time.Duration) []shot {
	for i := range shots {
		if s := &shots[i]; s.arrives >= from && s.arrives < from+length {
			s.arrives = from + length
		}
	}
	return shots
}

// lose drops every nth frame's packet, or all frames if n is 1.
func lose(shots []shot, from, length time.Duration, n int) []shot {
	for i := range shots {
		if s := &shots[i]; s.arrives >= from && s.arrives < from+length && i%n == 0 {
			s.lost = true
		}
	}
	return shots
}

// narrow lets a way give only so many packets a second from a moment on.
func narrow(shots []shot, from, length time.Duration, packetsPerSecond float64) []shot {
	free := time.Duration(0)
	for i := range shots {
		s := &shots[i]
		took := time.Duration(float64(s.packets) / packetsPerSecond * float64(time.Second))
		if begins := max(s.arrives, free); begins >= from && begins < from+length {
			s.arrives = begins + took
		} else {
			s.arrives = begins
		}
		free = s.arrives
	}
	return shots
}

// samples returns what a tap makes of it until a moment.
func samples(shots []shot, until time.Duration) []sample.Sample {
	var all []sample.Sample
	var newest, newestAt time.Duration
	var missing int64
	next := 0
	for at := sample.Interval; at <= until; at += sample.Interval {
		m := sample.Media{Known: true}
		for ; next < len(shots) && shots[next].arrives < at; next++ {
			s := shots[next]
			if s.lost {
				missing += int64(s.packets)
				continue
			}
			if missing > 0 {
				m.Lost, m.Gaps, missing = m.Lost+missing, m.Gaps+1, 0
			}
			m.Packets += s.packets
			m.Bytes += s.packets * packetBytes
			m.Frames++
			if s.taken >= newest {
				newest, newestAt = s.taken, s.arrives
			}
		}
		m.Newest, m.NewestAt = newest, start+clock.Ktime(newestAt)
		all = append(all, sample.Sample{At: start + clock.Ktime(at), Media: m})
	}
	return all
}

// run steps a detector through samples and returns its alerts and last verdict.
func run(all []sample.Sample, o warn.Options) (alerts []warn.Alert, last warn.Verdict) {
	d := warn.New(o, stream)
	for _, s := range all {
		v, raised := d.Step(s)
		alerts = append(alerts, raised...)
		last = v
	}
	return alerts, last
}

// of returns the alerts of one kind about one depth.
func of(alerts []warn.Alert, kind warn.Kind, buffer time.Duration) (found []warn.Alert) {
	for _, a := range alerts {
		if a.Kind == kind && a.Buffer == buffer {
			found = append(found, a)
		}
	}
	return found
}

// since returns when an alert was raised, after the start.
func since(a warn.Alert) time.Duration { return a.At.Sub(time.Unix(0, int64(start))) }
