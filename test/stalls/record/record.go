// Package record writes a scenario down: the capture, what the kernel said of
// the sockets, and the truth.
package record

import (
	"bufio"
	"cmp"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/debugsidecar/debugsidecar/test/stalls/relay"
	"github.com/debugsidecar/debugsidecar/test/stalls/scenario"
	"github.com/debugsidecar/debugsidecar/test/stalls/viewer"
)

// Start is the time of the start of every recording of virtual time.
const Start = 1767225600 // 2026-01-01T00:00:00Z

// Snap is how many bytes of each packet are kept.
const Snap = 80

// Recording is a scenario that has run.
type Recording struct {
	scenario scenario.Scenario
	groups   []relay.Result
	start    int64 // unix seconds
}

// Of returns the recording of groups that ran elsewhere, from a time in unix
// seconds on.
func Of(s scenario.Scenario, groups []relay.Result, start int64) Recording {
	return Recording{s, groups, start}
}

// Run lets a scenario's groups run.
func Run(s scenario.Scenario) Recording {
	var groups []relay.Result
	for _, g := range s.Groups {
		r := relay.Run(g, s.Duration)
		r.Packets = slices.Clone(r.Captured(s.Duration))
		groups = append(groups, r)
	}
	return Of(s, groups, Start)
}

// Truth returns what happened to viewers whose players do this about loss.
func (rec Recording) Truth(loss viewer.Loss) Truth {
	t := Truth{Seed: rec.scenario.Seed, Start: rec.start, Duration: rec.scenario.Duration.Seconds()}
	for _, depth := range viewer.Depths {
		t.Depths = append(t.Depths, depth.Seconds())
	}
	for _, r := range rec.groups {
		for _, s := range r.Streams {
			t.Streams = append(t.Streams, truthOf(r, s, loss, rec.scenario.Duration))
		}
	}
	return t
}

// Duration is how long the whole capture is.
func (rec Recording) Duration() time.Duration { return rec.scenario.Duration }

// Capture returns the capture file up to a time. It has to be closed.
func (rec Recording) Capture(until time.Duration) io.ReadCloser {
	r, w := io.Pipe()
	go func() { w.CloseWithError(rec.WriteCapture(w, until)) }()
	return r
}

// WriteCapture writes a classic capture file with all streams interleaved, up to
// a time.
func (rec Recording) WriteCapture(to io.Writer, until time.Duration) error {
	buffered := bufio.NewWriterSize(to, 1<<20)
	w := pcapgo.NewWriter(buffered)
	if err := w.WriteFileHeader(Snap, layers.LinkTypeEthernet); err != nil {
		return err
	}
	e := encoder{snap: Snap}
	at := make([]int, len(rec.groups))
	for {
		next := -1
		for i, r := range rec.groups {
			if at[i] < len(r.Packets) && (next < 0 || r.Packets[at[i]].Arrived < rec.groups[next].Packets[at[next]].Arrived) {
				next = i
			}
		}
		if next < 0 || rec.groups[next].Packets[at[next]].Arrived >= until {
			return buffered.Flush()
		}
		p := rec.groups[next].Packets[at[next]]
		at[next]++
		data, length := e.encode(rec.groups[next].Streams[p.Stream], p)
		info := gopacket.CaptureInfo{Timestamp: time.Unix(rec.start, int64(p.Arrived)), CaptureLength: len(data), Length: length}
		if err := w.WritePacket(info, data); err != nil {
			return err
		}
	}
}

// WriteKernel writes the sockets' readings, in the form of sidecar replay's
// --kernel, up to a time: a line where something waits or was dropped since the
// last one.
func (rec Recording) WriteKernel(to io.Writer, until time.Duration) error {
	type line struct {
		relay.Reading
		stream string
	}
	var lines []line
	for _, r := range rec.groups {
		for _, s := range r.Streams {
			drops := 0
			for _, reading := range s.Readings {
				if reading.At >= until {
					break
				}
				if reading.Queue != 0 || reading.Drops != drops {
					lines = append(lines, line{reading, s.Dst.String()})
				}
				drops = reading.Drops
			}
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.At, b.At) })
	w := bufio.NewWriter(to)
	for _, l := range lines {
		b := append(w.AvailableBuffer(), `{"ts":`...)
		b = strconv.AppendFloat(b, float64(rec.start)+l.At.Seconds(), 'f', 1, 64)
		b = append(b, `,"stream":"`...)
		b = append(b, l.stream...)
		b = append(b, `","rx_queue":`...)
		b = strconv.AppendInt(b, int64(l.Queue), 10)
		b = append(b, `,"drops":`...)
		b = strconv.AppendInt(b, int64(l.Drops), 10)
		b = append(b, "}\n"...)
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return w.Flush()
}
