package certmanager

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// tailBytes is how much of the log an error shows.
const tailBytes = 4000

var errStopped = errors.New("cert-manager was stopped")

// process is the controllers' program while it runs. The kernel closes the pipe
// that it reads its end from, however this process ends.
type process struct {
	cmd     *exec.Cmd
	dir     string          // of its log
	alive   *os.File        // its other end is the program's standard input
	running context.Context // until it ends; its cause says why
	over    context.CancelCauseFunc
	ended   chan struct{}
}

func startProcess(binary string, args ...string) (*process, error) {
	dir, err := os.MkdirTemp("", "debugsidecar-certmanager-")
	if err != nil {
		return nil, err
	}
	p := &process{dir: dir, ended: make(chan struct{})}
	if err := p.start(binary, args); err != nil {
		return nil, errors.Join(fmt.Errorf("starting cert-manager: %w", err), os.RemoveAll(dir))
	}
	return p, nil
}

func (p *process) start(binary string, args []string) error {
	out, err := os.Create(p.logFile())
	if err != nil {
		return err
	}
	defer out.Close()
	stdin, alive, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdin.Close()
	p.cmd = exec.Command(binary, args...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, out, out
	p.cmd.Env = append(os.Environ(), "KUBE_STOP_AT_EOF=1")
	// Ctrl-C is for us, who stop it in our own time.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return errors.Join(err, alive.Close())
	}
	p.alive = alive
	p.running, p.over = context.WithCancelCause(context.Background())
	go func() {
		err := p.cmd.Wait()
		p.over(fmt.Errorf("cert-manager ended by itself (%v); its last lines:\n%s", err, p.tail()))
		close(p.ended)
	}()
	return nil
}

// end kills the program. That it had ended before by itself is an error.
func (p *process) end() error {
	p.over(errStopped)
	_ = p.cmd.Process.Kill()
	<-p.ended
	_ = p.alive.Close()
	if err := context.Cause(p.running); !errors.Is(err, errStopped) {
		return err
	}
	return nil
}

func (p *process) logFile() string { return filepath.Join(p.dir, "log") }

// tail returns the end of the log.
func (p *process) tail() string {
	text, err := os.ReadFile(p.logFile())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-tailBytes):])
}
