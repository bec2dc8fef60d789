package rtp_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/internal/nettest"
	"github.com/debugsidecar/debugsidecar/bpf/rtp"
)

func TestOpenAndCloseLeaveNothing(t *testing.T) {
	ns := nettest.New(t)
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			open(t, rtp.Options{Netns: ns.Path(), Mode: mode}).Close()
			nettest.LeavesNothing(t, func() {
				for range 3 {
					tap := open(t, rtp.Options{Netns: ns.Path(), Mode: mode})
					for range 3 {
						if err := tap.Close(); err != nil {
							t.Error(err)
						}
					}
					if _, err := tap.Flows(); !errors.Is(err, os.ErrClosed) {
						t.Errorf("Flows after Close: %v", err)
					}
				}
			})
		})
	}
}

func TestConcurrentUse(t *testing.T) {
	ns := nettest.New(t)
	open(t, rtp.Options{Netns: ns.Path()}).Close()
	nettest.LeavesNothing(t, func() {
		for seed := range uint64(4) {
			tap := open(t, rtp.Options{Netns: ns.Path()})
			var wg sync.WaitGroup
			for worker := range uint64(4) {
				wg.Go(func() {
					random := rand.New(rand.NewPCG(seed, worker))
					for range 20 {
						var err error
						switch n := random.IntN(20); {
						case n == 0:
							err = tap.Close()
						case n < 8:
							_, err = tap.Flows()
						case n < 14:
							_, err = tap.Stats()
						default:
							ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
							_ = tap.Gaps(ctx, func(rtp.Gap) {})
							cancel()
						}
						if err != nil && !errors.Is(err, os.ErrClosed) {
							t.Error(err)
						}
					}
					_ = tap.Close()
				})
			}
			wg.Wait()
		}
	})
}

func TestBadOptionsAreRefused(t *testing.T) {
	ns := nettest.New(t)
	open(t, rtp.Options{Netns: ns.Path()})
	nettest.LeavesNothing(t, func() {
		for name, o := range map[string]rtp.Options{
			"a clock that stands":     {ClockRates: map[uint8]uint32{96: 0}},
			"no such payload type":    {PayloadTypes: []uint8{128}},
			"too many ports":          {Ports: make([]uint16, 1025)},
			"a negative timeout":      {IdleTimeout: -1},
			"a negative limit":        {MaxFlows: -1},
			"a ring of an odd size":   {RingBytes: 5000},
			"no such namespace":       {Netns: "/nowhere"},
			"a file, not a namespace": {Netns: "/proc/self/status"},
		} {
			if o.Netns == "" {
				o.Netns = ns.Path()
			}
			if tap, err := rtp.Open(o); err == nil {
				t.Errorf("%s: Open returned %+v", name, tap)
			}
		}
	})
}

// Exactly the capabilities that the documentation names. Without CAP_SYS_ADMIN
// there is no namespace of our own, so the ports are named, as they must be in
// the node's.
func TestExactlyTheNamedCapabilitiesSuffice(t *testing.T) {
	for mode, capabilities := range map[rtp.Mode][]bpf.Capability{
		rtp.Packet: {bpf.BPF, bpf.NetRaw}, rtp.TCX: {bpf.BPF, bpf.NetAdmin},
	} {
		t.Run(mode.String(), func(t *testing.T) {
			if mode == rtp.TCX && !hasTCX() {
				t.Skip("TCX needs Linux 6.6")
			}
			nettest.WithCapabilities(t, capabilities, func(t *testing.T) {
				server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
				if err != nil {
					t.Fatal(err)
				}
				defer server.Close()
				to := server.LocalAddr().(*net.UDPAddr).AddrPort()
				tap, err := rtp.Open(rtp.Options{Ports: []uint16{to.Port()}, Mode: mode})
				if err != nil {
					t.Fatal(err)
				}
				defer tap.Close()
				conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to))
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				for seq := range uint16(100) {
					if _, err := conn.Write(packet(7, seq, 0)); err != nil {
						t.Fatal(err)
					}
					if _, err := server.Read(make([]byte, 64)); err != nil {
						t.Fatal(err)
					}
				}
				flows, err := tap.Flows()
				if err != nil {
					t.Fatal(err)
				}
				if len(flows) != 1 || flows[0].Packets != 100 || flows[0].Lost != 0 {
					t.Errorf("%+v, 100 packets of one flow were sent", flows)
				}
			})
		})
	}
}

