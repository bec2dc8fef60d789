package sample

import "math/bits"

// What Linux counts a packet as, at the socket that it waits in: struct sk_buff,
// and a slab of a power of two for the data with Ethernet's header, headroom and
// struct skb_shared_info (SKB_TRUESIZE, net/core/skbuff.c).
const (
	skbBytes    = 256
	skbOverhead = 14 + 64 + 320
)

// Truesize is how many bytes of a receive buffer a packet takes that has so many
// from IP's header on, if its driver gives each packet a slab of its own. Those that
// give it pages take more.
func Truesize(length int) int {
	return skbBytes + 1<<bits.Len(uint(max(length, 0)+skbOverhead-1))
}
