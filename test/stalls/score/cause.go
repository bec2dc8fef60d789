package score

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/debugsidecar/debugsidecar/test/stalls/record"
	"github.com/debugsidecar/debugsidecar/test/stalls/scenario"
)

// sideOf is whom a cause blames.
var sideOf = map[string]scenario.Side{"network": scenario.Network, "camera": scenario.Camera, "node": scenario.Receiver}

// unclear is what the probe says where it does not know.
const unclear = "unclear"

// blamed is a fault's side and the cause that a line gave.
type blamed struct {
	kind, cause string
}

// blame counts whom the lines blame that are right about an episode: predictions
// and stalls of one depth. Episodes without a fault, or due to a blip, blame
// nobody.
func (t *Table) blame(alerts []Alert, depth float64, episodes []record.Episode) {
	for _, a := range alerts {
		if a.Buffer != depth || a.Kind != Predicted && a.Kind != Stalled {
			continue
		}
		i := slices.IndexFunc(episodes, func(e record.Episode) bool {
			r := raiseOf(a)
			return a.Kind == Predicted && r.at < e.Start && e.Start <= r.until || a.Kind == Stalled && a.At >= e.Start-.5 && a.At <= e.End+1
		})
		if i < 0 || episodes[i].Fault == record.BlameBlip || episodes[i].Fault == record.BlameNone {
			continue
		}
		if t.causes == nil {
			t.causes = map[blamed]int{}
		}
		t.causes[blamed{episodes[i].Fault, a.Cause}]++
	}
}

// Causes returns how many right lines about faults of one side blame it, blame
// another, and blame nobody.
func (t *Table) Causes(side scenario.Side) (right, wrong, nobody int) {
	for b, n := range t.causes {
		if scenario.Kind(b.kind).Side() != side {
			continue
		}
		switch {
		case b.cause == unclear || b.cause == "":
			nobody += n
		case sideOf[b.cause] == side:
			right += n
		default:
			wrong += n
		}
	}
	return right, wrong, nobody
}

// PrintCauses writes whom right lines blame, by the fault that was.
func (t *Table) PrintCauses(to io.Writer) error {
	fmt.Fprintln(to, "whom lines blame that are right about a stall:")
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "side\tfault\tlines\tthat side\tanother\tunclear\t")
	kinds := map[string]bool{}
	for b := range t.causes {
		kinds[b.kind] = true
	}
	for _, side := range []scenario.Side{scenario.Network, scenario.Camera, scenario.Receiver} {
		right, wrong, nobody := t.Causes(side)
		row(w, string(side), AllKinds, right, wrong, nobody)
		var of []string
		for k := range kinds {
			if scenario.Kind(k).Side() == side {
				of = append(of, k)
			}
		}
		slices.SortFunc(of, cmp.Compare)
		for _, k := range of {
			one := Table{causes: map[blamed]int{}}
			for b, n := range t.causes {
				if b.kind == k {
					one.causes[b] = n
				}
			}
			right, wrong, nobody := one.Causes(side)
			row(w, string(side), k, right, wrong, nobody)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(to)
	return err
}

func row(w io.Writer, side, kind string, right, wrong, nobody int) {
	all := right + wrong + nobody
	fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t\n", side, kind, all, ratio(right, all), ratio(wrong, all), ratio(nobody, all))
}
