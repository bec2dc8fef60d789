package sessions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// recorder stands between the plugin and the API server as a user, and notes which
// rights each request takes, and whether there was one.
type recorder struct {
	mu      sync.Mutex
	used    map[string]bool
	refused map[string]bool
}

// right is what RBAC calls a request: verb, group, resource.
func right(r *http.Request) string {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	group := ""
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		group, parts = parts[1], parts[3:]
	default:
		return ""
	}
	if len(parts) > 2 && parts[0] == "namespaces" {
		parts = parts[2:]
	}
	resource, named := parts[0], len(parts) > 1
	if len(parts) > 2 {
		resource += "/" + parts[2]
	}
	verb := map[string]string{http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete", http.MethodGet: "get"}[r.Method]
	if verb == "get" && !named {
		verb = "list"
	}
	if r.URL.Query().Get("watch") != "" && r.URL.Query().Get("watch") != "0" {
		verb = "watch"
	}
	return verb + " " + group + " " + resource
}

func (rec *recorder) serve(t *testing.T, user string) string {
	t.Helper()
	config := rest.CopyConfig(env.cluster.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	config.NextProtos = []string{"http/1.1"} // or nothing could be upgraded
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) }, Transport: transport, FlushInterval: -1,
		ModifyResponse: func(resp *http.Response) error {
			if resp.StatusCode == http.StatusForbidden {
				rec.mu.Lock()
				rec.refused[right(resp.Request)] = true
				rec.mu.Unlock()
			}
			return nil
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if what := right(r); what != "" {
			rec.mu.Lock()
			rec.used[what] = true
			rec.mu.Unlock()
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: %q}}], contexts: [{name: c, context: {cluster: c}}]}`, server.URL)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestTheRolesAreWhatThePluginTakes runs the plugin as somebody who has the chart's
// two roles and nothing else, through all that it asks an API server for, and
// compares: nothing is refused, and nothing is granted that it does not use.
func TestTheRolesAreWhatThePluginTakes(t *testing.T) {
	webhookUp(t)
	ns := namespace(t)
	plugin := filepath.Join(env.dir, "kubectl-debugsidecar")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", plugin, "../../kubectl-debugsidecar")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	roles := []string{"debugsidecar-debug", "debugsidecar-debug-copies"}
	granted := map[string]bool{}
	for _, name := range roles {
		role, err := env.admin.RbacV1().ClusterRoles().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					granted[verb+" "+rule.APIGroups[0]+" "+resource] = true
				}
			}
		}
		_, err = env.admin.RbacV1().RoleBindings(ns).Create(t.Context(), &rbac.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef:    rbac.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: name},
			Subjects:   []rbac.Subject{{APIGroup: "rbac.authorization.k8s.io", Kind: "User", Name: "dora"}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	rec := &recorder{used: map[string]bool{}, refused: map[string]bool{}}
	kubeconfig := rec.serve(t, "dora")
	run := func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, plugin, append([]string{args[0], "-n", ns, "--kubeconfig", kubeconfig}, args[1:]...)...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		return out.String(), err
	}

	pod := placed(t, newPod(ns, "camera"), corev1.PodRunning, isRunning(time.Now()))
	// Its program ends at once, so that its log is asked for.
	done := make(chan string, 1)
	go func() {
		out, err := run("debug", "camera", "--webhook-namespace", system, "--reason", "a test", "--stdin")
		done <- fmt.Sprintf("%v: %s", err, out)
	}()
	eventually(t, "the debug container is added", func() error {
		if len(read(t, pod).Spec.EphemeralContainers) == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	added := read(t, pod).Spec.EphemeralContainers[0].Name
	if s := only(t, read(t, pod)); s.User != "dora" || s.Reason != "a test" {
		t.Errorf("the record: %+v", s)
	}
	time.Sleep(time.Second) // it waits
	report(t, pod, added, isRunning(time.Now()))
	t.Log("attaching, to a node that there is not: ", <-done)
	over := placed(t, newPod(ns, "short"), corev1.PodRunning, isRunning(time.Now()))
	go func() {
		out, err := run("debug", "short", "--webhook-namespace", system, "--", "true")
		done <- fmt.Sprintf("%v: %s", err, out)
	}()
	eventually(t, "the debug container is added", func() error {
		if len(read(t, over).Spec.EphemeralContainers) == 0 {
			select {
			case said := <-done:
				t.Fatal(said)
			default:
			}
			return errors.New("not yet")
		}
		return nil
	})
	report(t, over, read(t, over).Spec.EphemeralContainers[0].Name, hasEnded(time.Now()))
	t.Log("ended at once: ", <-done)

	ended := placed(t, newPod(ns, "ended"), corev1.PodFailed, hasEnded(time.Now()))
	go func() {
		out, err := run("debug", "ended", "--webhook-namespace", system, "--allow-terminated", "--detach", "--timeout", "3s")
		done <- fmt.Sprintf("%v: %s", err, out)
	}()
	t.Log("a copy: ", <-done)
	copies, err := env.admin.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{LabelSelector: "debugsidecar.io/copy-of=" + string(ended.UID)})
	if err != nil || len(copies.Items) != 1 || only(t, &copies.Items[0]).User != "dora" {
		t.Errorf("the copy: %+v, %v", copies.Items, err)
	}
	for _, kind := range []string{"deploy", "sts", "ds", "rs", "rc", "job", "cronjob", "svc"} {
		_, _ = run("debug", kind+"/none", "--dry-run=client")
	}
	if out, err := run("sessions"); err != nil || !strings.Contains(out, "dora") {
		t.Errorf("sessions: %v: %s", err, out)
	}

	rec.mu.Lock()
	defer rec.mu.Unlock()
	// Where the webhook is, it may ask and need not know.
	maps.DeleteFunc(rec.refused, func(what string, _ bool) bool { return strings.HasSuffix(what, "mutatingwebhookconfigurations") })
	if len(rec.refused) > 0 {
		t.Errorf("refused: %q", slices.Sorted(maps.Keys(rec.refused)))
	}
	for what := range granted {
		if !rec.used[what] {
			t.Errorf("granted, and not used: %s", what)
		}
	}
}

// placed creates a pod as one that a node has run.
func placed(t *testing.T, pod *corev1.Pod, phase corev1.PodPhase, app corev1.ContainerState) *corev1.Pod {
	t.Helper()
	pod.Spec.NodeName = "no-such-node"
	pod = create(t, env.admin, pod)
	pod.Status.Phase = phase
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", State: app, Ready: app.Running != nil, Image: "i", ImageID: "i", ContainerID: "containerd://" + strings.Repeat("ab", 32)}}
	pod, err := env.admin.CoreV1().Pods(pod.Namespace).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := env.admin.CoreV1().Pods(pod.Namespace).Delete(context.Background(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	})
	return pod
}