func TestMissingCapabilityIsNamed(t *testing.T) {
	for _, test := range []struct {
		mode rtp.Mode
		have []bpf.Capability
		text string
	}{
		{rtp.Packet, []bpf.Capability{bpf.NetRaw}, "needs CAP_BPF"},
		{rtp.Packet, []bpf.Capability{bpf.BPF}, "needs CAP_NET_RAW"},
		{rtp.TCX, []bpf.Capability{bpf.BPF}, "needs CAP_NET_ADMIN"},
		{rtp.TCX, nil, "needs CAP_BPF and CAP_NET_ADMIN"},
	} {
		t.Run(test.mode.String()+" "+test.text, func(t *testing.T) {
			nettest.WithCapabilities(t, test.have, func(t *testing.T) {
				_, err := rtp.Open(rtp.Options{Mode: test.mode, Ports: []uint16{5004}})
				var unavailable *bpf.UnavailableError
				if !errors.As(err, &unavailable) || err.Error() != "figures of RTP: not available: "+test.text {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// In the node's namespace the tap would see every pod's traffic.
func TestNodesNamespaceTakesPorts(t *testing.T) {
	if _, err := os.Stat("/proc/sys/net/core/netdev_budget"); err != nil {
		t.Skip("this is not the node's network namespace")
	}
	open(t, rtp.Options{Ports: []uint16{5004}})
	if _, err := rtp.Open(rtp.Options{}); err == nil || !strings.Contains(err.Error(), "name the ports") {
		t.Errorf("Open without ports returned %v", err)
	}
}

func TestNoMoreFlowsThanAllowedAndTheRestIsCounted(t *testing.T) {
	sender, receiver := pair(t)
	r := newReceiver(t, receiver, netip.MustParseAddr("10.9.0.2"))
	tap := open(t, rtp.Options{Netns: receiver.Path(), MaxFlows: 8, IdleTimeout: time.Hour, Ports: []uint16{r.addr().Port()}})
	conn := dial(t, sender, r.addr())
	defer onOneProcessor(t)()
	for ssrc := range uint32(20) {
		for seq := range uint16(10) {
			if _, err := conn.Write(packet(ssrc, seq, 0)); err != nil {
				t.Fatal(err)
			}
		}
	}
	flushed(t, conn, r)
	flows, err := tap.Flows()
	if err != nil {
		t.Fatal(err)
	}
	stats, err := tap.Stats()
	if err != nil {
		t.Fatal(err)
	}
	var counted uint64
	for _, f := range flows {
		counted += f.Packets
	}
	if len(flows) != 8 || counted+stats.RefusedPackets != 200 {
		t.Errorf("%d flows with %d packets, %+v: of 20 flows with 200 packets 8 may be known", len(flows), counted, stats)
	}
}

func TestSilentFlowsEndOnceAndMakeRoom(t *testing.T) {
	sender, receiver := pair(t)
	r := newReceiver(t, receiver, netip.MustParseAddr("10.9.0.2"))
	tap := open(t, rtp.Options{Netns: receiver.Path(), MaxFlows: 4, IdleTimeout: 50 * time.Millisecond})
	conn := dial(t, sender, r.addr())
	defer onOneProcessor(t)()
	for round := range uint32(3) {
		for ssrc := range uint32(4) {
			for seq := range uint16(10) {
				if _, err := conn.Write(packet(round*100+ssrc, seq, 0)); err != nil {
					t.Fatal(err)
				}
			}
		}
		flushed(t, conn, r)
		time.Sleep(100 * time.Millisecond)
		flows, err := tap.Flows()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range flows {
			if !f.Ended || f.Packets != 10 || f.SSRC/100 != round {
				t.Errorf("%+v", f)
			}
		}
		if len(flows) != 4 {
			t.Errorf("%d flows, 4 ended", len(flows))
		}
	}
	stats, err := tap.Stats()
	if err != nil || stats.EvictedFlows != 12 || stats.RefusedPackets != 0 {
		t.Errorf("%+v, %v", stats, err)
	}
}
