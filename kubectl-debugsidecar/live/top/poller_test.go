package top

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/ask"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/probes"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/reading"
)

func TestSlowProbesDelayNobody(t *testing.T) {
	defer goleak.VerifyNone(t)
	const healthy, hanging = 300, 100
	ctx, cancel := context.WithCancel(t.Context())
	var now, most atomic.Int64
	p := newPoller(time.Second, func(ctx context.Context, one *probes.Probe) (ask.Answer, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if one.Namespace == "hanging" {
			ctx, cancel := context.WithTimeout(ctx, ask.Timeout)
			defer cancel()
			<-ctx.Done()
			return ask.Answer{}, errors.New("no answer in time")
		}
		time.Sleep(10 * time.Millisecond)
		return ask.Answer{Reading: &reading.Reading{}, Received: time.Now()}, nil
	})
	var list []probes.Probe
	for i := range hanging { // first, so that they are asked first
		list = append(list, probes.Probe{Namespace: "hanging", Pod: fmt.Sprint(i), UID: fmt.Sprint(i)})
	}
	for i := range healthy {
		list = append(list, probes.Probe{Namespace: "healthy", Pod: fmt.Sprint(i), UID: fmt.Sprint(i)})
	}
	p.set(ctx, list)
	time.Sleep(6 * time.Second)
	oldest, unheard, failed := time.Duration(0), 0, 0
	for _, s := range p.snapshot() {
		switch {
		case s.Namespace == "hanging":
			if s.err != nil {
				failed++
			}
		case len(s.answers) == 0:
			unheard++
		default:
			oldest = max(oldest, time.Since(s.answers[len(s.answers)-1].Received))
		}
	}
	if unheard > 0 || oldest > 3*time.Second || failed != hanging {
		t.Errorf("%d were not heard of, the oldest answer is %s old, %d of %d failed", unheard, oldest, failed, hanging)
	}
	if most.Load() > askers+slowAskers {
		t.Errorf("%d were asked at the same time", most.Load())
	}
	t.Logf("%d healthy probes beside %d that hang: the oldest answer is %s old; %d at most were asked at the same time", healthy, hanging, oldest.Round(time.Millisecond), most.Load())
	cancel()
	p.wait()
}

func TestProbesComeAndGo(t *testing.T) {
	defer goleak.VerifyNone(t)
	ctx, cancel := context.WithCancel(t.Context())
	var asked atomic.Int64
	p := newPoller(200*time.Millisecond, func(_ context.Context, one *probes.Probe) (ask.Answer, error) {
		if one.Waits != "" {
			t.Error("one that does not run is asked")
		}
		asked.Add(1)
		return ask.Answer{Reading: &reading.Reading{Version: one.UID}, Received: time.Now()}, nil
	})
	one := func(uid string) []probes.Probe { return []probes.Probe{{Namespace: "a", Pod: "b", UID: uid}} }
	wait := func(uid string) {
		t.Helper()
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			if s := p.snapshot(); len(s) == 1 && len(s[0].answers) > 0 {
				for _, a := range s[0].answers {
					if a.Version != uid {
						t.Fatalf("an answer of %s is one of %s", a.Version, uid)
					}
				}
				return
			}
		}
		t.Fatalf("no answer of %s", uid)
	}
	p.set(ctx, one("1"))
	wait("1")
	p.set(ctx, one("2")) // another pod of the same name
	wait("2")
	p.set(ctx, nil)
	if n := len(p.snapshot()); n != 0 {
		t.Errorf("%d are left", n)
	}
	time.Sleep(300 * time.Millisecond)
	before := asked.Load()
	waits := one("3")
	waits[0].Waits = "it waits"
	p.set(ctx, waits)
	time.Sleep(500 * time.Millisecond)
	if asked.Load() != before {
		t.Error("one that is gone, or does not run, is asked")
	}
	cancel()
	p.wait()
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	for _, every := range []time.Duration{10 * time.Millisecond, 200 * time.Millisecond, time.Second, 3 * time.Second, time.Minute} {
		var all []ask.Answer
		at := time.Unix(0, 0)
		for range max(200, int(3*window/every)) {
			at = at.Add(every)
			all = recent(all, ask.Answer{Received: at})
			if len(all) > mostAnswers || !all[len(all)-1].Received.Equal(at) || at.Sub(all[0].Received) > window {
				t.Fatalf("every %s: %d answers, from %s to %s", every, len(all), all[0].Received, all[len(all)-1].Received)
			}
		}
		if span := at.Sub(all[0].Received); every <= 3*time.Second && span < window*8/10 {
			t.Errorf("every %s: the answers span %s", every, span)
		}
	}
}
