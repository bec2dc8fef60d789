package frames

import "testing"

func TestClipsAreOfRealEncodes(t *testing.T) {
	clips, err := Clips()
	if err != nil {
		t.Fatal(err)
	}
	if len(clips) != 8 {
		t.Errorf("%d clips", len(clips))
	}
	reordered := 0
	for _, c := range clips {
		if !c.Frames[0].Key {
			t.Errorf("%s begins without a key frame", c.Name)
		}
		if c.MeanKey <= c.MeanOther {
			t.Errorf("%s: key frames of %.0f bytes, others of %.0f", c.Name, c.MeanKey, c.MeanOther)
		}
		for _, f := range c.Frames {
			if f.Shift > 0 {
				reordered++
				break
			}
		}
	}
	if reordered != 2 {
		t.Errorf("%d clips with B-frames", reordered)
	}
}

func TestMalformedClipsAreRefused(t *testing.T) {
	for _, line := range []string{"x", "x K12 13 y", "x K1 K2", "x 1 2", "x K1+z 2"} {
		if _, err := parse(line); err == nil {
			t.Errorf("%q was taken", line)
		}
	}
}
