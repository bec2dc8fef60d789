package rtp_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/debugsidecar/debugsidecar/bpf/rtp"
)

func TestGapThatIsFilledIsToldOnce(t *testing.T) {
	sender, receiver := pair(t)
	r := newReceiver(t, receiver, netip.MustParseAddr("10.9.0.2"))
	tap := open(t, rtp.Options{Netns: receiver.Path()})
	var gaps []rtp.Gap
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- tap.Gaps(ctx, func(g rtp.Gap) { gaps = append(gaps, g) }) }()
	var packets [][]byte
	// 19 comes before the flow's first number was known: nobody missed it. 101
	// comes after 103, and twice.
	seqs := []int{20, 19}
	for seq := 21; seq < 120; seq++ {
		switch seq {
		case 101:
		case 103:
			seqs = append(seqs, 103, 101, 101)
		default:
			seqs = append(seqs, seq)
		}
	}
	for _, seq := range seqs {
		packets = append(packets, packet(7, uint16(seq), uint32(seq/10*3000)))
	}
	f := one(t, tap, dial(t, sender, r.addr()), r, packets)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if f.Lost != 0 || f.Gaps != 1 || f.Reordered != 2 || f.Duplicates != 1 || len(gaps) != 2 {
		t.Fatalf("%+v of %+v", gaps, f)
	}
	for i, want := range []rtp.Gap{
		{First: 101, Count: 1, Before: 30_000, After: 30_000},
		{First: 101, Count: 1, Before: 30_000, After: 30_000, Filled: true},
	} {
		want.Ktime, want.SSRC, want.Src, want.Dst, want.Interface = gaps[i].Ktime, f.SSRC, f.Src, f.Dst, f.Interface
		if gaps[i] != want {
			t.Errorf("got %+v, want %+v", gaps[i], want)
		}
	}
}

// The timestamp before a gap is that of the highest number, not of a packet that
// came late.
func TestTimestampBeforeAGapIsTheHighestOnes(t *testing.T) {
	sender, receiver := pair(t)
	r := newReceiver(t, receiver, netip.MustParseAddr("10.9.0.2"))
	tap := open(t, rtp.Options{Netns: receiver.Path()})
	var gaps []rtp.Gap
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- tap.Gaps(ctx, func(g rtp.Gap) { gaps = append(gaps, g) }) }()
	var packets [][]byte
	for _, seq := range []int{0, 1, 2, 3, 4, 5, 6, 8, 9, 7, 12} {
		packets = append(packets, packet(7, uint16(seq), uint32(seq*3000)))
	}
	one(t, tap, dial(t, sender, r.addr()), r, packets)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if len(gaps) != 3 || gaps[2].First != 10 || gaps[2].Count != 2 || gaps[2].Before != 27_000 || gaps[2].After != 36_000 {
		t.Errorf("%+v: 10 and 11 are missing after 9", gaps)
	}
}
