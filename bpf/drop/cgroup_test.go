package drop_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/drop"
	"github.com/debugsidecar/debugsidecar/bpf/internal/nettest"
)

// Pods with hostNetwork share a network namespace: the control group tells them
// apart, and those below a pod's are its containers.
func TestControlGroupsAreToldApart(t *testing.T) {
	ns := nettest.New(t)
	pod, id := makeCgroup(t, "")
	container, _ := makeCgroup(t, pod)
	neighbour, _ := makeCgroup(t, "")
	conns := map[string]*net.UDPConn{}
	for _, group := range []string{container, neighbour} {
		inCgroup(t, group, func() { conns[group] = listen(t, ns, families[0].loopback, true) })
	}
	p := open(t, drop.Options{Target: bpf.Target{Cgroup: id}, Detail: true})
	c := collect(t, p)
	ports := map[string]uint16{}
	for group, n := range map[string]int{container: 4_000, neighbour: 3_000} {
		ports[group] = portOf(conns[group])
		send(t, ns, netip.AddrPortFrom(families[0].loopback, ports[group]), n, word)
		read := drained(t, conns[group])
		var inQueue uint64
		eventually(t, "each datagram was read or dropped", func() bool {
			inQueue = read()
			_, drops := procUDP(t, ns, families[0], ports[group])
			return inQueue+drops == uint64(n)
		})
	}
	_, dropped := procUDP(t, ns, families[0], ports[container])
	if dropped == 0 {
		t.Fatal("nothing was dropped")
	}
	expect(t, p, drop.Count{Netns: ns.Inode, Reason: "SOCKET_RCVBUFF", Family: unix.AF_INET, Proto: unix.IPPROTO_UDP, Drops: dropped})
	events := c.stop(dropped)
	if uint64(len(events)) != dropped {
		t.Errorf("%d events, %d drops", len(events), dropped)
	}
	for _, e := range events {
		if e.Dst.Port() != ports[container] {
			t.Fatalf("an event of another control group: %+v", e)
		}
	}
}

// makeCgroup makes a control group below another, or below the root.
func makeCgroup(t *testing.T, below string) (path string, id uint64) {
	t.Helper()
	if below == "" {
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(mounts)) {
			if fields := strings.Fields(line); strings.Contains(line, " - cgroup2 ") {
				below = fields[4]
			}
		}
		if below == "" {
			t.Skip("cgroup v2 is not mounted")
		}
	}
	path, err := os.MkdirTemp(below, fmt.Sprintf("debugsidecar-test-%d-", os.Getpid()))
	if err != nil {
		t.Skipf("making a control group: %v", err)
	}
	t.Cleanup(func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	})
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return path, st.Ino
}

// inCgroup runs fn while this process is in the control group: a socket stays
// in the one that it was made in.
func inCgroup(t *testing.T, path string, fn func()) {
	t.Helper()
	enter := func(path string) {
		if err := os.WriteFile(filepath.Join(path, "cgroup.procs"), []byte("0"), 0); err != nil {
			t.Skipf("entering a control group: %v", err)
		}
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Dir(path)
	for strings.Contains(filepath.Base(root), "debugsidecar-test-") {
		root = filepath.Dir(root)
	}
	enter(path)
	for line := range strings.Lines(string(own)) {
		if relative, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			defer enter(filepath.Join(root, relative))
		}
	}
	fn()
}
