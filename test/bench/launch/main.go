// Command launch measures what it costs to start a program through the debug
// container's entry point, beside a shell, tini, and the program alone, in the
// same run.
//
// The machine may be shared: each round starts all of them in turn, and what
// counts is the difference to the program alone within a round.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

func main() {
	out := flag.String("o", "", "also write the table to this file")
	rounds := flag.Int("rounds", 200, "how often each is started, in turn")
	sidecar := flag.String("sidecar", "", "the sidecar's program (default: built from ./sidecar)")
	flag.Parse()
	var b strings.Builder
	err := run(io.MultiWriter(&b, os.Stdout), *sidecar, *rounds)
	if *out != "" && err == nil {
		err = os.WriteFile(*out, []byte(b.String()), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, sidecar string, rounds int) error {
	if sidecar == "" {
		dir, err := os.MkdirTemp("", "bench-launch-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if sidecar, err = build(dir); err != nil {
			return err
		}
	}
	subjects, err := subjects(w, sidecar)
	if err != nil {
		return err
	}
	results, err := measure(subjects, rounds)
	if err != nil {
		return err
	}
	for i, s := range subjects {
		if results[i].memory, err = memoryOf(s); err != nil {
			return err
		}
	}
	report(w, subjects, results, rounds)
	return nil
}

// build builds the sidecar as it is released.
func build(dir string) (string, error) {
	path := filepath.Join(dir, "sidecar")
	cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", path, "./sidecar")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building ./sidecar: %w\n%s", err, out)
	}
	return path, nil
}

// subject is a way to start a program.
type subject struct {
	name   string
	prefix []string // before the program
	shell  bool     // which takes the program as one word
}

// command returns the command that starts a program this way.
func (s subject) command(program ...string) []string {
	if s.shell {
		// Without the second command a shell would become the program.
		return append(s.prefix[:len(s.prefix):len(s.prefix)], strings.Join(program, " ")+"; exit $?")
	}
	return append(s.prefix[:len(s.prefix):len(s.prefix)], program...)
}

func subjects(w io.Writer, sidecar string) ([]subject, error) {
	all := []subject{{name: "the program alone"}, {name: "sh -c", prefix: []string{"sh", "-c"}, shell: true}}
	if _, err := exec.LookPath("tini"); err == nil {
		all = append(all, subject{name: "tini -s --", prefix: []string{"tini", "-s", "--"}}) // -s: it is not process 1 here
	} else {
		fmt.Fprintln(w, "tini is not here (Debian package tini)")
	}
	all = append(all, subject{name: "sidecar debug --", prefix: []string{sidecar, "debug", "--"}})
	for _, s := range all {
		args := s.command("/bin/true")
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out))
		}
	}
	return all, nil
}

func report(w io.Writer, subjects []subject, results []result, rounds int) {
	fmt.Fprintf(w, "starting /bin/true and waiting for its end; %s, %d processors, %s; medians of %d rounds in turn\n\n",
		runtime.Version(), runtime.NumCPU(), runtime.GOARCH, rounds)
	fmt.Fprintf(w, "%-20s %9s %9s %9s %9s %9s %9s\n", "", "wall ms", "adds ms", "p95 ms", "cpu ms", "RSS MiB", "own MiB")
	for i, s := range subjects {
		r := results[i]
		adds := differences(r.wall, results[0].wall)
		fmt.Fprintf(w, "%-20s %9.2f %9.2f %9.2f %9.2f", s.name, quantile(r.wall, .5), quantile(adds, .5), quantile(adds, .95), quantile(r.cpu, .5))
		if s.prefix == nil {
			fmt.Fprintf(w, " %9s %9s\n", "", "")
			continue
		}
		fmt.Fprintf(w, " %9.1f %9.1f\n", mebibytes(r.memory.resident), mebibytes(r.memory.own))
	}
	fmt.Fprintf(w, "\nadds: wall time over the program alone in the same round (median, 95th percentile). RSS: resident memory of what\n"+
		"waits for the program; own: that part of it which no file backs.\n")
	last := len(subjects) - 1
	fmt.Fprintf(w, "start adds %.1f ms (aim: at most 20)\n", quantile(differences(results[last].wall, results[0].wall), .5))
}
