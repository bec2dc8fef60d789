package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/internal/nettest"
)

// build compiles the real program.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dropwatch")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// start runs the program and waits until it watches. The function that it
// returns gives its output once it has ended.
func start(t *testing.T, path string, args ...string) (cmd *exec.Cmd, end func() (stdout, stderr string)) {
	t.Helper()
	// The program ends with the thread that started it.
	runtime.LockOSThread()
	cmd = exec.Command(path, args...)
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	var out bytes.Buffer
	cmd.Stdout = &out
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	first, err := lines.ReadString('\n')
	if err != nil || !strings.HasPrefix(first, "watching ") {
		t.Fatalf("%q, %v", first, err)
	}
	return cmd, func() (string, string) {
		t.Helper()
		var rest bytes.Buffer
		_, _ = rest.ReadFrom(lines)
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%v\n%s", err, rest.Bytes())
		}
		return out.String(), first + rest.String()
	}
}

func shortSkip(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it builds and runs the program")
	}
}

func send(t *testing.T, ns *nettest.Namespace, to netip.AddrPort, n int) {
	t.Helper()
	ns.Do(func() error {
		conn, err := net.ListenUDP("udp", nil)
		if err != nil {
			return err
		}
		defer conn.Close()
		for range n {
			if _, err := conn.WriteToUDPAddrPort([]byte("frame"), to); err != nil {
				return err
			}
		}
		return nil
	})
}

// sums adds up the counts of JSON lines.
func sums(t *testing.T, out string) (all map[string]uint64, addressed uint64) {
	t.Helper()
	all = map[string]uint64{}
	for text := range strings.Lines(out) {
		var l jsonLine
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&l); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if _, err := time.Parse(time.RFC3339Nano, l.TS); err != nil {
			t.Error(err)
		}
		if l.Class == "noise" {
			continue
		}
		all[l.Reason+" "+l.Family+" "+l.Proto] += l.Count
		if l.Src != "" {
			addressed += l.Count
		}
	}
	return all, addressed
}

// Sums are exact, also when the ring is far too small for what happens.
func TestSumsAreExact(t *testing.T) {
	shortSkip(t)
	path := build(t)
	for _, ring := range []int{0, 4096} {
		t.Run(fmt.Sprintf("ring %d", ring), func(t *testing.T) {
			ns := nettest.New(t)
			cmd, end := start(t, path, "--netns", ns.Path(), "--json", "--every", "100ms", fmt.Sprintf("--ring-bytes=%d", ring))
			send(t, ns, netip.MustParseAddrPort("127.0.0.1:5004"), 20_000)
			send(t, ns, netip.MustParseAddrPort("[::1]:5004"), 10_000)
			var conn *net.UDPConn
			ns.Do(func() (err error) {
				conn, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
				return err
			})
			defer conn.Close()
			if err := conn.SetReadBuffer(1); err != nil {
				t.Fatal(err)
			}
			send(t, ns, conn.LocalAddr().(*net.UDPAddr).AddrPort(), 5_000)
			// What loopback does not deliver at once, the kernel does a little later.
			snmp := quiet(t, ns)
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			out, log := end()
			got, addressed := sums(t, out)
			full := got["SOCKET_RCVBUFF ipv4 udp"]
			if got["NO_SOCKET ipv4 udp"] != 20_000 || got["NO_SOCKET ipv6 udp"] != 10_000 || full == 0 ||
				!bytes.Contains(snmp, fmt.Appendf(nil, " 20000 %d ", full)) || len(got) != 3 {
				t.Errorf("%v; the kernel says\n%s", got, snmp)
			}
			if lost := strings.Contains(log, "without their addresses"); lost != (addressed < 30_000+full) {
				t.Errorf("%d with addresses of %d, and it says\n%s", addressed, 30_000+full, log)
			}
		})
	}
}

// quiet waits until the namespace's counters stand still, and returns them.
func quiet(t *testing.T, ns *nettest.Namespace) (snmp []byte) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(300 * time.Millisecond) {
		before := snmp
		ns.Do(func() (err error) {
			snmp, err = os.ReadFile("/proc/thread-self/net/snmp")
			return err
		})
		if bytes.Equal(before, snmp) || time.Now().After(end) {
			return snmp
		}
	}
}

// A watch for a time ends by itself.
func TestItEndsAfterTheTimeThatWasAskedFor(t *testing.T) {
	shortSkip(t)
	ns := nettest.New(t)
	_, end := start(t, build(t), "--netns", ns.Path(), "--for", "200ms")
	if _, log := end(); !strings.HasPrefix(log, "watching ") {
		t.Errorf("it ended with\n%s", log)
	}
}

func TestPeopleSeeReasonsAndSums(t *testing.T) {
	shortSkip(t)
	ns := nettest.New(t)
	cmd, end := start(t, build(t), "--netns", ns.Path(), "--every", "50ms")
	send(t, ns, netip.MustParseAddrPort("127.0.0.1:5004"), 7)
	time.Sleep(300 * time.Millisecond)
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	out, log := end()
	if !strings.Contains(out, "NO_SOCKET") || !strings.Contains(out, "> 127.0.0.1:5004") || !strings.HasPrefix(out, "TIME ") {
		t.Errorf("it printed\n%s", out)
	}
	if !strings.Contains(log, "         7  loss   NO_SOCKET ipv4 udp") {
		t.Errorf("it ended with\n%s", log)
	}
}

// Without privilege it shows what /proc has, and says what it takes to see more.
func TestWithoutPrivilegeItSaysSo(t *testing.T) {
	nettest.WithCapabilities(t, []bpf.Capability{bpf.BPF}, func(t *testing.T) {
		var out, log bytes.Buffer
		f := flags{json: true, duration: 300 * time.Millisecond, tick: 50 * time.Millisecond}
		o, err := f.options()
		if err != nil {
			t.Fatal(err)
		}
		if err := watch(t.Context(), &out, &log, o, f); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"UDP's counters of /proc only", "NO_SOCKET, SOCKET_RCVBUFF, PROTO_MEM, UDP_CSUM", "needs CAP_PERFMON"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%q is not in\n%s", want, log.String())
			}
		}
		f.all = true
		if o, err = f.options(); err != nil {
			t.Fatal(err)
		}
		if err := watch(t.Context(), &out, &log, o, f); err == nil || !strings.Contains(err.Error(), "needs CAP_PERFMON") {
			t.Errorf("all namespaces: %v", err)
		}
	})
}

func TestBadFlagsAreExplained(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--netns", "999999999"}, "there is no such process"},
		{[]string{"--netns", "/etc/hostname"}, "not a namespace"},
		{[]string{"--cgroup", "/tmp"}, "not a control group"},
		{[]string{"--for", "-1s"}, "a time that has passed"},
		{[]string{"--every", "1ms"}, "10ms at least"},
		{[]string{"--all", "--netns", "1"}, "none of the others can be"},
		{[]string{"surplus"}, "unknown command"},
	} {
		c := command()
		c.SetArgs(test.args)
		if err := c.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v", test.args, err)
		}
	}
}
