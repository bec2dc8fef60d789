//go:build cgo && customenv

// The capture worker: it plays one source, looks at its picture, and tells the
// probe, which started it. It is the only program that is linked with OpenCV.
//
// It plays what strangers send, in C and C++. So it is a process of its own,
// which the probe kills when it hangs, and starts again when it crashed. The
// source and its password come through a socket. It ends when that does.
//
// OpenCV's capture can't be closed while another thread reads from it; the
// process crashes. So one goroutine opens and reads, and nothing is ever closed
// but by the process's end.
package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/capture/wire"
	"github.com/debugsidecar/debugsidecar/sidecar/capture/worker/trust"
)

// The files that the probe hands on.
const (
	socketFile = 3
	memoryFile = 4
	caFile     = 5 // if the order says so
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "capture worker: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	if err := gateWorks(); err != nil {
		return err
	}
	if kind, err := unix.GetsockoptInt(socketFile, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_SEQPACKET {
		return fmt.Errorf("it is started by the probe: sidecar video-probe --source URL")
	}
	// Nobody reads our memory, where the password is; and where memory is short,
	// the kernel takes us and not the probe.
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("900"), 0)

	unix.CloseOnExec(socketFile)
	unix.CloseOnExec(memoryFile)
	conn, err := wire.OpenSocket(os.NewFile(socketFile, "socket"))
	if err != nil {
		return err
	}
	memory, err := wire.OpenMemory(os.NewFile(memoryFile, "memory"))
	if err != nil {
		return err
	}
	p := &probe{conn: conn}
	open, err := p.firstOrder()
	if err != nil {
		return err
	}
	go p.takeOrders()
	go p.beat()
	var ca io.Reader
	if open.CA {
		ca = os.NewFile(caFile, "CA")
	}
	t, err := trust.New(ca, open.Insecure)
	if err != nil {
		p.report(wire.Report{State: wire.Failed, Cause: wire.Refused, Why: err.Error()})
	} else {
		p.report(newPlayer(open, t, p, memory).play())
	}
	p.awaitEnd() // the probe reads the report and kills us
	return nil
}
