package peer

import (
	"time"

	"golang.org/x/sys/unix"
)

// deafFor is how long a connection is waited for that will not come.
const deafFor = 300 * time.Millisecond

// shortQueue makes a listening socket's queue as short as can be.
func shortQueue(fd int) error { return unix.Listen(fd, 0) }
