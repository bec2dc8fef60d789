package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// failure is something of ours that goes wrong in a pod.
type failure struct {
	name    string
	profile string // with %s for the placement
	params  string
	// harm is done once the pod runs. May be nil.
	harm func(*testing.T, lab, corev1.Pod)
	// seen is what the sidecar's status says when it has gone wrong.
	seen func(corev1.ContainerStatus) bool
}

// placements by what their profiles' names begin with.
var placements = []struct{ name, prefix string }{{"native", "within"}, {"container", "beside"}}

var failures = []failure{
	{
		name: "image is missing", profile: "%s-absent",
		seen: func(s corev1.ContainerStatus) bool {
			return s.State.Waiting != nil && strings.Contains(s.State.Waiting.Reason, "Image")
		},
	},
	{
		name: "Secret is missing", profile: "%s", params: "sourceSecretRef: {name: nowhere, key: url}",
		seen: func(s corev1.ContainerStatus) bool { return s.State.Running != nil && s.Ready },
	},
	{
		name: "worker is killed", profile: "%s", params: "{source: \"http://SOURCE:8091/clip.flv\", open: always}",
		harm: killWorker,
		seen: func(s corev1.ContainerStatus) bool { return s.State.Running != nil && s.RestartCount == 0 },
	},
	{
		name: "container is OOM-killed", profile: "%s",
		harm: takeMemory,
		seen: func(s corev1.ContainerStatus) bool {
			return s.RestartCount > 0 && s.LastTerminationState.Terminated != nil &&
				s.LastTerminationState.Terminated.Reason == "OOMKilled"
		},
	},
}

// whatTheAppSees lets things of ours go wrong, for both placements, and writes
// what becomes of the app into the table of docs/failures.md.
func whatTheAppSees(t *testing.T, l lab) {
	const namespace, doc = "failures", "docs/failures.md"
	text, err := os.ReadFile(filepath.Join(repository, doc))
	if err != nil {
		t.Fatal(err)
	}
	l.kubectl(t, "", "create", "namespace", namespace)
	source := l.clip(t, namespace)
	var table strings.Builder
	table.WriteString("| what goes wrong | placement | app runs | its restarts | pod is ready | sidecar |\n|---|---|---|---|---|---|\n")
	for i, f := range failures {
		for _, at := range placements {
			name := fmt.Sprintf("f%d-%s", i, at.name)
			l.apply(t, namespace, "work.yaml", "PROFILE", fmt.Sprintf(f.profile, at.prefix), "NAME", name,
				"COMMAND", "work, --for=1h", "PARAMS", strings.ReplaceAll(f.params, "SOURCE", source))
			if f.harm != nil {
				l.kubectl(t, "", "--namespace", namespace, "wait", "--for=condition=Ready", "pod/"+name, "--timeout=60s")
				f.harm(t, l, l.pod(t, namespace, "app="+name))
			}
			var ours corev1.ContainerStatus
			l.until(t, f.name, func(context.Context) error {
				pod := l.pod(t, namespace, "app="+name)
				for _, s := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
					if strings.HasPrefix(s.Name, "debugsidecar-") {
						ours = s
					}
				}
				if !f.seen(ours) {
					return fmt.Errorf("the sidecar's status is %+v", ours.State)
				}
				return nil
			})
			time.Sleep(3 * time.Second) // for what follows from it
			row := ""
			// What it comes to, if what is written down takes longer on a busy machine.
			for end := time.Now().Add(30 * time.Second); ; time.Sleep(500 * time.Millisecond) {
				pod := l.pod(t, namespace, "app="+name)
				app := pod.Status.ContainerStatuses[0]
				for _, s := range pod.Status.ContainerStatuses {
					if s.Name == "app" {
						app = s
					}
				}
				row = fmt.Sprintf("| our %s | %s | %s | %d | %s | %s |\n", f.name, at.name,
					yesNo(app.State.Running != nil), app.RestartCount, yesNo(ready(pod)), becameOf(f, ours))
				if strings.Contains(string(text), row) || time.Now().After(end) {
					break
				}
			}
			table.WriteString(row)
			l.kubectl(t, "", "--namespace", namespace, "delete", "pod", name, "--wait=false")
		}
	}
	t.Log("\n" + table.String())
	if !strings.Contains(string(text), table.String()) {
		t.Errorf("%s says something else", doc)
	}
}

