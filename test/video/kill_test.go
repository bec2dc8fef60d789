package video_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/capture"
)

// workers are the capture workers that this process has started.
func workers(t *testing.T) []int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// pid (comm) state ppid
		before, after, ok := strings.Cut(string(data), ") ")
		fields := strings.Fields(after)
		if !ok || len(fields) < 2 || fields[1] != strconv.Itoa(os.Getpid()) || !strings.Contains(before, "(debugsidecar-ca") {
			continue
		}
		pid, _, _ := strings.Cut(before, " ")
		n, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, n)
	}
	return pids
}

// The child is killed 50 times in each way that a child can fail, while the
// processors are busy and pictures are wanted.
func TestProbeOutlivesItsChild(t *testing.T) {
	server := camera(t, "")
	o := impatient(server.URL)
	o.HangTimeout, o.RetryFrom, o.RetryTo = 3*time.Second, 10*time.Millisecond, 20*time.Millisecond
	failures := make(failures, 100)
	o.Log = slog.New(failures)
	c := play(t, o)
	c.WantPictures(true)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range runtime.NumCPU() {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				for busy := time.Now(); time.Since(busy) < 5*time.Millisecond; {
				}
				time.Sleep(3 * time.Millisecond)
			}
		})
	}
	defer wg.Wait()
	defer close(stop)

	faults := []struct {
		signal unix.Signal
		why    string
	}{{unix.SIGKILL, "killed"}, {unix.SIGSEGV, "SIGSEGV"}, {unix.SIGSTOP, "hung"}}
	var number, sessions uint64
	total := 0
	for i := range 50 {
		sessions = await(t, c, fmt.Sprintf("playing for the %dth time", i+1), func(s capture.Snapshot) bool {
			return s.State == capture.Playing && s.Sessions > sessions
		}).Sessions
		_, number = picture(t, c, number)
		pids := workers(t)
		if len(pids) != 1 {
			t.Fatalf("%d workers", len(pids))
		}
		fault := faults[i%len(faults)]
		if err := unix.Kill(pids[0], fault.signal); err != nil {
			t.Fatal(err)
		}
		for noticed := false; !noticed; {
			select {
			case f := <-failures:
				total++
				// On a busy machine a child may also hang by itself.
				if noticed = f["cause"] == string(capture.Decoder) && strings.Contains(f["why"], fault.why); !noticed {
					t.Logf("after %v: %v", fault.signal, f)
				}
			case <-time.After(patience):
				t.Fatalf("%v was not noticed: %+v", fault.signal, c.Snapshot())
			}
		}
	}
	s := await(t, c, "playing at last", func(s capture.Snapshot) bool { return s.State == capture.Playing && s.Sessions > sessions })
	if s.Restarts != uint64(total) || s.Crashes != s.Restarts {
		t.Errorf("%d restarts and %d crashes counted of %d", s.Restarts, s.Crashes, total)
	}
}

// failures is a log's handler that hands on what it is told of failures.
type failures chan map[string]string

func (f failures) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }
func (f failures) WithAttrs([]slog.Attr) slog.Handler               { return f }
func (f failures) WithGroup(string) slog.Handler                    { return f }

func (f failures) Handle(_ context.Context, r slog.Record) error {
	attributes := map[string]string{}
	r.Attrs(func(a slog.Attr) bool {
		attributes[a.Key] = a.Value.String()
		return true
	})
	f <- attributes
	return nil
}
