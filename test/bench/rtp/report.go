package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/rtp"
	"github.com/debugsidecar/debugsidecar/test/bench/streams"
)

func report(w io.Writer, s settings, without, with, inside []result) error {
	var flows, extra, lost, missed, wrong, gaps, received, reads uint64
	var worstRead, reading, stole time.Duration
	var watched, plainPace streams.Pace
	flows = uint64(s.flows)
	for _, r := range slices.Concat(with, inside) {
		flows = min(flows, r.seen)
		extra, wrong = max(extra, r.extra), max(wrong, r.wrong)
		lost, missed, gaps = lost+r.lost, missed+r.missed, gaps+r.gaps
		received, reads = received+r.received, reads+uint64(r.reads)
		worstRead, reading = max(worstRead, r.longestRead), reading+r.reading
		watched = watched.Add(r.pace)
	}
	var share, plain, differences, own []float64
	for i := range with {
		plain = append(plain, without[i].share())
		share = append(share, with[i].share())
		differences = append(differences, with[i].share()-without[i].share())
		own = append(own, (with[i].own-without[i].own).Seconds()/s.block.Seconds())
		plainPace = plainPace.Add(without[i].pace)
		stole += with[i].stole + without[i].stole
	}
	var programs time.Duration
	var runs uint64
	var program []float64
	for _, r := range inside {
		programs, runs = programs+r.programs, runs+r.runs
		program = append(program, r.programs.Seconds()/r.pace.Took.Seconds())
	}
	mean, half := interval(differences)
	ownMean, ownHalf := interval(own)
	mode := "packet socket"
	if s.mode == rtp.TCX {
		mode = "TCX"
	}
	fmt.Fprintf(w, "RTP tap, %s: %d flows of 720p at 30 frames (8 packets a frame), watched for %.0f s, read every %v\n\n",
		mode, s.flows, watched.Took.Seconds(), s.read)
	fmt.Fprintf(w, "flows seen                    %d of %d, in the worst block; %d that nobody sent\n", flows, s.flows, extra)
	fmt.Fprintf(w, "packets                       %d sent, %d received, %d missed by the tap\n", watched.Packets, received, missed)
	fmt.Fprintf(w, "false loss                    %d packets, %d gaps; %d flows with any wrong figure\n", lost, gaps, wrong)
	fmt.Fprintf(w, "pace with the tap             %s\n", pace(watched))
	fmt.Fprintf(w, "pace without                  %s\n", pace(plainPace))
	fmt.Fprintf(w, "processors busy, cores        %.3f without, %.3f with (median of %d blocks each)\n", median(plain), median(share), len(with))
	fmt.Fprintf(w, "cost, share of one core       %.3f ± %.3f (mean of paired differences, 95 %% interval), kernel and user\n", mean, half)
	fmt.Fprintf(w, "  the same of this process    %.3f ± %.3f: both ends and the tap; right also if the pace is not held\n", ownMean, ownHalf)
	if runs > 0 {
		fmt.Fprintf(w, "  of that, in the programs    %.3f: %.0f ns a packet, by the kernel's statistics (which add to it)\n",
			median(program), float64(programs.Nanoseconds())/float64(runs))
	}
	fmt.Fprintf(w, "reading all figures           %d times, %.1f ms on average, %.1f ms at most\n",
		reads, ms(reading)/float64(max(1, reads)), ms(worstRead))
	if stole > 0 {
		fmt.Fprintf(w, "taken by the machine below    %v of processor time\n", stole.Round(tick))
	}
	if !watched.Held() || !plainPace.Held() {
		fmt.Fprintln(w, "\nThe sender could not hold the pace: per second of the machine, the cost is that of fewer packets.")
	}
	if missed > 0 || wrong > 0 || flows != uint64(s.flows) || extra > 0 {
		return fmt.Errorf("the tap's figures are not what was sent: %+v", with[len(with)-1].stats)
	}
	return nil
}

// share is how many processors were busy.
func (r result) share() float64 { return r.busy.Seconds() / r.pace.Took.Seconds() }

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// pace says how far the sender kept to it.
func pace(p streams.Pace) string {
	held := "held"
	if !p.Held() {
		held = "NOT HELD"
	}
	return fmt.Sprintf("%s: %d of %d frames left after the next one was due, the latest %.1f ms behind; %d packets refused",
		held, p.Late, p.Frames, ms(p.Latest), p.Refused)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// student is the 97.5 % quantile of Student's t by degrees of freedom.
var student = []float64{12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
	2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
	2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042}

// interval returns the mean and half the width of its 95 % interval.
func interval(values []float64) (mean, half float64) {
	n := float64(len(values))
	for _, v := range values {
		mean += v / n
	}
	if n < 2 {
		return mean, math.Inf(1)
	}
	var squares float64
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	t := 1.96
	if int(n)-2 < len(student) {
		t = student[int(n)-2]
	}
	return mean, t * math.Sqrt(squares/(n-1)/n)
}
