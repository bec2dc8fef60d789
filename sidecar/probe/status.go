package probe

import (
	"cmp"
	"maps"
	"slices"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/bpf/drop"
	"github.com/debugsidecar/debugsidecar/sidecar/capture"
	"github.com/debugsidecar/debugsidecar/sidecar/status"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// ranks order health from best to worst.
var ranks = map[warn.Health]int{warn.Unknown: 0, warn.Excellent: 1, warn.Fair: 2, warn.Poor: 3, warn.Unusable: 4}

// status is the probe as it stands.
func (p *Probe) status(now clock.Ktime) *status.Status {
	state, why := p.guard.State()
	st := &status.Status{
		At: p.wallTime(now), Version: p.version, Pod: p.options.Pod, Namespace: p.options.Namespace,
		State: state.String(), Why: why, Tier: p.sources.tier().String(), NotAvailable: p.watch.unavailable(),
		Health: warn.Unknown, Node: p.watch.last, Streams: make([]status.Stream, 0, len(p.watch.streams)),
		Stats: map[string]uint64{},
	}
	for _, s := range p.watch.streams {
		if s.ended {
			continue
		}
		one := s.status()
		// The detector uses both again at its next step.
		one.Verdict.Forecasts = slices.Clone(one.Verdict.Forecasts)
		one.Verdict.Evidence = maps.Clone(one.Verdict.Evidence)
		one.Verdict.Blind = slices.Clone(one.Verdict.Blind)
		// Without the stream's name: this is a label of a metric, too. The stream has null.
		if need := one.Window.KeysNeed(); need != "" {
			st.NotAvailable["key frames of a stream"] = need
		}
		st.Streams = append(st.Streams, one)
		if ranks[one.Verdict.Health] > ranks[st.Health] {
			st.Health, st.Cause = one.Verdict.Health, one.Verdict.Cause
		}
	}
	slices.SortFunc(st.Streams, func(a, b status.Stream) int {
		return cmp.Or(ranks[b.Verdict.Health]-ranks[a.Verdict.Health], cmp.Compare(a.Key, b.Key))
	})
	if p.own != nil {
		st.Capture = p.own.status()
		st.Capture.Lower = p.lower()
	} else {
		st.NotAvailable["picture"] = "no source is configured (--source)"
	}
	for _, a := range p.advice {
		st.Advice = append(st.Advice, p.wallTime(a.At).UTC().Format("15:04:05 ")+a.Text)
	}
	p.drops(st)
	return st
}

// lower is the turn to the lower source, nil while there is none.
func (p *Probe) lower() *status.Lower {
	way := p.answers.Way()
	if !way.Lower {
		return nil
	}
	l := &status.Lower{Source: capture.Mask(p.options.LowerSource), Since: p.wallTime(way.Since).UTC()}
	if way.Back != 0 {
		until := p.wallTime(way.Back).UTC()
		l.Until = &until
	}
	return l
}

// drops adds the kernel's drops, and what the probes missed.
func (p *Probe) drops(st *status.Status) {
	if d := p.sources.drops; d != nil {
		counts, err := d.Counts()
		if err != nil {
			st.NotAvailable["drops"] = err.Error()
		}
		st.Drops = sum(counts)
		if stats, err := d.Stats(); err == nil {
			st.Stats["drop_events_lost"] = stats.LostEvents
			st.Stats["drops_overflowed"] = stats.OverflowedDrops
			st.Stats["drops_unattributed"] = stats.UnattributedDrops
			st.Stats["drop_runs_missed"] = stats.MissedRuns
		}
	}
	if t := p.sources.tap; t != nil {
		if stats, err := t.Stats(); err == nil {
			st.Stats["rtp_packets_refused"] = stats.RefusedPackets
			st.Stats["rtp_flows_evicted"] = stats.EvictedFlows
			st.Stats["rtcp_malformed"] = stats.MalformedControls
			for _, err := range stats.Uncovered {
				st.NotAvailable["an interface"] = err.Error()
			}
		}
	}
}

// sum puts the counts of several network namespaces together, most first.
func sum(counts []drop.Count) []status.Drops {
	sums := map[status.Drops]uint64{}
	for _, c := range counts {
		class := "loss"
		if drop.Classify(c.Reason) == drop.ClassNoise {
			class = "noise"
		}
		sums[status.Drops{Reason: c.Reason, Class: class, Family: family(c.Family), Proto: proto(c.Proto)}] += c.Drops
	}
	all := make([]status.Drops, 0, len(sums))
	for d, n := range sums {
		d.Count = n
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b status.Drops) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Family, b.Family), cmp.Compare(a.Proto, b.Proto))
	})
	return all
}

func family(af uint16) string {
	switch af {
	case 2:
		return "ipv4"
	case 10:
		return "ipv6"
	}
	return "other"
}

func proto(n uint8) string {
	switch n {
	case 6:
		return "tcp"
	case 17:
		return "udp"
	case 1, 58:
		return "icmp"
	}
	return "other"
}

// tierWord is for the log: which tier it is, and why not a better one.
func (p *Probe) tierWord() (tier, why string) {
	tier = p.sources.tier().String()
	if p.sources.tier() != bpf.TierKernel {
		why = p.sources.missing["drops by reason"]
	}
	return tier, why
}
