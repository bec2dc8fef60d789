package admit

import (
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/policies/facts"
)

// request is what is read of an AdmissionReview's request.
type request struct {
	UID         string                      `json:"uid"`
	Resource    metav1.GroupVersionResource `json:"resource"`
	SubResource string                      `json:"subResource"`
	Namespace   string                      `json:"namespace"`
	Operation   string                      `json:"operation"`
	DryRun      bool                        `json:"dryRun"`
	UserInfo    policies.User               `json:"userInfo"`

	pod, old   subject
	connection *connection // of /connect alone
	body       []byte
}

// subject is a pod, or a workload's pod template, and where its spec is. The
// zero value stands for none.
type subject struct {
	*facts.Pod
	path string
}

// isPod says whether the request is about pods.
func (r *request) isPod() bool { return r.Resource.Group == "" && r.Resource.Resource == "pods" }

// decode reads an AdmissionReview of admission.k8s.io/v1 through a view.
func decode[C container, V volume](body []byte) (*request, error) {
	var review struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Request    *struct {
			request
			Object    *object[C, V] `json:"object"`
			OldObject *object[C, V] `json:"oldObject"`
		} `json:"request"`
	}
	if err := json.Unmarshal(body, &review); err != nil {
		return nil, fmt.Errorf("the body is not an AdmissionReview: %w", err)
	}
	switch {
	case review.Kind != "AdmissionReview" || review.APIVersion != "admission.k8s.io/v1":
		return nil, fmt.Errorf("the body is %q %q, want an AdmissionReview of admission.k8s.io/v1", review.APIVersion, review.Kind)
	case review.Request == nil || review.Request.UID == "":
		return nil, errors.New("the AdmissionReview has no request with a uid")
	}
	r := &review.Request.request
	r.pod, r.old = review.Request.Object.subject(r.isPod()), review.Request.OldObject.subject(r.isPod())
	r.body = body
	return r, nil
}

// full is the part of a pod that is compared with what the webhook renders.
type full struct {
	Volumes        []corev1.Volume    `json:"volumes"`
	InitContainers []corev1.Container `json:"initContainers"`
	Containers     []corev1.Container `json:"containers"`
}

func (f full) pod() *corev1.Pod {
	return &corev1.Pod{Spec: corev1.PodSpec{Volumes: f.Volumes, InitContainers: f.InitContainers, Containers: f.Containers}}
}

// fullPod decodes the volumes and containers of the request's pod, or of its
// workload's pod template, with all fields. Few requests need it.
func (r *request) fullPod() (*corev1.Pod, error) {
	type template struct {
		Spec full `json:"spec"`
	}
	var review struct {
		Request struct {
			Object struct {
				Spec struct {
					full
					Template    *template `json:"template"`
					JobTemplate *struct {
						Spec struct {
							Template template `json:"template"`
						} `json:"spec"`
					} `json:"jobTemplate"`
				} `json:"spec"`
			} `json:"object"`
		} `json:"request"`
	}
	if err := json.Unmarshal(r.body, &review); err != nil {
		return nil, fmt.Errorf("decoding the pod: %w", err)
	}
	spec := &review.Request.Object.Spec
	switch {
	case spec.Template != nil:
		return spec.Template.Spec.pod(), nil
	case spec.JobTemplate != nil:
		return spec.JobTemplate.Spec.Template.Spec.pod(), nil
	}
	return spec.pod(), nil
}

// response is an AdmissionReview's answer.
type response struct {
	UID              string            `json:"uid"`
	Allowed          bool              `json:"allowed"`
	Status           *status           `json:"status,omitempty"`
	Patch            []byte            `json:"patch,omitempty"`
	PatchType        string            `json:"patchType,omitempty"`
	Warnings         []string          `json:"warnings,omitempty"`
	AuditAnnotations map[string]string `json:"auditAnnotations,omitempty"`
}

// status is the part of metav1.Status that a denial needs.
type status struct {
	Message string `json:"message"`
	Reason  string `json:"reason"`
	Code    int32  `json:"code"`
}

type answer struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Response   response `json:"response"`
}

func allow() response { return response{Allowed: true} }

func deny(message string) response {
	return response{Status: &status{Message: message, Reason: string(metav1.StatusReasonForbidden), Code: 403}}
}
