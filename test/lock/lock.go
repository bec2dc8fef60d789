// Package lock lets one process at a time do something. A lock ends with the
// process that holds it, however that ends.
package lock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// ErrHeld says that another process, or this one, holds the lock.
var ErrHeld = errors.New("the lock is held")

// Try takes the lock that the file at path stands for, or returns ErrHeld.
// The lock is held until the file, which Try makes where it is missing, is closed.
func Try(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrHeld
	}
	return nil, fmt.Errorf("locking %s: %w", path, err)
}

// Wait takes the lock as soon as nobody holds it. If somebody does, it calls
// waiting, once.
func Wait(ctx context.Context, path string, waiting func()) (*os.File, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for first := true; ; first = false {
		f, err := Try(path)
		if !errors.Is(err, ErrHeld) {
			return f, err
		}
		if first {
			waiting()
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the lock of %s: %w", path, context.Cause(ctx))
		case <-tick.C:
		}
	}
}
