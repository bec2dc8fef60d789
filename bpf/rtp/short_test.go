package rtp_test

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"

	"github.com/debugsidecar/debugsidecar/bpf/rtp"
)

// Eight bytes are the shortest RTCP packet; a veth does not pad it.
func TestShortestControlPacketIsSeen(t *testing.T) {
	for _, mode := range modes {
		for _, to := range []string{"10.9.0.2", "fd09::2"} {
			t.Run(mode.String()+"/"+to, func(t *testing.T) {
				sender, receiver := pair(t)
				r := newReceiver(t, receiver, netip.MustParseAddr(to))
				tap := open(t, rtp.Options{Netns: receiver.Path(), Mode: mode})
				conn := dial(t, sender, r.addr())
				defer onOneProcessor(t)()
				s := video(rand.New(rand.NewPCG(6, 6)), 0x01020304, 20, impairment{})
				sendAll(t, []*net.UDPConn{conn}, []stream{s}, nil)
				if _, err := conn.Write([]byte{0x81, 203, 0, 1, 1, 2, 3, 4}); err != nil { // BYE
					t.Fatal(err)
				}
				flushed(t, conn, r)
				flows, err := tap.Flows()
				if err != nil || len(flows) != 1 || flows[0].Control.BYE != 1 {
					t.Errorf("%+v, %v: one flow with one BYE was sent", flows, err)
				}
			})
		}
	}
}
