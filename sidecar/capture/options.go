package capture

import (
	"fmt"
	"log/slog"
	"time"
)

// Mode is when the stream is opened.
type Mode string

const (
	// OnAlert opens it while an alert is on or somebody wants pictures.
	OnAlert Mode = "onAlert"
	// Sampled opens it for SampleFor in each SampleEvery, and as OnAlert does.
	Sampled Mode = "sampled"
	Always  Mode = "always"
)

// Options say what is played, when and how. Only Source has no default.
type Options struct {
	// Source is a URL (rtsp, rtsps, http, https), with its password.
	Source string
	// Local lets Source be a file or /dev/videoN. Never in a pod.
	Local bool
	// Transport of RTSP: tcp (default) or udp.
	Transport string
	// CA is a PEM file of the authorities that the source's certificate is verified
	// by; empty: the system's. It is read anew for each session.
	CA string
	// Insecure verifies no certificate.
	Insecure bool
	// Worker is the capture program's path. If it is not there, the state is
	// Absent.
	Worker string
	// Hide are files and directories that the capture program must not read, where
	// the kernel can see to that: tokens. A pod's secrets are always among them.
	Hide []string
	// Mode is OnAlert by default.
	Mode Mode
	// Quiet is how long the stream stays open after the last alert. Default: 30 s.
	Quiet time.Duration
	// SampleFor and SampleEvery are for Sampled. Default: 10 s in 5 min.
	SampleFor, SampleEvery time.Duration
	// OpenTimeout is how long opening may take. Default: 15 s.
	OpenTimeout time.Duration
	// StallAfter is how long no frame may come until the session counts as
	// stalled, three frames' time at least. Default: 1 s.
	StallAfter time.Duration
	// ReadTimeout is how long no frame may come until the session is given up.
	// Default: 8 s.
	ReadTimeout time.Duration
	// HangTimeout is how long the child may say nothing at all, even that there
	// are no frames, until it is killed. Before its first word it has OpenTimeout,
	// if that is longer. Default: 5 s.
	HangTimeout time.Duration
	// RetryFrom and RetryTo are the first and the longest pause between tries.
	// Default: 500 ms and 30 s.
	RetryFrom, RetryTo time.Duration
	// BreakAfter is how many tries in a row may fail until there are none for
	// BreakFor. Default: 8, 2 min.
	BreakAfter int
	BreakFor   time.Duration
	// Late is how far a frame may lag behind before it is dropped, after
	// decoding. Default: 250 ms.
	Late time.Duration
	// CheckEvery is how often a frame's picture is checked. Default: 500 ms.
	CheckEvery time.Duration
	// PictureEvery is the least time between two pictures. Default: 66 ms;
	// encoding a picture takes twice the processor's time of decoding it.
	PictureEvery time.Duration
	// PictureWidth is the most that a picture is wide, in pixels. Default: 1280.
	PictureWidth int
	// MemoryLimit is how much memory the child may have resident, in bytes.
	// Default: 512 MiB.
	MemoryLimit int64
	// Log gets what a person should know. Default: slog.Default().
	Log *slog.Logger
}

func (o *Options) setDefaults() error {
	for _, d := range []struct {
		at    *time.Duration
		value time.Duration
	}{
		{&o.Quiet, 30 * time.Second}, {&o.SampleFor, 10 * time.Second}, {&o.SampleEvery, 5 * time.Minute},
		{&o.OpenTimeout, 15 * time.Second}, {&o.StallAfter, time.Second}, {&o.ReadTimeout, 8 * time.Second},
		{&o.HangTimeout, 5 * time.Second}, {&o.RetryFrom, 500 * time.Millisecond}, {&o.RetryTo, 30 * time.Second},
		{&o.BreakFor, 2 * time.Minute}, {&o.Late, 250 * time.Millisecond}, {&o.CheckEvery, 500 * time.Millisecond},
		{&o.PictureEvery, 66 * time.Millisecond},
	} {
		if *d.at < 0 {
			return fmt.Errorf("a duration of %v is negative", *d.at)
		}
		if *d.at == 0 {
			*d.at = d.value
		}
	}
	switch o.Mode {
	case "":
		o.Mode = OnAlert
	case OnAlert, Sampled, Always:
	default:
		return fmt.Errorf("a stream is opened onAlert, sampled or always, not %q", o.Mode)
	}
	switch o.Transport {
	case "":
		o.Transport = "tcp"
	case "tcp", "udp":
	default:
		return fmt.Errorf("the transport of RTSP is tcp or udp, not %q", o.Transport)
	}
	if o.BreakAfter <= 0 {
		o.BreakAfter = 8
	}
	if o.PictureWidth <= 0 {
		o.PictureWidth = 1280
	}
	if o.MemoryLimit <= 0 {
		o.MemoryLimit = 512 << 20
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return nil
}
