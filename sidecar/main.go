// Command sidecar is the program that is put into pods: the video probe, the
// debugging tools, and the same detectors over capture files.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/debugsidecar/debugsidecar/sidecar/capture"
	"github.com/debugsidecar/debugsidecar/sidecar/diagnose"
	"github.com/debugsidecar/debugsidecar/sidecar/internal/processlist"
	"github.com/debugsidecar/debugsidecar/sidecar/probe"
	"github.com/debugsidecar/debugsidecar/sidecar/replay"
	"github.com/debugsidecar/debugsidecar/sidecar/snapshot"
)

// version is set by the linker.
var version = "0.1.0-dev"

func main() {
	processlist.Mask(os.Args, capture.Mask)
	root := &cobra.Command{
		Use:           "sidecar",
		Short:         "See video stalls coming, and debug a pod from inside",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(
		probe.Command(version), probe.TokenCommand(), replay.Command(),
		diagnose.DebugCommand(), diagnose.DoctorCommand(probe.FindWorker(""), nil), diagnose.CheckRootCommand(), snapshot.Command(version),
	)
	if err := root.Execute(); err != nil {
		var status interface{ ExitStatus() int }
		if errors.As(err, &status) {
			os.Exit(status.ExitStatus())
		}
		fmt.Fprintln(os.Stderr, "sidecar:", err)
		os.Exit(1)
	}
}
