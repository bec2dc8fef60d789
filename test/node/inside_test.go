package node_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/images/build"
	"github.com/debugsidecar/debugsidecar/test/cluster"
	"github.com/debugsidecar/debugsidecar/test/node"
)

// insidePod has two containers without a shell, whose processes are shared: so
// process 1 is nobody's.
const insidePod = `
apiVersion: v1
kind: Pod
metadata: {name: two, namespace: inside}
spec:
  shareProcessNamespace: true
  securityContext: {runAsUser: 1000, runAsGroup: 1000, runAsNonRoot: true}
  containers:
  - {name: other, image: debugsidecar.example/app:1, args: [work, --for=1h]}
  - name: app
    image: debugsidecar.example/app:1
    args: [work, --for=1h]
    env: [{name: CAMERA_PASSWORD, value: planted-0815}]
`

// TestInsideADebugContainer looks at a pod from our debug image, as an ephemeral
// container on a real kubelet, without the chart.
func TestInsideADebugContainer(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Kubernetes with a node; run without -short")
	}
	ctx := t.Context()
	say := func(line string) { t.Log(line) }
	c, err := cluster.Start(ctx, cluster.Options{Node: true, Log: say})
	if errors.Is(err, cluster.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			out, _, err := c.Kubectl(context.Background(), "", "describe", "pods", "--namespace", "inside")
			t.Log(out, err)
		}
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	image := insideImages(t, c, say)
	l := lab{&node.Node{Cluster: c}}
	l.kubectl(t, "", "create", "namespace", "inside")
	l.until(t, "there is a service account", func(ctx context.Context) error {
		_, _, err := c.Kubectl(ctx, "", "--namespace=inside", "get", "serviceaccount", "default")
		return err
	})
	l.kubectl(t, insidePod, "apply", "-f", "-")
	l.kubectl(t, "", "--namespace=inside", "wait", "--for=condition=Ready", "pod/two", "--timeout=60s")
	target := l.statusOf(t, "app").ContainerID
	const ttl = 60 * time.Second
	begin := time.Now()
	l.debugged(t, image, target, ttl)

	// What exec starts has the same view: the target by its id, and its root.
	inside := func(script string) string {
		return l.kubectl(t, "", "--namespace=inside", "exec", "two", "-c", "debugger", "--", "sidecar", "debug", "--", "bash", "-c", script)
	}
	out := inside(`echo "pid $TARGET_PID"; grep -c ` + strings.TrimPrefix(target, "containerd://") + ` /proc/$TARGET_PID/cgroup; ` +
		`head -c 4 $TARGET_ROOT/usr/bin/app | tail -c 3; test -e $TARGET_ROOT/bin/sh || echo no shell; cat /proc/1/comm`)
	t.Logf("inside: %q", out)
	if strings.Contains(out, "pid 1\n") || strings.HasPrefix(out, "pid \n") || !strings.Contains(out, "ELF") || !strings.Contains(out, "no shell") {
		t.Errorf("inside: %q", out)
	}
	// Nobody looks at its terminal, so it greets after a while.
	l.until(t, "it greets", func(ctx context.Context) error {
		logs, _, err := c.Kubectl(ctx, "", "--namespace=inside", "logs", "two", "-c", "debugger")
		if err != nil || !strings.Contains(logs, "app: pid ") || !strings.Contains(logs, "($TARGET_ROOT)") {
			return fmt.Errorf("it says %q (%v)", logs, err)
		}
		t.Log("\n" + logs)
		return nil
	})
	archive := l.kubectl(t, "", "--namespace=inside", "exec", "two", "-c", "debugger", "--", "sidecar", "snapshot", "-o", "-")
	snapshotOf(t, archive)

	l.until(t, "the session has ended", func(context.Context) error {
		if s := l.statusOf(t, "debugger"); s.State.Terminated == nil {
			return errors.New("it has not")
		}
		return nil
	})
	end := l.statusOf(t, "debugger").State.Terminated
	t.Logf("ended after %.0f s with %d: %s", time.Since(begin).Seconds(), end.ExitCode, end.Message)
	if lived := end.FinishedAt.Sub(end.StartedAt.Time); end.ExitCode != 124 || !strings.Contains(end.Message, "time was over") || lived < ttl-2*time.Second || lived > ttl+20*time.Second {
		t.Errorf("after %v: %+v", lived, end)
	}
	for _, name := range []string{"app", "other"} {
		if s := l.statusOf(t, name); s.RestartCount != 0 || s.State.Running == nil {
			t.Errorf("%s was harmed: %+v", name, s)
		}
	}
}

