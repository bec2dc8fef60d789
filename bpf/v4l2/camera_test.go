package v4l2_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/v4l2"
)

// vivid loads the driver of a camera that does not exist, in a virtual machine
// of test/vm; elsewhere the test is skipped: it would load it into your kernel.
func vivid(t *testing.T) {
	t.Helper()
	dir := filepath.Join(os.Getenv("VM_LAZY_MODULES"), "vivid")
	if dir == "vivid" {
		t.Skip("needs a virtual machine: make test-vm")
	}
	if _, err := os.Stat("/dev/video0"); err == nil {
		return
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.ko"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no modules in %s (%v)", dir, err)
	}
	slices.Sort(files)
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		options := ""
		if path == files[len(files)-1] {
			options = "n_devs=1 node_types=0x1 num_inputs=1 input_types=0"
		}
		err = unix.FinitModule(int(f.Fd()), options, 0)
		f.Close()
		if err != nil && err != unix.EEXIST {
			t.Fatalf("loading %s: %v", path, err)
		}
	}
	for range 6000 {
		if _, err := os.Stat("/dev/video0"); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("/dev/video0 did not appear")
}

// Of include/uapi/linux/videodev2.h, for 64 bits.
const (
	capture     = 1 // V4L2_BUF_TYPE_VIDEO_CAPTURE
	mmap        = 1 // V4L2_MEMORY_MMAP
	flagError   = 0x40
	nextControl = 0x80000000
)

type requestBuffers struct{ count, kind, memory, capabilities, flags uint32 }

type buffer struct {
	index, kind, bytesUsed, flags, field, _ uint32
	seconds, microseconds                   int64
	timecode                                [16]byte
	sequence, memory                        uint32
	offset                                  uint64
	length, _, requestFD, _                 uint32
}

type queryControl struct {
	id, kind                        uint32
	name                            [32]byte
	minimum, maximum, step, initial int32
	flags                           uint32
	_                               [2]uint32
}

type control struct {
	id    uint32
	value int32
}

type format struct {
	kind, _               uint32
	width, height, pixels uint32
	_                     [188]byte
}

type streamParameters struct {
	kind, capability, mode, numerator, denominator uint32
	_                                              [184]byte
}

func request(direction, number, size uintptr) uintptr {
	return direction<<30 | size<<16 | 'V'<<8 | number
}

var (
	vidiocGFmt      = request(3, 4, unsafe.Sizeof(format{}))
	vidiocSFmt      = request(3, 5, unsafe.Sizeof(format{}))
	vidiocReqbufs   = request(3, 8, unsafe.Sizeof(requestBuffers{}))
	vidiocQbuf      = request(3, 15, unsafe.Sizeof(buffer{}))
	vidiocDqbuf     = request(3, 17, unsafe.Sizeof(buffer{}))
	vidiocStreamon  = request(1, 18, 4)
	vidiocStreamoff = request(1, 19, 4)
	vidiocSParm     = request(3, 22, unsafe.Sizeof(streamParameters{}))
	vidiocSCtrl     = request(3, 28, unsafe.Sizeof(control{}))
	vidiocQueryctrl = request(3, 36, unsafe.Sizeof(queryControl{}))
)

// camera is a program that reads one, and counts what it sees: the ground truth.
type camera struct {
	t       *testing.T
	fd      int
	queued  int
	started bool
	last    uint32

	frames, errors, gaps, lost, restarts uint64
}

const buffers = 4

func openCamera(t *testing.T) *camera {
	t.Helper()
	fd, err := unix.Open("/dev/video0", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := &camera{t: t, fd: fd}
	t.Cleanup(func() { unix.Close(fd) })
	f := format{kind: capture}
	c.ioctl(vidiocGFmt, unsafe.Pointer(&f))
	f.width, f.height = 320, 180
	c.ioctl(vidiocSFmt, unsafe.Pointer(&f))
	c.ioctl(vidiocSParm, unsafe.Pointer(&streamParameters{kind: capture, numerator: 1, denominator: 30}))
	c.ioctl(vidiocReqbufs, unsafe.Pointer(&requestBuffers{count: buffers, kind: capture, memory: mmap}))
	return c
}

func (c *camera) ioctl(number uintptr, argument unsafe.Pointer) {
	c.t.Helper()
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(c.fd), number, uintptr(argument))
		if errno == 0 {
			return
		}
		if errno != unix.EINTR {
			c.t.Fatalf("ioctl %#x: %v", number, errno)
		}
	}
}

