package v4l2_test

import (
	"bytes"
	"context"
	"image/jpeg"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/capture"
)

const camera = "/dev/video0"

// patience is for an emulated processor.
const patience = 3 * time.Minute

// vivid loads the driver of a camera that does not exist, and returns the
// worker's path.
func vivid(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(os.Getenv("VM_LAZY_MODULES"), "vivid")
	worker, err := exec.LookPath("debugsidecar-capture")
	if dir == "vivid" || err != nil {
		t.Skip("needs a virtual machine with the capture worker in it")
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
		err = unix.FinitModule(int(f.Fd()), "n_devs=1 node_types=0x1 num_inputs=1 input_types=0", 0)
		if err != nil && path != files[len(files)-1] {
			err = unix.FinitModule(int(f.Fd()), "", 0) // others don't have these options
		}
		f.Close()
		if err != nil && err != unix.EEXIST {
			t.Fatalf("loading %s: %v", path, err)
		}
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(camera); err == nil {
			return worker
		}
	}
	t.Fatal(camera + " did not appear")
	return ""
}

func play(t *testing.T, o capture.Options) *capture.Capture {
	t.Helper()
	o.Mode, o.RetryFrom, o.RetryTo = capture.Always, time.Second, time.Second
	o.OpenTimeout, o.ReadTimeout, o.HangTimeout = patience, time.Minute, time.Minute
	c, err := capture.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return c
}

func await(t *testing.T, c *capture.Capture, what string, is func(capture.Snapshot) bool) capture.Snapshot {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if s := c.Snapshot(); is(s) {
			return s
		}
	}
	t.Fatalf("never %s: %+v", what, c.Snapshot())
	return capture.Snapshot{}
}

func TestCameraOfThisMachine(t *testing.T) {
	worker := vivid(t)
	t.Run("is never opened in a pod", func(t *testing.T) {
		c := play(t, capture.Options{Source: camera, Worker: worker})
		s := await(t, c, "absent", func(s capture.Snapshot) bool { return s.State == capture.Absent })
		if s.Cause != capture.Refused || !strings.Contains(s.Why, "one owner") {
			t.Errorf("%+v", s)
		}
	})
	t.Run("that is not there is the cause", func(t *testing.T) {
		c := play(t, capture.Options{Source: "/dev/video9", Local: true, Worker: worker})
		s := await(t, c, "waiting", func(s capture.Snapshot) bool { return s.State == capture.Waiting })
		if s.Cause != capture.Camera || s.Crashes != 0 {
			t.Errorf("%+v", s)
		}
	})
	t.Run("is played alone, and its loss noticed", func(t *testing.T) {
		c := play(t, capture.Options{Source: camera, Local: true, Worker: worker})
		c.WantPictures(true)
		s := await(t, c, "playing", func(s capture.Snapshot) bool { return s.Frames >= 20 && s.Pictures > 0 })
		if s.State != capture.Playing || s.Width < 160 || s.Height < 90 || s.Newest <= 0 || s.Restarts != 0 {
			t.Errorf("%+v", s)
		}
		picture, _, ok := c.Picture(0)
		for end := time.Now().Add(patience); !ok && time.Now().Before(end); time.Sleep(time.Millisecond) {
			picture, _, ok = c.Picture(0)
		}
		img, err := jpeg.Decode(bytes.NewReader(picture))
		if err != nil || img.Bounds().Dx() != s.Width || img.Bounds().Dy() != s.Height {
			t.Errorf("a picture of %d bytes: %v", len(picture), err)
		}
		unplug(t)
		s = await(t, c, "waiting", func(s capture.Snapshot) bool { return s.State == capture.Waiting })
		if s.Cause != capture.Camera || s.Crashes != 0 || s.Restarts == 0 {
			t.Errorf("%+v", s)
		}
	})
}

// unplug makes vivid behave as if its camera's plug was pulled.
func unplug(t *testing.T) {
	t.Helper()
	fd, err := unix.Open(camera, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	// VIDIOC_S_CTRL of include/uapi/linux/videodev2.h.
	const setControl = 0xc008561c
	control := struct {
		id    uint32
		value int32
	}{controlNamed(t, fd, "Disconnect"), 1}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), setControl, uintptr(unsafe.Pointer(&control))); errno != 0 {
		t.Fatalf("unplugging the camera: %v", errno)
	}
}

// controlNamed returns the number of a device's control. Those of vivid are
// numbered anew now and then.
func controlNamed(t *testing.T, fd int, name string) uint32 {
	t.Helper()
	// VIDIOC_QUERYCTRL, struct v4l2_queryctrl and V4L2_CTRL_FLAG_NEXT_CTRL of
	// include/uapi/linux/videodev2.h.
	const queryControl, next = 0xc0445624, 0x80000000
	query := struct {
		id, kind                    uint32
		name                        [32]byte
		least, most, step, standard int32
		flags                       uint32
		_                           [2]uint32
	}{}
	var names []string
	for {
		query.id |= next
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), queryControl, uintptr(unsafe.Pointer(&query))); errno != 0 {
			t.Fatalf("the camera has no control %q, only %q (%v)", name, names, errno)
		}
		found := unix.ByteSliceToString(query.name[:])
		if found == name {
			return query.id
		}
		names = append(names, found)
	}
}
