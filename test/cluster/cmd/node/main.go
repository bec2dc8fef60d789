// Command node holds the node of a test cluster: namespaces in which all of the
// cluster's programs run, and with which all of them end.
//
// It is two processes. The keeper stays outside and does what can't be done from
// within: it removes cgroups, which outlive processes, once all processes are
// gone. Init is the first process of a PID namespace, so the kernel kills
// everything in it when init ends; mounts and network go with the last process.
// Init ends when the keeper does, and the keeper removes everything when the one
// who started it does, also by SIGKILL.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/debugsidecar/debugsidecar/test/cluster/internal/protocol"
)

func main() {
	if len(os.Args) != 3 || os.Args[1] != "keep" && os.Args[1] != "init" {
		fmt.Fprintln(os.Stderr, "node is started by package cluster")
		os.Exit(2)
	}
	var setup protocol.Setup
	err := json.Unmarshal([]byte(os.Args[2]), &setup)
	if err == nil {
		events := os.NewFile(protocol.Events, "events")
		if os.Args[1] == "keep" {
			err = keep(setup, events)
		} else {
			err = hold(setup, events)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
}
