package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// programTime returns how long the BPF program that runs once for each of n
// operations takes for one, in ns, as the kernel measures it (its clock's
// reading included).
func programTime(n int, op func() error) (float64, error) {
	off, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		return 0, fmt.Errorf("statistics of BPF programs: %w", err)
	}
	defer off.Close()
	before, err := runs()
	if err != nil {
		return 0, err
	}
	if err := op(); err != nil {
		return 0, err
	}
	after, err := runs()
	if err != nil {
		return 0, err
	}
	var time time.Duration
	for id, a := range after {
		if b := before[id]; a.RunCount-b.RunCount >= uint64(n) {
			time += a.Runtime - b.Runtime
		}
	}
	return float64(time.Nanoseconds()) / float64(n), nil
}

// runs returns the statistics of all programs of the machine.
func runs() (map[ebpf.ProgramID]ebpf.ProgramStats, error) {
	all := map[ebpf.ProgramID]ebpf.ProgramStats{}
	for id := ebpf.ProgramID(0); ; {
		var err error
		if id, err = ebpf.ProgramGetNextID(id); errors.Is(err, os.ErrNotExist) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		program, err := ebpf.NewProgramFromID(id)
		if errors.Is(err, os.ErrNotExist) {
			continue // it is gone by now
		}
		if err != nil {
			return nil, err
		}
		stats, err := program.Stats()
		program.Close()
		if err != nil {
			return nil, err
		}
		all[id] = *stats
	}
}
