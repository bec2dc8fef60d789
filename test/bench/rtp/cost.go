package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// tick is the unit of /proc/stat: USER_HZ is 100 everywhere.
const tick = 10 * time.Millisecond

var began = time.Now()

// processors returns how long all processors together were busy, and how long
// the machine below took them away. Busy is what is left of the time that passed
// without idle: the kernel measures idle time exactly, and the rest by looking
// at each timer tick, which a load with a pace of its own can hide from.
func processors() (busy, stole time.Duration, err error) {
	text, err := os.ReadFile("/proc/stat")
	passed := time.Since(began)
	if err != nil {
		return 0, 0, err
	}
	line, rest, _ := bytes.Cut(text, []byte("\n"))
	// user nice system idle iowait irq softirq steal (proc_stat(5))
	fields := strings.Fields(string(line))
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	var n [8]int64
	for i := range n {
		if n[i], err = strconv.ParseInt(fields[i+1], 10, 64); err != nil {
			return 0, 0, fmt.Errorf("/proc/stat: %w", err)
		}
	}
	count := bytes.Count(rest, []byte("\ncpu")) + 1 // the first follows the cut
	idle, iowait, steal := time.Duration(n[3])*tick, time.Duration(n[4])*tick, time.Duration(n[7])*tick
	return passed*time.Duration(count) - idle - iowait - steal, steal, nil
}

// process returns the processor time of this process. A packet that is sent over
// a veth pair is received within the sender's system call, and that is charged to
// the sender, unless the kernel keeps interrupts' time apart
// (CONFIG_IRQ_TIME_ACCOUNTING).
func process() time.Duration {
	var usage unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &usage) // this never fails
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// ran adds up what the kernel's statistics say of this process's tap. Its
// programs are known by their names.
func ran(r *result) error {
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("listing programs: %w", err)
		}
		id = next
		program, err := ebpf.NewProgramFromID(id)
		if err != nil {
			continue // gone in the meantime
		}
		info, err := program.Info()
		stats, statsErr := program.Stats()
		program.Close()
		if err := errors.Join(err, statsErr); err != nil {
			return fmt.Errorf("statistics of program %d: %w", id, err)
		}
		if strings.HasPrefix(info.Name, "tap_") {
			r.programs += stats.Runtime
			r.runs += stats.RunCount
		}
	}
}
