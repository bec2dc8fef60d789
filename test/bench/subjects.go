package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/policies/facts"
	"github.com/debugsidecar/debugsidecar/webhook/admit"
	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

const (
	floorName    = "floor: smallest decode, canned"
	typedName    = "peer: core/v1 decode, canned"
	mutateName   = "/mutate, injecting"
	againName    = "/mutate, injected already"
	validateName = "/validate, restricted"
	decideName   = "decide"
	patchName    = "decide and patch"
	policyName   = "policy, restricted"
)

func prepare(podFile string) ([]subject, int, error) {
	data, err := os.ReadFile(podFile)
	if err != nil {
		return nil, 0, fmt.Errorf("reading the pod: %w", err)
	}
	raw, err := yaml.YAMLToJSON(data)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", podFile, err)
	}
	if raw, err = labelled(raw); err != nil {
		return nil, 0, fmt.Errorf("%s: %w", podFile, err)
	}
	body, err := review(raw)
	if err != nil {
		return nil, 0, err
	}
	b, err := newBench(raw)
	if err != nil {
		return nil, 0, err
	}
	again, err := b.injected(body)
	if err != nil {
		return nil, 0, err
	}
	return []subject{
		{floorName, b.handle(http.HandlerFunc(floor), body)},
		{typedName, b.handle(http.HandlerFunc(typed), body)},
		{mutateName, b.handle(admit.Mutate(b.deps), body)},
		{againName, b.handle(admit.Mutate(b.deps), again)},
		{validateName, b.handle(admit.Validate(b.deps), body)},
		{decideName, b.decide},
		{patchName, b.patch},
		{policyName, b.policy},
	}, len(body), nil
}

// labelled asks for a sidecar with a parameter.
func labelled(raw []byte) ([]byte, error) {
	var pod map[string]any
	if err := json.Unmarshal(raw, &pod); err != nil {
		return nil, err
	}
	set := func(field, key, value string) {
		meta, _ := pod["metadata"].(map[string]any)
		entries, _ := meta[field].(map[string]any)
		if entries == nil {
			entries = map[string]any{}
			meta[field] = entries
		}
		entries[key] = value
	}
	set("labels", inject.Label, "video-probe")
	set("annotations", inject.ParamsAnnotation, "source: rtsp://camera-7.cameras.svc:554/live\n")
	return json.Marshal(pod)
}

func review(raw []byte) ([]byte, error) {
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID:       "705ab4f5-6393-11e8-b7cc-42010a800002",
			Kind:      metav1.GroupVersionKind{Version: "v1", Kind: "Pod"},
			Resource:  metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
			Namespace: namespace, Operation: admissionv1.Create,
			Object: runtime.RawExtension{Raw: raw},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the review: %w", err)
	}
	return body, nil
}

const namespace = "cameras"

// static answers as the cache does: from memory. The cache's own part is not
// measured.
type static struct{ known inject.Namespace }

func (s static) Namespace(context.Context, string) inject.Namespace { return s.known }

func (s static) Labels(context.Context, string) (map[string]string, bool) {
	return s.known.Labels, true
}

type bench struct {
	deps admit.Deps
	pod  *facts.Pod
	full *corev1.Pod
}

func newBench(raw []byte) (*bench, error) {
	snapshot, err := config.Load(config.Paths{})
	if err != nil {
		return nil, err
	}
	evaluator, err := policies.New(context.Background())
	if err != nil {
		return nil, err
	}
	b := &bench{deps: admit.Deps{
		Config: func() *config.Snapshot { return snapshot },
		Recent: func() []*config.Snapshot { return []*config.Snapshot{snapshot} },
		Namespaces: static{inject.Namespace{Name: namespace, Labels: map[string]string{
			"policy.debugsidecar.io/enforce": "restricted",
		}}},
		Policies:       evaluator,
		NativeSidecars: true,
		OwnNamespace:   "debugsidecar-system",
		Metrics:        admit.NewMetrics(prometheus.NewRegistry()),
		Log:            slog.New(slog.DiscardHandler),
	}}
	b.pod, b.full = &facts.Pod{}, &corev1.Pod{}
	if err := json.Unmarshal(raw, b.pod); err != nil {
		return nil, fmt.Errorf("reading the pod: %w", err)
	}
	return b, json.Unmarshal(raw, b.full)
}

// handle calls a handler as the server does, without a network.
func (b *bench) handle(h http.Handler, body []byte) func() error {
	return func() error {
		r := httptest.NewRequest(http.MethodPost, "/x?timeout=2s", bytes.NewReader(body))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			return fmt.Errorf("status %d: %s", w.Code, w.Body)
		}
		return nil
	}
}

// floor is the least that a webhook can do.
func floor(w http.ResponseWriter, r *http.Request) {
	var v struct {
		Request struct {
			UID    string `json:"uid"`
			Object struct {
				Metadata struct {
					Labels map[string]string `json:"labels"`
				} `json:"metadata"`
			} `json:"object"`
		} `json:"request"`
	}
	if err := decode(r, &v); err != nil || v.Request.Object.Metadata.Labels[inject.Label] == "" {
		http.Error(w, "bad review", http.StatusBadRequest)
		return
	}
	canned(w, v.Request.UID)
}

// typed decodes the pod as most webhooks do.
func typed(w http.ResponseWriter, r *http.Request) {
	var v struct {
		Request struct {
			UID    string     `json:"uid"`
			Object corev1.Pod `json:"object"`
		} `json:"request"`
	}
	if err := decode(r, &v); err != nil || v.Request.Object.Labels[inject.Label] == "" {
		http.Error(w, "bad review", http.StatusBadRequest)
		return
	}
	canned(w, v.Request.UID)
}

func decode(r *http.Request, v any) error {
	body := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return err
	}
	return json.Unmarshal(body, v)
}

var cannedPatch = []byte(`[{"op":"add","path":"/spec/initContainers","value":[{"name":"x","image":"y"}]}]`)

func canned(w http.ResponseWriter, uid string) {
	data, err := json.Marshal(map[string]any{
		"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
		"response": map[string]any{"uid": uid, "allowed": true, "patch": cannedPatch, "patchType": "JSONPatch"},
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(data) //nolint:errcheck // a recorder does not fail
}
