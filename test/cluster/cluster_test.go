package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const pod = `
apiVersion: v1
kind: Pod
metadata: {name: camera, namespace: video}
spec: {containers: [{name: main, image: registry.example/camera}]}
`

func start(t *testing.T, o Options) *Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a Kubernetes control plane; run without -short")
	}
	o.Log = func(line string) { t.Log(line) }
	c, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func kubectl(t *testing.T, c *Cluster, stdin string, args ...string) string {
	t.Helper()
	stdout, _, err := c.Kubectl(t.Context(), stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return stdout
}

func TestClusterIsARealControlPlane(t *testing.T) {
	c := start(t, Options{})
	t.Log("resident memory, MiB:", c.memory(t))

	if v := kubectl(t, c, "", "version"); !strings.Contains(v, "Client Version: v1.36.3") || !strings.Contains(v, "Server Version: v1.36.3") {
		t.Errorf("kubectl version says %q", v)
	}
	kubectl(t, c, "", "create", "namespace", "video")
	eventually(t, "the service account of a new namespace", func() error {
		_, _, err := c.Kubectl(t.Context(), "", "-n", "video", "get", "serviceaccount", "default")
		return err
	})
	kubectl(t, c, pod, "apply", "-f", "-")
	if got := kubectl(t, c, "", "-n", "video", "get", "pod", "camera", "-o", "jsonpath={.spec.serviceAccountName} {.spec.volumes[*].projected.sources[*].configMap.name} {.status.phase}"); got != "default kube-root-ca.crt Pending" {
		t.Errorf("service account, its root CA and phase of the pod are %q", got)
	}
	// RBAC: a user without rights has none.
	if _, _, err := c.Kubectl(t.Context(), "", "--as=nobody", "-n", "video", "get", "pods"); err == nil || !strings.Contains(err.Error(), "Forbidden") {
		t.Errorf("nobody gets pods: %v", err)
	}
	// The namespace controller and the garbage collector work.
	kubectl(t, c, "", "delete", "namespace", "video", "--timeout=30s")
}

func TestDeploymentGetsPods(t *testing.T) {
	c := start(t, Options{})
	kubectl(t, c, "", "create", "deployment", "web", "--image=registry.example/web", "--replicas=2")
	eventually(t, "two pods of a Deployment", func() error {
		if got := kubectl(t, c, "", "get", "pods", "-l", "app=web", "-o", "name"); strings.Count(got, "pod/web-") != 2 {
			return fmt.Errorf("pods are %q", got)
		}
		return nil
	})
}

func TestHelmInstallsAChart(t *testing.T) {
	t.Setenv("HELM_NAMESPACE", "of-the-person-who-runs-this")
	c := start(t, Options{Components: []Component{}})
	chart := filepath.Join(t.TempDir(), "camera")
	for name, text := range map[string]string{
		"Chart.yaml":              "apiVersion: v2\nname: camera\nversion: 1.0.0\nkubeVersion: '>=1.36'\n",
		"templates/settings.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {kubernetes: {{.Capabilities.KubeVersion.Version}}}\n",
	} {
		path := filepath.Join(chart, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := c.Helm(t.Context(), "", "install", "camera", chart, "--namespace=video", "--create-namespace"); err != nil {
		t.Fatal(err)
	}
	if got := kubectl(t, c, "", "-n", "video", "get", "configmap", "settings", "-o", "jsonpath={.data.kubernetes}"); got != "v1.36.3" {
		t.Errorf("the chart saw Kubernetes %q", got)
	}
	if stdout, _, err := c.Helm(t.Context(), "", "version", "--short"); err != nil || !strings.HasPrefix(stdout, "v4.3.1") {
		t.Errorf("helm version says %q, %v", stdout, err)
	}
}

func TestAPIServerArgsAddToTheUsual(t *testing.T) {
	c := start(t, Options{
		Components:    []Component{},
		APIServerArgs: []string{"--enable-admission-plugins=AlwaysPullImages", "--disable-admission-plugins=ServiceAccount"},
	})
	if got := kubectl(t, c, strings.ReplaceAll(pod, "video", "default"), "create", "-f", "-", "-o", "jsonpath={.spec.containers[0].imagePullPolicy} {.spec.serviceAccountName}"); got != "Always " {
		t.Errorf("pull policy and service account are %q", got)
	}
}

func TestStopLeavesNothing(t *testing.T) {
	c := start(t, Options{Components: []Component{ControllerManager, Scheduler}})
	pids, open, dir := c.pids(), c.ports, c.dir
	if len(pids) != 4 {
		t.Fatalf("processes are %v", pids)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	for name, pid := range pids {
		if alive(pid) {
			t.Errorf("%s (%d) is alive", name, pid)
		}
	}
	for _, port := range []int{open.api, open.etcd, open.etcdPeer} {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(address, strconv.Itoa(port)), time.Second)
		if err == nil {
			_ = conn.Close()
			t.Errorf("port %d is open", port)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is there: %v", dir, err)
	}
	if err := c.Stop(); err != nil {
		t.Errorf("stopping again: %v", err)
	}
	if err := c.Wait(t.Context()); err != nil {
		t.Errorf("waiting after Stop: %v", err)
	}
}

func TestWaitTellsWhoEndedAndWhy(t *testing.T) {
	c := start(t, Options{Components: []Component{}})
	if err := syscall.Kill(c.pids()[etcd], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.Wait(ctx); err == nil || !strings.Contains(err.Error(), "etcd ended by itself (signal: killed)") {
		t.Errorf("error is %v", err)
	}
}

func TestFailedStartShowsTheEndOfTheLog(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Kubernetes control plane; run without -short")
	}
	dir := filepath.Join(t.TempDir(), "cluster")
	c, err := Start(t.Context(), Options{Dir: dir, APIServerArgs: []string{"--no-such-flag"}})
	if err == nil {
		t.Error(c.Stop())
		t.Fatal("started with a flag that there is not")
	}
	log := filepath.Join(dir, "kube-apiserver.log")
	for _, part := range []string{"kube-apiserver ended by itself (exit status 1)", "unknown flag: --no-such-flag", "the whole log is " + log} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error lacks %q: %v", part, err)
		}
	}
	if _, err := os.Stat(log); err != nil {
		t.Error(err)
	}
}

func TestDirectoryMustBeEmpty(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Kubernetes to be built; run without -short")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "precious"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("error is %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "precious")); err != nil {
		t.Error(err)
	}
}

func (c *Cluster) pids() map[string]int {
	pids := map[string]int{}
	for _, p := range c.processes {
		pids[p.name] = p.cmd.Process.Pid
	}
	return pids
}

// memory reads the resident memory of each program, in MiB.
func (c *Cluster) memory(t *testing.T) map[string]int {
	t.Helper()
	m := map[string]int{}
	for name, pid := range c.pids() {
		statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			t.Fatal(err)
		}
		var size, resident int
		if _, err := fmt.Sscan(string(statm), &size, &resident); err != nil {
			t.Fatal(err)
		}
		m[name] = resident * os.Getpagesize() >> 20
	}
	return m
}

func alive(pid int) bool { return !gone(pid) }

// eventually waits until f returns nil.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}
