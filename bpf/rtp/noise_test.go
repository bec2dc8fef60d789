package rtp_test

import (
	"net/netip"
	"testing"

	"github.com/debugsidecar/debugsidecar/bpf/rtp"
)

// A query of DNS looks like RTP where its id begins with the bits 10: asked
// again and again it is still no flow, since its "sequence number" stands still.
func TestRepeatedQueriesAreNoFlow(t *testing.T) {
	sender, receiver := pair(t)
	r := newReceiver(t, receiver, netip.MustParseAddr("10.9.0.2"))
	tap := open(t, rtp.Options{Netns: receiver.Path()})
	conn := dial(t, sender, r.addr())
	query := append([]byte{0x81, 0x23, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, "\x07example\x03com\x00\x00\x01\x00\x01"...)
	for range 20 {
		if _, err := conn.Write(query); err != nil {
			t.Fatal(err)
		}
	}
	if flows, err := tap.Flows(); err != nil || len(flows) > 0 {
		t.Errorf("%+v, %v: nothing but queries was sent", flows, err)
	}
}
