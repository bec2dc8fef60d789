package warn

// verdict sums up what is thought of the stream now.
func (d *Detector) verdict() Verdict {
	r, p := &d.seen, &d.playout
	v := Verdict{SelfImpaired: r.self > impaired, Blind: d.blind()}
	if !r.any || d.replaced && !d.raised() {
		v.Health = Unknown
		return v
	}
	media := d.last.Media.Known && !d.last.Media.Audio
	if media && p.count > 0 {
		v.Forecasts = d.forecasts
	}
	var worst threat
	stalled, threatened := false, false
	for i := range d.depths {
		x := &d.depths[i]
		stalled = stalled || x.stalled && (x.buffer >= 1 || i == len(d.depths)-1)
		threatened = threatened || x.predicted || x.stalled
		if x.predicted || x.stalled {
			if t := x.threat; t.probability > worst.probability {
				worst = t
			}
		}
	}
	share := r.lost + r.dropped
	if r.packets+share > 0 {
		share /= r.packets + share
	}
	switch {
	case stalled:
		v.Health = Unusable
	case threatened || share > 0.02 || d.tier.danger:
		v.Health = Poor
	case d.brokenPictures() || share > 0.001 || d.burst.on || d.plain.anomaly && media || media && p.lag > 0.15:
		v.Health = Fair
	default:
		v.Health = Excellent
		return v
	}
	v.Cause = d.cause(worst.what)
	if stalled || threatened || d.burst.on || d.brokenPictures() {
		v.Evidence = d.evidence(worst.what)
	}
	return v
}

const (
	// seenBroken is the share of the pictures checked from which on viewers see
	// artefacts.
	seenBroken = 0.2
	// refused is how many pictures of the last seconds the decoder has to refuse, or
	// give too late.
	refused = 0.5
)

// brokenPictures says whether the probe's own session shows what viewers dislike,
// whatever its packets did.
func (d *Detector) brokenPictures() bool {
	return d.last.Session.Artefacts.Or(0) >= seenBroken || d.seen.decoder > refused
}

// What a tier can't know. Slices, so that a step allocates nothing.
var (
	blindToPackets = []string{
		"what arrives: loss, delay and the camera's pace need the kernel tier, or a capture session",
	}
	blindToAll = []string{
		"what arrives: loss, delay and the camera's pace need the kernel tier, or a capture session",
		"what waits in the receiver's socket: its network namespace can't be read",
	}
	blindToSocket = []string{"what waits in the receiver's socket: a slow receiver is seen only by its drops"}
	blindToLoss   = []string{"loss: the transport hides it, it shows as delay"}
)

func (d *Detector) blind() []string {
	m, s := &d.last.Media, &d.last.Socket
	switch {
	case !m.Known && !s.Known:
		return blindToAll
	case !m.Known:
		return blindToPackets
	case m.Reliable:
		return blindToLoss
	case !s.Known:
		return blindToSocket
	}
	return nil
}

// raised says whether anything that was raised stands.
func (d *Detector) raised() bool {
	for i := range d.depths {
		if d.depths[i].predicted || d.depths[i].stalled {
			return true
		}
	}
	return false
}
