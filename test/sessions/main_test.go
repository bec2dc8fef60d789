// Package sessions shows through a real API server what becomes of debug sessions:
// who is recorded, what nobody can forge, and that what users see of a session
// becomes right again wherever the webhook is killed.
//
// There is no node: what a kubelet reports, the tests write into the pods' status.
package sessions

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

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/debugsidecar/debugsidecar/test/cluster"
	"github.com/debugsidecar/debugsidecar/test/install"
)

// env is what all tests share; none is parallel.
var env struct {
	cluster      *cluster.Cluster
	installation *install.Installation
	admin        *kubernetes.Clientset
	dir          string
}

const (
	system  = "debugsidecar-system"
	values  = "sessions: {maxTTL: 2h}\nexcludedNamespaces: [left-alone]\n"
	account = "system:serviceaccount:" + system + ":debugsidecar"
)

func TestMain(m *testing.M) {
	flag.Parse()
	log.SetLogger(logr.Discard())
	if testing.Short() {
		fmt.Println("sessions needs a control plane; -short leaves it out")
		return
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sessions:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	var err error
	if env.dir, err = os.MkdirTemp("", "debugsidecar-sessions-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(env.dir)
	binary := filepath.Join(env.dir, "webhook")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "../../webhook")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("building the webhook: %w\n%s", err, out)
	}
	env.cluster, err = cluster.Start(ctx, cluster.Options{Log: func(line string) { fmt.Fprintln(os.Stderr, "..", line) }})
	if err != nil {
		return 0, err
	}
	defer env.cluster.Stop() //nolint:errcheck // it is thrown away
	if env.admin, err = kubernetes.NewForConfig(env.cluster.Config); err != nil {
		return 0, err
	}
	env.installation, err = install.Install(ctx, env.cluster, install.Options{
		Binary: binary, Chart: "../../charts/debugsidecar", Namespace: system, Dir: env.dir, Values: values,
		Args: []string{"--ca-propagation=1s", "--sessions=true"},
	})
	if err != nil {
		return 0, err
	}
	defer env.installation.Close()
	return m.Run(), nil
}

// webhookUp has one replica run, and returns it.
func webhookUp(t *testing.T) *install.Replica {
	t.Helper()
	if running := env.installation.Running(); len(running) > 0 {
		return running[0]
	}
	r, err := env.installation.StartReplica(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Until the balancer sends reviews there.
	time.Sleep(300 * time.Millisecond)
	return r
}

// webhookDown has none run.
func webhookDown(t *testing.T) {
	t.Helper()
	for _, r := range env.installation.Running() {
		r.Kill()
	}
	time.Sleep(200 * time.Millisecond) // until the balancer knows
}

// as is a client with a user's name and groups, and all rights.
func as(t *testing.T, user string, groups ...string) *kubernetes.Clientset {
	t.Helper()
	config := rest.CopyConfig(env.cluster.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:masters")}
	return client(t, config)
}

func client(t *testing.T, config *rest.Config) *kubernetes.Clientset {
	t.Helper()
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ofWebhook is the config with the rights of the chart's service account.
func ofWebhook(t *testing.T) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(env.dir, "webhook.kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// namespace makes a namespace for one test, which is named after it.
func namespace(t *testing.T) string {
	t.Helper()
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-", ",", "").Replace(t.Name()))
	return namespaceNamed(t, strings.Trim(name[:min(len(name), 60)], "-"))
}

func namespaceNamed(t *testing.T, name string) string {
	t.Helper()
	if _, err := env.admin.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = env.admin.CoreV1().Namespaces().Delete(context.Background(), name, metav1.DeleteOptions{})
	})
	eventually(t, "the namespace's service account", func() error {
		_, err := env.admin.CoreV1().ServiceAccounts(name).Get(t.Context(), "default", metav1.GetOptions{})
		return err
	})
	return name
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