func (c *camera) queue(index uint32) {
	c.t.Helper()
	c.ioctl(vidiocQbuf, unsafe.Pointer(&buffer{index: index, kind: capture, memory: mmap}))
	c.queued++
}

// start queues all buffers and starts the stream.
func (c *camera) start() {
	c.t.Helper()
	for i := range uint32(buffers) {
		c.queue(i)
	}
	kind := uint32(capture)
	c.ioctl(vidiocStreamon, unsafe.Pointer(&kind))
}

// stop ends the stream; the driver gives back what is queued.
func (c *camera) stop() {
	c.t.Helper()
	kind := uint32(capture)
	c.ioctl(vidiocStreamoff, unsafe.Pointer(&kind))
	c.queued = 0
}

// read takes n buffers, and gives each back if again is set.
func (c *camera) read(n int, again bool) {
	c.t.Helper()
	for range n {
		b := buffer{kind: capture, memory: mmap}
		c.ioctl(vidiocDqbuf, unsafe.Pointer(&b))
		c.queued--
		switch {
		case !c.started:
		case b.sequence <= c.last:
			c.restarts++
		case b.sequence > c.last+1:
			c.gaps++
			c.lost += uint64(b.sequence - c.last - 1)
		}
		c.started, c.last = true, b.sequence
		if b.flags&flagError != 0 {
			c.errors++
		} else {
			c.frames++
		}
		if again {
			c.queue(b.index)
		}
	}
}

// drain takes what is queued and leaves the driver nothing to fill, so that it
// has completed nothing that was not taken.
func (c *camera) drain() {
	c.t.Helper()
	c.read(c.queued, false)
}

// set changes one of the driver's controls, by a part of its name.
func (c *camera) set(name string, value int32) {
	c.t.Helper()
	q := queryControl{id: nextControl}
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(c.fd), vidiocQueryctrl, uintptr(unsafe.Pointer(&q)))
		if errno != 0 {
			c.t.Fatalf("the driver has no control %q", name)
		}
		if bytes.Contains(q.name[:], []byte(name)) {
			c.ioctl(vidiocSCtrl, unsafe.Pointer(&control{id: q.id, value: value}))
			return
		}
		q.id |= nextControl
	}
}

// counted is what the probe has of the only queue.
func counted(t *testing.T, p *v4l2.Probe) v4l2.Queue {
	t.Helper()
	queues, err := p.Queues()
	if err != nil {
		t.Fatal(err)
	}
	if len(queues) != 1 {
		t.Fatalf("%d queues: %+v", len(queues), queues)
	}
	return queues[0]
}

// same fails the test unless the probe counted what the program saw.
func (c *camera) same(q v4l2.Queue) {
	c.t.Helper()
	got := fmt.Sprintf("frames %d, errors %d, gaps %d, lost %d, restarts %d, dequeued %d",
		q.Frames, q.Errors, q.Gaps, q.Lost, q.Restarts, q.Dequeued)
	want := fmt.Sprintf("frames %d, errors %d, gaps %d, lost %d, restarts %d, dequeued %d",
		c.frames, c.errors, c.gaps, c.lost, c.restarts, c.frames+c.errors)
	if got != want {
		c.t.Errorf("the probe has %s; the program %s", got, want)
	}
}

func open(t *testing.T, o v4l2.Options) *v4l2.Probe {
	t.Helper()
	p, err := v4l2.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := p.Waiting(); err != nil {
		t.Fatal(err)
	}
	return p
}

var everything = bpf.Target{All: true}
