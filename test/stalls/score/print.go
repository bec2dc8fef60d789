package score

import (
	"fmt"
	"io"
	"math"
	"sort"
	"strings"
	"text/tabwriter"
)

// Print writes the figures of one producer of alerts; kinds says whether those
// of each kind of fault follow those of each depth.
func (t *Table) Print(to io.Writer, name string, kinds bool) error {
	fmt.Fprintf(to, "%s: %.1f stream-hours of video\n", name, t.Hours)
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "depth s\tfault\tepisodes\trecall\tprecision\twrong\twrong/h\tchance\tlead P5\tP50\tP95\tlead/limit\t")
	for _, r := range t.Rows() {
		if r.Kind != AllKinds && !kinds {
			continue
		}
		chance := "-"
		if r.Kind == AllKinds {
			chance = fmt.Sprintf("%.2f", r.Chance())
		}
		fmt.Fprintf(w, "%g\t%s\t%d\t%s\t%s\t%d\t%.2f\t%s\t%s\t%s\t%s\t%s\t\n",
			r.Depth, r.Kind, r.Episodes, ratio(r.Foreseen, r.Episodes), ratio(r.Right, r.Right+r.Wrong), r.Wrong, float64(r.Wrong)/t.Hours, chance,
			number(r.Lead(.05)), number(r.Lead(.5)), number(r.Lead(.95)), number(r.LeadOverLimit()))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if t.Stalls+t.Degraded == 0 {
		// One who only predicts.
		_, err := fmt.Fprintln(to)
		return err
	}
	fmt.Fprintf(to, "stall lines: %d, %d of them with no stall near; episodes without one: %d of %d\n", t.Stalls, t.Unfounded, len(t.Missed), t.Episodes)
	for i, missed := range t.Missed {
		if i == 10 {
			fmt.Fprintf(to, "  and %d more\n", len(t.Missed)-i)
			break
		}
		fmt.Fprintf(to, "  %s\n", missed)
	}
	sort.Float64s(t.Latencies)
	sort.Float64s(t.KnownLatencies)
	fmt.Fprintf(to, "degraded lines: %d; on streams without faults %.2f an hour\n", t.Degraded, float64(t.CleanDegraded)/math.Max(t.CleanHours, 1e-9))
	fmt.Fprintf(to, "bursts of loss (3 in 100 ms, after 10 s without): %d; a degraded line within %g s of when the third could be known: %d; within 10 s: %d, after P50 %s s, P99 %s s; from the first drop P50 %s s, P99 %s s\n",
		t.Bursts, Prompt, t.Prompt, len(t.Latencies),
		number(quantile(t.KnownLatencies, .5)), number(quantile(t.KnownLatencies, .99)), number(quantile(t.Latencies, .5)), number(quantile(t.Latencies, .99)))
	if t.Strangers > 0 {
		fmt.Fprintf(to, "alerts about no known stream: %d\n", t.Strangers)
	}
	_, err := fmt.Fprintln(to)
	return err
}

// PrintAims writes a line for each depth that has aims, with what misses them.
func (t *Table) PrintAims(to io.Writer) {
	const recall, precision, wrong, ratio, lead, deepest = .95, .95, .5, .85, 3.2, 4
	fmt.Fprintf(to, "aims: recall %g, precision %g, at most %g wrong an hour, lead/limit %g; lead P50 %g s at a depth of %d s\n", recall, precision, wrong, ratio, lead, deepest)
	for _, r := range t.Rows() {
		if r.Kind != AllKinds || r.Depth < 1 {
			continue
		}
		var short []string
		check := func(name string, value, aim float64) {
			if !(value >= aim) {
				short = append(short, fmt.Sprintf("%s %.3f", name, value))
			}
		}
		check("recall", r.Recall(), recall)
		check("precision", r.Precision(), precision)
		if rate := float64(r.Wrong) / t.Hours; rate > wrong {
			short = append(short, fmt.Sprintf("wrong an hour %.2f", rate))
		}
		check("lead/limit", r.LeadOverLimit(), ratio)
		if r.Depth == deepest {
			check("lead P50", r.Lead(.5), lead)
		}
		if short == nil {
			short = []string{"nothing"}
		}
		fmt.Fprintf(to, "  %g s: short in %s\n", r.Depth, strings.Join(short, ", "))
	}
	fmt.Fprintln(to)
}

// PrintFaulty writes a line for each wrong alert and each unforeseen episode.
func (t *Table) PrintFaulty(to io.Writer) {
	for _, line := range t.Faulty {
		fmt.Fprintln(to, line)
	}
}

func number(v float64) string {
	if math.IsNaN(v) {
		return "-"
	}
	return fmt.Sprintf("%.2f", v)
}

func ratio(part, whole int) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", share(part, whole))
}
