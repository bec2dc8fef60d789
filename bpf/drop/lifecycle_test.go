package drop_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/drop"
	"github.com/debugsidecar/debugsidecar/bpf/internal/nettest"
)

func TestOpenAndCloseLeaveNothing(t *testing.T) {
	ns := nettest.New(t)
	open(t, drop.Options{Target: in(ns)}).Close()
	nettest.LeavesNothing(t, func() {
		for range 5 {
			p := open(t, drop.Options{Target: in(ns), Detail: true})
			for range 3 {
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			}
			if _, err := p.Counts(); !errors.Is(err, os.ErrClosed) {
				t.Errorf("Counts after Close: %v", err)
			}
		}
	})
}

// Whatever order its methods are called in, and from however many goroutines.
func TestConcurrentUse(t *testing.T) {
	ns := nettest.New(t)
	open(t, drop.Options{Target: in(ns)}).Close()
	nettest.LeavesNothing(t, func() {
		for seed := range uint64(6) {
			p := open(t, drop.Options{Target: in(ns), Detail: true})
			var wg sync.WaitGroup
			for worker := range uint64(6) {
				wg.Go(func() {
					random := rand.New(rand.NewPCG(seed, worker))
					for range 20 {
						var err error
						switch n := random.IntN(20); {
						case n == 0:
							err = p.Close()
						case n < 8:
							_, err = p.Counts()
						case n < 14:
							_, err = p.Stats()
						default:
							ctx, cancel := context.WithCancel(context.Background())
							if random.IntN(2) == 0 {
								cancel()
							}
							_ = p.Events(ctx, func(drop.Event) { cancel() }) // two at once are an error
							cancel()
						}
						if err != nil && !errors.Is(err, os.ErrClosed) {
							t.Error(err)
						}
					}
					_ = p.Close()
				})
			}
			send(t, ns, netip.MustParseAddrPort("127.0.0.1:9"), 50, word)
			wg.Wait()
		}
	})
}

func TestErrorsOfOpen(t *testing.T) {
	ns := nettest.New(t)
	open(t, drop.Options{Target: in(ns)})
	nettest.LeavesNothing(t, func() {
		for name, o := range map[string]drop.Options{
			"ring of no power of two": {Target: in(ns), Detail: true, RingBytes: 5000},
			"too many namespaces":     {Target: bpf.Target{Netns: make([]uint32, 1025)}},
		} {
			if p, err := drop.Open(o); err == nil {
				t.Errorf("%s: Open returned %+v", name, p)
			}
		}
	})
}

// The kernel tier takes exactly CAP_BPF and CAP_PERFMON.
func TestExactlyTheNamedCapabilitiesSuffice(t *testing.T) {
	nettest.WithCapabilities(t, []bpf.Capability{bpf.BPF, bpf.Perfmon}, func(t *testing.T) {
		// Without CAP_SYS_ADMIN there is no namespace of our own: only packets
		// to this port count.
		const datagrams = 500
		port := closedPort(t)
		p, err := drop.Open(drop.Options{Detail: true})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if p.Tier() != bpf.TierKernel || p.Why() != nil {
			t.Fatalf("got the tier %v: %v", p.Tier(), p.Why())
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var ours atomic.Int64
		done := make(chan error)
		go func() {
			done <- p.Events(ctx, func(e drop.Event) {
				if e.Dst == port && e.Reason == "NO_SOCKET" {
					ours.Add(1)
				}
			})
		}()
		sendTo(t, port, datagrams)
		if _, err := p.Stats(); err != nil {
			t.Error(err)
		}
		// What loopback does not deliver at once, the kernel does a little later.
		eventually(t, "all were dropped", func() bool { return ours.Load() >= datagrams })
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Events returned %v", err)
		}
		if n := ours.Load(); n != datagrams {
			t.Errorf("%d events, %d were dropped", n, datagrams)
		}
		counts, err := p.Counts()
		if err != nil {
			t.Fatal(err)
		}
		var dropped uint64
		for _, c := range counts {
			if c.Reason == "NO_SOCKET" {
				dropped += c.Drops
			}
		}
		if dropped < datagrams { // others may send in this namespace, too
			t.Errorf("%d are counted, %d were dropped", dropped, datagrams)
		}
	})
}

func TestMissingCapabilityIsNamed(t *testing.T) {
	for _, test := range []struct {
		name    string
		have    []bpf.Capability
		missing []bpf.Capability
		text    string
	}{
		{"no BPF", []bpf.Capability{bpf.Perfmon}, []bpf.Capability{bpf.BPF}, "drops in the kernel: not available: needs CAP_BPF"},
		{"no PERFMON", []bpf.Capability{bpf.BPF}, []bpf.Capability{bpf.Perfmon}, "drops in the kernel: not available: needs CAP_PERFMON"},
		{"neither", nil, []bpf.Capability{bpf.BPF, bpf.Perfmon}, "drops in the kernel: not available: needs CAP_BPF and CAP_PERFMON"},
	} {
		t.Run(test.name, func(t *testing.T) {
			nettest.WithCapabilities(t, test.have, func(t *testing.T) {
				p, err := drop.Open(drop.Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer p.Close()
				if p.Tier() != bpf.TierUser {
					t.Fatalf("got the tier %v", p.Tier())
				}
				var unavailable *bpf.UnavailableError
				if err := p.Why(); !errors.As(err, &unavailable) || err.Error() != test.text {
					t.Errorf("why: %v, not %s", err, test.text)
				}
				// Without /proc there is nothing to fall back on.
				_, err = drop.Open(drop.Options{Target: bpf.Target{All: true}})
				if !errors.As(err, &unavailable) || len(unavailable.Missing) != len(test.missing) {
					t.Errorf("Open of what /proc has not: %v", err)
				}
			})
		})
	}
}
