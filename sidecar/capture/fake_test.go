package capture

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/capture/wire"
)

// fakes are capture programs that behave badly. The test's own program takes
// their part.
var fakes = map[string]func(conn *net.UnixConn, memory *wire.Memory){
	"plays": func(conn *net.UnixConn, memory *wire.Memory) {
		fakeFrames(conn, 1<<30)
	},
	"exits": func(*net.UnixConn, *wire.Memory) { os.Exit(3) },
	"panics": func(*net.UnixConn, *wire.Memory) {
		panic("index out of range, from rtsp://admin:s3kret@camera/1")
	},
	"mute":    func(*net.UnixConn, *wire.Memory) { hang() },
	"garbage": func(conn *net.UnixConn, _ *wire.Memory) { fakeSend(conn, []byte("\x00\xff garbage")); hang() },
	"too long": func(conn *net.UnixConn, _ *wire.Memory) {
		fakeSend(conn, bytes.Repeat([]byte("x"), 2*wire.MaxMessage))
		hang()
	},
	"picture of 4 GiB": func(conn *net.UnixConn, _ *wire.Memory) {
		b := wire.AppendFrame(nil, wire.Frame{Seq: 1, Picture: true, Length: 1})
		copy(b[len(b)-4:], "\xff\xff\xff\xff")
		fakeSend(conn, b)
		hang()
	},
	"floods": func(conn *net.UnixConn, _ *wire.Memory) {
		for {
			fakeSend(conn, wire.Alive)
		}
	},
	"deaf": func(conn *net.UnixConn, _ *wire.Memory) {
		for {
			fakeSend(conn, wire.Alive)
			time.Sleep(50 * time.Millisecond)
		}
	},
	"grows": func(conn *net.UnixConn, memory *wire.Memory) {
		go func() {
			var all [][]byte
			for {
				all = append(all, bytes.Repeat([]byte{1}, 16<<20))
				runtime.KeepAlive(all)
				time.Sleep(10 * time.Millisecond)
			}
		}()
		fakeFrames(conn, 1<<30)
	},
	"hangs up": func(conn *net.UnixConn, _ *wire.Memory) {
		fakeFrames(conn, 3)
		conn.Close()
		hang()
	},
	"stops playing": func(conn *net.UnixConn, _ *wire.Memory) {
		fakeFrames(conn, 3)
		for {
			fakeSend(conn, wire.Alive)
			time.Sleep(50 * time.Millisecond)
		}
	},
	"shouts": func(conn *net.UnixConn, _ *wire.Memory) {
		go func() {
			for line := bytes.Repeat([]byte("x"), 1<<20); ; {
				os.Stderr.Write(line)
			}
		}()
		fakeFrames(conn, 1<<30)
	},
	"reads tokens": func(conn *net.UnixConn, _ *wire.Memory) {
		_, err := os.ReadFile(os.Getenv(fileVariable))
		r, _ := wire.MarshalReport(wire.Report{State: wire.Failed, Cause: wire.Camera, Why: fmt.Sprint("read: ", err)})
		fakeSend(conn, r)
		hang()
	},
	"leaves a child": func(*net.UnixConn, *wire.Memory) {
		cmd := exec.Command("/bin/sleep", "3")
		cmd.Stderr = os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		os.Exit(0)
	},
}

func fakeSend(conn *net.UnixConn, b []byte) {
	if _, err := conn.Write(b); err != nil {
		os.Exit(0)
	}
}

func fakeFrames(conn *net.UnixConn, n int) {
	for i := range n {
		fakeSend(conn, wire.AppendFrame(nil, wire.Frame{Seq: uint64(i + 1), PTS: time.Duration(i) * 20 * time.Millisecond, At: clock.Now(), Width: 64, Height: 48}))
		time.Sleep(20 * time.Millisecond)
	}
}

// The fake's name, and the file that "reads tokens" tries.
const (
	fakeVariable = "DEBUGSIDECAR_TEST_FAKE"
	fileVariable = "DEBUGSIDECAR_TEST_FILE"
)

func TestMain(m *testing.M) {
	fake, ok := fakes[os.Getenv(fakeVariable)]
	if !ok {
		os.Exit(m.Run())
	}
	// It ends with the test, whatever becomes of that.
	_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
	conn, err := wire.OpenSocket(os.NewFile(3, "socket"))
	if err != nil {
		panic(err)
	}
	memory, err := wire.OpenMemory(os.NewFile(4, "memory"))
	if err != nil {
		panic(err)
	}
	fake(conn, memory)
}

// hang never returns. An empty select would be a deadlock to a program without
// cgo, and end it.
func hang() {
	for {
		time.Sleep(time.Hour)
	}
}

// fakeWorker is a program that becomes a fake.
func fakeWorker(t *testing.T, name string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "worker")
	script := fmt.Sprintf("#!/bin/sh\nexport %s='%s' %s='%s'\nexec '%s'\n", fakeVariable, name, fileVariable, os.Getenv(fileVariable), self)
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
