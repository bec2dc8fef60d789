// Package install installs the Helm chart into a cluster without nodes and runs
// the webhook beside it, as the chart's Deployment would: with the chart's
// service account, its ConfigMaps as files, and behind a balancer that, like a
// Service, sends connections to ready replicas only.
package install

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/debugsidecar/debugsidecar/test/cluster"
)

// Options say what is installed. Release and Namespace default to debugsidecar
// and debugsidecar-system.
type Options struct {
	Binary    string // of the webhook
	Chart     string // directory of the chart
	Release   string
	Namespace string
	Values    string   // YAML, on top of what a webhook outside the cluster needs
	Args      []string // for each replica, after the usual ones
	Dir       string   // for files; it has to exist
	Log       func(line string)
}

// Installation is an installed chart and the replicas that serve it.
type Installation struct {
	Namespace string

	options    Options
	cluster    *cluster.Cluster
	balancer   *balancer
	kubeconfig string

	mu       sync.Mutex
	replicas []*Replica
	started  int
}

// Install installs the chart; no replica runs yet.
func Install(ctx context.Context, c *cluster.Cluster, o Options) (*Installation, error) {
	if o.Release == "" {
		o.Release = "debugsidecar"
	}
	if o.Namespace == "" {
		o.Namespace = "debugsidecar-system"
	}
	if o.Log == nil {
		o.Log = func(string) {}
	}
	i := &Installation{Namespace: o.Namespace, options: o, cluster: c}
	var err error
	if i.balancer, err = listen(i.Replicas); err != nil {
		return nil, err
	}
	if err := i.Upgrade(ctx, o.Values); err != nil {
		i.balancer.close()
		return nil, err
	}
	if i.kubeconfig, err = i.writeKubeconfig(ctx); err != nil {
		i.balancer.close()
		return nil, err
	}
	return i, nil
}

// Upgrade installs or upgrades the release with other values, and brings its
// ConfigMaps to the replicas.
func (i *Installation) Upgrade(ctx context.Context, values string) error {
	own := filepath.Join(i.options.Dir, "values.yaml")
	if err := os.WriteFile(own, []byte(values), 0o600); err != nil {
		return fmt.Errorf("writing the values: %w", err)
	}
	_, _, err := i.cluster.Helm(ctx, "", "upgrade", "--install", i.options.Release, i.options.Chart,
		"--namespace", i.Namespace, "--create-namespace", "--values", own,
		"--set", "external.url="+i.URL())
	if err != nil {
		return err
	}
	return i.syncConfigMaps(ctx)
}

// URL is where API servers reach the webhook.
func (i *Installation) URL() string { return "https://localhost:" + i.balancer.port() }

// Close stops all replicas, without waiting for what is in flight, and the
// balancer. The release stays.
func (i *Installation) Close() {
	for _, r := range i.Replicas() {
		r.Kill()
	}
	i.balancer.close()
}

// Replicas returns all that were started, also those that ended.
func (i *Installation) Replicas() []*Replica {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.replicas)
}

// writeKubeconfig gives the replicas the rights of the chart's service account,
// and no others.
func (i *Installation) writeKubeconfig(ctx context.Context) (string, error) {
	token, _, err := i.cluster.Kubectl(ctx, "", "create", "token", i.options.Release, "--namespace", i.Namespace, "--duration=24h")
	if err != nil {
		return "", err
	}
	path := filepath.Join(i.options.Dir, "webhook.kubeconfig")
	ca := filepath.Join(i.options.Dir, "api-ca.crt")
	if err := os.WriteFile(ca, i.cluster.Config.CAData, 0o600); err != nil {
		return "", fmt.Errorf("writing the API server's CA: %w", err)
	}
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: webhook, user: {token: %q}}]
contexts: [{name: webhook, context: {cluster: c, user: webhook}}]
current-context: webhook
`, i.cluster.Config.Host, ca, strings.TrimSpace(token))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("writing the webhook's kubeconfig: %w", err)
	}
	return path, nil
}

// waitUntil calls done until it says so, or ctx ends.
func waitUntil(ctx context.Context, done func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// Running returns the replicas that did not end.
func (i *Installation) Running() []*Replica {
	return slices.DeleteFunc(i.Replicas(), (*Replica).hasExited)
}
