package probe

import (
	"testing"

	"github.com/debugsidecar/debugsidecar/bpf/drop"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

func TestSocketsOfAPortAreSummedAndDropsAreIncreases(t *testing.T) {
	s := newSockets()
	s.read([]drop.Socket{{Port: 5004, Inode: 1, Queue: 100, Drops: 7}, {Port: 5004, Inode: 2, Queue: 20}})
	if got := s.byPort[5004]; got.Queue != 120 || got.Drops != 0 {
		t.Errorf("drops of before we came are not of now: %+v", got)
	}
	s.read([]drop.Socket{{Port: 5004, Inode: 1, Drops: 9}, {Port: 5004, Inode: 2, Drops: 1}, {Port: 5004, Inode: 3, Drops: 4}})
	if got := s.byPort[5004]; got.Drops != 2+1+4 {
		t.Errorf("got %+v", got)
	}
	s.read([]drop.Socket{{Port: 5004, Inode: 1, Drops: 9}})
	if got := s.byPort[5004]; got.Drops != 0 {
		t.Errorf("got %+v", got)
	}
	s.read(nil)
	if _, there := s.byPort[5004]; there || !s.busy[5004] {
		t.Error("a socket that is closed is gone, but its port was busy")
	}
}

func TestANeighboursDropsInTheSameSocketAreNotMine(t *testing.T) {
	w := &watch{sockets: newSockets()}
	w.sockets.read([]drop.Socket{{Port: 5004, Inode: 1}})
	w.sockets.read([]drop.Socket{{Port: 5004, Inode: 1, Queue: 900, Drops: 10}})
	for name, c := range map[string]struct {
		own  sample.Kernel
		want uint64
	}{
		"a stream that lost nothing":   {sample.Kernel{Known: true}, 0},
		"one that lost some there":     {sample.Kernel{Known: true, Drops: 3, Reason: "SOCKET_RCVBUFF"}, 3},
		"one that lost some elsewhere": {sample.Kernel{Known: true, Drops: 3, Reason: "TC_INGRESS"}, 0},
		"nobody knows by stream":       {sample.Kernel{}, 10},
	} {
		if got := w.socketOf(5004, &c.own); got.Drops != c.want || got.Queue != 900 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
