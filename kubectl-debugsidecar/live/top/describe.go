package top

import (
	"fmt"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/reading"
)

// describe is all that is known of a row.
func describe(r *row) []string {
	var out []string
	add := func(name, format string, args ...any) {
		out = append(out, fmt.Sprintf("%-14s ", name)+fmt.Sprintf(format, args...))
	}
	add("pod", "%s/%s", r.Namespace, r.Pod)
	add("container", "%s", r.detail.probe.Container)
	if r.Kind != kindStream {
		add(r.Kind, "%s", r.Why)
	} else {
		stream(add, r)
	}
	if all := r.detail.probe.answers; len(all) > 0 {
		last := &all[len(all)-1]
		add("probe", "%s, tier %s, version %s; its status is %s old", dash(last.State), dash(last.Tier), dash(last.Version), age(r.AgeSeconds))
		drops := podReasons(r.detail.probe)
		for _, d := range drops {
			add("dropped", "%s: %s in the last 10 s, %s since the probe began (of the whole pod)", d.reason, short(d.recent), short(&d.count))
		}
		for _, l := range last.Lacks {
			add("not available", "%s: %s", l.Figure, l.Needs)
		}
	}
	if err := r.detail.probe.err; err != nil && r.Kind != kindUnreachable {
		add("last question", "%s", err)
	}
	return append(out, "", fmt.Sprintf("The page of it: kubectl debugsidecar open %s -n %s", r.Pod, r.Namespace))
}

func stream(add func(string, string, ...any), r *row) {
	s := r.detail.stream
	add("stream", "%s", r.Stream)
	add("from", "%s, SSRC %s", dash(r.Src), dash(r.SSRC))
	add("health", "%s, cause %s", r.Health, dash(r.Cause))
	for i := range s.Forecasts {
		f := &s.Forecasts[i]
		says := "no stall in sight"
		switch {
		case f.Stalled():
			says = "viewers see a stall now"
		case f.StallSeconds != nil:
			says = fmt.Sprintf("viewers will see a stall in %.1f s", *f.StallSeconds)
		}
		left := ""
		if f.LeftSeconds != nil {
			left = fmt.Sprintf(" (%.2f s left)", *f.LeftSeconds)
		}
		add("buffer "+number(f.BufferSeconds)+" s", "%s%s", says, left)
	}
	bound := ""
	if r.Drops.Bound {
		bound = " at most"
	}
	add("last 10 s", "dropped by the socket%s %s, else by the kernel%s %s; lost before %s; loss %s; %s bit/s", bound, short(r.Drops.Socket),
		bound, short(r.Drops.Kernel), short(r.Drops.Wire), percent(r.LossRatio), short(r.BitsPerSecond))
	add("since it began", "%s packets, %s frames, %s lost, %s dropped on this node, %s stalls", short(s.Packets), short(s.Frames), short(s.Lost), short(s.KernelDrops), short(s.Stalls))
	add("lag", "%s; jitter %s; frozen %s of the last 10 s; newest key frame %s ago", millis(s.LagSeconds), millis(s.JitterSeconds), millis(s.FrozenSeconds), millis(s.KeyFrameGapSeconds))
	add("socket", "at most %s bytes waited", short(s.SocketQueueBytes))
}

func millis(f reading.Figure) string {
	switch {
	case f == nil:
		return "-"
	case *f < 10 && *f > -10:
		return fmt.Sprintf("%.0f ms", *f*1000)
	}
	return short(f) + " s"
}

// reason is a kind of drops of a pod.
type reason struct {
	reason string
	count  float64
	recent figure
}

func podReasons(s *state) []reason {
	var out []reason
	first, last := &s.answers[0], &s.answers[len(s.answers)-1]
	for _, d := range last.Drops {
		if !d.Loss || d.Count == 0 {
			continue
		}
		one := reason{reason: d.Reason, count: d.Count}
		if len(s.answers) > 1 {
			was := 0.0
			for _, b := range first.Drops {
				if b.Reason == d.Reason && b.Loss {
					was = b.Count
				}
			}
			one.recent = grown(&was, &d.Count)
		}
		out = append(out, one)
	}
	return out
}
