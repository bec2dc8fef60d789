package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/debugsidecar/debugsidecar/test/cluster/internal/protocol"
)

// hold is init's work: it prepares the namespaces and starts what it is asked
// to, until nobody asks any more.
func hold(setup protocol.Setup, out *os.File) error {
	events := json.NewEncoder(out)
	for fd := protocol.Commands; fd <= protocol.Relay; fd++ {
		syscall.CloseOnExec(fd)
	}
	err := prepare(setup)
	if err == nil {
		err = errors.Join(startRelay(setup.Relay), startDNS(setup.DNS, newAPI(setup.API)))
	}
	if err != nil {
		_ = events.Encode(protocol.Event{Failed: err.Error(), Missing: errors.Is(err, errMissing) || errors.Is(err, os.ErrPermission)})
		return err
	}
	c := &children{events: events, names: map[int]string{}}
	go c.reap()
	if err := events.Encode(protocol.Event{Ready: true}); err != nil {
		return err
	}
	for commands := json.NewDecoder(os.NewFile(protocol.Commands, "commands")); ; {
		var s protocol.Start
		if err := commands.Decode(&s); err != nil {
			return nil // the caller closed it, or is gone
		}
		c.start(s)
	}
}

// errMissing is in errors that say that this machine lacks something.
var errMissing = errors.New("not available here")

func prepare(setup protocol.Setup) error {
	if err := mounts(setup.Dir); err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte(setup.Name)); err != nil {
		return fmt.Errorf("setting the node's host name: %w", err)
	}
	return network(setup.Address)
}

// children are the programs that were started. Others are orphans of these.
type children struct {
	mu     sync.Mutex // held from fork until names has the process
	events *json.Encoder
	names  map[int]string
}

func (c *children) start(s protocol.Start) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pid, err := fork(s)
	event := protocol.Event{Started: s.Name}
	if err != nil {
		event.Failed = err.Error()
	} else {
		c.names[pid] = s.Name
	}
	_ = c.events.Encode(event)
}

func fork(s protocol.Start) (int, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	return syscall.ForkExec(s.Binary, append([]string{s.Name}, s.Args...), &syscall.ProcAttr{
		Dir:   "/",
		Env:   s.Env,
		Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
}

// reap takes all children that end, orphans among them, and tells of those that
// were asked for.
func (c *children) reap() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGCHLD)
	for range signals {
		for c.reapOne() {
		}
	}
}

func (c *children) reapOne() bool {
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
	if err == syscall.EINTR {
		return true
	}
	if err != nil || pid <= 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if name, ok := c.names[pid]; ok {
		delete(c.names, pid)
		_ = c.events.Encode(protocol.Event{Ended: name, Status: describe(status)})
	}
	return true
}

func describe(s syscall.WaitStatus) string {
	if s.Signaled() {
		return "signal: " + s.Signal().String()
	}
	return fmt.Sprintf("exit status %d", s.ExitStatus())
}
