// Package chart tests the Helm chart: what it renders, without a cluster, and
// what a real API server makes of it.
package chart

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	certmanager "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	clientgo "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/debugsidecar/debugsidecar/test/cluster/build"
)

const (
	chartDir  = "../../charts/debugsidecar"
	namespace = "debugsidecar" // of the release
)

var scheme = func() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgo.AddToScheme, certmanager.AddToScheme, monitoring.AddToScheme} {
		if err := add(s); err != nil {
			panic(err)
		}
	}
	return s
}()

// helmPath finds Helm, and builds it the first time.
var helmPath = sync.OnceValues(func() (string, error) {
	return build.Helm(context.Background(), func(line string) { fmt.Fprintln(os.Stderr, line) })
})

// template runs helm template with a values file. The error holds what Helm says.
func template(t *testing.T, values string, args ...string) (string, error) {
	t.Helper()
	return templateAs(t, "debugsidecar", values, args...)
}

func templateAs(t *testing.T, release, values string, args ...string) (string, error) {
	t.Helper()
	helm, err := helmPath()
	if err != nil {
		t.Fatal(err)
	}
	args = append([]string{"template", release, chartDir, "--namespace", namespace, "--values", "-"}, args...)
	cmd := exec.CommandContext(t.Context(), helm, args...)
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "KUBECONFIG=", "HELM_NAMESPACE=",
		"HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(values), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%w: %s", err, stderr.String())
	}
	return stdout.String(), nil
}

// render returns the objects of helm template.
func render(t *testing.T, values string, args ...string) []client.Object {
	t.Helper()
	text, err := template(t, values, args...)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, text)
}

// decode reads a manifest. A field that Kubernetes does not know, or one that is
// there twice, fails the test.
func decode(t *testing.T, manifest string) []client.Object {
	t.Helper()
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
	if len(objects) == 0 {
		t.Fatal("nothing was rendered")
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

// named returns the object of type T by its name.
func named[T client.Object](t *testing.T, objects []client.Object, name string) T {
	t.Helper()
	for _, o := range all[T](objects) {
		if o.GetName() == name {
			return o
		}
	}
	t.Fatalf("there is no %T %s", *new(T), name)
	panic("unreachable")
}
