package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/debugsidecar/debugsidecar/test/cluster"
)

// show prints, and counts what did not come true.
type show struct {
	root   string
	failed int

	mu  sync.Mutex // progress comes from another goroutine
	out io.Writer
}

func (s *show) printf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, format, args...)
}

func (s *show) heading(text string)  { s.printf("\n== %s\n\n", text) }
func (s *show) say(text string)      { s.printf("   %s\n", text) }
func (s *show) progress(text string) { s.printf("   .. %s\n", text) }
func (s *show) typed(command string) { s.printf("   $ %s\n", command) }

// quote prints a program's output.
func (s *show) quote(text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		s.printf("   | %s", line)
	}
}

// claim prints what is to be true, and whether it is.
func (s *show) claim(ok bool, format string, args ...any) {
	mark := "yes"
	if !ok {
		mark = "NO "
		s.failed++
	}
	s.printf("   [%s] %s\n", mark, fmt.Sprintf(format, args...))
}

const manifests = "test/demo/manifests/"

// offline shows the job with the command line alone.
func (s *show) offline(ctx context.Context) error {
	plugin := filepath.Join(s.root, "bin", "kubectl-debugsidecar")
	s.heading("Offline: what a label brings")
	s.typed("kubectl-debugsidecar inject -f " + manifests + "pod.yaml")
	injected, err := s.command(ctx, plugin, "inject", "-f", manifests+"pod.yaml")
	if err != nil {
		return fmt.Errorf("inject: %w: %s", err, injected)
	}
	s.quote(injected)
	s.claim(strings.Count(injected, "name: debugsidecar-video-probe\n") == 1, "the pod has its sidecar")

	again := exec.CommandContext(ctx, plugin, "inject", "-f", "-")
	first, err := exec.CommandContext(ctx, plugin, "inject", "-f", manifests+"pod.yaml").Output()
	if err != nil {
		return fmt.Errorf("inject: %w", err)
	}
	again.Stdin = strings.NewReader(string(first))
	second, err := again.Output()
	if err != nil {
		return fmt.Errorf("inject, the second time: %w", err)
	}
	s.claim(string(first) == string(second), "injected again, it stays as it is")

	s.heading("Offline: what a policy says")
	s.typed("kubectl-debugsidecar check --level baseline -f " + manifests + "sysadmin.yaml")
	checked, err := s.command(ctx, plugin, "check", "--level", "baseline", "-f", manifests+"sysadmin.yaml")
	s.quote(checked)
	s.claim(err != nil && strings.Contains(checked, "SYS_ADMIN"), "SYS_ADMIN is denied, and the message says what to change")
	return nil
}

func (s *show) goodbye(c *cluster.Cluster) {
	s.heading("It stays up until Ctrl-C. In another terminal:")
	s.printf("export KUBECONFIG=%s PATH=%s:%s:$PATH\n", c.Kubeconfig, c.Bin, filepath.Join(s.root, "bin"))
	s.printf("kubectl get pods -A\n")
	s.printf("kubectl debugsidecar status -A\n")
	s.printf("kubectl -n cameras run mine --image=registry.example/mine:1 --labels=debugsidecar.io/inject=debug --dry-run=server -o yaml\n")
}
