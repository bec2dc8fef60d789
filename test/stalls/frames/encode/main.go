// Command encode encodes test clips with ffmpeg (Debian: ffmpeg) and writes the
// sizes of their frames to standard output, in the form that package frames
// reads.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// clip is what ffmpeg is asked for.
type clip struct {
	name   string
	source string // a lavfi graph
	rate   int    // frames per second
	seconds,
	gop int // frames
	x264 []string
}

var clips = []clip{
	{"pattern-30-gop60-cbr", "testsrc2=s=1280x720:r=30", 30, 40, 60, []string{"-preset", "ultrafast", "-tune", "zerolatency", "-b:v", "2500k", "-maxrate", "2500k", "-bufsize", "1250k"}},
	{"fractal-25-gop25-abr", "mandelbrot=s=1280x720:r=25", 25, 40, 25, []string{"-preset", "veryfast", "-tune", "zerolatency", "-b:v", "3000k"}},
	{"life-30-gop120-cbr", "life=s=320x180:r=30:mold=10:ratio=0.1:seed=7,scale=1280:720:flags=neighbor,noise=alls=6:allf=t:all_seed=7", 30, 40, 120, []string{"-preset", "ultrafast", "-tune", "zerolatency", "-b:v", "4000k", "-maxrate", "4000k", "-bufsize", "2000k"}},
	{"pattern-15-gop15-crf", "testsrc2=s=1280x720:r=15", 15, 60, 15, []string{"-preset", "veryfast", "-tune", "zerolatency", "-crf", "26"}},
	{"fractal-25-gop50-b2", "mandelbrot=s=1280x720:r=25", 25, 40, 50, []string{"-preset", "veryfast", "-bf", "2", "-b_strategy", "0", "-x264-params", "b-pyramid=none", "-b:v", "2000k"}},
	{"still-25-gop100-crf", "testsrc=s=1280x720:r=25,noise=alls=3:allf=t:all_seed=3", 25, 60, 100, []string{"-preset", "veryfast", "-tune", "zerolatency", "-crf", "30"}},
	{"pattern-30-gop30-b3", "testsrc2=s=1280x720:r=30,noise=alls=4:allf=t:all_seed=5", 30, 40, 30, []string{"-preset", "veryfast", "-bf", "3", "-b_strategy", "0", "-x264-params", "b-pyramid=none", "-crf", "30"}},
	{"scroll-30-gop90-vbv", "mandelbrot=s=1920x1080:r=30:end_scale=0.01,scroll=h=0.002:v=0.001,crop=1280:720", 30, 40, 90, []string{"-preset", "superfast", "-tune", "zerolatency", "-crf", "24", "-maxrate", "6000k", "-bufsize", "6000k"}},
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprintln(out, "# Written by go run ./encode; see there for what was encoded.")
	for _, c := range clips {
		if err := c.write(out); err != nil {
			fmt.Fprintf(os.Stderr, "clip %s: %v\n", c.name, err)
			os.Exit(1)
		}
	}
	if err := out.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (c clip) write(out io.Writer) error {
	file, err := os.CreateTemp("", "clip-*.mp4")
	if err != nil {
		return err
	}
	file.Close()
	defer os.Remove(file.Name())
	args := []string{"-v", "error", "-y", "-f", "lavfi", "-i", c.source, "-t", strconv.Itoa(c.seconds), "-pix_fmt", "yuv420p", "-c:v", "libx264"}
	args = append(args, c.x264...)
	gop := strconv.Itoa(c.gop)
	args = append(args, "-g", gop, "-keyint_min", gop, "-sc_threshold", "0", file.Name())
	encode := exec.Command("ffmpeg", args...)
	encode.Stderr = os.Stderr
	if err := encode.Run(); err != nil {
		return fmt.Errorf("ffmpeg (Debian package ffmpeg): %w", err)
	}
	text, err := exec.Command("ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time,dts_time,size,flags", "-of", "json", file.Name()).Output()
	if err != nil {
		return fmt.Errorf("ffprobe (Debian package ffmpeg): %w", err)
	}
	var probed struct {
		Packets []struct {
			PTS   string `json:"pts_time"`
			DTS   string `json:"dts_time"`
			Size  string `json:"size"`
			Flags string `json:"flags"`
		} `json:"packets"`
	}
	if err := json.Unmarshal(text, &probed); err != nil {
		return err
	}
	fmt.Fprint(out, c.name)
	for _, p := range probed.Packets {
		pts, err := strconv.ParseFloat(p.PTS, 64)
		if err != nil {
			return err
		}
		dts, err := strconv.ParseFloat(p.DTS, 64)
		if err != nil {
			return err
		}
		fmt.Fprint(out, " ")
		if strings.HasPrefix(p.Flags, "K") {
			fmt.Fprint(out, "K")
		}
		fmt.Fprint(out, p.Size)
		if shift := int((pts-dts)*float64(c.rate) + 0.5); shift > 0 {
			fmt.Fprintf(out, "+%d", shift)
		}
	}
	fmt.Fprintln(out)
	return nil
}
