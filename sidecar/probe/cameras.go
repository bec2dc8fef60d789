package probe

import (
	"fmt"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/bpf/v4l2"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// overV4L2 is the transport of a camera that a program of the pod reads.
const overV4L2 = "v4l2"

// queue is what is remembered of a camera's buffers.
type queue struct {
	first clock.Ktime
	last  v4l2.Queue
}

// cameras samples the cameras that the pod's programs read: they are watched and
// never opened, since a camera has one owner. Frames have no clock of their own
// that is seen, so their time is that of arrival, and lag is silence.
func (w *watch) cameras(now clock.Ktime, alerts []warn.Alert) []warn.Alert {
	queues, err := w.sources.cameras.Queues()
	if err != nil {
		w.err = err
		return alerts
	}
	for i := range queues {
		q := &queues[i]
		id := sample.Stream{Source: fmt.Sprintf("/dev/video%d", q.Minor), SSRC: uint32(q.ID)}
		s := w.streams[id]
		if s == nil {
			if time.Duration(now-q.Last) > cameraIdle {
				continue
			}
			s = w.stream(id, overV4L2, now)
			w.queues[id] = queue{first: q.Last, last: *q}
		}
		s.tick = w.ticks
		before := w.queues[id]
		w.queues[id] = queue{before.first, *q}
		smp := sample.Sample{At: now, Node: w.last, Media: sampleQueue(&before, q)}
		smp.Media.Ended = now > q.Last && time.Duration(now-q.Last) > cameraIdle
		if s.ended && smp.Media.Packets == 0 {
			continue
		}
		raised := s.step(&smp)
		blameCamera(&s.verdict, raised)
		alerts = append(alerts, raised...)
	}
	return alerts
}

// cameraIdle is after how much silence a camera counts as switched off: the
// kernel tells nobody that a stream was ended.
const cameraIdle = 30 * time.Second

// sampleQueue makes a sample of what was added. A broken frame is lost to
// viewers like one that was skipped.
func sampleQueue(before *queue, q *v4l2.Queue) sample.Media {
	b := &before.last
	m := sample.Media{
		Known: true, Packets: q.Frames - b.Frames, Frames: q.Frames - b.Frames,
		Lost:   int64(q.Lost-b.Lost) + int64(q.Errors-b.Errors),
		Newest: time.Duration(q.Last - before.first), NewestAt: q.Last,
	}
	if q.Restarts != b.Restarts {
		m.Restarted = true
	}
	return m
}

// blameCamera names the only one whose frames there are: no network lies between.
func blameCamera(v *warn.Verdict, alerts []warn.Alert) {
	if v.Cause == warn.Network || v.Cause == warn.Unclear {
		v.Cause = warn.Camera
	}
	for i := range alerts {
		if a := &alerts[i]; a.Cause == warn.Network || a.Cause == warn.Unclear {
			a.Cause = warn.Camera
		}
	}
}
