// Command pause is the first process of each pod. It holds the pod's namespaces,
// and reaps what becomes orphaned where containers share a PID namespace.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGINT, syscall.SIGTERM)
	for s := range signals {
		if s != syscall.SIGCHLD {
			os.Exit(0)
		}
		for reap() {
		}
	}
}

// reap takes one ended child, and returns false if there is none.
func reap() bool {
	pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
	return err == syscall.EINTR || err == nil && pid > 0
}
