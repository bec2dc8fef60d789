package probe

import (
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

func TestOnlyTheFirstStallOfAnEpisodeIsNews(t *testing.T) {
	r := raised{}
	one := warn.Alert{Stream: sample.Stream{SSRC: 1}, Buffer: time.Second}
	for i, c := range []struct {
		kind warn.Kind
		news bool
	}{
		{warn.StallPredicted, true}, {warn.StallPredicted, false}, {warn.Stalled, true}, {warn.Stalled, false},
		{warn.Clear, true}, {warn.Stalled, true},
	} {
		a := one
		a.Kind = c.kind
		if got := r.take(a); got != c.news {
			t.Errorf("%d: %s is news: %v", i, c.kind, got)
		}
	}
	other := one
	other.Kind, other.Buffer = warn.Stalled, 2*time.Second
	if !r.take(other) {
		t.Error("another depth is news")
	}
	r.forget(map[sample.Stream]*stream{})
	if len(r) != 0 {
		t.Error("alerts of streams that are gone stay on")
	}
}
