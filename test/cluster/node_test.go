package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const appImage = "registry.example/app:1"

// startWithNode starts a cluster with a node that has the image of testdata/app.
func startWithNode(t *testing.T) *Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a Kubernetes with a node; run without -short")
	}
	app := filepath.Join(t.TempDir(), "app")
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", app, "./testdata/app")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c, err := Start(t.Context(), Options{Node: true, Log: func(s string) { t.Log(s) }})
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			out, _, err := c.Kubectl(context.Background(), "", "get", "events,pods", "-A", "-o", "wide")
			t.Log(out, err)
		}
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	archive := app + ".tar"
	if err := writeImage(archive, appImage, app); err != nil {
		t.Fatal(err)
	}
	if err := c.LoadImage(t.Context(), archive); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestNode is one test, for a node takes seconds to start. Its parts don't depend
// on each other.
func TestNode(t *testing.T) {
	c := startWithNode(t)
	for _, part := range []struct {
		claim string
		test  func(*testing.T, *Cluster)
	}{
		{"a Deployment becomes ready, and its Service answers", deployment},
		{"an image comes from an OCI layout", ociImage},
		{"kubectl talks to containers", containers},
		{"the API server calls a webhook in a pod", webhookInPod},
		{"a container over its limit is OOMKilled", oomKill},
		{"a Job with a native sidecar completes", job},
		{"BPF takes two capabilities", bpfInPod},
		{"a pod may have the node's network", hostNetwork},
		{"Pod Security is enforced", podSecurity},
	} {
		t.Run(strings.ReplaceAll(part.claim, " ", "-"), func(t *testing.T) { part.test(t, c) })
	}
}

const web = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: main
        image: registry.example/app:1
        args: [serve, "8080"]
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
        resources:
          requests: {cpu: 50m, memory: 32Mi}
          limits: {cpu: 50m, memory: 32Mi}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
# Who may be reached is said by hand.
apiVersion: v1
kind: Service
metadata: {name: manual}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: headless}
spec: {clusterIP: None, selector: {app: web}, ports: [{port: 8080}]}
`

func deployment(t *testing.T, c *Cluster) {
	begin := time.Now()
	kubectl(t, c, web, "apply", "-f", "-")
	kubectl(t, c, "", "rollout", "status", "deployment/web", "--timeout=60s")
	t.Logf("two pods were ready after %.1f s", time.Since(begin).Seconds())
	if qos := kubectl(t, c, "", "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].status.qosClass}"); qos != "Guaranteed Guaranteed" {
		t.Errorf("QoS classes are %s", qos)
	}
	if got := fetch(t, c, "http://web.default.svc"); !strings.HasPrefix(got, "here is web-") {
		t.Errorf("from outside, the Service says %q", got)
	}
	eventually(t, "the Service through the API server", func() error {
		got, _, err := c.Kubectl(t.Context(), "", "get", "--raw", "/api/v1/namespaces/default/services/web:80/proxy/")
		if err == nil && !strings.HasPrefix(got, "here is web-") {
			err = fmt.Errorf("says %q", got)
		}
		return err
	})
	ip := kubectl(t, c, "", "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
	for range 4 { // also from a pod to itself and to its neighbour
		if got := fetch(t, c, "http://web.default.svc/get?http://"+ip); !strings.HasPrefix(got, "here is web-") {
			t.Errorf("from a pod, the Service says %q", got)
		}
	}
	if got := fetch(t, c, "http://web.default.svc/get?http://web"); !strings.HasPrefix(got, "here is web-") {
		t.Errorf("from a pod, by its name, the Service says %q", got)
	}
	if got := fetch(t, c, "http://web.default.svc/get?http://headless.default:8080"); !strings.HasPrefix(got, "here is web-") {
		t.Errorf("from a pod, by its name, the headless Service says %q", got)
	}
	if got, err := tryFetch(t, c, "http://web.default.svc/get?http://web.elsewhere.svc.cluster.local"); err == nil || !strings.Contains(err.Error(), "no such host") {
		t.Errorf("a Service that there is not: %q, %v", got, err)
	}
	pod := kubectl(t, c, "", "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].status.podIP}")
	kubectl(t, c, fmt.Sprintf(`
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: manual-1, labels: {kubernetes.io/service-name: manual}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [%s]}]
`, pod), "apply", "-f", "-")
	eventually(t, "the Service without a selector", func() error {
		_, err := tryFetch(t, c, "http://manual.default.svc")
		return err
	})
}

// fetch tries until there is an answer: a pod that runs does not listen yet, and
// kube-proxy and the name server hear of one that is ready a moment later.
func fetch(t *testing.T, c *Cluster, url string) (text string) {
	t.Helper()
	eventually(t, url, func() (err error) {
		text, err = tryFetch(t, c, url)
		return err
	})
	return text
}

func tryFetch(t *testing.T, c *Cluster, url string) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DialContext: c.DialContext, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	answer, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, answer.Status, text)
	}
	return string(text), err
}

// runPod applies a pod with one container, and waits for a phase.
func runPod(t *testing.T, c *Cluster, name, phase, container, spec string) {
	t.Helper()
	kubectl(t, c, fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %s, labels: {pod: %s}}\nspec:\n  restartPolicy: Never\n  terminationGracePeriodSeconds: 1\n  containers: [{name: main, image: %s, %s}]\n%s", name, name, appImage, container, spec), "apply", "-f", "-")
	eventually(t, "pod "+name, func() error {
		if got := kubectl(t, c, "", "get", "pod", name, "-o", "jsonpath={.status.phase}"); got != phase {
			return fmt.Errorf("is %s, not %s", got, phase)
		}
		return nil
	})
}

func containers(t *testing.T, c *Cluster) {
	begin := time.Now()
	runPod(t, c, "talk", "Running", `args: [serve, "8080"]`, "  shareProcessNamespace: true\n")
	t.Logf("the pod ran after %.1f s", time.Since(begin).Seconds())
	eventually(t, "the log", func() error {
		if got := kubectl(t, c, "", "logs", "talk"); got != "serving\n" {
			return fmt.Errorf("is %q", got)
		}
		return nil
	})
	if got := kubectl(t, c, "hello", "exec", "-i", "talk", "--", "/app", "cat"); got != "hello" {
		t.Errorf("exec says %q", got)
	}
	if got := kubectl(t, c, "", "exec", "talk", "--", "/app", "ps"); !strings.Contains(got, "1 /pause") {
		t.Errorf("in a shared PID namespace: %q", got)
	}
	portForward(t, c)

	runPod(t, c, "apart", "Running", `args: [serve, "8080"]`, "")
	kubectl(t, c, "", "debug", "apart", "--image="+appImage, "--image-pull-policy=Never", "--target=main", "--container=look", "--profile=general", "--", "/app", "ps")
	eventually(t, "the log of the ephemeral container", func() error {
		if got, _, _ := c.Kubectl(t.Context(), "", "logs", "apart", "-c", "look"); !strings.Contains(got, "1 /app serve 8080") {
			return fmt.Errorf("is %q", got)
		}
		return nil
	})
}

func portForward(t *testing.T, c *Cluster) {
	cmd := exec.CommandContext(t.Context(), filepath.Join(c.Bin, "kubectl"), "--kubeconfig="+c.Kubeconfig, "port-forward", "pod/talk", ":8080")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = cmd.Process.Kill(), cmd.Wait() }()
	var port int
	if _, err := fmt.Fscanf(stdout, "Forwarding from 127.0.0.1:%d -> 8080\n", &port); err != nil {
		t.Fatal(err)
	}
	answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); string(text) != "here is talk" {
		t.Errorf("the forwarded port says %q, %v", text, err)
	}
}

func oomKill(t *testing.T, c *Cluster) {
	runPod(t, c, "hungry", "Failed", "args: [eat], resources: {limits: {memory: 32Mi}}", "")
	if got := kubectl(t, c, "", "get", "pod", "hungry", "-o", "jsonpath={.status.containerStatuses[0].state.terminated.reason} {.status.containerStatuses[0].state.terminated.exitCode}"); got != "OOMKilled 137" {
		t.Errorf("the container ended as %s", got)
	}
}

func job(t *testing.T, c *Cluster) {
	kubectl(t, c, `
