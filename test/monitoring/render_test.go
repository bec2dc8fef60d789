package monitoring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	clientgo "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/debugsidecar/debugsidecar/test/cluster/build"
	"github.com/debugsidecar/debugsidecar/test/debian"
)

// everything switches all on.
const everything = `
monitoring:
  serviceMonitor: {enabled: true, labels: {release: prometheus}, interval: 15s}
  podMonitor: {enabled: true, labels: {release: prometheus}, interval: 5s}
  rules: {enabled: true, labels: {release: prometheus}}
  dashboards: {enabled: true}
networkPolicy:
  enabled: true
`

var helmPath = sync.OnceValues(func() (string, error) {
	return build.Helm(context.Background(), func(line string) { fmt.Fprintln(os.Stderr, line) })
})

// rendered is what template returned, by its values: most tests want the same.
var rendered sync.Map

// template runs helm template as release debugsidecar in the namespace video-tools.
// The error has what Helm says.
func template(t *testing.T, values string) (string, error) {
	t.Helper()
	if out, ok := rendered.Load(values); ok {
		return out.(string), nil
	}
	helm, err := helmPath()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), helm, "template", "debugsidecar", "../../charts/debugsidecar", "--namespace", "video-tools", "--values", "-")
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "KUBECONFIG=", "HELM_NAMESPACE=", "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(values), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%w: %s", err, stderr.String())
	}
	rendered.Store(values, stdout.String())
	return stdout.String(), nil
}

var scheme = func() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgo.AddToScheme, monitoringv1.AddToScheme} {
		if err := add(s); err != nil {
			panic(err)
		}
	}
	return s
}()

// render returns the objects of helm template. A field that the types of
// Kubernetes or of the operator lack fails the test.
func render(t *testing.T, values string) []client.Object {
	t.Helper()
	manifest, err := template(t, values)
	if err != nil {
		t.Fatal(err)
	}
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	var objects []client.Object
	for doc := range strings.SplitSeq("\n"+manifest, "\n---\n") {
		if strings.TrimSpace(doc) == "" {
			continue
		}
		o, _, err := strict.Decode([]byte(doc), nil, nil)
		if err != nil {
			t.Fatalf("%v, in:\n%s", err, doc)
		}
		objects = append(objects, o.(client.Object))
	}
	return objects
}

// all returns the objects of type T.
func all[T client.Object](objects []client.Object) []T {
	var found []T
	for _, o := range objects {
		if o, ok := o.(T); ok {
			found = append(found, o)
		}
	}
	return found
}

// only returns the object of type T, of which there must be one.
func only[T client.Object](t *testing.T, objects []client.Object) T {
	t.Helper()
	found := all[T](objects)
	if len(found) != 1 {
		t.Fatalf("there are %d objects of type %T, want 1", len(found), *new(T))
	}
	return found[0]
}

// debianTree has the files of Debian's packages. Others use the same two, so that
// they are unpacked once.
var debianTree = sync.OnceValues(func() (string, error) {
	return debian.Tree(context.Background(), func(line string) { fmt.Fprintln(os.Stderr, line) }, "prometheus", "prometheus-alertmanager")
})

// debianProgram returns the path of a program of Debian's package prometheus.
func debianProgram(t *testing.T, program string) string {
	t.Helper()
	root, err := debianTree()
	if errors.Is(err, debian.ErrUnavailable) {
		t.Skipf("no Debian package prometheus: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "usr/bin", program)
}
