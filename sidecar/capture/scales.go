package capture

import (
	"fmt"
	"os"
)

// scales weigh a child: its resident memory. They allocate nothing.
type scales struct {
	statm *os.File // nil where it can't be read
	buf   *[128]byte
	page  int64
}

func newScales(pid int) scales {
	f, err := os.Open(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		f = nil // then there is no limit
	}
	return scales{statm: f, buf: new([128]byte), page: int64(os.Getpagesize())}
}

func (s scales) close() { _ = s.statm.Close() }

// read returns bytes, 0 if they can't be known. The file is "size resident
// shared ...", in pages (proc(5)).
func (s scales) read() int64 {
	n, _ := s.statm.ReadAt(s.buf[:], 0)
	fields, pages := 0, int64(0)
	for _, b := range s.buf[:n] {
		switch {
		case b == ' ':
			fields++
		case fields == 1 && b >= '0' && b <= '9' && pages < 1<<40:
			pages = pages*10 + int64(b-'0')
		}
	}
	return pages * s.page
}
