package live

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/test/stalls/relay"
)

// watch reads every 100 ms what the kernel says of the sockets.
func (l *lab) watch(ctx context.Context) error {
	for at := time.Duration(0); at < l.scenario.Duration; at += sample.Interval {
		if sleep(ctx, time.Until(l.start.Add(at))) != nil {
			return nil
		}
		table, err := sockets()
		if err != nil {
			return err
		}
		for _, r := range l.readers {
			reading, ok := table[r.dst]
			if !ok {
				return fmt.Errorf("/proc/self/net/udp has no socket %s", r.dst)
			}
			reading.At = at
			r.readings = append(r.readings, reading)
		}
	}
	return nil
}

// sockets reads /proc/self/net/udp (net/ipv4/udp.c, udp4_format_sock).
func sockets() (map[netip.AddrPort]relay.Reading, error) {
	file, err := os.Open("/proc/self/net/udp")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	table := map[netip.AddrPort]relay.Reading{}
	lines := bufio.NewScanner(file)
	lines.Scan() // the headings
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 13 {
			return nil, fmt.Errorf("/proc/self/net/udp: %d fields in %q", len(fields), lines.Text())
		}
		address, port, _ := strings.Cut(fields[1], ":")
		_, queue, _ := strings.Cut(fields[4], ":")
		ip, err1 := hex.DecodeString(address)
		number, err2 := strconv.ParseUint(port, 16, 16)
		bytes, err3 := strconv.ParseInt(queue, 16, 64)
		drops, err4 := strconv.Atoi(fields[12])
		if err1 != nil || err2 != nil || err3 != nil || err4 != nil || len(ip) != 4 {
			return nil, fmt.Errorf("/proc/self/net/udp: %q", lines.Text())
		}
		// The address is printed as a number of the machine, which is little-endian.
		slices.Reverse(ip)
		table[netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip)), uint16(number))] = relay.Reading{Queue: int(bytes), Drops: drops}
	}
	return table, lines.Err()
}
