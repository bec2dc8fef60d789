package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/debugsidecar/debugsidecar/test/cluster/internal/cgroups"
	"github.com/debugsidecar/debugsidecar/test/cluster/internal/protocol"
)

// namespaces are those that a cluster with a node runs in. They end, and with
// them all processes, mounts and cgroups, when close is called and when this
// process ends in any other way (cmd/node).
type namespaces struct {
	cgroup string
	init   int // process that is in all of them
	keeper *exec.Cmd
	alive  *os.File // the keeper's standard input

	commands *json.Encoder
	toInit   *os.File
	events   *json.Decoder
	fromInit *os.File
	log      string

	mu      sync.Mutex
	closed  bool
	running map[string]*inside // by name
	ended   func(error)
	reading sync.WaitGroup
}

// inside is a program in the namespaces.
type inside struct {
	log     string
	started chan error
}

// enter makes namespaces. relay is a listener for connections to the address of
// the same name in setup, and ended is called once if a program that was started
// ends, or all do.
func enter(binary string, setup protocol.Setup, relay *net.TCPListener, ended func(error)) (_ *namespaces, err error) {
	text, err := json.Marshal(setup)
	if err != nil {
		return nil, err
	}
	n := &namespaces{cgroup: setup.Cgroup, running: map[string]*inside{}, ended: ended, log: filepath.Join(setup.Dir, "node.log")}
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	listener, err := relay.File()
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	var pipe [3]struct{ read, write *os.File }
	for i := range pipe {
		if pipe[i].read, pipe[i].write, err = os.Pipe(); err != nil {
			return nil, err
		}
	}
	stdin, commands, events := pipe[0], pipe[1], pipe[2]
	n.alive, n.toInit, n.fromInit = stdin.write, commands.write, events.read
	n.commands, n.events = json.NewEncoder(n.toInit), json.NewDecoder(n.fromInit)
	n.keeper = exec.Command(binary, "keep", string(text))
	n.keeper.Stdin, n.keeper.Stdout, n.keeper.Stderr = stdin.read, log, log
	n.keeper.ExtraFiles = []*os.File{commands.read, events.write, listener} // protocol.Commands, Events, Relay
	n.keeper.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = n.keeper.Start()
	// The ends that are theirs, or reading would not end with them.
	for _, f := range []*os.File{stdin.read, commands.read, events.write} {
		_ = f.Close()
	}
	if err != nil {
		for _, f := range []*os.File{n.alive, n.toInit, n.fromInit} {
			_ = f.Close()
		}
		return nil, fmt.Errorf("starting the node's keeper: %w", err)
	}
	if err := n.untilReady(); err != nil {
		return nil, errors.Join(err, n.close())
	}
	n.reading.Go(n.read)
	return n, nil
}

func (n *namespaces) untilReady() error {
	for {
		var e protocol.Event
		if err := n.events.Decode(&e); err != nil {
			return fmt.Errorf("the node's keeper ended (%w); its log is %s", err, n.log)
		}
		switch {
		case e.Failed != "" && e.Missing:
			return fmt.Errorf("%w: %s", ErrUnavailable, e.Failed)
		case e.Failed != "":
			return fmt.Errorf("preparing the node's namespaces: %s", e.Failed)
		case e.Ready:
			return nil
		case e.Init != 0:
			n.init = e.Init
		}
	}
}

// start starts a program and returns when it runs.
func (n *namespaces) start(s protocol.Start) error {
	p := &inside{log: s.Log, started: make(chan error, 1)}
	n.mu.Lock()
	n.running[s.Name] = p
	err := n.commands.Encode(s)
	n.mu.Unlock()
	if err != nil {
		return fmt.Errorf("starting %s in the node: %w", s.Name, err)
	}
	if err := <-p.started; err != nil {
		return fmt.Errorf("starting %s in the node: %w", s.Name, err)
	}
	return nil
}

// read handles what init tells until there is no init.
func (n *namespaces) read() {
	for {
		var e protocol.Event
		err := n.events.Decode(&e)
		n.mu.Lock()
		if err != nil {
			n.over(err)
			n.mu.Unlock()
			return
		}
		p := n.running[e.Started+e.Ended]
		switch {
		case p == nil:
		case e.Failed != "":
			p.started <- errors.New(e.Failed)
		case e.Started != "":
			p.started <- nil
		case !n.closed:
			n.ended(newEarlyEnd(e.Ended, p.log, errors.New(e.Status)))
		}
		n.mu.Unlock()
	}
}

// over is called when init ended.
func (n *namespaces) over(err error) {
	if !n.closed {
		n.ended(fmt.Errorf("the node ended by itself (%w); its log is %s", err, n.log))
	}
	for _, p := range n.running {
		select {
		case p.started <- io.ErrUnexpectedEOF:
		default: // it has started
		}
	}
}

// close ends all that is in the namespaces, and returns when nothing is left.
func (n *namespaces) close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	n.mu.Unlock()
	_, _ = io.WriteString(n.alive, protocol.Orderly) // it may have ended
	_ = n.alive.Close()
	kept := n.keeper.Wait()
	n.reading.Wait()
	_ = n.toInit.Close()
	_ = n.fromInit.Close()
	if kept == nil {
		return nil
	}
	// It did not do its work; somebody may have killed it.
	for deadline := time.Now().Add(patience); !gone(n.init); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("ending the node: %w, and its first process, %d, is still there; its log is %s", kept, n.init, n.log)
		}
	}
	if err := cgroups.Remove(n.cgroup); err != nil {
		return fmt.Errorf("ending the node: %w; its log is %s", err, n.log)
	}
	return nil
}

// gone tells whether a process ended. One that ended and that nobody waited for
// has. That of a PID namespace ends after all others in it.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(stat), ") ")
	return err != nil || strings.HasPrefix(after, "Z")
}
