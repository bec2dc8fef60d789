package video_test

import (
	"strings"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/test/video/peer"
)

// The whole probe plays the source, the lower one while the network does not
// carry that, and the source again.
func TestTheProbeTurnsToTheLowerSourceAndBack(t *testing.T) {
	needs(t)
	// Noise takes all the bits that there are.
	main, err := peer.RTSP(strings.Replace(peer.Pattern(640, 360), "pattern=ball", "pattern=snow", 1), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(main.Stop)
	network, err := peer.NewProxy(main.URL, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(network.Stop)
	small, err := peer.RTSP(peer.Pattern(160, 90), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(small.Stop)
	lower := strings.Replace(small.URL, "://", "://viewer:s3kret@", 1)
	const after = 12 * time.Second
	p := watch(t, "--source", network.URL, "--lower-source", lower, "--return-after", after.String(), "--open", "always")
	width := func(want int) func(statusOf) bool {
		return func(s statusOf) bool { return s.Capture.State == "playing" && s.Capture.Width == want }
	}
	p.until("the source plays", width(640))
	time.Sleep(3 * time.Second) // frames to compare with
	// It sends about 190 kB a second. The server may drop pictures at once, which the
	// probe takes for the camera's fault; then the network fails once more.
	turns := false
	for squeezes := 1; !turns; squeezes++ {
		network.Rate.Store(60_000)
		turns = p.within(20*time.Second, func(s statusOf) bool { return s.Capture.Lower != nil })
		if t.Logf("squeeze %d: it turns: %t", squeezes, turns); !turns && squeezes == 8 {
			t.Fatal("it never turns to the lower source")
		} else if !turns {
			network.Rate.Store(0)
			time.Sleep(8 * time.Second) // until what waited is through
			p.until("the source plays", width(640))
		}
	}
	s := p.until("the lower source plays", width(160))
	if l := s.Capture.Lower; l == nil || l.Until == nil || strings.Contains(l.Source, "s3kret") || !strings.Contains(l.Source, "viewer:***@") {
		t.Errorf("the status says of it: %+v", l)
	}
	network.Rate.Store(0)
	turned := time.Now()
	s = p.until("the source plays again", width(640))
	t.Logf("back after %v, with a hold of %v", time.Since(turned).Round(100*time.Millisecond), after)
	if took := time.Since(turned); took < after*7/10 {
		t.Errorf("back after %v already", took)
	}
	if s.Capture.Lower != nil {
		t.Errorf("the status says of the lower source: %+v", s.Capture.Lower)
	}
	advice := strings.Join(s.Advice, "\n")
	for _, want := range []string{"opening the source of lower resolution", "trying the source again"} {
		if !strings.Contains(advice, want) {
			t.Errorf("no %q in what was done:\n%s", want, advice)
		}
	}
	if text := p.output.String(); strings.Contains(text, "s3kret") {
		t.Errorf("the password is in the log:\n%s", text)
	}
}
