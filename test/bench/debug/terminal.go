package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal.
type terminal struct{ master, slave *os.File }

func open() (*terminal, error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("opening a terminal: %w", err)
	}
	master := os.NewFile(uintptr(fd), "ptmx") // not blocking: Close ends a Read
	err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	number, err2 := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	err3 := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 120})
	if err := errors.Join(err, err2, err3); err != nil {
		return nil, errors.Join(err, master.Close())
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, errors.Join(err, master.Close())
	}
	return &terminal{master, slave}, nil
}

func (t *terminal) Close() { _, _ = t.slave.Close(), t.master.Close() }
