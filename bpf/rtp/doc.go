// Package rtp takes the figures of RTP flows from the packets of a pod's own
// traffic, in the kernel: loss, reorder, duplicates, jitter, frames, key frames,
// and what RTCP says. Watching costs no second stream, and no packet is copied.
//
// The tap is a BPF program on an AF_PACKET socket (CAP_BPF and CAP_NET_RAW). It
// sees packets that arrive before traffic control and the socket's buffer, and
// those that leave after the queueing discipline. So what the kernel drops on
// receipt is no loss here: package bpf/drop counts that. TCX programs (CAP_BPF
// and CAP_NET_ADMIN, Linux 6.6) see the same and cost less.
//
// # What is a flow
//
// With Options.Ports, every packet of RTP's version to or from such a UDP port
// belongs to a flow. Without, five packets of UDP have to agree: RTP's version,
// no RTCP (RFC 5761, section 4), ports from 1024 on, the same addresses, SSRC
// and payload type, and sequence numbers within 64 of each other. Until then
// they are a candidate; they count once it is a flow.
//
// In the node's network namespace Open refuses without ports: it would see
// every pod's traffic.
//
// # Figures
//
// Loss is what RFC 3550, A.3 counts: sequence numbers expected less those
// received, each once. A packet that comes twice within 512 sequence numbers is
// a duplicate, one that comes after a higher one is reordered. A jump of 3000 or
// more, or further back than 512, is an outlier; if the next packet follows it,
// the source has begun anew. Jitter is A.8's. A frame is an RTP timestamp, not
// a marker bit, since packets with the marker get lost, too.
//
// Key frames are those of H.264 (RFC 6184) and H.265 (RFC 7798), told by the
// payload's first bytes once 16 packets with parts of pictures agree on a codec:
// IDR pictures and H.264's sequence parameter sets, H.265's pictures of random
// access. Only flows of 90 kHz are looked at. Encrypted payload never agrees.
//
// A packet of the kernel may hold several of the wire (UDP_SEGMENT, UDP_GRO):
// each is counted by itself. SRTP leaves RTP's header readable; SRTCP hides
// feedback, so that its figures are 0 there.
//
// RTP within an RTSP connection over TCP has no loss to see. Such connections
// are recognised and reported by TCP's own signs of trouble (Interleaved).
//
// There is no tier without privilege: package bpf/drop reads what /proc knows
// of sockets.
package rtp
