package warn_test

import (
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

func TestQuietStepAllocatesNothing(t *testing.T) {
	all := samples(film(time.Minute, 30, time.Millisecond, 1), time.Minute)
	for i := range all {
		all[i].Socket = sample.Socket{Known: true, Queue: uint64(i%3) * 2304}
	}
	d := warn.New(warn.Options{}, stream)
	for _, s := range all[:200] {
		d.Step(s)
	}
	next := 200
	if n := testing.AllocsPerRun(300, func() { d.Step(all[next]); next++ }); n > 0 {
		t.Errorf("%v allocations a step", n)
	}
}

// A step of 1200 streams ten times a second is 12,000 a second.
func BenchmarkStep(b *testing.B) {
	for _, c := range []struct {
		name  string
		shots []shot
	}{
		{"clean", film(time.Minute, 30, time.Millisecond, 1)},
		{"outages", hold(hold(film(time.Minute, 30, time.Millisecond, 1), 10*time.Second, 8*time.Second), 30*time.Second, 20*time.Second)},
	} {
		all := samples(c.shots, time.Minute)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			d := warn.New(warn.Options{}, stream)
			for i := range b.N {
				s := all[i%len(all)]
				if i%len(all) == 0 {
					d = warn.New(warn.Options{}, stream)
				}
				d.Step(s)
			}
		})
	}
}
