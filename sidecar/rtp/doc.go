// Package rtp turns what is known of an RTP flow into samples: the snapshots of
// the kernel's tap (package bpf/rtp), or packets of a capture file.
//
// A Table does in user space what the tap does in the kernel, and gives the same
// bpf/rtp.Flow for the same packets. A Meter makes samples of either, so that a
// stream looks the same to the detectors wherever it was seen.
//
// # What is RTP
//
// Without SDP, five datagrams have to agree: RTP's version, no RTCP, ports from
// 1024 on, the same addresses, SSRC and payload type, and sequence numbers
// within 64 of each other.
//
// # Key frames
//
// H.264 (RFC 6184) and H.265 (RFC 7798) are recognised by the first bytes of the
// payload, once 16 packets with parts of pictures agree more than others object.
// Encrypted payload never does. Payload of clock rates other than video's 90 kHz
// is not read.
//
// # Whole pictures
//
// A picture is whole if no packet of it is missing: a gap in the sequence breaks
// the pictures on both sides, but not the one that has ended with a marker bit,
// nor the one whose payload begins just behind the gap. The latest time longer
// than 100 ms without a whole picture is kept (tap.Wait), and becomes a
// sample.Wait; runs of broken pictures become a sample.Hole.
//
// # Clock rates
//
// RFC 3551 has those of static payload types. Dynamic ones are taken for video's
// 90 kHz until the flow's own pace says otherwise: timestamps over arrival, twice
// the same common rate, over a second and a half each, at the flow's beginning.
// A flow is taken for audio if its rate is not 90 kHz and each of its frames is
// one small packet.
package rtp
