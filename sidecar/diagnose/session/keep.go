package session

import (
	"context"
	"time"
)

// askAgain is how often the clock is asked at least: somebody may set it, and it
// goes on while the node sleeps.
const askAgain = 10 * time.Second

// Wait returns true when the session's time is over, and false when ctx is.
// Before that tell is called with each warning. A session without an end ends
// with ctx.
func (t Time) Wait(ctx context.Context, tell func(string)) (over bool) {
	at, ends := t.Ends()
	if !ends {
		<-ctx.Done()
		return false
	}
	due := warnings
	for len(due) > 0 && t.left(time.Now()) <= due[0] {
		due = due[1:] // it is shorter than that: the greeting has said so
	}
	for {
		left := t.left(time.Now())
		if left <= 0 {
			return true
		}
		next := min(left, askAgain)
		if len(due) > 0 {
			if left <= due[0] {
				tell(warning(left, at))
				for len(due) > 0 && left <= due[0] {
					due = due[1:]
				}
				continue
			}
			next = min(next, left-due[0])
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}
