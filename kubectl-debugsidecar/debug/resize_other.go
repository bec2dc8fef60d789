//go:build !unix

package debug

import "time"

// watchSize says when to look at the terminal's size, until done is closed: there
// is no signal for it.
func watchSize(done <-chan struct{}) <-chan struct{} {
	changed := make(chan struct{}, 1)
	go func() {
		ticker := time.NewTicker(time.Second / 4)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				select {
				case changed <- struct{}{}:
				default:
				}
			}
		}
	}()
	return changed
}
