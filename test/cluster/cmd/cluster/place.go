package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/debugsidecar/debugsidecar/test/lock"
)

// patience bounds the wait for a supervisor that starts or stops.
const patience = time.Minute

// place is the directory of the one cluster. The cluster's supervisor holds the
// lock in it as long as it lives, so what other files say can't be out of date.
type place struct{ dir string }

func (p place) lock() string       { return filepath.Join(p.dir, "lock") }
func (p place) pid() string        { return filepath.Join(p.dir, "pid") }        // of the supervisor
func (p place) log() string        { return filepath.Join(p.dir, "log") }        // of the supervisor
func (p place) data() string       { return filepath.Join(p.dir, "data") }       // of the cluster
func (p place) kubeconfig() string { return filepath.Join(p.dir, "kubeconfig") } // once it is ready
func (p place) tools() string      { return filepath.Join(p.dir, "tools") }      // if it has a node

// supervised tells whether a supervisor lives.
func (p place) supervised() bool {
	f, err := lock.Try(p.lock())
	if err == nil {
		_ = f.Close()
	}
	return errors.Is(err, lock.ErrHeld)
}

func (p place) isUp() bool {
	_, err := os.Stat(p.kubeconfig())
	return err == nil && p.supervised()
}

func (p place) hasNode() bool {
	_, err := os.Lstat(p.tools())
	return err == nil
}

// up starts a supervisor and waits until its cluster can be used, with a node if
// that is wanted. It returns true if there was one already.
func (p place) up(ctx context.Context, node bool) (already bool, err error) {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return false, err
	}
	if p.supervised() {
		err := p.until(ctx, "start", func() bool { return p.isUp() || !p.supervised() })
		if err == nil && node && !p.hasNode() {
			err = errors.New("the cluster that is up has no node; take it down first")
		}
		return true, err
	}
	self, err := os.Executable()
	if err != nil {
		return false, err
	}
	log, err := os.OpenFile(p.log(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return false, err
	}
	defer log.Close()
	result, tell, err := os.Pipe()
	if err != nil {
		return false, err
	}
	defer result.Close()
	cmd := exec.Command(self, supervise, fmt.Sprintf("--%s=%t", withNode, node))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{tell}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // outlives this terminal
	err = cmd.Start()
	_ = tell.Close()
	if err != nil {
		return false, err
	}
	text, err := io.ReadAll(result)
	if err != nil {
		return false, err
	}
	if string(text) != ready {
		return false, fmt.Errorf("the supervisor ended: %s\nits log is %s", text, p.log())
	}
	return false, cmd.Process.Release()
}

// down ends the supervisor, which stops the cluster. It returns false if there
// was none.
func (p place) down(ctx context.Context) (was bool, err error) {
	if !p.supervised() {
		return false, nil
	}
	text, err := os.ReadFile(p.pid())
	if err != nil {
		return true, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return true, fmt.Errorf("reading %s: %w", p.pid(), err)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return true, fmt.Errorf("stopping the supervisor, process %d: %w", pid, err)
	}
	return true, p.until(ctx, "stop", func() bool { return !p.supervised() })
}

// until waits until done.
func (p place) until(ctx context.Context, what string, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the cluster to %s: %w; its supervisor's log is %s", what, ctx.Err(), p.log())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}
