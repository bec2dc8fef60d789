package procnet

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/internal/nettest"
)

const snmp = `Ip: Forwarding DefaultTTL
Ip: 1 64
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors NewOne
Udp: 40 2500 9 2542 5 0 1 0 3 77
UdpLite: InDatagrams NoPorts InErrors
UdpLite: 9 9 9
`

func TestCountersAreFoundByName(t *testing.T) {
	want := UDP{NoPorts: 2500, InErrors: 9, RcvbufErrors: 5, InCsumErrors: 1, MemErrors: 3}
	if got, err := parseSNMP([]byte(snmp)); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	snmp6 := "Ip6InReceives 1\nUdp6NoPorts\t2500\nUdp6InErrors 9\nUdp6RcvbufErrors 5\nUdp6InCsumErrors 1\nUdp6MemErrors 3\nUdp6New 1\nUdpLite6NoPorts 8\n"
	if got, err := parseSNMP6([]byte(snmp6)); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestBrokenFilesAreErrors(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "no UDP": "Ip: A\nIp: 1\n", "one line": "Udp: NoPorts\n", "fewer values": "Udp: NoPorts InErrors\nUdp: 1\n",
		"more values": "Udp: NoPorts\nUdp: 1 2\n", "no number": "Udp: NoPorts\nUdp: x\n", "negative": "Udp: NoPorts\nUdp: -1\n",
	} {
		if got, err := parseSNMP([]byte(text)); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for name, text := range map[string]string{"empty": "", "no value": "Udp6NoPorts\n", "no number": "Udp6NoPorts x\n"} {
		if got, err := parseSNMP6([]byte(text)); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// What was opened in a namespace is read there, from wherever.
func TestFilesBelongToTheNamespaceTheyWereOpenedIn(t *testing.T) {
	ns := nettest.New(t)
	var counters *Counters
	var sockets *Sockets
	var conn *net.UDPConn
	ns.Do(func() (err error) {
		if counters, err = OpenCounters("/proc/thread-self/net"); err != nil {
			return err
		}
		if sockets, err = OpenUDP("/proc/thread-self/net"); err != nil {
			return err
		}
		if conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("[::]:5004"))); err != nil {
			return err
		}
		for _, to := range []string{"127.0.0.1:9", "[::1]:9", "[::1]:9"} {
			if _, err := conn.WriteToUDPAddrPort([]byte("x"), netip.MustParseAddrPort(to)); err != nil {
				return err
			}
		}
		return nil
	})
	defer counters.Close()
	defer sockets.Close()
	defer conn.Close()
	// What loopback does not deliver at once, the kernel does a little later.
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		v4, v6, has6, err := counters.UDP()
		if err == nil && v4.NoPorts == 1 && v6.NoPorts == 2 && has6 {
			break
		}
		if time.Now().After(end) {
			t.Errorf("%+v, %+v, %v, %v", v4, v6, has6, err)
			break
		}
	}
	var ports []uint16
	if err := sockets.Each(func(s Socket) { ports = append(ports, s.LocalPort) }); err != nil || len(ports) != 1 || ports[0] != 5004 {
		t.Errorf("%v, %v", ports, err)
	}
}

// Where IPv6 is off there are no files of it: nothing is known, not 0.
func TestWithoutIPv6(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "snmp"), []byte(snmp), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := OpenCounters(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, _, has6, err := c.UDP(); has6 || err != nil {
		t.Errorf("%v, %v", has6, err)
	}
	if _, err := OpenTCP(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("tcp: %v", err)
	}
}

func TestSocketsOfTCP(t *testing.T) {
	text := `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 0200007F:D431 01 00000000:00000A00 00:00000000 00000000     0        0 4711 1 0000000000000000 20 4 30 10 -1
`
	var got []Socket
	if err := parseSockets([]byte(text), false, func(s Socket) { got = append(got, s) }); err != nil {
		t.Fatal(err)
	}
	want := Socket{LocalPort: 8080, RemotePort: 54321, State: 1, ReceiveQueue: 2560, Inode: 4711}
	if len(got) != 1 || got[0] != want {
		t.Errorf("%+v", got)
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	c, err := OpenCounters("/proc/thread-self/net")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, _, _, err := c.UDP(); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(20, func() { _, _, _, _ = c.UDP() }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(snmp)
	f.Add("Udp6NoPorts 1\n")
	f.Add("names\n 0: 0100007F:1F90 00000000:0000 07 00000000:00000A00 00:00000000 00000000 0 0 4711 2 0 5\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = parseSNMP([]byte(text))
		_, _ = parseSNMP6([]byte(text))
		for _, udp := range []bool{true, false} {
			n := 0
			err := parseSockets([]byte(text), udp, func(Socket) { n++ })
			if err == nil && n > strings.Count(text, "\n") {
				t.Errorf("%d sockets", n)
			}
		}
	})
}
