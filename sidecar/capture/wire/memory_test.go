package wire_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/capture/wire"
)

// pair returns the two ends of one memory.
func pair(t *testing.T) (parent, child *wire.Memory) {
	t.Helper()
	parent, err := wire.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { parent.Close() })
	fd, err := unix.Dup(int(parent.File().Fd()))
	if err != nil {
		t.Fatal(err)
	}
	child, err = wire.OpenMemory(os.NewFile(uintptr(fd), "child"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { child.Close() })
	return parent, child
}

// jpegOf is what passes for a JPEG, filled with one byte.
func jpegOf(b byte, n int) []byte {
	p := bytes.Repeat([]byte{b}, n)
	p[0], p[1], p[n-2], p[n-1] = 0xff, 0xd8, 0xff, 0xd9
	return p
}

func record(seq uint64, slot, n int) wire.Frame {
	return wire.Frame{Seq: seq, Picture: true, Slot: slot, Length: n}
}

func TestPictureIsReadAsItWasWritten(t *testing.T) {
	parent, child := pair(t)
	for slot := range wire.Slots {
		want := jpegOf(byte(slot), wire.SlotBytes-slot)
		if err := child.Write(slot, 7, want); err != nil {
			t.Fatal(err)
		}
		got, ok := parent.Read([]byte("before"), record(7, slot, len(want)))
		if !ok || !bytes.Equal(got, append([]byte("before"), want...)) {
			t.Errorf("slot %d: %v, %d bytes", slot, ok, len(got))
		}
	}
	if err := child.Write(0, 8, make([]byte, wire.SlotBytes+1)); err == nil {
		t.Error("a picture larger than a slot was written")
	}
}

func TestOverwrittenOrForgedPictureIsNotRead(t *testing.T) {
	parent, child := pair(t)
	if err := child.Write(1, 7, jpegOf(1, 100)); err != nil {
		t.Fatal(err)
	}
	html := []byte("<html>not what it says</html>")
	if err := child.Write(2, 8, html); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]wire.Frame{
		"overwritten": record(6, 1, 100), "never written": record(7, 3, 100), "shorter": record(7, 1, 99),
		"no JPEG": record(8, 2, len(html)), "without picture": {Seq: 7, Slot: 1, Length: 100},
	} {
		if got, ok := parent.Read([]byte("x"), f); ok || string(got) != "x" {
			t.Errorf("%s: %d bytes were read", name, len(got))
		}
	}
}

// A hostile child can't take the memory away under the parent's feet.
func TestMemoryCantShrink(t *testing.T) {
	_, child := pair(t)
	for _, size := range []int64{0, 1 << 30} {
		if err := child.File().Truncate(size); !errors.Is(err, unix.EPERM) {
			t.Errorf("its size can become %d (%v)", size, err)
		}
	}
}

func TestMemoryOfAnotherVersionIsRefused(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := wire.OpenMemory(f); err == nil {
		t.Error("an empty file is mapped")
	}
}

// While the child writes, the parent gets whole pictures or none.
func TestPicturesAreNeverTorn(t *testing.T) {
	parent, child := pair(t)
	const n = 50_000
	var newest atomic.Uint64 // as its record would tell
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for seq := uint64(1); ; seq++ {
			select {
			case <-stop:
				return
			default:
				_ = child.Write(0, seq, jpegOf(byte(seq), n))
				newest.Store(seq)
				if seq%8 == 0 {
					runtime.Gosched() // where there is one processor
				}
			}
		}
	})
	var buf []byte
	last := uint64(0)
	for whole := 0; whole < 100; {
		seq, ok := newest.Load(), false
		if seq == last {
			runtime.Gosched()
			continue
		}
		if buf, ok = parent.Read(buf[:0], record(seq, 0, n)); !ok {
			continue // the next one is being written already
		}
		whole++
		last = seq
		if !bytes.Equal(buf, jpegOf(byte(seq), n)) {
			t.Errorf("picture %d is torn", seq)
			break
		}
	}
	close(stop)
	wg.Wait()
}

func TestSocketKeepsMessagesApartAndTellsOfTheEnd(t *testing.T) {
	ours, file, err := wire.NewSocket()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	theirs, err := wire.OpenSocket(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{"one", "another"} {
		if _, err := theirs.Write([]byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, wire.MaxMessage)
	for _, m := range []string{"one", "another"} {
		if n, err := ours.Read(buf); err != nil || string(buf[:n]) != m {
			t.Errorf("%q (%v), want %q", buf[:n], err, m)
		}
	}
	theirs.Close()
	if _, err := ours.Read(buf); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
}
