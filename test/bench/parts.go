package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"

	jsonpatch "github.com/evanphx/json-patch/v5"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/webhook/admit"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

func (b *bench) facts() inject.Facts {
	c := b.deps.Config()
	return inject.Facts{
		Pod:       b.pod,
		Namespace: b.deps.Namespaces.Namespace(context.Background(), namespace),
		Cluster:   c.Cluster(true, b.deps.OwnNamespace),
		Profiles:  c.Profiles,
		Full:      func() (*corev1.Pod, error) { return b.full, nil },
	}
}

func (b *bench) decide() error {
	if d := inject.Decide(b.facts()); !d.Inject {
		return fmt.Errorf("not injected: %s", d.Reason)
	}
	return nil
}

func (b *bench) patch() error {
	_, err := json.Marshal(inject.Decide(b.facts()).Patch())
	return err
}

func (b *bench) policy() error {
	_, err := b.deps.Policies.Evaluate(context.Background(), policies.Request{
		Namespace: namespace,
		Modes:     policies.Modes{Enforce: policies.Restricted},
		Pod:       b.pod,
		FieldPath: "spec",
	})
	return err
}

// injected returns the review of the pod that comes out of /mutate.
func (b *bench) injected(body []byte) ([]byte, error) {
	w := httptest.NewRecorder()
	admit.Mutate(b.deps).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/mutate", bytes.NewReader(body)))
	var answer, request admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Response == nil {
		return nil, fmt.Errorf("injecting: %d %s", w.Code, w.Body)
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return nil, err
	}
	patch, err := jsonpatch.DecodePatch(answer.Response.Patch)
	if err != nil {
		return nil, fmt.Errorf("reading the patch: %w", err)
	}
	raw, err := patch.Apply(request.Request.Object.Raw)
	if err != nil {
		return nil, fmt.Errorf("applying the patch: %w", err)
	}
	return review(raw)
}
