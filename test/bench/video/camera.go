package main

import (
	"bytes"
	"image"
	"image/jpeg"
	"math/bits"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/test/video/peer"
)

const (
	width, height = 1280, 720
	rate          = 30 // frames/s
	kilobits      = 2500
	// A frame's number is bars, a bit each, from the upper left corner on; after
	// them come bits that check it.
	bar        = 32 // pixels
	numberBits = 16
	checkBits  = 5
	// settle is how long after the start pictures don't count.
	settle = 10 * time.Second
)

// camera makes frames and knows when each was handed to the encoder.
type camera struct {
	server *peer.Server
	frames *os.File
	done   chan struct{}
	began  time.Time

	mu     sync.Mutex
	handed [1 << numberBits]time.Time
}

func newCamera() (*camera, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	// A pipe of its usual size would take 20 turns for a frame.
	_, _ = unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 1<<20)
	server, err := peer.Raw(width, height, kilobits, r)
	if err != nil {
		w.Close()
		return nil, err
	}
	if err := unix.SetNonblock(int(w.Fd()), true); err != nil {
		server.Stop()
		return nil, err
	}
	c := &camera{server: server, frames: os.NewFile(uintptr(dup(w)), "frames"), done: make(chan struct{}), began: time.Now()}
	w.Close()
	go c.film()
	return c, nil
}

// dup gives a descriptor that os.NewFile sees to be non-blocking, so that Close
// ends a Write.
func dup(f *os.File) int {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return -1
	}
	_ = unix.SetNonblock(fd, true)
	return fd
}

// film writes frames until the camera is closed. Nobody reads before somebody
// plays, so the first write waits.
func (c *camera) film() {
	defer close(c.done)
	texture := newTexture()
	frame := make([]byte, width*height*3/2)
	for i := width * height; i < len(frame); i++ {
		frame[i] = 128 // no colour
	}
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	for n := 0; ; n = (n + 1) % (1 << numberBits) {
		<-tick.C
		texture.draw(frame, n)
		drawNumber(frame, n)
		c.mu.Lock()
		c.handed[n] = time.Now()
		c.mu.Unlock()
		if _, err := c.frames.Write(frame); err != nil {
			return
		}
	}
}

func (c *camera) close() {
	c.frames.Close()
	c.server.Stop()
	<-c.done
}

// texture is a picture with shapes of all sizes, larger than a frame.
type texture struct {
	luma   []byte
	stride int
}

func newTexture() *texture {
	t := &texture{stride: width + 256}
	t.luma = make([]byte, t.stride*(height+256))
	seed := uint32(1)
	for size := 256; size >= 2; size /= 2 {
		columns := t.stride/size + 1
		cells := make([]byte, columns*((height+256)/size+1))
		for i := range cells {
			seed = seed*1664525 + 1013904223
			cells[i] = byte(seed>>24) / 12
		}
		for i := range t.luma {
			t.luma[i] += cells[i/t.stride/size*columns+i%t.stride/size]
		}
	}
	return t
}

// draw shows the texture from a place that moves, as a camera that pans.
func (t *texture) draw(frame []byte, n int) {
	x, y := swing(n, 256), swing(n/2, 256)
	for row := range height {
		from := (row+y)*t.stride + x
		copy(frame[row*width:(row+1)*width], t.luma[from:from+width])
	}
}

func swing(n, over int) int {
	n %= 2 * over
	return min(n, 2*over-n-1)
}

func check(n int) int { return bits.OnesCount(uint(n)) }

func drawNumber(frame []byte, n int) {
	code := n | check(n)<<numberBits
	for bit := range numberBits + checkBits {
		luma := byte(16)
		if code>>bit&1 == 1 {
			luma = 235
		}
		for y := range bar {
			row := frame[y*width+bit*bar:]
			for x := range bar {
				row[x] = luma
			}
		}
	}
}

// readNumber reads the bars of a JPEG, of any width.
func readNumber(picture []byte) (int, bool) {
	img, err := jpeg.Decode(bytes.NewReader(picture))
	if err != nil {
		return 0, false
	}
	luma, ok := img.(*image.YCbCr)
	if !ok {
		return 0, false
	}
	side := bar * luma.Rect.Dx() / width
	code := 0
	for bit := range numberBits + checkBits {
		if luma.Y[luma.YOffset(bit*side+side/2, side/2)] > 128 {
			code |= 1 << bit
		}
	}
	n := code & (1<<numberBits - 1)
	return n, code>>numberBits == check(n)
}

// ages collects how old pictures are when they come.
type ages struct {
	camera *camera
	mu     sync.Mutex
	all    []time.Duration
	seen   int
}

// readEvery is how many pictures come for one that is read: reading takes as
// much time as making them.
const readEvery = 3

func newAges(c *camera) *ages { return &ages{camera: c} }

func (a *ages) add(picture []byte) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen++
	if a.seen%readEvery != 0 || now.Sub(a.camera.began) < settle {
		return
	}
	n, ok := readNumber(picture)
	if !ok {
		return
	}
	a.camera.mu.Lock()
	handed := a.camera.handed[n]
	a.camera.mu.Unlock()
	if age := now.Sub(handed); age < time.Minute {
		a.all = append(a.all, age)
	}
}
