// Package score judges alerts by the truth.
//
// Predictions are judged for each stream and depth alone. A raise inside an
// episode counts neither way. A raise within Window of the one before, with no
// episode between, extends it: both are one alert. An alert is right if an
// episode starts within Window of one of its raises, or within that raise's
// eta, up to Longest. One of which the capture ends before that is known counts
// neither way.
//
// An episode is foreseen if an alert is right about it. Its lead is from the
// first raise of the earliest such alert, but no more than the limit: whoever
// warned before anything could be seen was lucky. An unforeseen episode has the
// lead 0.
package score

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/debugsidecar/debugsidecar/test/stalls/record"
)

const (
	// Window is how long after a raise an episode may start, in seconds.
	Window = 10.0
	// Longest is that of a raise with an eta.
	Longest = 30.0
)

// Kinds of alerts that are judged.
const (
	Predicted = "stall-predicted"
	Stalled   = "stall"
	Degraded  = "degraded"
)

// raise is one line.
type raise struct{ at, until float64 }

func raiseOf(a Alert) raise {
	return raise{a.At, a.At + max(Window, min(a.ETA, Longest))}
}

// alert is raises that extend each other.
type alert []raise

// alertsOf joins raises, which are sorted, to alerts.
func alertsOf(raises []raise, episodes []record.Episode) []alert {
	var alerts []alert
	for _, r := range raises {
		if slices.ContainsFunc(episodes, func(e record.Episode) bool { return e.Start <= r.at && r.at <= e.End }) {
			continue
		}
		if n := len(alerts); n > 0 {
			last := alerts[n-1][len(alerts[n-1])-1]
			between := slices.ContainsFunc(episodes, func(e record.Episode) bool { return last.at < e.Start && e.Start < r.at })
			if r.at-last.at <= Window && !between {
				alerts[n-1] = append(alerts[n-1], r)
				continue
			}
		}
		alerts = append(alerts, alert{r})
	}
	return alerts
}

// about returns the number of the first episode that the alert is right about.
func (a alert) about(episodes []record.Episode) (int, bool) {
	for i, e := range episodes {
		for _, r := range a {
			if r.at < e.Start && e.Start <= r.until {
				return i, true
			}
		}
	}
	return 0, false
}

// verdict is what is thought of the predictions for one stream and depth.
type verdict struct {
	alerts []alert
	right  int
	// wrong has when each wrong alert was first raised.
	wrong []float64
	// lead has one entry an episode; 0 is unforeseen.
	lead     []float64
	foreseen []bool
}

func judge(raises []raise, episodes []record.Episode, end float64) verdict {
	v := verdict{lead: make([]float64, len(episodes)), foreseen: make([]bool, len(episodes))}
	v.alerts = alertsOf(raises, episodes)
	for _, a := range v.alerts {
		i, right := a.about(episodes)
		switch {
		case right:
			v.right++
			if !v.foreseen[i] {
				v.foreseen[i] = true
				v.lead[i] = max(0, min(episodes[i].Start-a[0].at, episodes[i].Limit))
			}
		case slices.ContainsFunc(a, func(r raise) bool { return r.until > end }):
		default:
			v.wrong = append(v.wrong, a[0].at)
		}
	}
	return v
}

// chance returns how many of the episodes the same alerts would foresee, in the
// mean, if they came at random times between from and to.
func chance(alerts []alert, episodes []record.Episode, from, to float64, random *rand.Rand) float64 {
	if len(episodes) == 0 || len(alerts) == 0 {
		return 0
	}
	const rounds = 20
	hits := 0
	for range rounds {
		hit := make([]bool, len(episodes))
		for _, a := range alerts {
			moved := from + random.Float64()*(to-from) - a[0].at
			for _, r := range a {
				for i, e := range episodes {
					hit[i] = hit[i] || r.at+moved < e.Start && e.Start <= r.until+moved
				}
			}
		}
		for _, h := range hit {
			if h {
				hits++
			}
		}
	}
	return float64(hits) / rounds
}

// quantile returns the value below which a share of the sorted values lies.
func quantile(sorted []float64, share float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := share * float64(len(sorted)-1)
	low := int(at)
	if low+1 == len(sorted) {
		return sorted[low]
	}
	return sorted[low] + (at-float64(low))*(sorted[low+1]-sorted[low])
}
