package diagnose

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// sightWithin is how long nothing is said into a terminal at which nobody looks.
const sightWithin = 5 * time.Second

// awaitSight waits until somebody looks at a terminal: it has a size then, or keys
// come. What is written before, such as a prompt, is lost, for a container has
// started before anyone can attach to it.
func awaitSight(f *os.File, most time.Duration) {
	fd := int(f.Fd())
	for end := time.Now().Add(most); time.Now().Before(end); {
		size, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
		if err != nil || size.Row > 0 && size.Col > 0 {
			return // no terminal, or seen
		}
		keys := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(keys, 10); n > 0 || err != nil && err != unix.EINTR {
			return
		}
	}
}
