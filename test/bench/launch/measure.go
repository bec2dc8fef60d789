package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// result is what was measured of a subject, a value for each round.
type result struct {
	wall, cpu []float64 // ms
	memory    memory
}

// memory is that of a process, in bytes.
type memory struct{ resident, own int64 }

func measure(subjects []subject, rounds int) ([]result, error) {
	results := make([]result, len(subjects))
	for range rounds {
		for i, s := range subjects {
			args := s.command("/bin/true")
			cmd := exec.Command(args[0], args[1:]...)
			begin := time.Now()
			if err := cmd.Run(); err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			results[i].wall = append(results[i].wall, milliseconds(time.Since(begin)))
			results[i].cpu = append(results[i].cpu, milliseconds(cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()))
		}
	}
	return results, nil
}

// memoryOf returns the memory of what waits while a program runs: the program
// is cat, which tells by a line that it is there and ends with its input.
func memoryOf(s subject) (m memory, err error) {
	args := s.command("/bin/cat")
	cmd := exec.Command(args[0], args[1:]...)
	runtime.LockOSThread() // Pdeathsig is about the thread
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		return m, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return m, err
	}
	if err := cmd.Start(); err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, in.Close(), cmd.Wait()) }()
	if _, err := in.Write([]byte("\n")); err != nil {
		return m, err
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return m, fmt.Errorf("%s: %w", s.name, err)
	}
	return rollup(cmd.Process.Pid)
}

func rollup(pid int) (m memory, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kilobytes, _ := strconv.ParseInt(fields[1], 10, 64) // the first line has none
		switch fields[0] {
		case "Rss:":
			m.resident = kilobytes << 10
		case "Anonymous:":
			m.own = kilobytes << 10
		}
	}
	return m, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func mebibytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func differences(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] - b[i]
	}
	return out
}

// quantile returns the value that a share of the values is at most.
func quantile(values []float64, share float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}
