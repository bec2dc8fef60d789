package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// tailBytes is how much of a log an error shows.
const tailBytes = 2000

// process is a program of the cluster while it runs.
//
// It lives no longer than this process, however this one ends: the kernel then
// closes the pipe that the program reads its end from.
type process struct {
	name  string
	cmd   *exec.Cmd
	alive *os.File // its other end is the program's standard input
	log   string
	ended chan struct{}
	err   error // what Wait said, once it ended
}

// startProcess starts binary as the program called name. Its output goes to the
// file log. When it ended, for whatever reason, ended is called.
func startProcess(binary, name, log string, args []string, ended func(*process)) (*process, error) {
	p := &process{name: name, log: log, ended: make(chan struct{})}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	stdin, alive, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	p.cmd = exec.Command(binary, args...)
	p.cmd.Args[0] = name
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, out, out
	p.cmd.Env = append(os.Environ(), "KUBE_STOP_AT_EOF=1")
	// Ctrl-C is for us, who stop the cluster in our own time.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		_ = alive.Close()
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p.alive = alive
	go func() {
		p.err = p.cmd.Wait()
		ended(p)
		close(p.ended)
	}()
	return p, nil
}

// kill ends the program and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
	_ = p.alive.Close()
}

// earlyEnd is the error of a program that ended by itself.
type earlyEnd struct {
	name, tail, log string
	err             error
}

func (e *earlyEnd) Error() string {
	return fmt.Sprintf("%s ended by itself (%v); its last lines:\n%s\nthe whole log is %s", e.name, e.err, e.tail, e.log)
}

// newEarlyEnd describes the end of a program that ended.
func newEarlyEnd(name, log string, err error) *earlyEnd {
	if err == nil {
		err = errors.New("exit status 0")
	}
	return &earlyEnd{name, tail(log), log, err}
}

// tail returns the last lines of a log.
func tail(log string) string {
	f, err := os.Open(log)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > tailBytes {
		if _, err := f.Seek(-tailBytes, io.SeekEnd); err != nil {
			return err.Error()
		}
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	if len(text) == tailBytes { // begin with a whole line
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return strings.TrimRight(string(text), "\n")
}
