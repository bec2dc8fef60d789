package v4l2_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/internal/nettest"
	"github.com/debugsidecar/debugsidecar/bpf/v4l2"
)

// What the probe counts is what the program saw that read the camera.
func TestFiguresEqualTheReaders(t *testing.T) {
	vivid(t)
	for _, phase := range []struct {
		name    string
		impair  func(*camera)
		read    func(*camera)
		touched func(*camera) bool // that it was what it says
	}{
		{"clean", func(*camera) {}, func(c *camera) { c.read(40, true) },
			func(c *camera) bool { return c.frames > 0 && c.errors == 0 }},
		{"dropping", func(c *camera) { c.set("Dropped Buffers", 30) }, func(c *camera) { c.read(40, true) },
			func(c *camera) bool { return c.lost > 0 }},
		{"corrupting", func(*camera) {}, func(c *camera) {
			for range 5 {
				c.set("Inject V4L2_BUF_FLAG_ERROR", 1)
				c.read(6, true)
			}
		}, func(c *camera) bool { return c.errors > 0 }},
		{"stalled reader", func(*camera) {}, func(c *camera) {
			c.read(5, true)
			time.Sleep(time.Second)
			c.read(10, true)
		}, func(c *camera) bool { return c.lost > 0 }},
		{"stopped and started", func(*camera) {}, func(c *camera) {
			c.read(10, true)
			c.drain()
			c.stop()
			c.start()
			c.read(10, true)
		}, func(c *camera) bool { return c.restarts == 1 }},
	} {
		t.Run(phase.name, func(t *testing.T) {
			p := open(t, v4l2.Options{})
			ctx, cancel := context.WithCancel(t.Context())
			var events [3]uint64 // by kind
			done := make(chan error)
			go func() {
				done <- p.Events(ctx, func(e v4l2.Event) { events[e.Kind] += uint64(e.Count) })
			}()
			c := openCamera(t)
			c.set("Dropped Buffers", 0)
			c.start()
			c.read(1, true) // from now on the queue is known as ours
			phase.impair(c)
			phase.read(c)
			c.set("Dropped Buffers", 0)
			c.drain()
			q := counted(t, p)
			c.same(q)
			if !phase.touched(c) {
				t.Errorf("the phase was not what it is to be: %+v", c)
			}
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			if events[v4l2.Gap] != c.lost || events[v4l2.Error] != c.errors {
				t.Errorf("events of %d lost frames and %d errors; the program saw %d and %d", events[v4l2.Gap], events[v4l2.Error], c.lost, c.errors)
			}
			if q.Minor != 0 || q.Last == 0 || q.LastDequeued < q.Last-1e9 {
				t.Errorf("%+v", q)
			}
			if stats, err := p.Stats(); err != nil || stats != (v4l2.Stats{}) {
				t.Errorf("%+v, %v", stats, err)
			}
		})
	}
}

func TestStreamoffIsNoError(t *testing.T) {
	vivid(t)
	p := open(t, v4l2.Options{})
	c := openCamera(t)
	c.start()
	c.read(10, true)
	c.stop()
	q := counted(t, p)
	if q.Errors != 0 || q.Flushed == 0 || q.Frames < c.frames || q.Frames+q.Flushed != c.frames+buffers {
		t.Errorf("%+v: the program took %d of the frames, and %d buffers were queued", q, c.frames, buffers)
	}
	c.start()
	c.read(10, true)
	if q = counted(t, p); q.Errors != 0 || q.Restarts != 1 || q.Lost != c.lost {
		t.Errorf("after another start: %+v", q)
	}
}

func TestAnotherPodsCameraIsNotReported(t *testing.T) {
	vivid(t)
	other := nettest.New(t)
	p := open(t, v4l2.Options{Target: bpf.Target{Netns: []uint32{other.Inode}}})
	everybodys := open(t, v4l2.Options{Target: everything})
	c := openCamera(t)
	c.start()
	c.read(10, true)
	if queues, err := p.Queues(); err != nil || len(queues) != 0 {
		t.Errorf("%+v, %v: nobody of that namespace reads a camera", queues, err)
	}
	if q := counted(t, everybodys); q.Dequeued != 10 {
		t.Errorf("%+v", q)
	}
	// The same queue in the hands of somebody of that namespace: figures begin
	// anew.
	other.Do(func() error {
		c.read(5, true)
		return nil
	})
	if q := counted(t, p); q.Dequeued != 5 || q.Frames > 5+buffers {
		t.Errorf("%+v: 5 were taken there", q)
	}
}

func TestOpenAndCloseLeaveNothing(t *testing.T) {
	vivid(t)
	nettest.LeavesNothing(t, func() {
		for range 3 {
			p, err := v4l2.Open(v4l2.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			}
			if _, err := p.Queues(); !errors.Is(err, os.ErrClosed) {
				t.Errorf("Queues after Close: %v", err)
			}
		}
	})
}

// Exactly the capabilities that the documentation names.
func TestExactlyTheNamedCapabilitiesSuffice(t *testing.T) {
	vivid(t)
	nettest.WithCapabilities(t, []bpf.Capability{bpf.BPF, bpf.Perfmon}, func(t *testing.T) {
		p := open(t, v4l2.Options{})
		c := openCamera(t)
		c.start()
		c.read(5, true)
		c.drain()
		c.same(counted(t, p))
	})
}
