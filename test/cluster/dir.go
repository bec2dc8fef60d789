package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/debugsidecar/debugsidecar/test/lock"
)

const (
	tempName = "debugsidecar-cluster-"
	lockName = "lock" // in a temporary directory, held while its cluster is in use

	// keepFor is how long the logs of a failed start can be read.
	keepFor = time.Hour
)

// makeDir makes the cluster's directory, a temporary one if dir is empty.
func (c *Cluster) makeDir(dir string) error {
	if dir == "" {
		return c.makeTempDir()
	}
	var err error
	if c.dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(c.dir)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty", c.dir)
	}
	return err
}

func (c *Cluster) makeTempDir() error {
	sweep(os.TempDir())
	var err error
	if c.dir, err = os.MkdirTemp("", tempName); err != nil {
		return err
	}
	c.held, err = lock.Try(filepath.Join(c.dir, lockName))
	return err
}

// sweep removes the directories that killed processes left in temp.
func sweep(temp string) {
	locks, err := filepath.Glob(filepath.Join(temp, tempName+"*", lockName))
	if err != nil {
		return
	}
	for _, path := range locks {
		info, err := os.Stat(path)
		if err != nil || time.Since(info.ModTime()) < keepFor {
			continue
		}
		if held, err := lock.Try(path); err == nil {
			_ = os.RemoveAll(filepath.Dir(path))
			_ = held.Close()
		}
	}
}
