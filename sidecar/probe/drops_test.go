package probe

import (
	"net/netip"
	"testing"

	"github.com/debugsidecar/debugsidecar/bpf/drop"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

func TestDropsAreSummedByStreamWithTheReasonOfMost(t *testing.T) {
	l := newLedger()
	one, two := netip.MustParseAddrPort("10.0.0.7:5004"), netip.MustParseAddrPort("10.0.0.7:5006")
	add := func(n int, dst netip.AddrPort, reason string, rtp *drop.RTP) {
		for range n {
			l.add(drop.Event{Dst: dst, Reason: reason, RTP: rtp})
		}
	}
	add(2, one, "NETFILTER_DROP", &drop.RTP{SSRC: 1})
	add(5, one, "SOCKET_RCVBUFF", &drop.RTP{SSRC: 1})
	add(1, two, "QDISC_DROP", &drop.RTP{SSRC: 1})
	add(9, one, "QUEUE_PURGE", &drop.RTP{SSRC: 1}) // noise
	add(9, one, "SOCKET_RCVBUFF", nil)             // no RTP

	sums := map[receiver]sample.Kernel{{ssrc: 99}: {Drops: 1}}
	l.take(sums)
	if got, want := sums[receiver{1, one}], (sample.Kernel{Known: true, Drops: 7, Reason: "SOCKET_RCVBUFF"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := sums[receiver{1, two}]; got.Drops != 1 || got.Reason != "QDISC_DROP" {
		t.Errorf("got %+v", got)
	}
	if len(sums) != 2 {
		t.Errorf("%d streams, 2 expected", len(sums))
	}
	l.take(sums)
	if len(sums) != 0 {
		t.Errorf("what was taken is there again: %v", sums)
	}
}
