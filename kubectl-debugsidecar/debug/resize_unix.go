//go:build unix

package debug

import (
	"os"
	"os/signal"
	"syscall"
)

// watchSize says when the terminal's size may have changed, until done is closed.
func watchSize(done <-chan struct{}) <-chan struct{} {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGWINCH)
	changed := make(chan struct{}, 1)
	go func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-done:
				return
			case <-signals:
				select {
				case changed <- struct{}{}:
				default: // it will be looked at anyway
				}
			}
		}
	}()
	return changed
}
