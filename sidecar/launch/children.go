package launch

import (
	"os/exec"
	"sync"
)

// ours are the children that this package started and has not reaped.
var ours = children{pids: map[int]struct{}{}}

type children struct {
	// mu is held while a child is started: an orphan reaper that looks in between
	// would not know it for ours.
	mu   sync.Mutex
	pids map[int]struct{}
}

func (c *children) start(cmd *exec.Cmd) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	c.pids[cmd.Process.Pid] = struct{}{}
	return nil
}

func (c *children) forget(pid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pids, pid)
}
