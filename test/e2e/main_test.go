// Package e2e shows what users rely on through a real API server: with the
// chart installed by Helm and the webhook running with the chart's own rights.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/debugsidecar/debugsidecar/test/cluster"
	"github.com/debugsidecar/debugsidecar/test/install"
)

// env is what all tests share. A test that disturbs others runs alone: no test
// here is parallel.
var env struct {
	cluster      *cluster.Cluster
	installation *install.Installation
	client       *kubernetes.Clientset
	warnings     *warnings
	dir          string
}

// values of the chart, unless a test upgrades it.
const values = `
grants:
- namespace: granted
  profiles: [video-probe]
hostKernelRuntimeClasses: [runc]
`

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		fmt.Println("e2e needs a control plane; -short leaves it out")
		return
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Minute)
	defer cancel()
	var err error
	if env.dir, err = os.MkdirTemp("", "debugsidecar-e2e-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(env.dir)
	binary, err := buildWebhook(ctx)
	if err != nil {
		return 0, err
	}
	audit, err := auditArgs()
	if err != nil {
		return 0, err
	}
	env.cluster, err = cluster.Start(ctx, cluster.Options{
		// Plug-ins that change what the webhook rendered.
		APIServerArgs: append(audit, "--enable-admission-plugins=AlwaysPullImages"),
		Log:           func(line string) { fmt.Fprintln(os.Stderr, "..", line) },
	})
	if err != nil {
		return 0, err
	}
	defer env.cluster.Stop() //nolint:errcheck // it is thrown away
	if err := connect(); err != nil {
		return 0, err
	}
	env.installation, err = install.Install(ctx, env.cluster, install.Options{
		Binary: binary,
		Chart:  "../../charts/debugsidecar",
		Dir:    env.dir,
		Values: values,
		Args:   []string{"--ca-propagation=1s"},
	})
	if err != nil {
		return 0, err
	}
	defer env.installation.Close()
	for range 2 {
		if _, err := env.installation.StartReplica(ctx); err != nil {
			return 0, err
		}
	}
	return m.Run(), nil
}

// buildWebhook builds the very binary that the chart's image holds: static, and
// without the race detector, which the tests of the packages have.
func buildWebhook(ctx context.Context) (string, error) {
	binary := filepath.Join(env.dir, "webhook")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "../../webhook")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the webhook: %w\n%s", err, out)
	}
	return binary, nil
}

func connect() error {
	env.warnings = &warnings{}
	config := rest.CopyConfig(env.cluster.Config)
	config.WarningHandler = env.warnings
	var err error
	env.client, err = kubernetes.NewForConfig(config)
	return err
}

// namespace makes a namespace for one test, which is named after it.
func namespace(t *testing.T, labels map[string]string) string {
	t.Helper()
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	if len(name) > 50 {
		name = name[:50]
	}
	return namespaceNamed(t, strings.Trim(name, "-"), labels)
}

func namespaceNamed(t *testing.T, name string, labels map[string]string) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	if _, err := env.client.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatalf("creating namespace %s: %v", name, err)
	}
	t.Cleanup(func() {
		_ = env.client.CoreV1().Namespaces().Delete(context.Background(), name, metav1.DeleteOptions{})
	})
	eventually(t, "the namespace's service account", func() error {
		_, err := env.client.CoreV1().ServiceAccounts(name).Get(t.Context(), "default", metav1.GetOptions{})
		return err
	})
	return name
}

// eventually waits until check returns nil.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
