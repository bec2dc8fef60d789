package video_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const sliceCount = 4

// broken writes a film of 640x360 in slices, one of which is garbage from its middle
// on in each fifth picture; none is if it is negative.
func broken(t *testing.T, slice int) string {
	t.Helper()
	needs(t)
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.h264")
	if out, err := exec.Command("ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30:duration=20",
		"-c:v", "libx264", "-preset", "ultrafast", "-g", "30", "-slices", "4", "-pix_fmt", "yuv420p", whole).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, out)
	}
	stream, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	start := []byte{0, 0, 1}
	picture, index := 0, 0
	for _, nal := range bytes.Split(stream, start) {
		if len(nal) < 2 {
			continue
		}
		if kind := nal[0] & 31; kind == 1 || kind == 5 {
			if index++; nal[1]&0x80 != 0 { // its first macroblock is the picture's
				picture, index = picture+1, 0
			}
			if index == slice && picture%5 == 0 {
				for i := len(nal) / 2; i < len(nal)-1; i++ {
					nal[i] = byte(0x55 + i%7)
				}
			}
		}
		out = append(append(out, start...), nal...)
	}
	raw, path := filepath.Join(dir, "broken.h264"), filepath.Join(dir, "broken.mp4")
	if err := os.WriteFile(raw, out, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ffmpeg", "-loglevel", "error", "-r", "30", "-i", raw, "-c", "copy", path).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, out)
	}
	return path
}

// mark is one of /api/v1/marks.
type mark struct {
	TS    time.Time
	Box   [4]float64 `json:"bbox"`
	Label string
}

const artefacts = "artefacts (sampled)"

func TestDamageIsMarkedWhereItIs(t *testing.T) {
	const slice = 2
	p := watch(t, "--source", broken(t, slice), "--open", "always")
	p.until("it plays", func(s statusOf) bool { return s.Capture.State == "playing" })
	if dir := os.Getenv("SCREENSHOTS"); dir != "" {
		go p.film(filepath.Join(dir, "damage.mjpg"))
	}
	var right, all int
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		var marks []mark
		p.get("/api/v1/marks", &marks)
		right, all = 0, 0
		for _, m := range marks {
			if m.Label != artefacts {
				continue
			}
			all++
			// The slice is the third of four; a row is 16 of 360 pixels.
			if top := m.Box[1]; top >= float64(slice)/sliceCount-.05 && top <= float64(slice+1)/sliceCount+.05 && m.Box[1]+m.Box[3] > .99 {
				right++
			} else {
				t.Logf("%+v", m)
			}
		}
	}
	t.Logf("%d of %d marks begin in the slice that is broken", right, all)
	if right < 3 || right*10 < all*8 {
		t.Errorf("%d of %d marks begin in the slice that is broken", right, all)
	}
}

func TestAWholePictureHasNoMark(t *testing.T) {
	p := watch(t, "--source", broken(t, -1), "--open", "always")
	p.until("it plays", func(s statusOf) bool { return s.Capture.State == "playing" })
	time.Sleep(10 * time.Second)
	var marks []mark
	if !p.get("/api/v1/marks", &marks) {
		t.Fatal("no marks")
	}
	for _, m := range marks {
		if m.Label == artefacts {
			t.Errorf("%+v", m)
		}
	}
}

// film keeps what the live picture shows, for a person to look at.
func (p *watching) film(path string) {
	r, err := http.NewRequest(http.MethodGet, "http://"+p.inside+"/live.mjpg", nil)
	if err != nil {
		return
	}
	r.Header.Set("Authorization", "Bearer "+p.token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return
	}
	defer response.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(response.Body, 8<<20))
	_ = os.WriteFile(path, b, 0o600)
}
