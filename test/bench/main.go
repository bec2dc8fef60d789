// Command bench measures what an admission costs, beside a floor and a peer in
// the same run. The machine may be shared: ratios and allocations count,
// absolute times do not.
//
// The floor decodes the same review once, into the smallest struct, and answers
// with a patch that was made before. The peer decodes the pod into core/v1's
// type and answers likewise: what a webhook in the usual style can't go below.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func main() {
	out := flag.String("o", "", "also write the table to this file")
	rounds := flag.Int("rounds", 15, "how often each is measured, in turn")
	pod := flag.String("pod", "policies/testdata/pod.yaml", "the pod that is reviewed")
	flag.Parse()
	if err := run(*out, *pod, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(out, pod string, rounds int) error {
	subjects, size, err := prepare(pod)
	if err != nil {
		return err
	}
	for _, s := range subjects {
		if err := s.op(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	results := measure(subjects, rounds)
	var b strings.Builder
	report(&b, results, size, rounds)
	fmt.Print(b.String())
	if out == "" {
		return nil
	}
	return os.WriteFile(out, []byte(b.String()), 0o644)
}

// subject is one thing that is measured.
type subject struct {
	name string
	op   func() error
}

// result is what was measured of a subject, a value for each round.
type result struct {
	name         string
	wall, cpu    []float64 // ns per operation
	bytes, alloc int64     // per operation
}

// roundTime is how long each subject runs in a round: short, so that a slow
// moment of the machine meets all of them.
const roundTime = 100 * time.Millisecond

func measure(subjects []subject, rounds int) []result {
	results := make([]result, len(subjects))
	times := make([]int, len(subjects))
	for i, s := range subjects {
		results[i].name = s.name
		r := testing.Benchmark(func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.op() //nolint:errcheck // it worked a moment ago
			}
		})
		results[i].bytes, results[i].alloc = r.AllocedBytesPerOp(), r.AllocsPerOp()
		times[i] = max(1, int(roundTime.Nanoseconds()/max(1, r.NsPerOp())))
	}
	for range rounds {
		for i, s := range subjects {
			runtime.GC()
			wall, cpu := time.Now(), cpuTime()
			for range times[i] {
				s.op() //nolint:errcheck // likewise
			}
			n := float64(times[i])
			results[i].cpu = append(results[i].cpu, float64((cpuTime()-cpu).Nanoseconds())/n)
			results[i].wall = append(results[i].wall, float64(time.Since(wall).Nanoseconds())/n)
		}
	}
	return results
}

// cpuTime is the processor time that this process has had, in all its threads,
// the garbage collector's included.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func report(w io.Writer, results []result, size, rounds int) {
	fmt.Fprintf(w, "review of %d bytes; %s, %d processors, %s; medians of %d rounds in turn\n\n",
		size, runtime.Version(), runtime.NumCPU(), runtime.GOARCH, rounds)
	fmt.Fprintf(w, "%-34s %12s %12s %10s %10s\n", "", "wall ns/op", "cpu ns/op", "B/op", "allocs/op")
	byName := map[string]result{}
	for _, r := range results {
		byName[r.name] = r
		fmt.Fprintf(w, "%-34s %12.0f %12.0f %10d %10d\n", r.name, median(r.wall), median(r.cpu), r.bytes, r.alloc)
	}
	fmt.Fprintln(w)
	for _, pair := range [][3]string{
		{"mutate/typed", mutateName, typedName},
		{"validate/typed", validateName, typedName},
		{"mutate/floor", mutateName, floorName},
		{"validate/floor", validateName, floorName},
	} {
		fmt.Fprintf(w, "ratio %s %.2f\n", pair[0], ratio(byName[pair[1]].cpu, byName[pair[2]].cpu))
	}
	fmt.Fprintf(w, "policy us/op %.0f\n", median(byName[policyName].cpu)/1000)
}

// ratio is the median of the ratios of each round.
func ratio(a, b []float64) float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] / b[i]
	}
	return median(out)
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
