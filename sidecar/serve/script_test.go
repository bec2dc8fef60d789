package serve

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/qos"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/status"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

const token = "a-token-of-a-test-with-more-than-32-characters"

var depths = []float64{.2, .5, 1, 2, 4}

// scripted is the status of a pod with n cameras, the first of which gets into
// trouble: lag seconds behind, losing that share of its packets.
func scripted(at time.Time, n int, lag, loss float64) *status.Status {
	st := &status.Status{
		At: at, Version: "v0.4.0", Pod: "ingest-7d9f8b6c5-x2x8q", Namespace: "cameras", State: "Ready", Tier: "kernel",
		Health: warn.Excellent,
		NotAvailable: map[string]string{
			"pliPerSecond":   "needs RTCP feedback; plain RTP/AVP has none",
			"appThrottled":   "needs the application's cgroup, which is not visible here: shareProcessNamespace",
			"sampledPicture": "needs a session of the source: pictures are opened on an alert",
		},
		Drops: []status.Drops{{Reason: "SOCKET_RCVBUFF", Class: "loss", Family: "ipv4", Proto: "udp", Count: uint64(loss * 10000)}},
		Stats: map[string]uint64{"eventsLost": 0},
		Node:  sample.Node{SidecarCPUPressure: sample.Of(1.5), GCPauseSeconds: sample.Of(.0004)},
	}
	seen := uint64(at.Unix() % 100000)
	for i := range n {
		s := status.Stream{
			Name: fmt.Sprintf("10.20.0.7:%d", 5004+2*i), Src: fmt.Sprintf("10.31.%d.%d:40000", i/200, 10+i%200),
			SSRC: 0x1c0ffee + uint32(i), Transport: "udp", PayloadType: 96,
			Verdict: warn.Verdict{Health: warn.Excellent},
			Window: qos.Window{
				BitsPerSecond: sample.Of(2.4e6 + float64(i)*3e4), FramesPerSecond: sample.Of(30), PacketLoss: sample.Of(0),
				JitterSeconds: sample.Of(.0031 + float64(i%7)*.0004), LagSeconds: sample.Of(.02), IntervalDeviation: sample.Of(.04),
				PLIPerSecond: sample.Unavailable("no RTCP feedback was seen"),
				GOPFrames:    sample.Of(60), GOPSeconds: sample.Of(2), KeyFrameGapSeconds: sample.Of(float64((at.UnixMilli()+int64(i)*370)%2000) / 1000),
			},
			Totals: status.Totals{Packets: seen * 260, Bytes: seen * 300000, Frames: seen * 30},
		}
		s.Key = fmt.Sprintf("%s>%s/%08x", s.Src, s.Name, s.SSRC)
		mine := .02
		if i == 0 {
			mine = lag
			s.Window.LagSeconds, s.Window.PacketLoss = sample.Of(lag), sample.Of(loss)
			s.Totals.KernelDrops, s.Totals.Lost = 500, uint64(loss*10000)
			if lag > .3 {
				s.Verdict.Health, s.Verdict.Cause = warn.Poor, warn.Node
				s.Verdict.Evidence = map[string]warn.Evidence{
					"socketDrops": {Value: 312, Unit: "packets", Scope: warn.PodSocket, Detail: "SOCKET_RCVBUFF"},
					"socketQueue": {Value: 198_000, Unit: "bytes", Scope: warn.PodSocket},
				}
				st.Health, st.Cause = warn.Poor, warn.Node
				st.Advice = []string{"Raise the receive buffer of 10.20.0.7:5004 to 4 MB (SO_RCVBUF; net.core.rmem_max allows 208 kB now)."}
			}
		}
		for _, d := range depths {
			f := warn.Forecast{Buffer: d, Left: sample.Of(d - mine), Confidence: .86, Stalled: d < mine}
			if i == 0 && lag > .3 && d > lag {
				f.ETA = sample.Of((d - lag) / .8)
			}
			s.Verdict.Forecasts = append(s.Verdict.Forecasts, f)
		}
		st.Streams = append(st.Streams, s)
	}
	return st
}

// lagAt is ten minutes with three bad moments and one under way.
func lagAt(second int) (lag, loss float64) {
	lag = .03 + .02*math.Abs(math.Sin(float64(second)/7))
	for _, hump := range []struct{ at, wide, high, loss float64 }{{120, 14, 1.1, .04}, {265, 30, 2.6, .12}, {430, 8, .5, .02}, {600, 16, 1.3, .06}} {
		d := (float64(second) - hump.at) / hump.wide
		lag += hump.high * math.Exp(-d*d)
		if math.Abs(d) < .7 {
			loss = hump.loss * (1 - math.Abs(d)) * (1 + .5*math.Sin(float64(second)*1.7))
		}
	}
	return lag, loss
}

func scriptedAlert(at time.Time, kind warn.Kind, buffer time.Duration, eta sample.Figure) warn.Alert {
	return warn.Alert{
		At: at, Kind: kind, Buffer: buffer, ETA: eta, Confidence: .86, Cause: warn.Node,
		Stream: sample.Stream{
			Src: netip.MustParseAddrPort("10.31.0.10:40000"), Dst: netip.MustParseAddrPort("10.20.0.7:5004"), SSRC: 0x1c0ffee,
		},
		Evidence: map[string]warn.Evidence{"socketDrops": {Value: 312, Unit: "packets", Scope: warn.PodSocket, Detail: "SOCKET_RCVBUFF"}},
	}
}

// play publishes the ten minutes that end now.
func play(s *Server, now time.Time, n int) {
	drops := uint64(0)
	for second := range historySeconds {
		at := now.Add(time.Duration(second-historySeconds+1) * time.Second)
		lag, loss := lagAt(second)
		switch second {
		case 112, 245, 590:
			s.Alert(scriptedAlert(at, warn.Degraded, 0, sample.Figure{}))
		case 247, 592:
			s.Alert(scriptedAlert(at, warn.StallPredicted, 2*time.Second, sample.Of(1.8)))
		case 255:
			s.Alert(scriptedAlert(at, warn.Stalled, 2*time.Second, sample.Figure{}))
		case 290:
			s.Alert(scriptedAlert(at, warn.Clear, 2*time.Second, sample.Figure{}))
		}
		if lag > 1.9 { // now the receiver's socket is full, too
			drops += 20
		}
		st := scripted(at, n, lag, loss)
		st.Streams[0].Totals.KernelDrops = drops
		s.Publish(st)
	}
}
