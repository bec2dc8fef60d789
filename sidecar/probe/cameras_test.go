package probe

import (
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/v4l2"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

func TestACamerasFramesAndLossesAreWhatWasAdded(t *testing.T) {
	first := v4l2.Queue{ID: 1, Frames: 100, Lost: 2, Errors: 1, Last: began}
	before := queue{first: began, last: first}
	next := first
	next.Frames, next.Lost, next.Errors, next.Last = 103, 4, 2, after(100*time.Millisecond)
	m := sampleQueue(&before, &next)
	if !m.Known || m.Reliable || m.Frames != 3 || m.Lost != 3 || m.Newest != 100*time.Millisecond || m.NewestAt != next.Last || m.Restarted {
		t.Errorf("got %+v", m)
	}
	next.Restarts++
	if !sampleQueue(&before, &next).Restarted {
		t.Error("STREAMON begins anew")
	}
}

func TestNoNetworkIsBlamedForACamera(t *testing.T) {
	v := warn.Verdict{Cause: warn.Network}
	alerts := []warn.Alert{{Cause: warn.Network}, {Cause: warn.Unclear}, {Cause: warn.Node}, {}}
	blameCamera(&v, alerts)
	if v.Cause != warn.Camera || alerts[0].Cause != warn.Camera || alerts[1].Cause != warn.Camera || alerts[2].Cause != warn.Node || alerts[3].Cause != "" {
		t.Errorf("got %v, %+v", v.Cause, alerts)
	}
}
