package matrix

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	registration "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Another webhook that runs after ours gives a pod the spec that an annotation
// holds, also when it is asked again because ours repaired the pod.
const specAnnotation = "attacker.example/spec"

func startMutator(t *testing.T, api client.Client) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var review admissionv1.AdmissionReview
		var pod corev1.Pod
		if err := json.NewDecoder(req.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := json.Unmarshal(review.Request.Object.Raw, &pod); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		if text, ok := pod.Annotations[specAnnotation]; ok {
			spec, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			kind := admissionv1.PatchTypeJSONPatch
			review.Response.PatchType = &kind
			review.Response.Patch = fmt.Appendf(nil, `[{"op":"replace","path":"/spec","value":%s}]`, spec)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(server.Close)
	configuration := &registration.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "zz-after-ours"},
		Webhooks: []registration.MutatingWebhook{{
			Name: "after.attacker.example",
			ClientConfig: registration.WebhookClientConfig{
				URL:      new(server.URL),
				CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
			},
			Rules: []registration.RuleWithOperations{{
				Operations: []registration.OperationType{registration.Create},
				Rule:       registration.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"attacked": "yes"}},
			FailurePolicy:           new(registration.Fail),
			SideEffects:             new(registration.SideEffectClassNone),
			ReinvocationPolicy:      new(registration.IfNeededReinvocationPolicy),
			AdmissionReviewVersions: []string{"v1"},
		}},
	}
	if err := api.Create(t.Context(), configuration); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := api.Delete(context.Background(), configuration); err != nil {
			t.Error(err)
		}
	})
	label(t, granted, map[string]string{"attacked": "yes"})
	eventually(t, "the other webhook runs after ours", func() error {
		after, err := injectedPod(t.Context(), api, nil)
		if err != nil {
			return err
		}
		after.Spec.NodeSelector = map[string]string{"changed": "yes"}
		got, err := attacked(t.Context(), api, after, true)
		if err == nil && got.Spec.NodeSelector["changed"] != "yes" {
			err = errors.New("not yet")
		}
		return err
	})
}

// attacked makes a pod, of which the other webhook makes another one.
func attacked(ctx context.Context, api client.Client, now *corev1.Pod, wants bool) (*corev1.Pod, error) {
	spec, err := json.Marshal(now.Spec)
	if err != nil {
		return nil, err
	}
	p := wanting("attacked")
	if !wants {
		p.Labels = nil
	}
	p.Annotations = map[string]string{specAnnotation: base64.StdEncoding.EncodeToString(spec)}
	for k, v := range now.Annotations {
		p.Annotations[k] = v
	}
	return p, api.Create(ctx, p, client.DryRunAll)
}
