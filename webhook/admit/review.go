package admit

import (
	"encoding/json"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/policies/facts"
)

// review is the part of an admission.k8s.io/v1 AdmissionReview that is read.
type review struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Request    *request `json:"request"`
}

type request struct {
	UID         string                      `json:"uid"`
	Resource    metav1.GroupVersionResource `json:"resource"`
	SubResource string                      `json:"subResource"`
	Name        string                      `json:"name"`
	Namespace   string                      `json:"namespace"`
	Operation   string                      `json:"operation"`
	DryRun      bool                        `json:"dryRun"`
	Object      *object                     `json:"object"`
	OldObject   *object                     `json:"oldObject"`
	body        []byte
}

// object is a pod or a workload: no field of one has the name of another's, so
// that one decode serves all.
type object struct {
	Metadata facts.Metadata `json:"metadata"`
	Spec     struct {
		facts.PodSpec
		Template    *facts.Pod `json:"template"`
		JobTemplate *struct {
			Spec struct {
				Template *facts.Pod `json:"template"`
			} `json:"spec"`
		} `json:"jobTemplate"`
	} `json:"spec"`
}

func (o *object) pod() *facts.Pod {
	if o == nil {
		return nil
	}
	return &facts.Pod{Metadata: o.Metadata, Spec: o.Spec.PodSpec}
}

// template returns a workload's pod template, and where its spec is.
func (o *object) template() (*facts.Pod, string) {
	switch {
	case o == nil:
	case o.Spec.Template != nil:
		return o.Spec.Template, "spec.template.spec"
	case o.Spec.JobTemplate != nil && o.Spec.JobTemplate.Spec.Template != nil:
		return o.Spec.JobTemplate.Spec.Template, "spec.jobTemplate.spec.template.spec"
	}
	return nil, ""
}

// fullPod decodes the request's pod, or its workload's pod template, with all
// fields. Few requests need it.
func (r *request) fullPod() (*corev1.Pod, error) {
	var whole struct {
		Request struct {
			Object struct {
				metav1.ObjectMeta `json:"metadata"`
				Spec              struct {
					corev1.PodSpec
					Template    *corev1.PodTemplateSpec  `json:"template"`
					JobTemplate *batchv1.JobTemplateSpec `json:"jobTemplate"`
				} `json:"spec"`
			} `json:"object"`
		} `json:"request"`
	}
	if err := json.Unmarshal(r.body, &whole); err != nil {
		return nil, fmt.Errorf("decoding the pod: %w", err)
	}
	object := &whole.Request.Object
	switch {
	case object.Spec.Template != nil:
		return &corev1.Pod{ObjectMeta: object.Spec.Template.ObjectMeta, Spec: object.Spec.Template.Spec}, nil
	case object.Spec.JobTemplate != nil:
		template := &object.Spec.JobTemplate.Spec.Template
		return &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}, nil
	}
	return &corev1.Pod{ObjectMeta: object.ObjectMeta, Spec: object.Spec.PodSpec}, nil
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
