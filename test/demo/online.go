package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	registrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/debugsidecar/debugsidecar/test/cluster"
)

// online shows what the API server and the webhook say.
type online struct {
	*show
	cluster *cluster.Cluster
	webhook string // its URL
}

func (o *online) run(ctx context.Context) error {
	if _, _, err := o.cluster.Kubectl(ctx, "", "apply", "-f", manifests+"namespace.yaml"); err != nil {
		return err
	}
	pod, err := o.injected(ctx)
	if err != nil {
		return err
	}
	if err := o.again(ctx, pod); err != nil {
		return err
	}
	o.denied(ctx, "3")
	return o.warned(ctx, "4")
}

// injected applies a labelled pod.
func (o *online) injected(ctx context.Context) (*corev1.Pod, error) {
	o.heading("1. A labelled pod comes back with its sidecar")
	o.typed("kubectl apply -f " + manifests + "pod.yaml")
	stdout, stderr, err := o.cluster.Kubectl(ctx, "", "apply", "-f", manifests+"pod.yaml")
	if err != nil {
		return nil, err
	}
	o.quote(stderr + stdout)
	data, _, err := o.cluster.Kubectl(ctx, "", "--namespace=cameras", "get", "pod", "ingest", "-o", "json")
	if err != nil {
		return nil, err
	}
	var pod corev1.Pod
	if err := json.Unmarshal([]byte(data), &pod); err != nil {
		return nil, fmt.Errorf("reading the pod: %w", err)
	}
	native := len(pod.Spec.InitContainers) == 1 && pod.Spec.InitContainers[0].Name == "debugsidecar-video-probe" &&
		pod.Spec.InitContainers[0].RestartPolicy != nil
	o.claim(native, "the pod has one more container: debugsidecar-video-probe, a native sidecar")
	o.claim(len(pod.Spec.Containers) == 1 && pod.Spec.Containers[0].Name == "ingest", "its own container is untouched")
	o.claim(pod.Status.QOSClass == corev1.PodQOSBurstable, "its QoS class is still Burstable, says the API server")
	if native {
		sc := pod.Spec.InitContainers[0].SecurityContext
		o.claim(fmt.Sprint(sc.Capabilities.Add) == "[BPF PERFMON NET_RAW]" && fmt.Sprint(sc.Capabilities.Drop) == "[ALL]",
			"kernel tier, as granted: drop %v, add %v", sc.Capabilities.Drop, sc.Capabilities.Add)
	}
	o.say("status annotation: " + pod.Annotations["debugsidecar.io/status"])
	return &pod, nil
}

// again sends the pod, as it came back, through the webhook once more.
func (o *online) again(ctx context.Context, pod *corev1.Pod) error {
	o.heading("2. The same pod again: an empty patch")
	restored := pod.DeepCopy()
	restored.ObjectMeta = metav1.ObjectMeta{Name: "restored", Namespace: pod.Namespace, Labels: pod.Labels, Annotations: pod.Annotations}
	restored.Status = corev1.PodStatus{}
	review, err := o.review(ctx, restored)
	if err != nil {
		return err
	}
	o.claim(review.Allowed && len(review.Patch) == 0, "the webhook's patch for it has %d bytes", len(review.Patch))
	data, err := json.Marshal(restored)
	if err != nil {
		return fmt.Errorf("encoding the pod: %w", err)
	}
	stdout, _, err := o.cluster.Kubectl(ctx, string(data), "create", "--dry-run=server", "-f", "-", "-o", "json")
	if err != nil {
		return err
	}
	var created corev1.Pod
	if err := json.Unmarshal([]byte(stdout), &created); err != nil {
		return fmt.Errorf("reading the pod: %w", err)
	}
	o.claim(len(created.Spec.InitContainers) == 1, "restored from a backup, it has one sidecar, not two")
	return nil
}

// review sends an AdmissionReview as the API server would, trusting the CA that
// the API server was told to trust.
func (o *online) review(ctx context.Context, pod *corev1.Pod) (*admissionv1.AdmissionResponse, error) {
	data, _, err := o.cluster.Kubectl(ctx, "", "get", "mutatingwebhookconfiguration", "debugsidecar", "-o", "json")
	if err != nil {
		return nil, err
	}
	var config registrationv1.MutatingWebhookConfiguration
	if err := json.Unmarshal([]byte(data), &config); err != nil {
		return nil, fmt.Errorf("reading the webhook configuration: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(config.Webhooks[0].ClientConfig.CABundle) {
		return nil, errors.New("the webhook configuration has no CA bundle")
	}
	raw, err := json.Marshal(pod)
	if err != nil {
		return nil, fmt.Errorf("encoding the pod: %w", err)
	}
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "demo", Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
			Namespace: pod.Namespace, Operation: admissionv1.Create, Object: runtime.RawExtension{Raw: raw},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the review: %w", err)
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: o.cluster.DialContext, TLSClientConfig: &tls.Config{RootCAs: roots}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, o.webhook+"/mutate", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("asking the webhook: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking the webhook: %w", err)
	}
	defer response.Body.Close()
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(response.Body).Decode(&review); err != nil || review.Response == nil {
		return nil, fmt.Errorf("reading the webhook's answer (%s): %w", response.Status, err)
	}
	return review.Response, nil
}

// denied applies a pod that asks for too much.
func (o *online) denied(ctx context.Context, number string) {
	o.heading(number + ". A pod that asks for SYS_ADMIN is denied, and told what to change")
	o.typed("kubectl apply -f " + manifests + "sysadmin.yaml")
	_, stderr, err := o.cluster.Kubectl(ctx, "", "apply", "-f", manifests+"sysadmin.yaml")
	o.quote(stderr)
	o.claim(err != nil, "the API server refused it")
	for _, part := range []struct{ what, text string }{
		{"which container", `container "ingest"`},
		{"which field", "spec.containers[0].securityContext.capabilities.add"},
		{"which rule", "rule capabilities"},
		{"the smallest change that passes", `to pass: remove "SYS_ADMIN"`},
	} {
		o.claim(strings.Contains(stderr, part.text), "it says %s", part.what)
	}
}

// warned applies a Deployment whose pods would be denied.
func (o *online) warned(ctx context.Context, number string) error {
	o.heading(number + ". A Deployment whose pods would be denied is warned about at once")
	o.typed("kubectl apply -f " + manifests + "deployment.yaml")
	stdout, stderr, err := o.cluster.Kubectl(ctx, "", "apply", "-f", manifests+"deployment.yaml")
	if err != nil {
		return err
	}
	o.quote(stderr + stdout)
	o.claim(strings.Contains(stderr, "Warning") && strings.Contains(stderr, "SYS_ADMIN"), "kubectl shows the warning, and the Deployment was made")
	return nil
}
