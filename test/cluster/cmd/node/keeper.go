package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/debugsidecar/debugsidecar/test/cluster/internal/cgroups"
	"github.com/debugsidecar/debugsidecar/test/cluster/internal/protocol"
)

// keep starts init, and returns when it ended and nothing is left.
func keep(setup protocol.Setup, events *os.File) error {
	tell := json.NewEncoder(events)
	// The thread that starts init is the one whose death kills it.
	runtime.LockOSThread()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := errors.Join(cgroups.Sweep(), cgroups.Make(setup.Cgroup)); err != nil {
		_ = tell.Encode(protocol.Event{
			Failed:  err.Error(),
			Missing: errors.Is(err, cgroups.ErrUnsupported) || errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EROFS),
		})
		return err
	}
	cmd := exec.Command("/proc/self/exe", "init", os.Args[2])
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{os.NewFile(protocol.Commands, "commands"), events, os.NewFile(protocol.Relay, "relay")}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		_ = tell.Encode(protocol.Event{
			Failed:  "making namespaces: " + err.Error(),
			Missing: errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EINVAL),
		})
		return errors.Join(err, cgroups.Remove(setup.Cgroup))
	}
	_ = tell.Encode(protocol.Event{Init: cmd.Process.Pid})
	for _, f := range cmd.ExtraFiles { // else their other ends don't notice init's end
		_ = f.Close()
	}
	said := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(os.Stdin) // any end is the end
		_ = cmd.Process.Kill()
		said <- string(text)
	}()
	told := make(chan struct{})
	go func() {
		<-signals
		_ = cmd.Process.Kill()
		close(told)
	}()
	_ = cmd.Wait() // returns when all processes of the namespace are gone
	err := cgroups.Remove(setup.Cgroup)
	select {
	case text := <-said:
		if text != protocol.Orderly && setup.Temporary {
			err = errors.Join(err, os.RemoveAll(setup.Dir))
		}
	case <-told:
	}
	return err
}
