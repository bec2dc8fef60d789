package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/debugsidecar/debugsidecar/policies/facts"
)

// subject is one thing that is measured.
type subject struct {
	name string
	op   func() error
}

const (
	floorName        = "floor: decode the review"
	oursName         = "ours, decode and judge"
	gatekeeperName   = "Gatekeeper, decode and judge"
	oursOnlyName     = "ours, judge"
	gatekeeperAlone  = "Gatekeeper, judge"
	oursDenied       = "ours, denied"
	gatekeeperDenied = "Gatekeeper, denied"
	deniedRules      = 2
	reviewAPIVersion = "admission.k8s.io/v1"
	reviewKind       = "AdmissionReview"
)

// prepare returns what is measured: one pod that passes, and the same with a
// privileged container and the host's network.
func prepare(ctx context.Context, o *ours, g *gatekeeper, podFile string) ([]subject, int, error) {
	passing, err := reviewed(podFile, func(*corev1.Pod) {})
	if err != nil {
		return nil, 0, err
	}
	denied, err := reviewed(podFile, func(pod *corev1.Pod) {
		yes := true
		pod.Spec.Containers[1].SecurityContext.Privileged = &yes
		pod.Spec.HostNetwork = true
	})
	if err != nil {
		return nil, 0, err
	}
	var lean struct {
		Request struct {
			Object *facts.Pod `json:"object"`
		} `json:"request"`
	}
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(passing, &lean); err != nil {
		return nil, 0, err
	}
	if err := json.Unmarshal(passing, &review); err != nil {
		return nil, 0, err
	}
	expect := func(want int, refused map[string]bool, err error) error {
		if err == nil && len(refused) != want {
			return fmt.Errorf("%d rules refuse the pod, want %d: %v", len(refused), want, names(refused))
		}
		return err
	}
	judgeOurs := func(body []byte, want int) func() error {
		return func() error {
			var r struct {
				Request struct {
					UID       string     `json:"uid"`
					Operation string     `json:"operation"`
					Object    *facts.Pod `json:"object"`
				} `json:"request"`
			}
			if err := json.Unmarshal(body, &r); err != nil {
				return err
			}
			refused, err := o.review(ctx, r.Request.Object)
			return expect(want, refused, err)
		}
	}
	judgeTheirs := func(body []byte, want int) func() error {
		return func() error {
			var r admissionv1.AdmissionReview
			if err := json.Unmarshal(body, &r); err != nil {
				return err
			}
			refused, err := g.review(ctx, r.Request)
			return expect(want, refused, err)
		}
	}
	return []subject{
		{floorName, func() error {
			var r struct {
				Request struct {
					UID    string `json:"uid"`
					Object struct {
						Metadata struct {
							Labels map[string]string `json:"labels"`
						} `json:"metadata"`
					} `json:"object"`
				} `json:"request"`
			}
			return json.Unmarshal(passing, &r)
		}},
		{oursName, judgeOurs(passing, 0)},
		{gatekeeperName, judgeTheirs(passing, 0)},
		{oursOnlyName, func() error {
			refused, err := o.review(ctx, lean.Request.Object)
			return expect(0, refused, err)
		}},
		{gatekeeperAlone, func() error {
			refused, err := g.review(ctx, review.Request)
			return expect(0, refused, err)
		}},
		{oursDenied, judgeOurs(denied, deniedRules)},
		{gatekeeperDenied, judgeTheirs(denied, deniedRules)},
	}, len(passing), nil
}

// reviewed is the review of the pod's creation, as an API server sends it.
func reviewed(podFile string, change func(*corev1.Pod)) ([]byte, error) {
	text, err := os.ReadFile(podFile)
	if err != nil {
		return nil, fmt.Errorf("reading the pod: %w", err)
	}
	pod := &corev1.Pod{}
	if err := yaml.UnmarshalStrict(text, pod); err != nil {
		return nil, fmt.Errorf("%s: %w", podFile, err)
	}
	change(pod)
	raw, err := json.Marshal(pod)
	if err != nil {
		return nil, err
	}
	return json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: reviewAPIVersion, Kind: reviewKind},
		Request:  requestOf(raw),
	})
}
