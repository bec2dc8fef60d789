// Package debug is what tests of `kubectl debugsidecar debug` stand on: a real
// node with the images and the chart, and a terminal in which a command is driven
// as a person would.
package debug

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/debugsidecar/debugsidecar/images/build"
	"github.com/debugsidecar/debugsidecar/test/node"
)

// Lab is a cluster with a node in which there is something to debug.
type Lab struct {
	// Kubectl runs kubectl as an administrator.
	Kubectl func(ctx context.Context, stdin string, args ...string) (stdout, stderr string, err error)
	// Kubeconfig is an administrator's.
	Kubeconfig string
	// Plugin is the program's path, Bin the directory of kubectl of the same version
	// as the cluster.
	Plugin, Bin string
	stop        func() error
}

// Start starts one. Where there can be no node, the error wraps
// cluster.ErrUnavailable.
func Start(ctx context.Context, root, dir string, log func(string)) (*Lab, error) {
	n, err := node.Start(ctx, node.Options{Root: root, Dir: dir, Images: []string{build.Debug}, Log: log})
	if err != nil {
		return nil, err
	}
	return &Lab{n.Kubectl, n.Kubeconfig, filepath.Join(root, "bin", "kubectl-debugsidecar"), n.Bin, n.Stop}, nil
}

// Stop stops it.
func (l *Lab) Stop() error { return l.stop() }

// App is the manifest of a pod with the app's container, which runs this.
func App(name string, args ...string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %s, labels: {app: %s}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: app, image: %q, imagePullPolicy: IfNotPresent, args: ["%s"]}
`, name, name, node.AppImage, strings.Join(args, `", "`))
}

// Namespace makes a namespace with these labels, and pods of these manifests in
// it, and waits until those run that are to be ready.
func (l *Lab) Namespace(ctx context.Context, name string, labels []string, manifest string, ready ...string) error {
	if _, _, err := l.Kubectl(ctx, "", "create", "namespace", name); err != nil {
		return err
	}
	if len(labels) > 0 {
		if _, _, err := l.Kubectl(ctx, "", append([]string{"label", "namespace", name}, labels...)...); err != nil {
			return err
		}
	}
	if _, _, err := l.Kubectl(ctx, manifest, "apply", "--namespace", name, "-f", "-"); err != nil {
		return err
	}
	for _, pod := range ready {
		if _, _, err := l.Kubectl(ctx, "", "--namespace", name, "wait", "--for=condition=Ready", "pod/"+pod, "--timeout=120s"); err != nil {
			return err
		}
	}
	return nil
}

// User makes a service account in a namespace with these cluster roles there, and
// nothing else, and returns its kubeconfig.
func (l *Lab) User(ctx context.Context, dir, namespace, name string, roles ...string) (string, error) {
	if _, _, err := l.Kubectl(ctx, "", "--namespace", namespace, "create", "serviceaccount", name); err != nil {
		return "", err
	}
	for _, role := range roles {
		if _, _, err := l.Kubectl(ctx, "", "--namespace", namespace, "create", "rolebinding", name+"-"+role,
			"--clusterrole="+role, "--serviceaccount="+namespace+":"+name); err != nil {
			return "", err
		}
	}
	token, _, err := l.Kubectl(ctx, "", "--namespace", namespace, "create", "token", name, "--duration=2h")
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(l.Kubeconfig)
	if err != nil {
		return "", fmt.Errorf("reading the kubeconfig: %w", err)
	}
	file := filepath.Join(dir, name+".kubeconfig")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return "", fmt.Errorf("writing a kubeconfig: %w", err)
	}
	var errs []error
	for _, args := range [][]string{
		{"set-credentials", name, "--token=" + strings.TrimSpace(token)},
		{"set-context", "--current", "--user=" + name},
	} {
		_, _, err := l.Kubectl(ctx, "", append([]string{"config", "--kubeconfig=" + file}, args...)...)
		errs = append(errs, err)
	}
	return file, errors.Join(errs...)
}
