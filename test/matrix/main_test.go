// Package matrix shows through a real API server that the policies can't be
// walked around: each rule at each way in and in each place of a pod, which is
// the table in docs/matrix.md; what someone tries who wants a grant; and that
// nothing which is there already stands in anyone's way.
//
// The chart is installed by Helm and the webhook runs with the chart's own
// rights. There is no controller manager: nothing here waits for one.
package matrix

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/debugsidecar/debugsidecar/test/cluster"
	"github.com/debugsidecar/debugsidecar/test/install"
)

var env struct {
	cluster      *cluster.Cluster
	installation *install.Installation
	client       *kubernetes.Clientset
	dir          string
}

// The namespaces that have a grant. Those of the matrix have one so that who
// enters a container there is asked, too.
const (
	granted = "granted"
	values  = `
grants:
- {namespace: granted, profiles: [video-probe, full], exec: {users: [ada], groups: [node-admins]}}
- {namespace: matrix-baseline, profiles: [video-probe]}
- {namespace: matrix-restricted, profiles: [video-probe]}
policy:
  parameters:
    capabilities: {images: {registry.example/net/: [NET_RAW]}}
    namespaces: {matrix-baseline: {selinux: {range: "s0:c1,c2"}}}
`
)

const auditPolicy = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
  namespaces: [granted]
  resources: [{group: "", resources: [pods/exec, pods/attach, pods/ephemeralcontainers]}]
- level: None
`

func TestMain(m *testing.M) {
	flag.Parse()
	log.SetLogger(logr.Discard()) // what clients log is for people who run them
	if testing.Short() {
		fmt.Println("matrix needs a control plane; -short leaves it out")
		return
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "matrix:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	var err error
	if env.dir, err = os.MkdirTemp("", "debugsidecar-matrix-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(env.dir)
	policy := filepath.Join(env.dir, "audit.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return 0, err
	}
	built := make(chan error, 1)
	binary := filepath.Join(env.dir, "webhook")
	go func() { built <- buildWebhook(ctx, binary) }()
	env.cluster, err = cluster.Start(ctx, cluster.Options{
		Components: []cluster.Component{},
		APIServerArgs: []string{
			"--enable-admission-plugins=AlwaysPullImages", // with ServiceAccount and LimitRanger, which are on by default
			"--audit-policy-file=" + policy,
			"--audit-log-path=" + auditLog(),
		},
		Log: func(line string) { fmt.Fprintln(os.Stderr, "..", line) },
	})
	if err := errors.Join(<-built, err); err != nil {
		return 0, err
	}
	defer env.cluster.Stop() //nolint:errcheck // it is thrown away
	config := patient(env.cluster.Config)
	config.WarningHandler = rest.NoWarnings{}
	if env.client, err = kubernetes.NewForConfig(config); err != nil {
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
	if _, err := env.installation.StartReplica(ctx); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

func auditLog() string { return filepath.Join(env.dir, "audit.log") }

// buildWebhook builds the very binary that the chart's image holds: static, and
// without the race detector, which the tests of the packages have.
func buildWebhook(ctx context.Context, binary string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "../../webhook")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the webhook: %w\n%s", err, out)
	}
	return nil
}

// makeNamespace makes a namespace with the service account that pods need.
func makeNamespace(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	if _, err := env.client.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	if _, err := env.client.CoreV1().ServiceAccounts(name).Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// label changes a namespace's labels.
func label(t *testing.T, namespace string, labels map[string]string) {
	t.Helper()
	ns, err := env.client.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range labels {
		ns.Labels[k] = v
	}
	if _, err := env.client.CoreV1().Namespaces().Update(t.Context(), ns, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until check returns nil.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
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

// parallel calls f with each index below n, a few at a time.
func parallel(n int, f func(i int)) {
	var all sync.WaitGroup
	next := make(chan int)
	for range 12 {
		all.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
}

// audited says whether the API server's log has an event with all parts.
func audited(parts ...string) error {
	file, err := os.Open(auditLog())
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
lines:
	for lines.Scan() {
		for _, part := range parts {
			if !strings.Contains(lines.Text(), part) {
				continue lines
			}
		}
		return nil
	}
	return errors.Join(lines.Err(), fmt.Errorf("no event has %q", parts))
}
