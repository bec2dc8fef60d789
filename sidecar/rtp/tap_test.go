package rtp

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/clock"
	tap "github.com/debugsidecar/debugsidecar/bpf/rtp"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

// Times differ, since only the kernel knows when it saw a packet. Payload is read
// by the table alone.
var butTimes = cmp.Options{
	cmpopts.IgnoreFields(tap.Flow{}, "First", "Last", "Jitter", "Interface", "Direction", "Src", "Dst", "Keys"),
	cmpopts.IgnoreFields(sample.Media{}, "NewestAt", "Jitter", "Keys"),
	cmpopts.IgnoreFields(tap.Gap{}, "Ktime", "Interface", "Direction", "Src", "Dst"),
}

// The kernel's tap and a capture file's table see the same in the same packets,
// and so do the samples made of them.
func TestTableSeesWhatTheTapSees(t *testing.T) {
	receiver, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	to := receiver.LocalAddr().(*net.UDPAddr)
	kernel, err := tap.Open(tap.Options{Ports: []uint16{uint16(to.Port)}})
	var unavailable *bpf.UnavailableError
	if errors.As(err, &unavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer kernel.Close()
	sender, err := net.DialUDP("udp4", nil, to)
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()

	told := make(chan tap.Gap, 1000)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- kernel.Gaps(ctx, func(g tap.Gap) { told <- g }) }()

	table := NewTable()
	var ofKernel, ofTable Meter
	payloads := impaired(rand.New(rand.NewPCG(1, 1)), &source{ssrc: 0xfeed, payloadType: 96, seq: 65_500, timestamp: 4_294_900_000}, 300)
	buffer := make([]byte, 2048)
	for i, payload := range payloads {
		if _, err := sender.Write(payload); err != nil {
			t.Fatal(err)
		}
		if err := receiver.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := receiver.Read(buffer); err != nil { // so the tap has seen it
			t.Fatal(err)
		}
		p := packet(0, payload)
		p.At = clock.Now()
		table.Add(p)
		if i%97 != 96 && i != len(payloads)-1 {
			continue
		}
		flows, err := kernel.Flows()
		if err != nil {
			t.Fatal(err)
		}
		mine := table.Flows(nil, clock.Now())
		if len(flows) != 1 || len(mine) != 1 {
			t.Fatalf("%d flows of the tap, %d of the table", len(flows), len(mine))
		}
		if diff := cmp.Diff(flows[0], mine[0], butTimes); diff != "" {
			t.Fatalf("after %d packets, tap and table:\n%s", i+1, diff)
		}
		if diff := cmp.Diff(ofKernel.Next(&flows[0]), ofTable.Next(&mine[0]), butTimes); diff != "" {
			t.Fatalf("after %d packets, samples of tap and table:\n%s", i+1, diff)
		}
	}
	stop() // what is in the ring is handed over first
	<-ended
	close(told)
	var gaps []tap.Gap
	for g := range told {
		gaps = append(gaps, g)
	}
	// The first packets are no flow yet to the table, which is told no ports.
	mine := table.Gaps()
	if len(mine) < 10 {
		t.Fatalf("%d gaps", len(mine))
	}
	if diff := cmp.Diff(gaps[max(len(gaps)-len(mine), 0):], mine, butTimes); diff != "" {
		t.Errorf("gaps of tap and table:\n%s", diff)
	}
}
