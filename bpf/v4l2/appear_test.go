package v4l2_test

import (
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/internal/nettest"
	"github.com/debugsidecar/debugsidecar/bpf/v4l2"
)

// It comes first, as a driver does not go away again.
func TestAttachesWhenTheDriverAppears(t *testing.T) {
	if os.Getenv("VM_LAZY_MODULES") == "" {
		t.Skip("needs a virtual machine: make test-vm")
	}
	p, err := v4l2.Open(v4l2.Options{Poll: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.Waiting() == nil {
		t.Fatal("the driver is there already")
	}
	if queues, err := p.Queues(); err != nil || len(queues) != 0 {
		t.Fatalf("%+v, %v", queues, err)
	}
	nettest.LeavesNothing(t, func() { // of those that wait
		var all sync.WaitGroup
		waiting, err := v4l2.Open(v4l2.Options{})
		if err != nil {
			t.Error(err)
			return
		}
		for range 3 {
			all.Go(func() {
				if err := waiting.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
	vivid(t)
	for deadline := time.Now().Add(30 * time.Second); p.Waiting() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still waiting: %v", p.Waiting())
		}
	}
	c := openCamera(t)
	c.start()
	c.read(10, true)
	c.drain()
	c.same(counted(t, p))
}

func TestMissingCapabilityIsNamed(t *testing.T) {
	for _, test := range []struct {
		have []bpf.Capability
		text string
	}{
		{[]bpf.Capability{bpf.Perfmon}, "CAP_BPF"}, {[]bpf.Capability{bpf.BPF}, "CAP_PERFMON"}, {nil, "CAP_BPF and CAP_PERFMON"},
	} {
		t.Run(test.text, func(t *testing.T) {
			nettest.WithCapabilities(t, test.have, func(t *testing.T) {
				_, err := v4l2.Open(v4l2.Options{})
				var unavailable *bpf.UnavailableError
				if !errors.As(err, &unavailable) || err.Error() != "frames of V4L2: not available: needs "+test.text {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}
