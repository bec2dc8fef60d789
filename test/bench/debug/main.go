// Command debug measures the time from Enter to the prompt in a pod: of kubectl
// debug and of kubectl debugsidecar debug, in turn, each in a pod of its own on
// one node that has the image, in a terminal of their own.
//
// The machine may be shared: what counts is the ratio within a round.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/debugsidecar/debugsidecar/test/debug"
	"github.com/debugsidecar/debugsidecar/test/node"
)

const (
	namespace = "bench"
	// settled is how long a pod has run before it is debugged. A kubelet looks at a pod
	// again when its runtime was listed since the last time, once a second: who comes
	// right after the pod's start waits for that, whatever the program
	// (pkg/kubelet/pod_workers.go, GetNewerThan).
	settled = 5 * time.Second
	// silence is after how long a person presses Enter to see whether there is a
	// prompt.
	silence  = 5 * time.Second
	patience = 90 * time.Second
)

// prompt is bash's.
var prompt = regexp.MustCompile(`bash-5\.\d+[$#] |[\w.-]+@[\w.-]+:[^\r\n]*[$#] `)

func main() {
	out := flag.String("o", "", "also write the table to this file")
	rounds := flag.Int("rounds", 10, "how often each is started, in turn")
	root := flag.String("root", ".", "this repository")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var b strings.Builder
	err := run(ctx, io.MultiWriter(&b, os.Stdout), *root, *rounds)
	if *out != "" && err == nil {
		err = os.WriteFile(*out, []byte(b.String()), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// subject is a way to get a prompt.
type subject struct {
	name  string
	argv  []string // without the pod
	after []string // the pod
	times []float64
	typed int // how often it took an Enter more
}

func run(ctx context.Context, w io.Writer, root string, rounds int) (err error) {
	if root, err = filepath.Abs(root); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-debug-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l, err := debug.Start(ctx, root, dir, func(line string) { fmt.Fprintln(os.Stderr, line) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Stop()) }()
	if err := l.Namespace(ctx, namespace, nil, debug.App("first", "work", "--for=1h"), "first"); err != nil {
		return err
	}
	// What the plugin takes by itself.
	image, _, err := l.Kubectl(ctx, "", "--namespace", node.Namespace, "get", "configmap", node.Release+"-debug", "-o", "jsonpath={.data.image}")
	if err != nil {
		return err
	}
	kubectl := []string{filepath.Join(l.Bin, "kubectl"), "--kubeconfig", l.Kubeconfig, "--namespace", namespace, "debug"}
	plugin := []string{l.Plugin, "debug", "--kubeconfig", l.Kubeconfig, "--namespace", namespace}
	shell := []string{"--", "bash", "--norc"}
	subjects := []*subject{
		{name: "kubectl debug", argv: append(kubectl, "-it", "--image", image, "--target=app"), after: shell},
		{name: "kubectl debugsidecar debug", argv: plugin, after: shell},
		{name: "the same, with the greeting", argv: plugin},
	}
	// The first of each is not counted: it reads the programs from the disk.
	for round := range rounds + 1 {
		var pods []string
		for i := range subjects {
			pods = append(pods, fmt.Sprintf("app-%d-%d", round, i))
		}
		if err := start(ctx, l, pods); err != nil {
			return err
		}
		for turn := range subjects {
			i := (turn + round) % len(subjects) // nobody is always the first
			took, typed, err := subjects[i].once(ctx, pods[i])
			if err != nil {
				return fmt.Errorf("%s: %w", subjects[i].name, err)
			}
			if round > 0 {
				subjects[i].times = append(subjects[i].times, took.Seconds())
				if typed {
					subjects[i].typed++
				}
			}
			fmt.Fprintf(os.Stderr, "round %d: %s: %.2f s\n", round, subjects[i].name, took.Seconds())
		}
		if _, _, err := l.Kubectl(ctx, "", append([]string{"--namespace", namespace, "delete", "pod", "--force", "--grace-period=0", "--wait=false"}, pods...)...); err != nil {
			return err
		}
	}
	report(w, subjects, rounds)
	return nil
}

// start starts pods, and waits until they have run for a while.
func start(ctx context.Context, l *debug.Lab, pods []string) error {
	for _, pod := range pods {
		if _, _, err := l.Kubectl(ctx, debug.App(pod, "work", "--for=1h"), "apply", "--namespace", namespace, "-f", "-"); err != nil {
			return err
		}
	}
	for _, pod := range pods {
		if _, _, err := l.Kubectl(ctx, "", "--namespace", namespace, "wait", "--for=condition=Ready", "pod/"+pod, "--timeout=60s"); err != nil {
			return err
		}
	}
	select {
	case <-time.After(settled):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// once starts it, and returns how long it took until there was a prompt, and
// whether that took an Enter.
func (s *subject) once(ctx context.Context, pod string) (time.Duration, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	t, err := open()
	if err != nil {
		return 0, false, err
	}
	defer t.Close()
	argv := append(append(slices.Clone(s.argv), pod), s.after...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = t.slave, t.slave, t.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, false, err
	}
	defer func() {
		_, _ = t.master.WriteString("exit\r")
		end := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		defer end.Stop()
		go func() { _, _ = io.Copy(io.Discard, t.master) }()
		_ = cmd.Wait()
	}()
	chunks := make(chan []byte)
	go func() {
		defer close(chunks)
		for {
			b := make([]byte, 4096)
			n, err := t.master.Read(b)
			if err != nil {
				return
			}
			select {
			case chunks <- b[:n]:
			case <-ctx.Done():
				return
			}
			if prompt.Match(b[:n]) {
				return
			}
		}
	}()
	var screen []byte
	typed := false
	for {
		select {
		case b, ok := <-chunks:
			screen = append(screen, b...)
			if prompt.Match(screen) {
				return time.Since(begin), typed, nil
			}
			if !ok {
				return 0, false, fmt.Errorf("it ended without a prompt:\n%s", screen)
			}
		case <-time.After(silence):
			// A person who sees nothing happen presses Enter.
			if _, err := t.master.WriteString("\r"); err != nil {
				return 0, false, err
			}
			typed = true
		case <-ctx.Done():
			return 0, false, fmt.Errorf("no prompt after %s:\n%s", patience, screen)
		}
	}
}

func report(w io.Writer, subjects []*subject, rounds int) {
	fmt.Fprintf(w, "seconds from Enter to the prompt, image present, %d rounds in turn\n\n", rounds)
	fmt.Fprintf(w, "%-30s %8s %8s %8s   %s\n", "", "min", "median", "max", "rounds that took another Enter")
	for _, s := range subjects {
		fmt.Fprintf(w, "%-30s %8.2f %8.2f %8.2f   %d\n", s.name, slices.Min(s.times), quantile(s.times, .5), slices.Max(s.times), s.typed)
	}
	fmt.Fprintln(w)
	for _, s := range subjects[1:] {
		var ratios []float64
		for i := range s.times {
			ratios = append(ratios, s.times[i]/subjects[0].times[i])
		}
		fmt.Fprintf(w, "ratio %s / %s: %.2f (quartiles %.2f to %.2f)\n", s.name, subjects[0].name, quantile(ratios, .5), quantile(ratios, .25), quantile(ratios, .75))
	}
}

func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(math.Round(q*float64(len(sorted)-1)))]
}
