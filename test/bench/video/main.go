// Command video measures how old a picture is when it reaches the page (glass
// to page): RTSP at 1280x720 and 30 frames/s over TCP, played by the capture
// worker, handed on by the probe's HTTP server. Beside it, in the same run and
// of the same frames, ffmpeg alone plays the stream and writes JPEG to a pipe.
//
// Each frame carries its number as bars, which survive coding. Its age is the
// time from when it is handed to the encoder to when its JPEG is complete at the
// reader. Both share the machine with the sender and its encoder.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/test/video"
	"github.com/debugsidecar/debugsidecar/test/video/peer"
)

func main() {
	out := flag.String("o", "", "also write the table to this file")
	length := flag.Duration("for", 40*time.Second, "how long it measures")
	flag.Parse()
	if missing := peer.Missing() + video.Missing(); missing != "" {
		fmt.Fprintf(os.Stderr, "bench: video is not measured without Debian's %s\n", missing)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	var b strings.Builder
	err := run(ctx, &b, *length)
	fmt.Print(b.String())
	if err == nil && *out != "" {
		err = os.WriteFile(*out, []byte(b.String()), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, length time.Duration) error {
	dir, err := os.MkdirTemp("", "bench-video")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	worker, err := video.Worker(dir)
	if err != nil {
		return err
	}
	camera, err := newCamera()
	if err != nil {
		return err
	}
	defer camera.close()
	subjects := []struct {
		name string
		play func(ctx context.Context, url string, got func(jpeg []byte)) (cost, error)
	}{
		{"the probe, to its page", probe(worker)},
		{"ffmpeg alone, to a pipe", ffmpeg},
	}
	measuring, stop := context.WithTimeout(ctx, settle+length)
	defer stop()
	ages := make([]*ages, len(subjects))
	costs := make([]cost, len(subjects))
	errs := make(chan error, len(subjects))
	before := children()
	for i, s := range subjects {
		ages[i] = newAges(camera)
		go func() {
			var err error
			costs[i], err = s.play(measuring, camera.server.URL, ages[i].add)
			if err != nil {
				err = fmt.Errorf("%s: %w", s.name, err)
				stop()
			}
			errs <- err
		}()
	}
	for range subjects {
		if e := <-errs; e != nil {
			err = e
		}
	}
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	costs[0].cpu = children() - before - costs[1].cpu
	fmt.Fprintf(w, "Glass to page: RTSP over TCP, H.264 %dx%d, %d frames/s, %d kb/s, %v on %d processors\n\n", width, height, rate, kilobits, length, processors())
	fmt.Fprintf(w, "%-26s %8s %8s %8s %9s %10s\n", "", "p50", "p95", "max", "pictures", "CPU a frame")
	for i, s := range subjects {
		a := ages[i].sorted()
		if len(a) < 20 {
			return fmt.Errorf("%s: only %d pictures", s.name, len(a))
		}
		fmt.Fprintf(w, "%-26s %8s %8s %8s %9d %10s\n", s.name, ms(quantile(a, 0.5)), ms(quantile(a, 0.95)), ms(a[len(a)-1]), len(a), ms(costs[i].perFrame()))
	}
	fmt.Fprintf(w, "\nThe age counts from the raw frame at the encoder to the complete JPEG at the reader. The machine\nalso runs the camera; its encoder's time is in both.\n")
	return nil
}

// children is the processor time of all children that have ended.
func children() time.Duration {
	var used unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_CHILDREN, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func (a *ages) sorted() []time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(slices.Values(a.all))
}
