package serve

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/qos"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/status"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// published keeps publishing what make makes, so that nothing is stale.
func published(t *testing.T, s *Server, make func(now time.Time) *status.Status) {
	t.Helper()
	s.Publish(make(time.Now()))
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				s.Publish(make(now))
			}
		}
	})
	t.Cleanup(func() { cancel(); all.Wait() })
}

const text = `document.body.innerText`

func TestThePageInEachSituation(t *testing.T) {
	browser := newBrowser(t)
	for _, scene := range []struct {
		name   string
		narrow bool
		make   func(now time.Time) *status.Status
		want   []string
	}{
		{name: "calm", make: func(now time.Time) *status.Status {
			st := scripted(now, 1, .02, 0)
			st.NotAvailable = nil
			return st
		}, want: []string{"Excellent", "No trouble is seen.", "None in sight", "2.0 s left of a 2 s buffer", "None in the last ten minutes.", "Nothing: every figure can be had.", "Pictures are off."}},
		{name: "start", narrow: true, make: func(now time.Time) *status.Status {
			return &status.Status{At: now, Version: "v0.4.0", State: "Initializing", Why: "loading the kernel probes", Tier: "user", Health: warn.Unknown}
		}, want: []string{"Unknown", "Initializing: loading the kernel probes", "No stream is watched."}},
		{name: "many", make: func(now time.Time) *status.Status { return scripted(now, 700, 1.3, .06) }, want: []string{"700, the worst 500 of them here", "Show all 500", "10.20.0.7:5004 is the worst of 700 streams."}},
		{name: "many-narrow", narrow: true, make: func(now time.Time) *status.Status { return scripted(now, 60, 3, .06) }, want: []string{"Stalled now", "1 of 60 streams"}},
		{name: "user-tier", make: func(now time.Time) *status.Status {
			st := scripted(now, 2, 1.3, 0)
			st.Tier = "user"
			st.NotAvailable["packets"] = "needs CAP_NET_RAW: the kernel tier"
			for i := range st.Streams {
				v := &st.Streams[i].Verdict
				v.Blind, v.SelfImpaired = []string{"loss in the network"}, true
				v.Cause = warn.Unclear
				for j := range v.Forecasts {
					v.Forecasts[j].Left, v.Forecasts[j].ETA, v.Forecasts[j].Stalled = sample.Figure{}, sample.Figure{}, false
				}
			}
			st.Streams[0].Window, st.Streams[1].Window = qos.Window{}, qos.Window{}
			return st
		}, want: []string{"Nothing that is seen explains it.", "Not seen here: loss in the network.", "The probe itself is short", "Not known", "What is left in the buffer is not known.", "needs CAP_NET_RAW"}},
	} {
		t.Run(scene.name, func(t *testing.T) {
			s := serving(t, Options{})
			published(t, s, scene.make)
			width, height := int64(1280), int64(900)
			if scene.narrow {
				width, height = 390, 844
			}
			ctx := tab(t, browser, width, height, false)
			open(t, ctx, s.Link())
			for _, want := range scene.want {
				until(t, ctx, fmt.Sprintf(`%s.toLowerCase().includes(%q.toLowerCase())`, text, want))
			}
			until(t, ctx, `document.getElementById("at-left").textContent !== ""`) // the plot is drawn
			if eval[bool](t, ctx, `document.documentElement.scrollWidth > document.documentElement.clientWidth`) {
				t.Error("the page scrolls sideways")
			}
			screenshot(t, ctx, "scene-"+scene.name)
		})
	}
}

// What comes from the network is text, whatever it says.
func TestNamesAreTextNotMarkup(t *testing.T) {
	browser := newBrowser(t)
	s := serving(t, Options{})
	const evil = `<img src=x onerror="document.title='taken'"><script>document.title='taken'</script>`
	published(t, s, func(now time.Time) *status.Status {
		st := scripted(now, 1, 1.3, .1)
		st.Pod, st.Why, st.Advice = evil, evil, []string{evil}
		st.NotAvailable = map[string]string{evil: evil}
		st.Streams[0].Name, st.Streams[0].Src = evil, evil
		st.Streams[0].Verdict.Evidence = map[string]warn.Evidence{evil: {Unit: evil, Detail: evil}}
		return st
	})
	a := scriptedAlert(time.Now(), warn.Stalled, 2*time.Second, sample.Figure{})
	a.Stream.Source = evil
	s.Alert(a)
	ctx := tab(t, browser, 390, 844, false)
	open(t, ctx, s.Link())
	until(t, ctx, `document.querySelectorAll("#rows tr").length === 1 && document.querySelectorAll("#alerts li").length === 1`)
	if n := eval[int](t, ctx, `document.querySelectorAll("main img:not(#live), main script").length`); n > 0 {
		t.Errorf("%d elements came out of names", n)
	}
	if title := eval[string](t, ctx, `document.title`); strings.HasPrefix(title, "taken") {
		t.Error("a name ran as a script")
	}
	if eval[bool](t, ctx, `document.documentElement.scrollWidth > document.documentElement.clientWidth`) {
		t.Error("a long name scrolls the page sideways")
	}
}
