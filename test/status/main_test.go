// Package status shows, through a real API server, that status, doctor, the
// self-probe, the election and the count of missed pods say what is the case.
package status

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"

	clustercommands "github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/cluster"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/offline"
	"github.com/debugsidecar/debugsidecar/test/cluster"
	"github.com/debugsidecar/debugsidecar/test/install"
	"github.com/debugsidecar/debugsidecar/webhook/reach"
)

// env is what all tests share; none is parallel.
var env struct {
	cluster      *cluster.Cluster
	installation *install.Installation
	client       *kubernetes.Clientset
	dir, binary  string
}

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		fmt.Println("this needs a control plane; -short leaves it out")
		return
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "status:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	var err error
	if env.dir, err = os.MkdirTemp("", "debugsidecar-status-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(env.dir)
	env.binary = filepath.Join(env.dir, "webhook")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", env.binary, "../../webhook")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("building the webhook: %w\n%s", err, out)
	}
	if env.cluster, err = cluster.Start(ctx, cluster.Options{Log: func(line string) { fmt.Fprintln(os.Stderr, "..", line) }}); err != nil {
		return 0, err
	}
	defer env.cluster.Stop() //nolint:errcheck // it is thrown away
	if env.client, err = kubernetes.NewForConfig(env.cluster.Config); err != nil {
		return 0, err
	}
	env.installation, err = install.Install(ctx, env.cluster, install.Options{
		Binary: env.binary, Chart: "../../charts/debugsidecar", Dir: env.dir,
		Args: []string{
			"--ca-propagation=1s", "--leader-elect", "--leader-election-lease=debugsidecar",
			"--self-probe-interval=1s", "--missed-pods-interval=1s",
		},
	})
	if err != nil {
		return 0, err
	}
	defer env.installation.Close()
	if err := prepare(ctx); err != nil {
		return 0, err
	}
	for range 2 {
		if _, err := env.installation.StartReplica(ctx); err != nil {
			return 0, err
		}
	}
	return m.Run(), nil
}

// prepare adds what the chart may not have: the entry of the self-probe, and the
// rights that the flags take. What is there already stays.
func prepare(ctx context.Context) error {
	const name = "debugsidecar"
	if err := prepareEntry(ctx); err != nil {
		return err
	}
	account := []rbacv1.Subject{{Kind: "ServiceAccount", Name: name, Namespace: env.installation.Namespace}}
	meta := metav1.ObjectMeta{Name: "test-" + name}
	rbac := env.client.RbacV1()
	_, err1 := rbac.Roles(env.installation.Namespace).Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"create"}},
		{APIGroups: []string{"", "events.k8s.io"}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"create"}},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, ResourceNames: []string{name}, Verbs: []string{"get", "update", "patch"}},
	}}, metav1.CreateOptions{})
	_, err2 := rbac.RoleBindings(env.installation.Namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: meta, Subjects: account, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
	}, metav1.CreateOptions{})
	_, err3 := rbac.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}},
	}}, metav1.CreateOptions{})
	_, err4 := rbac.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta, Subjects: account, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: meta.Name},
	}, metav1.CreateOptions{})
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			return err
		}
	}
	return nil
}

func hasEntry(c *admissionv1.ValidatingWebhookConfiguration) bool {
	for _, w := range c.Webhooks {
		if w.Name == reach.Entry {
			return true
		}
	}
	return false
}

// plugin runs the command line.
func plugin(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	streams := genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &stdout, ErrOut: &stderr}
	args = append(args, "--kubeconfig", env.cluster.Kubeconfig)
	code = offline.Main(t.Context(), args, streams, clustercommands.Commands(streams)...)
	return code, stdout.String(), stderr.String()
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
		time.Sleep(100 * time.Millisecond)
	}
}

// prepareEntry adds the entry, which an upgrade of the chart takes away.
func prepareEntry(ctx context.Context) error {
	const name = "debugsidecar"
	configurations := env.client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	c, err := configurations.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if last := c.Webhooks[len(c.Webhooks)-1]; !hasEntry(c) {
		fail, none, seconds, url := admissionv1.Fail, admissionv1.SideEffectClassNone, int32(2), env.installation.URL()+reach.Path
		c.Webhooks = append(c.Webhooks, admissionv1.ValidatingWebhook{
			Name: reach.Entry, AdmissionReviewVersions: []string{"v1"}, FailurePolicy: &fail, SideEffects: &none, TimeoutSeconds: &seconds,
			ClientConfig:      admissionv1.WebhookClientConfig{URL: &url, CABundle: last.ClientConfig.CABundle},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": env.installation.Namespace}},
			ObjectSelector:    &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: reach.Label, Operator: metav1.LabelSelectorOpExists}}},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Create},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
			}},
		})
		if _, err := configurations.Update(ctx, c, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	return nil
}
