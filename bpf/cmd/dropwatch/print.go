package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/drop"
)

// printer returns what prints lines, as text or as JSON.
func printer(out io.Writer, asJSON bool) func([]line) error {
	if asJSON {
		encoder := json.NewEncoder(out)
		return func(lines []line) error {
			for _, l := range lines {
				if err := encoder.Encode(object(l)); err != nil {
					return err
				}
			}
			return nil
		}
	}
	header := false
	return func(lines []line) error {
		for _, l := range lines {
			if !header {
				header = true
				fmt.Fprintf(out, "%-12s  %7s  %-5s  %-22s  %-4s  %-5s  %s\n", "TIME", "DROPS", "CLASS", "REASON", "IP", "PROTO", "FROM > TO")
			}
			between := ""
			if l.src.IsValid() {
				between = l.src.String() + " > " + l.dst.String()
			}
			_, err := fmt.Fprintf(out, "%-12s  %7d  %-5s  %-22s  %-4s  %-5s  %s\n", l.at.Format("15:04:05.000"), l.count,
				drop.Classify(l.reason), l.reason, familyName(l.family), protoName(l.proto), between)
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// jsonLine is a line for programs. Count is the increase since the last line of
// that reason, family and protocol: the sum over all lines is exact.
type jsonLine struct {
	TS     string     `json:"ts"`
	Reason string     `json:"reason"`
	Class  drop.Class `json:"class"`
	Family string     `json:"family"`
	Proto  string     `json:"proto"`
	Netns  uint32     `json:"netns,omitempty"`
	Count  uint64     `json:"count"`
	Src    string     `json:"src,omitempty"`
	Dst    string     `json:"dst,omitempty"`
}

func object(l line) jsonLine {
	return jsonLine{
		TS: l.at.UTC().Format(time.RFC3339Nano), Reason: l.reason, Class: drop.Classify(l.reason),
		Family: familyName(l.family), Proto: protoName(l.proto), Netns: l.netns, Count: l.count,
		Src: address(l.src), Dst: address(l.dst),
	}
}

func address(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func familyName(family uint16) string {
	switch family {
	case 2:
		return "ipv4"
	case 10:
		return "ipv6"
	}
	return "none"
}

func protoName(proto uint8) string {
	switch proto {
	case 1:
		return "icmp"
	case 6:
		return "tcp"
	case 17:
		return "udp"
	case 58:
		return "icmpv6"
	case 132:
		return "sctp"
	}
	return fmt.Sprint(proto)
}
