package warn

import "github.com/debugsidecar/debugsidecar/sidecar/sample"

// recent remembers what was seen in the last seconds, for the cause and the word
// of health. Each weakens by half in a second and a half.
type recent struct {
	at float64
	// lost at the tap, and dropped by the kernel after it.
	lost, dropped, packets float64
	decoder                float64
	appThrottled           float64
	nodePressure           float64
	self                   float64
	reason                 string
	any                    bool
}

const fade = 0.955 // a sample

func (r *recent) add(now float64, s *sample.Sample, lost float64) {
	for _, v := range [...]*float64{&r.lost, &r.dropped, &r.packets, &r.decoder, &r.appThrottled, &r.nodePressure, &r.self} {
		*v *= fade
	}
	r.at = now
	r.any = r.any || s.Media.Packets > 0 || s.Session.Frames > 0
	r.packets += float64(s.Media.Packets)
	dropped := 0.0
	if s.Socket.Known {
		dropped = float64(s.Socket.Drops)
	}
	if s.Kernel.Known && float64(s.Kernel.Drops) >= dropped && s.Kernel.Drops > 0 {
		dropped, r.reason = float64(s.Kernel.Drops), s.Kernel.Reason
	} else if dropped > 0 {
		r.reason = receiveBuffer
	}
	r.dropped += dropped
	r.lost += max(lost-dropped, 0)
	r.decoder += float64(s.Session.Errors + s.Session.Late)
	n := &s.Node
	r.appThrottled = max(r.appThrottled, n.AppThrottled.Or(0))
	r.nodePressure = max(r.nodePressure, n.NodeMemoryPressure.Or(0)/100, n.NodeCPUPressure.Or(0)/100)
	r.self = max(r.self, n.SidecarThrottled.Or(0), n.SidecarMemoryPressure.Or(0)/100, n.SidecarCPUPressure.Or(0)/100,
		n.GCPauseSeconds.Or(0)*10, n.LateSeconds.Or(0)*2)
}

// impaired is the share above which the probe's own word is worth less.
const impaired = 0.2

// cause names who is to blame, by causes and not by counters: packets that the
// kernel dropped are also missing for the decoder, and count once, where they
// were lost first. What was seen on the sidecar alone blames nobody.
func (d *Detector) cause(what symptom) Cause {
	r, p := &d.seen, &d.playout
	switch {
	case r.dropped > 0.5 && r.dropped >= r.lost:
		return Node
	case !d.last.Media.Known && d.last.Socket.Queue > 0:
		return Node // nothing else is seen
	case p.queue > 0.1 && p.queue > 0.3*p.lag:
		return Node
	case r.lost > 0.5:
		return Network
	case what == slowing || what == missing:
		return Camera
	case what == silence && p.count > 0 && p.ago(0).readLag > excursionFrom:
		return Network // it was late before nothing came
	case what == draining:
		if r.appThrottled > impaired {
			return Node
		}
		return Network
	case r.decoder > refused:
		return Decoder
	case what == broken:
		return Network
	case d.last.Session.Artefacts.Or(0) >= seenBroken:
		return Camera // nothing was lost, so it was sent like that
	}
	return Unclear
}

// mainSymptom is what a stall that is on is seen by.
func (d *Detector) mainSymptom(t threat) symptom {
	switch {
	case t.what != none:
		return t.what
	case d.brokenChance > 0.1:
		return broken
	}
	return silence
}

// evidence has the figures that a verdict rests on.
func (d *Detector) evidence(what symptom) map[string]Evidence {
	r, p := &d.seen, &d.playout
	e := map[string]Evidence{}
	if d.last.Media.Known {
		e["lag"] = Evidence{Value: round(p.lag), Unit: "s", Scope: PodNetwork}
		if quiet := p.now - p.newestAt; quiet > 0.2 {
			e["silence"] = Evidence{Value: round(quiet), Unit: "s", Scope: PodNetwork}
		}
		if what == draining {
			e["lag_growth"] = Evidence{Value: round(p.slope(20)), Unit: "s/s", Scope: PodNetwork}
		}
		if what == slowing {
			e["frame_interval"] = Evidence{Value: round(d.pace.ago(0)), Unit: "s", Scope: PodNetwork}
		}
	}
	if r.lost >= 0.5 {
		e["lost"] = Evidence{Value: round(r.lost), Unit: "packets", Scope: PodNetwork}
	}
	if r.dropped >= 0.5 {
		e["dropped"] = Evidence{Value: round(r.dropped), Unit: "packets", Scope: PodSocket, Detail: r.reason}
	}
	if d.last.Socket.Known && d.last.Socket.Queue > 0 {
		e["receive_queue"] = Evidence{Value: float64(d.last.Socket.Queue), Unit: "bytes", Scope: PodSocket}
	}
	if r.appThrottled > impaired {
		e["throttled"] = Evidence{Value: round(r.appThrottled), Unit: "share", Scope: AppCgroup}
	}
	if r.nodePressure > impaired {
		e["pressure"] = Evidence{Value: round(r.nodePressure * 100), Unit: "percent", Scope: NodePSI}
	}
	if r.self > impaired {
		e["self"] = Evidence{Value: round(r.self), Unit: "share", Scope: SidecarCgroup}
	}
	if share := d.last.Session.Artefacts.Or(0); share >= seenBroken {
		e["artefacts"] = Evidence{Value: round(share), Unit: "share", Scope: OwnSession}
	}
	if r.decoder >= refused {
		e["decoder"] = Evidence{Value: round(r.decoder), Unit: "frames", Scope: OwnSession}
	}
	return e
}
