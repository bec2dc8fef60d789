package node_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/test/cluster"
	"github.com/debugsidecar/debugsidecar/test/node"
)

// values of the chart: these namespaces have the kernel tier, nobody else.
const values = `
grants:
- namespace: cameras
  profiles: [video-probe]
- namespace: strict
  profiles: [video-probe]
alerts:
  webhooks: ["http://10.96.90.90:8092"]
`

// repository is where tests begin, and two folders up.
var repository, _ = filepath.Abs("../..")

// profiles are the video probe in both placements, and with an image that is not
// there, as values of the chart.
func profiles(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "webhook/inject/profile/embedded/video-probe.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	out := "profiles:\n"
	for _, p := range []struct{ name, placement, image string }{
		{"within", "native", ""}, {"within-absent", "native", "debugsidecar.example/absent:1"},
		{"beside", "container", ""}, {"beside-absent", "container", "debugsidecar.example/absent:1"},
	} {
		profile := strings.NewReplacer("video-probe\n", p.name+"\n", "debugsidecar-video-probe", "debugsidecar-"+p.name,
			"placement: native", "placement: "+p.placement).Replace(string(text))
		if p.image != "" {
			profile = strings.ReplaceAll(profile, "{{ .images.sidecar }}", p.image)
		}
		out += "  " + p.name + ": |\n    " + strings.ReplaceAll(profile, "\n", "\n    ") + "\n"
	}
	return out
}

// lab is a node that tests share.
type lab struct {
	*node.Node
}

// start starts a node with the chart in it.
func start(t *testing.T, o node.Options) lab {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a Kubernetes with a node; run without -short")
	}
	o.Root, o.Dir, o.Log = repository, t.TempDir(), func(line string) { t.Log(line) }
	n, err := node.Start(t.Context(), o)
	if errors.Is(err, cluster.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			out, _, err := n.Kubectl(context.Background(), "", "get", "pods,events", "-A", "-o", "wide")
			t.Log(out, err)
			out, _, err = n.Kubectl(context.Background(), "", "--namespace", node.Namespace, "logs", "deployment/"+node.Release, "--all-pods")
			t.Log(out, err)
		}
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	})
	return lab{n}
}

func (l lab) kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, stderr, err := l.Kubectl(t.Context(), stdin, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v", strings.Join(args, " "), err)
	}
	if stderr != "" {
		t.Log(strings.TrimSpace(stderr))
	}
	return out
}

func (l lab) manifest(t *testing.T, name string, replace ...string) string {
	t.Helper()
	text, err := node.Manifest(name, replace...)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (l lab) apply(t *testing.T, namespace, name string, replace ...string) {
	t.Helper()
	text := l.manifest(t, name, replace...)
	args := []string{"apply", "-f", "-"}
	if namespace != "" {
		args = append(args, "--namespace", namespace)
	}
	l.kubectl(t, text, args...)
}

// pod returns the one pod with a label.
func (l lab) pod(t *testing.T, namespace, selector string) corev1.Pod {
	t.Helper()
	pod, err := l.Pod(t.Context(), namespace, selector)
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func (l lab) until(t *testing.T, what string, try func(context.Context) error) {
	t.Helper()
	if err := l.Until(t.Context(), what, try); err != nil {
		t.Fatal(err)
	}
}

// TestNode is one test, for a node takes half a minute to start. Its parts have
// namespaces of their own.
func TestNode(t *testing.T) {
	l := start(t, node.Options{Values: values + profiles(t)})
	l.apply(t, "", "alerts.yaml")
	l.kubectl(t, "", "wait", "--namespace=alerts", "--for=condition=Ready", "pod/alerts", "--timeout=60s")
	for _, part := range []struct {
		claim string
		test  func(*testing.T, lab)
	}{
		{"the kernel tier sees what the app lost, and what is coming", stream},
		{"the installation is found sound", reachable},
		{"without a grant, and where Pod Security is strict, the user tier comes", userTier},
		{"a Job with the sidecar completes", jobs},
		{"a Guaranteed pod stays Guaranteed", guaranteed},
		{"what the app sees when something of ours goes wrong is written down", whatTheAppSees},
		{"no creation fails while webhook pods are deleted", creations},
		{"ten lives of a release leave nothing", livesOfARelease},
		{"an installation that is removed in the wrong order blocks nothing", lostInstallations},
	} {
		begin := time.Now()
		t.Run(strings.ReplaceAll(part.claim, " ", "-"), func(t *testing.T) { part.test(t, l) })
		t.Logf("%s: %.1f s", part.claim, time.Since(begin).Seconds())
	}
}
