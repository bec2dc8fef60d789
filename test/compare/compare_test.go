// Package compare does the same ten things by kubectl debug and by kubectl
// debugsidecar debug, on a real node with the chart in it, and writes down what
// each did: the table in docs/compare.md.
package compare

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/images/build"
	"github.com/debugsidecar/debugsidecar/test/cluster"
	"github.com/debugsidecar/debugsidecar/test/node"
)

var update = flag.Bool("update", false, "write docs/compare.md anew")

var root, _ = filepath.Abs("../..")

const page = "docs/compare.md"

// patience is how long a person looks at a command that says nothing.
const patience = 25 * time.Second

// script is what runs in the debug container: who we are, whether the target's
// files can be read, how many of the app's processes are seen.
const script = `sleep 3; echo "in: uid $(id -u)"
for r in $TARGET_ROOT /proc/[0-9]*/root; do test -e $r/usr/bin/app && echo files && break; done
echo "processes $(grep -lx app /proc/[0-9]*/comm | wc -l)"
(echo x >/tmp/x && echo writes) 2>/dev/null; true`

// tool is one of the two programs.
type tool struct {
	name string
	argv func(l lab, pod string, c *thing) []string
}

// lab is the node, and the image that both debug with.
type lab struct {
	*node.Node
	image string
}

var tools = []tool{
	{"kubectl debug", func(l lab, pod string, c *thing) []string {
		argv := []string{filepath.Join(l.Bin, "kubectl"), "--kubeconfig", l.Kubeconfig, "debug", pod, "--image", c.debugImage(l)}
		if !c.again {
			argv = append(argv, "-i")
		}
		if c.copies {
			argv = append(argv, "--copy-to", pod+"-copy", "--share-processes")
		} else if !c.plain {
			argv = append(argv, "--target=app")
		}
		return append(append(argv, "--"), c.command()...)
	}},
	{"kubectl debugsidecar debug", func(l lab, pod string, c *thing) []string {
		argv := []string{filepath.Join(root, "bin", "kubectl-debugsidecar"), "debug", "--kubeconfig", l.Kubeconfig, pod}
		if c.again {
			argv = append(argv, "--detach")
		} else {
			argv = append(argv, "-i")
		}
		if c.image != "" {
			argv = append(argv, "--image", c.image, "--no-ttl")
		}
		if c.copies {
			argv = append(argv, "--allow-terminated")
		}
		return append(append(argv, "--"), c.command()...)
	}},
}

// did is what a tool did.
type did struct {
	out      string // both streams
	in       bool   // the script ran
	ended    bool   // in time
	status   int
	pods     []corev1.Pod
	took     time.Duration
	leftover []string // pods a while after it
}

// debuggers are the debug containers of the pod that was debugged.
func (d *did) debuggers(pod string) (names []string) {
	for i := range d.pods {
		if d.pods[i].Name == pod {
			for _, c := range d.pods[i].Spec.EphemeralContainers {
				names = append(names, c.Name)
			}
		}
	}
	return names
}

func (d *did) has(line string) bool {
	return slices.Contains(strings.Split(strings.ReplaceAll(d.out, "\r", ""), "\n"), line)
}

// run runs a tool as a person would who sees no prompt coming and gives up.
func (l lab) run(t *testing.T, namespace, pod string, tool tool, c *thing) *did {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	argv := tool.argv(l, pod, c)
	argv = slices.Insert(argv, slices.Index(argv, pod), "--namespace", namespace)
	command := exec.CommandContext(ctx, argv[0], argv[1:]...)
	command.WaitDelay = time.Second
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	// Standard input stays open, as a terminal does.
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	begin := time.Now()
	err = command.Run()
	d := &did{out: out.String(), ended: ctx.Err() == nil, took: time.Since(begin)}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		d.status = exit.ExitCode()
	} else if err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
	d.in = strings.Contains(d.out, "in: uid")
	d.pods = l.pods(t, namespace)
	t.Logf("%s: %s: status %d after %.1f s\n%s", namespace, tool.name, d.status, d.took.Seconds(), d.out)
	return d
}

