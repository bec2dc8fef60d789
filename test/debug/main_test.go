package debug_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/test/cluster"
	"github.com/debugsidecar/debugsidecar/test/debug"
)

// standing is the kubeconfig of a cluster that is up, with a node that has the
// images. It is for who changes the command: starting one takes longer than a try.
var standing = flag.String("standing", "", "kubeconfig of a cluster that is up and has the images, instead of a new one")

var repository, _ = filepath.Abs("../..")

// lab is what the tests share.
type lab struct {
	*debug.Lab
	// chart says that the chart is installed.
	chart bool
}

func start(t *testing.T) lab {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a Kubernetes with a node; run without -short")
	}
	if *standing != "" {
		return lab{&debug.Lab{
			Kubeconfig: *standing, Plugin: filepath.Join(repository, "bin", "kubectl-debugsidecar"),
			Kubectl: func(ctx context.Context, stdin string, args ...string) (string, string, error) {
				cmd := exec.CommandContext(ctx, "kubectl", append([]string{"--kubeconfig=" + *standing}, args...)...)
				cmd.Stdin = strings.NewReader(stdin)
				var out, failure bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &failure
				err := cmd.Run()
				if err != nil {
					err = errors.Join(err, errors.New(failure.String()))
				}
				return out.String(), failure.String(), err
			},
		}, false}
	}
	l, err := debug.Start(t.Context(), repository, t.TempDir(), func(line string) { t.Log(line) })
	if errors.Is(err, cluster.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			out, _, err := l.Kubectl(context.Background(), "", "get", "pods,events", "-A", "-o", "wide")
			t.Log(out, err)
		}
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})
	return lab{l, true}
}

// namespace makes one of its own for a test.
func (l lab) namespace(t *testing.T, name string, labels []string, manifest string, ready ...string) {
	t.Helper()
	if err := l.Namespace(t.Context(), name, labels, manifest, ready...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _, _ = l.Kubectl(context.Background(), "", "delete", "namespace", name, "--wait=false")
	})
}

// pod reads a pod.
func (l lab) pod(t *testing.T, namespace, name string) *corev1.Pod {
	t.Helper()
	out, _, err := l.Kubectl(t.Context(), "", "--namespace", namespace, "get", "pod", name, "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var pod corev1.Pod
	if err := json.Unmarshal([]byte(out), &pod); err != nil {
		t.Fatal(err)
	}
	return &pod
}

// added is how many debug containers a pod has.
func (l lab) added(t *testing.T, namespace, name string) int {
	t.Helper()
	return len(l.pod(t, namespace, name).Spec.EphemeralContainers)
}

// answer is what a command without a terminal said.
type answer struct {
	out, err string
	status   int
}

// debug runs the command without a terminal.
func (l lab) debug(t *testing.T, stdin string, args ...string) answer {
	t.Helper()
	return l.debugAs(t, l.Kubeconfig, stdin, args...)
}

func (l lab) debugAs(t *testing.T, kubeconfig, stdin string, args ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, l.Plugin, append([]string{"debug", "--kubeconfig", kubeconfig}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, failure bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &failure
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	a := answer{out.String(), failure.String(), cmd.ProcessState.ExitCode()}
	t.Logf("debug %s: status %d\n%s%s", strings.Join(args, " "), a.status, a.out, a.err)
	return a
}

// says fails the test unless the text has all of these.
func says(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("it does not say %q:\n%s", w, text)
		}
	}
}

// terminal is one for a test.
type terminal struct {
	*debug.Terminal
	t *testing.T
}

func (l lab) terminal(t *testing.T, kubeconfig string) terminal {
	t.Helper()
	term, err := debug.NewTerminal(t.Context(), t.TempDir(), 120, 40, "KUBECONFIG="+kubeconfig,
		"PATH="+filepath.Dir(l.Plugin)+":"+os.Getenv("PATH"))
	if errors.Is(err, debug.ErrNoTerminal) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = term.Close(context.Background()) })
	return terminal{term, t}
}

func (x terminal) line(text string) {
	x.t.Helper()
	if err := x.Line(x.t.Context(), text); err != nil {
		x.t.Fatal(err)
	}
}

func (x terminal) key(name string) {
	x.t.Helper()
	if err := x.Key(x.t.Context(), name); err != nil {
		x.t.Fatal(err)
	}
}

// patience is for a machine on which much else runs.
const patience = 45 * time.Second

func (x terminal) shows(texts ...string) {
	x.t.Helper()
	if err := x.Shows(x.t.Context(), patience, texts...); err != nil {
		x.t.Fatal(err)
	}
}

func (x terminal) screen() string {
	x.t.Helper()
	screen, err := x.Screen(x.t.Context())
	if err != nil {
		x.t.Fatal(err)
	}
	return strings.TrimSpace(screen)
}

var status = regexp.MustCompile(`status=[0-9]`)

// ended waits for the command's end, which is followed by echo status=$?, and
// returns the screen.
func (x terminal) ended() string {
	x.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		screen := x.screen()
		if status.MatchString(screen) {
			return screen
		}
		if time.Now().After(end) {
			x.t.Fatalf("it does not end:\n%s", screen)
		}
	}
}
