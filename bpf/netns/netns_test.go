package netns_test

import (
	"errors"
	"net"
	"os"
	"testing"

	"github.com/debugsidecar/debugsidecar/bpf/internal/nettest"
	"github.com/debugsidecar/debugsidecar/bpf/netns"
)

func TestSelfIsTheProcessesOwn(t *testing.T) {
	self, err := netns.Self()
	if err != nil {
		t.Fatal(err)
	}
	if own, err := netns.Inode(netns.PathOf(os.Getpid())); err != nil || own != self {
		t.Errorf("%d (%v), not %d", own, err, self)
	}
}

func TestInodeRefusesWhatIsNoNamespace(t *testing.T) {
	for _, path := range []string{"/proc/self/status", "/etc/hostname", "/nowhere"} {
		if inode, err := netns.Inode(path); err == nil {
			t.Errorf("%s: %d", path, inode)
		}
	}
}

func TestDoRunsInTheNamespaceAndLeavesTheCallerOutside(t *testing.T) {
	ns := nettest.New(t)
	before, err := netns.Self()
	if err != nil {
		t.Fatal(err)
	}
	var inside uint32
	var listener net.Listener
	failure := errors.New("on purpose")
	err = netns.Do(ns.Path(), func() error {
		if inside, err = netns.Self(); err != nil {
			return err
		}
		if netns.IsHost() {
			t.Error("a new namespace is taken for the node's")
		}
		// No program outside has a port like this.
		if listener, err = net.Listen("tcp", "127.0.0.1:1"); err != nil {
			return err
		}
		return failure
	})
	if !errors.Is(err, failure) || inside != ns.Inode {
		t.Fatalf("fn ran in %d, not %d: %v", inside, ns.Inode, err)
	}
	defer listener.Close()
	if after, _ := netns.Self(); after != before {
		t.Errorf("the caller is in %d now, not in %d", after, before)
	}
	// The socket stayed in the namespace: from outside nobody answers.
	if conn, err := net.Dial("tcp", listener.Addr().String()); err == nil {
		conn.Close()
		t.Error("the socket of the namespace answers outside")
	}
}
