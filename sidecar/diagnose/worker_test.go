package diagnose

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/capture/wire"
)

func init() {
	// Speaks as the capture program does.
	programs["worker"] = func() error {
		conn, err := wire.OpenSocket(os.NewFile(3, "socket"))
		if err != nil {
			return err
		}
		buf := make([]byte, wire.MaxMessage)
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		order, err := wire.ParseOrder(buf[:n])
		if err != nil {
			return err
		}
		report := wire.Report{State: wire.Failed, Cause: wire.Refused, Why: "files are refused"}
		if order.Open == nil || order.Open.Local || !strings.HasPrefix(order.Open.Source, "file:") || os.Getenv("WORKER_PLAYS") != "" {
			report = wire.Report{State: wire.Playing}
		}
		message, err := wire.MarshalReport(report)
		if err != nil {
			return err
		}
		for _, m := range [][]byte{wire.Alive, message} {
			if _, err := conn.Write(m); err != nil {
				return err
			}
		}
		time.Sleep(time.Minute) // killed
		return nil
	}
}

func TestCaptureProgramIsStartedAsTheProbeDoes(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	self := fmt.Sprintf("exec env %s=worker WORKER_PLAYS=$plays %s", program, exe)
	for _, c := range []struct{ name, script, says, fails string }{
		{"answers", self, "without capabilities", ""},
		{"plays what it must refuse", "plays=yes; " + self, "", "did not refuse"},
		{"lacks a library", "echo 'error while loading shared libraries: libopencv_core.so.406' >&2; exit 127", "", "libopencv_core.so.406"},
		{"ends", "exit 3", "", "exit status 3"},
		{"crashes", "kill -SEGV $$", "", "segmentation fault"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "worker")
			if err := os.WriteFile(path, []byte("#!/bin/sh\nplays=\n"+c.script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			said, err := tryCapture(t.Context(), path)
			if c.fails == "" && (err != nil || !strings.Contains(said, c.says)) {
				t.Errorf("%q, %v", said, err)
			}
			if c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
				t.Errorf("%q, %v", said, err)
			}
		})
	}
}
