// Package node installs debugsidecar as a user would, on a real node: images in
// its container runtime, the chart by Helm, the webhook in the cluster behind its
// Service, called by the API server. Tests and the demo stand on it.
package node

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/debugsidecar/debugsidecar/test/cluster"
)

// Where the chart is installed, and under which name.
const (
	Release   = "debugsidecar"
	Namespace = "debugsidecar-system"
)

// AppImage is the image of test/node/app.
const AppImage = "debugsidecar.example/app:1"

//go:embed manifests
var manifests embed.FS

// Options say what is installed.
type Options struct {
	Root   string   // of this repository
	Values string   // YAML, for the chart
	Dir    string   // an existing directory, for files
	Images []string // besides the webhook's and the sidecar's: debug
	Log    func(line string)
	// Prepare is called before the chart is installed. May be nil.
	Prepare func(context.Context, *cluster.Cluster) error
}

// Node is a cluster with a node and the chart in it.
type Node struct {
	*cluster.Cluster
	o Options
}

// Start starts the cluster, builds the images, and installs the chart. It returns
// when the webhook's pods are ready. Where there can be no node, the error wraps
// cluster.ErrUnavailable.
func Start(ctx context.Context, o Options) (*Node, error) {
	if o.Log == nil {
		o.Log = func(string) {}
	}
	c, err := cluster.Start(ctx, cluster.Options{Node: true, Log: o.Log})
	if err != nil {
		return nil, err
	}
	n := &Node{c, o}
	if err := n.fill(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return n, nil
}

func (n *Node) fill(ctx context.Context) error {
	archives, err := buildImages(ctx, n.o)
	if err != nil {
		return err
	}
	begin := time.Now()
	for _, archive := range archives {
		if err := n.LoadImage(ctx, archive); err != nil {
			return err
		}
	}
	n.o.Log(fmt.Sprintf("the node has %d images after %.1f s", len(archives), time.Since(begin).Seconds()))
	if _, _, err := n.Kubectl(ctx, "", "create", "namespace", Namespace); err != nil {
		return err
	}
	if n.o.Prepare != nil {
		if err := n.o.Prepare(ctx, n.Cluster); err != nil {
			return err
		}
	}
	begin = time.Now()
	if err := n.Upgrade(ctx, n.o.Values); err != nil {
		return err
	}
	n.o.Log(fmt.Sprintf("helm installed the chart, and two webhook pods were ready, in %.1f s", time.Since(begin).Seconds()))
	return nil
}

// Upgrade installs or upgrades the release and waits until its pods are ready
// and the webhook is known to the API server.
func (n *Node) Upgrade(ctx context.Context, values string, args ...string) error {
	file := filepath.Join(n.o.Dir, "values.yaml")
	if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
		return fmt.Errorf("writing the values: %w", err)
	}
	all := append([]string{"upgrade", "--install", Release, filepath.Join(n.o.Root, "charts", "debugsidecar"),
		"--namespace", Namespace, "--values", file}, args...)
	if _, _, err := n.Helm(ctx, "", all...); err != nil {
		return err
	}
	return n.Installed(ctx)
}

// Installed waits until the webhook can be called.
func (n *Node) Installed(ctx context.Context) error {
	if _, _, err := n.Kubectl(ctx, "", "--namespace", Namespace, "rollout", "status", "deployment/"+Release, "--timeout=90s"); err != nil {
		return err
	}
	return n.Until(ctx, "the API server trusts the webhook", func(ctx context.Context) error {
		for _, kind := range []string{"mutating", "validating"} {
			bundle, _, err := n.Kubectl(ctx, "", "get", kind+"webhookconfiguration", Release, "-o", "jsonpath={.webhooks[*].clientConfig.caBundle}")
			if err != nil {
				return err
			}
			if strings.TrimSpace(bundle) == "" {
				return errors.New("no caBundle in the " + kind + " configuration")
			}
		}
		return nil
	})
}

// Manifest returns a manifest of this package with its placeholders replaced, as
// in "NAME", value.
func Manifest(name string, replace ...string) (string, error) {
	text, err := manifests.ReadFile("manifests/" + name)
	if err != nil {
		return "", err
	}
	return strings.NewReplacer(replace...).Replace(string(text)), nil
}

// Until calls try until it returns nil, for a minute at most.
func (n *Node) Until(ctx context.Context, what string, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