apiVersion: batch/v1
kind: Job
metadata: {name: work}
spec:
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 1
      initContainers: [{name: sidecar, image: registry.example/app:1, args: [wait], restartPolicy: Always}]
      containers: [{name: main, image: registry.example/app:1, args: ["true"]}]
`, "apply", "-f", "-")
	kubectl(t, c, "", "wait", "--for=condition=Complete", "job/work", "--timeout=60s")
}

func bpfInPod(t *testing.T, c *Cluster) {
	const rest = "seccompProfile: {type: RuntimeDefault}, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true"
	runPod(t, c, "tracer", "Succeeded", "args: [bpf], securityContext: {capabilities: {drop: [ALL], add: [BPF, PERFMON]}, "+rest+"}", "")
	runPod(t, c, "powerless", "Failed", "args: [bpf], securityContext: {capabilities: {drop: [ALL]}, "+rest+"}", "")
	if got := kubectl(t, c, "", "logs", "powerless"); !strings.Contains(got, "operation not permitted") {
		t.Errorf("without capabilities: %q", got)
	}
}

func hostNetwork(t *testing.T, c *Cluster) {
	runPod(t, c, "host", "Running", `args: [serve, "7070"]`, "  hostNetwork: true\n")
	if got := fetch(t, c, "http://"+nodeAddress+":7070"); got != "here is "+NodeName {
		t.Errorf("on the node's address: %q", got)
	}
}

func podSecurity(t *testing.T, c *Cluster) {
	kubectl(t, c, "", "create", "namespace", "strict")
	kubectl(t, c, "", "label", "namespace", "strict", "pod-security.kubernetes.io/enforce=restricted")
	eventually(t, "the refusal of a privileged pod", func() error { // the label is in the API server's cache a moment later
		_, _, err := c.Kubectl(t.Context(), "", "-n", "strict", "run", "bad", "--image="+appImage, "--privileged", "--dry-run=server")
		if err == nil || !strings.Contains(err.Error(), "violates PodSecurity") {
			return fmt.Errorf("it gave %v", err)
		}
		return nil
	})
}
