package debug

import (
	"os"
	"syscall"
)

// failure is an error of a command that was called rightly.
type failure struct{ error }

// Error is the text, fit for a terminal.
func (f failure) Error() string { return lines(f.error.Error()) }

// ExitCode is the command's exit status.
func (failure) ExitCode() int { return 1 }

func (f failure) Unwrap() error { return f.error }

// exitStatus is an end about which everything was printed.
type exitStatus int

func (exitStatus) Error() string { return "" }

// ExitCode is the command's exit status.
func (e exitStatus) ExitCode() int { return int(e) }

// signalled is the cause of a context that a signal ended.
type signalled struct{ signal os.Signal }

func (s *signalled) Error() string { return "left by a signal: " + s.signal.String() }

// status is as shells have it.
func (s *signalled) status() int {
	if n, ok := s.signal.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return 1
}
