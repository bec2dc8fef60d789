package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
)

// result is what was measured of a subject, a value for each round.
type result struct {
	name         string
	cpu          []float64 // ns per operation, of the whole process
	bytes, alloc int64     // per operation
}

// roundTime is how long each subject runs in a round: short, so that a slow
// moment of the machine meets all of them.
const roundTime = 100 * time.Millisecond

func measure(subjects []subject, rounds int) ([]result, error) {
	results := make([]result, len(subjects))
	times := make([]int, len(subjects))
	for i, s := range subjects {
		if err := s.op(); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		r := testing.Benchmark(func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.op() //nolint:errcheck // it worked a moment ago
			}
		})
		results[i] = result{name: s.name, bytes: r.AllocedBytesPerOp(), alloc: r.AllocsPerOp()}
		times[i] = max(1, int(roundTime.Nanoseconds()/max(1, r.NsPerOp())))
	}
	for range rounds {
		for i, s := range subjects {
			runtime.GC()
			before := cpuTime()
			for range times[i] {
				if err := s.op(); err != nil {
					return nil, fmt.Errorf("%s: %w", s.name, err)
				}
			}
			results[i].cpu = append(results[i].cpu, float64((cpuTime()-before).Nanoseconds())/float64(times[i]))
		}
	}
	return results, nil
}

// cpuTime is the processor time that this process has had, in all its threads.
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
	fmt.Fprintf(w, "%-34s %12s %10s %10s\n", "", "cpu us/op", "B/op", "allocs/op")
	byName := map[string]result{}
	for _, r := range results {
		byName[r.name] = r
		fmt.Fprintf(w, "%-34s %12.0f %10d %10d\n", r.name, median(r.cpu)/1000, r.bytes, r.alloc)
	}
	fmt.Fprintln(w)
	for _, pair := range [][2]string{{gatekeeperName, oursName}, {gatekeeperAlone, oursOnlyName}, {gatekeeperDenied, oursDenied}, {oursName, floorName}} {
		ratios := make([]float64, rounds)
		for i := range ratios {
			ratios[i] = byName[pair[0]].cpu[i] / byName[pair[1]].cpu[i]
		}
		fmt.Fprintf(w, "ratio %s / %s: %.1f (%.1f to %.1f)\n", pair[0], pair[1], median(ratios), slices.Min(ratios), slices.Max(ratios))
	}
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
