package record

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/pion/rtp"

	"github.com/debugsidecar/debugsidecar/test/stalls/scenario"
	"github.com/debugsidecar/debugsidecar/test/stalls/viewer"
)

// picture is a frame as the capture has it.
type picture struct {
	first, last uint16 // sequence numbers
	packets     map[uint16]bool
	begun       bool // its first packet is there
	marker      bool // and its last
	media       time.Duration
	at          time.Duration
	key         bool
}

// pictures reads a stream's frames from the capture alone.
func pictures(t *testing.T, capture []byte, dst string, rate uint32) []*picture {
	t.Helper()
	r, err := pcapgo.NewReader(bytes.NewReader(capture))
	if err != nil {
		t.Fatal(err)
	}
	var all []*picture
	byTimestamp := map[uint32]*picture{}
	var base uint32
	for {
		data, info, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		p := gopacket.NewPacket(data, layers.LinkTypeEthernet, gopacket.NoCopy)
		udp := p.TransportLayer().(*layers.UDP)
		_, to := p.NetworkLayer().NetworkFlow().Endpoints()
		if to.String()+":"+strconv.Itoa(int(udp.DstPort)) != dst || udp.Payload[1] >= 200 && udp.Payload[1] <= 203 {
			continue
		}
		var h rtp.Header
		n, err := h.Unmarshal(udp.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if base == 0 {
			base = h.Timestamp
		}
		f := byTimestamp[h.Timestamp]
		if f == nil {
			f = &picture{first: h.SequenceNumber, last: h.SequenceNumber, packets: map[uint16]bool{}}
			f.media = time.Duration(float64(int32(h.Timestamp-base)) / float64(rate) * float64(time.Second))
			byTimestamp[h.Timestamp] = f
			all = append(all, f)
		}
		if int16(h.SequenceNumber-f.first) < 0 {
			f.first = h.SequenceNumber
		}
		if int16(h.SequenceNumber-f.last) > 0 {
			f.last = h.SequenceNumber
		}
		f.packets[h.SequenceNumber] = true
		f.marker = f.marker || h.Marker
		f.at = info.Timestamp.Sub(time.Unix(Start, 0))
		// RFC 6184: a NAL unit, or a fragment (28) that says whether it is the first.
		kind, first := udp.Payload[n]&0x1f, true
		if kind == 28 && len(udp.Payload) > n+1 {
			kind, first = udp.Payload[n+1]&0x1f, udp.Payload[n+1]&0x80 != 0
		}
		f.key = f.key || kind == 5
		f.begun = f.begun || first
	}
}

// whole reports whether the capture has all of a frame: RTP numbers packets, and
// the first fragment of a NAL unit and the marker bound it.
func (p *picture) whole() bool { return p.begun && p.marker && len(p.packets) == int(p.last-p.first)+1 }

// TestCaptureShowsTheStallsOfTheTruth makes the truth of streams whose sockets
// never matter again, from the capture's bytes.
func TestCaptureShowsTheStallsOfTheTruth(t *testing.T) {
	const depth = time.Second
	compared := 0
	for seed := range uint64(3) {
		s, err := scenario.Draw(seed, 15*time.Minute, 4)
		if err != nil {
			t.Fatal(err)
		}
		s.Duration = 2 * time.Minute
		for i := range s.Groups {
			g := &s.Groups[i]
			g.App = scenario.App{Buffer: 1 << 30, Load: .001}
			g.Faults = slices.DeleteFunc(g.Faults, func(f scenario.Fault) bool {
				return f.Kind.Side() == scenario.Receiver || f.Kind == scenario.CameraRestart || f.Kind == scenario.Pause
			})
			// All that goes wrong in minutes goes wrong in one.
			for j := range g.Faults {
				g.Faults[j].Start = 10*time.Second + g.Faults[j].Start%time.Minute
			}
			slices.SortFunc(g.Faults, func(a, b scenario.Fault) int { return cmp.Compare(a.Start, b.Start) })
			for j := range g.Streams {
				g.Streams[j].Start = min(time.Second, max(g.Streams[j].Start, 100*time.Millisecond))
			}
		}
		rec := Run(s)
		capture, _, _ := written(t, rec)
		for _, truth := range rec.Truth(viewer.Conceal).Streams {
			stream := find(s, truth.Stream)
			if truth.Media != scenario.Video || !stream.Dst.Addr().Is4() {
				continue
			}
			var shown []time.Duration
			all := pictures(t, capture, truth.Stream, stream.ClockRate)
			key := slices.IndexFunc(all, func(p *picture) bool { return p.key && p.whole() })
			for _, p := range all {
				if p.whole() && p.media >= all[key].media {
					shown = append(shown, max(all[key].at+depth+p.media-all[key].media, p.at))
				}
			}
			slices.Sort(shown)
			var starts []float64
			end := time.Duration(-1 << 62)
			for i := 1; i < len(shown); i++ {
				if shown[i]-shown[i-1] >= viewer.Threshold(stream.Interval) {
					if start := shown[i-1] + stream.Interval; start-end >= viewer.Join {
						starts = append(starts, start.Seconds())
					}
					end = shown[i]
				}
			}
			for _, e := range truth.Episodes {
				if e.Buffer != depth.Seconds() || e.Start > truth.To-8 || e.End-e.Start < .2 {
					// Too near to the end, or to what is no stall.
					continue
				}
				compared++
				if !slices.ContainsFunc(starts, func(at float64) bool { return at > e.Start-.15 && at < e.Start+.15 }) {
					t.Errorf("seed %d: the capture does not show %+v of %s; it shows stalls at %.2f", seed, e, truth.Stream, starts)
				}
			}
		}
	}
	if compared < 5 {
		t.Errorf("only %d episodes compared", compared)
	}
}

func find(s scenario.Scenario, dst string) scenario.Stream {
	for _, g := range s.Groups {
		for _, stream := range g.Streams {
			if stream.Dst.String() == dst {
				return stream
			}
		}
	}
	return scenario.Stream{}
}
