package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/test/stalls/live"
	"github.com/debugsidecar/debugsidecar/test/stalls/record"
	"github.com/debugsidecar/debugsidecar/test/stalls/scenario"
	"github.com/debugsidecar/debugsidecar/test/stalls/score"
	"github.com/debugsidecar/debugsidecar/test/stalls/viewer"
)

// inside is set for the process that is in a network namespace of its own.
const inside = "STALLS_INSIDE"

func probeCommand() *cobra.Command {
	var (
		seed    uint64
		minutes float64
		streams int
		sidecar string
		tier    string
	)
	c := &cobra.Command{
		Use:   "probe",
		Short: "judge sidecar video-probe beside streams in real time, in a network namespace of their own (root)",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if os.Getenv(inside) == "" {
				return again(c.Context())
			}
			if err := loopbackUp(); err != nil {
				return err
			}
			d, err := findDetectors(sidecar)
			if err != nil {
				return err
			}
			defer d.close()
			s, err := scenario.Draw(seed, time.Duration(minutes*float64(time.Minute)), streams)
			if err != nil {
				return err
			}
			rec, alerts, err := d.watch(c.Context(), s, tier)
			if err != nil {
				return err
			}
			truth := rec.Truth(viewer.Conceal)
			judged, err := score.ReadAlerts(bytes.NewReader(alerts), truth.Start)
			if err != nil {
				return err
			}
			var t score.Table
			t.Add(truth, judged)
			return t.Print(c.OutOrStdout(), "sidecar video-probe", true)
		},
	}
	c.Flags().Uint64Var(&seed, "seed", TuningSeeds, "what the scenario is drawn from")
	c.Flags().Float64Var(&minutes, "minutes", 3, "how long it runs")
	c.Flags().IntVar(&streams, "streams", 4, "video streams in it")
	c.Flags().StringVar(&sidecar, "sidecar", "", "a sidecar that is built already")
	c.Flags().StringVar(&tier, "tier", "kernel", "the probe's tier")
	return c
}

// again runs this command in a network namespace that ends with it.
func again(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// Pdeathsig is about the thread that started the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, self, os.Args[1:]...)
	c.Env = append(os.Environ(), inside+"=1")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := c.Run(); err != nil {
		return fmt.Errorf("in a network namespace (it takes root): %w", err)
	}
	return nil
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("setting loopback up: %w", err)
	}
	return nil
}

// watch runs a scenario with the probe beside it, and returns the probe's alerts
// as JSON lines.
func (d detectors) watch(ctx context.Context, s scenario.Scenario, tier string) (record.Recording, []byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	probe := exec.CommandContext(ctx, d.sidecar, "video-probe", "--run-dir", d.dir, "--tier", tier, "--log-level", "error")
	probe.Stderr = os.Stderr
	probe.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	probe.Cancel = func() error { return probe.Process.Signal(syscall.SIGTERM) }
	probe.WaitDelay = 10 * time.Second
	if err := probe.Start(); err != nil {
		return record.Recording{}, nil, err
	}
	defer func() {
		cancel()
		probe.Wait()
	}()
	events, err := d.events(ctx)
	if err != nil {
		return record.Recording{}, nil, err
	}
	var lines bytes.Buffer
	ended := make(chan error, 1)
	go func() { ended <- collect(events, &lines) }()
	rec, err := live.Run(ctx, s, func() {})
	// The last alerts may be under way.
	time.Sleep(time.Second)
	select {
	case failed := <-ended:
		return rec, nil, errors.Join(err, fmt.Errorf("the probe's alerts ended too early: %w", cmp.Or(failed, io.EOF)))
	default:
	}
	events.Close()
	<-ended
	return rec, lines.Bytes(), err
}

// events opens the probe's stream of alerts, once it is there.
func (d detectors) events(ctx context.Context) (io.ReadCloser, error) {
	var last error
	for range 200 {
		token, err := os.ReadFile(filepath.Join(d.dir, "token"))
		if err != nil {
			last = err
		} else {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:9401/api/v1/alerts", nil)
			if err != nil {
				return nil, err
			}
			request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
			response, err := http.DefaultClient.Do(request)
			if err == nil && response.StatusCode == http.StatusOK {
				return response.Body, nil
			}
			if last = err; err == nil {
				last = errors.New(response.Status)
				response.Body.Close()
			}
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, fmt.Errorf("the probe's alerts: %w", last)
}

// collect writes the data of server-sent events, a line each.
func collect(events io.Reader, to *bytes.Buffer) error {
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: ")); ok {
			to.Write(data)
			to.WriteByte('\n')
		}
	}
	return lines.Err()
}
