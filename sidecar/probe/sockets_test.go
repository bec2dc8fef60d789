package probe

import (
	"testing"

	"github.com/debugsidecar/debugsidecar/bpf/drop"
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
