package wire

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// Slots is how many pictures the memory holds. A reader has the time of
	// Slots-1 pictures to copy one.
	Slots = 4
	// SlotBytes is how large a picture may be: 1280x720 as JPEG of quality 80 has
	// a tenth of that, noise a half. Pages that nobody writes take no memory.
	SlotBytes = 2 << 20

	// stride keeps each slot, with its sequence number in front, on whole pages.
	header = 4096
	stride = header + SlotBytes
	size   = Slots * stride
)

// Memory is the pictures' memory, mapped by one of the two.
type Memory struct {
	file *os.File
	data []byte
}

// NewMemory makes the memory. The child gets File.
func NewMemory() (*Memory, error) {
	fd, err := unix.MemfdCreate("debugsidecar-pictures", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memory for pictures: %w", err)
	}
	file := os.NewFile(uintptr(fd), "pictures")
	if err := file.Truncate(size); err != nil {
		return nil, errors.Join(fmt.Errorf("memory for pictures: %w", err), file.Close())
	}
	if _, err := unix.FcntlInt(file.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		return nil, errors.Join(fmt.Errorf("sealing the memory for pictures: %w", err), file.Close())
	}
	return mapMemory(file, unix.PROT_READ)
}

// OpenMemory maps the child's end of what NewMemory made.
func OpenMemory(file *os.File) (*Memory, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("memory for pictures: %w", err)
	}
	if info.Size() != size {
		return nil, fmt.Errorf("the memory for pictures has %d bytes, not %d: probe and worker are of different versions", info.Size(), size)
	}
	return mapMemory(file, unix.PROT_READ|unix.PROT_WRITE)
}

func mapMemory(file *os.File, protection int) (*Memory, error) {
	data, err := unix.Mmap(int(file.Fd()), 0, size, protection, unix.MAP_SHARED)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mapping the memory for pictures: %w", err), file.Close())
	}
	return &Memory{file: file, data: data}, nil
}

// File is the memory's file, to be handed on to the child.
func (m *Memory) File() *os.File { return m.file }

// Close unmaps the memory. No Read may be under way.
func (m *Memory) Close() error {
	err := unix.Munmap(m.data)
	m.data = nil
	return errors.Join(err, m.file.Close())
}

// mark is the slot's sequence number: that of the frame whose picture it holds,
// 0 while it is being written.
func (m *Memory) mark(slot int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&m.data[slot*stride]))
}

// Write puts the picture of frame seq into a slot. Only the child writes.
func (m *Memory) Write(slot int, seq uint64, picture []byte) error {
	if len(picture) > SlotBytes {
		return fmt.Errorf("the picture has %d bytes, a slot %d", len(picture), SlotBytes)
	}
	mark := m.mark(slot)
	mark.Store(0)
	copy(m.data[slot*stride+header:(slot+1)*stride], picture)
	mark.Store(seq)
	return nil
}

// Read appends the picture of a frame's record, one that ParseFrame returned,
// to dst. It is false, and dst as it was, if the slot has a newer picture by
// now or what it has is no JPEG.
func (m *Memory) Read(dst []byte, f Frame) ([]byte, bool) {
	mark := m.mark(f.Slot)
	if !f.Picture || mark.Load() != f.Seq {
		return dst, false
	}
	from := f.Slot*stride + header
	before := len(dst)
	dst = append(dst, m.data[from:from+f.Length]...)
	if mark.Load() != f.Seq || !isJPEG(dst[before:]) {
		return dst[:before], false
	}
	return dst, true
}

// isJPEG looks at the markers of start and end alone, so that nothing else
// reaches a browser under that name by mistake.
func isJPEG(b []byte) bool {
	n := len(b)
	return n >= 4 && b[0] == 0xff && b[1] == 0xd8 && b[n-2] == 0xff && b[n-1] == 0xd9
}