// insideImages puts the debug image and the app's onto the node.
func insideImages(t *testing.T, c *cluster.Cluster, say func(string)) (debug string) {
	t.Helper()
	images, err := build.Images(t.Context(), build.Options{Root: repository, Out: t.TempDir(), Names: []string{build.Debug}, Log: say})
	if err != nil {
		t.Fatal(err)
	}
	app := filepath.Join(t.TempDir(), "app")
	compile := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", app, "./test/node/app")
	compile.Dir, compile.Env = repository, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := build.Static(t.Context(), app+".tar", node.AppImage, "", app); err != nil {
		t.Fatal(err)
	}
	for _, archive := range []string{images[0].Archive, app + ".tar"} {
		if err := c.LoadImage(t.Context(), archive); err != nil {
			t.Fatal(err)
		}
	}
	return images[0].Name
}

func (l lab) insidePod(t *testing.T) (pod corev1.Pod) {
	t.Helper()
	if err := json.Unmarshal([]byte(l.kubectl(t, "", "--namespace=inside", "get", "pod", "two", "-o", "json")), &pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

// statusOf returns a container's status, which is empty if there is none yet.
func (l lab) statusOf(t *testing.T, name string) corev1.ContainerStatus {
	t.Helper()
	pod := l.insidePod(t)
	for _, s := range append(pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses...) {
		if s.Name == name {
			return s
		}
	}
	return corev1.ContainerStatus{}
}

// debugged adds a session as the plugin does, and waits until it runs.
func (l lab) debugged(t *testing.T, image, target string, ttl time.Duration) {
	t.Helper()
	pod := l.insidePod(t)
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		Name: "debugger", Image: image, ImagePullPolicy: corev1.PullNever, Args: []string{"debug"}, Stdin: true, TTY: true,
		Env: []corev1.EnvVar{
			{Name: "DEBUGSIDECAR_POD", Value: "inside/two"}, {Name: "DEBUGSIDECAR_SESSION_TTL", Value: ttl.String()},
			{Name: "DEBUGSIDECAR_TARGET_CONTAINER", Value: "app"}, {Name: "DEBUGSIDECAR_TARGET_ID", Value: target},
		},
	}, TargetContainerName: "app"}}
	text, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	l.kubectl(t, string(text), "replace", "--raw", "/api/v1/namespaces/inside/pods/two/ephemeralcontainers", "-f", "-")
	l.until(t, "the session runs", func(context.Context) error {
		if s := l.statusOf(t, "debugger"); s.State.Running == nil {
			return fmt.Errorf("%+v", s.State)
		}
		return nil
	})
}

// snapshotOf looks into an archive.
func snapshotOf(t *testing.T, archive string) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader([]byte(archive)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for a := tar.NewReader(z); ; {
		h, err := a.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(a)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(h.Name, "snapshot/")] = string(text)
		if strings.Contains(string(text), "planted-0815") {
			t.Errorf("the app's password is in %s", h.Name)
		}
	}
	t.Logf("the snapshot has %d bytes and %d files\n%s", len(archive), len(files), files["manifest.json"])
	for name, want := range map[string]string{
		"target.json": `"confidence": "id"`, "processes.json": `"/usr/bin/app"`, "target/environment.json": `"CAMERA_PASSWORD"`,
		"target/limits": "Max open files", "target/mounts": " / / ", "own/mounts": " / / ", "session.json": `"inside/two"`,
		"target/etc/hosts": "two", "sockets.json": "[", "net/snmp": "Udp:", "doctor.json": `"tier": "user"`,
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s has no %s: %.300s", name, want, files[name])
		}
	}
}