func (l lab) pods(t *testing.T, namespace string) []corev1.Pod {
	t.Helper()
	out, _, err := l.Kubectl(t.Context(), "", "--namespace", namespace, "get", "pods", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var list corev1.PodList
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// TestAgainstKubectlDebug tries each case with each tool, in namespaces of their
// own.
func TestAgainstKubectlDebug(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Kubernetes with a node; run without -short")
	}
	n, err := node.Start(t.Context(), node.Options{Root: root, Dir: t.TempDir(), Images: []string{build.Debug},
		Log: func(line string) { t.Log(line) }})
	if errors.Is(err, cluster.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	})
	l := lab{n, debugImage(t)}
	l.loadRoot(t)
	version, _, err := n.Kubectl(t.Context(), "", "version", "--client")
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	fmt.Fprintf(&table, "| | case | `kubectl debug` %s | `kubectl debugsidecar debug` |\n|---|---|---|---|\n", clientVersion(version))
	for i := range things {
		c := &things[i]
		fmt.Fprintf(&table, "| %d | %s |", i+1, c.what)
		for j, tool := range tools {
			namespace := fmt.Sprintf("%s-%d", c.name, j)
			l.prepare(t, namespace, c)
			d := l.run(t, namespace, c.pod(), tool, c)
			if c.again {
				second := l.run(t, namespace, c.pod(), tool, c)
				d.pods = second.pods
			}
			if c.copies {
				d.leftover = l.left(t, namespace, c.pod())
			}
			fmt.Fprintf(&table, " %s |", strings.Join(c.tell(d, c), "; "))
			if j == 1 {
				for _, wrong := range c.check(d, c) {
					t.Errorf("%s: %s", c.name, wrong)
				}
			}
			l.remove(t, namespace)
		}
		table.WriteByte('\n')
	}
	check(t, table.String())
}

// rootImage is the app's, and runs as root unless the pod says otherwise.
const rootImage = "debugsidecar.example/root:1"

func (l lab) loadRoot(t *testing.T) {
	t.Helper()
	app := filepath.Join(t.TempDir(), "app")
	compile := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", app, "./test/node/app")
	compile.Dir, compile.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := build.Static(t.Context(), app+".tar", rootImage, "0:0", app); err != nil {
		t.Fatal(err)
	}
	if err := l.LoadImage(t.Context(), app+".tar"); err != nil {
		t.Fatal(err)
	}
}

// prepare makes a namespace with the case's objects in it, and waits until its
// pod is what the case is about.
func (l lab) prepare(t *testing.T, namespace string, c *thing) {
	t.Helper()
	must := func(stdin string, args ...string) string {
		t.Helper()
		out, _, err := l.Kubectl(t.Context(), stdin, args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	must("", "create", "namespace", namespace)
	for _, label := range c.labels {
		must("", "label", "namespace", namespace, label)
	}
	l.until(t, "there is a service account", func(ctx context.Context) error {
		_, _, err := l.Kubectl(ctx, "", "--namespace", namespace, "get", "serviceaccount", "default")
		return err
	})
	must(c.manifest, "--namespace", namespace, "apply", "-f", "-")
	if !c.crashes {
		must("", "--namespace", namespace, "wait", "--for=condition=Ready", "pod/"+c.pod(), "--timeout=60s")
		return
	}
	l.until(t, "the pod crashes again and again", func(context.Context) error {
		for _, p := range l.pods(t, namespace) {
			if len(p.Status.ContainerStatuses) > 0 {
				if w := p.Status.ContainerStatuses[0].State.Waiting; w != nil && w.Reason == "CrashLoopBackOff" {
					return nil
				}
			}
		}
		return errors.New("it does not")
	})
}

// left names the pods beside the case's own that nobody has ended half a minute
// later.
func (l lab) left(t *testing.T, namespace, pod string) (names []string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Second) {
		names = nil
		for _, p := range l.pods(t, namespace) {
			if p.Name != pod && p.DeletionTimestamp == nil {
				names = append(names, p.Name)
			}
		}
		if len(names) == 0 || time.Now().After(deadline) {
			return names
		}
	}
}

func (l lab) remove(t *testing.T, namespace string) {
	t.Helper()
	if _, _, err := l.Kubectl(t.Context(), "", "--namespace", namespace, "delete", "pods", "--all", "--force", "--grace-period=0", "--wait=false"); err != nil {
		t.Log(err)
	}
	if _, _, err := l.Kubectl(t.Context(), "", "delete", "namespace", namespace, "--wait=false"); err != nil {
		t.Log(err)
	}
}

func (l lab) until(t *testing.T, what string, try func(context.Context) error) {
	t.Helper()
	if err := l.Until(t.Context(), what, try); err != nil {
		t.Fatal(err)
	}
}

// debugImage is the chart's, which both debug with.
func debugImage(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "charts/debugsidecar/values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if image, ok := strings.CutPrefix(strings.TrimSpace(line), "debug: debugsidecar/"); ok {
			return "debugsidecar/" + image
		}
	}
	t.Fatal("values.yaml names no debug image")
	return ""
}

func clientVersion(text string) string {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, "Client Version: "); ok {
			return strings.TrimSpace(v)
		}
	}
	return text
}

const (
	start = "<!-- made by `go test ./test/compare -update` -->\n"
	end   = "<!-- end -->\n"
)

// check compares the table with the page's, or writes it there.
func check(t *testing.T, table string) {
	t.Helper()
	file := filepath.Join(root, page)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(text), start)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no place for the table", page)
	}
	now := before + start + table + end + after
	if now == string(text) {
		return
	}
	if !*update {
		t.Fatalf("%s is stale; run: go test ./test/compare -update\n%s", page, table)
	}
	if err := os.WriteFile(file, []byte(now), 0o644); err != nil {
		t.Fatal(err)
	}
}
