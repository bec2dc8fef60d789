package offline

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/webhook/admit"
	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

// known answers the webhook's questions about namespaces from the manifests.
type known struct{ *cluster }

func (k known) Namespace(_ context.Context, name string) inject.Namespace {
	return *k.cluster.namespace(name)
}

func (k known) Labels(_ context.Context, name string) (map[string]string, bool) {
	return k.cluster.namespace(name).Labels, true
}

// webhook serves what is known from the manifests of input.
func webhook(t *testing.T, input string) (*cluster, admit.Deps) {
	t.Helper()
	o := newOptions(genericiooptions.IOStreams{In: bytes.NewBufferString(input), Out: &bytes.Buffer{}, ErrOut: &bytes.Buffer{}})
	o.sources.Names = []string{"-"}
	if err := o.check(); err != nil {
		t.Fatal(err)
	}
	c, err := o.load()
	if err != nil {
		t.Fatal(err)
	}
	evaluator, err := policies.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c, admit.Deps{
		Config:         func() *config.Snapshot { return c.config },
		Recent:         func() []*config.Snapshot { return []*config.Snapshot{c.config} },
		Namespaces:     known{c},
		Policies:       evaluator,
		NativeSidecars: true,
		Metrics:        admit.NewMetrics(prometheus.NewRegistry()),
		Log:            slog.New(slog.DiscardHandler),
	}
}

// answer is the part of an AdmissionReview's response that is compared.
type answer struct {
	Response struct {
		Allowed  bool     `json:"allowed"`
		Patch    []byte   `json:"patch"`
		Warnings []string `json:"warnings"`
		Status   struct {
			Message string `json:"message"`
		} `json:"status"`
	} `json:"response"`
}

// resources are the kinds that are asked about, and their names in a review.
var resources = map[string][2]string{
	"Pod": {"", "pods"}, "ReplicationController": {"", "replicationcontrollers"},
	"Deployment": {"apps", "deployments"}, "ReplicaSet": {"apps", "replicasets"},
	"StatefulSet": {"apps", "statefulsets"}, "DaemonSet": {"apps", "daemonsets"},
	"Job": {"batch", "jobs"}, "CronJob": {"batch", "cronjobs"},
}

func ask(t *testing.T, h http.Handler, p *pod) answer {
	t.Helper()
	kind := p.object.Kind
	resource := resources[kind]
	review, err := json.Marshal(map[string]any{
		"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
		"request": map[string]any{
			"uid": "1", "operation": "CREATE", "namespace": p.namespace,
			"kind":     map[string]any{"group": resource[0], "version": "v1", "kind": kind},
			"resource": map[string]any{"group": resource[0], "version": "v1", "resource": resource[1]},
			"object":   p.object.Content,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(review)))
	var a answer
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return a
}

func TestInject_DoesToPodsWhatTheWebhookDoes(t *testing.T) {
	compared := 0
	for name, input := range inputs(t) {
		c, deps := webhook(t, input)
		injected, _ := webhook(t, fine(t, input, "inject", "-f", "-").out)
		for i, p := range c.pods {
			if p.object.Kind != "Pod" {
				continue
			}
			compared++
			want := p.manifest.Content
			if a := ask(t, admit.Mutate(deps), &p); len(a.Response.Patch) > 0 {
				want = applied(t, want, a.Response.Patch)
			}
			if diff := cmp.Diff(want, injected.pods[i].manifest.Content); diff != "" {
				t.Errorf("%s: %s:\n%s", name, p.name(), diff)
			}
		}
	}
	if compared < 10 {
		t.Errorf("only %d pods were compared", compared)
	}
}

func applied(t *testing.T, object map[string]any, patch []byte) (out map[string]any) {
	t.Helper()
	before, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		t.Fatal(err)
	}
	after, err := decoded.Apply(before)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(after))
	d.UseNumber()
	if err := d.Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// An injected manifest is applied to a cluster that enforces our policy: the
// webhook has to know its own sidecar again, though it did not put it there.
func TestTheWebhook_AdmitsWhatInjectMade(t *testing.T) {
	for _, level := range []string{"baseline", "restricted"} {
		input := fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: cameras, labels: {policy.debugsidecar.io/enforce: %s}}
---
%s`, level, restrictedPod)
		c, deps := webhook(t, fine(t, input, "inject", "-f", "-").out)
		if a := ask(t, admit.Validate(deps), &c.pods[0]); !a.Response.Allowed {
			t.Errorf("%s: %s", level, a.Response.Status.Message)
		}
		if a := ask(t, admit.Mutate(deps), &c.pods[0]); len(a.Response.Patch) > 0 {
			t.Errorf("%s: the webhook changes it again: %s", level, a.Response.Patch)
		}
	}
}

func TestTheWebhook_DoesNotWarnAboutTheSidecarInAWorkload(t *testing.T) {
	const namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: cameras, labels: {policy.debugsidecar.io/enforce: baseline}}\n---\n"
	for _, name := range []string{"workloads", "cronjob"} {
		c, deps := webhook(t, fine(t, namespace+inputs(t)[name], "inject", "-f", "-").out)
		if len(c.pods) == 0 {
			t.Fatalf("%s: there are no pods", name)
		}
		for i := range c.pods {
			if a := ask(t, admit.Validate(deps), &c.pods[i]); !a.Response.Allowed || len(a.Response.Warnings) > 0 {
				t.Errorf("%s: %v %s", c.pods[i].name(), a.Response.Warnings, a.Response.Status.Message)
			}
		}
	}
}

const restrictedPod = `
apiVersion: v1
kind: Pod
metadata:
  name: ingest
  namespace: cameras
  labels: {debugsidecar.io/inject: video-probe}
spec:
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: ingest
    image: registry.example.org/video/ingest:2
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`