func becameOf(f failure, s corev1.ContainerStatus) string {
	switch {
	case s.State.Waiting != nil && strings.Contains(s.State.Waiting.Reason, "Image"):
		return "waits for its image"
	case s.LastTerminationState.Terminated != nil && s.LastTerminationState.Terminated.Reason == "OOMKilled":
		return "is restarted, ever more slowly"
	case f.harm != nil:
		return "starts it again, and goes on"
	}
	return "runs without it"
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "**no**"
}

func ready(pod corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// killWorker kills the capture child, and waits until there is another.
func killWorker(t *testing.T, l lab, pod corev1.Pod) {
	child := func() (int, error) { return findProcess(string(pod.UID), "/usr/bin/debugsidecar-capture") }
	var first int
	l.until(t, "the capture child runs", func(context.Context) (err error) {
		first, err = child()
		return err
	})
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	l.until(t, "there is another capture child", func(context.Context) error {
		again, err := child()
		if err == nil && again == first {
			err = errors.New("it is the same")
		}
		return err
	})
}

// takeMemory lowers the probe's limit to what it has, and then asks for more than
// that, in many connections. It runs in so little memory that no limit of a pod's
// spec would kill it.
func takeMemory(t *testing.T, l lab, pod corev1.Pod) {
	pid := process(t, string(pod.UID), "video-probe")
	limit, used := memoryFiles(t, pid)
	l.until(t, "the probe is killed", func(ctx context.Context) error {
		for range 300 {
			text, err := os.ReadFile(used)
			if err != nil {
				return nil // it is gone with its control group
			}
			n, err := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil {
				return err
			}
			// The kernel refuses a limit that it can't make room for; then it is what
			// is used now, and a page or two.
			if err := os.WriteFile(limit, []byte(strconv.Itoa(n*19/20)), 0); err != nil {
				_ = os.WriteFile(limit, []byte(strconv.Itoa(n+8192)), 0)
			}
			conn, err := l.DialContext(ctx, "tcp", pod.Status.PodIP+":9400")
			if err != nil {
				continue
			}
			defer conn.Close()
			_, _ = conn.Write([]byte("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"))
		}
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err != nil {
			return nil
		}
		text, _ := os.ReadFile(used)
		return fmt.Errorf("it lives, with %s bytes", bytes.TrimSpace(text))
	})
}

// memoryFiles returns the files with the limit and the use of a process' control
// group.
func memoryFiles(t *testing.T, pid int) (limit, used string) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(parts) == 3 && parts[1] == "memory":
			dir := filepath.Join("/sys/fs/cgroup/memory", parts[2])
			return filepath.Join(dir, "memory.limit_in_bytes"), filepath.Join(dir, "memory.usage_in_bytes")
		case len(parts) == 3 && parts[1] == "":
			limit = filepath.Join("/sys/fs/cgroup", parts[2], "memory.max")
			used = filepath.Join("/sys/fs/cgroup", parts[2], "memory.current")
		}
	}
	return limit, used
}

// clip starts a pod that serves a video, and returns its address.
func (l lab) clip(t *testing.T, namespace string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "clip.flv")
	// It fits into a ConfigMap, and lasts longer than anybody looks.
	encode := exec.CommandContext(t.Context(), "ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc=size=160x120:rate=5",
		"-t", "600", "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "6k", "-g", "50", "-pix_fmt", "yuv420p", file)
	if out, err := encode.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, out)
	}
	l.kubectl(t, "", "--namespace", namespace, "create", "configmap", "clip", "--from-file="+file)
	l.apply(t, namespace, "clip.yaml")
	l.kubectl(t, "", "--namespace", namespace, "wait", "--for=condition=Ready", "pod/clip", "--timeout=60s")
	return l.pod(t, namespace, "app=clip").Status.PodIP
}
