package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/debugsidecar/debugsidecar/test/cluster/build"
)

// Kubectl runs kubectl as the cluster's administrator. Where it exits with
// another status than 0, err wraps an *exec.ExitError.
func (c *Cluster) Kubectl(ctx context.Context, stdin string, args ...string) (stdout, stderr string, err error) {
	return c.tool(ctx, filepath.Join(c.Bin, "kubectl"), stdin, args)
}

// Helm runs Helm as Kubectl runs kubectl. The first call builds it if the cache
// hasn't got it.
func (c *Cluster) Helm(ctx context.Context, stdin string, args ...string) (stdout, stderr string, err error) {
	helm, err := c.helm.get(ctx, c.log)
	if err != nil {
		return "", "", err
	}
	return c.tool(ctx, helm, stdin, args)
}

// helm finds Helm, once.
type helm struct {
	mu   sync.Mutex
	path string
}

func (h *helm) get(ctx context.Context, log func(string)) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.path != "" {
		return h.path, nil
	}
	path, err := build.Helm(ctx, log)
	h.path = path
	return path, err
}

// tool runs a program that uses the cluster, and keeps it away from the settings
// and caches of the person who runs it.
func (c *Cluster) tool(ctx context.Context, path, stdin string, args []string) (string, string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "HELM_") || strings.HasPrefix(v, "KUBE")
	})
	cmd.Env = append(cmd.Env,
		"KUBECONFIG="+c.Kubeconfig,
		"KUBECACHEDIR="+filepath.Join(c.dir, "kubectl"),
		"KUBERC=off",
		"HELM_CACHE_HOME="+filepath.Join(c.dir, "helm", "cache"),
		"HELM_CONFIG_HOME="+filepath.Join(c.dir, "helm", "config"),
		"HELM_DATA_HOME="+filepath.Join(c.dir, "helm", "data"),
	)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), stderr.String(), fmt.Errorf("%s %s: %w: %s",
			filepath.Base(path), strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), stderr.String(), nil
}
